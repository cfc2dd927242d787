//! Reviews that come straight to the webhook's port, from whoever reaches it: he gets a verdict, and nothing else.

use anyhow::Context;
use apolo_tests::{
    attempts::{Attempt, Row, attempt, outcome},
    objects,
};
use http::{Method, Request};
use kube::Client;
use serde_json::{Value, json};

use super::scene::{BOBS, Scene, VALUE};

pub(crate) async fn rows(scene: &Scene) -> anyhow::Result<Vec<Row>> {
    let url = scene.bobs.webhook_url().context("the webhook does not serve")?;
    let port = scene.bobs.stranger_at(&url).await?;
    let mut rows = forged(scene, &port);
    rows.extend(out_of_form(scene, &port));
    Ok(rows)
}

/// Sends a review, or what is none, and answers with what the verdict is.
fn sent(port: &Client, method: Method, path: &str, body: &str) -> Attempt {
    let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    let (port, request) = (port.clone(), request.body(body.as_bytes().to_vec()));
    attempt(async move {
        let answer = match outcome(port.request::<Value>(request?).await)? {
            Ok(answer) => answer,
            Err(refused) => return Ok(Err(refused)),
        };
        anyhow::ensure!(!answer.to_string().contains(VALUE), "the answer holds a value: {answer}");
        let response = &answer["response"];
        if response["allowed"] == true {
            return Ok(Ok(answer));
        }
        Ok(Err(response["status"]["message"].as_str().unwrap_or_default().to_owned()))
    })
}

/// A review as the API server would send it, had somebody asked it for this.
fn review(scene: &Scene, user: &str, object: &Value) -> Value {
    let kind = object["kind"].as_str().unwrap_or_default();
    let (group, version) = object["apiVersion"].as_str().and_then(|it| it.split_once('/')).unwrap_or(("", "v1"));
    json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {
        "uid": "1", "resource": {"group": group, "version": version, "resource": format!("{}s", kind.to_lowercase())},
        "operation": "CREATE", "namespace": scene.bobs.name, "userInfo": {"username": user, "groups": []}, "object": object,
    }})
}

/// A forger learns who may use what; bob's name gets him no value.
fn forged(scene: &Scene, port: &Client) -> Vec<Row> {
    let template = scene.template(BOBS);
    let (pod, job) = (objects::pod("forged", &template), objects::job("forged", &template));
    let post = |path: &str, user: &str, object: &Value| {
        sent(port, Method::POST, path, &review(scene, user, object).to_string())
    };
    let named = |secret: &str| {
        let mut pod = objects::pod("forged", &objects::template(&[]));
        pod["spec"]["volumes"] = json!([{"name": "a", "secret": {"secretName": secret}}]);
        pod
    };
    let stored = |user: &str| {
        let mut stamped = pod.clone();
        stamped["metadata"]["annotations"]["secrets.apolo.us/launched-by"] = json!(user);
        stamped
    };
    vec![
        Row::new(
            "a review in mallory's name, of a Job",
            post("/workloads", "mallory", &job),
            scene.refusal("mallory", BOBS),
            post("/workloads", "bob", &job),
        ),
        Row::new(
            "a review of a Pod that was never mutated",
            post("/pods/validate", "bob", &stored("bob")),
            "the Pod lacks",
            post("/pods/mutate", "bob", &pod),
        ),
        Row::new(
            "a review of a Pod that names a delivery",
            post("/pods/validate", "system:masters", &named("apolo-shared-1")),
            "which its annotations do not ask for",
            post("/pods/validate", "system:masters", &named("own")),
        ),
    ]
}

fn out_of_form(scene: &Scene, port: &Client) -> Vec<Row> {
    let right = review(scene, "bob", &objects::pod("plain", &objects::template(&[])));
    let twin = || sent(port, Method::POST, "/pods/validate", &right.to_string());
    let with = |pointer: &str, value: Value| {
        let mut review = right.clone();
        if let Some(place) = review.pointer_mut(pointer) {
            *place = value;
        }
        review.to_string()
    };
    [
        ("garbage", "hunter2".to_owned(), "the body is not JSON"),
        ("nothing", String::new(), "the body is not JSON"),
        ("half of a review", right.to_string()[..100].to_owned(), "the body is not JSON"),
        (
            "a review of another version",
            with("/apiVersion", json!("admission.k8s.io/v1beta1")),
            "must be an AdmissionReview of admission.k8s.io/v1",
        ),
        ("a review without a request", with("/request", Value::Null), "the AdmissionReview has no request"),
        ("a review of Secrets", with("/request/resource/resource", json!("secrets")), "not \"secrets\" on"),
        ("a review of a deletion", with("/request/operation", json!("DELETE")), "on \"DELETE\""),
        ("a review without a namespace", with("/request/namespace", json!("")), "without a namespace"),
    ]
    .map(|(name, body, words)| Row::new(name, sent(port, Method::POST, "/pods/validate", &body), words, twin()))
    .into_iter()
    .chain([
        Row::new("another method", sent(port, Method::DELETE, "/pods/validate", ""), "does not take DELETE", twin()),
        Row::new("another path", sent(port, Method::POST, "/secrets", &right.to_string()), "/secrets", twin()),
    ])
    .collect()
}
