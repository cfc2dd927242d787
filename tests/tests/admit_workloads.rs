//! Workloads on a real API server with the real webhook: when they are held up, and that they are stored as they came.
#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use anyhow::Context;
use apolo_tests::{
    cluster::Cluster,
    command,
    kinds::{self, Column, Kind, Placed},
    namespace::{self, Namespace, with_namespace},
    objects,
};
use kube::{
    Api,
    api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams},
    core::GroupVersionKind,
};
use serde_json::{Value, json};

const ENV: &str = "secrets.apolo.us/env";

/// An object of each kind for each place of its templates, which asks for a variable; all with names of their own.
fn asking() -> anyhow::Result<Vec<(Kind, Column, Placed)>> {
    let mut placed = Vec::new();
    for kind in kinds::all()? {
        for column in kind.templates.clone() {
            let mut one = kind.place(&column, &objects::template(&[(ENV, "A=secret:a")]));
            one.object["metadata"]["name"] = json!(format!("row-{}", placed.len()));
            placed.push((kind.clone(), column, one));
        }
    }
    Ok(placed)
}

fn name(placed: &Placed) -> &str {
    placed.object["metadata"]["name"].as_str().unwrap_or_default()
}

fn annotations(column: &Column, placed: &Placed) -> String {
    let metadata = if column.form == "metadata" { "" } else { "/metadata" };
    format!("{}{metadata}/annotations", placed.pointer)
}

fn api(ns: &Namespace, kind: &Kind) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk(&kind.group, &kind.versions[0], &kind.kind);
    Api::namespaced_with(ns.client.clone(), &ns.name, &ApiResource::from_gvk(&kind))
}

/// The verdicts on each workload of a namespace, by its name, in their order.
async fn verdicts(ns: &Namespace) -> anyhow::Result<BTreeMap<String, Vec<String>>> {
    let mut verdicts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in ns.all_decisions().await?.iter().filter(|line| line["path"] == "/workloads") {
        let text = |field: &str| line[field].as_str().unwrap_or_default().to_owned();
        verdicts.entry(text("name")).or_default().push(text("verdict"));
    }
    Ok(verdicts)
}

#[tokio::test]
async fn a_workload_is_stored_as_it_came_but_for_the_stamp_and_no_other_update_is_held_up() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        ns.add_presets().await?;
        let workloads = asking()?;
        for (kind, column, placed) in &workloads {
            let stored = objects::without_stamps(serde_json::to_value(ns.create(&placed.object).await?)?);
            let pointer = annotations(column, placed);
            assert_eq!(stored.pointer(&pointer), placed.object.pointer(&pointer), "{} {pointer}", kind.kind);
            assert!(!stored.to_string().contains("secretKeyRef"), "{stored}");
            let api = api(&ns, kind);
            for metadata in [
                json!({"labels": {"team": "blue"}}),
                json!({"annotations": {"example.com/note": "x"}, "finalizers": ["example.com/finalizer"]}),
                json!({"finalizers": null}),
            ] {
                let patch = Patch::Merge(json!({"metadata": metadata}));
                let patched = api.patch(name(placed), &PatchParams::default(), &patch).await;
                patched.with_context(|| format!("{} with {metadata}", kind.kind))?;
            }
            api.delete(name(placed), &DeleteParams::background()).await?;
        }
        let verdicts = verdicts(&ns).await?;
        for (kind, column, placed) in &workloads {
            let stamped = if kind.stamps { "patched" } else { "allowed" };
            assert_eq!(verdicts[name(placed)], [stamped], "{} at {}", kind.kind, column.path);
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_workload_is_held_up_again_when_a_template_differs_and_not_when_it_is_scaled() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        ns.add_presets().await?;
        // The template of a Job is fixed.
        let workloads: Vec<_> = asking()?.into_iter().filter(|(kind, ..)| kind.kind != "Job").collect();
        for (kind, column, placed) in &workloads {
            ns.create(&placed.object).await?;
            let api = api(&ns, kind);
            let patch = async |operation: Value| {
                let patch: json_patch::Patch = serde_json::from_value(json!([operation]))?;
                let patched = api.patch(name(placed), &PatchParams::default(), &Patch::Json::<()>(patch)).await;
                anyhow::Ok(patched.map(|_| ()))
            };
            if column.form == "template" && kind.kind != "CronJob" {
                let scaled = placed.pointer.split("/template").next().unwrap_or_default();
                let replicas = json!({"op": "add", "path": format!("{scaled}/replicas"), "value": 1});
                patch(replicas).await?.with_context(|| format!("{} scaled", kind.kind))?;
            }
            let env = format!("{}/secrets.apolo.us~1env", annotations(column, placed));
            let refused = patch(json!({"op": "replace", "path": env, "value": "A"})).await?.err();
            let refused = refused.with_context(|| format!("{} at {}: allowed", kind.kind, column.path))?.to_string();
            assert!(refused.contains(&format!("{}: {ENV}, item 1: there is no", placed.path)), "{refused}");
            patch(json!({"op": "replace", "path": env, "value": "B=secret:b"})).await??;
        }
        let mut verdicts = verdicts(&ns).await?;
        for (kind, column, placed) in &workloads {
            let mut told = verdicts.remove(name(placed)).unwrap_or_default();
            // Where a controller wrote the status meanwhile, the API server tries a patch, and asks, again.
            told.dedup();
            let stamped = if kind.stamps { "patched" } else { "allowed" };
            assert_eq!(told, [stamped, "mistaken", "allowed"], "{} at {}", kind.kind, column.path);
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_annotation_of_ours_that_comes_later_where_it_does_nothing_is_told() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        let plain = objects::template(&[]);
        for object in [objects::deployment("plain", &plain), objects::cron_job("plain", &plain)] {
            ns.create(&object).await?;
        }
        let annotate = async |arguments: &[&str]| {
            let arguments = [arguments, &["--namespace", &ns.name]].concat();
            command::run(ns.kubectl(arguments), "").await
        };
        let told = annotate(&["annotate", "deployment", "plain", "secrets.apolo.us/env=A=secret:a"]).await?;
        let says =
            "secrets.apolo.us/env on the Deployment has no effect; move it to spec.template.metadata.annotations";
        assert!(!told.status.success() && told.stderr.contains(says), "{}", told.stderr);
        let patch = r#"{"spec":{"jobTemplate":{"metadata":{"annotations":{"secrets.apolo.us/env":"A=secret:a"}}}}}"#;
        let told = annotate(&["patch", "cronjob", "plain", "--patch", patch]).await?;
        assert!(!told.status.success() && told.stderr.contains("on spec.jobTemplate has no effect"), "{}", told.stderr);
        let other = annotate(&["annotate", "deployment", "plain", "example.com/env=A"]).await?;
        assert!(other.status.success(), "{}", other.stderr);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn nothing_that_stands_for_nothing_on_the_way_is_held_against_an_object() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        ns.add_presets().await?;
        for (kind, column, placed) in asking()? {
            let steps: Vec<&str> = placed.pointer.split('/').skip(1).collect();
            for length in 0..=steps.len() {
                let above = format!("/{}", steps[..length].join("/"));
                let above = above.trim_end_matches('/');
                for field in ["", "/metadata", "/metadata/annotations"] {
                    let mut object = placed.object.clone();
                    object["metadata"]["name"] = Value::Null;
                    object["metadata"]["generateName"] = json!("row-");
                    let Some(place) = object.pointer_mut(&format!("{above}{field}")) else { continue };
                    if length == 0 && field != "/metadata/annotations" {
                        continue;
                    }
                    *place = Value::Null;
                    // The API server may refuse it, since it is not in form; that is not ours to do.
                    if let Err(namespace::Error::Create { source: kube::Error::Api(status), .. }) =
                        ns.create(&object).await
                    {
                        let said = &status.message;
                        assert!(!said.contains("webhook"), "{} at {} {above}{field}: {said}", kind.kind, column.path);
                    }
                }
            }
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_kind_of_ones_own_is_checked_like_the_others() -> anyhow::Result<()> {
    const ROWS: &str = "\
- group: example.com
  versions: [v1]
  kind: Box
  resource: boxes
  templates: [\"spec.parts[*].of.*.template\", spec.in.template, \"spec.deep[*].*.*.template\"]";
    let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "boxes.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "boxes", "singular": "box", "kind": "Box"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}],
        },
    });
    let cluster = Cluster::start().await?;
    let _webhook = cluster.install_with_workloads(ROWS).await?;
    cluster
        .with_namespace(async |ns| {
            for arguments in [&["apply", "--filename=-"][..], &["wait", "--for=condition=Established", "crd/boxes.example.com"]] {
                let done = command::run(ns.kubectl(arguments), definition.to_string()).await?;
                assert!(done.status.success(), "{}", done.stderr);
            }
            // What no schema forbids may stand there; where it has no annotation of ours, it is none of our business.
            let odd = json!({"parts": "x", "in": {"template": {"metadata": {"annotations": ["x"]}}}});
            for spec in [json!([]), json!(3), json!({"parts": [3, {"of": ["x"]}]}), json!({"in": []}), odd] {
                let object = json!({"apiVersion": "example.com/v1", "kind": "Box", "metadata": {"generateName": "odd-"}, "spec": spec});
                ns.create(&object).await.with_context(|| object.to_string())?;
            }
            let template = objects::template(&[(ENV, "A")]);
            let deep = json!({"deep": [{"a": {"b": {"template": template}}}]});
            let object = json!({"apiVersion": "example.com/v1", "kind": "Box", "metadata": {"name": "deep"}, "spec": deep});
            let said = ns.create(&object).await.err().context("allowed")?;
            let said = format!("{:#}", anyhow::Error::from(said));
            assert!(said.contains("spec.deep[0].a.b.template: secrets.apolo.us/env, item 1"), "{said}");
            let parts = json!([{}, {"of": {"wheels": {"template": template}}}]);
            let object = json!({"apiVersion": "example.com/v1", "kind": "Box", "metadata": {"name": "a"}, "spec": {"parts": parts}});
            let said = ns.create(&object).await.err().context("allowed")?;
            let namespace::Error::Create { source: kube::Error::Api(status), .. } = said else { return Err(said.into()) };
            assert_eq!(
                status.message,
                "admission webhook \"boxes.example.com.secrets.apolo.us\" denied the request: spec.parts[1].of.wheels.template: \
                 secrets.apolo.us/env, item 1: there is no \"=\"; write NAME=secret:KEY"
            );
            anyhow::Ok(())
        })
        .await
}
