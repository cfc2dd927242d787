//! What the author of a grant may give: the questions, and the words of a refusal.

use std::collections::BTreeSet;

use apolo_api::access::Access;
use apolo_api::grant::SecretGrantSpec;
use apolo_api::lineage::{MOST_LEVELS, Via};
use apolo_core::access::{for_shell, shown};
use apolo_core::key::Key;
use apolo_core::names::ROLE_PREFIX;
use apolo_core::subject::Subject;
use apolo_core::text::quoted;
use apolo_runtime::review::{Answers, Resource, Right};
use strum::VariantArray;

use super::Change;
use super::parents::{Parents, Sharing};
use crate::Webhook;
use crate::unknown::Unknown;

/// How many secrets that may not be granted are told.
const MOST_TOLD: usize = 8;
/// The verb that lets somebody share.
const SHARE: &str = "share";

/// The name of the grant by whose Role something is allowed, as RBAC says; none where it is another Role.
fn role_in(reason: &str) -> Option<&str> {
    reason.split_once(&format!("of Role \"{ROLE_PREFIX}")).and_then(|(_, rest)| rest.split('"').next())
}

/// What the author of a grant may give, as the API server says.
pub(super) struct Authority<'a> {
    spec: &'a SecretGrantSpec,
    namespace: &'a str,
    /// The name of the grant, where it has one already.
    itself: &'a str,
    author: Subject,
    answers: Answers,
    /// None for an owner.
    parents: Option<Parents>,
}

/// Whether somebody may share all secrets of a namespace, as an owner may, and whether each of these.
pub(super) fn sharing(spec: &SecretGrantSpec, namespace: &str) -> Vec<Right> {
    let keys = [None].into_iter().chain(spec.secrets.iter().map(|key| Some(key.as_str())));
    keys.map(|key| on_secret(SHARE, namespace, key)).collect()
}

/// All that the author of a grant needs, and whether he is an owner.
pub(super) fn needed(spec: &SecretGrantSpec, namespace: &str) -> Vec<Right> {
    let mut rights = sharing(spec, namespace);
    for key in &spec.secrets {
        let verbs = spec.access.verbs().iter().filter(|verb| **verb != SHARE);
        rights.extend(verbs.map(|verb| on_secret(verb, namespace, Some(key))));
    }
    if spec.access == Access::Manage {
        rights.push(to_create_grants(namespace));
    }
    rights
}

fn on_secret(verb: &'static str, namespace: &str, key: Option<&str>) -> Right {
    let object = |key| Key::parse(key).map_or_else(|_| key.to_owned(), |key| key.object_name().into_owned());
    Right { verb, resource: Resource::Secrets, namespace: namespace.to_owned(), name: key.map(object) }
}

fn to_create_grants(namespace: &str) -> Right {
    Right { verb: "create", resource: Resource::SecretGrants, namespace: namespace.to_owned(), name: None }
}

impl<'a> Authority<'a> {
    /// Asks for these rights, among which are those to share.
    ///
    /// # Errors
    /// Where it cannot be known.
    pub(super) async fn of(change: &'a Change, webhook: &Webhook, rights: Vec<Right>) -> Result<Self, Unknown> {
        let (spec, namespace) = (&change.grant.spec, change.namespace.as_str());
        let answers = webhook.reviews.ask(&change.requester, rights).await?;
        let itself = change.grant.metadata.name.as_deref().unwrap_or_default();
        let may_share = |key: &&String| answers.allow(&on_secret(SHARE, namespace, Some(key.as_str())));
        // What he may not share he shares by no grant.
        let shared: Vec<String> = spec.secrets.iter().filter(may_share).cloned().collect();
        let sharing = Sharing {
            requester: &change.requester,
            secrets: &shared,
            max_access: webhook.max_access,
            now: change.now,
            itself,
        };
        let is_owner = answers.allow(&on_secret(SHARE, namespace, None));
        if !is_owner && !webhook.known.is_complete() {
            return Err(Unknown::Untold);
        }
        let parents = (!is_owner).then(|| sharing.parents(|secret| webhook.known.naming(namespace, secret)));
        Ok(Self { spec, namespace, itself, author: Subject::of_user_name(&change.requester.name), answers, parents })
    }

    /// The Manage grants by which the author may share, none for an owner.
    pub(super) fn via(&self) -> Option<BTreeSet<Via>> {
        Some(self.parents.as_ref()?.values().flatten().cloned().collect())
    }

    /// Why the author may not grant this, a line each; none if he may.
    pub(super) fn refusals(&self) -> Vec<String> {
        let name = self.author.to_string();
        if name.is_empty() || name.chars().any(char::is_control) {
            let mend = "sign in by another name, or let another owner grant it";
            return vec![format!(
                "a name that is empty or has control characters cannot be written as who granted it; {mend}"
            )];
        }
        let mut refusals: Vec<String> = self.spec.secrets.iter().filter_map(|key| self.refusal(key)).collect();
        if refusals.len() > MOST_TOLD {
            let more = refusals.len() - MOST_TOLD;
            refusals.truncate(MOST_TOLD);
            refusals.push(format!("and {more} more"));
        }
        if self.spec.access == Access::Manage && !self.answers.allow(&to_create_grants(self.namespace)) {
            refusals.push(format!(
                "{} may not grant Manage in namespace {}: with it goes create on secretgrants; write access: Write",
                shown(&self.author),
                self.namespace
            ));
        }
        if refusals.is_empty() {
            refusals.extend(self.mixture());
        }
        refusals
    }

    fn allows(&self, verb: &'static str, key: &str) -> bool {
        self.answers.allow(&on_secret(verb, self.namespace, Some(key)))
    }

    fn refusal(&self, key: &str) -> Option<String> {
        let (author, owner, access) = (shown(&self.author), self.namespace, self.spec.access);
        if !self.allows(SHARE, key) {
            return Some(format!("{author} may not share secret:/{owner}/{key}{}", self.command(key)));
        }
        let lacking: Vec<&str> = access.verbs().iter().copied().filter(|verb| !self.allows(verb, key)).collect();
        if !lacking.is_empty() {
            let has = |access: &&Access| access.verbs().iter().all(|verb| self.allows(verb, key));
            let mend = Access::VARIANTS.iter().rev().filter(|it| **it < access).find(has);
            let mend = mend.map_or_else(|| self.command(key), |most| format!("; write access: {most}"));
            let lacking = lacking.join(", ");
            return Some(format!(
                "{author} may not grant {access} on secret:/{owner}/{key}: {author} has not {lacking}{mend}"
            ));
        }
        let has_parent = self.parents.as_ref().is_none_or(|parents| parents.contains_key(key));
        let role = role_in(self.answers.reason(&on_secret(SHARE, owner, Some(key)))).filter(|_| !has_parent)?;
        if role == self.itself {
            return Some(format!(
                "{author} may share secret:/{owner}/{key} by this grant, and a grant does not widen itself; make another grant"
            ));
        }
        // It has gone, and Kubernetes does not know yet; or it has come since the grants were listed.
        Some(format!(
            "{author} may not share secret:/{owner}/{key} any more by {}, which has just changed or is {MOST_LEVELS} grants away from \
             an owner's; try again{}",
            quoted(role),
            self.command(key).replace(". Its", ", or its")
        ))
    }

    /// A grant some of whose secrets are shared by Manage grants, and others by a Role that is not ours, could not say so.
    fn mixture(&self) -> Option<String> {
        let parents = self.parents.as_ref().filter(|parents| !parents.is_empty())?;
        let others: Vec<&str> =
            self.spec.secrets.iter().filter(|key| !parents.contains_key(*key)).map(String::as_str).collect();
        (!others.is_empty()).then(|| {
            format!(
                "{} may share these secrets for different reasons, some by grants and others by other Roles; make another grant for {}",
                shown(&self.author),
                others.join(", ")
            )
        })
    }

    /// What the owner can run.
    fn command(&self, key: &str) -> String {
        let Some(subject) = for_shell(&self.author) else { return String::new() };
        // Sharing needs no namespace where jobs run.
        let only = if matches!(self.author, Subject::User(_)) { " --kubectl-only" } else { "" };
        format!(". Its owner can run: apolo share secret:{key} {subject} manage{only} -n {}", self.namespace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use apolo_runtime::review::Answer;
    use serde_json::json;

    fn spec(secrets: &[&str], access: &str) -> SecretGrantSpec {
        let subjects = json!([{"kind": "User", "name": "carol"}]);
        serde_json::from_value(json!({"secrets": secrets, "access": access, "subjects": subjects})).unwrap()
    }

    /// What bob is told who has these verbs on these secrets, by a Role of that name.
    fn told(spec: &SecretGrantSpec, has: &[(&'static str, &str)], role: &str, parents: Option<&[&str]>) -> Vec<String> {
        let answer = Answer {
            is_allowed: true,
            reason: format!("RBAC: allowed by RoleBinding \"x/alice\" of Role \"{role}\" to User \"bob\""),
        };
        let authority = Authority {
            spec,
            namespace: "alice",
            itself: "itself",
            author: Subject::User("bob".into()),
            answers: has.iter().map(|(verb, key)| (on_secret(verb, "alice", Some(key)), answer.clone())).collect(),
            parents: parents.map(|keys| keys.iter().map(|&key| (key.to_owned(), BTreeSet::new())).collect()),
        };
        authority.refusals()
    }

    #[test]
    fn each_secret_that_may_not_be_granted_is_told_with_the_mend() {
        let both = spec(&["a", "AWS_KEY"], "Write");
        assert_eq!(
            told(
                &both,
                &[("share", "AWS_KEY"), ("use", "AWS_KEY"), ("get", "AWS_KEY"), ("patch", "AWS_KEY")],
                "x",
                Some(&[])
            ),
            [
                "bob may not share secret:/alice/a. Its owner can run: apolo share secret:a bob manage --kubectl-only -n alice",
                "bob may not grant Write on secret:/alice/AWS_KEY: bob has not update; write access: Read",
            ]
        );
        let nothing = told(&spec(&["a"], "Use"), &[("share", "a")], "x", Some(&[]));
        assert_eq!(
            nothing,
            [
                "bob may not grant Use on secret:/alice/a: bob has not use. Its owner can run: apolo share secret:a bob manage \
              --kubectl-only -n alice"
            ]
        );
    }

    #[test]
    fn an_access_that_no_grant_explains_any_more_is_not_passed_on() {
        let (use_a, has) = (spec(&["a"], "Use"), [("share", "a"), ("use", "a")]);
        assert!(told(&use_a, &has, "secretgrant:x", Some(&["a"])).is_empty());
        assert!(told(&use_a, &has, "sharers", Some(&[])).is_empty());
        assert!(told(&use_a, &has, "secretgrant:x", None).is_empty(), "an owner");
        assert_eq!(
            told(&use_a, &has, "secretgrant:x", Some(&[])),
            [
                "bob may not share secret:/alice/a any more by \"x\", which has just changed or is 16 grants away from an owner's; \
                 try again, or its owner can run: apolo share secret:a bob manage --kubectl-only -n alice"
            ]
        );
        assert_eq!(
            told(&use_a, &has, "secretgrant:itself", Some(&[])),
            ["bob may share secret:/alice/a by this grant, and a grant does not widen itself; make another grant"]
        );
    }

    #[test]
    fn a_grant_stands_by_other_grants_or_by_itself() {
        let (both, has) = (spec(&["a", "b"], "Use"), [("share", "a"), ("use", "a"), ("share", "b"), ("use", "b")]);
        assert!(told(&both, &has, "x", Some(&["a", "b"])).is_empty() && told(&both, &has, "x", Some(&[])).is_empty());
        assert_eq!(
            told(&both, &has, "x", Some(&["a"])),
            [
                "bob may share these secrets for different reasons, some by grants and others by other Roles; make another grant for b"
            ]
        );
    }
}
