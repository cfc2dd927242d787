//! The kinds of other projects in the test cluster: they are there, in each version that people meet, and what a Pod template
//! in them says is stored as it is.
#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use anyhow::Context;
use apolo_tests::{cluster::Cluster, namespace::with_namespace, presets};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use serde_json::{Value, json};

/// A spec of each kind, with a Pod template that asks for a secret at every place that the kind has for one.
fn rows() -> Vec<(&'static str, &'static str, Value)> {
    let annotations = json!({"secrets.apolo.us/env": "A=secret:a"});
    let template = json!({
        "metadata": {"annotations": annotations, "labels": {"app": "a"}},
        "spec": {"containers": [{"name": "main", "image": "registry.invalid/main"}]},
    });
    presets::specs(&template)
}

#[tokio::test]
async fn an_object_of_each_kind_and_version_is_stored_with_its_templates() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        ns.add_presets().await?;
        for (index, (version, kind, spec)) in rows().into_iter().enumerate() {
            let name = format!("{}-{index}", kind.to_lowercase());
            let object = json!({"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec});
            let stored = ns.create(&object).await?;
            assert_eq!(apolo_tests::objects::without_stamps(stored.data["spec"].clone()), spec, "{version} {kind}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn each_version_that_is_served_has_a_row() -> anyhow::Result<()> {
    let cluster = Cluster::shared()?;
    let definitions: Api<CustomResourceDefinition> = Api::all(cluster.admin().await?);
    let mut served = BTreeSet::new();
    for name in cluster.add_presets().await? {
        let spec = definitions.get(&name).await?.spec;
        for version in spec.versions.iter().filter(|version| version.served) {
            served.insert((format!("{}/{}", spec.group, version.name), spec.names.kind.clone()));
        }
    }
    let rows: BTreeSet<_> =
        rows().into_iter().map(|(version, kind, _)| (version.to_owned(), kind.to_owned())).collect();
    assert_eq!(served, rows);
    Ok(())
}

#[tokio::test]
async fn adding_them_side_by_side_and_again_changes_nothing() -> anyhow::Result<()> {
    // A cluster of its own: nobody else may have added them.
    let cluster = Cluster::start().await?;
    let (first, second, third) = tokio::try_join!(cluster.add_presets(), cluster.add_presets(), cluster.add_presets())?;
    assert_eq!((&first, &first), (&second, &third));
    let definitions: Api<CustomResourceDefinition> = Api::all(cluster.admin().await?);
    let name = first.first().context("none")?;
    let before = definitions.get(name).await?.metadata.generation;
    cluster.add_presets().await?;
    assert_eq!(definitions.get(name).await?.metadata.generation, before);
    Ok(())
}
