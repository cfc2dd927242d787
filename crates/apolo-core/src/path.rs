//! Paths in a container: the one an item asks for, and how it lies to another.

use std::borrow::Cow;

use thiserror::Error;

/// Where kubelet mounts the token of the Pod's service account, in every container that does not mount something there.
///
/// Source: <https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#bound-service-account-token-volume>
pub const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

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
    /// It contains a control character.
    #[error("the path must not contain a control character; write it without")]
    PathCharacter,
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
        if text.chars().any(char::is_control) {
            return Err(PathError::PathCharacter);
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

/// Says how one path lies to another, read as the container's system would: a final or double `/` and `.` say nothing,
/// `..` goes up, and `/var/run` is `/run`.
#[must_use]
pub fn relation(one: &str, two: &str) -> Relation {
    let (one, two) = (without_dots(one), without_dots(two));
    let (mut one, mut two) = (parts(&one), parts(&two));
    loop {
        return match (one.next(), two.next()) {
            (None, None) => Relation::Same,
            (None, Some(_)) => Relation::Above,
            (Some(_), None) => Relation::Below,
            (Some(one), Some(two)) if one == two => continue,
            _ => Relation::Apart,
        };
    }
}

fn parts(path: &str) -> impl Iterator<Item = &str> {
    let path = match path.trim_start_matches('/').strip_prefix("var/run") {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => path.trim_start_matches('/').get(4..).unwrap_or(path),
        _ => path,
    };
    path.split('/').filter(|part| !part.is_empty())
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
            assert_eq!(relation(one, two), is, "{one} {two}");
        }
    }

    proptest! {
        #[test]
        fn the_relation_turns_around_with_its_paths(one in "(/(a|b|\\.|\\.\\.|var|run)){0,5}/?", two in "(/(a|b|var|run)){0,5}") {
            let turned = match relation(&two, &one) {
                Relation::Above => Relation::Below,
                Relation::Below => Relation::Above,
                other => other,
            };
            prop_assert_eq!(relation(&one, &two), turned);
        }
    }
}
