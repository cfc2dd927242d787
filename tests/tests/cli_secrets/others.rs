//! `apolo secret add` where the secret is there, is somebody else's, or is being changed by others.

use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt};

use apolo_tests::{
    command,
    eventually::eventually,
    namespace::{Namespace, with_namespace},
    transcript::Transcript,
};
use futures_util::future::try_join_all;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::{
    add::home,
    state::{allow, entry, secrets},
};

/// Secrets of others, by name.
async fn of_others(ns: &Namespace) -> anyhow::Result<()> {
    let secret = |name: &str, fields: Value| {
        let mut secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}});
        for (field, value) in fields.as_object().into_iter().flatten() {
            secret[field] = value.clone();
        }
        secret
    };
    for secret in [
        secret("db-creds", json!({"stringData": {"user": "u", "password": "planted"}})),
        secret(
            "site",
            json!({"type": "kubernetes.io/tls", "stringData": {"tls.crt": "planted", "tls.key": "planted"}}),
        ),
        secret(
            "basic",
            json!({"type": "kubernetes.io/basic-auth", "stringData": {"username": "u", "password": "planted"}}),
        ),
        secret(
            "one-of-its-own-type",
            json!({"type": "example.com/x", "stringData": {"one-of-its-own-type": "planted"}}),
        ),
        secret("fixed", json!({"immutable": true, "stringData": {"fixed": "before"}})),
    ] {
        ns.create(&secret).await?;
    }
    Ok(())
}

#[tokio::test]
async fn what_others_keep_there_is_not_touched() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        of_others(&ns).await?;
        let before = secrets(&ns).await?;
        let alice = ns.with_kubeconfig("alice").await?;
        allow(&ns, "carol", &["create", "patch"], &[]).await?;
        let carol = ns.stranger("carol")?;
        let mut seen = Transcript::new().naming(&ns.name, "alice");
        for person in [&alice, &carol] {
            for key in ["db-creds", "site", "basic", "one-of-its-own-type", "fixed"] {
                let finished = seen.run(person, &["secret", "add", key, "planted"], "").await?;
                assert!(!finished.status.success() && !finished.stderr.contains("planted"), "{key}");
            }
        }
        let finished = seen.run(&alice, &["secret", "add", "fixed", "before"], "").await?;
        assert!(finished.status.success(), "{}", finished.stderr);
        seen.check("cli-secret-add-others.txt")?;
        let mut after = secrets(&ns).await?;
        // That it is a key was written to it, as may be to an immutable one; its value was not.
        assert_eq!(after["fixed"]["data"], before["fixed"]["data"]);
        after.insert("fixed".into(), before["fixed"].clone());
        assert!(before == after, "a Secret was touched");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn who_may_not_read_replaces_a_value_and_nothing_else() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        ns.create(&json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "k", "labels": {"team": "ml"}},
            "stringData": {"k": "before"}}))
            .await?;
        allow(&ns, "carol", &["create", "patch"], &[]).await?;
        allow(&ns, "bob", &["get", "update", "patch"], &["k", "new"]).await?;
        allow(&ns, "dave", &["create"], &[]).await?;
        let (bob, carol, dave) = (ns.stranger("bob")?, ns.stranger("carol")?, ns.stranger("dave")?);
        let mut seen = Transcript::new().naming(&ns.name, "alice");
        seen.run(&carol, &["secret", "add", "k", "by carol", "--dry-run=server"], "").await?;
        assert_eq!(entry(&ns, "k", "k").await?.as_deref(), Some(b"before".as_slice()));
        seen.run(&carol, &["secret", "add", "k", "by carol"], "").await?;
        seen.run(&carol, &["secret", "add", "k", "by carol"], "").await?;
        assert_eq!(entry(&ns, "k", "k").await?.as_deref(), Some(b"by carol".as_slice()));
        // The access Write of a grant is this: to change what is there.
        seen.run(&bob, &["secret", "add", "k", "by bob"], "").await?;
        seen.run(&bob, &["secret", "add", "k", "by bob"], "").await?;
        seen.run(&bob, &["secret", "add", "new", "by bob"], "").await?;
        seen.run(&dave, &["secret", "add", "k", "by dave"], "").await?;
        seen.run(&dave, &["secret", "add", "new", "by dave"], "").await?;
        seen.check("cli-secret-add-unseen.txt")?;
        assert_eq!(entry(&ns, "k", "k").await?.as_deref(), Some(b"by bob".as_slice()));
        let all = secrets(&ns).await?;
        assert_eq!(all["k"]["metadata"]["labels"], json!({"secrets.apolo.us/managed": "true", "team": "ml"}));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_namespace_that_goes_takes_nothing() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        ns.create(&json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "held", "finalizers": ["example.com/held"]}}))
            .await?;
        let mut root = ns.stranger("root")?;
        root.kubeconfig = ns.kubeconfig("root", &["system:masters"])?;
        let deleted = command::run(ns.kubectl(["delete", "namespace", &ns.name, "--wait=false"]), "").await?;
        anyhow::ensure!(deleted.status.success(), "{}", deleted.stderr);
        let finished = root.run(&["secret", "add", "k", "planted"], "").await?;
        let patch = Patch::Merge(json!({"metadata": {"finalizers": null}}));
        ns.api::<ConfigMap>().patch("held", &PatchParams::default(), &patch).await?;
        assert_eq!(finished.status.code(), Some(5), "{}", finished.stderr);
        let expected =
            format!("error: keeping secret \"k\" of namespace {}: the namespace is being deleted\n", ns.name);
        assert_eq!(finished.stderr, expected);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn many_at_once_leave_the_value_of_one_of_them() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        let alice = ns.with_kubeconfig("alice").await?;
        let values: Vec<String> = (0..6).map(|number| format!("value {number}")).collect();
        let added = values.iter().map(|value| alice.run(&["secret", "add", "k"], value));
        let mut results = BTreeSet::new();
        for finished in try_join_all(added).await? {
            assert!(finished.status.success(), "{}", finished.stderr);
            results.insert(finished.stdout);
        }
        assert!(results.contains("k created, 7 bytes\n") && results.contains("k updated, 7 bytes\n"), "{results:?}");
        let kept = entry(&ns, "k", "k").await?.unwrap_or_default();
        assert!(values.iter().any(|value| value.as_bytes() == kept));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_policy_that_tells_what_it_has_seen_does_not_tell_the_value() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        let alice = ns.with_kubeconfig("alice").await?;
        let name = format!("tells-{}", ns.name);
        let admission = |kind: &str, spec: Value| {
            json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": name}, "spec": spec})
        };
        let policy = admission("ValidatingAdmissionPolicy", json!({
            "matchConstraints": {"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"],
                "resources": ["secrets"]}]},
            "validations": [{"expression": "false",
                "messageExpression": "'weak: ' + string(object.data['k']) + ' and ' + object.metadata.name"}],
        }));
        let binding = admission("ValidatingAdmissionPolicyBinding", json!({"policyName": name, "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": ns.name}}}}));
        for object in [&policy, &binding] {
            let kubectl = command::run(ns.kubectl(["apply", "-f", "-"]), object.to_string()).await?;
            anyhow::ensure!(kubectl.status.success(), "{}", kubectl.stderr);
        }
        let refused = eventually("the policy refuses", async || {
            let finished = alice.run(&["secret", "add", "k"], "planted-value").await.map_err(|error| error.to_string())?;
            alice.run(&["secret", "rm", "k"], "").await.map_err(|error| error.to_string())?;
            if finished.status.code() == Some(4) { Ok(finished) } else { Err(format!("{:?}", finished.status)) }
        })
        .await;
        for kind in ["validatingadmissionpolicybinding", "validatingadmissionpolicy"] {
            command::run(ns.kubectl(["delete", kind, &name]), "").await?;
        }
        let told = refused?.stderr;
        assert!(told.contains("weak: … and k"), "{told}");
        assert!(!told.contains("planted-value") && !told.contains("cGxhbnRlZC12YWx1ZQ=="), "{told}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_login_plugin_and_what_is_told_of_requests_never_see_a_value() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        let alice = ns.with_kubeconfig("alice").await?;
        alice.settle().await?;
        let home = home()?;
        let plugin = home.path().join("login");
        let mut kubeconfig: Value = serde_saphyr::from_str(&fs::read_to_string(&alice.kubeconfig)?)?;
        let user = kubeconfig["users"][0]["user"].clone();
        let status = json!({"clientCertificateData": pem(&user, "client-certificate-data")?,
            "clientKeyData": pem(&user, "client-key-data")?});
        let credential =
            json!({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status});
        fs::write(home.path().join("credential"), credential.to_string())?;
        fs::write(&plugin, "#!/bin/sh\n{ echo \"$0 $*\"; env; } >> \"$HOME/seen\"\ncat \"$HOME/credential\"\n")?;
        fs::set_permissions(&plugin, fs::Permissions::from_mode(0o755))?;
        kubeconfig["users"][0]["user"] = json!({"exec": {"apiVersion": "client.authentication.k8s.io/v1",
            "command": plugin, "args": ["--for", "apolo"], "interactiveMode": "Never"}});
        fs::write(&alice.kubeconfig, kubeconfig.to_string())?;
        for line in [
            "printf planted-value | apolo secret add k --verbose",
            "apolo secret add k 'planted-value' --verbose -o json",
            "apolo secret get k --verbose -f file",
            "apolo secret add db-creds planted-value --verbose; apolo secret rm k --verbose",
        ] {
            let finished = command::run(alice.shell(line, home.path())?, "").await?;
            assert!(finished.status.success(), "{line}: {}", finished.stderr);
            assert!(!(finished.stdout + &finished.stderr).contains("planted-value"), "{line}");
        }
        let seen = fs::read_to_string(home.path().join("seen"))?;
        assert!(seen.contains("--for apolo") && !seen.contains("planted-value"));
        // The same search finds it where it should be.
        assert!(fs::read_to_string(home.path().join("file"))?.contains("planted-value"));
        Ok(())
    })
    .await
}

/// A field of a kubeconfig that is base64 of a PEM text.
fn pem(user: &Value, field: &str) -> anyhow::Result<String> {
    use base64::Engine;
    let encoded = user[field].as_str().unwrap_or_default();
    Ok(String::from_utf8(base64::engine::general_purpose::STANDARD.decode(encoded)?)?)
}
