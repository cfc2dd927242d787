//! A secret of alice's in bob's containers.

use apolo_tests::{
    delivered::{KEY, Scene, with_scene},
    node::containers::template,
    objects,
};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    ResourceExt,
    api::{DeleteParams, ListParams},
};
use serde_json::Value;

const READ: &str = "cat /secrets/password; echo; cat /etc/tokens/secret-password; echo; echo $PASSWORD";

const HUNTER2: &str = "hunter2\nhunter2\nhunter2";

/// What bob submits: a template that asks for alice's password as a file, in a directory and as a variable, and runs this.
fn asking(scene: &Scene, script: &str) -> Value {
    let reference = scene.reference(KEY);
    let volume = format!("{reference}:/secrets/password\n{reference}:/etc/tokens/");
    let env = format!("PASSWORD={reference}");
    template(&[("secrets.apolo.us/volume", &volume), ("secrets.apolo.us/env", &env)], script)
}

#[tokio::test]
async fn bobs_job_reads_it_and_its_copy_goes_when_the_job_has_ended() -> anyhow::Result<()> {
    with_scene(async |scene| {
        scene.share("password", &[KEY]).await?;
        scene.create(&objects::job("train", &asking(&scene, READ))).await?;
        let pod = scene.bobs.pod_of("train").await?.name_any();
        assert_eq!(scene.bobs.printed(&pod, "main").await?.trim(), HUNTER2);
        scene.bobs.copies_hold(&[]).await?;
        // The Pod is still there, ended; it has kept nothing that holds the copy.
        assert_eq!(scene.bobs.api::<Pod>().get(&pod).await?.name_any(), pod);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_copy_goes_when_the_last_running_pod_is_deleted() -> anyhow::Result<()> {
    with_scene(async |scene| {
        scene.share("password", &[KEY]).await?;
        for name in ["one", "other"] {
            scene.create(&objects::pod(name, &asking(&scene, "sleep 600"))).await?;
            scene.bobs.runs(name).await?;
            assert_eq!(scene.bobs.inside(name, READ).await?, HUNTER2);
        }
        scene.bobs.delete_pod("one").await?;
        assert_eq!(scene.bobs.inside("other", READ).await?, HUNTER2);
        scene.bobs.copies_hold(&["hunter2"]).await?;
        scene.bobs.delete_pod("other").await?;
        scene.bobs.copies_hold(&[]).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_running_pod_keeps_what_it_had_when_access_is_withdrawn() -> anyhow::Result<()> {
    with_scene(async |scene| {
        scene.share("password", &[KEY]).await?;
        scene.create(&objects::pod("running", &asking(&scene, "sleep 600"))).await?;
        scene.bobs.runs("running").await?;
        scene.withdraw("password").await?;
        scene.bobs.copies_hold(&[]).await?;
        assert_eq!(scene.bobs.inside("running", READ).await?, HUNTER2);
        let params = ListParams::default();
        assert_eq!(scene.bobs.api::<Pod>().list(&params).await?.items.len(), 1);
        scene.bobs.api::<Pod>().delete("running", &DeleteParams::default()).await?;
        Ok(())
    })
    .await
}
