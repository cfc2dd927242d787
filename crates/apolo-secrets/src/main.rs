//! The binary of the image.

fn main() {}
