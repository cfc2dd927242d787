//! The items of `secrets.apolo.us/volume`: `REFERENCE:/PATH`, one file each.

use super::{Asked, MOST_ITEMS};
use crate::items::{Item, items};
use crate::mistake::{Mistakes, Place, Wrong};
use crate::path::{ItemPath, Location, PathError, Relation};
use crate::reference::{Reference, Scope};

/// One file that is asked for: by itself at a path, or in a directory.
#[derive(Clone, Debug)]
pub struct FileItem<'a> {
    /// The item it came from.
    pub item: Item<'a>,
    /// The secret.
    pub asked: Asked<'a>,
    /// The path of the file, or of its directory.
    pub path: ItemPath<'a>,
}

impl<'a> FileItem<'a> {
    /// The name of the file in its directory: ENTRY where it was given, else KEY.
    #[must_use]
    pub fn file_name(&self) -> &'a str {
        self.asked.source.entry
    }
}

/// Reads the items and holds them against each other.
pub(super) fn read<'a>(value: &'a str, scope: Scope<'a>, mistakes: &mut Mistakes) -> Vec<FileItem<'a>> {
    let mut files: Vec<FileItem<'a>> = Vec::new();
    for item in items(value).take(MOST_ITEMS) {
        if let Some(file) = parse(item, scope, mistakes) {
            if let Some(wrong) = files.iter().find_map(|other| clash(&file, other)) {
                mistakes.add(Place::volume_item(item), wrong);
            }
            files.push(file);
        }
    }
    files
}

fn parse<'a>(item: Item<'a>, scope: Scope<'a>, mistakes: &mut Mistakes) -> Option<FileItem<'a>> {
    let Some((reference, path)) = Reference::split(item.text) else {
        not_a_secret(item, mistakes);
        return None;
    };
    let path = item_path(reference, path).map_err(|wrong| mistakes.add(Place::volume_item(item), wrong)).ok();
    let asked = Asked::read(reference, scope).unwrap_or_else(|error| {
        mistakes.add(Place::volume_item(item), error);
        Asked::wrong(item)
    });
    Some(FileItem { item, asked, path: path? })
}

/// A variable that was put here may hold its value; such an item is not told.
fn not_a_secret(item: Item<'_>, mistakes: &mut Mistakes) {
    match item.text.find(['=', ':', '/']) {
        Some(at) if item.text.get(at..).is_some_and(|rest| rest.starts_with('=')) => {
            mistakes.add(Place::VolumeItem(item.number, None), Wrong::VariableAsVolume);
        }
        _ => mistakes.add(Place::volume_item(item), Wrong::NotASecret),
    }
}

fn item_path<'a>(reference: &str, path: Option<&'a str>) -> Result<ItemPath<'a>, Wrong> {
    let mend = if Reference::parse(reference).is_ok() { reference } else { "secret:KEY" };
    let path = path.unwrap_or_default();
    let path = match path.rsplit_once(':') {
        Some((path, "ro")) => path,
        Some((_, "rw")) => return Err(Wrong::Writable),
        _ => path,
    };
    if path.is_empty() {
        return Err(Wrong::NoPath { reference: mend.to_owned() });
    }
    ItemPath::parse(path).map_err(|error| match error {
        PathError::RelativePath => Wrong::RelativePath { reference: mend.to_owned(), path: rooted(path) },
        error => error.into(),
    })
}

/// The absolute path that was probably meant, or an example.
fn rooted(path: &str) -> String {
    let path = path.trim_ascii();
    let path = format!("/{}", path.strip_prefix("./").unwrap_or(path).trim_start_matches('/'));
    let good = ItemPath::parse(&path).is_ok() && !path.starts_with("/~") && path.len() <= 120;
    if good { path } else { "/path".to_owned() }
}

/// What is wrong with a file because of one that was asked for before it.
fn clash(file: &FileItem<'_>, before: &FileItem<'_>) -> Option<Wrong> {
    let other = before.item.number;
    match Location::of(file.path.as_str()).relation(&Location::of(before.path.as_str())) {
        Relation::Apart => None,
        Relation::Above => Some(Wrong::AroundItem { other }),
        Relation::Below => Some(Wrong::InsideItem { other }),
        Relation::Same if file.path != before.path || !file.path.is_directory() => Some(Wrong::SamePath { other }),
        Relation::Same => (!file.asked.is_wrong() && file.file_name() == before.file_name())
            .then(|| Wrong::SameFileName { other, name: file.file_name().to_owned() }),
    }
}
