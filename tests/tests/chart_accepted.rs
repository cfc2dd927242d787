//! The chart with each file of `tests/chart/values`, as this version of the API server takes it: every field known to it, and our Pods
//! as `restricted` as Pod Security can ask.
#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]

use anyhow::{Context, ensure};
use apolo_tests::{
    cluster::Cluster,
    command::{self, Finished},
    namespace::{Namespace, with_namespace},
    rendering::{Helm, Rendered, objects, values},
};
use serde_json::{Value, json};

/// Kinds of others that the chart has objects of.
const DEFINITIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/chart/crds");

/// Labels a namespace so that Pod Security refuses, and warns of, what is not restricted.
async fn restrict(ns: &Namespace) -> anyhow::Result<()> {
    let labels = ["enforce", "warn", "audit"].map(|mode| format!("pod-security.kubernetes.io/{mode}=restricted"));
    let arguments = [&["label", "namespace", &ns.name][..], &labels.each_ref().map(String::as_str)].concat();
    succeeds(command::run(ns.kubectl(arguments), "").await?).map(drop)
}

fn succeeds(finished: Finished) -> anyhow::Result<Finished> {
    ensure!(finished.status.success(), "{}{}", finished.stdout, finished.stderr);
    Ok(finished)
}

/// What the API server says of what it would store.
async fn tried(ns: &Namespace, manifest: &str) -> anyhow::Result<Finished> {
    // What the chart's release of the tests owns is there, by another manager.
    let apply =
        ["apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "--filename=-"];
    Ok(command::run(ns.kubectl(apply), manifest).await?)
}

#[tokio::test]
async fn every_rendering_is_taken_as_it_is_and_without_a_warning() -> anyhow::Result<()> {
    // On the one that tests share, the release is there already.
    let cluster = Cluster::start().await?;
    let body = async |ns: Namespace| {
        restrict(&ns).await?;
        succeeds(command::run(ns.kubectl(["apply", "--server-side", "--filename", DEFINITIONS]), "").await?)?;
        let wait = ["wait", "--for=condition=established", "--timeout=60s", "--filename", DEFINITIONS];
        succeeds(command::run(ns.kubectl(wait), "").await?)?;
        let helm = Helm::built().await?;
        let mut renderings = vec![("defaults".to_owned(), helm.template_in(&ns.name, &[]).await?)];
        for (name, path) in values()? {
            let path = path.to_str().context("a path in UTF-8")?;
            renderings.push((name, helm.template_in(&ns.name, &["--values", path]).await?));
        }
        for (name, rendering) in &renderings {
            let taken = tried(&ns, rendering).await?;
            ensure!(taken.status.success() && taken.stderr.is_empty(), "{name}: {}{}", taken.stdout, taken.stderr);
            let count = objects(rendering)?.len();
            ensure!(taken.stdout.lines().count() == count, "{name}: {count} objects, and {}", taken.stdout);
        }
        // The same finds a field that there is not, and a container that may do more.
        let (_, defaults) = renderings.first().context("no rendering")?;
        let misspelt = tried(&ns, &defaults.replace("maxUnavailable: 0", "maxUnavailible: 0")).await?;
        let unknown = ".spec.strategy.rollingUpdate.maxUnavailible: field not declared in schema";
        ensure!(misspelt.stderr.contains(unknown), "{}", misspelt.stderr);
        let more = defaults.replace("allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true");
        let warned = tried(&ns, &more).await?.stderr;
        let warnings = warned.lines().filter(|line| line.starts_with("Warning: would violate PodSecurity"));
        ensure!(warnings.count() == 3, "{warned}");
        Ok(())
    };
    cluster.with_namespace(body).await
}

#[tokio::test]
async fn our_pods_are_made_where_only_restricted_ones_are() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        restrict(&ns).await?;
        let all = objects(&Helm::built().await?.template_in(&ns.name, &[]).await?)?;
        for account in all.iter().filter(|object| object.kind == "ServiceAccount") {
            ns.create(&account.object).await?;
        }
        let mut made = 0;
        for Rendered { name, object, .. } in
            all.iter().filter(|object| ["Deployment", "Job"].contains(&object.kind.as_str()))
        {
            let template = &object["spec"]["template"];
            let mut spec = template["spec"].clone();
            spec["restartPolicy"] = json!("Always");
            let metadata = json!({"name": name, "namespace": ns.name, "labels": template["metadata"]["labels"]});
            let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec});
            let create = ["create", "--dry-run=server", "--validate=strict", "--filename=-"];
            let created = succeeds(command::run(ns.kubectl(create), pod.to_string()).await?)?;
            ensure!(created.stderr.is_empty(), "{name}: {}", created.stderr);
            ensure!(spec["automountServiceAccountToken"] == json!(false), "{name}");
            let all_read_only =
                |container: &Value| container["securityContext"]["readOnlyRootFilesystem"] == json!(true);
            let containers = spec["containers"].as_array().context("no containers")?;
            ensure!(containers.iter().all(all_read_only), "{name}");
            let has_limit = |container: &Value| container["resources"]["limits"]["memory"].is_string();
            ensure!(containers.iter().all(has_limit), "{name}");
            made += 1;
            // A twin that only is not what it says of itself is refused.
            let mut root = pod.clone();
            root["spec"]["securityContext"]["runAsNonRoot"] = json!(false);
            let refused = command::run(ns.kubectl(create), root.to_string()).await?;
            ensure!(refused.stderr.contains("violates PodSecurity"), "{name}: {refused:?}");
        }
        assert_eq!(made, 3);
        Ok(())
    })
    .await
}
