//! Kubelet, ended and started again while the Pods of its node run on, as an upgrade does it.

use std::{
    ffi::OsStr,
    fs::{self, OpenOptions},
    io,
    os::unix::{ffi::OsStrExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::control_plane::ControlPlane;

impl ControlPlane {
    /// Kills kubelet, and starts another with the same arguments, which lives as long as the node.
    ///
    /// # Errors
    /// When there is no kubelet of ours: the node is somebody else's.
    pub fn restart_kubelet(&self) -> io::Result<()> {
        let program = self.bin().join("kubelet");
        let (process, arguments) = find(&program)?;
        let killed = Command::new("kill").args(["-KILL", &process]).status()?;
        if !killed.success() {
            return Err(io::Error::other(format!("cannot kill kubelet, process {process}")));
        }
        let log = OpenOptions::new().append(true).open(self.folder().join("kubelet.log"))?;
        let mut command = Command::new(program);
        command.args(&arguments).current_dir(self.folder()).process_group(0);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn().map(drop)
    }
}

/// The number of the process of a program, and its arguments.
fn find(program: &Path) -> io::Result<(String, Vec<PathBuf>)> {
    for entry in fs::read_dir("/proc")?.flatten() {
        // What has ended meanwhile has no command line.
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let mut words = line.strip_suffix(b"\0").unwrap_or_default().split(|byte| *byte == 0).map(OsStr::from_bytes);
        if words.next() == Some(program.as_os_str()) {
            return Ok((entry.file_name().to_string_lossy().into_owned(), words.map(PathBuf::from).collect()));
        }
    }
    Err(io::Error::new(io::ErrorKind::NotFound, format!("{} does not run", program.display())))
}
