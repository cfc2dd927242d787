//! Who relies on secrets that are to be removed, asked once for each namespace, in words.

use std::collections::HashMap;

use apolo_client::connection::Connection;
use apolo_client::request::RequestError;
use apolo_client::secrets::{self, Doomed, Grants, Holder, Uses};
use apolo_core::access::shown;
use apolo_core::text::named;

use crate::output::Output;

/// How many are told by name.
const MOST: usize = 5;

/// What is known of grants and Pods, by namespace; nothing where it may not be known.
#[derive(Default)]
pub(super) struct Ties {
    grants: HashMap<String, Grants>,
    pods: HashMap<String, Vec<Uses>>,
}

impl Ties {
    /// To whom it is granted; that this cannot be known is told.
    pub(super) async fn holders(
        &mut self,
        connection: &Connection,
        doomed: &Doomed,
        output: &mut Output,
    ) -> Vec<Holder> {
        let namespace = &doomed.target.owner;
        if !self.grants.contains_key(namespace) {
            let found = secrets::grants(connection, namespace).await;
            let found = known(found, "whether it is shared", output);
            self.grants.insert(namespace.clone(), found);
        }
        self.grants.get(namespace).map(|grants| grants.holders(&doomed.object)).unwrap_or_default()
    }

    /// The Pods of its namespace that use it; that this cannot be known is told.
    pub(super) async fn pods(&mut self, connection: &Connection, doomed: &Doomed, output: &mut Output) -> Vec<String> {
        let namespace = &doomed.target.owner;
        if !self.pods.contains_key(namespace) {
            let found = secrets::pods(connection, namespace).await;
            let found = known(found, "whether Pods use it", output);
            self.pods.insert(namespace.clone(), found);
        }
        let pods = self.pods.get(namespace).map(Vec::as_slice).unwrap_or_default();
        pods.iter().filter(|uses| uses.names(&doomed.object)).map(|uses| uses.pod.clone()).collect()
    }
}

fn known<T: Default>(found: Result<T, RequestError>, what: &str, output: &mut Output) -> T {
    found.unwrap_or_else(|error| {
        output.warning(&format!("{what} is not known: {error}"));
        T::default()
    })
}

/// Why it is asked before it goes: `shared with bob (Read) and used by Pods train-1, train-2`; nothing where nobody relies on it.
pub(super) fn reason(holders: &[Holder], pods: &[String]) -> Option<String> {
    let holders: Vec<String> =
        holders.iter().map(|holder| format!("{} ({})", shown(&holder.subject), holder.access)).collect();
    let pods: Vec<String> = pods.iter().map(|pod| named(pod).into_owned()).collect();
    let shared = (!holders.is_empty()).then(|| format!("shared with {}", listed(&holders)));
    let kind = if pods.len() == 1 { "Pod" } else { "Pods" };
    let used = (!pods.is_empty()).then(|| format!("used by {kind} {}", listed(&pods)));
    let reasons: Vec<String> = shared.into_iter().chain(used).collect();
    (!reasons.is_empty()).then(|| reasons.join(" and "))
}

fn listed(names: &[String]) -> String {
    let told = names.iter().take(MOST).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(MOST) {
        0 => told,
        more => format!("{told} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use apolo_core::subject::Subject;

    #[test]
    fn it_is_told_who_relies_on_a_secret() {
        let holders = [Holder { subject: Subject::User("bob".into()), access: Default::default() }];
        let pods: Vec<String> = (1..=7).map(|number| format!("train-{number}")).collect();
        let all = reason(&holders, &pods).unwrap();
        assert_eq!(
            all,
            "shared with bob (Read) and used by Pods train-1, train-2, train-3, train-4, train-5 and 2 more"
        );
        assert_eq!(reason(&[], &pods[..1]).unwrap(), "used by Pod train-1");
        assert_eq!(reason(&[], &[]), None);
    }
}
