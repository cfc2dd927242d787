//! The controller killed immediately before and after each write that it sends about certificates: the webhook is believed all the
//! while, and when the next controller has run everything is right.
#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]

use anyhow::{Context, ensure};
use apolo_tests::{
    certificates::{ARGUMENTS, CA, SERVING, Site, Watched},
    controller::{Controller, LEASE},
    eventually::{eventually, within},
    proxy::{Proxy, Stop, When, Write},
    webhook::RELEASE,
};
use k8s_openapi::api::{admissionregistration::v1::MutatingWebhookConfiguration, coordination::v1::Lease};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::json;
use std::time::Duration;

/// So short that webhooks are soon held to have loaded what was made, before which no third authority is made.
const LIFE: &str = "--serving-certificate-life=18s";
/// As many kills as there have to be at least.
const LEAST: usize = 24;

/// What somebody does.
#[derive(Clone, Copy, Debug)]
enum Deed {
    /// He deletes the Secret of the authority.
    NoAuthority,
    /// He deletes the Secret of the serving pair.
    NoServing,
    /// He writes something else into it.
    Spoilt,
    /// He writes another caBundle into one of the hooks.
    Overwritten,
}

use Deed::{NoAuthority, NoServing, Overwritten, Spoilt};

/// A webhook, and controllers one after the other, behind a proxy.
struct Scene {
    site: Site,
    proxy: Proxy,
    controller: Option<Controller>,
}

impl Scene {
    async fn new() -> anyhow::Result<Self> {
        let site = Site::start().await?;
        let proxy = Proxy::start(&site.cluster).await?;
        Ok(Self { site, proxy, controller: None })
    }

    /// Starts the next. The Lease goes first: that of one that was killed would have to run out.
    async fn start(&mut self, stop: Option<Stop>) -> anyhow::Result<()> {
        self.proxy.begin(stop);
        let leases: Api<Lease> = Api::namespaced(self.site.cluster.admin().await?, RELEASE);
        if let Some(lease) = leases.get_opt(LEASE).await? {
            leases.delete(&lease.name_any(), &DeleteParams::default()).await?;
        }
        let arguments = [ARGUMENTS[0], ARGUMENTS[1], LIFE];
        let controller = self.site.cluster.start_controller_behind(&self.proxy, "controller", &arguments).await?;
        controller.leads().await?;
        self.controller = Some(controller);
        Ok(())
    }

    async fn does(&self, deed: Deed) -> anyhow::Result<()> {
        let secrets = self.site.secrets().await?;
        match deed {
            NoAuthority => drop(secrets.delete(CA, &DeleteParams::default()).await?),
            NoServing => drop(secrets.delete(SERVING, &DeleteParams::default()).await?),
            Spoilt => {
                let garbage = Patch::Merge(json!({"stringData": {"tls.crt": "garbage"}}));
                secrets.patch(SERVING, &PatchParams::default(), &garbage).await?;
            }
            Overwritten => {
                let all: Api<MutatingWebhookConfiguration> = Api::all(self.site.cluster.admin().await?);
                // As it is after somebody has applied a manifest that says nothing of it with force.
                let hook = json!({"name": "pods.secrets.apolo.us", "clientConfig": {"caBundle": null}});
                let patch = Patch::Strategic(json!({"webhooks": [hook]}));
                all.patch(RELEASE, &PatchParams::default(), &patch).await?;
            }
        }
        Ok(())
    }

    /// Waits until all is right, and something else stands where the deed was done.
    async fn rests(&self, deed: Deed, before: &str) -> anyhow::Result<()> {
        eventually("it is made anew", async || {
            let now = self.stands(deed).await.map_err(|error| error.to_string())?;
            if matches!(deed, Overwritten) || now != before { Ok(()) } else { Err("not yet".to_owned()) }
        })
        .await?;
        self.site.is_right().await.map(drop)
    }

    /// What stands where a deed is done to, before it.
    async fn stands(&self, deed: Deed) -> anyhow::Result<String> {
        self.site.entry(if matches!(deed, NoAuthority) { CA } else { SERVING }, "tls.crt").await
    }

    /// The writes that follow a deed.
    async fn writes(&mut self, deed: Deed) -> anyhow::Result<Vec<Write>> {
        self.start(None).await?;
        let before = self.stands(deed).await?;
        self.does(deed).await?;
        self.rests(deed, &before).await?;
        let writes = self.proxy.numbered();
        self.controller = None;
        Ok(writes)
    }

    /// Kills the controller at one of these writes; whether the write came.
    async fn killed(&mut self, deed: Deed, stop: Stop) -> anyhow::Result<bool> {
        self.start(Some(stop)).await?;
        let before = self.stands(deed).await?;
        self.does(deed).await?;
        let came = within(Duration::from_secs(20), "the write to stop at", async || self.proxy.stopped().await).await;
        self.controller = None;
        self.start(None).await?;
        self.rests(deed, &before).await?;
        self.controller = None;
        Ok(came.is_ok())
    }
}

/// Nothing went wrong, as far as a caBundle was not somebody else's.
async fn all_well(deed: Deed, watched: &Watched) -> anyhow::Result<()> {
    eventually("enough is asked", async || if watched.is_enough() { Ok(()) } else { Err("not yet") }).await?;
    let seen = watched.take();
    let is_to_fail = matches!(deed, Overwritten);
    ensure!(is_to_fail || seen.failures.is_empty(), "{} failures: {:?}", seen.failures.len(), seen.failures.first());
    ensure!(seen.most <= 2, "{} authorities in a caBundle", seen.most);
    Ok(())
}

#[tokio::test]
async fn a_controller_that_is_killed_around_any_write_of_certificates_leaves_the_webhook_believed() -> anyhow::Result<()>
{
    let mut scene = Scene::new().await?;
    // The first start, killed at each of its writes.
    let mut kills = 0;
    // An authority, two caBundles, each owned no more then, and a serving pair.
    for write in 1..=6 {
        for when in [When::Before, When::After] {
            scene.start(Some(Stop { number: 1, when })).await?;
            scene.proxy.stopped().await.with_context(|| format!("{when:?} write {write} of the first start"))?;
            scene.controller = None;
            kills += 1;
        }
    }
    scene.start(None).await?;
    scene.site.is_right().await.context("after the first start")?;
    scene.controller = None;
    println!("first start: {kills} kills");

    let believed = scene.site.believed().await?;
    eventually("a Pod is admitted", async || believed.admits().await).await?;
    let watched = scene.site.watch().await?;
    for deed in [NoAuthority, NoServing, Spoilt, Overwritten] {
        let writes = scene.writes(deed).await.with_context(|| format!("{deed:?}"))?;
        ensure!(!writes.is_empty(), "{deed:?}: nothing was written");
        println!("{deed:?}: {}", writes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "));
        all_well(deed, &watched).await.with_context(|| format!("{deed:?}"))?;
        // What there is before a write is what there is after the one before.
        let stops = (1..=writes.len()).map(|number| Stop { number, when: When::After });
        for stop in [Stop { number: 1, when: When::Before }].into_iter().chain(stops) {
            let what = || format!("{deed:?}, {stop:?} of {}", writes.len());
            kills += usize::from(scene.killed(deed, stop).await.with_context(what)?);
            all_well(deed, &watched).await.with_context(what)?;
        }
    }
    println!("{kills} kills in all");
    ensure!(kills >= LEAST, "{kills} kills are too few to show anything");
    Ok(())
}
