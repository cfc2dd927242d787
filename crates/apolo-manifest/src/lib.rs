//! Manifests as text: a file of YAML or JSON documents comes in; what comes out is what kubectl would read in it, where in
//! the file each part of that stands, and the same text with something added.
//!
//! Nothing here touches a file, and no message quotes the text, but for the name of an anchor: a manifest may hold a value.
//! What is added is inserted; not a byte that was there is changed, and a result that does not read as it should is never
//! handed out.

mod add;
mod brackets;
mod compose;
mod error;
mod event;
mod insert;
mod json;
mod lines;
mod manifest;
mod operation;
mod place;
mod plan;
mod scalar;
mod style;
mod syntax;
mod text;
mod tree;
mod value;
mod write;

pub use error::{AddError, Position, ReadError};
pub use manifest::{Document, Manifest};
pub use operation::Operation;
