//! The states of a Job, each in words, and its end.

use apolo_tests::{
    delivered::{KEY, with_scene},
    eventually::{eventually, reached},
    namespace::with_namespace,
    objects,
};
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{Pod, Secret},
};
use kube::api::DeleteParams;
use serde_json::json;

use super::kubelet::{bind, pod_of, says, sets, start, tells};

#[tokio::test]
async fn each_state_is_told_in_words_and_the_exit_code_is_the_containers() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        let alice = ns.with_kubeconfig("alice").await?;
        let run = start(&alice, &["--name", "train", "-e", "A=secret:later", "busybox:1.35", "--", "true"])?;
        run.tells(&format!("Job train is created in namespace {}\n", ns.name)).await?;
        let pod = pod_of(&ns, "train").await?;
        run.tells("waiting for a node").await?;
        bind(&ns, &pod).await?;
        run.tells("starting\n").await?;
        let creating = json!({"waiting": {"reason": "ContainerCreating"}});
        says(&ns, &pod, "Pending", creating).await?;
        tells(&ns, &pod, "Pulling", "Pulling image \"busybox:1.35\"").await?;
        run.tells("pulling image busybox:1.35\n").await?;
        let no_image = json!({"waiting": {"reason": "ErrImagePull", "message": "no such host"}});
        says(&ns, &pod, "Pending", no_image).await?;
        run.tells("image busybox:1.35 cannot be had: no such host\n").await?;
        let no_secret =
            json!({"waiting": {"reason": "CreateContainerConfigError", "message": "secret \"later\" not found"}});
        says(&ns, &pod, "Pending", no_secret).await?;
        run.tells(&format!(
            "waiting for a secret: secret:later is not there (apolo secret add later -n {})\n",
            ns.name
        ))
        .await?;
        says(&ns, &pod, "Running", json!({"running": {}})).await?;
        run.tells("running\n").await?;
        says(&ns, &pod, "Failed", json!({"terminated": {"exitCode": 3}})).await?;
        let ended = run.end().await?;
        assert_eq!(ended.status.code(), Some(3), "{}", ended.stderr);
        // No kubelet is there that could be asked for the log.
        assert!(ended.stderr.contains("what it prints cannot be read: "), "{}", ended.stderr);
        assert!(
            ended.stderr.ends_with(&format!("Job train of namespace {}: it has ended with exit code 3\n", ns.name))
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn why_there_is_no_pod_is_told() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        let alice = ns.with_kubeconfig("alice").await?;
        let run = start(&alice, &["--service-account", "nobody", "--name", "one", "busybox:1.35"])?;
        run.tells("waiting for a Pod: pods \"one-").await?;
        run.tells("serviceaccount \"nobody\" not found").await?;
        run.signal("TERM")?;
        assert_eq!(run.end().await?.status.code(), Some(130));
        let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small"}, "spec": {"hard": {"pods": "0"}}});
        ns.create(&quota).await?;
        eventually("the quota counts", async || {
            let pod = objects::pod("probe", &objects::template(&[]));
            match ns.create(&pod).await {
                Ok(_) => {
                    ns.delete_pod("probe").await.map_err(|error| error.to_string())?;
                    Err("a Pod was created".to_owned())
                }
                Err(_) => Ok(()),
            }
        })
        .await?;
        let run = start(&alice, &["--name", "two", "busybox:1.35"])?;
        run.tells("exceeded quota: small").await?;
        run.signal("INT")?;
        assert_eq!(run.end().await?.status.code(), Some(130));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn other_ends_are_told_apart() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        let alice = ns.with_kubeconfig("alice").await?;
        let over = alice.run(&["run", "--timeout", "1s", "busybox:1.35"], "").await?;
        assert_eq!(over.status.code(), Some(124), "{}", over.stderr);
        assert!(over.stderr.contains("error: Job busybox-"), "{}", over.stderr);

        let deleted = start(&alice, &["--name", "deleted", "busybox:1.35"])?;
        pod_of(&ns, "deleted").await?;
        deleted.tells("waiting for a node").await?;
        ns.api::<Job>().delete("deleted", &DeleteParams::background()).await?;
        let deleted = deleted.end().await?;
        assert_eq!(deleted.status.code(), Some(125), "{}", deleted.stderr);
        assert!(deleted.stderr.ends_with("it was deleted\n"), "{}", deleted.stderr);

        let killed = start(&alice, &["--name", "killed", "busybox:1.35"])?;
        let pod = pod_of(&ns, "killed").await?;
        killed.tells("waiting for a node").await?;
        ns.delete_pod(&pod).await?;
        let killed = killed.end().await?;
        assert_eq!(killed.status.code(), Some(125), "{}", killed.stderr);
        assert!(killed.stderr.ends_with("its Pod was deleted\n"), "{}", killed.stderr);

        let evicted = start(&alice, &["--name", "evicted", "busybox:1.35"])?;
        let pod = pod_of(&ns, "evicted").await?;
        evicted.tells("waiting for a node").await?;
        sets(&ns, &pod, json!({"phase": "Failed", "reason": "Evicted", "message": "low on memory"})).await?;
        let evicted = evicted.end().await?;
        assert_eq!(evicted.status.code(), Some(125), "{}", evicted.stderr);
        assert!(evicted.stderr.ends_with("its node does not keep its Pod: low on memory\n"), "{}", evicted.stderr);

        let hungry = start(&alice, &["--name", "hungry", "--rm", "busybox:1.35"])?;
        let pod = pod_of(&ns, "hungry").await?;
        bind(&ns, &pod).await?;
        says(&ns, &pod, "Failed", json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}})).await?;
        let hungry = hungry.end().await?;
        assert_eq!(hungry.status.code(), Some(137), "{}", hungry.stderr);
        assert!(hungry.stderr.contains("out of memory"), "{}", hungry.stderr);
        reached(ns.api::<Job>(), "hungry", "--rm has deleted it", |job| job.is_none()).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_never_can_begin_is_not_waited_for() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        let alice = ns.with_kubeconfig("alice").await?;
        let run = start(&alice, &["--name", "bad", "busybox:1.35"])?;
        let pod = pod_of(&ns, "bad").await?;
        bind(&ns, &pod).await?;
        says(&ns, &pod, "Pending", json!({"waiting": {"reason": "InvalidImageName", "message": "couldn't parse"}}))
            .await?;
        let ended = run.end().await?;
        assert_eq!(ended.status.code(), Some(125), "{}", ended.stderr);
        assert!(ended.stderr.contains("cannot be had: couldn't parse\nhint: the Job was deleted"), "{}", ended.stderr);
        reached(ns.api::<Job>(), "bad", "it is deleted", |job| job.is_none()).await?;
        let pods = ns.api::<Pod>();
        reached(pods, &pod, "its Pod is deleted", |pod| {
            pod.is_none_or(|pod| pod.metadata.deletion_timestamp.is_some())
        })
        .await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn why_a_shared_secret_is_not_delivered_is_told() -> anyhow::Result<()> {
    with_scene(async |scene| {
        scene.share("password", &[KEY]).await?;
        let bob = scene.bobs.stranger("bob")?;
        let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": {"secrets": "0"}}});
        scene.bobs.create(&quota).await?;
        eventually("the quota counts", async || match scene.bobs.secret_of("probe", &[]).await {
            Ok(()) => {
                let secrets = scene.bobs.api::<Secret>();
                secrets.delete("probe", &DeleteParams::default()).await.map_err(|error| error.to_string())?;
                Err("a Secret was created".to_owned())
            }
            Err(_) => Ok(()),
        })
        .await?;
        let env = format!("A={}", scene.reference(KEY));
        eventually("it is allowed", async || {
            let tried = bob.run(&["run", "--dry-run=server", "-e", &env, "busybox:1.35"], "").await;
            let tried = tried.map_err(|error| error.to_string())?;
            if tried.status.success() { Ok(()) } else { Err(tried.stderr) }
        })
        .await?;
        let run = start(&bob, &["-e", &env, "busybox:1.35"])?;
        run.tells("waiting for a shared secret").await?;
        run.tells(&format!(": {} cannot be copied to namespace {}", scene.reference(KEY), scene.bobs.name)).await?;
        run.signal("TERM")?;
        assert_eq!(run.end().await?.status.code(), Some(130));
        Ok(())
    })
    .await
}
