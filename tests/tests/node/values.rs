//! A value where it was asked for, as every kind of user and container reads it.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Context;
use apolo_tests::{
    eventually::{eventually, within},
    namespace::{Namespace, with_namespace},
    node::containers::{container, template},
    objects,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use k8s_openapi::api::batch::v1::Job;
use kube::{ResourceExt, api::ListParams};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// A file, a directory and a variable.
const ASKED: [(&str, &str); 2] = [
    ("secrets.apolo.us/volume", "secret:password:/var/secrets/password.txt\nsecret:password:/etc/tokens/"),
    ("secrets.apolo.us/env", "PASSWORD=secret:password"),
];

/// Prints them, a line each.
const READ: &str = "cat /var/secrets/password.txt; echo; cat /etc/tokens/password; echo; echo $PASSWORD";

const HUNTER2: &str = "hunter2\nhunter2\nhunter2\n";

async fn with_password(body: impl AsyncFnOnce(&Namespace) -> anyhow::Result<()>) -> anyhow::Result<()> {
    with_namespace(async |ns| {
        ns.secret_of("password", &[("password", "hunter2")]).await?;
        body(&ns).await
    })
    .await
}

#[tokio::test]
async fn every_kind_of_workload_reads_file_directory_and_variable() -> anyhow::Result<()> {
    with_password(async |ns| {
        let once = template(&ASKED, READ);
        ns.create(&objects::job("job", &once)).await?;
        ns.create(&objects::cron_job("cron", &once)).await?;
        let on = template(&ASKED, &format!("{READ}; sleep 600"));
        let kinds = [objects::deployment, objects::replica_set, objects::stateful_set, objects::daemon_set];
        let names = ["deployment", "replica-set", "stateful-set", "daemon-set"];
        for (kind, name) in kinds.iter().zip(names) {
            ns.create(&kind(name, &on)).await?;
        }
        let name = async |app: &str| anyhow::Ok(ns.pod_of(app).await?.name_any());
        assert_eq!(ns.printed(&name("job").await?, "main").await?, HUNTER2);
        for app in names {
            let running = name(app).await?;
            ns.runs(&running).await?;
            eventually(&format!("the Pod of {app} has printed all"), async || match ns.log(&running, "main").await {
                Ok(log) if log == HUNTER2 => Ok(()),
                other => Err(format!("{other:?}")),
            })
            .await?;
        }
        // At the next full minute.
        within(Duration::from_secs(90), "the CronJob has made a Job", async || {
            let jobs = ns.api::<Job>().list(&ListParams::default()).await.map_err(|error| error.to_string())?;
            if jobs.items.len() == 2 { Ok(()) } else { Err(format!("{} Jobs", jobs.items.len())) }
        })
        .await?;
        assert_eq!(ns.printed(&name("cron").await?, "main").await?, HUNTER2);
        Ok(())
    })
    .await
}

/// Each row: whom the Pod runs as, by its security context, and what else is in its spec.
#[tokio::test]
async fn whoever_a_container_runs_as_it_reads_them() -> anyhow::Result<()> {
    let rows = [
        ("root", json!({"securityContext": {"runAsUser": 0}})),
        ("nobody", json!({"securityContext": {"runAsUser": 65534, "runAsGroup": 65534, "runAsNonRoot": true}})),
        ("a-group", json!({"securityContext": {"runAsUser": 65534, "fsGroup": 2000}})),
        ("strange-user", json!({"securityContext": {"runAsUser": 1_234_567, "runAsGroup": 7}})),
        ("own-users", json!({"securityContext": {"runAsUser": 1000, "supplementalGroups": [3000]}})),
    ];
    with_password(async |ns| {
        for (name, fields) in &rows {
            for is_read_only in [false, true] {
                let mut template = template(&ASKED, READ);
                merge(&mut template["spec"], fields);
                let container = &mut template["spec"]["containers"][0];
                container["securityContext"] = json!({
                    "readOnlyRootFilesystem": is_read_only,
                    "allowPrivilegeEscalation": false,
                    "capabilities": {"drop": ["ALL"]},
                });
                ns.create(&objects::job(&format!("{name}-{is_read_only}"), &template)).await?;
            }
        }
        for (name, _) in &rows {
            for is_read_only in [false, true] {
                let pod = ns.pod_of(&format!("{name}-{is_read_only}")).await?.name_any();
                assert_eq!(ns.printed(&pod, "main").await?, HUNTER2, "{name}, read-only root: {is_read_only}");
            }
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn init_containers_and_native_sidecars_read_them() -> anyhow::Result<()> {
    with_password(async |ns| {
        let mut template = template(&ASKED, READ);
        let mut sidecar = container("sidecar", &format!("{READ}; sleep 600"));
        sidecar["restartPolicy"] = json!("Always");
        template["spec"]["initContainers"] = json!([container("init", READ), sidecar]);
        ns.create(&objects::job("three", &template)).await?;
        let pod = ns.pod_of("three").await?.name_any();
        for container in ["main", "init", "sidecar"] {
            assert_eq!(ns.printed(&pod, container).await?, HUNTER2, "{container}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn modes_are_as_asked_and_a_group_of_the_file_system_adds_group_read() -> anyhow::Result<()> {
    let rows = [
        (None, None, "444 0"),
        (Some("0400"), None, "400 0"),
        (Some("0440"), None, "440 0"),
        (Some("0400"), Some(2000), "440 2000"),
        (None, Some(2000), "444 2000"),
    ];
    with_password(async |ns| {
        let mut expected = BTreeMap::new();
        for (number, (mode, group, shown)) in rows.iter().enumerate() {
            let mut annotations = ASKED.to_vec();
            annotations.extend(mode.map(|mode| ("secrets.apolo.us/file-mode", mode)));
            let script = "stat -L -c '%a %g' /var/secrets/password.txt /etc/tokens/password";
            let mut template = template(&annotations, script);
            if let Some(group) = group {
                template["spec"]["securityContext"] = json!({"fsGroup": group});
            }
            let name = format!("modes-{number}");
            ns.create(&objects::job(&name, &template)).await?;
            expected.insert(name, format!("{shown}\n{shown}\n"));
        }
        for (name, expected) in expected {
            let pod = ns.pod_of(&name).await?.name_any();
            assert_eq!(ns.printed(&pod, "main").await?, expected, "{name}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_directory_follows_a_rotated_value_and_a_file_does_not() -> anyhow::Result<()> {
    with_password(async |ns| {
        ns.create(&objects::pod("watcher", &template(&ASKED, "sleep 600"))).await?;
        ns.runs("watcher").await?;
        assert_eq!(ns.inside("watcher", READ).await?, HUNTER2.trim());
        ns.rotate("password", "password", "swordfish").await?;
        eventually("the directory has the new value", async || {
            let read = ns.inside("watcher", "cat /etc/tokens/password").await.map_err(|error| error.to_string())?;
            if read == "swordfish" { Ok(()) } else { Err("the old one") }.map_err(str::to_owned)
        })
        .await?;
        assert_eq!(
            ns.inside("watcher", "cat /var/secrets/password.txt; echo; echo $PASSWORD").await?,
            "hunter2\nhunter2"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_pod_waits_for_a_secret_that_comes_later() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        ns.create(&objects::job("early", &template(&ASKED, READ))).await?;
        let pod = ns.pod_of("early").await.context("no Pod")?.name_any();
        ns.secret_of("password", &[("password", "hunter2")]).await?;
        assert_eq!(ns.printed(&pod, "main").await?, HUNTER2);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn any_bytes_under_any_key_arrive_as_they_are_and_hide_nothing_beside_them() -> anyhow::Result<()> {
    let bytes: Vec<u8> = (0..=u8::MAX).cycle().take(100_000).collect();
    with_namespace(async |ns| {
        ns.create(&json!({
            "apiVersion": "v1",
            "kind": "Secret",
            // The name of the object that a key has which is not one: in lower case, and a digest.
            "metadata": {"name": object_name("HF_TOKEN")},
            "data": {"HF_TOKEN": STANDARD.encode(&bytes)},
        }))
        .await?;
        let asked = [("secrets.apolo.us/volume", "secret:HF_TOKEN:/bin/hf-token\nsecret:HF_TOKEN:/bin/tokens/")];
        let script = "cd /bin; sha256sum <hf-token; sha256sum <tokens/HF_TOKEN; ls /bin/sh";
        ns.create(&objects::job("bytes", &template(&asked, script))).await?;
        let pod = ns.pod_of("bytes").await?.name_any();
        let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(ns.printed(&pod, "main").await?, format!("{digest}  -\n{digest}  -\n/bin/sh\n"));
        Ok(())
    })
    .await
}

/// As the contract names the object of such a key.
fn object_name(key: &str) -> String {
    let digits: String = Sha256::digest(key.as_bytes()).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{digits}", key.to_lowercase().replace('_', "-"))
}

fn merge(into: &mut Value, fields: &Value) {
    for (name, value) in fields.as_object().into_iter().flatten() {
        into[name] = value.clone();
    }
}
