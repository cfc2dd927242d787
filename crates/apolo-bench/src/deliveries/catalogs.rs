//! C: the catalogs of many namespaces, from the controller's start until all are right, and the one of a namespace in a storm.
//!
//! What each should say is computed here, of the Secrets and grants that the API server has.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use apolo_tests::cluster::Cluster;
use apolo_tests::controller::Controller;
use clap::Args;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::{GroupVersionKind, PartialObjectMeta};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{interval, sleep};

use crate::grants::flight::{WIDTH, fly};
use crate::grants::ground::{Ground, put};
use crate::grants::objects::VERSION;
use crate::machine::say;
use crate::table::{self, at_most, row};
use crate::usage::Usage;

/// How long anything may take.
const DEADLINE: Duration = Duration::from_secs(300);
/// How often the catalogs are looked at.
const LOOK: Duration = Duration::from_millis(100);
/// How many changes there are in a storm.
const A_SECOND: u64 = 200;

/// How much of everything there is.
#[derive(Args, Debug)]
pub(super) struct CatalogsArgs {
    /// How many namespaces there are that have secrets.
    #[arg(long, default_value_t = 2_000)]
    catalogs: usize,
    /// How many secrets each of them has.
    #[arg(long, default_value_t = 10)]
    secrets_each: usize,
    /// How many grants there are, each of one secret for one other namespace.
    #[arg(long, default_value_t = 5_000)]
    catalog_grants: usize,
    /// For how many seconds a storm lasts.
    #[arg(long, default_value_t = 30)]
    storm: u64,
}

/// What a catalog says: of each own secret when it was changed last and with how many it is shared, and the shared ones by URI and access.
#[derive(Debug, Default, PartialEq, Eq)]
struct Says {
    own: BTreeMap<String, (String, u64)>,
    shared: BTreeSet<(String, String)>,
}

/// Measures, and prints C.
pub(super) async fn measure(args: &CatalogsArgs) -> anyhow::Result<()> {
    let cluster = Cluster::start().await?;
    let ground = Ground::new(cluster.folder()).await?;
    fill(args, &ground).await?;
    let mut rows = vec![row(["", "figure", "goal"])];
    say("C: from a start to all catalogs right");
    let began = Instant::now();
    let controller = ground.control_plane.start_controller("controller", &[]).await?;
    let wrong = all_right(&ground.client, args.catalogs).await?;
    let took = began.elapsed().as_secs_f64();
    ensure!(wrong == 0, "{wrong} catalogs are wrong");
    ground.all_ready(None, args.catalog_grants).await?;
    let written = controller.written(&["SecretCatalog"]).await?;
    let least = 2 * args.catalogs;
    rows.push(row(["from the start to all right", &format!("{took:.1} s"), ""]));
    rows.push(row(["grants ready, too", &format!("{:.1} s", began.elapsed().as_secs_f64()), ""]));
    rows.push(row(["writes of catalogs", &written.to_string(), &at_most(least as f64, written)]));
    rows.push(row(["memory", &memory(&controller)?, ""]));
    storm(args, &ground, &controller, &mut rows).await?;
    drop(controller);
    let title = format!(
        "C: catalogs of {} namespaces with {} secrets each, {} grants",
        args.catalogs, args.secrets_each, args.catalog_grants
    );
    table::print(&title, &rows);
    Ok(())
}

fn memory(controller: &Controller) -> anyhow::Result<String> {
    let memory = Usage::of_id(controller.id()).memory()?;
    Ok(format!("{:.1} MB, at most {:.1}", memory.now, memory.peak))
}

fn namespace(number: usize) -> String {
    format!("team-{number}")
}

async fn fill(args: &CatalogsArgs, ground: &Ground) -> anyhow::Result<()> {
    say(&format!("C: {} namespaces, {} grants", args.catalogs, args.catalog_grants));
    let (each, grants, catalogs) = (args.secrets_each, args.catalog_grants, args.catalogs);
    let make = |number: usize| {
        let ground = ground.clone();
        async move {
            ground.namespace(&namespace(number), std::iter::empty()).await?;
            let secrets: Api<Secret> = Api::namespaced(ground.client.clone(), &namespace(number));
            for secret in 0..each {
                let key = format!("key-{secret}");
                let secret = json!({"metadata": {"name": key}, "stringData": {&key: "hunter2"}});
                secrets.create(&PostParams::default(), &serde_json::from_value(secret)?).await?;
            }
            // Of as many people as there are days in a week, for a namespace far away.
            for grant in (number..grants).step_by(catalogs) {
                let spec = json!({
                    "secrets": [format!("key-{}", grant / catalogs % each)], "access": "Read",
                    "subjects": [{"kind": "User", "name": format!("person-{}", grant % 7)}],
                    "namespaces": [namespace((grant * 7 + 1) % catalogs)],
                });
                let metadata = json!({"name": format!("grant-{grant}")});
                let grant = json!({"apiVersion": VERSION, "kind": "SecretGrant", "metadata": metadata, "spec": spec});
                put(&ground.grants(&namespace(number)), grant).await?;
            }
            Ok(())
        }
    };
    fly(WIDTH, (0..catalogs).map(make)).await?;
    Ok(())
}

/// Waits until all catalogs are right, or the time is up. Tells how many are not.
async fn all_right(client: &Client, least: usize) -> anyhow::Result<usize> {
    let began = Instant::now();
    let should = should(client, None).await?;
    ensure!(should.len() >= least, "only {} namespaces have something to list", should.len());
    loop {
        let wrong = wrong(&should, &says(client, None).await?);
        if wrong == 0 || began.elapsed() > DEADLINE {
            return Ok(wrong);
        }
        sleep(LOOK).await;
    }
}

fn wrong(should: &BTreeMap<String, Says>, says: &BTreeMap<String, Says>) -> usize {
    let missing = should.iter().filter(|(name, should)| says.get(*name) != Some(*should)).count();
    missing + says.keys().filter(|name| !should.contains_key(*name)).count()
}

fn some<K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>>(
    client: &Client,
    namespace: Option<&str>,
) -> Api<K> {
    namespace.map_or_else(|| Api::all(client.clone()), |name| Api::namespaced(client.clone(), name))
}

async fn objects(client: &Client, kind: &str, namespace: Option<&str>) -> anyhow::Result<Vec<DynamicObject>> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("secrets.apolo.us", "v1alpha1", kind));
    let api: Api<DynamicObject> = match namespace {
        Some(name) => Api::namespaced_with(client.clone(), name, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    Ok(api.list(&ListParams::default()).await.with_context(|| format!("listing {kind}"))?.items)
}

/// What each catalog should say: by the Secrets and grants, all of which are there to be listed.
async fn should(client: &Client, only: Option<&str>) -> anyhow::Result<BTreeMap<String, Says>> {
    let secrets =
        some::<Secret>(client, only).list_metadata(&ListParams::default()).await.context("listing Secrets")?;
    let mut should: BTreeMap<String, Says> = BTreeMap::new();
    for secret in secrets {
        let of = should.entry(secret.namespace().unwrap_or_default()).or_default();
        of.own.insert(secret.name_any(), (updated(&secret), 0));
    }
    let mut subjects: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    for grant in objects(client, "SecretGrant", None).await? {
        let owner = grant.namespace().unwrap_or_default();
        let spec = |name: &str| texts(grant.data.pointer(&format!("/spec/{name}")));
        let people = grant.data.pointer("/spec/subjects").map(Value::to_string).unwrap_or_default();
        let access = grant.data.pointer("/spec/access").and_then(Value::as_str).unwrap_or_default();
        for key in spec("secrets") {
            subjects.entry((owner.clone(), key.clone())).or_default().insert(people.clone());
            let uri = format!("secret://default/{owner}/{key}");
            for namespace in spec("namespaces") {
                if only.is_none_or(|only| only == namespace) {
                    should.entry(namespace).or_default().shared.insert((uri.clone(), access.to_owned()));
                }
            }
        }
    }
    for ((owner, key), people) in subjects {
        if let Some(own) = should.get_mut(&owner).and_then(|of| of.own.get_mut(&key)) {
            own.1 = people.len() as u64;
        }
    }
    Ok(should)
}

fn texts(list: Option<&Value>) -> Vec<String> {
    let texts = list.and_then(Value::as_array).into_iter().flatten();
    texts.filter_map(|text| text.as_str().map(str::to_owned)).collect()
}

/// The newest time in its managed fields.
fn updated(secret: &PartialObjectMeta<Secret>) -> String {
    let times = secret.managed_fields().iter().filter_map(|field| field.time.as_ref());
    times.map(|time| time.0).max().map(|time| time.to_string()).unwrap_or_default()
}

/// What each catalog says.
async fn says(client: &Client, only: Option<&str>) -> anyhow::Result<BTreeMap<String, Says>> {
    let catalogs = objects(client, "SecretCatalog", only).await?;
    let text = |of: &Value, name: &str| of.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let list = |catalog: &DynamicObject, name: &str| {
        let list = catalog.data.pointer(&format!("/status/{name}")).and_then(Value::as_array);
        list.cloned().unwrap_or_default()
    };
    let of = |catalog: DynamicObject| {
        let own = list(&catalog, "own").into_iter().map(|own| {
            let shared = own.get("sharedWith").and_then(Value::as_u64).unwrap_or_default();
            (text(&own, "key"), (text(&own, "updated"), shared))
        });
        let shared = list(&catalog, "shared").into_iter().map(|shared| (text(&shared, "uri"), text(&shared, "access")));
        (catalog.namespace().unwrap_or_default(), Says { own: own.collect(), shared: shared.collect() })
    };
    Ok(catalogs.into_iter().map(of).collect())
}

/// So many changes a second of the Secrets of one namespace: what is written of its catalog, and when it is right after the end.
async fn storm(
    args: &CatalogsArgs,
    ground: &Ground,
    controller: &Controller,
    rows: &mut Vec<Vec<String>>,
) -> anyhow::Result<()> {
    let name = namespace(0);
    say(&format!("C: {A_SECOND} changes of Secrets a second in one namespace, for {} s", args.storm));
    let usage = Usage::of_id(controller.id());
    let (writes, cpu, began) = (controller.written(&["SecretCatalog"]).await?, usage.cpu_of_threads()?, Instant::now());
    // Each Secret has somebody of its own, so that nobody has to try again.
    let (each, of_each) = (args.secrets_each, A_SECOND * args.storm / args.secrets_each as u64);
    let mut changes = JoinSet::new();
    for key in (0..each).map(|number| format!("key-{number}")) {
        let secrets: Api<Secret> = Api::namespaced(ground.client.clone(), &name);
        let mut tick = interval(Duration::from_secs(1) * u32::try_from(each)? / u32::try_from(A_SECOND)?);
        changes.spawn(async move {
            for number in 0..of_each {
                tick.tick().await;
                let patch = Patch::Merge(json!({"stringData": {&key: number.to_string()}}));
                secrets.patch(&key, &PatchParams::default(), &patch).await?;
            }
            Ok::<_, kube::Error>(of_each)
        });
    }
    let changed = changes.join_all().await.into_iter().sum::<Result<u64, _>>();
    let count = changed.context("changing a Secret")?;
    let (took, ended) = (began.elapsed().as_secs_f64(), Instant::now());
    let busy = (usage.cpu_of_threads()?.saturating_sub(cpu)).as_secs_f64() * 1e3 / took;
    let should = should(&ground.client, Some(&name)).await?;
    let should = should.into_iter().filter(|(of, _)| *of == name).collect();
    while wrong(&should, &says(&ground.client, Some(&name)).await?) > 0 {
        ensure!(ended.elapsed() < DEADLINE, "the catalog does not become right");
        sleep(LOOK / 10).await;
    }
    let right = ended.elapsed().as_secs_f64();
    let written = controller.written(&["SecretCatalog"]).await? - writes;
    let wrong = all_right(&ground.client, args.catalogs).await?;
    let rate = format!("storm: {count} changes in {took:.1} s, {:.0} a second; writes", count as f64 / took);
    let most = (took + right).floor() + 1.0;
    rows.push(row([&rate, &written.to_string(), &at_most(most, written)]));
    rows.push(row(["  right after the last", &format!("{right:.2} s"), &format!("{} s", at_most(2.0, right))]));
    rows.push(row(["  CPU of the controller meanwhile", &format!("{busy:.0} m"), ""]));
    rows.push(row(["  memory", &memory(controller)?, ""]));
    rows.push(row(["  catalogs that are wrong then", &wrong.to_string(), &at_most(0.0, wrong as f64)]));
    Ok(())
}
