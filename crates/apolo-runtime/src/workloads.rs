//! The workload table of a server: what is shipped, and rows of its own.

use std::path::{Path, PathBuf};

use apolo_core::workload::{Table, TableError};
use thiserror::Error;

/// Why there is no table.
#[derive(Debug, Error)]
pub enum WorkloadsError {
    /// The file cannot be read.
    #[error("reading {0}")]
    File(PathBuf, #[source] std::io::Error),
    /// Its rows cannot be.
    #[error("reading the rows of {0}")]
    Rows(PathBuf, #[source] TableError),
    /// Those that are shipped cannot be.
    #[error("reading the rows that are shipped")]
    Shipped(#[source] TableError),
}

/// The table that is shipped, with the rows of a file before it, if one is given.
///
/// # Errors
/// When the file cannot be read, or its rows cannot be.
pub fn table(own: Option<&Path>) -> Result<Table, WorkloadsError> {
    let shipped = Table::shipped().map_err(WorkloadsError::Shipped)?;
    let Some(file) = own else { return Ok(shipped) };
    let text = std::fs::read_to_string(file).map_err(|error| WorkloadsError::File(file.into(), error))?;
    shipped.with_own(&text).map_err(|error| WorkloadsError::Rows(file.into(), error))
}
