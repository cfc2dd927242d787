//! Two namespaces: alice's, who keeps secrets there, and bob's, whose jobs are to use them.

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::ensure;
use apolo_tests::{
    eventually::eventually,
    namespace::{Namespace, with_namespace},
    person::Person,
    transcript::Transcript,
};
use k8s_openapi::jiff::Timestamp;
use kube::{ResourceExt, api::ListParams};
use serde_json::Value;

/// What nobody may see in what a command tells.
pub(super) const VALUE: &str = "planted-p@ssw0rd";

/// The two, with those who are at home there.
pub(super) struct Scene {
    pub(super) alice_ns: Namespace,
    pub(super) bob_ns: Namespace,
    pub(super) alice: Person,
    pub(super) bob: Person,
}

/// Runs a test in a scene of its own.
pub(super) async fn with_scene(body: impl AsyncFnOnce(Scene) -> anyhow::Result<()>) -> anyhow::Result<()> {
    with_namespace(async |alice_ns| {
        with_namespace(async |bob_ns| {
            for key in ["aws-key", "secret-password"] {
                alice_ns.kept_secret(key, key, VALUE).await?;
            }
            let alice = alice_ns.with_kubeconfig("alice").await?;
            let bob = bob_ns.with_kubeconfig("bob").await?;
            body(Scene { alice_ns, bob_ns, alice, bob }).await
        })
        .await
    })
    .await
}

/// A second from now at most, as a grant's `expiresAt` has it, in whole seconds.
pub(super) fn soon() -> String {
    let second = Timestamp::now().as_second() + 1;
    Timestamp::from_second(second).map(|time| time.to_string()).unwrap_or_default()
}

/// Somebody else at the same place.
pub(super) fn another(beside: &Person, name: &str, kubeconfig: PathBuf) -> Person {
    let mut person = beside.clone();
    (person.name, person.kubeconfig) = (name.into(), kubeconfig);
    person
}

impl Scene {
    /// A transcript in which the namespaces are called as their owners.
    pub(super) fn transcript(&self) -> Transcript {
        Transcript::new().naming(&self.alice_ns.name, "alice").naming(&self.bob_ns.name, "bob")
    }

    /// Runs a command that has to succeed, and that nobody reads.
    pub(super) async fn quietly(&self, person: &Person, words: &[&str]) -> anyhow::Result<String> {
        let finished = person.run(words, "").await?;
        ensure!(finished.status.success(), "{words:?}: {}", finished.stderr);
        Ok(finished.stdout)
    }

    /// Waits until a command of somebody ends with this exit code: what the webhook and the catalogs are told comes a moment later.
    pub(super) async fn comes_to(&self, person: &Person, words: &[&str], code: i32) -> anyhow::Result<()> {
        eventually(&format!("{words:?} ends with {code}"), async || {
            let finished = person.run(words, "").await.map_err(|error| error.to_string())?;
            if finished.status.code() == Some(code) { Ok(()) } else { Err(finished.stdout + &finished.stderr) }
        })
        .await?;
        Ok(())
    }

    /// The specs of alice's grants, by name.
    pub(super) async fn grants(&self) -> anyhow::Result<BTreeMap<String, Value>> {
        let grants = self.alice_ns.grants().list(&ListParams::default()).await?;
        Ok(grants.into_iter().map(|grant| (grant.name_any(), grant.data["spec"].clone())).collect())
    }
}
