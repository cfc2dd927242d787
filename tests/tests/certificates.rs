//! The webhook's certificates, made by the controller: no Pod that asks waits for them or is refused because of them, whatever becomes of
//! them, and no key is told to anybody.
#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::{collections::BTreeSet, path::Path, time::Duration};

use anyhow::{Context, ensure};
use apolo_tests::{
    certificates::{Believed, CA, SERVING, Site, Watched, authority},
    command,
    eventually::{eventually, within},
    namespace::with_namespace,
    rights,
    webhook::RELEASE,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use k8s_openapi::api::{
    admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration},
    core::v1::Secret,
};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use tokio::time::Instant;

/// How long a caBundle that somebody else has written may stay so.
const REPAIRED: Duration = Duration::from_secs(5);

/// Names, in the environment, how many renewals there are to be at least before anything else happens.
const RENEWALS: &str = "APOLO_RENEWALS";

/// What somebody does to a Secret.
enum Harm {
    /// He deletes these.
    Delete(&'static [&'static str]),
    /// He writes into one.
    Write(&'static str, Value),
    /// He puts another of this type in its place.
    Replace(&'static str, &'static str),
}

use Harm::{Delete, Replace, Write};

async fn harm(site: &Site, harm: Harm) -> anyhow::Result<()> {
    let secrets = site.secrets().await?;
    match harm {
        Delete(names) => {
            for name in names {
                secrets.delete(name, &DeleteParams::default()).await?;
            }
        }
        Write(name, fields) => {
            secrets.patch(name, &PatchParams::default(), &Patch::Merge(fields)).await?;
        }
        Replace(name, kind) => {
            secrets.delete(name, &DeleteParams::default()).await?;
            let other =
                json!({"metadata": {"name": name}, "type": kind, "stringData": {"tls.crt": "x", "tls.key": "y"}});
            // The controller may be faster.
            let _there = secrets.create(&PostParams::default(), &serde_json::from_value(other)?).await;
        }
    }
    Ok(())
}

/// Nothing has gone wrong since this was asked last, and enough was asked to tell.
async fn all_well(what: &str, watched: &Watched) -> anyhow::Result<()> {
    eventually("enough is asked", async || if watched.is_enough() { Ok(()) } else { Err("not yet") }).await?;
    let seen = watched.take();
    ensure!(seen.failures.is_empty(), "{what}: {} failures: {:?}", seen.failures.len(), seen.failures.first());
    ensure!(seen.most <= 2, "{what}: {} authorities in a caBundle", seen.most);
    Ok(())
}

/// Somebody writes another caBundle into one hook, and the controller the right one again.
async fn overwritten(site: &Site, believed: &Believed, watched: &Watched) -> anyhow::Result<Duration> {
    let configurations: Api<ValidatingWebhookConfiguration> = Api::all(site.cluster.admin().await?);
    let foreign = STANDARD.encode(authority(Duration::from_secs(3600))?.0);
    let hook = json!({"name": "pods.secrets.apolo.us", "clientConfig": {"caBundle": foreign}});
    let patch = Patch::Strategic(json!({"webhooks": [hook]}));
    let right = site.entry(CA, "tls.crt").await?;
    configurations.patch(RELEASE, &PatchParams::default(), &patch).await?;
    let began = Instant::now();
    within(REPAIRED, "caBundle is right again", async || {
        let bundles = believed.bundles().await?;
        if bundles.iter().all(|it| it.contains(right.trim())) { Ok(()) } else { Err("it is not".to_owned()) }
    })
    .await?;
    let took = began.elapsed();
    // What was asked until now may have failed, and what was asked then may wait for its answer still.
    eventually("Pods are admitted", async || {
        believed.admits().await?;
        let failures = watched.begin_anew().failures;
        if failures.is_empty() { Ok(()) } else { Err(failures.join("; ")) }
    })
    .await?;
    Ok(took)
}

/// What of the keys could be found in a text: a line of each, as PEM and as a Secret has it.
async fn needles(site: &Site) -> anyhow::Result<BTreeSet<String>> {
    let mut needles = BTreeSet::new();
    for secret in [CA, SERVING] {
        let key = site.entry(secret, "tls.key").await?;
        // The first line is the same for all keys of the kind.
        needles.extend(key.lines().nth(2).map(str::to_owned));
        needles.extend(STANDARD.encode(&key).get(150..200).map(str::to_owned));
    }
    Ok(needles)
}

/// No log and no object but the Secrets has any of it.
async fn is_told_to_nobody(site: &Site, needles: &BTreeSet<String>) -> anyhow::Result<()> {
    ensure!(needles.len() >= 4, "{} is too little to look for", needles.len());
    let found = |text: &str| needles.iter().any(|needle| text.contains(needle));
    let read = async |what: &str| {
        let arguments = ["get", what, "--all-namespaces", "--output=json", "--show-managed-fields"];
        anyhow::Ok(command::run(site.cluster.kubectl(arguments), "").await?.stdout)
    };
    ensure!(found(&read("secrets").await?), "what is looked for is not found where it is");
    for what in ["events", "mutatingwebhookconfigurations,validatingwebhookconfigurations", "secretcatalogs"] {
        ensure!(!found(&read(what).await?), "a key is in {what}");
    }
    let mut logs = 0;
    for entry in std::fs::read_dir(site.cluster.folder())? {
        let path = entry?.path();
        if path.extension() == Some(std::ffi::OsStr::new("log")) {
            ensure!(!found(&text(&path)?), "a key is in {}", path.display());
            logs += 1;
        }
    }
    ensure!(logs >= 5, "{logs} logs");
    Ok(())
}

fn text(path: &Path) -> anyhow::Result<String> {
    Ok(String::from_utf8_lossy(&std::fs::read(path)?).into_owned())
}

#[tokio::test]
async fn from_nothing_all_of_it_comes_about_and_what_is_wrong_is_made_anew() -> anyhow::Result<()> {
    let site = Site::start().await?;
    let believed = site.believed().await?;
    let unready = site.ready().await.err().context("it is ready without a certificate")?;
    ensure!(unready.contains("there is no certificate"), "{unready}");
    ensure!(believed.admits().await.is_err());

    let began = Instant::now();
    // So short that webhooks are soon held to have loaded what was made.
    let controller = site.controller("60s").await?;
    eventually("a Pod is admitted", async || believed.admits().await).await?;
    println!("a Pod is admitted {:.1} s after the controller was started", began.elapsed().as_secs_f32());
    site.is_ready().await?;
    site.is_right().await?;
    let secret = site.secrets().await?.get(SERVING).await?;
    ensure!(secret.type_.as_deref() == Some("kubernetes.io/tls"), "{:?}", secret.type_);

    let watched = site.watch().await?;
    let mut keys = needles(&site).await?;
    let foreign = authority(Duration::from_secs(3600))?;
    let garbage = || json!({"data": {"tls.crt": STANDARD.encode("garbage")}});
    let pair = json!({"stringData": {"tls.crt": foreign.0, "tls.key": foreign.1}});
    for (what, of, harms, says) in [
        ("a serving certificate that is none", SERVING, Write(SERVING, garbage()), "the one before cannot be read"),
        (
            "the key of another",
            SERVING,
            Write(SERVING, json!({"stringData": {"tls.key": foreign.1}})),
            "the key of the one before is not its own",
        ),
        ("a Secret of another type", SERVING, Replace(SERVING, "Opaque"), ""),
        (
            "one that cannot be changed",
            SERVING,
            Write(SERVING, json!({"immutable": true, "data": garbage()["data"]})),
            "",
        ),
        ("no serving pair", SERVING, Delete(&[SERVING]), ""),
        ("an authority that is none", CA, Write(CA, garbage()), "the one before cannot be read"),
        ("no authority", CA, Delete(&[CA]), "there is none"),
        ("neither", CA, Delete(&[CA, SERVING]), "there is none"),
    ] {
        let before = site.entry(of, "tls.crt").await?;
        harm(&site, harms).await?;
        let fresh = async || {
            let now = site.entry(of, "tls.crt").await?;
            let is_certificate = now.starts_with("-----BEGIN CERTIFICATE-----");
            if is_certificate && now != before { Ok(()) } else { Err(anyhow::anyhow!("it is not made anew")) }
        };
        eventually(what, fresh).await.context(what)?;
        site.is_right().await.context(what)?;
        all_well(what, &watched).await?;
        let log = text(&site.cluster.folder().join("apolo-secrets-controller.log"))?;
        ensure!(log.lines().any(|line| line.contains(of) && line.contains(says)), "{what}: nothing is said of it");
        keys.extend(needles(&site).await?);
        // A webhook may take a while to load what was made last, during which two authorities may be in use.
        eventually("one authority is enough again", async || believed.shakes_hands().await.map(drop)).await?;
    }

    // A pair that can be used is loaded by the webhook, whoever signed it.
    harm(&site, Write(SERVING, pair)).await?;
    eventually("it is made anew", async || {
        let now = site.entry(SERVING, "tls.crt").await.map_err(|error| error.to_string())?;
        if now.trim() == foreign.0.trim() { Err("it is not") } else { Ok(()) }.map_err(str::to_owned)
    })
    .await?;
    site.is_right().await?;
    watched.take();

    let took = overwritten(&site, &believed, &watched).await?;
    println!("a caBundle was repaired in {:.1} s", took.as_secs_f32());
    site.is_ready().await?;
    all_well("after that", &watched).await?;
    upgraded(&site, &watched).await?;
    keys.extend(needles(&site).await?);
    is_told_to_nobody(&site, &keys).await?;
    drop(controller);
    Ok(())
}

/// The chart is applied as helm does it, by server-side apply, and then again with a hook less: neither conflicts with what the
/// controller has written, and what it has written stays.
async fn upgraded(site: &Site, watched: &Watched) -> anyhow::Result<()> {
    let apply = async |manifest: &str, more: &[&str]| {
        let arguments = ["apply", "--server-side", "--field-manager=helm", "--filename=-"];
        let applied = command::run(site.cluster.kubectl([&arguments, more].concat()), manifest).await?;
        ensure!(applied.status.success(), "{}", applied.stderr);
        Ok(())
    };
    let hook = "workflows.argoproj.io.secrets.apolo.us";
    let hooks: Vec<&str> = site.chart().split("\n---\n").filter(|it| it.contains("\nkind: MutatingWebhook")).collect();
    let [whole] = hooks.as_slice() else { anyhow::bail!("{} configurations", hooks.len()) };
    // The last hook but one, up to the next.
    let (before, rest) = whole.split_once(&format!("  - name: {hook}\n")).context("there is no such hook")?;
    let after = rest.split_once("\n  - name: ").map(|(_, after)| format!("  - name: {after}")).unwrap_or_default();
    apply(whole, &["--force-conflicts"]).await.context("whole")?;
    apply(&format!("{before}{after}"), &[]).await.context("without a hook")?;
    let configurations: Api<MutatingWebhookConfiguration> = Api::all(site.cluster.admin().await?);
    let found = configurations.get(RELEASE).await?.webhooks.unwrap_or_default();
    ensure!(found.len() > 2 && found.iter().all(|it| it.name != hook), "{found:?}");
    all_well("upgraded", watched).await?;
    // A hook that is new has no caBundle at first.
    apply(whole, &[]).await.context("whole again")?;
    site.is_right().await.map(drop)
}

#[tokio::test]
async fn under_load_certificates_are_renewed_and_authorities_follow_each_other_without_a_refusal() -> anyhow::Result<()>
{
    const LIFE: Duration = Duration::from_secs(15);
    let site = Site::start().await?;
    // Two lives before its end it is followed by another.
    site.plant_authority(LIFE * 2 + Duration::from_secs(12)).await?;
    let planted = site.entry(CA, "tls.crt").await?;
    let _controller = site.controller("15s").await?;
    let believed = site.believed().await?;
    let (by, mut serving) = site.is_right().await?;
    ensure!(by == planted, "an authority that is there was not used");
    eventually("a Pod is admitted", async || believed.admits().await).await?;
    site.is_ready().await?;

    let watched = site.watch().await?;
    let mut keys = needles(&site).await?;
    let mut renewed = async |times: usize| {
        for _ in 0..times {
            eventually("it is renewed", async || {
                let now = site.entry(SERVING, "tls.crt").await.map_err(|error| error.to_string())?;
                if now == serving {
                    return Err("not yet".to_owned());
                }
                serving = now;
                Ok(())
            })
            .await?;
            site.is_right().await?;
            keys.extend(needles(&site).await?);
        }
        anyhow::Ok(())
    };
    let least = std::env::var(RENEWALS).ok().and_then(|times| times.parse().ok()).unwrap_or(3);
    renewed(least).await?;
    let (followed, _) = site.is_right().await?;
    ensure!(followed != planted, "no authority has followed the first");
    eventually("the first is trusted no more", async || {
        let bundles = believed.bundles().await?;
        if bundles.iter().any(|it| it.contains(planted.trim())) { Err("it is".to_owned()) } else { Ok(()) }
    })
    .await?;
    all_well("renewed", &watched).await?;

    // Twice, the second time while the one before is still in use.
    for time in ["deleted", "deleted again"] {
        let before = site.entry(CA, "tls.crt").await?;
        harm(&site, Delete(&[CA])).await?;
        eventually("there is another", async || {
            let now = site.entry(CA, "tls.crt").await.map_err(|error| error.to_string())?;
            if now.is_empty() || now == before { Err("not yet".to_owned()) } else { Ok(()) }
        })
        .await?;
        site.is_right().await?;
        all_well(time, &watched).await?;
    }
    renewed(1).await?;
    all_well("renewed after that", &watched).await?;

    let took = overwritten(&site, &believed, &watched).await?;
    println!("a caBundle was repaired in {:.1} s", took.as_secs_f32());
    renewed(1).await?;
    all_well("renewed at last", &watched).await?;
    is_told_to_nobody(&site, &keys).await
}

#[tokio::test]
async fn the_account_of_the_controller_may_change_its_two_configurations_and_no_others() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        let controller = ns.service_account(RELEASE, apolo_tests::controller::ACCOUNT).await?;
        let webhook = ns.service_account(RELEASE, "apolo-secrets-webhook").await?;
        let group = "admissionregistration.k8s.io";
        for resource in ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"] {
            let named = |name: &str| json!({"group": group, "resource": resource, "name": name});
            let may = rights::verbs(&controller, &named(RELEASE)).await?;
            ensure!(may == BTreeSet::from(["get", "list", "watch", "patch"]), "{resource}: {may:?}");
            let may = rights::verbs(&webhook, &named(RELEASE)).await?;
            ensure!(may == BTreeSet::from(["get", "list", "watch"]), "{resource}: {may:?}");
            for (who, client) in [("controller", &controller), ("webhook", &webhook)] {
                for name in ["", "another"] {
                    let may = rights::verbs(client, &named(name)).await?;
                    ensure!(may.is_empty(), "{who}: {resource} {name:?}: {may:?}");
                }
            }
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn of_its_own_secrets_the_controller_writes_the_two_of_certificates_and_no_others() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        let controller = ns.service_account(RELEASE, apolo_tests::controller::ACCOUNT).await?;
        let secrets: Api<Secret> = Api::namespaced(controller, RELEASE);
        let dry = PostParams { dry_run: true, ..PostParams::default() };
        let secret = |name: &str| serde_json::from_value::<Secret>(json!({"metadata": {"name": name}}));
        for name in [CA, SERVING] {
            secrets.create(&dry, &secret(name)?).await.context(name)?;
            let mut token = secret(name)?;
            token.type_ = Some("kubernetes.io/service-account-token".into());
            let account = ("kubernetes.io/service-account.name".to_owned(), "default".to_owned());
            token.metadata.annotations = Some([account].into());
            let said = secrets.create(&dry, &token).await.err().context("a token")?.to_string();
            ensure!(said.contains("no Secrets of the type kubernetes.io/service-account-token"), "{name}: {said}");
        }
        for name in ["apolo-secrets-another", "apolo-secrets-webhook-tls2", "another", "apolo-shared-a"] {
            let said = secrets.create(&dry, &secret(name)?).await.err().with_context(|| name.to_owned())?.to_string();
            ensure!(said.contains("the controller writes no Secrets but"), "{name}: {said}");
        }
        Ok(())
    })
    .await
}
