//! Every file of `examples` on a real API server: accepted, twice, and its Pods have what it asks for; or refused in words.
#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::HashMap;

use anyhow::{Context, anyhow, ensure};
use apolo_tests::{
    asked,
    binaries::apolo,
    cluster::Cluster,
    command,
    eventually::eventually,
    examples::Example,
    namespace::{Namespace, with_namespace},
    objects,
};
use k8s_openapi::api::{apps::v1::ReplicaSet, batch::v1::Job, core::v1::Pod};
use kube::{
    Api, Resource, ResourceExt,
    api::{ListParams, Patch, PatchParams, PostParams},
    core::NamespaceResourceScope,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

const OURS: &str = "secrets.apolo.us/";

#[tokio::test]
async fn each_is_accepted_twice_and_its_pods_have_what_it_asks_for() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        ns.add_presets().await?;
        let examples: Vec<Example> = Example::all()?.into_iter().filter(Example::is_accepted).collect();
        assert!(examples.len() >= 45, "{} examples", examples.len());

        let made = kubectl(&ns, "apply", &[], &examples).await?;
        let repeated: Vec<&str> = made.lines().filter(|line| !line.ends_with(" created")).collect();
        assert!(repeated.is_empty(), "two examples have objects of one name: {repeated:?}");
        let first = live(&ns, &examples).await?;
        kubectl(&ns, "apply", &[], &examples).await?;
        let second = live(&ns, &examples).await?;
        assert_eq!(first.len(), made.lines().count());
        for (first, second) in first.iter().zip(&second) {
            // kubectl may say "configured", for it compares lists by their length; the API server knows better.
            assert_eq!(first["metadata"]["generation"], second["metadata"]["generation"], "{}", title(first));
            assert_eq!(first["spec"], second["spec"], "{}", title(first));
        }

        let mut checked = 0;
        for object in &first {
            for template in templates(&submitted(object)?) {
                let pod = pod_of(&ns, object, &template).await?;
                asked::is_there(&pod, &template).map_err(|wrong| anyhow!("{}: {wrong}", title(object)))?;
                checked += 1;
            }
        }
        assert!(checked >= examples.len(), "{checked} templates in {} examples", examples.len());
        Ok(())
    })
    .await
}

/// Kinds whose Pods are put together from several objects, so that `apolo inject` checks them and adds nothing.
const ONLY_CHECKED: [&str; 2] = ["TrainJob", "Workflow"];

#[tokio::test]
async fn what_inject_prints_becomes_the_same_pods_where_the_hooks_are_not_installed() -> anyhow::Result<()> {
    let examples: Vec<Example> = Example::all()?.into_iter().filter(Example::is_accepted).collect();
    let hooked = with_namespace(async |ns| {
        ns.add_presets().await?;
        kubectl(&ns, "apply", &[], &examples).await?;
        pods(&ns, &examples).await
    })
    .await?;
    let cluster = Cluster::start().await?;
    let injected = cluster
        .with_namespace(async |ns| {
            ns.add_presets().await?;
            let files: Vec<&str> = examples.iter().filter_map(|example| example.path.to_str()).collect();
            let inject = apolo(&[&["inject", "--filename"], files.as_slice()].concat())?;
            let injected = command::run(inject, "").await?;
            ensure!(injected.status.success(), "{}", injected.stderr);
            let applied = ns.kubectl(["apply", "--namespace", &ns.name, "--filename=-"]);
            let applied = command::run(applied, injected.stdout).await?;
            ensure!(applied.status.success(), "{}", applied.stderr);
            pods(&ns, &examples).await
        })
        .await?;
    assert!(hooked.len() >= examples.len() - ONLY_CHECKED.len(), "{} Pods", hooked.len());
    assert_eq!(hooked.len(), injected.len());
    for ((title, hooked), (other, injected)) in hooked.into_iter().zip(injected) {
        assert_eq!((&title, hooked), (&other, injected), "{title}");
    }
    Ok(())
}

/// What there is of the Pods of these files, each with the object that it is of: their spec and our annotations, without what
/// others add.
async fn pods(ns: &Namespace, examples: &[Example]) -> anyhow::Result<Vec<(String, Value)>> {
    let mut pods = Vec::new();
    for object in live(ns, examples).await? {
        let of_a_template = templates(&submitted(&object)?);
        for template in of_a_template.iter().filter(|_| !ONLY_CHECKED.iter().any(|kind| object["kind"] == *kind)) {
            let pod = serde_json::to_value(pod_of(ns, &object, template).await?)?;
            let mut annotations = pod["metadata"]["annotations"].clone();
            if let Some(annotations) = annotations.as_object_mut() {
                annotations.retain(|name, _| name.starts_with(OURS));
            }
            // Who launched it is not known offline.
            let annotations = objects::without_stamps(annotations);
            pods.push((title(&object), json!({"annotations": annotations, "spec": without_additions(&pod["spec"])})));
        }
    }
    Ok(pods)
}

/// A value without the volume of the service account's token, which has a random name, and its mounts, and without what the
/// Job controller tells each Pod of an indexed Job.
fn without_additions(value: &Value) -> Value {
    let is_addition = |value: &Value| {
        let name = value["name"].as_str().unwrap_or_default();
        name.starts_with("kube-api-access-") || name == "JOB_COMPLETION_INDEX"
    };
    match value {
        Value::Array(items) => items.iter().filter(|item| !is_addition(item)).map(without_additions).collect(),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| (name.clone(), without_additions(value)));
            // A list in which nothing else was is none.
            Value::Object(fields.filter(|(name, value)| name != "hostname" && *value != json!([])).collect())
        }
        other => other.clone(),
    }
}

#[tokio::test]
async fn each_mistake_is_refused_in_the_words_that_its_file_repeats() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        ns.add_presets().await?;
        let examples: Vec<Example> = Example::all()?.into_iter().filter(Example::is_mistaken).collect();
        assert!(examples.len() >= 8, "{} mistakes", examples.len());
        for example in examples {
            let message = refusal(&ns, &example).await?;
            let said: Vec<&str> = message.trim_end().lines().collect();
            assert_eq!(example.refusal().unwrap_or_default(), said, "{}", example.name);
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_nobody_has_shared_is_refused() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        let examples: Vec<Example> = Example::all()?.into_iter().filter(Example::is_shared).collect();
        assert!(examples.len() >= 3, "{} shared", examples.len());
        for example in examples {
            let message = refusal(&ns, &example).await?;
            assert!(message.contains("admin may not use secret:/alice/"), "{}: {message}", example.name);
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn each_grant_is_accepted_twice_and_stored_as_it_was_written() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        ns.serves_grants().await?;
        let examples: Vec<Example> = Example::all()?.into_iter().filter(Example::is_grant).collect();
        assert!(examples.len() >= 5, "{} grants", examples.len());
        kubectl(&ns, "apply", &[], &examples).await?;
        let applied = kubectl(&ns, "apply", &[], &examples).await?;
        assert!(applied.lines().all(|line| line.ends_with(" unchanged")), "{applied}");
        for grant in live(&ns, &examples).await? {
            let mut written = submitted(&grant)?["spec"].clone();
            if written.get("access").is_none() {
                written["access"] = json!("Read");
            }
            assert_eq!(grant["spec"], written, "{}", title(&grant));
        }
        Ok(())
    })
    .await
}

/// The example's refusal, without kubectl's and the API server's words around it.
async fn refusal(ns: &Namespace, example: &Example) -> anyhow::Result<String> {
    let path = example.path.to_str().context("no path")?;
    let applied = command::run(ns.kubectl(["apply", "--namespace", &ns.name, "--filename", path]), "").await?;
    ensure!(!applied.status.success(), "{}: {}", example.name, applied.stdout);
    let message = applied.stderr.split_once(" denied the request: ").map(|(_, message)| message.to_owned());
    message.with_context(|| format!("{}: {}", example.name, applied.stderr))
}

/// `kubectl VERB` of all these files at once.
async fn kubectl(ns: &Namespace, verb: &str, flags: &[&str], examples: &[Example]) -> anyhow::Result<String> {
    let files: Vec<String> = examples.iter().map(|example| format!("--filename={}", example.path.display())).collect();
    let mut arguments = vec![verb, "--namespace", &ns.name];
    arguments.extend(flags);
    arguments.extend(files.iter().map(String::as_str));
    let finished = command::run(ns.kubectl(arguments), "").await?;
    ensure!(finished.status.success(), "{}", finished.stderr);
    Ok(finished.stdout)
}

/// The objects of these files as they are now.
async fn live(ns: &Namespace, examples: &[Example]) -> anyhow::Result<Vec<Value>> {
    let list: Value = serde_json::from_str(&kubectl(ns, "get", &["--output=json"], examples).await?)?;
    Ok(list["items"].as_array().context("no items")?.clone())
}

fn title(object: &Value) -> String {
    format!(
        "{} {}",
        object["kind"].as_str().unwrap_or_default(),
        object["metadata"]["name"].as_str().unwrap_or_default()
    )
}

/// An object as kubectl has sent it, before anybody has changed it.
fn submitted(object: &Value) -> anyhow::Result<Value> {
    let text = object["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"].as_str();
    Ok(serde_json::from_str(text.context("not made by kubectl apply")?)?)
}

/// The Pod templates in an object that ask for secrets, the object itself if it is a Pod.
///
/// Where metadata stands by itself, to be merged with a Pod that somebody else describes (a TrainJob's patch, what is in a
/// Workflow), a Pod of one container stands for that one.
fn templates(object: &Value) -> Vec<Value> {
    let mut found = Vec::new();
    if let Value::Object(fields) = object {
        for name in ["metadata", "podMetadata"] {
            let annotations = fields.get(name).and_then(|metadata| metadata.get("annotations")?.as_object());
            if annotations.is_some_and(|annotations| annotations.keys().any(|name| name.starts_with(OURS))) {
                let spec = fields.get("spec").filter(|spec| spec.get("containers").is_some()).cloned();
                let alone = || json!({"containers": [{"name": "main", "image": "registry.invalid/main"}]});
                let metadata = json!({"annotations": annotations});
                found.push(json!({"metadata": metadata, "spec": spec.unwrap_or_else(alone)}));
            }
        }
    }
    let parts: Vec<&Value> = match object {
        Value::Object(fields) => fields.values().collect(),
        Value::Array(items) => items.iter().collect(),
        _ => Vec::new(),
    };
    found.extend(parts.into_iter().flat_map(templates));
    found
}

/// A Pod of an object's template: made by Kubernetes' controllers, or, where no controller runs here, as it would make it.
async fn pod_of(ns: &Namespace, object: &Value, template: &Value) -> anyhow::Result<Pod> {
    let (kind, name) = (object["kind"].as_str(), object["metadata"]["name"].as_str().context("no name")?);
    match kind.context("no kind")? {
        "Pod" => return Ok(ns.api::<Pod>().get(name).await?),
        "CronJob" => {
            // Not before its hour, but as somebody would try it out.
            let arguments = ["create", "job", name, "--from", &format!("cronjob/{name}"), "--namespace", &ns.name];
            let created = command::run(ns.kubectl(arguments), "").await?;
            ensure!(created.status.success(), "{}", created.stderr);
        }
        "Job" if object["spec"]["suspend"] == true => {
            let start = Patch::Merge(json!({"spec": {"suspend": false}}));
            ns.api::<Job>().patch(name, &PatchParams::default(), &start).await?;
        }
        "Job" | "Deployment" | "ReplicaSet" | "ReplicationController" | "StatefulSet" | "DaemonSet" => {}
        _ => {
            let mut pod = template.clone();
            pod["metadata"]["generateName"] = json!(format!("{name}-"));
            let pod: Pod = serde_json::from_value(pod)?;
            return Ok(ns.api::<Pod>().create(&PostParams::default(), &pod).await?);
        }
    }
    let uid = object["metadata"]["uid"].as_str().context("no uid")?;
    Ok(eventually(&format!("{} has a Pod", title(object)), async || first_pod_below(ns, uid).await).await?)
}

/// A Pod whose controller, or the controller of that, has this uid.
async fn first_pod_below(ns: &Namespace, uid: &str) -> Result<Pod, String> {
    let mut owners = owners::<Job>(ns).await?;
    owners.extend(self::owners::<ReplicaSet>(ns).await?);
    let pods = ns.api::<Pod>().list(&ListParams::default()).await.map_err(|error| error.to_string())?;
    let is_below = |pod: &Pod| {
        let controller = controller(pod);
        controller.as_deref() == Some(uid)
            || controller.and_then(|owner| owners.get(&owner)).is_some_and(|of| of == uid)
    };
    pods.items.into_iter().find(is_below).ok_or_else(|| "none".to_owned())
}

async fn owners<K>(ns: &Namespace) -> Result<HashMap<String, String>, String>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + std::fmt::Debug,
{
    let objects: Api<K> = ns.api();
    let objects = objects.list(&ListParams::default()).await.map_err(|error| error.to_string())?;
    Ok(objects.items.iter().filter_map(|object| Some((object.uid()?, controller(object)?))).collect())
}

fn controller(object: &impl ResourceExt) -> Option<String> {
    object.owner_references().iter().find(|owner| owner.controller == Some(true)).map(|owner| owner.uid.clone())
}
