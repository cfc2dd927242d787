//! A toy of the tenant's, and operators that make Pods of it: one in the workload table, and one that is not.

use apolo_tests::{
    attempts::{Row, Somebody},
    control_plane::ControlPlane,
    eventually::eventually,
    objects,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, api::PostParams};
use serde_json::{Value, json};

use super::scene::{BOBS, HERS, Scene};

/// The row of the table.
pub(crate) const ROWS: &str = "\
- group: example.com
  versions: [v1]
  kind: Toy
  templates: [spec.template]
  creators: [\"system:serviceaccount:toys:operator\"]";

const OPERATOR: &str = "system:serviceaccount:toys:operator";
const OTHER: &str = "system:serviceaccount:toys:other";
/// Secrets that are shared with the operator, and with the other one.
const OPERATORS: &str = "operators";
const OTHERS: &str = "others";

/// Makes the API server serve toys.
pub(crate) async fn define(control_plane: &ControlPlane) -> anyhow::Result<()> {
    let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let definition: CustomResourceDefinition = serde_json::from_value(json!({
        "metadata": {"name": "toys.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": "toys", "singular": "toy", "kind": "Toy"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}],
        },
    }))?;
    let client = control_plane.admin().await?;
    Api::all(client.clone()).create(&PostParams::default(), &definition).await?;
    let served = async || {
        let list = http::Request::get("/apis/example.com/v1/toys").body(Vec::new());
        let list = list.map_err(|error| error.to_string())?;
        client.request_text(list).await.map_err(|error| error.to_string())
    };
    eventually("toys are served", served).await?;
    Ok(())
}

pub(crate) async fn rows(scene: &Scene) -> anyhow::Result<Vec<Row>> {
    for (key, name) in [(OPERATORS, "operator"), (OTHERS, "other")] {
        scene.share_with(key, &json!({"kind": "ServiceAccount", "name": name, "namespace": "toys"})).await?;
    }
    let (operator, other) = (scene.almighty(OPERATOR), scene.almighty(OTHER));
    scene.is_allowed(&other, &objects::pod("probe", &scene.template(OTHERS))).await?;
    let bob = Somebody::with_all_rights(&scene.bobs.client, "bob", &[]);
    let mallory = Somebody::with_all_rights(&scene.bobs.client, "mallory", &[]);
    let bobs = scene.given(&bob, &toy("bobs", &scene.stamped(BOBS, "bob", ""))).await?;
    let mallorys = scene.given(&mallory, &toy("mallorys", &objects::template(&[]))).await?;
    let job = scene.given(&mallory, &suspended(&objects::job("mallorys", &objects::template(&[])))).await?;

    let create = |who: &Somebody, object: &Value| who.create(&scene.bobs.name, object);
    let of_toy = |name: &str| owned(objects::pod(name, &bobs["spec"]["template"]), &bobs);
    let of_job = owned(objects::pod("of-job", &bobs["spec"]["template"]), &job);
    let deployment = owned(objects::deployment("of-toy", &bobs["spec"]["template"]), &bobs);
    let for_mallory = |key: &str, by: &str| owned(objects::pod("for-mallory", &scene.stamped(key, by, "")), &mallorys);
    let theirs = toy("theirs", &scene.stamped(BOBS, "bob", ""));
    let greedy = create(&mallory, &toy("greedy", &scene.template(OPERATORS)));
    let plain = create(&mallory, &toy("plain", &objects::template(&[])));
    let (default, others) = (scene.account("default"), "serviceaccount:toys/other");
    let (bobs_toy, right) = (create(&other, &of_toy("right")), create(&operator, &of_toy("right")));
    let alone = create(&operator, &objects::pod("alone", &bobs["spec"]["template"]));
    let (theirs, his) = (create(&mallory, &theirs), create(&bob, &theirs));
    let (by_other, by_its_own) = (create(&other, &deployment), create(&operator, &deployment));
    let (operators, mallorys) = (for_mallory(OPERATORS, "mallory"), for_mallory(HERS, "bob"));
    let (operators, not_shared) = (create(&operator, &operators), create(&other, &mallorys));
    let shared = create(&other, &for_mallory(OTHERS, "bob"));
    Ok([
        ("mallory's Toy with bob's stamp", theirs, scene.refusal("mallory", BOBS), his),
        ("a Toy that asks for what is the operator's", greedy, scene.refusal("mallory", OPERATORS), plain),
        ("a Pod of bob's Toy by another operator", bobs_toy, scene.refusal(others, BOBS), right),
        ("a Deployment of bob's Toy by another operator", by_other, scene.refusal(others, BOBS), by_its_own),
        ("a Pod by the operator, of no Toy", alone, scene.refusal(&default, BOBS), create(&operator, &of_toy("a"))),
        (
            "a Pod by the operator, of a Job",
            create(&operator, &of_job),
            scene.refusal(&default, BOBS),
            create(&operator, &of_toy("b")),
        ),
        (
            "what is the operator's, for mallory",
            operators,
            scene.refusal("mallory", OPERATORS),
            create(&operator, &of_toy("c")),
        ),
        ("what is not the other operator's, and what is", not_shared, scene.refusal(others, HERS), shared),
    ]
    .map(|(name, attack, words, twin)| Row::new(name, attack, words, twin))
    .into())
}

fn toy(name: &str, template: &Value) -> Value {
    json!({"apiVersion": "example.com/v1", "kind": "Toy", "metadata": {"name": name}, "spec": {"template": template}})
}

fn suspended(job: &Value) -> Value {
    let mut job = job.clone();
    job["spec"]["suspend"] = json!(true);
    job
}

fn owned(mut object: Value, owner: &Value) -> Value {
    object["metadata"]["ownerReferences"] = json!([{"apiVersion": owner["apiVersion"], "kind": owner["kind"],
        "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"], "controller": true}]);
    object
}
