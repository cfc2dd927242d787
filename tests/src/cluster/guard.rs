//! Nothing of a cluster stays behind, however its owner ends: what stops it is a process of its own.
//!
//! The guard is a shell that ignores the signals of a terminal and reads a pipe whose other end only the owner holds.
//! When the owner drops it, exits or is killed, the pipe ends; the guard then kills every process that was started as
//! `FOLDER/bin/…` and removes FOLDER, and the cgroups that are named after it. It asks the system for those processes
//! then: no list is kept, so none can be incomplete, and no number on it can belong to somebody else by now.

use std::{
    io,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    time::Duration,
};

/// Where the cgroups of the machine are.
const CGROUPS: &str = "/sys/fs/cgroup";

/// A file of FOLDER: the controllers of version 2 that were turned on for it in the root, a line each.
pub(crate) const CONTROLLERS: &str = "cgroup-controllers";

/// What has not gone by then is said, and left: a process that nothing kills may hold it for good.
const DEADLINE: Duration = Duration::from_secs(60);

/// Killed at once and all together: what they hold is thrown away, so there is nothing to finish and no order to keep.
const SCRIPT: &str = r#"
exec 3>&2 2>/dev/null
trap '' INT TERM HUP
read -r _
root=$1
tried=
export FOLDER="$3"
name=${FOLDER##*/}
end=$(($(date +%s) + $2))
controllers=$(cat "$FOLDER/cgroup-controllers")
started_here() {
    ps -A -ww -o pid= -o command= |
        awk '{ pid = $1; sub(/^ *[0-9]+ +/, ""); if (index($0, ENVIRON["FOLDER"] "/bin/") == 1) print pid }'
}
cgroups() {
    [ ! -e "$root" ] || find "$root" -depth -type d -path "*/${name:?}*"
}
while pids=$(started_here); [ -n "$pids" ] || [ -e "$FOLDER" ] || [ -n "$(cgroups)" ]; do
    # Never before it has been tried: a second of the clock may end at once.
    if [ "$tried" ] && [ "$(date +%s)" -ge "$end" ]; then
        echo "error: this is left of a cluster of tests, and cannot be removed: processes $(echo ${pids:-none});" \
            "folder $([ -e "$FOLDER" ] && echo "$FOLDER" || echo none); cgroups $([ -z "$(cgroups)" ] && echo none || echo $(cgroups))" >&3
        exit 1
    fi
    [ -z "$pids" ] || kill -KILL $pids
    cgroups | while read -r cgroup; do rmdir "$cgroup"; done
    rm -rf "$FOLDER"
    tried=yes
    sleep 0.02
done
# What another one needs is left for that to turn off.
for controller in $controllers; do
    grep -qx "$controller" "${FOLDER%/*}"/*/cgroup-controllers || echo "-$controller" >"$root/cgroup.subtree_control"
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
        let mut shell = shell(folder, Path::new(CGROUPS), DEADLINE).spawn()?;
        let pipe = shell.stdin.take();
        Ok(Self { shell, pipe })
    }
}

fn shell(folder: &Path, cgroups: &Path, deadline: Duration) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", SCRIPT, "apolo-tests-guard"]).arg(cgroups).arg(deadline.as_secs().to_string()).arg(folder);
    shell.current_dir("/").process_group(0).stdin(Stdio::piped()).stdout(Stdio::null());
    shell
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.pipe.take());
        let _ = self.shell.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use super::*;

    /// A folder with a cluster, and one that is to be taken for that of the cgroups.
    fn folders() -> io::Result<(PathBuf, tempfile::TempDir)> {
        let folder = tempfile::Builder::new().prefix("apolo-guarded-").tempdir()?.keep();
        let cgroups = tempfile::tempdir()?;
        let name = folder.file_name().unwrap_or_default();
        fs::create_dir_all(cgroups.path().join(name).join("pods"))?;
        Ok((folder, cgroups))
    }

    #[test]
    fn what_was_turned_on_for_a_cluster_is_turned_off() -> io::Result<()> {
        let (folder, cgroups) = folders()?;
        let control = cgroups.path().join("cgroup.subtree_control");
        fs::write(&control, "")?;
        fs::write(folder.join(CONTROLLERS), "pids\n")?;
        let ended = shell(&folder, cgroups.path(), DEADLINE).spawn()?.wait_with_output()?;
        assert!(ended.status.success() && !folder.exists());
        assert_eq!(fs::read_to_string(control)?, "-pids\n");
        Ok(())
    }

    #[test]
    fn what_does_not_go_is_said_and_left() -> io::Result<()> {
        let (folder, cgroups) = folders()?;
        let cgroup = cgroups.path().join(folder.file_name().unwrap_or_default());
        // Where something is in it, it is not removed.
        fs::write(cgroup.join("tasks"), "")?;
        let mut shell = shell(&folder, cgroups.path(), Duration::ZERO);
        let ended = shell.stderr(Stdio::piped()).spawn()?.wait_with_output()?;
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(!ended.status.success() && !folder.exists(), "{said}");
        let left = format!("processes none; folder none; cgroups {}\n", cgroup.display());
        assert!(said.starts_with("error: this is left") && said.ends_with(&left), "{said}");
        Ok(())
    }
}
