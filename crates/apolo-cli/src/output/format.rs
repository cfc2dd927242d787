//! The forms in which results are printed for programs, as kubectl names them.

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::Output;
use crate::exit::Failure;

/// Flags of commands that print what they found.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Printing {
    /// How to print it
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    pub(crate) output: Option<Format>,

    /// Print no headers
    #[arg(long)]
    pub(crate) no_headers: bool,
}

/// How to print what was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Only the names, one a line
    Name,
    /// A table with more columns
    Wide,
    /// JSON
    Json,
    /// YAML
    Yaml,
}

impl Output {
    /// Prints something as JSON or YAML.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(crate) fn structured<T: Serialize>(&self, format: Structured, found: &T) -> Result<(), Failure> {
        let written = match format {
            Structured::Json => {
                serde_json::to_string_pretty(found).map(|text| text + "\n").map_err(|error| error.to_string())
            }
            Structured::Yaml => serde_saphyr::to_string(found).map_err(|error| error.to_string()),
        };
        let written = written.map_err(|error| Failure::new(format!("writing the result: {error}")))?;
        self.result(written.as_bytes())
    }
}

/// Flags of commands whose results are one text for people, or a structure for programs.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Structure {
    /// How to print it
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    output: Option<Structured>,
}

impl Structure {
    /// The structure that is asked for, if one is.
    #[must_use]
    pub(crate) fn structured(self) -> Option<Structured> {
        self.output
    }
}

/// The forms that have a structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Structured {
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

impl Printing {
    /// The structure that is asked for, if one is.
    #[must_use]
    pub(crate) fn structured(&self) -> Option<Structured> {
        match self.output? {
            Format::Json => Some(Structured::Json),
            Format::Yaml => Some(Structured::Yaml),
            Format::Name | Format::Wide => None,
        }
    }
}
