//! The commands, one a file.

pub(crate) mod check;
pub(crate) mod completion;
pub(crate) mod inject;
pub(crate) mod man;
pub(crate) mod run;
pub(crate) mod secret;
pub(crate) mod version;
