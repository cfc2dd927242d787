//! Pods that ask for secrets, on a real API server with the real webhook: what they become, and who is refused.
#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::time::Duration;

use anyhow::Context;
use apolo_tests::{
    command,
    eventually::{reached, within},
    namespace::{Namespace, with_namespace},
    objects,
    webhook::RELEASE,
};
use k8s_openapi::api::core::v1::{Container, Pod, ServiceAccount};
use kube::{
    Api, ResourceExt,
    api::{ListParams, PostParams},
    core::Status,
};
use serde_json::{Value, json};

const VOLUME: &str = "secrets.apolo.us/volume";
const ENV: &str = "secrets.apolo.us/env";
const CONTAINERS: &str = "secrets.apolo.us/containers";

/// A template that asks for a file, a directory and a variable, with an init container and a native sidecar.
fn asking() -> Value {
    let mut template = objects::template(&[
        (VOLUME, "secret:secret-password:/var/secrets/secret-password.txt\nsecret:wandb-token:/etc/tokens/\n"),
        (ENV, "mypass=secret:secret-password"),
    ]);
    template["spec"]["initContainers"] = json!([
        {"name": "fetch", "image": "registry.invalid/fetch"},
        {"name": "proxy", "image": "registry.invalid/proxy", "restartPolicy": "Always", "env": [{"name": "OWN", "value": "kept"}]},
    ]);
    template
}

/// Holds a Pod against what [`asking`] asks for.
fn assert_has_what_it_asked_for(pod: &Pod) -> anyhow::Result<()> {
    let spec = pod.spec.as_ref().context("no spec")?;
    let volumes = serde_json::to_value(&spec.volumes)?;
    let ours: Vec<&Value> = volumes
        .as_array()
        .context("no volumes")?
        .iter()
        .filter(|volume| volume["name"].as_str().is_some_and(|name| name.starts_with("apolo-secrets")))
        .collect();
    assert_eq!(
        ours,
        [
            &json!({"name": "apolo-secrets", "projected": {"defaultMode": 0o444, "sources": [{"secret": {"name":
                "secret-password", "items": [{"key": "secret-password", "path": "secret-password/secret-password"}]}}]}}),
            &json!({"name": "apolo-secrets-bf82e6e9", "projected": {"defaultMode": 0o444, "sources": [{"secret": {"name":
                "wandb-token", "items": [{"key": "wandb-token", "path": "wandb-token"}]}}]}}),
        ]
    );
    let containers: Vec<&Container> = spec.containers.iter().chain(spec.init_containers.iter().flatten()).collect();
    for container in &containers {
        let mounts = serde_json::to_value(&container.volume_mounts)?;
        for mount in [
            json!({"name": "apolo-secrets", "mountPath": "/var/secrets/secret-password.txt",
                   "subPath": "secret-password/secret-password", "readOnly": true}),
            json!({"name": "apolo-secrets-bf82e6e9", "mountPath": "/etc/tokens", "readOnly": true}),
        ] {
            assert!(mounts.as_array().is_some_and(|mounts| mounts.contains(&mount)), "{}: {mounts}", container.name);
        }
        let env = serde_json::to_value(&container.env)?;
        let variable = json!({"name": "mypass", "valueFrom": {"secretKeyRef": {"name": "secret-password", "key": "secret-password"}}});
        assert!(env.as_array().is_some_and(|env| env.contains(&variable)), "{}: {env}", container.name);
    }
    let names: Vec<&str> = containers.iter().map(|container| &*container.name).collect();
    assert_eq!(pod.annotations()[CONTAINERS], names.join(","));
    Ok(())
}

/// Creates an object and gives the first Pod of it.
async fn pod_of(ns: &Namespace, object: &Value) -> anyhow::Result<Pod> {
    let name = ns.create(object).await?.name_any();
    Ok(ns.pod_of(&name).await?)
}

#[tokio::test]
async fn a_pod_gets_what_it_asks_for_however_it_is_made() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        let template = asking();
        for object in [
            objects::pod("a-pod", &template),
            objects::job("a-job", &template),
            objects::deployment("a-deployment", &template),
            objects::replica_set("a-replica-set", &template),
            objects::stateful_set("a-stateful-set", &template),
            objects::daemon_set("a-daemon-set", &template),
        ] {
            let pod = pod_of(&ns, &object).await?;
            assert_has_what_it_asked_for(&pod).with_context(|| object["kind"].to_string())?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_pod_of_a_cron_job_gets_what_it_asks_for() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        ns.create(&objects::cron_job("a-cron-job", &asking())).await?;
        // It runs when the next minute begins.
        let pods = ns.api::<Pod>();
        let pod = within(Duration::from_secs(100), "the CronJob makes a Pod", async || {
            let made = pods.list(&ListParams::default()).await.map_err(|error| error.to_string())?;
            made.items.into_iter().next().ok_or_else(|| "no Pod".to_owned())
        })
        .await?;
        assert_eq!(pod.owner_references()[0].kind, "Job");
        assert_has_what_it_asked_for(&pod)
    })
    .await
}

#[tokio::test]
async fn only_the_named_containers_get_it_and_a_debug_container_may_come() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        let mut template = asking();
        template["metadata"]["annotations"][CONTAINERS] = json!("main");
        template["metadata"]["annotations"]["secrets.apolo.us/file-mode"] = json!("0400");
        let pod = pod_of(&ns, &objects::pod("a-pod", &template)).await?;
        let spec = serde_json::to_value(&pod.spec)?;
        assert_eq!(spec["volumes"][1]["projected"]["defaultMode"], 0o400, "{}", spec["volumes"]);
        assert_eq!(spec["containers"][0]["env"].as_array().map(Vec::len), Some(1));
        assert_eq!(spec["initContainers"][0].get("env"), None);
        assert_eq!(spec["initContainers"][1]["env"], json!([{"name": "OWN", "value": "kept"}]));

        let debug = ["debug", "a-pod", "--image=registry.invalid/debug", "--namespace", &ns.name, "--", "true"];
        let debugged = command::run(ns.kubectl(debug), "").await?;
        assert!(debugged.status.success(), "{}", debugged.stderr);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn submitting_the_same_manifest_again_changes_nothing() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        for (name, flags) in [("client-side", &[][..]), ("server-side", &["--server-side"][..])] {
            let manifest = objects::pod(name, &asking()).to_string();
            let apply = async || {
                let arguments = [&["apply", "--namespace", &ns.name, "--filename=-"], flags].concat();
                let applied = command::run(ns.kubectl(arguments), &manifest).await?;
                anyhow::ensure!(applied.status.success(), "{}", applied.stderr);
                Ok(ns.api::<Pod>().get(name).await?)
            };
            let first = apply().await?;
            assert_has_what_it_asked_for(&first)?;
            let second = apply().await?;
            // kubectl may say "configured", for it compares lists by their length; the API server knows better. (The
            // resourceVersion may differ: the scheduler writes to the status meanwhile.)
            assert_eq!(second.metadata.generation, first.metadata.generation, "{name}");
            assert_eq!(serde_json::to_value(&second.spec)?, serde_json::to_value(&first.spec)?, "{name}");
            assert_eq!(second.annotations(), first.annotations(), "{name}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_live_manifest_can_be_submitted_under_another_name() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        let pod = pod_of(&ns, &objects::pod("first", &asking())).await?;
        let copy = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "second", "annotations": pod.annotations(), "labels": {"app": "second"}},
            "spec": pod.spec,
        });
        let second = pod_of(&ns, &copy).await?;
        assert_eq!(serde_json::to_value(&second.spec)?, serde_json::to_value(&pod.spec)?);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_dry_run_is_answered_as_usual() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        let dry = PostParams { dry_run: true, ..PostParams::default() };
        let pod: Pod = serde_json::from_value(objects::pod("a-pod", &asking()))?;
        assert_has_what_it_asked_for(&ns.api::<Pod>().create(&dry, &pod).await?)?;
        assert_eq!(ns.api::<Pod>().get_opt("a-pod").await?, None);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn pods_without_our_annotations_never_reach_the_webhook() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        // Many annotations, and none of them ours.
        let many: Vec<(String, &str)> =
            (0..7_500).map(|index| (format!("example.com/secrets.apolo.us-{index}"), "")).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (&**name, *value)).collect();
        for (name, annotations) in
            [("none", &[][..]), ("other", &[("secrets.apolo.example/env", "A=b")][..]), ("many", &many)]
        {
            let pod = pod_of(&ns, &objects::pod(name, &objects::template(annotations))).await?;
            let spec = serde_json::to_string(&pod.spec)?;
            assert!(!spec.contains("apolo-secrets"), "{spec}");
        }
        ns.create(&objects::pod("asks", &asking())).await?;
        let asked: Vec<Value> = ns.all_decisions().await?.into_iter().map(|line| line["name"].clone()).collect();
        assert_eq!(asked, ["asks", "asks"]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn no_other_update_of_a_pod_is_held_up() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        ns.create(&objects::pod("a-pod", &asking())).await?;
        let before = ns.all_decisions().await?.len();
        for change in [
            &["label", "pod", "a-pod", "team=blue"][..],
            &["annotate", "pod", "a-pod", "example.com/note=x"],
            &[
                "patch",
                "pod",
                "a-pod",
                "--subresource=status",
                "--type=merge",
                "--patch",
                r#"{"status":{"phase":"Running"}}"#,
            ],
            &["delete", "pod", "a-pod", "--wait=false"],
        ] {
            let arguments = [change, &["--namespace", &ns.name]].concat();
            let changed = command::run(ns.kubectl(arguments), "").await?;
            assert!(changed.status.success(), "{change:?}: {}", changed.stderr);
        }
        ns.create(&objects::pod("another", &asking())).await?;
        assert_eq!(ns.all_decisions().await?.len(), before + 2);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_hooks_leave_kube_system_and_our_own_namespace_to_the_policy() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        let own = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": RELEASE}});
        let applied = command::run(ns.kubectl(["apply", "--filename=-"]), own.to_string()).await?;
        assert!(applied.status.success(), "{}", applied.stderr);
        let accounts: Api<ServiceAccount> = Api::namespaced(ns.client.clone(), RELEASE);
        reached(accounts, "default", "our namespace has its service account", |account| account.is_some()).await?;

        let template = objects::template(&[(ENV, "A=secret:a"), (VOLUME, "a mistake")]);
        let pod: Pod = serde_json::from_value(objects::pod("left-alone", &template))?;
        let dry = PostParams { dry_run: true, ..PostParams::default() };
        for namespace in ["kube-system", RELEASE] {
            let made = Api::<Pod>::namespaced(ns.client.clone(), namespace).create(&dry, &pod).await;
            let said = made.err().with_context(|| format!("made in {namespace}"))?.to_string();
            assert!(said.contains("ValidatingAdmissionPolicy 'apolo-secrets-closed'"), "{namespace}: {said}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn another_owners_secret_is_refused_in_words() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        let bob = ns.person("bob").await?;
        let template = objects::template(&[
            (VOLUME, "secret:/alice/aws-key:/root/.aws"),
            (ENV, "A=secret:/alice/aws-key#id, B=secret://default/alice/db"),
        ]);
        let name = &ns.name;
        let refused = refusal(ns.create_as(&bob, &objects::pod("a-pod", &template)).await.err().context("allowed")?)?;
        assert_eq!((refused.code, &*refused.reason), (403, "Forbidden"));
        let line = |key: &str| {
            format!(
                "bob may not use secret:/alice/{key} in namespace {name}: there is none, or it is not shared with bob for this \
                 namespace. Its owner can run: apolo share secret:{key} bob --to {name} -n alice"
            )
        };
        assert_eq!(refused.message, denied(&format!("{}\n{}", line("aws-key"), line("db"))));

        // One's own namespace, named in full, is one's own.
        let own = format!("secret:/{name}/aws-key:/root/.aws");
        ns.create_as(&bob, &objects::pod("own", &objects::template(&[(VOLUME, &own)]))).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_value_in_the_wrong_place_is_told_to_nobody() -> anyhow::Result<()> {
    const PLANTED: &str = "hunter2planted";
    with_namespace(async |ns| {
        let env = format!("PASSWORD={PLANTED}\nOTHER=a,{PLANTED}=b\n{PLANTED}=secret:a\n{PLANTED}==\n{PLANTED}");
        let mut template = objects::template(&[(ENV, &env), (VOLUME, &format!("PASSWORD={PLANTED}"))]);
        template["spec"]["containers"][0]["env"] = json!([{"name": PLANTED, "value": "taken"}]);
        let refused = refusal(ns.create(&objects::pod("a-pod", &template)).await.err().context("allowed")?)?;
        assert!(refused.message.contains("item 1 (\"PASSWORD\")"), "{}", refused.message);
        let of_job = refusal(ns.create(&objects::job("a-job", &template)).await.err().context("allowed")?)?;
        let log = ns.all_decisions().await?.iter().map(Value::to_string).collect::<String>();
        let whole_log = std::fs::read_to_string(ns.webhook_log())?;
        let audit = std::fs::read_to_string(ns.audit_log())?;
        let metrics = ns.webhook_metrics().await?;
        for (place, text, looked_at) in [
            ("refusal", &refused.message, "secrets.apolo.us/env, item 1"),
            ("refusal of the Job", &of_job.message, "spec.template: secrets.apolo.us/env, item 1"),
            ("log of these Pods", &log, "secrets.apolo.us/env, item 1: value-is-no-reference"),
            ("log", &whole_log, &*ns.name),
            ("audit log", &audit, &*ns.name),
            ("metrics", &metrics, r#"mistakes_total{kind="value-is-no-reference"}"#),
        ] {
            assert!(text.contains(looked_at), "the {place} was looked at in vain:\n{text}");
            assert!(!text.contains(PLANTED), "the {place} tells it:\n{text}");
        }
        Ok(())
    })
    .await
}

fn refusal(error: apolo_tests::namespace::Error) -> anyhow::Result<Box<Status>> {
    match error {
        apolo_tests::namespace::Error::Create { source: kube::Error::Api(status), .. } => Ok(status),
        other => Err(other.into()),
    }
}

/// What the API server makes of a webhook's message.
fn denied(message: &str) -> String {
    format!("admission webhook \"pods.secrets.apolo.us\" denied the request: {message}")
}
