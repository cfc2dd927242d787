//! The secrets of a namespace: what `apolo secret` does.

mod list;
mod read;

pub use list::{Found, List, ListError, list};
pub use read::{ReadError, read};
