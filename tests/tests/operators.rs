//! What operators make of the objects of others: whose launch it is, and whose it is not.
#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::time::Duration;

use anyhow::{Context, ensure};
use apolo_tests::{
    eventually::within,
    namespace::{Namespace, with_namespace},
    objects,
};
use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams},
    core::GroupVersionKind,
};
use serde_json::{Value, json};

const ENV: &str = "secrets.apolo.us/env";
const BY: &str = "secrets.apolo.us/launched-by";
const MASTERS: &str = "system:masters";
const JOBS: &str = "system:serviceaccount:kube-system:job-controller";
const JOB_SETS: &str = "system:serviceaccount:jobset-system:jobset-controller-manager";
const RAY: &str = "system:serviceaccount:ray-system:kuberay-operator";
const ARGO: &str = "system:serviceaccount:argo:argo";
const TRAINER: &str = "system:serviceaccount:kubeflow-system:kubeflow-trainer-controller-manager";

/// A template with alice's secret, stamped with bob, whom she shares it with in the namespace.
async fn bobs_template(alice: &Namespace, bobs: &Namespace) -> anyhow::Result<Value> {
    bobs.add_presets().await?;
    alice.secret("a").await?;
    let user = json!([{"kind": "User", "name": "bob"}]);
    alice.share("bobs", &json!({"secrets": ["a"], "subjects": user, "namespaces": [bobs.name]})).await?;
    let asks = format!("A=secret:/{}/a", alice.name);
    let bob = bobs.person("bob").await?;
    within(Duration::from_secs(10), "bob may use it", async || {
        let pod = objects::pod("bobs-own", &objects::template(&[(ENV, &asks)]));
        bobs.create_as(&bob, &pod).await.map_err(|error| format!("{error:?}"))
    })
    .await?;
    Ok(objects::template(&[(ENV, &asks), (BY, "bob")]))
}

/// An object that this one controls.
fn of(owner: &DynamicObject, mut object: Value) -> anyhow::Result<Value> {
    let types = owner.types.as_ref().context("no kind")?;
    object["metadata"]["ownerReferences"] = json!([{"apiVersion": types.api_version, "kind": types.kind,
        "name": owner.name_any(), "uid": owner.metadata.uid, "controller": true}]);
    Ok(object)
}

fn custom(version: &str, kind: &str, name: &str, spec: &Value) -> Value {
    json!({"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec})
}

fn job_set(name: &str, template: &Value) -> Value {
    let jobs = json!([{"name": "node", "template": {"spec": {"template": template}}}]);
    custom("jobset.x-k8s.io/v1alpha2", "JobSet", name, &json!({"replicatedJobs": jobs}))
}

fn stamp(object: &DynamicObject, pointer: &str) -> Option<String> {
    object.data.pointer(pointer)?.get(BY)?.as_str().map(str::to_owned)
}

#[tokio::test]
async fn a_stamp_is_believed_only_where_templates_say_all_that_runs() -> anyhow::Result<()> {
    with_namespace(async |alice| {
        with_namespace(async |ns| {
            let template = bobs_template(&alice, &ns).await?;
            let silent = objects::template(&[]);
            let head = json!({"headGroupSpec": {"rayStartParams": {}, "template": silent}});
            let job = json!({"entrypoint": "true", "rayClusterSpec": head});
            let step = json!([{"name": "a", "container": {"image": "registry.invalid/main"}}]);
            for (operator, owner, is_believed) in [
                (RAY, custom("ray.io/v1", "RayCluster", "ray", &head), false),
                (RAY, custom("ray.io/v1", "RayJob", "ray-job", &job), false),
                (ARGO, custom("argoproj.io/v1alpha1", "Workflow", "flow", &json!({"templates": step})), false),
                (JOBS, objects::job("job", &silent), true),
            ] {
                let owner = ns.create(&owner).await?;
                let operator = ns.user(operator, &[MASTERS]).await?;
                let name = format!("of-{}", owner.name_any());
                let made = ns.create_as(&operator, &of(&owner, objects::pod(&name, &template))?).await;
                match (is_believed, made) {
                    (true, made) => drop(made.context("the twin")?),
                    (false, made) => {
                        let said = made.err().with_context(|| format!("{name} was let in as bob's"))?;
                        let said = format!("{:#}", anyhow::Error::from(said));
                        ensure!(said.contains(&format!("serviceaccount:{}/default may not use", ns.name)), "{said}");
                    }
                }
            }
            // What such a one makes is no more believed than itself, however far down.
            let runtime =
                json!({"apiGroup": "trainer.kubeflow.org", "kind": "ClusterTrainingRuntime", "name": "torch"});
            let train = custom("trainer.kubeflow.org/v1alpha1", "TrainJob", "train", &json!({"runtimeRef": runtime}));
            let train = ns.create(&train).await?;
            let trainer = ns.user(TRAINER, &[MASTERS]).await?;
            let plain = objects::template(&[(ENV, "A=secret:own"), (BY, "bob")]);
            let set = ns.create_as(&trainer, &of(&train, job_set("trained", &plain))?).await?;
            let at = "/spec/replicatedJobs/0/template/spec/template/metadata/annotations";
            assert_eq!(stamp(&set, at).as_deref(), Some(TRAINER));
            Ok(())
        })
        .await
    })
    .await
}

#[tokio::test]
async fn what_others_made_in_its_name_a_controller_launches_for_nobody() -> anyhow::Result<()> {
    with_namespace(async |alice| {
        with_namespace(async |ns| {
            let template = bobs_template(&alice, &ns).await?;
            let bob = ns.user("bob", &[MASTERS]).await?;
            let controller = ns.user(JOB_SETS, &[MASTERS]).await?;
            let mallory: Client = ns.person("mallory").await?;
            let set = ns.create_as(&bob, &job_set("set", &template)).await?;
            let suspended = |name: &str, template: &Value| {
                let mut job = objects::job(name, template);
                job["spec"]["suspend"] = json!(true);
                of(&set, job)
            };
            ns.create_as(&mallory, &suspended("mallorys", &objects::template(&[]))?).await?;
            ns.create_as(&controller, &suspended("sets", &template)?).await?;
            // As a JobSet goes on: what its template says is laid over that of each Job.
            let jobs: Api<Job> = Api::namespaced(controller, &ns.name);
            let metadata = json!({"annotations": template["metadata"]["annotations"], "labels": {"queue": "a"}});
            let template = json!({"metadata": metadata, "spec": {"nodeSelector": {"pool": "gpu"}}});
            let patch = Patch::Merge(json!({"spec": {"template": template}}));
            let resume = async |name: &str| jobs.patch(name, &PatchParams::default(), &patch).await;
            let said = resume("mallorys").await.err().context("mallory's Job became bob's")?.to_string();
            ensure!(said.contains(&format!("serviceaccount:{}/default may not use", ns.name)), "{said}");
            let resumed = resume("sets").await.context("the twin")?;
            let metadata = resumed.spec.and_then(|spec| spec.template.metadata).unwrap_or_default();
            assert_eq!(metadata.annotations.unwrap_or_default()[BY], "bob");
            Ok(())
        })
        .await
    })
    .await
}

/// An object of some kind around a Pod template, by name.
type Around = fn(&str, &Value) -> Value;

fn replication_controller(name: &str, template: &Value) -> Value {
    let mut controller = objects::replica_set(name, template);
    controller["apiVersion"] = json!("v1");
    controller["kind"] = json!("ReplicationController");
    controller["spec"]["selector"] = json!({"app": name});
    controller
}

/// The hooks leave alone what is being deleted, so no Pod may come of a template that somebody changes in it.
#[tokio::test]
async fn no_controller_makes_pods_for_what_is_being_deleted() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        let scaled = (json!({"replicas": 0}), json!({"replicas": 1}));
        let suspended = (json!({"suspend": true}), json!({"suspend": false}));
        let kinds: [(Around, _); 5] = [
            (replication_controller, &scaled),
            (objects::replica_set, &scaled),
            (objects::deployment, &scaled),
            (objects::stateful_set, &scaled),
            (objects::job, &suspended),
        ];
        for (number, (object, (rests, goes_on))) in kinds.into_iter().enumerate() {
            let (gone, twin) = (format!("gone-{number}"), format!("twin-{number}"));
            // Both are told to go on, first the one that is being deleted.
            for name in [&gone, &twin] {
                let mut object = object(name, &objects::template(&[]));
                object["metadata"]["finalizers"] = json!(["example.com/stay"]);
                if let (Some(spec), Some(rests)) = (object["spec"].as_object_mut(), rests.as_object()) {
                    spec.extend(rests.clone());
                }
                let made = ns.create(&object).await?;
                let kind = GroupVersionKind::try_from(made.types.as_ref().context("no kind")?)?;
                let api =
                    Api::<DynamicObject>::namespaced_with(ns.client.clone(), &ns.name, &ApiResource::from_gvk(&kind));
                if *name == gone {
                    api.delete(name, &DeleteParams::background()).await?;
                }
                let patch = Patch::Merge(json!({"spec": goes_on}));
                api.patch(name, &PatchParams::default(), &patch)
                    .await
                    .with_context(|| format!("{} goes on", kind.kind))?;
            }
            ns.pod_of(&twin).await?;
            let pods = ns.api::<Pod>().list(&ListParams::default().labels(&format!("app={gone}"))).await?;
            ensure!(pods.items.is_empty(), "a Pod was made for {gone}, which is being deleted");
        }
        Ok(())
    })
    .await
}
