//! Nothing of a cluster stays behind, however its owner ends: what stops it is a process of its own.
//!
//! The guard is a shell that ignores the signals of a terminal and reads a pipe whose other end only the owner holds.
//! When the owner drops it, exits or is killed, the pipe ends; the guard then kills every process that was started as
//! `FOLDER/bin/…` and removes FOLDER, and the cgroups that are named after it. It asks the system for those processes then: no list is kept, so none can be
//! incomplete, and no number on it can belong to somebody else by now.

use std::{
    io,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
};

/// Killed at once and all together: what they hold is thrown away, so there is nothing to finish and no order to keep.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
read -r _
export FOLDER="$1"
name=${FOLDER##*/}
started_here() {
    ps -A -ww -o pid= -o command= |
        awk '{ pid = $1; sub(/^ *[0-9]+ +/, ""); if (index($0, ENVIRON["FOLDER"] "/bin/") == 1) print pid }'
}
cgroups() {
    [ ! -e /sys/fs/cgroup ] || find /sys/fs/cgroup -depth -type d -path "*/${name:?}*"
}
while pids=$(started_here); [ -n "$pids" ] || [ -e "$FOLDER" ] || [ -n "$(cgroups)" ]; do
    [ -z "$pids" ] || kill -KILL $pids
    cgroups | while read -r cgroup; do rmdir "$cgroup"; done
    rm -rf "$FOLDER"
    sleep 0.02
done
"#;

/// Ends with its owner, and takes the cluster in its folder along. Dropping it waits until that is done.
#[derive(Debug)]
pub(crate) struct Guard {
    shell: Child,
    pipe: Option<ChildStdin>,
}

impl Guard {
    /// From here on `folder`, and what is started from its `bin`, lives no longer than this process.
    pub(crate) fn over(folder: &Path) -> io::Result<Self> {
        let mut shell = Command::new("sh")
            .args(["-c", SCRIPT, "apolo-tests-guard"])
            .arg(folder)
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let pipe = shell.stdin.take();
        Ok(Self { shell, pipe })
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.pipe.take());
        let _ = self.shell.wait();
    }
}
