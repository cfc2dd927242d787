//! What a Pod's annotations ask for: the [`Request`], and every mistake in it.

mod env;
mod volume;

use std::borrow::Cow;

use crate::items::{Item, items};
use crate::key::Key;
use crate::mistake::{Mistakes, Place, Wrong};
use crate::names;
use crate::nearness;
use crate::pod::{Container, Pod};
use crate::reference::{Reference, ReferenceError, Scope, Source};
use crate::text::{quoted_list, shortened};

pub use env::VariableItem;
pub use volume::FileItem;

/// The most items in `volume` and `env` together.
pub const MOST_ITEMS: usize = 64;

/// The mode of files where `file-mode` does not say: a container that is not root can read them.
const DEFAULT_MODE: i64 = 0o444;

/// What a Pod asks for: files, variables, and the containers that get them.
#[derive(Debug)]
pub struct Request<'a> {
    /// The files, also those of directories, in the order in which they were asked for.
    pub files: Vec<FileItem<'a>>,
    /// The variables, in the order in which they were asked for.
    pub variables: Vec<VariableItem<'a>>,
    /// The mode of the files.
    pub mode: i64,
    /// The containers that get them, where the Pod says.
    pub containers: Option<Vec<&'a str>>,
}

/// A reference that an item holds, and what it stands for.
#[derive(Clone, Debug)]
pub struct Asked<'a> {
    /// The reference as it was written.
    pub reference: Reference<'a>,
    /// What it stands for in the Pod's namespace.
    pub source: Source<'a>,
}

impl<'a> Asked<'a> {
    /// Parses a reference and finds what it stands for.
    fn read(text: &'a str, scope: Scope<'a>) -> Result<Self, ReferenceError> {
        let reference = Reference::parse(text)?;
        Ok(Self { reference, source: reference.resolve(scope)? })
    }

    /// Whether it stands in for a reference that is wrong.
    #[must_use]
    pub fn is_wrong(&self) -> bool {
        self.source.secret.is_empty()
    }

    /// Stands in for a reference that is wrong, so that the rest of its item is checked too; the mistake is told, so
    /// nothing is ever made of it.
    fn wrong(item: Item<'a>) -> Self {
        let reference = Reference { cluster: None, owner: None, key: Key::PLACEHOLDER, entry: None };
        let source = Source { owner: None, key: Key::PLACEHOLDER, secret: Cow::Borrowed(""), entry: item.text };
        Self { reference, source }
    }
}

impl<'a> Request<'a> {
    /// Reads what a Pod's annotations ask for, adding every mistake in them.
    ///
    /// A Pod without annotations of ours asks for nothing. Where there is a mistake the request is good for finding more
    /// of them, and for nothing else.
    #[must_use]
    pub fn read(pod: &'a Pod<'a>, scope: Scope<'a>, mistakes: &mut Mistakes) -> Self {
        let value = |name| pod.metadata.annotations.get(name);
        unknown_annotations(pod, mistakes);
        let files = value(names::VOLUME).map(|value| volume::read(value, scope, mistakes)).unwrap_or_default();
        let variables = value(names::ENV).map(|value| env::read(value, scope, mistakes)).unwrap_or_default();
        too_many_items(pod, mistakes);
        let containers = value(names::CONTAINERS).map(|value| containers(value, pod, mistakes));
        let mode = value(names::FILE_MODE).map_or(DEFAULT_MODE, |value| mode(value, mistakes));
        if let (Some(_), Some(first)) = (value(names::MIRROR), pod.metadata.annotations.ours().next()) {
            mistakes.add(Place::annotation(first), Wrong::MirrorPod);
        }
        Self { files, variables, mode, containers }
    }

    /// Whether it asks for nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.variables.is_empty()
    }

    /// Whether a container gets what is asked for.
    #[must_use]
    pub fn selects(&self, container: &Container<'_>) -> bool {
        self.containers.as_ref().is_none_or(|names| names.binary_search(&&*container.name).is_ok())
    }

    /// Everything that is asked for.
    pub fn asked(&self) -> impl Iterator<Item = &Asked<'a>> {
        self.files.iter().map(|file| &file.asked).chain(self.variables.iter().map(|variable| &variable.asked))
    }

    /// Whether a secret of another owner is among it.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.asked().any(|asked| asked.source.owner.is_some())
    }
}

fn unknown_annotations(pod: &Pod<'_>, mistakes: &mut Mistakes) {
    for name in pod.metadata.annotations.ours().filter(|name| !names::POD_ANNOTATIONS.contains(name)) {
        if mistakes.is_full() {
            break;
        }
        let mend = match nearest(name) {
            Some(near) => format!("write {near}, or remove it"),
            None => format!("remove it, or write one of {}", quoted_list(names::POD_ANNOTATIONS.into_iter().take(4))),
        };
        mistakes.add(Place::annotation(name), Wrong::UnknownAnnotation { mend });
    }
}

/// The annotation that a misspelt name is nearest to.
fn nearest(name: &str) -> Option<&'static str> {
    let near = nearness::nearest(without_prefix(name), names::POD_ANNOTATIONS.map(without_prefix))?;
    names::POD_ANNOTATIONS.into_iter().find(|known| without_prefix(known) == near)
}

fn without_prefix(name: &str) -> &str {
    name.strip_prefix(names::PREFIX).unwrap_or(name)
}

fn too_many_items(pod: &Pod<'_>, mistakes: &mut Mistakes) {
    let count = |name| pod.metadata.annotations.get(name).map_or(0, |value| items(value).count());
    let (files, variables) = (count(names::VOLUME), count(names::ENV));
    if files + variables > MOST_ITEMS {
        let place = if files > MOST_ITEMS { names::VOLUME } else { names::ENV };
        mistakes.add(Place::annotation(place), Wrong::TooManyItems { count: files + variables, most: MOST_ITEMS });
    }
}

/// The names in `containers`, sorted.
fn containers<'a>(value: &'a str, pod: &Pod<'_>, mistakes: &mut Mistakes) -> Vec<&'a str> {
    let spec = &pod.spec;
    let mut known: Vec<&str> =
        spec.containers.0.iter().chain(&spec.init_containers.0).map(|container| &*container.name).collect();
    let told = quoted_list(known.iter().copied());
    known.sort_unstable();
    let mut named = Vec::new();
    for item in items(value) {
        if !pod.is_partial && known.binary_search(&item.text).is_err() {
            if mistakes.is_full() {
                break;
            }
            let wrong = Wrong::UnknownContainer { name: shortened(item.text), known: told.clone() };
            mistakes.add(Place::ContainersItem(item.number), wrong);
        }
        named.push(item.text);
    }
    if named.is_empty() {
        mistakes.add(Place::annotation(names::CONTAINERS), Wrong::NoContainer);
    }
    named.sort_unstable();
    named
}

fn mode(value: &str, mistakes: &mut Mistakes) -> i64 {
    let digits = value.trim_ascii();
    let octal = (3..=4).contains(&digits.len()) && digits.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    match i64::from_str_radix(digits, 8) {
        Ok(mode) if octal && mode <= 0o777 => mode,
        _ => {
            let wrong = Wrong::BadMode { mode: shortened(value) };
            mistakes.add(Place::annotation(names::FILE_MODE), wrong);
            DEFAULT_MODE
        }
    }
}
