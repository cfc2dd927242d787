//! Only some namespaces are watched: what is done in these, and nothing elsewhere. A control plane of its own.
#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]

use anyhow::{Context, ensure};
use apolo_tests::{
    cluster::Cluster,
    delivered::{ENV, KEY, Scene},
    namespace::Namespace,
    objects,
};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

const BY: &str = "secrets.apolo.us/launched-by";

/// A Pod of bob's, who has lost or never had a right to what it asks for; what is said.
async fn refused(scene: &Scene, reference: &str) -> anyhow::Result<String> {
    let pod = objects::pod("refused", &objects::template(&[(ENV, &format!("A={reference}"))]));
    match scene.bobs.create_as(&scene.bob, &pod).await {
        Ok(_) => anyhow::bail!("{reference} is allowed"),
        Err(error) => Ok(format!("{error:?}")),
    }
}

/// The webhook and the policies have nothing to do with what is made outside.
async fn nothing_is_held_up(outside: &Namespace, inside: &Namespace) -> anyhow::Result<()> {
    let asks = |name: &str, value: &str| objects::pod(name, &objects::template(&[(ENV, value)]));
    let forged = objects::pod("forged", &objects::template(&[(BY, "mallory")]));
    for (pod, says) in [(asks("mistaken", "mistake"), "there is no"), (forged, "name another than you")] {
        let refusal = match inside.create(&pod).await {
            Ok(_) => anyhow::bail!("{pod} is allowed"),
            Err(error) => format!("{error:?}"),
        };
        ensure!(refusal.contains(says), "{refusal}");
        outside.create(&pod).await?;
    }
    outside.create(&asks("asks", "A=secret:a")).await?;
    let stored = outside.api::<Pod>().get("asks").await?;
    assert!(stored.metadata.annotations.is_some_and(|annotations| !annotations.contains_key(BY)));
    let spec = stored.spec.context("no spec")?;
    assert!(spec.containers[0].env.is_none(), "{:?}", spec.containers[0].env);
    Ok(())
}

#[tokio::test]
async fn outside_the_watched_namespaces_nothing_is_done_and_nobody_owns_anything() -> anyhow::Result<()> {
    let cluster = Cluster::start().await?;
    let body = async |namespaces: &[Namespace]| {
        let [alice, bobs, carol] = namespaces else { anyhow::bail!("three namespaces") };
        let watched = ["default", &alice.name, &bobs.name];
        let _webhook = cluster.install_watching(&watched).await?;
        let everywhere = cluster.start_controller("controller", &[]).await?;
        everywhere.leads().await?;
        let scene = Scene::new(alice.clone(), bobs.clone()).await?;
        carol.secret_of(KEY, &[(KEY, "correct horse")]).await?;
        nothing_is_held_up(carol, bobs).await?;

        // RBAC itself lets bob use what carol shares, as long as this controller leads.
        let subjects = json!([{"kind": "User", "name": "bob"}]);
        let fields = json!({"secrets": [KEY], "access": "Use", "subjects": subjects, "namespaces": [bobs.name]});
        carol.share("one", &fields).await?;
        carol.stands("one", "Granted").await?;
        carol.comes_to(&scene.bob, KEY, &["use"]).await?;
        scene.share("one", &[KEY]).await?;
        scene.delivered("stays").await?;
        carol.catalog_owns(&[KEY]).await?;
        let of_carol = refused(&scene, &format!("secret:/{}/{KEY}", carol.name)).await?;
        let of_nobody = refused(&scene, &format!("secret:/nobody/{KEY}")).await?;
        ensure!(of_carol.contains("there is none, or it is not shared"), "{of_carol}");
        assert_eq!(of_carol.replace(&carol.name, "nobody"), of_nobody);

        // The next one acts where the webhook does, and what was granted elsewhere is withdrawn.
        let mut everywhere = everywhere;
        everywhere.stop().await?;
        let names = format!("--watch-namespaces={}", watched.join(","));
        let there = cluster.start_controller("second", &[&names]).await?;
        there.leads().await?;
        carol.is_withdrawn("one").await?;
        carol.comes_to(&scene.bob, KEY, &[]).await?;
        carol.catalog("there is none", Value::is_null).await?;
        bobs.catalog_shares(&[&format!("{}/{KEY}", alice.name)]).await?;
        alice.stands("one", "Granted").await?;
        scene.delivered("comes").await?;
        bobs.copies_hold(&["hunter2"]).await?;
        Ok(())
    };
    cluster.with_namespaces(3, body).await
}
