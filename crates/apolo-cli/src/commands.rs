//! The commands, one a file.

pub(crate) mod completion;
pub(crate) mod inject;
pub(crate) mod secret;
pub(crate) mod version;
