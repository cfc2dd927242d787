//! The chart as a release of helm, on a control plane of its own.

#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use anyhow::ensure;
use apolo_tests::{
    cluster::Cluster,
    command,
    eventually::eventually,
    generated::root,
    grants::grant,
    namespace::with_namespace,
    rights,
    webhook::{CHART, OUTSIDE, RELEASE},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};

/// `helm VERB` of the release, with these values.
async fn helm(cluster: &Cluster, arguments: &[&str]) -> anyhow::Result<()> {
    let finished = command::run(cluster.helm([arguments, &["--namespace", RELEASE]].concat()), "").await?;
    ensure!(finished.status.success(), "helm {arguments:?}: {}", finished.stderr);
    Ok(())
}

async fn install(cluster: &Cluster, values: &str) -> anyhow::Result<()> {
    let set = format!("{OUTSIDE},webhook.url=https://127.0.0.1:10250,{values}");
    helm(cluster, &["install", RELEASE, CHART, "--create-namespace", "--set", &set]).await
}

/// The names of our definitions that the API server has.
async fn definitions(cluster: &Cluster) -> anyhow::Result<Vec<String>> {
    let listed = command::run(cluster.kubectl(["get", "crds", "--output=name"]), "").await?;
    ensure!(listed.status.success(), "{}", listed.stderr);
    Ok(listed.stdout.lines().filter(|name| name.ends_with(".secrets.apolo.us")).map(str::to_owned).collect())
}

#[tokio::test]
async fn the_definitions_and_all_grants_stay_when_the_release_goes_unless_told_otherwise() -> anyhow::Result<()> {
    let cluster = Cluster::start().await?;
    install(&cluster, "crds.enabled=false").await?;
    assert_eq!(definitions(&cluster).await?, [""; 0]);
    helm(&cluster, &["uninstall", RELEASE, "--no-hooks"]).await?;

    install(&cluster, "crds.enabled=true").await?;
    assert_eq!(definitions(&cluster).await?.len(), 2);
    cluster.serves_grants().await?;
    // Nobody serves the hooks, which would be asked about a grant.
    for hooks in ["mutatingwebhookconfiguration", "validatingwebhookconfiguration"] {
        let deleted = command::run(cluster.kubectl(["delete", hooks, RELEASE]), "").await?;
        ensure!(deleted.status.success(), "{}", deleted.stderr);
    }
    let made =
        command::run(cluster.kubectl(["create", "--filename=-"]), grant("kept", &Map::new()).to_string()).await?;
    ensure!(made.status.success(), "{}", made.stderr);
    helm(&cluster, &["uninstall", RELEASE, "--no-hooks"]).await?;
    let kept = command::run(cluster.kubectl(["get", "secretgrants", "--output=name"]), "").await?;
    assert_eq!(kept.stdout, "secretgrant.secrets.apolo.us/kept\n");

    // The release finds what it left behind, and takes it along this time.
    install(&cluster, "crds.keep=false").await?;
    assert_eq!(definitions(&cluster).await?.len(), 2);
    helm(&cluster, &["uninstall", RELEASE, "--no-hooks", "--wait"]).await?;
    assert_eq!(definitions(&cluster).await?, [""; 0]);
    Ok(())
}

/// Both know their Roles, copies and catalogs by the same labels, whatever they watch.
#[tokio::test]
async fn a_second_release_is_refused_while_the_first_is_there() -> anyhow::Result<()> {
    let cluster = Cluster::start().await?;
    let set = format!("{OUTSIDE},webhook.url=https://127.0.0.1:10250,crds.enabled=false");
    let install = async |release: &str, namespace: &str, more: &[&str]| {
        let arguments = ["install", release, CHART, "--namespace", namespace, "--create-namespace", "--set", &set];
        command::run(cluster.helm([&arguments, more].concat()), "").await
    };
    let first = install("first", "one", &["--set", "watchNamespaces={alice}"]).await?;
    ensure!(first.status.success(), "{}", first.stderr);
    for (release, namespace) in [("second", "two"), ("second", "one"), ("first", "two")] {
        let second = install(release, namespace, &["--set", "watchNamespaces={bob}"]).await?;
        let says = "the cluster has a release already, first in namespace one, and two would take away each other's Roles and copies, \
                    whatever they watch; upgrade that one, or uninstall it before";
        ensure!(!second.status.success() && second.stderr.contains(says), "{release}: {}", second.stderr);
    }
    // The first is changed as ever, also by who does not know whether it is there.
    for more in [&[][..], &["--install"]] {
        let upgrade = ["upgrade", "first", CHART, "--namespace", "one", "--set", &set];
        let upgraded = command::run(cluster.helm([&upgrade, more].concat()), "").await?;
        ensure!(upgraded.status.success(), "{more:?}: {}", upgraded.stderr);
    }
    let gone = command::run(cluster.helm(["uninstall", "first", "--namespace", "one", "--no-hooks"]), "").await?;
    ensure!(gone.status.success(), "{}", gone.stderr);
    let hooks = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": "by-hand", "labels": {"app.kubernetes.io/name": RELEASE}},
    });
    let made = command::run(cluster.kubectl(["create", "--filename=-"]), hooks.to_string()).await?;
    ensure!(made.status.success(), "{}", made.stderr);
    let second = install("second", "two", &[]).await?;
    let says = "the cluster has a release already, by-hand, and two";
    ensure!(!second.status.success() && second.stderr.contains(says), "{}", second.stderr);
    let gone = command::run(cluster.kubectl(["delete", "mutatingwebhookconfiguration", "by-hand"]), "").await?;
    ensure!(gone.status.success(), "{}", gone.stderr);
    let second = install("second", "two", &[]).await?;
    ensure!(second.status.success(), "{}", second.stderr);
    Ok(())
}

/// A hook of the release, as the API server has it.
async fn hook(cluster: &Cluster) -> anyhow::Result<Value> {
    let hooks = ["get", "mutatingwebhookconfiguration", RELEASE, "--output=jsonpath={.webhooks[0]}"];
    let got = command::run(cluster.kubectl(hooks), "").await?;
    ensure!(got.status.success(), "{}", got.stderr);
    Ok(serde_json::from_str(&got.stdout)?)
}

/// It is written by others, and is in no rendering; whoever upgrades says nothing of it.
#[tokio::test]
async fn whom_the_api_server_trusts_stays_when_the_release_is_upgraded() -> anyhow::Result<()> {
    let cluster = Cluster::start().await?;
    let authority = STANDARD.encode(&cluster.authority().pair().certificate);
    let trust = json!([{"op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": authority}]).to_string();
    let trust = async |manager: &str| {
        let arguments = ["patch", "mutatingwebhookconfiguration", RELEASE, "--type=json", "--patch", &trust, manager];
        let patched = command::run(cluster.kubectl(arguments), "").await?;
        ensure!(patched.status.success(), "{}", patched.stderr);
        anyhow::Ok(())
    };
    install(&cluster, "webhook.timeoutSeconds=7").await?;
    assert!(hook(&cluster).await?["clientConfig"]["caBundle"].is_null());
    trust("--field-manager=test").await?;
    for (values, url) in [
        ("webhook.timeoutSeconds=8,webhook.url=https://127.0.0.1:10250", "https://127.0.0.1:10250/pods/mutate"),
        ("webhook.timeoutSeconds=9,webhook.url=https://127.0.0.1:10251", "https://127.0.0.1:10251/pods/mutate"),
    ] {
        let set = format!("{OUTSIDE},{values}");
        helm(&cluster, &["upgrade", RELEASE, CHART, "--set", &set]).await?;
        let hook = hook(&cluster).await?;
        assert_eq!(hook["clientConfig"], json!({"url": url, "caBundle": authority}));
        assert!(values.contains(&format!("timeoutSeconds={}", hook["timeoutSeconds"])), "{hook}");
    }
    helm(&cluster, &["rollback", RELEASE, "1"]).await?;
    let hook = hook(&cluster).await?;
    assert_eq!((&hook["timeoutSeconds"], &hook["clientConfig"]["caBundle"]), (&json!(7), &json!(authority)));
    Ok(())
}

/// The same of who installs without helm, and goes over to server-side apply: what he says is what is stored, so he conflicts with nobody.
#[tokio::test]
async fn whom_the_api_server_trusts_stays_when_the_manifest_is_applied_again() -> anyhow::Result<()> {
    let cluster = Cluster::start().await?;
    let manifest = std::fs::read_to_string(root().join("manifests/install.yaml"))?;
    let apply = async |more: &[&str]| {
        let applied = command::run(cluster.kubectl([&["apply", "--filename=-"], more].concat()), &manifest).await?;
        ensure!(applied.status.success(), "{}", applied.stderr);
        anyhow::Ok(())
    };
    let trust = json!([{"op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": "Q0E="}]).to_string();
    for how in [&[][..], &["--server-side"]] {
        apply(how).await?;
        let authority = STANDARD.encode(&cluster.authority().pair().certificate);
        let trust = trust.replace("Q0E=", &authority);
        let patch = ["patch", "mutatingwebhookconfiguration", RELEASE, "--type=json", "--patch", &trust];
        let patched = command::run(cluster.kubectl(patch), "").await?;
        ensure!(patched.status.success(), "{}", patched.stderr);
        apply(how).await?;
        let service =
            json!({"name": "apolo-secrets-webhook", "namespace": RELEASE, "port": 443, "path": "/pods/mutate"});
        assert_eq!(
            hook(&cluster).await?["clientConfig"],
            json!({"service": service, "caBundle": authority}),
            "{how:?}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn our_requests_have_a_priority_level_that_is_there() -> anyhow::Result<()> {
    let cluster = Cluster::shared()?;
    for name in [RELEASE.to_owned(), format!("{RELEASE}-leader-election")] {
        let about = "--output=jsonpath={.status.conditions[?(@.type=='Dangling')].status}";
        eventually("it is known whether the level is there", async || {
            let got = command::run(cluster.kubectl(["get", "flowschema", &name, about]), "").await;
            match got.map_err(|error| error.to_string())?.stdout.as_str() {
                "False" => Ok(()),
                other => Err(format!("{name}: {other:?}")),
            }
        })
        .await?;
    }
    Ok(())
}

/// Kubernetes 1.37 says of some optionals that differ that they are equal, and of others that they cannot be compared.
#[tokio::test]
async fn no_expression_compares_what_may_not_be_there() -> anyhow::Result<()> {
    let rendered = Cluster::shared()?.render("https://127.0.0.1:9").await?;
    let is_optional = |side: &str| {
        let word = side.rsplit([' ', '(']).next().unwrap_or_default();
        let last = word.rfind(".?").map(|at| &word[at + 2..]).or(word.rfind("[?").map(|at| &word[at + 2..]));
        last.is_some_and(|field| !field.contains(['.', '(']))
    };
    assert!(is_optional("!(object.?spec") && is_optional("a[?k]") && !is_optional("object.?spec.orValue({})"));
    let mut compared = 0;
    for line in rendered.lines() {
        for operator in [" == ", " != "] {
            for (at, _) in line.match_indices(operator) {
                compared += 1;
                ensure!(!is_optional(&line[..at]), "compared without orValue: {line}");
            }
            ensure!(!is_optional(line.trim_end_matches(operator.trim_end())), "compared without orValue: {line}");
        }
    }
    ensure!(compared > 10, "{compared}");
    Ok(())
}

#[tokio::test]
async fn the_webhook_has_no_right_on_secrets() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        let webhook = ns.service_account(RELEASE, "apolo-secrets-webhook").await?;
        for namespace in [&ns.name, RELEASE, "kube-system"] {
            for name in ["", "a"] {
                let allowed = rights::verbs(&webhook, &rights::secret(namespace, name)).await?;
                ensure!(allowed.is_empty(), "{namespace}/{name}: {allowed:?}");
            }
        }
        // The same question finds what it does have.
        for resource in ["secretgrants", "secretcatalogs"] {
            let about = json!({"namespace": ns.name, "group": "secrets.apolo.us", "resource": resource});
            let allowed = rights::verbs(&webhook, &about).await?;
            ensure!(allowed == BTreeSet::from(["list", "watch"]), "{resource}: {allowed:?}");
        }
        Ok(())
    })
    .await
}
