//! Somebody with few rights runs a Job.

use apolo_tests::{namespace::Namespace, namespace::with_namespace, rights};
use k8s_openapi::api::batch::v1::Job;
use kube::api::ListParams;
use serde_json::{Value, json};

use super::kubelet::{bind, pod_of, says, start};

/// Lets bob do this here.
async fn lets(ns: &Namespace, rules: Value) -> anyhow::Result<()> {
    let group = "rbac.authorization.k8s.io";
    ns.create(
        &json!({"apiVersion": format!("{group}/v1"), "kind": "Role", "metadata": {"name": "few"}, "rules": rules}),
    )
    .await?;
    ns.create(&json!({
        "apiVersion": format!("{group}/v1"), "kind": "RoleBinding", "metadata": {"name": "few"},
        "roleRef": {"apiGroup": group, "kind": "Role", "name": "few"},
        "subjects": [{"apiGroup": group, "kind": "User", "name": "bob"}],
    }))
    .await?;
    let client = ns.user("bob", &[]).await?;
    let about = json!({"namespace": ns.name, "group": "batch", "resource": "jobs"});
    rights::come_to(&client, &about, &["create", "get"]).await?;
    Ok(())
}

#[tokio::test]
async fn who_may_not_create_jobs_is_told_so() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        let refused = ns.stranger("bob")?.run(&["run", "busybox:1.35"], "").await?;
        assert_eq!(refused.status.code(), Some(125), "{}", refused.stderr);
        assert!(refused.stderr.contains("cannot create resource \"jobs\""), "{}", refused.stderr);
        assert!(ns.api::<Job>().list(&ListParams::default()).await?.items.is_empty());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn where_neither_watch_nor_list_is_allowed_the_one_pod_is_looked_at() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        lets(
            &ns,
            json!([
                {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create", "get"]},
                {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]},
                {"apiGroups": [""], "resources": ["events"], "verbs": ["list", "watch"]},
            ]),
        )
        .await?;
        let run = start(&ns.stranger("bob")?, &["--name", "one", "busybox:1.35"])?;
        run.tells("waiting for a node").await?;
        let pod = pod_of(&ns, "one").await?;
        bind(&ns, &pod).await?;
        says(&ns, &pod, "Failed", json!({"terminated": {"exitCode": 9}})).await?;
        let ended = run.end().await?;
        assert_eq!(ended.status.code(), Some(9), "{}", ended.stderr);
        assert!(ended.stderr.contains("what it prints cannot be read: "), "{}", ended.stderr);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn where_pods_may_not_be_seen_the_job_tells_the_end() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        lets(&ns, json!([{"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create", "get"]}])).await?;
        let run = start(&ns.stranger("bob")?, &["--name", "one", "busybox:1.35"])?;
        run.tells("you may not see its Pod").await?;
        let pod = pod_of(&ns, "one").await?;
        bind(&ns, &pod).await?;
        says(&ns, &pod, "Succeeded", json!({"terminated": {"exitCode": 0}})).await?;
        let ended = run.end().await?;
        assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
        Ok(())
    })
    .await
}
