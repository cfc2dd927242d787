//! The stamp: who submitted a Pod, or the workload whose Pods these are, as annotations of the Pod or the Pod template.

use std::collections::BTreeSet;

use crate::names;
use crate::pod::Notes;
use crate::requester::Requester;

/// The group of those whom nothing is forbidden: who is in it need not be, when the Pod is decided.
const MASTERS: &str = "system:masters";

/// Who submitted something: a user, and the groups that he was in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    user: String,
    /// Sorted, one a line.
    groups: String,
}

impl Stamp {
    /// That of a requester; none for one whose name cannot be written in a line. A group that cannot, and `system:masters`, are
    /// left out: less is believed then, never more.
    #[must_use]
    pub fn of(requester: &Requester) -> Option<Self> {
        let is_line = |text: &str| !text.is_empty() && !text.chars().any(char::is_control);
        let groups: BTreeSet<&str> =
            requester.groups.iter().map(String::as_str).filter(|group| is_line(group) && *group != MASTERS).collect();
        let groups = groups.into_iter().collect::<Vec<_>>().join("\n");
        is_line(&requester.name).then(|| Self { user: requester.name.clone(), groups })
    }

    /// The one that stands in annotations, whoever wrote it; none where there is no user.
    #[must_use]
    pub fn read(annotations: &Notes<'_>) -> Option<Self> {
        let user = annotations.get(names::LAUNCHED_BY).filter(|user| !user.is_empty())?;
        let groups = annotations.get(names::LAUNCHED_BY_GROUPS).unwrap_or_default();
        Some(Self { user: user.to_owned(), groups: groups.to_owned() })
    }

    /// Who it says has submitted it.
    #[must_use]
    pub fn requester(&self) -> Requester {
        let groups = self.groups.lines().filter(|group| *group != MASTERS).map(str::to_owned);
        Requester { name: self.user.clone(), groups: groups.collect(), ..Requester::default() }
    }

    /// Its annotations.
    #[must_use]
    pub fn annotations(&self) -> [(&'static str, &str); 2] {
        [(names::LAUNCHED_BY, &self.user), (names::LAUNCHED_BY_GROUPS, &self.groups)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bob(name: &str, groups: &[&str]) -> Requester {
        let groups = groups.iter().map(|&group| group.to_owned()).collect();
        Requester { name: name.into(), groups, ..Requester::default() }
    }

    #[test]
    fn a_stamp_has_the_groups_that_can_be_written_sorted_a_line_each() {
        let stamp =
            Stamp::of(&bob("bob", &["ml-team", "system:masters", "a\nsystem:nodes", "", "dev", "ml-team"])).unwrap();
        assert_eq!(stamp.annotations().map(|(_, value)| value), ["bob", "dev\nml-team"]);
        assert_eq!(stamp.requester(), bob("bob", &["dev", "ml-team"]));
        assert_eq!(Stamp::of(&bob("bob\nalice", &[])), None);
        assert_eq!(Stamp::of(&bob("", &[])), None);
    }

    #[test]
    fn what_stands_there_is_read_and_nobody_is_a_master_by_it() {
        let notes = |text| serde_json::from_str::<Notes<'_>>(text).unwrap();
        let forged = notes(
            r#"{"secrets.apolo.us/launched-by":"bob","secrets.apolo.us/launched-by-groups":"a\nsystem:masters"}"#,
        );
        assert_eq!(Stamp::read(&forged).unwrap().requester(), bob("bob", &["a"]));
        let alone = notes(r#"{"secrets.apolo.us/launched-by":"bob"}"#);
        assert_eq!(Stamp::read(&alone).unwrap().requester(), bob("bob", &[]));
        assert_eq!(Stamp::read(&notes(r#"{"secrets.apolo.us/launched-by":""}"#)), None);
        assert_eq!(Stamp::read(&notes("{}")), None);
    }
}
