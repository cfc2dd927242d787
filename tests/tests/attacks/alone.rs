//! Without any hook: the policies hold what the hooks would have written against who writes it.

use apolo_tests::{
    attempts::{Row, Somebody},
    command, objects,
    webhook::RELEASE,
};
use serde_json::{Value, json};

use super::scene::{BY, ENV, GROUPS, Scene, VOLUME, made_by_controller};

const ASKS: (&str, &str) = (ENV, "A=secret:a");
const ANOTHER: &str = "name another than you";
const NOBODY: &str = "does not say who launched it";

/// Takes the hooks away, and waits until the API server asks nobody.
pub(crate) async fn without_hooks(scene: &Scene) -> anyhow::Result<()> {
    for hooks in ["mutatingwebhookconfiguration", "validatingwebhookconfiguration"] {
        let deleted = command::run(scene.bobs.kubectl(["delete", hooks, RELEASE]), "").await?;
        anyhow::ensure!(deleted.status.success(), "{}", deleted.stderr);
    }
    let pod = objects::pod("probe", &objects::template(&[ASKS, (BY, "bob")]));
    let job = objects::job("probe", &objects::template(&[ASKS, (BY, "bob")]));
    scene.is_allowed(&scene.bob, &pod).await?;
    scene.is_allowed(&scene.bob, &job).await
}

pub(crate) fn rows(scene: &Scene) -> Vec<Row> {
    let bob = Somebody::new(&scene.bobs.client, "bob", &["dev"]);
    let pod = |annotations: &[(&str, &str)]| objects::pod("stamped", &objects::template(annotations));
    let of = |mut object: Value, version: &str, kind: &str, controller: bool| {
        object["metadata"]["ownerReferences"] =
            json!([{"apiVersion": version, "kind": kind, "name": "a", "uid": "1", "controller": controller}]);
        object
    };
    let bobs = pod(&[ASKS, (BY, "bob"), (GROUPS, "dev")]);
    let of_job = of(bobs.clone(), "batch/v1", "Job", true);
    let job = |user: &str| objects::job("stamped", &objects::template(&[ASKS, (BY, user)]));
    let create = |who: &Somebody, object: &Value| who.dry_create(&scene.bobs.name, object);
    let (own, others) = (
        of(pod(&[ASKS, (BY, "bob")]), "batch/v1", "Job", true),
        of(pod(&[ASKS, (BY, "alice")]), "batch/v1", "Job", true),
    );
    let mut rows: Vec<Row> = [
        ("a Pod that asks, without a stamp", NOBODY, pod(&[ASKS]), bobs.clone()),
        ("another's stamp", ANOTHER, pod(&[ASKS, (BY, "alice")]), pod(&[ASKS, (BY, "bob")])),
        ("another's stamp on what does not ask", ANOTHER, pod(&[(BY, "alice")]), pod(&[("example.com/by", "alice")])),
        (
            "a group more",
            ANOTHER,
            pod(&[ASKS, (BY, "bob"), (GROUPS, "dev\nadmins")]),
            pod(&[ASKS, (BY, "bob"), (GROUPS, "dev\nsystem:authenticated")]),
        ),
        ("the group system:masters", ANOTHER, pod(&[ASKS, (BY, "bob"), (GROUPS, "system:masters")]), bobs.clone()),
        ("another's stamp on a Pod of a Job", ANOTHER, others, own),
        ("a request after a comma", NOBODY, pod(&[(VOLUME, ",\nsecret:a:/a")]), pod(&[(VOLUME, " ,\n ")])),
    ]
    .into_iter()
    .map(|(name, words, attack, twin)| Row::new(name, create(&bob, &attack), words, create(&bob, &twin)))
    .collect();
    // What was given to the controller of a Job with the template is believed of it.
    let made = made_by_controller(scene, &bob, &job("bob"));
    rows.push(Row::new("a Job with another's stamp", create(&bob, &job("alice")), ANOTHER, made));
    let job_controller = scene.controller("job-controller");
    let namesake = scene.almighty(&format!("system:serviceaccount:{}:job-controller", scene.bobs.name));
    for (who, object) in [
        (&scene.controller("generic-garbage-collector"), of_job.clone()),
        (&scene.controller("replicaset-controller"), of_job.clone()),
        (&namesake, of_job.clone()),
        (&scene.almighty("system:kube-scheduler"), of_job.clone()),
        (&scene.almighty("admin"), of_job.clone()),
        (&job_controller, bobs.clone()),
        (&job_controller, of(bobs.clone(), "batch/v1", "Job", false)),
        (&job_controller, of(bobs.clone(), "apps/v1", "ReplicaSet", true)),
        (&job_controller, of(bobs.clone(), "batch.example.com/v1", "Job", true)),
        (&job_controller, of(bobs.clone(), "v1", "Job", true)),
    ] {
        let name = format!("bob's stamp, not by the controller of {}", object["metadata"]["ownerReferences"]);
        rows.push(Row::new(name, create(who, &object), ANOTHER, create(&job_controller, &of_job)));
    }
    let toy = of(bobs, "example.com/v1", "Toy", true);
    let (operator, other) =
        (scene.almighty("system:serviceaccount:toys:operator"), scene.almighty("system:serviceaccount:toys:other"));
    rows.push(Row::new("bob's stamp by another operator", create(&other, &toy), ANOTHER, create(&operator, &toy)));
    rows
}
