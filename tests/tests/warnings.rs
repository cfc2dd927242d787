//! What `kubectl apply` warns of: secrets of the own namespace that are not there, and ordinary ones whose entry is not named.
//!
//! On clusters without a controller: the catalogs are written here.
#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, ensure};
use apolo_tests::{
    cluster::Cluster,
    command::{self, Finished},
    eventually::{eventually, within},
    namespace::Namespace,
    objects,
};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams},
    core::GroupVersionKind,
};
use serde_json::{Value, json};
use std::time::Duration;

const ENV: &str = "secrets.apolo.us/env";
/// Longer than a watch that broke waits before it is begun again.
const SOON: Duration = Duration::from_secs(15);

/// A namespace whose catalog is written here.
struct Scene {
    ns: Namespace,
    written: AtomicUsize,
}

impl Scene {
    fn new(ns: Namespace) -> Self {
        Self { ns, written: AtomicUsize::default() }
    }

    async fn apply(&self, object: &Value, flags: &[&str]) -> anyhow::Result<Finished> {
        let arguments = [&["apply", "--namespace", &self.ns.name, "--filename=-"], flags].concat();
        Ok(command::run(self.ns.kubectl(arguments), object.to_string()).await?)
    }

    /// What kubectl warns of when it has applied an object.
    async fn warned(&self, object: &Value) -> anyhow::Result<Vec<String>> {
        let applied = self.apply(object, &[]).await?;
        ensure!(applied.status.success(), "{}", applied.stderr);
        warnings(&applied.stderr)
    }

    /// The same of a Pod that asks for these, and is not made.
    async fn would_warn(&self, references: &[&str]) -> anyhow::Result<Vec<String>> {
        let tried = self.apply(&objects::pod("tried", &asking(references)), &["--dry-run=server"]).await?;
        ensure!(tried.status.success(), "{}", tried.stderr);
        warnings(&tried.stderr)
    }

    fn catalogs(&self) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("secrets.apolo.us", "v1alpha1", "SecretCatalog");
        Api::namespaced_with(self.ns.client.clone(), &self.ns.name, &ApiResource::from_gvk(&kind))
    }

    /// Writes the catalog as the controller does, and returns when the webhook has heard of it.
    async fn list(&self, keys: &[&str], ordinary: &[&str], truncated: Option<i64>) -> anyhow::Result<()> {
        let catalog = json!({"apiVersion": "secrets.apolo.us/v1alpha1", "kind": "SecretCatalog", "metadata": {"name": "secrets"}});
        if self.catalogs().get_opt("secrets").await?.is_none() {
            self.ns.create(&catalog).await?;
        }
        let marker = format!("marker-{}", self.written.fetch_add(1, Ordering::Relaxed));
        let key = |key: &&str| json!({"key": key, "sharedWith": 0});
        let ordinary = ordinary.iter().copied().chain([marker.as_str()]);
        let ordinary = ordinary.map(|key| json!({"key": key, "ordinary": true, "sharedWith": 0}));
        let own: Vec<Value> = keys.iter().map(key).chain(ordinary).collect();
        let status = json!({"status": {"cluster": "default", "own": own, "truncated": truncated}});
        self.catalogs().patch_status("secrets", &PatchParams::default(), &Patch::Merge(status)).await?;
        eventually("the webhook has heard of the catalog", async || {
            let told = self.would_warn(&[&marker]).await.map_err(|error| format!("{error:#}"))?;
            if told == [no_entry(&marker)] { Ok(()) } else { Err(format!("{told:?}")) }
        })
        .await?;
        Ok(())
    }

    fn absent(&self, key: &str) -> String {
        format!("secret \"{key}\" is not in namespace {} yet", self.ns.name)
    }
}

fn no_entry(key: &str) -> String {
    format!("secret \"{key}\" was not made by apolo: name its entry, secret:{key}#ENTRY")
}

/// A template that asks for these of its own namespace, KEY or KEY#ENTRY.
fn asking(keys: &[&str]) -> Value {
    let items: Vec<String> = keys.iter().enumerate().map(|(number, key)| format!("A{number}=secret:{key}")).collect();
    objects::template(&[(ENV, &items.join(","))])
}

/// The warnings that kubectl has written, if it has written nothing else.
fn warnings(stderr: &str) -> anyhow::Result<Vec<String>> {
    stderr.lines().map(|line| line.strip_prefix("Warning: ").map(str::to_owned).context(stderr.to_owned())).collect()
}

#[tokio::test]
async fn kubectl_warns_of_what_is_not_there() -> anyhow::Result<()> {
    let cluster = Cluster::start().await?;
    let _webhook = cluster.install().await?;
    let body = async |ns: Namespace| {
        let scene = Scene::new(ns);
        nothing_is_there(&scene).await?;
        scene.list(&["aws-key", "WANDB"], &["db-creds"], None).await?;
        of_each_kind(&scene).await?;
        each_case(&scene).await?;
        what_is_refused_is_not_warned_about(&scene).await?;
        long_names_and_many(&scene).await?;
        nobody_warns_a_controller(&scene).await?;
        what_is_not_all_listed(&scene).await?;
        scene.catalogs().delete("secrets", &DeleteParams::default()).await?;
        let gone = async || match scene.would_warn(&["aws-key"]).await {
            Ok(told) if told == [scene.absent("aws-key")] => Ok(()),
            other => Err(format!("{other:?}")),
        };
        eventually("the webhook has heard that the catalog is gone", gone).await?;
        anyhow::Ok(())
    };
    cluster.with_namespace(body).await
}

/// A namespace without a catalog has nothing to list.
async fn nothing_is_there(scene: &Scene) -> anyhow::Result<()> {
    let told = async || match scene.would_warn(&["aws-key", "db-creds"]).await {
        Ok(told) if told == [scene.absent("aws-key"), scene.absent("db-creds")] => Ok(()),
        other => Err(format!("{other:?}")),
    };
    Ok(within(SOON, "the webhook warns of what is not there", told).await?)
}

async fn of_each_kind(scene: &Scene) -> anyhow::Result<()> {
    let template = asking(&["aws-kye", "db-creds"]);
    let both = [format!("{}; nearest: aws-key", scene.absent("aws-kye")), no_entry("db-creds")];
    for (kind, object) in [
        ("Pod", objects::pod("pod", &template)),
        ("Job", objects::job("job", &template)),
        ("CronJob", objects::cron_job("cron-job", &template)),
        ("Deployment", objects::deployment("deployment", &template)),
        ("StatefulSet", objects::stateful_set("stateful-set", &template)),
        ("DaemonSet", objects::daemon_set("daemon-set", &template)),
    ] {
        assert_eq!(scene.warned(&object).await?, both, "{kind}");
    }
    assert!(scene.ns.api::<Pod>().get_opt("pod").await?.is_some(), "a warning has held it up");
    // What is submitted again is not looked at again; what is changed is.
    let again = objects::deployment("deployment", &template);
    assert!(scene.warned(&again).await?.is_empty(), "again");
    let changed = objects::deployment("deployment", &asking(&["aws-key", "wandb"]));
    assert_eq!(scene.warned(&changed).await?, [scene.absent("wandb")]);
    // Each of its templates is looked at.
    scene.ns.add_presets().await?;
    let job = |name: &str, keys: &[&str]| json!({"name": name, "template": {"spec": {"template": asking(keys)}}});
    let job_set = json!({
        "apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet", "metadata": {"name": "job-set"},
        "spec": {"replicatedJobs": [job("a", &["aws-key"]), job("b", &["aws-kye"]), job("c", &["db-creds", "aws-kye"])]},
    });
    assert_eq!(scene.warned(&job_set).await?, both);
    Ok(())
}

async fn each_case(scene: &Scene) -> anyhow::Result<()> {
    let none: [String; 0] = [];
    assert_eq!(scene.warned(&objects::pod("right", &asking(&["aws-key", "WANDB", "db-creds#password"]))).await?, none);
    assert_eq!(scene.warned(&objects::deployment("right", &asking(&["aws-key", "db-creds#password"]))).await?, none);
    assert_eq!(scene.warned(&objects::pod("plain", &objects::template(&[]))).await?, none);
    let own = format!("A=secret:/{0}/aws-kye\nB=secret://default/{0}/db-creds", scene.ns.name);
    let pod = objects::pod("own", &objects::template(&[(ENV, &own)]));
    let both = [format!("{}; nearest: aws-key", scene.absent("aws-kye")), no_entry("db-creds")];
    assert_eq!(scene.warned(&pod).await?, both);
    let file = objects::template(&[("secrets.apolo.us/volume", "secret:db-cred:/etc/db")]);
    let near = format!("{}; nearest: db-creds", scene.absent("db-cred"));
    assert_eq!(scene.warned(&objects::pod("file", &file)).await?, [near]);
    Ok(())
}

async fn what_is_refused_is_not_warned_about(scene: &Scene) -> anyhow::Result<()> {
    let mistaken = objects::template(&[(ENV, "A=secret:aws-kye,B")]);
    let shared = objects::template(&[(ENV, "A=secret:aws-kye,B=secret:/alice/a")]);
    for (template, words) in [(mistaken, "there is no \"=\""), (shared, "may not use secret:/alice/a")] {
        for object in [objects::pod("refused", &template), objects::job("refused", &template)] {
            let refused = scene.apply(&object, &[]).await?;
            assert!(!refused.status.success() && refused.stderr.contains(words), "{}", refused.stderr);
            assert!(!refused.stderr.contains("Warning:"), "{}", refused.stderr);
        }
    }
    Ok(())
}

async fn long_names_and_many(scene: &Scene) -> anyhow::Result<()> {
    let told = scene.would_warn(&[&"k".repeat(253)]).await?;
    assert_eq!((told.len(), told[0].chars().count()), (1, 120), "{told:?}");
    let shown = told[0].split('"').nth(1).context("no name")?;
    assert!(shown.ends_with("kk…") && told[0].ends_with(&format!("is not in namespace {} yet", scene.ns.name)));
    let keys: Vec<String> = (0..64).map(|number| format!("many-{number}")).collect();
    let told = scene.would_warn(&keys.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    let mut all: Vec<String> = keys.iter().take(10).map(|key| scene.absent(key)).collect();
    all.push("and 54 more of these".into());
    assert_eq!(told, all);
    Ok(())
}

/// The Pods and workloads of the controllers are told nothing that nobody reads; who submitted these was.
async fn nobody_warns_a_controller(scene: &Scene) -> anyhow::Result<()> {
    scene.ns.pod_of("deployment").await?;
    scene.ns.pod_of("job").await?;
    let decisions = scene.ns.all_decisions().await?;
    let warned_of = |path: &str, user: &str| -> Vec<u64> {
        let is = |line: &&Value| line["path"] == path && line["user"].as_str().is_some_and(|it| it.ends_with(user));
        decisions.iter().filter(is).map(|line| line["warnings"].as_u64().unwrap_or(u64::MAX)).collect()
    };
    for (path, user) in [
        ("/pods/validate", ":job-controller"),
        ("/pods/validate", ":replicaset-controller"),
        ("/workloads", ":deployment-controller"),
    ] {
        let counts = warned_of(path, user);
        assert!(!counts.is_empty() && counts.iter().all(|count| *count == 0), "{path} {user}: {counts:?}");
    }
    assert!(warned_of("/pods/validate", "admin").contains(&2) && warned_of("/workloads", "admin").contains(&2));
    Ok(())
}

async fn what_is_not_all_listed(scene: &Scene) -> anyhow::Result<()> {
    scene.list(&["aws-key"], &["db-creds"], Some(5)).await?;
    assert_eq!(scene.would_warn(&["aws-kye", "db-creds"]).await?, [no_entry("db-creds")]);
    scene.list(&["aws-key", "aws-kye"], &[], None).await?;
    let told = scene.would_warn(&["aws-kye", "db-creds"]).await?;
    assert_eq!(told, [scene.absent("db-creds")]);
    Ok(())
}

/// The chart of a version that knew of no warnings gives no right to read catalogs.
#[tokio::test]
async fn without_the_right_to_read_catalogs_all_is_as_it_was() -> anyhow::Result<()> {
    const RIGHT: &str = "resources: [secretcatalogs]\n    verbs: [list, watch]";
    let cluster = Cluster::start().await?;
    // Our kinds are not there yet, so it cannot have been told of any catalog.
    let webhook = cluster.start_webhook().await?;
    let whole = cluster.render(&webhook.url).await?;
    let older = whole.replace(RIGHT, "resources: [secretcatalogs]\n    verbs: [none]");
    ensure!(older != whole, "the chart gives no such right");
    let rights = older.split("\n---\n").find(|document| document.contains("verbs: [none]")).context("no rights")?;
    let apply = async |manifest: &str| {
        let applied = command::run(cluster.kubectl(["apply", "--filename=-"]), manifest).await?;
        ensure!(applied.status.success(), "{}", applied.stderr);
        anyhow::Ok(())
    };
    apply(rights).await?;
    apply(&older).await?;
    let body = async |ns: Namespace| {
        let scene = Scene::new(ns);
        let mistaken = objects::pod("tried", &objects::template(&[(ENV, "A")]));
        eventually("a mistake is refused", async || match scene.apply(&mistaken, &["--dry-run=server"]).await {
            Ok(tried) if tried.stderr.contains("there is no \"=\"") => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await?;
        let ready = async || match cluster.webhook_readiness().await {
            Ok(answer) if answer.starts_with("HTTP/1.1 200") => Ok(()),
            other => Err(format!("{other:?}")),
        };
        eventually("the webhook is ready", ready).await?;
        let shared = objects::pod("shared", &objects::template(&[(ENV, "A=secret:/alice/a")]));
        let refused = scene.apply(&shared, &[]).await?;
        ensure!(refused.stderr.contains("may not use secret:/alice/a"), "{}", refused.stderr);
        eventually("the watch of catalogs has broken", async || {
            let log = std::fs::read_to_string(cluster.webhook_log()).map_err(|error| error.to_string())?;
            let is_forbidden = |line: &str| line.contains("the watch of catalogs broke") && line.contains("forbidden");
            log.lines().any(is_forbidden).then_some(()).ok_or_else(|| log.clone())
        })
        .await?;
        let absent = asking(&["aws-key"]);
        assert!(scene.warned(&objects::pod("pod", &absent)).await?.is_empty());
        assert!(scene.warned(&objects::job("job", &absent)).await?.is_empty());
        apply(&whole).await?;
        let told = async || match scene.would_warn(&["aws-key"]).await {
            Ok(told) if told == [scene.absent("aws-key")] => Ok(()),
            other => Err(format!("{other:?}")),
        };
        within(SOON, "the webhook warns when it may read them", told).await?;
        anyhow::Ok(())
    };
    cluster.with_namespace(body).await
}
