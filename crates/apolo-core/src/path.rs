//! Paths in a container: the one an item asks for, and how it lies to another.

use std::borrow::Cow;

use thiserror::Error;

/// Where kubelet mounts the token of the Pod's service account, in every container that does not mount something there.
///
/// Source: <https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#bound-service-account-token-volume>
pub const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Linux' PATH_MAX without its final zero.
const LONGEST_PATH: usize = 4095;
/// Linux' NAME_MAX.
const LONGEST_PART: usize = 255;

/// Why a text is no path for a secret.
#[derive(Clone, Debug, PartialEq, Eq, Error, strum::VariantNames, strum::IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum PathError {
    /// It does not begin with `/`.
    #[error("the path must begin with \"/\"")]
    RelativePath,
    /// It is `/` alone.
    #[error("the path \"/\" would hide the whole container; name a file, or a directory such as /etc/tokens/")]
    RootPath,
    /// A part of it is empty, `.` or `..`.
    #[error("the path must not contain \".\", \"..\" or an empty part; write it without")]
    PathSegment,
    /// It contains a control character, or a blank at its end.
    #[error("the path must not contain a control character, nor end in a blank; write it without")]
    PathCharacter,
    /// It, or a part of it, is longer than Linux takes.
    #[error("the path is too long: 4095 bytes are taken, and 255 in each part; choose a shorter one")]
    PathLength,
    /// It contains a `:` that is neither `:ro` nor `:rw`.
    #[error("the path must not contain \":\"; choose a path without")]
    PathColon,
}

/// An absolute path that an item asks for: of a file, or, where it was written with a final `/`, of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ItemPath<'a> {
    text: &'a str,
    directory: bool,
}

impl<'a> ItemPath<'a> {
    /// Takes a path as it was written.
    ///
    /// # Errors
    /// The first of the rules that it breaks.
    pub fn parse(text: &'a str) -> Result<Self, PathError> {
        let Some(relative) = text.strip_prefix('/') else { return Err(PathError::RelativePath) };
        if relative.is_empty() {
            return Err(PathError::RootPath);
        }
        if text.contains(':') {
            return Err(PathError::PathColon);
        }
        if text.chars().any(char::is_control) || text.ends_with(' ') {
            return Err(PathError::PathCharacter);
        }
        if text.len() > LONGEST_PATH || text.split('/').any(|part| part.len() > LONGEST_PART) {
            return Err(PathError::PathLength);
        }
        let (relative, directory) = match relative.strip_suffix('/') {
            Some(relative) => (relative, true),
            None => (relative, false),
        };
        if relative.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(PathError::PathSegment);
        }
        let text = if directory { text.strip_suffix('/').unwrap_or(text) } else { text };
        Ok(Self { text, directory })
    }

    /// The path without a final `/`.
    #[must_use]
    pub fn as_str(self) -> &'a str {
        self.text
    }

    /// Whether it is the path of a directory.
    #[must_use]
    pub fn is_directory(self) -> bool {
        self.directory
    }
}

/// How one path lies to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// They are the same place.
    Same,
    /// The first contains the second.
    Above,
    /// The first lies in the second.
    Below,
    /// Neither.
    Apart,
}

/// A place in the container's file system: a path as the container's system reads it, in its plain form. A final or
/// double `/` and `.` say nothing, `..` goes up, and `/var/run` is `/run`.
#[derive(Debug)]
pub struct Location<'a>(Cow<'a, str>);

impl<'a> Location<'a> {
    /// The place that a path leads to.
    #[must_use]
    pub fn of(path: &'a str) -> Self {
        match without_dots(path) {
            Cow::Borrowed(path) => Self(Cow::Borrowed(without_var(path.trim_matches('/')))),
            Cow::Owned(path) => Self(Cow::Owned(without_var(&path).to_owned())),
        }
    }

    /// How long it is: of two that contain a third, the longer is the inner one.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it is the root.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How it lies to another.
    #[must_use]
    pub fn relation(&self, other: &Self) -> Relation {
        let inside = |inner: &str, outer: &str| {
            outer.is_empty() || inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/'))
        };
        if self.0 == other.0 {
            Relation::Same
        } else if inside(&other.0, &self.0) {
            Relation::Above
        } else if inside(&self.0, &other.0) {
            Relation::Below
        } else {
            Relation::Apart
        }
    }
}

fn without_var(path: &str) -> &str {
    match path.strip_prefix("var/run") {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => path.get("var/".len()..).unwrap_or(path),
        _ => path,
    }
}

/// The path in its plain form where it has parts that are empty, `.` or `..`; most have none.
fn without_dots(path: &str) -> Cow<'_, str> {
    if !path.contains("/.") && !path.starts_with('.') && !path.contains("//") {
        return Cow::Borrowed(path);
    }
    let mut plain: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(plain.pop()),
            part => plain.push(part),
        }
    }
    Cow::Owned(plain.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_final_slash_makes_a_directory() {
        let path = ItemPath::parse("/etc/tokens/").unwrap();
        assert_eq!((path.as_str(), path.is_directory()), ("/etc/tokens", true));
        let path = ItemPath::parse("/root/.aws/credentials").unwrap();
        assert_eq!((path.as_str(), path.is_directory()), ("/root/.aws/credentials", false));
    }

    #[test]
    fn refuses_what_is_no_path() {
        use PathError::*;
        for (text, error) in [
            ("", RelativePath),
            ("etc/x", RelativePath),
            ("/", RootPath),
            ("//", PathSegment),
            ("/a//b", PathSegment),
            ("/a/./b", PathSegment),
            ("/a/../b", PathSegment),
            ("/..", PathSegment),
            ("/a//", PathSegment),
            ("/a:b", PathColon),
            ("/a ", PathCharacter),
            (&format!("/{}", "x".repeat(256)), PathLength),
            (&"/xxxxxxx".repeat(512), PathLength),
            ("/a\u{7f}b", PathCharacter),
            ("/a\u{85}b", PathCharacter),
        ] {
            assert_eq!(ItemPath::parse(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn sees_how_paths_lie_to_each_other() {
        use Relation::*;
        for (one, two, is) in [
            ("/a/b", "/a/b/", Same),
            ("/a//b", "/./a/x/../b", Same),
            ("/var/run/x", "/run/x", Same),
            ("//var/run", "/run", Same),
            ("/var/./run/x", "/run/x", Same),
            ("/var/runner", "/runner", Apart),
            ("/a", "/a/b", Above),
            ("/", "/a", Above),
            ("/a/b", "/a", Below),
            ("/ab", "/a", Apart),
            ("/..data/x", "/..data", Below),
            ("relative", "/relative", Same),
        ] {
            assert_eq!(Location::of(one).relation(&Location::of(two)), is, "{one} {two}");
        }
    }

    proptest! {
        #[test]
        fn the_relation_turns_around_with_its_paths(one in "(/(a|b|\\.|\\.\\.|var|run)){0,5}/?", two in "(/(a|b|var|run)){0,5}") {
            let (one, two) = (Location::of(&one), Location::of(&two));
            let turned = match two.relation(&one) {
                Relation::Above => Relation::Below,
                Relation::Below => Relation::Above,
                other => other,
            };
            prop_assert_eq!(one.relation(&two), turned);
        }
    }
}
