//! What becomes of Pods that run when access has been withdrawn, and the copy is gone: while nothing starts again, when a container of
//! theirs does, and when kubelet does. And of what a Job prints, when the connection over which it is read breaks. By itself, for kubelet
//! is ended here, on a node of ours.

use apolo_tests::{
    delivered::{KEY, Scene, with_scene},
    eventually::eventually,
    namespace::with_namespace,
    node::{containers::template, images::BUSYBOX},
    objects,
    proxy::Proxy,
    running::Running,
};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::ResourceExt;
use serde_json::json;
use tokio::sync::Mutex;

/// Held by who needs kubelet to run, or ends it.
static KUBELET: Mutex<()> = Mutex::const_new(());

/// Runs until it is told to end.
const UNTIL_TOLD: &str = "while [ ! -e /tmp/end ]; do usleep 100000; done";

/// In which ways a Pod can ask, and how each reads the value.
const WAYS: [(&str, &str, &str, &str); 3] = [
    ("file", "secrets.apolo.us/volume", "REFERENCE:/secrets/password", "cat /secrets/password"),
    ("directory", "secrets.apolo.us/volume", "REFERENCE:/etc/tokens/", "cat /etc/tokens/secret-password"),
    ("variable", "secrets.apolo.us/env", "PASSWORD=REFERENCE", "echo $PASSWORD"),
];

/// Pods of bob's that have alice's password, each in one way; then it is withdrawn from him, and the copy is gone.
async fn withdrawn(scene: &Scene) -> anyhow::Result<()> {
    scene.share("password", &[KEY]).await?;
    for (name, annotation, item, _) in WAYS {
        let item = item.replace("REFERENCE", &scene.reference(KEY));
        scene.create(&objects::pod(name, &template(&[(annotation, &item)], UNTIL_TOLD))).await?;
    }
    for (name, _, _, read) in WAYS {
        scene.bobs.runs(name).await?;
        assert_eq!(scene.bobs.inside(name, read).await?, "hunter2", "{name}");
    }
    scene.withdraw("password").await?;
    Ok(scene.bobs.copies_hold(&[]).await?)
}

async fn container(scene: &Scene, pod: &str) -> Result<ContainerStatus, String> {
    let pod = scene.bobs.api::<Pod>().get(pod).await.map_err(|error| error.to_string())?;
    let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.clone());
    statuses.into_iter().flatten().next().ok_or_else(|| format!("{} has no container", pod.name_any()))
}

/// Waits until the container of a Pod has started again; what it then reads.
async fn starts_again(scene: &Scene, pod: &str, read: &str) -> anyhow::Result<String> {
    eventually(&format!("the container of {pod} has started again"), async || {
        let status = container(scene, pod).await?;
        if status.restart_count > 0 && status.ready { Ok(()) } else { Err(format!("{status:?}")) }
    })
    .await?;
    Ok(scene.bobs.inside(pod, read).await?)
}

/// Waits until kubelet has told a Pod this.
async fn is_told(scene: &Scene, pod: &str, what: &str) -> anyhow::Result<()> {
    let selector = format!("involvedObject.name={pod}");
    eventually(&format!("{pod} is told {what}"), async || {
        let events = ["--namespace", &scene.bobs.name, "get", "events", "--field-selector", &selector];
        let told =
            apolo_tests::command::run(scene.bobs.kubectl(events), "").await.map_err(|error| error.to_string())?;
        if told.stdout.contains(what) { Ok(()) } else { Err(told.stdout) }
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn a_container_that_starts_again_has_its_files_and_not_its_variables() -> anyhow::Result<()> {
    let _alone = KUBELET.lock().await;
    with_scene(async |scene| {
        withdrawn(&scene).await?;
        for (name, _, _, read) in WAYS {
            assert_eq!(scene.bobs.inside(name, read).await?, "hunter2", "{name}, nothing has started again");
            scene.bobs.inside(name, "touch /tmp/end").await?;
        }
        for (name, _, _, read) in &WAYS[..2] {
            assert_eq!(starts_again(&scene, name, read).await?, "hunter2", "{name}");
        }
        is_told(&scene, "variable", "Error: secret \"apolo-shared-").await?;
        assert!(!container(&scene, "variable").await.map_err(anyhow::Error::msg)?.ready);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn after_a_restart_of_kubelet_what_runs_goes_on_and_what_ends_waits() -> anyhow::Result<()> {
    let _alone = KUBELET.lock().await;
    with_scene(async |scene| {
        withdrawn(&scene).await?;
        scene.bobs.restart_kubelet()?;
        // Kubelet takes up the Pods that it finds, and does not find what they mount.
        for name in ["file", "directory"] {
            is_told(&scene, name, "FailedMount").await?;
        }
        for (name, _, _, read) in WAYS {
            eventually(&format!("{name} is read"), async || match scene.bobs.inside(name, read).await {
                Ok(value) if value == "hunter2" => Ok(()),
                other => Err(format!("{other:?}")),
            })
            .await?;
            scene.bobs.inside(name, "touch /tmp/end").await?;
        }
        is_told(&scene, "variable", "Error: secret \"apolo-shared-").await?;
        for (name, ..) in WAYS {
            let status = container(&scene, name).await.map_err(anyhow::Error::msg)?;
            assert_eq!(status.restart_count, 0, "{name} does not start again");
        }
        // Given again, all that had ended starts again: what waited lost nothing.
        scene.share("password", &[KEY]).await?;
        for (name, _, _, read) in WAYS {
            assert_eq!(starts_again(&scene, name, read).await?, "hunter2", "{name}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_a_job_prints_is_read_once_though_the_connection_breaks() -> anyhow::Result<()> {
    const LINES: usize = 500;
    let _runs = KUBELET.lock().await;
    with_namespace(async |ns| {
        let group = "rbac.authorization.k8s.io";
        ns.create(&json!({
            "apiVersion": format!("{group}/v1"), "kind": "RoleBinding", "metadata": {"name": "edit"},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "edit"},
            "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": ns.name}],
        }))
        .await?;
        let proxy = Proxy::start(&ns).await?;
        let kubeconfig = ns.kubeconfig_of_account_at(proxy.url(), &ns.name, "default").await?;
        let account = ns.stranger("default")?.with_kubeconfig(Some(kubeconfig));
        eventually("the account may create Jobs", async || {
            let tried =
                account.run(&["run", "--dry-run=server", BUSYBOX], "").await.map_err(|error| error.to_string())?;
            if tried.status.success() { Ok(()) } else { Err(tried.stderr) }
        })
        .await?;
        let script = format!(
            "i=0; while [ $i -lt {LINES} ]; do i=$((i+1)); printf $i; usleep 10000; echo .; done; printf end; exit 4"
        );
        let run = ["run", "--namespace", &ns.name, BUSYBOX, "--", "sh", "-c", &script];
        let run = Running::start(account.apolo(run)?)?;
        for seen in ["50.\n", "150.\n", "300.\n"] {
            run.prints(seen).await?;
            proxy.cut().await?;
        }
        let ended = run.end().await?;
        let lines: String = (1..=LINES).map(|number| format!("{number}.\n")).collect();
        assert_eq!(ended.stdout, format!("{lines}end"), "{}", ended.stderr);
        assert_eq!(ended.status.code(), Some(4), "{}", ended.stderr);
        Ok(())
    })
    .await
}
