//! `image BINARY ARCHIVE` makes the image of Apolo Secrets, without a container engine, of a binary that needs no library. It is the image
//! that the Dockerfile describes: that one file, and nobody's account but a number.
#![allow(clippy::print_stdout, reason = "what it prints is what it is for")]

use std::path::PathBuf;

use anyhow::Context;
use apolo_tests::image::{APOLO_SECRETS, Entry, Image};
use clap::Parser;

/// Makes the image of Apolo Secrets as an archive for `docker load`, `kind load image-archive` or `ctr images import`.
#[derive(Parser)]
struct Arguments {
    /// The binary apolo-secrets, statically linked.
    binary: PathBuf,
    /// The archive to be written.
    archive: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let Arguments { binary, archive } = Arguments::parse();
    let program = std::fs::read(&binary).with_context(|| format!("reading {}", binary.display()))?;
    let label = |name: &str, value: &str| (format!("org.opencontainers.image.{name}"), value.to_owned());
    let image = Image {
        names: vec![APOLO_SECRETS.into()],
        entries: vec![Entry::file("apolo-secrets", 0o755, program)],
        entrypoint: vec!["/apolo-secrets".into()],
        command: Vec::new(),
        user: "65532:65532".into(),
        labels: vec![label("title", "apolo-secrets"), label("licenses", env!("CARGO_PKG_LICENSE"))],
    };
    let made = image.archive()?;
    std::fs::write(&archive, &made.bytes).with_context(|| format!("writing {}", archive.display()))?;
    println!("{APOLO_SECRETS} {} {} bytes", made.id, made.bytes.len());
    Ok(())
}
