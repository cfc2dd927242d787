//! The chart as a release of helm, on a control plane of its own.

use std::collections::BTreeSet;

use anyhow::ensure;
use apolo_tests::{
    cluster::Cluster,
    command,
    grants::grant,
    namespace::with_namespace,
    rights,
    webhook::{CHART, RELEASE},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, json};

/// `helm VERB` of the release, with these values.
async fn helm(cluster: &Cluster, arguments: &[&str]) -> anyhow::Result<()> {
    let finished = command::run(cluster.helm([arguments, &["--namespace", RELEASE]].concat()), "").await?;
    ensure!(finished.status.success(), "helm {arguments:?}: {}", finished.stderr);
    Ok(())
}

async fn install(cluster: &Cluster, values: &str) -> anyhow::Result<()> {
    let authority = STANDARD.encode(&cluster.authority().pair().certificate);
    let set = format!("webhook.url=https://127.0.0.1:10250,webhook.caBundle={authority},{values}");
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
    helm(&cluster, &["uninstall", RELEASE]).await?;

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
    helm(&cluster, &["uninstall", RELEASE]).await?;
    let kept = command::run(cluster.kubectl(["get", "secretgrants", "--output=name"]), "").await?;
    assert_eq!(kept.stdout, "secretgrant.secrets.apolo.us/kept\n");

    // The release finds what it left behind, and takes it along this time.
    install(&cluster, "crds.keep=false").await?;
    assert_eq!(definitions(&cluster).await?.len(), 2);
    helm(&cluster, &["uninstall", RELEASE, "--wait"]).await?;
    assert_eq!(definitions(&cluster).await?, [""; 0]);
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
