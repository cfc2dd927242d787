//! The images of a node. No registry is asked for any: each is made here, and known by the names that manifests use.

use std::{
    ffi::OsStr,
    io,
    path::{Path, PathBuf},
    process::Command,
};

use super::{Error, configuration::SANDBOX, run};
use crate::{
    examples,
    image::{Entry, Image},
};

/// The image with which tests do what they do in a container: a shell and the usual small programs.
pub const BUSYBOX: &str = "busybox:1.35";

/// Where Debian's busybox-static has it. It needs no library.
const PROGRAM: &str = "/bin/busybox";

/// Writes an archive of an image of busybox into `folder`. It is called [`BUSYBOX`], it is what a Pod's sandbox runs, and it stands for
/// every image that an example names.
///
/// # Errors
/// When busybox is not there, or an example cannot be read.
pub fn write_busybox(folder: &Path) -> io::Result<PathBuf> {
    let mut names = examples::images()?;
    names.extend([BUSYBOX.to_owned(), SANDBOX.to_owned()]);
    let mut entries = vec![Entry::file("bin/busybox", 0o755, std::fs::read(PROGRAM)?), Entry::directory("tmp", 0o1777)];
    let applets = Command::new(PROGRAM).arg("--list").output()?;
    let applets = String::from_utf8_lossy(&applets.stdout).into_owned();
    entries.extend(
        applets.lines().filter(|name| *name != "busybox").map(|name| Entry::link(&format!("bin/{name}"), "busybox")),
    );
    let image = Image {
        names: names.into_iter().map(|name| full(&name)).collect(),
        entries,
        entrypoint: Vec::new(),
        command: vec!["/bin/sleep".into(), "infinity".into()],
        user: String::new(),
        labels: Vec::new(),
    };
    let path = folder.join("busybox.tar");
    std::fs::write(&path, image.archive()?.bytes)?;
    Ok(path)
}

/// The name with its registry, as kubelet asks for it.
fn full(name: &str) -> String {
    match name.split_once('/') {
        None => format!("docker.io/library/{name}"),
        Some((registry, _)) if registry.contains(['.', ':']) => name.to_owned(),
        Some(_) => format!("docker.io/{name}"),
    }
}

pub(super) fn ctr(folder: &Path, arguments: &[impl AsRef<OsStr>]) -> Command {
    let mut command = Command::new(folder.join("bin/ctr"));
    command.arg("--address").arg(folder.join("containerd.sock")).args(["--namespace", "k8s.io"]).args(arguments);
    command
}

/// Gives the images of a docker archive to containerd.
pub(super) async fn import(folder: &Path, archive: &Path) -> Result<(), Error> {
    let words = [OsStr::new("images"), OsStr::new("import"), archive.as_os_str()];
    run(ctr(folder, &words)).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_gets_the_registry_that_it_leaves_out() {
        assert_eq!(full("ubuntu:24.04"), "docker.io/library/ubuntu:24.04");
        assert_eq!(full("alpine/git:2.47.2"), "docker.io/alpine/git:2.47.2");
        assert_eq!(full("quay.io/skopeo/stable:v1.18.0"), "quay.io/skopeo/stable:v1.18.0");
    }
}
