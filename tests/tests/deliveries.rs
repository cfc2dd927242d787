//! Shared secrets, delivered: copies, gates, and what becomes of both, on a real API server with its controllers.
#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, ensure};
use apolo_tests::{
    controller::ACCOUNT,
    delivered::{KEY, Scene, copy_name, is_gated, with_scene},
    eventually::{eventually, reached, within},
    objects,
    webhook::RELEASE,
};
use k8s_openapi::api::{
    core::v1::{Pod, ResourceQuota, Secret},
    events::v1::Event,
};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::json;

/// Creates as the controller what a test needs and nobody else may write.
async fn write_copy(scene: &Scene, name: &str) -> anyhow::Result<()> {
    let secret =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {KEY: "forged"}});
    scene.bobs.create_as(&controller(scene).await?, &secret).await?;
    Ok(())
}

/// The account under which the controller writes.
async fn controller(scene: &Scene) -> anyhow::Result<Client> {
    Ok(scene.bobs.service_account(RELEASE, ACCOUNT).await?)
}

#[tokio::test]
async fn each_kind_of_subject_and_workload_gets_its_copy_and_it_goes_when_access_does() -> anyhow::Result<()> {
    with_scene(async |scene| {
        let bobs = &scene.bobs.name;
        for (index, subject) in [
            json!({"kind": "User", "name": "bob"}),
            json!({"kind": "Group", "name": "ml-team"}),
            json!({"kind": "ServiceAccount", "name": "default", "namespace": bobs}),
            json!({"kind": "Namespace", "name": bobs}),
        ]
        .into_iter()
        .enumerate()
        {
            let name = format!("grant-{index}");
            let opens = subject["kind"] == "ServiceAccount" || subject["kind"] == "Namespace";
            let namespaces = if opens { json!([]) } else { json!([bobs]) };
            let fields = json!({"secrets": [KEY], "access": "Use", "subjects": [subject], "namespaces": namespaces});
            scene.alice.share(&name, &fields).await?;
            let template = scene.template(&[KEY]);
            let pod = format!("{name}-pod");
            scene.create(&objects::pod(&pod, &template)).await?;
            scene.create(&objects::job(&format!("{name}-job"), &template)).await?;
            scene.create(&objects::deployment(&format!("{name}-deployment"), &template)).await?;
            scene.create(&objects::stateful_set(&format!("{name}-set"), &template)).await?;
            scene.bobs.is_lifted(&pod).await?;
            for app in ["job", "deployment", "set"] {
                let made = scene.bobs.pod_of(&format!("{name}-{app}")).await?;
                scene.bobs.is_lifted(&made.name_any()).await?;
            }
            scene.bobs.copies_hold(&["hunter2"]).await?;
            let told = scene.bobs.is_told(&pod, "Delivered").await?;
            assert_eq!(told, format!("{} is there for the Pod", scene.reference(KEY)));
            scene.withdraw(&name).await?;
            scene.bobs.copies_hold(&[]).await?;
            scene.clear().await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_jobs_of_a_cron_job_get_their_copy() -> anyhow::Result<()> {
    with_scene(async |scene| {
        scene.share("one", &[KEY]).await?;
        scene.create(&objects::cron_job("nightly", &scene.template(&[KEY]))).await?;
        // A minute at most until the next is due.
        let pod = within(Duration::from_secs(90), "its Job makes a Pod", async || {
            scene.bobs.pod_of("nightly").await.map_err(|error| error.to_string())
        })
        .await?;
        scene.bobs.is_lifted(&pod.name_any()).await?;
        scene.bobs.copies_hold(&["hunter2"]).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_copy_has_only_the_entry_that_is_asked_for_and_nothing_else_of_its_source() -> anyhow::Result<()> {
    with_scene(async |scene| {
        scene.share("one", &["db"]).await?;
        scene.create(&objects::pod("pod", &scene.template(&["db#password"]))).await?;
        let pod = scene.bobs.is_lifted("pod").await?;
        let [copy] = <[Secret; 1]>::try_from(scene.bobs.copies().await?).map_err(|all| anyhow::anyhow!("{all:?}"))?;
        let source = scene.alice.api::<Secret>().get("db").await?;
        let data = copy.data.clone().unwrap_or_default();
        assert_eq!(data.keys().collect::<Vec<_>>(), ["password"]);
        assert_eq!(data["password"].0, b"swordfish");
        assert_eq!(copy.type_.as_deref(), Some("Opaque"));
        let labels: Vec<_> = copy.labels().iter().collect();
        assert_eq!(labels, [(&"secrets.apolo.us/delivery".to_owned(), &"true".to_owned())]);
        let annotations: Vec<(&str, &str)> = copy.annotations().iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let (uid, version) = (source.uid().unwrap(), source.resource_version().unwrap());
        assert_eq!(
            annotations,
            [
                ("secrets.apolo.us/source", format!("{}/db/password", scene.alice.name).as_str()),
                ("secrets.apolo.us/source-uid", uid.as_str()),
                ("secrets.apolo.us/source-version", version.as_str()),
            ]
        );
        assert_eq!(copy.owner_references().iter().map(|it| it.uid.clone()).collect::<Vec<_>>(), [pod.uid().unwrap()]);
        assert!(copy.finalizers().is_empty());
        // The Pod names that copy.
        let env = pod.spec.context("no spec")?.containers[0].env.clone().unwrap_or_default();
        let reference = env[0].value_from.clone().and_then(|from| from.secret_key_ref).context("no reference")?;
        assert_eq!((reference.name, reference.key.as_str()), (copy.name_any(), "password"));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_copy_goes_with_the_last_pod_that_uses_it_whether_deleted_or_finished() -> anyhow::Result<()> {
    with_scene(async |scene| {
        scene.share("one", &[KEY]).await?;
        for name in ["first", "second", "third"] {
            scene.delivered(name).await?;
        }
        scene.bobs.finish("first").await?;
        scene.bobs.delete_pod("second").await?;
        scene.bobs.copies_hold(&["hunter2"]).await?;
        // Whoever is left owns it, so that it goes with him even when nobody looks.
        let third = scene.bobs.api::<Pod>().get("third").await?.uid();
        eventually("the third Pod owns the copy", async || {
            let copies = scene.bobs.copies().await.map_err(|error| error.to_string())?;
            let owners: Vec<_> =
                copies.iter().flat_map(ResourceExt::owner_references).map(|it| it.uid.clone()).collect();
            if owners.iter().any(|owner| Some(owner) == third.as_ref()) { Ok(()) } else { Err(format!("{owners:?}")) }
        })
        .await?;
        scene.bobs.finish("third").await?;
        scene.bobs.copies_hold(&[]).await?;
        scene.delivered("fourth").await?;
        scene.bobs.copies_hold(&["hunter2"]).await?;
        scene.bobs.delete_pod("fourth").await?;
        scene.bobs.copies_hold(&[]).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_copy_follows_its_source_and_goes_with_it_and_comes_back() -> anyhow::Result<()> {
    with_scene(async |scene| {
        scene.share("one", &[KEY, "db"]).await?;
        scene.delivered("first").await?;
        scene.create(&objects::pod("both", &scene.template(&["db#user", "db#password"]))).await?;
        scene.bobs.is_lifted("both").await?;
        scene.bobs.copies_hold(&["alice", "hunter2", "swordfish"]).await?;
        scene.alice.rotate(KEY, KEY, "correct horse").await?;
        scene.alice.rotate("db", "password", "tuna").await?;
        scene.bobs.copies_hold(&["alice", "correct horse", "tuna"]).await?;

        let secrets: Api<Secret> = scene.alice.api();
        secrets.delete(KEY, &DeleteParams::default()).await?;
        scene.bobs.copies_hold(&["alice", "tuna"]).await?;
        // The hook refuses a Pod now; one of a controller that was there before says why it waits.
        scene.alice.secret_of(KEY, &[(KEY, "new")]).await?;
        scene.bobs.copies_hold(&["alice", "new", "tuna"]).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_pod_waits_while_its_source_has_nothing_for_it_and_says_so() -> anyhow::Result<()> {
    with_scene(async |scene| {
        scene.share("one", &["db"]).await?;
        scene.create(&objects::pod("pod", &scene.template(&["db#later"]))).await?;
        let told = scene.bobs.is_told("pod", "SourceMissing").await?;
        assert_eq!(told, format!("{} has no entry \"later\" yet", scene.reference("db#later")));
        ensure!(is_gated(&scene.bobs.api::<Pod>().get("pod").await?) && scene.bobs.copies().await?.is_empty());
        scene.alice.rotate("db", "later", "at last").await?;
        scene.bobs.is_lifted("pod").await?;
        scene.bobs.copies_hold(&["at last"]).await?;
        // Of a Secret that is not there any more RBAC says nothing; that is no refusal.
        scene.share("two", &[KEY]).await?;
        scene.create(&objects::pod("other", &scene.template(&["db#much-later", KEY]))).await?;
        scene.bobs.is_told("other", "SourceMissing").await?;
        scene.alice.api::<Secret>().delete(KEY, &DeleteParams::default()).await?;
        let expected = format!("{} is not there yet", scene.reference(KEY));
        scene.bobs.is_told_that("other", "SourceMissing", &expected).await?;
        scene.alice.secret_of(KEY, &[(KEY, "there")]).await?;
        scene.alice.rotate("db", "much-later", "at last").await?;
        scene.bobs.is_lifted("other").await?;
        let events = scene.bobs.api::<Event>().list(&ListParams::default()).await?;
        let reasons: BTreeSet<_> = events.into_iter().filter_map(|event| event.reason).collect();
        ensure!(!reasons.contains("DeliveryRefused"), "{reasons:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_pod_is_told_that_a_quota_keeps_its_copy_from_being_made() -> anyhow::Result<()> {
    with_scene(async |scene| {
        scene.share("one", &[KEY]).await?;
        let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"},
            "spec": {"hard": {"secrets": "0"}}});
        scene.bobs.create(&quota).await?;
        reached(scene.bobs.api::<ResourceQuota>(), "none", "the quota is counted", |quota: Option<&ResourceQuota>| {
            quota.and_then(|quota| quota.status.as_ref()?.hard.as_ref()).is_some()
        })
        .await?;
        scene.create(&objects::pod("pod", &scene.template(&[KEY]))).await?;
        let told = scene.bobs.is_told("pod", "DeliveryRefused").await?;
        let (reference, bobs) = (scene.reference(KEY), &scene.bobs.name);
        let expected = format!(
            "{reference} cannot be copied to namespace {bobs}: a quota of this namespace is used up; see kubectl describe \
             quota -n {bobs}"
        );
        assert_eq!(told, expected);
        scene.bobs.api::<ResourceQuota>().delete("none", &DeleteParams::default()).await?;
        scene.bobs.is_lifted("pod").await?;
        scene.bobs.copies_hold(&["hunter2"]).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_secret_of_a_type_that_is_not_watched_is_told_of_where_a_copy_should_be() -> anyhow::Result<()> {
    with_scene(async |scene| {
        scene.share("one", &[KEY]).await?;
        let name = copy_name(&scene.alice.name, KEY, KEY);
        let secret =
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": "helm.sh/release.v1"});
        scene.bobs.create_as(&controller(&scene).await?, &secret).await?;
        scene.create(&objects::pod("pod", &scene.template(&[KEY]))).await?;
        let told = scene.bobs.is_told("pod", "DeliveryRefused").await?;
        ensure!(told.contains(&format!("kubectl delete secret {name} -n {}", scene.bobs.name)), "{told}");
        scene.bobs.api::<Secret>().delete(&name, &DeleteParams::default()).await?;
        scene.bobs.is_lifted("pod").await?;
        scene.bobs.copies_hold(&["hunter2"]).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_copy_of_an_entry_that_its_source_has_no_more_goes() -> anyhow::Result<()> {
    with_scene(async |scene| {
        scene.share("one", &["db"]).await?;
        scene.create(&objects::pod("both", &scene.template(&["db#user", "db#password"]))).await?;
        scene.bobs.is_lifted("both").await?;
        scene.bobs.copies_hold(&["alice", "swordfish"]).await?;
        let secrets: Api<Secret> = scene.alice.api();
        let without = Patch::Merge(json!({"data": {"password": null}}));
        secrets.patch("db", &PatchParams::default(), &without).await?;
        scene.bobs.copies_hold(&["alice"]).await?;
        scene.alice.rotate("db", "password", "again").await?;
        scene.bobs.copies_hold(&["again", "alice"]).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_pod_whose_access_ended_before_it_came_stays_gated_until_it_has_it_again() -> anyhow::Result<()> {
    with_scene(async |scene| {
        scene.share("one", &[KEY, "db"]).await?;
        // It waits for what is not there, so that it is there when access ends.
        scene.create(&objects::pod("pod", &scene.template(&[KEY, "db#later"]))).await?;
        scene.bobs.is_told("pod", "SourceMissing").await?;
        scene.alice.change("one", &json!({"secrets": ["db"]})).await?;
        let told = scene.bobs.is_told("pod", "DeliveryRefused").await?;
        let (alice, bobs) = (&scene.alice.name, &scene.bobs.name);
        assert_eq!(
            told,
            format!(
                "bob may not use secret:/{alice}/{KEY} in namespace {bobs}: there is none, or it is not shared with bob for this \
                 namespace. Its owner can run: apolo share secret:{KEY} bob --to {bobs} -n {alice}"
            )
        );
        scene.bobs.copies_hold(&[]).await?;
        scene.alice.rotate("db", "later", "at last").await?;
        scene.alice.change("one", &json!({"secrets": ["db", KEY]})).await?;
        scene.bobs.is_lifted("pod").await?;
        scene.bobs.copies_hold(&["at last", "hunter2"]).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn of_two_who_use_a_copy_one_keeps_it_when_the_other_loses_access() -> anyhow::Result<()> {
    with_scene(async |scene| {
        scene.share("one", &[KEY]).await?;
        let carol = scene.bobs.person("carol").await?;
        let subjects = json!([{"kind": "User", "name": "carol"}]);
        scene
            .alice
            .share("two", &json!({"secrets": [KEY], "subjects": subjects, "namespaces": [scene.bobs.name]}))
            .await?;
        scene.delivered("of-bob").await?;
        let pod = objects::pod("of-carol", &scene.template(&[KEY]));
        within(Duration::from_secs(10), "it is allowed", async || {
            scene.bobs.create_as(&carol, &pod).await.map_err(|error| format!("{error:?}"))
        })
        .await?;
        scene.bobs.is_lifted("of-carol").await?;
        scene.withdraw("one").await?;
        scene.alice.is_withdrawn("one").await?;
        scene.alice.rotate(KEY, KEY, "for carol").await?;
        scene.bobs.copies_hold(&["for carol"]).await?;
        scene.withdraw("two").await?;
        scene.bobs.copies_hold(&[]).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_bears_the_name_of_a_copy_and_is_not_ours_is_never_adopted() -> anyhow::Result<()> {
    with_scene(async |scene| {
        scene.share("one", &[KEY]).await?;
        scene.delivered("first").await?;
        let name = scene.bobs.copies().await?[0].name_any();
        scene.bobs.delete_pod("first").await?;
        scene.bobs.copies_hold(&[]).await?;
        // As one from before the policies may be.
        write_copy(&scene, &name).await?;
        scene.create(&objects::pod("second", &scene.template(&[KEY]))).await?;
        let told = scene.bobs.is_told("second", "DeliveryRefused").await?;
        let bobs = &scene.bobs.name;
        ensure!(told.contains(&format!("kubectl delete secret {name} -n {bobs}")), "{told}");
        ensure!(is_gated(&scene.bobs.api::<Pod>().get("second").await?));
        scene.bobs.copies_hold(&["forged"]).await?;
        scene.bobs.api::<Secret>().delete(&name, &DeleteParams::default()).await?;
        scene.bobs.is_lifted("second").await?;
        scene.bobs.copies_hold(&["hunter2"]).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_copy_that_others_changed_or_took_away_is_made_anew() -> anyhow::Result<()> {
    with_scene(async |scene| {
        scene.share("one", &[KEY]).await?;
        scene.delivered("pod").await?;
        let name = scene.bobs.copies().await?[0].name_any();
        scene.bobs.api::<Secret>().delete(&name, &DeleteParams::default()).await?;
        scene.bobs.copies_hold(&["hunter2"]).await?;
        // The policy lets only the account of the controller; by another field manager it is another's work.
        let secrets: Api<Secret> = Api::namespaced(controller(&scene).await?, &scene.bobs.name);
        let params = PatchParams { field_manager: Some("somebody".into()), ..PatchParams::default() };
        secrets.patch(&name, &params, &Patch::Merge(json!({"stringData": {KEY: "forged"}}))).await?;
        scene.bobs.copies_hold(&["hunter2"]).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn no_finalizer_keeps_a_copy_that_is_withdrawn() -> anyhow::Result<()> {
    with_scene(async |scene| {
        scene.share("one", &[KEY]).await?;
        scene.delivered("pod").await?;
        let copy = scene.bobs.copies().await?[0].clone();
        // Kubernetes keeps an owner that is deleted in the foreground for as long as what it owns is held.
        let owner = json!([{"apiVersion": "v1", "kind": "Secret", "name": copy.name_any(), "uid": copy.uid(), "blockOwnerDeletion": true}]);
        let metadata = json!({"name": "holds", "ownerReferences": owner, "finalizers": ["example.com/held"]});
        scene.bobs.create(&json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})).await?;
        let secrets: Api<Secret> = Api::namespaced(scene.bob.clone(), &scene.bobs.name);
        secrets.delete(&copy.name_any(), &DeleteParams::foreground()).await?;
        eventually("there is another copy", async || {
            let copies = scene.bobs.copies().await.map_err(|error| error.to_string())?;
            let is_another = |it: &Secret| it.uid() != copy.uid() && it.data.is_some();
            if copies.iter().any(is_another) { Ok(()) } else { Err(format!("{} copies", copies.len())) }
        })
        .await?;
        scene.withdraw("one").await?;
        scene.bobs.copies_hold(&[]).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_a_pod_may_still_use_follows_its_source_when_it_has_lost_another() -> anyhow::Result<()> {
    with_scene(async |scene| {
        scene.share("one", &[KEY]).await?;
        scene.share("two", &["db"]).await?;
        scene.create(&objects::pod("pod", &scene.template(&[KEY, "db#password"]))).await?;
        scene.bobs.is_lifted("pod").await?;
        scene.withdraw("two").await?;
        scene.bobs.copies_hold(&["hunter2"]).await?;
        scene.alice.rotate(KEY, KEY, "rotated").await?;
        scene.bobs.copies_hold(&["rotated"]).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_pod_with_a_node_has_no_gate_and_gets_its_copy() -> anyhow::Result<()> {
    with_scene(async |scene| {
        scene.share("one", &[KEY]).await?;
        let mut template = scene.template(&[KEY]);
        template["spec"]["nodeName"] = json!("nowhere");
        scene.create(&objects::pod("pod", &template)).await?;
        ensure!(!is_gated(&scene.bobs.api::<Pod>().get("pod").await?));
        scene.bobs.copies_hold(&["hunter2"]).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_dry_run_is_answered_as_usual_and_delivers_nothing() -> anyhow::Result<()> {
    with_scene(async |scene| {
        scene.share("one", &[KEY]).await?;
        let pods: Api<Pod> = Api::namespaced(scene.bob.clone(), &scene.bobs.name);
        let pod: Pod = serde_json::from_value(objects::pod("dry", &scene.template(&[KEY])))?;
        let dry = PostParams { dry_run: true, ..PostParams::default() };
        let answered = within(Duration::from_secs(10), "it is allowed", async || {
            pods.create(&dry, &pod).await.map_err(|error| error.to_string())
        })
        .await?;
        ensure!(is_gated(&answered));
        // What comes after it is delivered, and it alone.
        scene.alice.rotate(KEY, KEY, "later").await?;
        scene.create(&objects::pod("wet", &scene.template(&[KEY]))).await?;
        let wet = scene.bobs.is_lifted("wet").await?;
        scene.bobs.copies_hold(&["later"]).await?;
        let owners = scene.bobs.copies().await?[0].owner_references().to_vec();
        assert_eq!(owners.iter().map(|it| Some(it.uid.clone())).collect::<Vec<_>>(), [wet.uid()]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_namespace_that_goes_is_left_alone() -> anyhow::Result<()> {
    with_scene(async |scene| {
        scene.share("one", &["db"]).await?;
        let mut template = scene.template(&["db#later"]);
        template["metadata"]["finalizers"] = json!(["example.com/held"]);
        let mut pod = objects::pod("pod", &template);
        pod["metadata"]["finalizers"] = json!(["example.com/held"]);
        scene.create(&pod).await?;
        scene.bobs.is_told("pod", "SourceMissing").await?;
        let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(scene.bobs.client.clone());
        namespaces.delete(&scene.bobs.name, &DeleteParams::default()).await?;
        scene.alice.rotate("db", "later", "too late").await?;
        // Nothing is written there, whatever is tried: the namespace goes as soon as its Pod does.
        let release = Patch::Merge(json!({"metadata": {"finalizers": null}}));
        scene.bobs.api::<Pod>().patch("pod", &PatchParams::default(), &release).await?;
        eventually("the namespace has gone", async || match namespaces.get_opt(&scene.bobs.name).await {
            Ok(None) => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn of_many_pods_that_use_a_copy_sixteen_own_it_at_most() -> anyhow::Result<()> {
    with_scene(async |scene| {
        scene.share("one", &[KEY]).await?;
        let mut job = objects::job("many", &scene.template(&[KEY]));
        job["spec"]["completions"] = json!(40);
        job["spec"]["parallelism"] = json!(40);
        scene.create(&job).await?;
        let pods: Api<Pod> = scene.bobs.api();
        let app = ListParams::default().labels("app=many");
        let all = eventually("forty gates are lifted", async || {
            let pods = pods.list(&app).await.map_err(|error| error.to_string())?.items;
            let lifted = pods.iter().filter(|pod| !is_gated(pod)).count();
            if lifted == 40 { Ok(pods) } else { Err(format!("{lifted} of {}", pods.len())) }
        })
        .await?;
        let owners = scene.bobs.copies().await?[0].owner_references().len();
        ensure!((5..=16).contains(&owners), "{owners}");
        for pod in &all {
            scene.bobs.finish(&pod.name_any()).await?;
        }
        scene.bobs.copies_hold(&[]).await?;
        Ok(())
    })
    .await
}
