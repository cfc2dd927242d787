//! The items of `secrets.apolo.us/volume`: `REFERENCE:/PATH`, one file each.

use super::{Asked, MOST_ITEMS};
use crate::items::{Item, items};
use crate::mistake::{Mistakes, Place, Wrong};
use crate::path::{ItemPath, PathError, Relation, relation};
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

    /// Where a mistake in this item is.
    #[must_use]
    pub fn place(&self) -> Place {
        place(self.item)
    }
}

/// Reads the items and holds them against each other.
pub(super) fn read<'a>(value: &'a str, scope: Scope<'a>, mistakes: &mut Mistakes) -> Vec<FileItem<'a>> {
    let mut files: Vec<FileItem<'a>> = Vec::new();
    for item in items(value).take(MOST_ITEMS) {
        if let Some(file) = parse(item, scope, mistakes) {
            if let Some(wrong) = files.iter().find_map(|other| clash(&file, other)) {
                mistakes.add(place(item), wrong);
            }
            files.push(file);
        }
    }
    files
}

fn place(item: Item<'_>) -> Place {
    Place::VolumeItem(item.number, item.text.to_owned())
}

fn parse<'a>(item: Item<'a>, scope: Scope<'a>, mistakes: &mut Mistakes) -> Option<FileItem<'a>> {
    let Some(rest) = item.text.strip_prefix("secret:") else {
        mistakes.add(place(item), Wrong::NotASecret);
        return None;
    };
    let (reference, path) = match rest.find(':').and_then(|colon| item.text.split_at_checked(7 + colon)) {
        Some((reference, path)) => (reference, path.strip_prefix(':').filter(|path| !path.is_empty())),
        None => (item.text, None),
    };
    let path = item_path(reference, path).map_err(|wrong| mistakes.add(place(item), wrong)).ok();
    let asked = Asked::read(reference, scope).unwrap_or_else(|error| {
        mistakes.add(place(item), error);
        Asked::wrong(item)
    });
    Some(FileItem { item, asked, path: path? })
}

fn item_path<'a>(reference: &str, path: Option<&'a str>) -> Result<ItemPath<'a>, Wrong> {
    let mend = if Reference::parse(reference).is_ok() { reference } else { "secret:KEY" };
    let Some(path) = path else { return Err(Wrong::NoPath { reference: mend.to_owned() }) };
    let path = match path.rsplit_once(':') {
        Some((path, "ro")) => path,
        Some((_, "rw")) => return Err(Wrong::Writable),
        _ => path,
    };
    ItemPath::parse(path).map_err(|error| match error {
        PathError::RelativePath => Wrong::RelativePath { reference: mend.to_owned(), path: rooted(path) },
        error => error.into(),
    })
}

/// The absolute path that was probably meant.
fn rooted(path: &str) -> String {
    let path = path.trim_ascii();
    let path = path.strip_prefix("./").unwrap_or(path).trim_start_matches('/');
    format!("/{path}").chars().flat_map(char::escape_debug).take(120).collect()
}

/// What is wrong with a file because of one that was asked for before it.
fn clash(file: &FileItem<'_>, before: &FileItem<'_>) -> Option<Wrong> {
    let other = before.item.number;
    match relation(file.path.as_str(), before.path.as_str()) {
        Relation::Apart => None,
        Relation::Above => Some(Wrong::AroundItem { other }),
        Relation::Below => Some(Wrong::InsideItem { other }),
        Relation::Same if file.path != before.path || !file.path.is_directory() => Some(Wrong::SamePath { other }),
        Relation::Same => (file.file_name() == before.file_name())
            .then(|| Wrong::SameFileName { other, name: file.file_name().to_owned() }),
    }
}
