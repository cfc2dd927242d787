//! Stamps that are forged, planted by an owner, or brought by an account that is not the controller of the owner.

use apolo_tests::{
    attempts::{Row, Somebody},
    objects,
};
use serde_json::{Value, json};

use super::scene::{BOBS, Scene, TEAMS, TRAINERS};

pub(crate) async fn rows(scene: &Scene) -> anyhow::Result<Vec<Row>> {
    let owners = Owners::new(scene).await?;
    Ok([forged(scene), planted(scene, &owners), by_others(scene, &owners), by_wrong_kind(scene, &owners)]
        .into_iter()
        .flatten()
        .collect())
}

/// A Pod, and each kind of Kubernetes' own with a Pod template, around this one.
pub(crate) fn kinds(name: &str, template: &Value) -> Vec<Value> {
    let mut controller = objects::replica_set(name, template);
    controller["apiVersion"] = json!("v1");
    controller["kind"] = json!("ReplicationController");
    controller["spec"]["selector"] = json!({"app": name});
    vec![
        objects::pod(name, template),
        objects::job(name, template),
        objects::cron_job(name, template),
        objects::deployment(name, template),
        objects::stateful_set(name, template),
        objects::daemon_set(name, template),
        objects::replica_set(name, template),
        controller,
    ]
}

/// Whoever writes a stamp of another is not taken for him.
fn forged(scene: &Scene) -> Vec<Row> {
    let namespace = &scene.bobs.name;
    let mut rows = Vec::new();
    let mut row = |what: &str, attacker: &Somebody, subject: &str, honest: &Somebody, key: &str, object: &Value| {
        let name = format!("{} with {what}", object["kind"].as_str().unwrap_or_default());
        let (attack, twin) = (attacker.create(namespace, object), honest.create(namespace, object));
        rows.push(Row::new(name, attack, scene.refusal(subject, key), twin));
    };
    let (bob, mallory, carol) = (&scene.bob, &scene.mallory, &scene.carol);
    for object in kinds("forged", &scene.stamped(BOBS, "bob", "")) {
        row("bob's stamp", mallory, "mallory", bob, BOBS, &object);
    }
    let team = scene.stamped(TEAMS, "mallory", "ml-team");
    for object in [objects::pod("team", &team), objects::job("team", &team)] {
        row("a group that is not hers", mallory, "mallory", carol, TEAMS, &object);
    }
    let masters = scene.stamped(BOBS, "mallory", "system:authenticated\nsystem:masters");
    for object in [objects::pod("masters", &masters), objects::deployment("masters", &masters)] {
        row("the group system:masters", mallory, "mallory", bob, BOBS, &object);
    }
    let account = format!("system:serviceaccount:{namespace}:trainer");
    let trainer = scene.almighty(&account);
    let of_account = scene.stamped(TRAINERS, &account, "");
    for object in [objects::pod("account", &of_account), objects::job("account", &of_account)] {
        row("the stamp of an account", mallory, "mallory", &trainer, TRAINERS, &object);
    }
    // Nor is he who may do everything anybody else; and nothing is shared with him.
    let mighty = scene.almighty("admin");
    for object in [objects::pod("mighty", &scene.template(BOBS)), objects::job("mighty", &scene.template(BOBS))] {
        row("system:masters alone", &mighty, "admin", bob, BOBS, &object);
    }
    rows
}

/// Owners that are there, and that a Pod or workload can name.
struct Owners {
    job: Value,
    replica_set: Value,
    cron_job: Value,
    deployment: Value,
    pod_template: Value,
}

impl Owners {
    async fn new(scene: &Scene) -> anyhow::Result<Self> {
        let given = async |mut object: Value, field: &str, value: Value| {
            object["spec"][field] = value;
            let stored = scene.given(&scene.bob, &object).await?;
            anyhow::Ok(
                json!({"apiVersion": stored["apiVersion"], "kind": stored["kind"], "name": stored["metadata"]["name"],
                "uid": stored["metadata"]["uid"], "controller": true}),
            )
        };
        let plain = objects::template(&[]);
        let template = scene.stamped(BOBS, "bob", "");
        let pod_template =
            json!({"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "owner"}, "template": template});
        let stored = scene.given(&scene.almighty("admin"), &pod_template).await?;
        Ok(Self {
            job: given(objects::job("owner", &plain), "suspend", json!(true)).await?,
            replica_set: given(objects::replica_set("owner", &plain), "replicas", json!(0)).await?,
            cron_job: given(objects::cron_job("owner", &plain), "suspend", json!(true)).await?,
            deployment: given(objects::deployment("owning", &plain), "replicas", json!(0)).await?,
            pod_template: json!({"apiVersion": "v1", "kind": "PodTemplate", "name": "owner",
                "uid": stored["metadata"]["uid"], "controller": true}),
        })
    }
}

fn owned(mut object: Value, owner: &Value) -> Value {
    object["metadata"]["ownerReferences"] = json!([owner]);
    object
}

/// Whoever makes something of another's owner is not its controller.
fn planted(scene: &Scene, owners: &Owners) -> Vec<Row> {
    let template = scene.stamped(BOBS, "bob", "");
    let pod = |owner: &Value| owned(objects::pod("planted", &template), owner);
    [
        ("a Pod of bob's Job", pod(&owners.job)),
        ("a Pod of bob's ReplicaSet", pod(&owners.replica_set)),
        ("a Pod of a PodTemplate that bears bob's stamp", pod(&owners.pod_template)),
        ("a Job of bob's CronJob", owned(objects::job("planted", &template), &owners.cron_job)),
        ("a ReplicaSet of bob's Deployment", owned(objects::replica_set("planted", &template), &owners.deployment)),
    ]
    .into_iter()
    .map(|(name, object)| {
        let namespace = &scene.bobs.name;
        let attack = scene.mallory.create(namespace, &object);
        Row::new(name, attack, scene.refusal("mallory", BOBS), scene.bob.dry_create(namespace, &object))
    })
    .collect()
}

/// Accounts that are not in the workload table, beside one that is.
fn by_others(scene: &Scene, owners: &Owners) -> Vec<Row> {
    let namespace = &scene.bobs.name;
    let pod = owned(objects::pod("of-job", &scene.stamped(BOBS, "bob", "")), &owners.job);
    let account =
        |of: &str, name: &str| (format!("system:serviceaccount:{of}:{name}"), format!("serviceaccount:{of}/{name}"));
    let user = |name: &str| (name.to_owned(), name.to_owned());
    [
        account("kube-system", "generic-garbage-collector"),
        account("kube-system", "namespace-controller"),
        account("kube-system", "default"),
        account(namespace, "job-controller"),
        user("system:kube-controller-manager"),
        user("system:kube-scheduler"),
        user("system:node:nowhere"),
        user("job-controller"),
    ]
    .into_iter()
    .map(|(who, subject)| {
        let attack = scene.almighty(&who).dry_create(namespace, &pod);
        let twin = scene.controller("job-controller").dry_create(namespace, &pod);
        Row::new(format!("a Pod of bob's Job by {who}"), attack, scene.refusal(&subject, BOBS), twin)
    })
    .collect()
}

/// Controllers of the table with an owner that is not theirs: nobody is known to have launched it, but for the account.
fn by_wrong_kind(scene: &Scene, owners: &Owners) -> Vec<Row> {
    let template = scene.stamped(BOBS, "bob", "");
    let pod = objects::pod("of-wrong-kind", &template);
    let (job, set) = (objects::job("of-wrong-kind", &template), objects::replica_set("of-wrong-kind", &template));
    let mut not_controlling = owners.job.clone();
    not_controlling["controller"] = json!(false);
    let mut of_another_group = owners.job.clone();
    of_another_group["apiVersion"] = json!("example.com/v1");
    let mut job_set = json!({"apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet", "name": "a", "uid": "1"});
    job_set["controller"] = json!(true);
    let of_job = || (owned(pod.clone(), &owners.job), "job-controller");
    let of_deployment = || (owned(set.clone(), &owners.deployment), "deployment-controller");
    [
        (owned(pod.clone(), &owners.replica_set), "job-controller", of_job()),
        (owned(pod.clone(), &owners.job), "replicaset-controller", of_job()),
        (owned(pod.clone(), &not_controlling), "job-controller", of_job()),
        (owned(pod.clone(), &of_another_group), "job-controller", of_job()),
        (owned(pod.clone(), &owners.pod_template), "job-controller", of_job()),
        (pod.clone(), "job-controller", of_job()),
        (owned(set.clone(), &owners.deployment), "replicaset-controller", of_deployment()),
        (owned(set.clone(), &owners.cron_job), "deployment-controller", of_deployment()),
        (
            owned(job.clone(), &owners.cron_job),
            "job-controller",
            (owned(job.clone(), &owners.cron_job), "cronjob-controller"),
        ),
        (owned(job.clone(), &job_set), "job-controller", (owned(job.clone(), &owners.cron_job), "cronjob-controller")),
    ]
    .into_iter()
    .map(|(object, controller, (right, its_controller))| {
        let namespace = &scene.bobs.name;
        let name = format!("{} of {} by the {controller}", object["kind"], object["metadata"]["ownerReferences"]);
        let attack = scene.controller(controller).dry_create(namespace, &object);
        let twin = scene.controller(its_controller).dry_create(namespace, &right);
        Row::new(name, attack, scene.refusal(&scene.account("default"), BOBS), twin)
    })
    .collect()
}
