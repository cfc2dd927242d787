//! A SecretGrant from its beginning to its end: what it gives and takes when it or its secrets change, come, go or expire.
#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use anyhow::Context;
use apolo_tests::{
    eventually::eventually,
    grants::{VERSION, grant},
    namespace::with_namespace,
    rights,
    sharing::in_seconds,
};
use k8s_openapi::{
    api::{core::v1::Secret, events::v1::Event},
    jiff::Timestamp,
};
use kube::{
    Api,
    api::{DeleteParams, PropagationPolicy},
};
use serde_json::{Map, Value, json};

#[tokio::test]
async fn a_secret_gets_its_rule_when_it_comes_and_loses_it_when_it_goes() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        ns.secret("one").await?;
        ns.share("shared", &json!({"secrets": ["one", "AWS_KEY"], "subjects": [{"kind": "User", "name": ns.name}]}))
            .await?;
        let bob = ns.user(&ns.name, &[]).await?;
        let hashed = "aws-key-4cea0ddbcf43f8cf";
        for _ in 0..2 {
            let status = ns.stands("shared", "SecretNotFound").await?;
            let message = status["conditions"][0]["message"].as_str().context("no message")?;
            assert!(message.ends_with(r#": "AWS_KEY""#), "{message}");
            ns.comes_to(&bob, "one", &["use", "get"]).await?;
            ns.comes_to(&bob, hashed, &[]).await?;
            ns.secret(hashed).await?;
            ns.stands("shared", "Granted").await?;
            ns.comes_to(&bob, hashed, &["use", "get"]).await?;
            ns.api::<Secret>().delete(hashed, &DeleteParams::default()).await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_is_narrowed_is_lost_and_the_rest_stays() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        ns.secret("one").await?;
        ns.secret("two").await?;
        let (bob, carol) = (format!("bob-{}", ns.name), format!("carol-{}", ns.name));
        let users =
            |names: &[&String]| names.iter().map(|name| json!({"kind": "User", "name": name})).collect::<Value>();
        ns.share("shared", &json!({"secrets": ["one", "two"], "access": "Write", "subjects": users(&[&bob, &carol])}))
            .await?;
        let (bobs, carols) = (ns.user(&bob, &[]).await?, ns.user(&carol, &[]).await?);
        ns.comes_to(&carols, "two", &["use", "get", "update", "patch"]).await?;
        ns.change("shared", &json!({"access": "Use"})).await?;
        ns.comes_to(&bobs, "one", &["use"]).await?;
        ns.change("shared", &json!({"secrets": ["one"]})).await?;
        ns.comes_to(&bobs, "two", &[]).await?;
        ns.change("shared", &json!({"subjects": users(&[&carol])})).await?;
        ns.comes_to(&bobs, "one", &[]).await?;
        ns.comes_to(&carols, "one", &["use"]).await?;
        // Other secrets to other subjects, at once.
        ns.change("shared", &json!({"secrets": ["two"], "subjects": users(&[&bob])})).await?;
        ns.comes_to(&bobs, "two", &["use"]).await?;
        ns.comes_to(&carols, "one", &[]).await?;
        assert!(rights::verbs(&carols, &rights::secret(&ns.name, "two")).await?.is_empty());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_grant_that_is_deleted_in_whatever_way_leaves_nothing() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        ns.secret("secret-password").await?;
        let bob = ns.user(&ns.name, &[]).await?;
        for policy in [PropagationPolicy::Background, PropagationPolicy::Foreground, PropagationPolicy::Orphan] {
            ns.share("shared", &json!({"subjects": [{"kind": "User", "name": ns.name}]})).await?;
            ns.comes_to(&bob, "secret-password", &["use", "get"]).await?;
            let params = DeleteParams { propagation_policy: Some(policy), ..DeleteParams::default() };
            ns.grants().delete("shared", &params).await?;
            ns.is_withdrawn("shared").await?;
            ns.comes_to(&bob, "secret-password", &[]).await?;
            eventually("the grant is gone", async || match ns.grants().get_opt("shared").await {
                Ok(None) => Ok(()),
                other => Err(format!("{other:?}")),
            })
            .await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_grant_ends_when_it_expires_and_acts_again_when_its_expiry_is_changed() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        ns.secret("secret-password").await?;
        let bob = ns.user(&ns.name, &[]).await?;
        let expiry = in_seconds(4);
        ns.share("shared", &json!({"expiresAt": expiry, "subjects": [{"kind": "User", "name": ns.name}]})).await?;
        ns.comes_to(&bob, "secret-password", &["use", "get"]).await?;
        let status = ns.stands("shared", "Expired").await?;
        assert!(Timestamp::now() >= expiry.parse()?);
        assert_eq!((&status["uris"], status["expired"].is_string()), (&Value::Null, true));
        ns.comes_to(&bob, "secret-password", &[]).await?;
        ns.is_withdrawn("shared").await?;
        ns.change("shared", &json!({"access": "Use"})).await?;
        ns.stands("shared", "Expired").await?;
        ns.change("shared", &json!({"expiresAt": in_seconds(3600)})).await?;
        ns.stands("shared", "Granted").await?;
        ns.comes_to(&bob, "secret-password", &["use"]).await?;
        ns.change("shared", &json!({"expiresAt": in_seconds(-3600)})).await?;
        ns.stands("shared", "Expired").await?;
        ns.is_withdrawn("shared").await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn events_tell_how_a_grant_came_to_stand() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        ns.share("shared", &json!({})).await?;
        ns.stands("shared", "SecretNotFound").await?;
        ns.secret("secret-password").await?;
        let events: Api<Event> = ns.api();
        eventually("Events of both", async || {
            let all = events.list(&Default::default()).await.map_err(|error| error.to_string())?;
            let ours = all
                .into_iter()
                .filter(|event| event.regarding.as_ref().is_some_and(|it| it.api_version.as_deref() == Some(VERSION)));
            let reasons: BTreeSet<String> = ours.filter_map(|event| event.reason).collect();
            if reasons == BTreeSet::from(["Granted".into(), "SecretNotFound".into()]) {
                Ok(())
            } else {
                Err(format!("{reasons:?}"))
            }
        })
        .await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_manage_grant_that_ends_takes_along_what_came_from_it() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        ns.secret("secret-password").await?;
        let bob = ns.user(&ns.name, &[]).await?;
        let manage = json!({"access": "Manage", "subjects": [{"kind": "User", "name": ns.name}]});
        ns.share("parent", &manage).await?;
        ns.comes_to(&bob, "secret-password", &["use", "get", "update", "patch", "delete", "share"]).await?;
        ns.create_as(&bob, &grant("child", &Map::new())).await?;
        ns.stands("child", "Granted").await?;
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
