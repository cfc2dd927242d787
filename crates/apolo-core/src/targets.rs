//! What every selected container gets, in Kubernetes' own words: volumes, mounts and variables; or every mistake at once.

mod conflicts;

use crate::items::{Item, items};
use crate::key::hex_digest;
use crate::mistake::Mistakes;
use crate::names::{self, POD_VOLUME};
use crate::pod::{
    KeyToPath, List, Mount, Pod, Projected, ProjectedSecret, ProjectedSource, SecretKey, ValueFrom, Variable, Volume,
};
use crate::reference::Scope;
use crate::request::{FileItem, Request, VariableItem};
use crate::text::Text;

/// What a request becomes.
#[derive(Debug)]
pub struct Targets<'a> {
    /// What is asked for.
    pub request: Request<'a>,
    /// The volumes of the Pod: the one of its files, then one a directory.
    pub volumes: Vec<Volume<'a>>,
    /// The mounts of a container, each with the item that asks for it (a directory's first).
    pub mounts: Vec<(Item<'a>, Mount<'a>)>,
    /// The variables of a container, each with its item.
    pub variables: Vec<(Item<'a>, Variable<'a>)>,
}

impl<'a> Targets<'a> {
    /// Reads what a Pod asks for, and holds it against what the Pod already has.
    ///
    /// # Errors
    /// Every mistake, in the order of the contract.
    pub fn read(pod: &'a Pod<'a>, scope: Scope<'a>) -> Result<Self, Mistakes> {
        let mut mistakes = Mistakes::default();
        let targets = Self::of(Request::read(pod, scope, &mut mistakes));
        if asks(pod) {
            conflicts::find(pod, &targets, &mut mistakes);
        }
        mistakes.or(targets)
    }

    fn of(request: Request<'a>) -> Self {
        let variables = request.variables.iter().map(|item| (item.item, secret_key_ref(item))).collect();
        let mut targets = Self { volumes: Vec::new(), mounts: Vec::new(), variables, request };
        let (mut files, mut directories) = (None, Vec::new());
        let asked = std::mem::take(&mut targets.request.files);
        for file in &asked {
            if file.path.is_directory() {
                targets.add_to_directory(file, &mut directories);
            } else {
                targets.add_file(file, &mut files);
            }
        }
        targets.request.files = asked;
        targets
    }

    /// A file by itself: an entry of the volume of files, mounted alone so that nothing beside it is hidden.
    fn add_file(&mut self, file: &FileItem<'a>, files: &mut Option<usize>) {
        let index = *files.get_or_insert_with(|| {
            self.volumes.push(projected(Text::from(POD_VOLUME), self.request.mode));
            self.volumes.len() - 1
        });
        let path = Text::from(format!("{}/{}", file.asked.source.secret, file.asked.source.entry));
        if let Some(volume) = self.volumes.get_mut(index) {
            add_entry(volume, file, path.clone());
        }
        self.mounts.push((file.item, mount(Text::from(POD_VOLUME), file, Some(path))));
    }

    /// A file in a directory: an entry of that directory's volume, which is mounted whole.
    fn add_to_directory(&mut self, file: &FileItem<'a>, directories: &mut Vec<(&'a str, usize)>) {
        let path = file.path.as_str();
        let index = match directories.iter().find(|(directory, _)| *directory == path) {
            Some((_, index)) => *index,
            None => {
                let name = Text::from(format!("{POD_VOLUME}-{}", hex_digest(path.as_bytes(), 8)));
                self.mounts.push((file.item, mount(name.clone(), file, None)));
                self.volumes.push(projected(name, self.request.mode));
                directories.push((path, self.volumes.len() - 1));
                self.volumes.len() - 1
            }
        };
        if let Some(volume) = self.volumes.get_mut(index) {
            add_entry(volume, file, Text::from(file.file_name()));
        }
    }
}

/// Whether a Pod asks for anything, rightly or not.
fn asks(pod: &Pod<'_>) -> bool {
    let any = |name| pod.metadata.annotations.get(name).is_some_and(|value| items(value).next().is_some());
    any(names::VOLUME) || any(names::ENV)
}

fn projected(name: Text<'_>, mode: i64) -> Volume<'_> {
    Volume {
        name,
        projected: Some(Projected { default_mode: Some(mode), sources: List::default() }),
        ..Volume::default()
    }
}

/// Adds an entry to a projected volume, to the source of its Secret where there is one; one that is there stays alone.
fn add_entry<'a>(volume: &mut Volume<'a>, file: &FileItem<'a>, path: Text<'a>) {
    let Some(Projected { sources: List(sources), .. }) = &mut volume.projected else { return };
    let entry = KeyToPath { key: Text::from(file.asked.source.entry), path, mode: None };
    let secret = &*file.asked.source.secret;
    let of_this_secret = sources.iter_mut().filter_map(|source| source.secret.as_mut()).find(|it| &*it.name == secret);
    match of_this_secret {
        Some(source) if source.items.0.contains(&entry) => {}
        Some(source) => source.items.0.push(entry),
        None => sources.push(ProjectedSource {
            secret: Some(ProjectedSecret {
                name: Text::from(file.asked.source.secret.clone()),
                items: List(vec![entry]),
                optional: None,
            }),
        }),
    }
}

fn mount<'a>(volume: Text<'a>, file: &FileItem<'a>, sub_path: Option<Text<'a>>) -> Mount<'a> {
    let mount_path = Text::from(file.path.as_str());
    Mount { name: volume, mount_path, sub_path, read_only: Some(true), ..Mount::default() }
}

fn secret_key_ref<'a>(variable: &VariableItem<'a>) -> Variable<'a> {
    let key = SecretKey {
        name: Text::from(variable.asked.source.secret.clone()),
        key: Text::from(variable.asked.source.entry),
        optional: None,
    };
    Variable { name: Text::from(variable.name), value: None, value_from: Some(ValueFrom { secret_key_ref: Some(key) }) }
}
