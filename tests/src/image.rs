//! A container image made without a container engine: an archive as `docker save` writes it, which `docker load`, `podman load`, `kind load
//! image-archive` and `ctr images import` read.
//!
//! The same files make the same bytes: entries are sorted, belong to root, and are from the beginning of time.

use std::{env::consts::ARCH, io};

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

/// The image of Apolo Secrets, as the chart names it.
pub const APOLO_SECRETS: &str = concat!("ghcr.io/neuro-inc/apolo-secrets:", env!("CARGO_PKG_VERSION"));

/// One layer, and how its program is started.
#[derive(Debug, Clone)]
pub struct Image {
    /// Each with registry and tag.
    pub names: Vec<String>,
    /// What is in it.
    pub entries: Vec<Entry>,
    /// The program and its first arguments.
    pub entrypoint: Vec<String>,
    /// What follows it, where who runs the image says nothing else.
    pub command: Vec<String>,
    /// As whom it runs: a number; root if it is empty.
    pub user: String,
    /// What it says of itself: name and value.
    pub labels: Vec<(String, String)>,
}

/// A file, a folder or a link.
#[derive(Debug, Clone)]
pub struct Entry {
    path: String,
    mode: u32,
    content: Content,
}

#[derive(Debug, Clone)]
enum Content {
    File(Vec<u8>),
    Directory,
    Link(String),
}

/// An image as an archive.
#[derive(Debug)]
pub struct Archive {
    /// The archive.
    pub bytes: Vec<u8>,
    /// What the image is known by whatever it is called: `sha256:…`.
    pub id: String,
}

impl Entry {
    /// A file. The path is that from the root, without a `/` at its beginning.
    pub fn file(path: &str, mode: u32, content: Vec<u8>) -> Self {
        Self { path: path.into(), mode, content: Content::File(content) }
    }

    /// A folder.
    pub fn directory(path: &str, mode: u32) -> Self {
        Self { path: format!("{path}/"), mode, content: Content::Directory }
    }

    /// A symbolic link.
    pub fn link(path: &str, to: &str) -> Self {
        Self { path: path.into(), mode: 0o777, content: Content::Link(to.into()) }
    }
}

impl Image {
    /// The archive of this image, for machines of the kind that this one is.
    ///
    /// # Errors
    /// When a path is longer than an archive allows.
    pub fn archive(&self) -> io::Result<Archive> {
        let layer = pack(&self.entries)?;
        let layer_digest = digest(&layer);
        let config = self.config(&layer_digest).to_string().into_bytes();
        let id = digest(&config);
        let (config_name, layer_name) = (format!("{id}.json"), format!("{layer_digest}.tar"));
        let manifest = json!([{"Config": config_name, "RepoTags": self.names, "Layers": [layer_name]}]);
        let bytes = pack(&[
            Entry::file(&config_name, 0o644, config),
            Entry::file(&layer_name, 0o644, layer),
            Entry::file("manifest.json", 0o644, manifest.to_string().into_bytes()),
        ])?;
        Ok(Archive { bytes, id: format!("sha256:{id}") })
    }

    fn config(&self, layer: &str) -> Value {
        let labels: Map<String, Value> = self.labels.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        json!({
            "architecture": architecture(),
            "os": "linux",
            "config": {
                "Entrypoint": self.entrypoint,
                "Cmd": self.command,
                "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
                "Labels": labels,
                "User": self.user,
                "WorkingDir": "/",
            },
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{layer}")]},
        })
    }
}

/// As images call it.
fn architecture() -> &'static str {
    match ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn pack(entries: &[Entry]) -> io::Result<Vec<u8>> {
    let mut entries: Vec<&Entry> = entries.iter().collect();
    entries.sort_by_key(|entry| &entry.path);
    let mut archive = Builder::new(Vec::new());
    for Entry { path, mode, content } in entries {
        let mut header = Header::new_ustar();
        header.set_mode(*mode);
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(0);
        match content {
            Content::File(bytes) => {
                header.set_entry_type(EntryType::Regular);
                header.set_size(bytes.len() as u64);
                archive.append_data(&mut header, path, bytes.as_slice())?;
            }
            Content::Directory => {
                header.set_entry_type(EntryType::Directory);
                archive.append_data(&mut header, path, io::empty())?;
            }
            Content::Link(to) => {
                header.set_entry_type(EntryType::Symlink);
                archive.append_link(&mut header, path, to)?;
            }
        }
    }
    archive.into_inner()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(entries: Vec<Entry>) -> Image {
        Image {
            names: vec!["example.com/one:1".into()],
            entries,
            entrypoint: vec!["/one".into()],
            command: Vec::new(),
            user: "65532:65532".into(),
            labels: Vec::new(),
        }
    }

    fn entries() -> Vec<Entry> {
        vec![
            Entry::file("one", 0o755, b"content".to_vec()),
            Entry::link("bin/two", "../one"),
            Entry::directory("tmp", 0o1777),
        ]
    }

    #[test]
    fn the_same_files_make_the_same_bytes_in_whatever_order_they_are_given() {
        let mut turned = entries();
        turned.reverse();
        let (one, other) = (image(entries()).archive().unwrap(), image(turned).archive().unwrap());
        assert_eq!(one.bytes, other.bytes);
        assert_eq!(one.id, other.id);
    }

    #[test]
    fn other_content_makes_another_image() {
        let changed = vec![Entry::file("one", 0o755, b"other".to_vec())];
        assert_ne!(image(entries()).archive().unwrap().id, image(changed).archive().unwrap().id);
    }
}
