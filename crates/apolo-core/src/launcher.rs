//! Who launched a Pod: for whom it is decided.

use crate::pod::{Metadata, Pod};
use crate::requester::Requester;
use crate::stamp::Stamp;
use crate::subject::{SERVICE_ACCOUNT_USER, SERVICE_ACCOUNTS_GROUP, Subject};
use crate::workload::Table;

/// The groups of every service account, and of everybody.
///
/// Source: <https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/>
const SERVICE_ACCOUNTS: &str = "system:serviceaccounts";
const AUTHENTICATED: &str = "system:authenticated";

/// The two by whom a Pod may come to a secret: whoever submitted it, and the account that it runs as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launcher {
    submitter: Option<Requester>,
    account: Requester,
}

/// The stamp that an object of this metadata should bear when `requester` creates it: the one that it was made with, where the
/// controller of its owner made it, else his own.
#[must_use]
pub fn stamp(requester: &Requester, object: &Metadata<'_>, table: &Table) -> Option<Stamp> {
    let made_with = || Stamp::read(&object.annotations).filter(|_| table.made(&requester.name, object));
    made_with().or_else(|| Stamp::of(requester))
}

impl Launcher {
    /// That of a Pod in a namespace, by the stamp that it should bear.
    ///
    /// A controller lends nothing to those whose workloads it runs: where it stands in the stamp, since the workload is from
    /// before there were stamps, nobody is known to have submitted it.
    #[must_use]
    pub fn of(stamp: Option<&Stamp>, pod: &Pod<'_>, namespace: &str, table: &Table) -> Self {
        let name = pod.spec.service_account_name.as_deref().filter(|name| !name.is_empty()).unwrap_or("default");
        let account = Requester {
            name: format!("{SERVICE_ACCOUNT_USER}{namespace}:{name}"),
            groups: vec![
                SERVICE_ACCOUNTS.to_owned(),
                format!("{SERVICE_ACCOUNTS_GROUP}{namespace}"),
                AUTHENTICATED.to_owned(),
            ],
            ..Requester::default()
        };
        let submitter = stamp.map(Stamp::requester).filter(|submitter| !table.is_creator(&submitter.name));
        Self { submitter, account }
    }

    /// Those for whom it is asked, once each.
    pub fn identities(&self) -> impl Iterator<Item = &Requester> {
        let submitter = self.submitter.iter().filter(|submitter| submitter.name != self.account.name);
        submitter.chain([&self.account])
    }

    /// The one whom a refusal names.
    #[must_use]
    pub fn subject(&self) -> Subject {
        Subject::of_user_name(&self.submitter.as_ref().unwrap_or(&self.account).name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOB_CONTROLLER: &str = "system:serviceaccount:kube-system:job-controller";

    fn launcher(requester: &str, metadata: &str) -> (String, Vec<String>) {
        let table = Table::shipped().unwrap();
        let pod: Pod<'_> = serde_json::from_str(metadata).unwrap();
        let requester = Requester { name: requester.into(), groups: vec!["dev".into()], ..Requester::default() };
        let stamp = stamp(&requester, &pod.metadata, &table);
        let launcher = Launcher::of(stamp.as_ref(), &pod, "jobs", &table);
        (launcher.subject().to_string(), launcher.identities().map(|it| it.name.clone()).collect())
    }

    #[test]
    fn a_stamp_counts_only_on_what_the_controller_of_its_owner_made() {
        let stamped = r#""annotations":{"secrets.apolo.us/launched-by":"bob"}"#;
        let of = |kind: &str| {
            format!(r#""ownerReferences":[{{"apiVersion":"batch/v1","kind":"{kind}","controller":true}}]"#)
        };
        let account = "system:serviceaccount:jobs:default";
        for (requester, metadata, subject, first) in [
            ("mallory", stamped.to_owned(), "mallory", "mallory"),
            ("mallory", format!("{stamped},{}", of("Job")), "mallory", "mallory"),
            (JOB_CONTROLLER, format!("{stamped},{}", of("Job")), "bob", "bob"),
            (JOB_CONTROLLER, format!("{stamped},{}", of("Boat")), "serviceaccount:jobs/default", account),
            (JOB_CONTROLLER, of("Job"), "serviceaccount:jobs/default", account),
            ("system:serviceaccount:jobs:default", stamped.to_owned(), "serviceaccount:jobs/default", account),
        ] {
            let (told, identities) = launcher(requester, &format!(r#"{{"metadata":{{{metadata}}},"spec":{{}}}}"#));
            assert_eq!((told.as_str(), identities[0].as_str()), (subject, first), "{requester} {metadata}");
            assert_eq!(identities.last().unwrap(), account);
            assert_eq!(identities.len(), if first == account { 1 } else { 2 });
        }
    }

    #[test]
    fn the_account_of_a_pod_has_the_groups_of_its_kind() {
        let table = Table::shipped().unwrap();
        let pod: Pod<'_> = serde_json::from_str(r#"{"spec":{"serviceAccountName":"trainer"}}"#).unwrap();
        let launcher = Launcher::of(None, &pod, "jobs", &table);
        let account = launcher.identities().next().unwrap();
        assert_eq!(account.name, "system:serviceaccount:jobs:trainer");
        for subject in ["serviceaccount:jobs/trainer", "namespace:jobs"] {
            assert!(account.is(&Subject::parse(subject).unwrap()), "{subject}");
        }
    }
}
