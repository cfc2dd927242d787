//! What each access of a SecretGrant lets whom do, on a real API server, by the real controller under the account that the chart
//! makes.
#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use anyhow::Context;
use apolo_tests::{
    eventually::eventually,
    grants::grant,
    namespace::{Namespace, with_namespace},
    rights,
};
use k8s_openapi::api::{authorization::v1::SelfSubjectRulesReview, core::v1::Secret};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::json;

#[tokio::test]
async fn each_access_is_exactly_these_verbs_on_exactly_these_secrets() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        let hashed = "aws-key-4cea0ddbcf43f8cf";
        for name in ["one", "two", hashed, "neighbour"] {
            ns.secret(name).await?;
        }
        for (access, verbs) in [
            ("Use", &["use"][..]),
            ("Read", &["use", "get"]),
            ("Write", &["use", "get", "update", "patch"]),
            ("Manage", &["use", "get", "update", "patch", "delete", "share"]),
        ] {
            let user = format!("bob-{access}-{}", ns.name);
            let bob = ns.user(&user, &[]).await?;
            let name = access.to_lowercase();
            let subjects = json!([{"kind": "User", "name": user}]);
            let fields = json!({"secrets": ["two", "one", "AWS_KEY"], "access": access, "subjects": subjects});
            ns.share(&name, &fields).await?;
            let status = ns.stands(&name, "Granted").await?;
            let uri = |key| format!("secret://default/{}/{key}", ns.name);
            assert_eq!(status["uris"], json!([uri("two"), uri("one"), uri("AWS_KEY")]));
            for name in ["one", "two", hashed] {
                ns.comes_to(&bob, name, verbs).await?;
            }
            assert!(rights::verbs(&bob, &rights::secret(&ns.name, "neighbour")).await?.is_empty(), "{access}");
            let mut expected =
                BTreeSet::from([("secrets".to_owned(), strings(verbs), strings(&[hashed, "one", "two"]))]);
            if access == "Manage" {
                expected.insert(("secretgrants".to_owned(), strings(&["create"]), Vec::new()));
            }
            assert_eq!(rules(&bob, &ns).await?, expected, "{access}");
            tries(&bob, &ns, verbs).await?;
        }
        Ok(())
    })
    .await
}

/// Does what RBAC says that one may do with the Secret `one`, and what it does not: the answer is the same.
async fn tries(client: &Client, ns: &Namespace, verbs: &[&str]) -> anyhow::Result<()> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &ns.name);
    let allowed = |verb: &str, answer: Result<(), kube::Error>| match answer {
        Ok(()) => assert!(verbs.contains(&verb), "{verb} was allowed"),
        Err(kube::Error::Api(status)) if status.code == 403 => assert!(!verbs.contains(&verb), "{verb} was refused"),
        Err(error) => unreachable!("{verb}: {error}"),
    };
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    let stored = ns.api::<Secret>().get("one").await?;
    allowed("get", secrets.get("one").await.map(drop));
    allowed("update", secrets.replace("one", &dry, &stored).await.map(drop));
    let patch = Patch::Merge(json!({"metadata": {"labels": {"a": "b"}}}));
    allowed("patch", secrets.patch("one", &PatchParams::default(), &patch).await.map(drop));
    allowed("delete", secrets.delete("one", &DeleteParams::default().dry_run()).await.map(drop));
    allowed("list", secrets.list(&Default::default()).await.map(drop));
    Ok(())
}

#[tokio::test]
async fn each_kind_of_subject_gets_access_and_nobody_beside_it() -> anyhow::Result<()> {
    with_namespace(async |other| {
        with_namespace(async |ns| {
            ns.secret("secret-password").await?;
            let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "trainer"}});
            ns.create(&account).await?;
            let (bob, team) = (format!("bob-{}", ns.name), format!("team-{}", ns.name));
            ns.share(
                "shared",
                &json!({"access": "Use", "subjects": [
                    {"kind": "User", "name": bob},
                    {"kind": "Group", "name": team},
                    {"kind": "ServiceAccount", "name": "trainer", "namespace": ns.name},
                    {"kind": "Namespace", "name": other.name},
                ]}),
            )
            .await?;
            ns.stands("shared", "Granted").await?;
            for subject in [
                ns.user(&bob, &[]).await?,
                ns.user("somebody", &[&team]).await?,
                ns.service_account(&ns.name, "trainer").await?,
                ns.service_account(&other.name, "default").await?,
            ] {
                ns.comes_to(&subject, "secret-password", &["use"]).await?;
            }
            for stranger in [ns.user("somebody", &[]).await?, ns.service_account(&ns.name, "default").await?] {
                assert!(rights::verbs(&stranger, &rights::secret(&ns.name, "secret-password")).await?.is_empty());
            }
            Ok(())
        })
        .await
    })
    .await
}

/// The rules about Secrets and grants that RBAC tells a client of, as verbs and names.
async fn rules(client: &Client, ns: &Namespace) -> anyhow::Result<BTreeSet<(String, Vec<String>, Vec<String>)>> {
    let review: SelfSubjectRulesReview = serde_json::from_value(json!({"spec": {"namespace": ns.name}}))?;
    let answer = Api::all(client.clone()).create(&PostParams::default(), &review).await?;
    let rules = answer.status.context("no rules")?.resource_rules;
    let about = rules.into_iter().filter_map(|rule| {
        let resource = rule.resources?.first()?.clone();
        let ours = ["secrets", "secretgrants"].contains(&resource.as_str());
        ours.then(|| (resource, rule.verbs, rule.resource_names.unwrap_or_default()))
    });
    Ok(about.collect())
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

#[tokio::test]
async fn a_manage_grant_reaches_the_grants_that_came_from_it_and_takes_them_along() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        ns.secret("secret-password").await?;
        let bob = ns.user(&ns.name, &[]).await?;
        let parent = json!({"access": "Manage", "subjects": [{"kind": "User", "name": ns.name}]});
        ns.share("parent", &parent).await?;
        ns.stands("parent", "Granted").await?;
        let uid = ns.grants().get("parent").await?.uid().context("no uid")?;
        let mut child = grant("child", &Default::default());
        child["metadata"]["annotations"] = json!({"secrets.apolo.us/granted-via": format!("{uid} {}", ns.name)});
        ns.create(&child).await?;
        ns.stands("child", "Granted").await?;
        let on_child = ("secretgrants".to_owned(), strings(&["get", "update", "patch", "delete"]), strings(&["child"]));
        eventually("the rule on the child", async || match rules(&bob, &ns).await {
            Ok(rules) if rules.contains(&on_child) => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await?;
        ns.change("parent", &json!({"access": "Write"})).await?;
        ns.stands("child", "Withdrawn").await?;
        ns.is_withdrawn("child").await?;
        ns.change("parent", &json!({"access": "Manage"})).await?;
        ns.stands("parent", "Granted").await?;
        ns.stands("child", "Withdrawn").await?;
        Ok(())
    })
    .await
}
