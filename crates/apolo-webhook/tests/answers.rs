//! The router, from bytes to bytes: whatever arrives is answered in words, and what is right is answered right.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod answers {
    mod warnings;
}

use std::sync::Arc;

use apolo_api::access::Access;
use apolo_core::workload::Table;
use apolo_runtime::review::Reviews;
use apolo_webhook::catalogs::Catalogs;
use apolo_webhook::record::Decisions;
use apolo_webhook::{PATHS, Webhook, router};
use axum::Router;
use axum::body::{Body, to_bytes};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{Method, Request};
use kube::{Client, Config};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tower::ServiceExt;

const UID: &str = "705ab4f5-6393-11e8-b7cc-42010a800002";

fn webhook() -> (Router, Registry) {
    webhook_with(Catalogs::default())
}

fn webhook_with(catalogs: Catalogs) -> (Router, Registry) {
    let mut registry = Registry::default();
    let decisions = Decisions::register(&mut registry);
    let table = Table::shipped().unwrap();
    // Nobody is there to be asked.
    let client = Client::try_from(Config::new("http://127.0.0.1:9".parse().unwrap())).unwrap();
    let webhook = Webhook {
        cluster_name: "default".into(),
        table,
        max_access: Access::Write,
        reviews: Reviews::new(client),
        known: Arc::default(),
        catalogs: Arc::new(catalogs),
        neutral_editors: Vec::new(),
        decisions,
    };
    (router(webhook), registry)
}

async fn ask(router: &Router, method: Method, path: &str, body: impl Into<Vec<u8>>) -> (u16, Value) {
    let request = Request::builder().method(method).uri(path).body(Body::from(body.into())).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, serde_json::from_slice(&bytes).unwrap())
}

async fn post(path: &str, body: impl Into<Vec<u8>>) -> (u16, Value) {
    ask(&webhook().0, Method::POST, path, body).await
}

fn review(request: &Value) -> String {
    json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request}).to_string()
}

fn pod_request(operation: &str, pod: &Value) -> Value {
    json!({
        "uid": UID,
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "namespace": "bob", "operation": operation, "userInfo": {"username": "bob"}, "object": pod, "dryRun": false,
    })
}

fn asking() -> Value {
    json!({
        "metadata": {"name": "a", "annotations": {"secrets.apolo.us/env": "A=secret:a"}},
        "spec": {"containers": [{"name": "main", "image": "busybox"}]},
    })
}

fn patch_of(answer: &Value) -> Value {
    serde_json::from_slice(&STANDARD.decode(answer["response"]["patch"].as_str().unwrap()).unwrap()).unwrap()
}

#[tokio::test]
async fn a_pod_that_asks_is_patched() {
    let (status, answer) = post("/pods/mutate", review(&pod_request("CREATE", &asking()))).await;
    assert_eq!(status, 200);
    assert_eq!((&answer["kind"], &answer["apiVersion"]), (&json!("AdmissionReview"), &json!("admission.k8s.io/v1")));
    let response = &answer["response"];
    assert_eq!(response["uid"], UID);
    assert_eq!((&response["allowed"], &response["patchType"]), (&json!(true), &json!("JSONPatch")));
    assert_eq!(
        patch_of(&answer),
        json!([
            {"op": "add", "path": "/metadata/annotations/secrets.apolo.us~1launched-by", "value": "bob"},
            {"op": "add", "path": "/metadata/annotations/secrets.apolo.us~1launched-by-groups", "value": ""},
            {"op": "add", "path": "/metadata/annotations/secrets.apolo.us~1containers", "value": "main"},
            {"op": "add", "path": "/spec/containers/0/env", "value":
                [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "a", "key": "a"}}}]},
        ])
    );
}

#[tokio::test]
async fn a_pod_that_asks_for_nothing_is_allowed_as_it_is() {
    let pod = json!({"metadata": {"name": "a"}, "spec": {"containers": [{"name": "main"}]}});
    for path in ["/pods/mutate", "/pods/validate"] {
        let (_, answer) = post(path, review(&pod_request("CREATE", &pod))).await;
        assert_eq!(answer["response"], json!({"uid": UID, "allowed": true}));
    }
}

#[tokio::test]
async fn a_pod_is_validated_as_it_will_be() {
    let (_, answer) = post("/pods/validate", review(&pod_request("CREATE", &asking()))).await;
    assert_eq!(answer["response"]["status"]["code"], 403);
    let mut pod = asking();
    let annotations = &mut pod["metadata"]["annotations"];
    annotations["secrets.apolo.us/containers"] = json!("main");
    annotations["secrets.apolo.us/launched-by"] = json!("bob");
    annotations["secrets.apolo.us/launched-by-groups"] = json!("");
    pod["spec"]["containers"][0]["env"] =
        json!([{"name": "A", "valueFrom": {"secretKeyRef": {"name": "a", "key": "a"}}}]);
    let (_, answer) = post("/pods/validate", review(&pod_request("CREATE", &pod))).await;
    assert_eq!(answer["response"]["allowed"], true);
    pod["metadata"]["annotations"]["secrets.apolo.us/launched-by"] = json!("alice");
    let (_, answer) = post("/pods/validate", review(&pod_request("CREATE", &pod))).await;
    assert_eq!(answer["response"]["status"]["code"], 403, "another webhook made alice of bob");
}

#[tokio::test]
async fn a_debug_container_is_held_up_only_by_what_is_asked_of_others() {
    let mut request = pod_request("UPDATE", &asking());
    request["subResource"] = json!("ephemeralcontainers");
    let (_, answer) = post("/pods/validate", review(&request)).await;
    assert_eq!(answer["response"]["allowed"], true);
    request["object"]["metadata"]["annotations"]["secrets.apolo.us/env"] = json!("A=secret:/alice/a");
    let (_, answer) = post("/pods/validate", review(&request)).await;
    let status = &answer["response"]["status"];
    let said = "whether the Pod may use secrets of other owners cannot be known now: the API server has not told all grants yet; try again";
    assert_eq!((&status["code"], &status["message"]), (&json!(503), &json!(said)));
}

#[tokio::test]
async fn a_review_of_something_else_is_denied_in_words() {
    let mut deployment = pod_request("CREATE", &asking());
    deployment["resource"] = json!({"group": "apps", "version": "v1", "resource": "deployments"});
    let update = pod_request("UPDATE", &asking());
    let mut no_namespace = pod_request("CREATE", &asking());
    no_namespace["namespace"] = Value::Null;
    let no_object = pod_request("CREATE", &Value::Null);
    for (request, said) in [
        (deployment, r#"/pods/mutate takes pods on CREATE, not "deployments.apps" on "CREATE""#),
        (update, r#"/pods/mutate takes pods on CREATE, not "pods" on "UPDATE""#),
        (no_object, r#"/pods/mutate takes pods on CREATE, not "pods" on "CREATE" without an object"#),
        (no_namespace, r#"/pods/mutate takes pods on CREATE, not "pods" on "CREATE" without a namespace"#),
    ] {
        let (status, answer) = post("/pods/mutate", review(&request)).await;
        assert_eq!((status, &answer["response"]["allowed"]), (200, &json!(false)));
        let denial = &answer["response"]["status"];
        assert_eq!((&denial["code"], &denial["message"]), (&json!(400), &json!(said)));
    }
}

#[tokio::test]
async fn what_is_no_review_is_answered_in_words() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for (body, said) in [
        (b"not json".to_vec(), "the body is not JSON (at line 1, column 2)"),
        (Vec::new(), "the body is not JSON (at line 1, column 0)"),
        (b"{\"kind\":\"\xc3\x28\"}".to_vec(), "the body is not UTF-8 (at byte 9)"),
        (deep.into_bytes(), "the body is nested more than 4096 levels deep"),
        (b"{}".to_vec(), r#"the body must be an AdmissionReview of admission.k8s.io/v1, not "" of """#),
        (
            review(&json!({"uid": "1"})).replace("/v1", "/v1beta1").into_bytes(),
            r#"the body must be an AdmissionReview of admission.k8s.io/v1, not "AdmissionReview" of "admission.k8s.io/v1beta1""#,
        ),
        (review(&Value::Null).into_bytes(), "the AdmissionReview has no request"),
        (
            br#"{"kind":"AdmissionReview","kind":"AdmissionReview"}"#.to_vec(),
            "the body is not in the form of an AdmissionReview: duplicate field `kind` (at line 1, column 32)",
        ),
    ] {
        for path in PATHS {
            let (status, answer) = post(path, body.clone()).await;
            assert_eq!((status, &answer["kind"], &answer["message"]), (400, &json!("Status"), &json!(said)));
        }
    }
}

#[tokio::test]
async fn a_review_whose_pod_is_out_of_form_is_denied_with_its_uid() {
    let mut request = pod_request("CREATE", &asking());
    request["object"]["spec"]["containers"] = json!("hunter2");
    let (status, answer) = post("/pods/mutate", review(&request)).await;
    assert_eq!((status, &answer["response"]["uid"]), (200, &json!(UID)));
    let said = answer["response"]["status"]["message"].as_str().unwrap();
    assert!(said.contains("expected an array") && !said.contains("hunter2"), "{said}");
}

#[tokio::test]
async fn a_key_of_the_pod_that_stands_there_twice_is_denied() {
    for (once, twice) in [
        (r#""spec":{"#, r#""spec":{},"spec":{"#),
        (r#""secrets.apolo.us/env":"#, r#""secrets.apolo.us/env":"B=secret:b","secrets.apolo.us/env":"#),
        (r#""name":"main""#, r#""name":"main","name":"other""#),
    ] {
        let body = review(&pod_request("CREATE", &asking())).replacen(once, twice, 1);
        let (_, answer) = post("/pods/mutate", body).await;
        let said = answer["response"]["status"]["message"].as_str().unwrap_or_default();
        assert!(said.contains("duplicate"), "{said}");
    }
}

#[tokio::test]
async fn other_paths_and_methods_are_answered_in_words() {
    let (router, _) = webhook();
    let (status, answer) = ask(&router, Method::POST, "/pods", "").await;
    assert_eq!((status, &answer["message"]), (404, &json!("there is nothing at \"/pods\"")));
    let (status, answer) = ask(&router, Method::GET, "/pods/mutate", "").await;
    assert_eq!((status, &answer["message"]), (405, &json!("\"/pods/mutate\" does not take GET")));
}

fn job_request(operation: &str, job: &Value, before: &Value) -> Value {
    json!({
        "uid": UID,
        "resource": {"group": "batch", "version": "v1", "resource": "jobs"},
        "namespace": "bob", "name": "train", "operation": operation, "userInfo": {"username": "bob", "groups": ["dev"]},
        "object": job, "oldObject": before,
    })
}

fn job(env: &str) -> Value {
    json!({"metadata": {"name": "train"}, "spec": {"template": {"metadata": {"annotations": {"secrets.apolo.us/env": env}}}}})
}

#[tokio::test]
async fn a_workload_is_checked_and_stamped_and_not_changed_otherwise() {
    let (_, answer) = post("/workloads", review(&job_request("CREATE", &job("A=secret:a"), &Value::Null))).await;
    let at = "/spec/template/metadata/annotations/secrets.apolo.us~1launched-by";
    assert_eq!(
        patch_of(&answer),
        json!([
            {"op": "add", "path": at, "value": "bob"},
            {"op": "add", "path": format!("{at}-groups"), "value": "dev"},
        ])
    );
    let (_, answer) = post("/workloads", review(&job_request("CREATE", &job("A=secret:/alice/a"), &Value::Null))).await;
    assert_eq!(answer["response"]["status"]["code"], 503, "nobody can be asked");
    let (_, answer) = post("/workloads", review(&job_request("CREATE", &job("A"), &Value::Null))).await;
    let said = "spec.template: secrets.apolo.us/env, item 1: there is no \"=\"; write NAME=secret:KEY";
    let status = &answer["response"]["status"];
    assert_eq!((&status["code"], &status["message"]), (&json!(422), &json!(said)));
}

#[tokio::test]
async fn a_workload_is_held_up_again_only_where_a_template_differs() {
    let mut labelled = job("A");
    labelled["metadata"]["labels"] = json!({"a": "b"});
    let mut annotated = job("A=secret:a");
    annotated["metadata"]["annotations"] = json!({"secrets.apolo.us/env": "A=secret:a"});
    let unreadable = json!({"spec": {"template": {}, "template": 3}, "metadata": 3});
    for (job, before, allowed) in [
        (&labelled, &job("A"), true),
        (&job("B"), &job("A"), false),
        (&job("A"), &json!({}), false),
        (&annotated, &job("A=secret:a"), false),
        (&annotated, &annotated, true),
        (&job("A=secret:a"), &annotated, true),
        (&job("A=secret:a"), &unreadable, true),
    ] {
        let (_, answer) = post("/workloads", review(&job_request("UPDATE", job, before))).await;
        assert_eq!(answer["response"]["allowed"], allowed, "{job}");
    }
}

#[tokio::test]
async fn a_workload_that_cannot_be_read_is_denied_in_words() {
    let mut request = job_request("CREATE", &job("A=secret:a"), &Value::Null);
    request["object"]["spec"]["template"]["spec"] = json!("hunter2");
    let (_, answer) = post("/workloads", review(&request)).await;
    let status = &answer["response"]["status"];
    let said = "spec.template cannot be read: expected an object (at line 1, column 82 of its JSON)";
    assert_eq!((&status["code"], &status["message"]), (&json!(400), &json!(said)));
    request["resource"]["resource"] = json!("widgets");
    let (_, answer) = post("/workloads", review(&request)).await;
    let said = answer["response"]["status"]["message"].as_str().unwrap();
    assert_eq!(
        said,
        r#""widgets.batch" is no kind of the webhook's workload table; give it the rows of the chart's value workloads, with --workloads FILE"#
    );
}

#[tokio::test]
async fn decisions_and_mistakes_are_counted() {
    let (router, registry) = webhook();
    let mut mistaken = pod_request("CREATE", &asking());
    mistaken["object"]["metadata"]["annotations"]["secrets.apolo.us/env"] = json!("A, B=x");
    for body in [review(&pod_request("CREATE", &asking())), review(&mistaken), "no".to_owned()] {
        ask(&router, Method::POST, "/pods/mutate", body).await;
    }
    let mut text = String::new();
    encode(&mut text, &registry).unwrap();
    for line in [
        r#"admission_decisions_total{path="/pods/mutate",verdict="patched"} 1"#,
        r#"admission_decisions_total{path="/pods/mutate",verdict="mistaken"} 1"#,
        r#"admission_decisions_total{path="/pods/mutate",verdict="unreadable"} 1"#,
        r#"mistakes_total{kind="no-equals"} 1"#,
        r#"mistakes_total{kind="value-is-no-reference"} 1"#,
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

fn grant_request(operation: &str, access: &str, before: &Value) -> Value {
    let grant = |access: &str| {
        json!({
            "metadata": {"name": "a", "namespace": "alice", "annotations": {"secrets.apolo.us/granted-by": "mallory"}},
            "spec": {"secrets": ["a"], "access": access, "subjects": [{"kind": "User", "name": "bob"}]},
        })
    };
    json!({
        "uid": UID,
        "resource": {"group": "secrets.apolo.us", "version": "v1alpha1", "resource": "secretgrants"},
        "namespace": "alice", "operation": operation, "userInfo": {"username": "alice"},
        "object": grant(access), "oldObject": before.as_str().map(grant),
    })
}

#[tokio::test]
async fn a_grant_of_more_than_the_cluster_allows_is_refused_with_the_most() {
    let (_, answer) = post("/grants/validate", review(&grant_request("CREATE", "Manage", &Value::Null))).await;
    assert_eq!(answer["response"]["status"]["code"], 422);
    assert_eq!(
        answer["response"]["status"]["message"],
        "spec.access: \"Manage\" is more than this cluster allows; write access: Write"
    );
    // One that was there before is not stopped from becoming less.
    let narrowed = grant_request("UPDATE", "Manage", &json!("Manage"));
    assert_eq!(post("/grants/validate", review(&narrowed)).await.1["response"]["allowed"], true);
}

#[tokio::test]
async fn a_grant_is_refused_while_nobody_can_be_asked() {
    for (path, operation, before) in
        [("mutate", "CREATE", Value::Null), ("validate", "CREATE", Value::Null), ("validate", "UPDATE", json!("Use"))]
    {
        let (_, answer) = post(&format!("/grants/{path}"), review(&grant_request(operation, "Read", &before))).await;
        let status = &answer["response"]["status"];
        assert_eq!(
            (&answer["response"]["allowed"], &status["code"]),
            (&json!(false), &json!(503)),
            "{path} {operation}"
        );
        let message = status["message"].as_str().unwrap();
        assert!(message.starts_with("whether you may grant this cannot be known now: asking whether"), "{message}");
    }
}

#[tokio::test]
async fn a_grant_that_gives_nothing_new_asks_nobody_and_keeps_what_was_written() {
    let mut narrowed = grant_request("UPDATE", "Use", &json!("Read"));
    narrowed["oldObject"]["metadata"]["annotations"]["secrets.apolo.us/granted-by"] = json!("alice");
    let (_, answer) = post("/grants/mutate", review(&narrowed)).await;
    let restored =
        json!([{"op": "add", "path": "/metadata/annotations/secrets.apolo.us~1granted-by", "value": "alice"}]);
    assert_eq!(patch_of(&answer), restored);
    let (_, answer) = post("/grants/validate", review(&narrowed)).await;
    assert_eq!(answer["response"]["status"]["code"], 403, "another webhook put it back");
}

#[tokio::test]
async fn what_is_no_grant_is_not_decided() {
    let mut status = grant_request("UPDATE", "Use", &json!("Use"));
    status["subResource"] = json!("status");
    let mut pod = grant_request("CREATE", "Use", &Value::Null);
    pod["resource"] = json!({"group": "", "version": "v1", "resource": "pods"});
    for request in [status, pod, grant_request("DELETE", "Use", &Value::Null)] {
        for path in ["/grants/mutate", "/grants/validate"] {
            assert_eq!(post(path, review(&request)).await.1["response"]["status"]["code"], 400, "{request}");
        }
    }
    let mut unknown = grant_request("CREATE", "Use", &Value::Null);
    unknown["object"]["spec"]["access"] = json!("Everything");
    assert_eq!(post("/grants/mutate", review(&unknown)).await.1["response"]["allowed"], true, "its schema refuses it");
    let (_, refused) = post("/grants/validate", review(&unknown)).await;
    assert!(refused["response"]["status"]["message"].as_str().unwrap().starts_with("the grant cannot be read: "));
    let mut large = grant_request("CREATE", "Use", &Value::Null);
    large["object"]["spec"]["secrets"] = (0..65).map(|number| json!(number.to_string())).collect();
    let (_, refused) = post("/grants/validate", review(&large)).await;
    let message = refused["response"]["status"]["message"].as_str().unwrap();
    assert!(message.starts_with("the grant cannot be read: there are more secrets than a grant has"), "{message}");
}
