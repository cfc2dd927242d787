//! The items of `secrets.apolo.us/env`: `NAME=REFERENCE`, one variable each.
//!
//! What stands right of the `=` may be the value itself, put there by somebody who took the annotation for an
//! environment: it is never told, unless it is a reference.

use super::{Asked, MOST_ITEMS};
use crate::items::{Item, items};
use crate::mistake::{Mistakes, Place, Wrong};
use crate::reference::{Reference, Scope};

/// One variable that is asked for.
#[derive(Clone, Debug)]
pub struct VariableItem<'a> {
    /// The item it came from.
    pub item: Item<'a>,
    /// The name of the variable.
    pub name: &'a str,
    /// The secret.
    pub asked: Asked<'a>,
    /// Whether the name may be told; it may be part of a value where the item is wrong.
    tell: bool,
}

impl VariableItem<'_> {
    /// Where a mistake in this item is.
    #[must_use]
    pub fn place(&self) -> Place {
        Place::EnvItem(self.item.number, self.tell.then(|| self.name.to_owned()))
    }
}

/// Reads the items and holds them against each other.
pub(super) fn read<'a>(value: &'a str, scope: Scope<'a>, mistakes: &mut Mistakes) -> Vec<VariableItem<'a>> {
    let mut variables: Vec<VariableItem<'a>> = Vec::new();
    // After something that is no reference, what follows may be the rest of a value that a comma or a newline has cut.
    let mut doubtful = false;
    for item in items(value).take(MOST_ITEMS) {
        let tell = !doubtful && looks_like_a_name(item);
        let Some((name, value)) = item.text.split_once('=') else {
            doubtful = true;
            mistakes.add(Place::EnvItem(item.number, None), Wrong::NoEquals);
            continue;
        };
        let (name, value) = (name.trim_ascii_end(), value.trim_ascii_start());
        let place = || Place::EnvItem(item.number, tell.then(|| name.to_owned()));
        if !is_variable_name(name) {
            mistakes.add(place(), Wrong::BadVariableName);
        }
        let variable = match ask(value, scope) {
            Ok(asked) => VariableItem { item, name, asked, tell },
            Err(wrong) => {
                doubtful = true;
                mistakes.add(place(), wrong);
                VariableItem { item, name, asked: Asked::wrong(item), tell }
            }
        };
        if let Some(before) = variables.iter().find(|before| before.name == name) {
            mistakes.add(variable.place(), Wrong::SameVariable { other: before.item.number });
        }
        variables.push(variable);
    }
    variables
}

fn is_variable_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

fn ask<'a>(value: &'a str, scope: Scope<'a>) -> Result<Asked<'a>, Wrong> {
    if Reference::split(value).is_none() {
        Err(Wrong::ValueIsNoReference)
    } else if has_path(value) {
        Err(Wrong::VariableWithPath)
    } else {
        Ok(Asked::read(value, scope)?)
    }
}

fn has_path(value: &str) -> bool {
    Reference::split(value).is_some_and(|(text, follows)| follows.is_some() && Reference::parse(text).is_ok())
}

/// Whether what stands left of the `=` looks like a name, and what follows does not look like the padding of base64, of
/// which the "name" would then be the value.
fn looks_like_a_name(item: Item<'_>) -> bool {
    let Some((name, value)) = item.text.split_once('=') else { return false };
    let name = name.trim_ascii_end();
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'));
    let padding = value.is_empty() || value.starts_with('=');
    plain && !name.is_empty() && name.len() <= 120 && !padding
}
