//! Mistakes: what the author of a manifest has to mend, each with the annotation, the item, what is wrong, and the mend.

use std::fmt;

use thiserror::Error;

use crate::items::Item;
use crate::key::KeyError;
use crate::names;
use crate::path::PathError;
use crate::reference::ReferenceError;
use crate::text::{named, quoted, shortened};

/// One mistake: where it is and what is wrong there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The path of the Pod template that it is in, such as `spec.template`; none in a Pod, or above the templates.
    pub template: Option<String>,
    /// Where it is.
    pub place: Place,
    /// What is wrong, and the mend.
    pub wrong: Wrong,
}

/// Where a mistake is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// An item of `secrets.apolo.us/volume`, by its number from 1, with its text where that may be told.
    VolumeItem(usize, Option<String>),
    /// An item of `secrets.apolo.us/env`, by its number from 1, with its name where that can be told without telling
    /// what may be a value.
    EnvItem(usize, Option<String>),
    /// An item of `secrets.apolo.us/containers`, by its number from 1.
    ContainersItem(usize),
    /// An annotation as a whole, by its name.
    Annotation(String),
    /// One of the Pod's volumes, by its name.
    Volume(String),
    /// An annotation above the Pod templates of a workload.
    Above {
        /// Its name.
        annotation: String,
        /// What bears it: the kind of the workload, or the path of something in it, such as `spec.jobTemplate`.
        bearer: String,
    },
}

/// What is wrong. Its text is `what; the mend`.
#[derive(Clone, Debug, PartialEq, Eq, Error, strum::VariantNames, strum::IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Wrong {
    /// A volume item without a path.
    #[error("there is no path; write {reference}:/path")]
    NoPath {
        /// The item's reference.
        reference: String,
    },
    /// A volume item whose path does not begin with `/`.
    #[error("the path must begin with \"/\"; write {reference}:{path}")]
    RelativePath {
        /// The item's reference.
        reference: String,
        /// The absolute path that was probably meant.
        path: String,
    },
    /// Another rule of paths.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A volume item that ends in `:rw`.
    #[error("secrets are mounted read-only; leave \":rw\" away")]
    Writable,
    /// A rule of references.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// A volume item that does not begin with `secret:`.
    #[error("only secrets can be mounted here; write secret:KEY:/path")]
    NotASecret,
    /// A variable among the volume items; what stands right of its `=` is not told.
    #[error("this is a variable; move it to secrets.apolo.us/env, as NAME=secret:KEY")]
    VariableAsVolume,
    /// Two volume items at one path.
    #[error("item {other} is at this path already; choose another path")]
    SamePath {
        /// The number of the other item.
        other: usize,
    },
    /// A volume item that lies in what another one mounts.
    #[error("the path lies inside that of item {other}; choose a path outside it")]
    InsideItem {
        /// The number of the other item.
        other: usize,
    },
    /// A volume item in which another one lies.
    #[error("the path of item {other} lies inside this one; choose a path that does not contain it")]
    AroundItem {
        /// The number of the other item.
        other: usize,
    },
    /// Two items of a directory that would be one file.
    #[error("item {other} is a file {name:?} of this directory already; choose another directory for one of them")]
    SameFileName {
        /// The number of the other item.
        other: usize,
        /// The name of the file.
        name: String,
    },
    /// Two directories whose volumes would have one name.
    #[error("its volume would be named as that of item {other}; choose another path for one of them")]
    SameVolumeName {
        /// The number of the other item.
        other: usize,
    },
    /// A path at which a container mounts something else.
    #[error("container {} {what} at this path already; choose another path", quoted(container))]
    PathTaken {
        /// The container's name.
        container: String,
        /// What it has there, such as `mounts volume "data"`.
        what: String,
    },
    /// A path under which a container mounts something.
    #[error(
        "container {} has {} under this path, which would hide it; choose another path",
        quoted(container),
        quoted(path)
    )]
    MountBelow {
        /// The container's name.
        container: String,
        /// Where it mounts something.
        path: String,
    },
    /// A path inside a mount in which nothing can be created.
    #[error("it lies inside {}, which container {} {how}; choose a path outside it", quoted(path), quoted(container))]
    InsideReadOnly {
        /// The container's name.
        container: String,
        /// The path of that.
        path: String,
        /// How the container has it, such as `mounts read-only`.
        how: &'static str,
    },
    /// An env item without `=`.
    #[error("there is no \"=\"; write NAME=secret:KEY")]
    NoEquals,
    /// An env item whose right-hand side does not begin with `secret:`.
    #[error("the value must be a reference such as secret:KEY")]
    ValueIsNoReference,
    /// An env item whose right-hand side is a reference with a path behind it.
    #[error("a variable takes no path; leave away what follows the reference")]
    VariableWithPath,
    /// An env item whose name is not one of an environment variable.
    #[error(
        "the name of a variable is one or more printable ASCII characters other than \"=\" and \",\"; choose another"
    )]
    BadVariableName,
    /// Two env items of one name.
    #[error("item {other} sets this variable already; remove one of them")]
    SameVariable {
        /// The number of the other item.
        other: usize,
    },
    /// A variable that a container sets to something else.
    #[error("container {} sets this variable to something else already; remove one of them", quoted(container))]
    VariableTaken {
        /// The container's name.
        container: String,
    },
    /// A name that no container has.
    #[error("no container of the Pod is named {}; name one of {known}", quoted(name))]
    UnknownContainer {
        /// The name.
        name: String,
        /// The containers that there are, quoted.
        known: String,
    },
    /// A `containers` annotation that names none.
    #[error("it names no container; name one, or leave the annotation away for all of them")]
    NoContainer,
    /// A mode that is none.
    #[error("{} is no mode of a file; write three octal digits with a 0 before them, such as \"0400\"", quoted(mode))]
    BadMode {
        /// What was written.
        mode: String,
    },
    /// A volume of the Pod with a name of ours that is not what the annotations ask for.
    #[error(
        "its name is one of ours, but it is not what the annotations ask for; rename it, or remove it with its mounts"
    )]
    VolumeTaken,
    /// An annotation of ours that there is not.
    #[error("there is no such annotation; {mend}")]
    UnknownAnnotation {
        /// The nearest that there is, or all of them.
        mend: String,
    },
    /// More items than are taken.
    #[error(
        "there are {count} items here and in the other annotation together; at most {most} are taken, so remove some"
    )]
    TooManyItems {
        /// How many there are.
        count: usize,
        /// How many there may be.
        most: usize,
    },
    /// An annotation above the Pod templates of a workload, where nobody reads it.
    #[error("has no effect; move it to {to}")]
    Misplaced {
        /// Where it would have an effect: the paths of the annotations of the Pod templates.
        to: String,
    },
    /// A mirror Pod that asks.
    #[error("a static Pod cannot use secrets; remove the annotation")]
    MirrorPod,
}

/// Every kind of mistake, by the word that [`Wrong::kind`] gives.
pub fn kinds() -> impl Iterator<Item = &'static str> {
    let own = <Wrong as strum::VariantNames>::VARIANTS.iter().filter(|kind| !matches!(**kind, "path" | "reference"));
    // Without a scheme, a volume item is `not-a-secret` and an env item `value-is-no-reference`. Only a manifest that no
    // cluster has seen is without a namespace.
    let reference = <ReferenceError as strum::VariantNames>::VARIANTS
        .iter()
        .filter(|kind| !matches!(**kind, "key" | "not-a-reference" | "no-namespace"));
    // A relative path has a kind of its own, with a mend.
    let path = <PathError as strum::VariantNames>::VARIANTS.iter().filter(|kind| **kind != "relative-path");
    own.chain(reference).chain(<KeyError as strum::VariantNames>::VARIANTS).chain(path).copied()
}

impl Wrong {
    /// The kind of this mistake as one word, for the table of mistakes and for metrics.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Path(error) => error.into(),
            Self::Reference(error) => error.kind(),
            other => other.into(),
        }
    }
}

impl Place {
    /// The place of an item of `secrets.apolo.us/volume`.
    #[must_use]
    pub fn volume_item(item: Item<'_>) -> Self {
        Self::VolumeItem(item.number, Some(shortened(item.text)))
    }

    /// The place of one of the Pod's volumes.
    #[must_use]
    pub fn volume(name: &str) -> Self {
        Self::Volume(shortened(name))
    }

    /// An annotation as the place.
    #[must_use]
    pub fn annotation(name: &str) -> Self {
        Self::Annotation(shortened(name))
    }

    /// The order in which mistakes are told: by volume, env, containers, file-mode, other annotations, the Pod's
    /// volumes, then by item or name.
    fn order(&self) -> (usize, usize, &str) {
        let rank = |annotation: &str| {
            names::POD_ANNOTATIONS.iter().position(|name| *name == annotation).unwrap_or(names::POD_ANNOTATIONS.len())
        };
        match self {
            Self::VolumeItem(number, _) => (rank(names::VOLUME), *number, ""),
            Self::EnvItem(number, _) => (rank(names::ENV), *number, ""),
            Self::ContainersItem(number) => (rank(names::CONTAINERS), *number, ""),
            Self::Annotation(name) => (rank(name), usize::MAX, name),
            Self::Volume(name) => (usize::MAX, 0, name),
            Self::Above { annotation, .. } => (rank(annotation), 0, annotation),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::VolumeItem(number, Some(text)) => {
                write!(formatter, "{}, item {number}: {}", names::VOLUME, quoted(text))
            }
            Self::VolumeItem(number, None) => write!(formatter, "{}, item {number}", names::VOLUME),
            Self::EnvItem(number, Some(name)) => write!(formatter, "{}, item {number} ({})", names::ENV, quoted(name)),
            Self::EnvItem(number, None) => write!(formatter, "{}, item {number}", names::ENV),
            Self::ContainersItem(number) => write!(formatter, "{}, item {number}", names::CONTAINERS),
            Self::Annotation(name) => formatter.write_str(&named(name)),
            Self::Volume(name) => write!(formatter, "spec.volumes, {}", quoted(name)),
            Self::Above { annotation, bearer } => write!(formatter, "{} on {bearer}", named(annotation)),
        }
    }
}

impl Mistake {
    /// The order in which mistakes are told: those above the templates of a workload, then template by template, whose own
    /// have their order already.
    fn order(&self) -> (bool, Option<(usize, usize, &str)>) {
        let in_template = self.template.is_some();
        (in_template, (!in_template).then(|| self.place.order()))
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(template) = &self.template {
            write!(formatter, "{template}: ")?;
        }
        let colon = if matches!(self.place, Place::Above { .. }) { "" } else { ":" };
        write!(formatter, "{}{colon} {}", self.place, self.wrong)
    }
}

/// All mistakes of one Pod or workload, told together: one a line, in the order of the contract.
///
/// 100 are told, and of more only that there are, so that no Pod can make us remember much.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mistakes(Vec<Mistake>);

impl Mistakes {
    /// How many are told.
    const MOST: usize = 100;

    /// Adds one.
    pub fn add(&mut self, place: Place, wrong: impl Into<Wrong>) {
        if !self.is_full() {
            self.0.push(Mistake { template: None, place, wrong: wrong.into() });
        }
    }

    /// Adds those of a Pod template, behind the others.
    pub fn add_in(&mut self, template: &str, mistakes: Self) {
        let room = (Self::MOST + 1).saturating_sub(self.0.len());
        let of_template = |mistake| Mistake { template: Some(template.to_owned()), ..mistake };
        self.0.extend(mistakes.0.into_iter().take(room).map(of_template));
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one more would not be told; who finds mistakes can stop.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.0.len() > Self::MOST
    }

    /// The mistakes that are told, in the order of the contract once [`Mistakes::or`] or [`Mistakes::in_order`] has given them out.
    pub fn iter(&self) -> impl Iterator<Item = &Mistake> {
        self.0.iter().take(Self::MOST)
    }

    /// Gives a result that is right only where there is no mistake.
    ///
    /// # Errors
    /// The mistakes in order, if there is one.
    pub fn or<T>(self, right: T) -> Result<T, Self> {
        if self.is_empty() { Ok(right) } else { Err(self.in_order()) }
    }

    /// The mistakes in the order of the contract; those of several templates stay template by template.
    #[must_use]
    pub fn in_order(mut self) -> Self {
        self.0.sort_by(|one, two| one.order().cmp(&two.order()));
        self
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.iter().enumerate() {
            let line = if index == 0 { "" } else { "\n" };
            write!(formatter, "{line}{mistake}")?;
        }
        if self.is_full() { formatter.write_str("\nand more") } else { Ok(()) }
    }
}

impl std::error::Error for Mistakes {}
