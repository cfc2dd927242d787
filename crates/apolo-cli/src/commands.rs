//! The commands, one a file.

pub(crate) mod acl;
pub(crate) mod check;
pub(crate) mod completion;
pub(crate) mod inject;
pub(crate) mod man;
pub(crate) mod run;
pub(crate) mod secret;
pub(crate) mod share;
pub(crate) mod version;
pub(crate) mod whoami;
