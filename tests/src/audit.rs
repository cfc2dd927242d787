//! What somebody asks of the API server, as the audit log has it.
#![allow(clippy::indexing_slicing, reason = "what a JSON object does not have is null")]

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::PathBuf,
};

use serde_json::Value;

use crate::control_plane::ControlPlane;

/// The audit log from some moment on.
#[derive(Debug)]
pub struct Audit {
    log: PathBuf,
    begins: u64,
}

/// A request that was answered; one line of the log.
#[derive(Debug)]
pub struct Asked(Value);

impl ControlPlane {
    /// The audit log from now on.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn audit(&self) -> io::Result<Audit> {
        let log = self.audit_log();
        let begins = std::fs::metadata(&log)?.len();
        Ok(Audit { log, begins })
    }
}

impl Audit {
    /// What users whose name ends so have asked since then, in the order of the answers. Where the API server has begun a new file
    /// (it does so at 100 MB), what the old one has is missing.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn asked_by(&self, end: &str) -> io::Result<Vec<Asked>> {
        let mut file = File::open(&self.log)?;
        let begins = if file.metadata()?.len() < self.begins { 0 } else { self.begins };
        file.seek(SeekFrom::Start(begins))?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let lines = text.lines().filter(|line| line.contains(end));
        let lines = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
        Ok(lines.filter(|line| line["user"]["username"].as_str().unwrap_or("").ends_with(end)).map(Asked).collect())
    }
}

impl Asked {
    /// What is asked, such as `patch`.
    pub fn verb(&self) -> &str {
        self.0["verb"].as_str().unwrap_or_default()
    }

    /// What it is about, such as `pods` or `secretgrants/status`.
    pub fn resource(&self) -> String {
        let about = &self.0["objectRef"];
        let resource = about["resource"].as_str().unwrap_or_default();
        about["subresource"].as_str().map_or_else(|| resource.to_owned(), |sub| format!("{resource}/{sub}"))
    }

    /// The namespace that it is about; of a question who may do what, that of what may be done. None: all, or no namespace.
    pub fn namespace(&self) -> Option<&str> {
        let question = &self.0["requestObject"]["spec"]["resourceAttributes"]["namespace"];
        self.0["objectRef"]["namespace"].as_str().or_else(|| question.as_str())
    }
}
