//! Warnings: beside the answer to what is allowed, and never instead of it.

use super::super::*;

const ENV: &str = "secrets.apolo.us/env";
const ABSENT: &str = "secret \"aws-kye\" is not in namespace bob yet; nearest: aws-key";
const NO_ENTRY: &str = "secret \"db-creds\" was not made by apolo: name its entry, secret:db-creds#ENTRY";
const JOB_CONTROLLER: &str = "system:serviceaccount:kube-system:job-controller";

/// A webhook that has been told of one catalog.
fn told(status: &Value) -> Router {
    let catalog = json!({"metadata": {"name": "secrets", "namespace": "bob"}, "status": status});
    let catalogs: Catalogs = [serde_json::from_value(catalog).unwrap()].into_iter().collect();
    webhook_with(catalogs).0
}

fn told_all() -> Router {
    told(&json!({"own": [{"key": "aws-key", "sharedWith": 0}, {"key": "db-creds", "ordinary": true, "sharedWith": 0}]}))
}

async fn response(router: &Router, path: &str, request: &Value) -> Value {
    ask(router, Method::POST, path, review(request)).await.1["response"].take()
}

/// A Pod that asks, as the mutating hook leaves it.
fn asking_for(env: &str, references: &[(&str, &str, &str)]) -> Value {
    let mut pod = asking();
    pod["metadata"]["annotations"] = json!({
        ENV: env, "secrets.apolo.us/containers": "main",
        "secrets.apolo.us/launched-by": "bob", "secrets.apolo.us/launched-by-groups": "",
    });
    let variable = |(name, secret, entry): &(&str, &str, &str)| json!({"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": entry}}});
    pod["spec"]["containers"][0]["env"] = references.iter().map(variable).collect();
    pod
}

fn misspelt() -> Value {
    asking_for(
        "A=secret:aws-kye\nB=secret:aws-key\nC=secret:db-creds\nD=secret:db-creds#password",
        &[
            ("A", "aws-kye", "aws-kye"),
            ("B", "aws-key", "aws-key"),
            ("C", "db-creds", "db-creds"),
            ("D", "db-creds", "password"),
        ],
    )
}

#[tokio::test]
async fn who_creates_a_pod_is_warned_when_it_is_validated() {
    let router = told_all();
    let request = pod_request("CREATE", &misspelt());
    let warned = json!({"uid": UID, "allowed": true, "warnings": [ABSENT, NO_ENTRY]});
    assert_eq!(response(&router, "/pods/validate", &request).await, warned);
    let silent = json!({"uid": UID, "allowed": true});
    assert_eq!(response(&router, "/pods/mutate", &request).await, silent, "it was told once");
    let right = asking_for("A=secret:aws-key", &[("A", "aws-key", "aws-key")]);
    assert_eq!(response(&router, "/pods/validate", &pod_request("CREATE", &right)).await, silent);
    let mut debugged = pod_request("UPDATE", &misspelt());
    debugged["subResource"] = json!("ephemeralcontainers");
    assert_eq!(response(&router, "/pods/validate", &debugged).await, silent);
}

#[tokio::test]
async fn nobody_is_warned_where_what_is_there_is_not_known() {
    let request = pod_request("CREATE", &misspelt());
    let (untold, _) = webhook();
    assert_eq!(response(&untold, "/pods/validate", &request).await, json!({"uid": UID, "allowed": true}));
    let unreadable = told(&json!({"own": 3}));
    assert_eq!(response(&unreadable, "/pods/validate", &request).await, json!({"uid": UID, "allowed": true}));
    let cut = told(&json!({"own": [{"key": "db-creds", "ordinary": true, "sharedWith": 0}], "truncated": 7}));
    let warned = json!({"uid": UID, "allowed": true, "warnings": [NO_ENTRY]});
    assert_eq!(response(&cut, "/pods/validate", &request).await, warned);
}

#[tokio::test]
async fn who_submits_a_workload_is_warned_beside_the_patch() {
    let router = told_all();
    let request = job_request("CREATE", &job("A=secret:aws-kye,B=secret:db-creds"), &Value::Null);
    let mut answer = ask(&router, Method::POST, "/workloads", review(&request)).await.1;
    assert_eq!(patch_of(&answer).as_array().unwrap().len(), 2);
    let response = answer["response"].as_object_mut().unwrap();
    response.remove("patch");
    let warned = json!({"uid": UID, "allowed": true, "patchType": "JSONPatch", "warnings": [ABSENT, NO_ENTRY]});
    assert_eq!(&json!(response), &warned);
}

#[tokio::test]
async fn a_workload_that_is_stamped_already_warns_too_and_one_that_is_not_changed_does_not() {
    let router = told_all();
    let mut stored = job("A=secret:aws-kye");
    let annotations = &mut stored["spec"]["template"]["metadata"]["annotations"];
    annotations["secrets.apolo.us/launched-by"] = json!("bob");
    annotations["secrets.apolo.us/launched-by-groups"] = json!("dev");
    for (operation, before, warnings) in [
        ("CREATE", &Value::Null, json!([ABSENT])),
        ("UPDATE", &job("A=secret:b"), json!([ABSENT])),
        ("UPDATE", &stored, Value::Null),
    ] {
        let answer = response(&router, "/workloads", &job_request(operation, &stored, before)).await;
        assert_eq!((&answer["allowed"], &answer["warnings"]), (&json!(true), &warnings), "{operation} {before}");
    }
}

#[tokio::test]
async fn each_secret_is_told_once_for_all_templates_of_a_workload() {
    let template = |env: &str| json!({"template": {"spec": {"template": {"metadata": {"annotations": {ENV: env}}}}}});
    let jobs = [template("A=secret:aws-kye"), template("A=secret:db-creds"), template("B=secret:/bob/aws-kye#x")];
    let mut request = job_request("CREATE", &json!({"spec": {"replicatedJobs": jobs}}), &Value::Null);
    request["resource"] = json!({"group": "jobset.x-k8s.io", "version": "v1alpha2", "resource": "jobsets"});
    assert_eq!(response(&told_all(), "/workloads", &request).await["warnings"], json!([ABSENT, NO_ENTRY]));
}

#[tokio::test]
async fn a_controller_is_not_warned() {
    let router = told_all();
    let mut pod = misspelt();
    pod["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "batch/v1", "kind": "Job", "name": "a", "uid": "1", "controller": true}]);
    let mut request = pod_request("CREATE", &pod);
    request["userInfo"]["username"] = json!(JOB_CONTROLLER);
    assert_eq!(response(&router, "/pods/validate", &request).await, json!({"uid": UID, "allowed": true}));
    let mut request = job_request("CREATE", &job("A=secret:aws-kye"), &Value::Null);
    request["userInfo"]["username"] = json!("system:serviceaccount:kube-system:cronjob-controller");
    let answer = response(&router, "/workloads", &request).await;
    assert_eq!((&answer["allowed"], &answer["warnings"]), (&json!(true), &Value::Null));
}

#[tokio::test]
async fn what_is_not_allowed_is_refused_as_without_warnings() {
    let router = told_all();
    let mut lacking = misspelt();
    lacking["spec"]["containers"][0]["env"] = json!([]);
    let lacking = pod_request("CREATE", &lacking);
    let mistaken = pod_request("CREATE", &asking_for("A=secret:aws-kye,B", &[]));
    let job = |env: &str| job_request("CREATE", &job(env), &Value::Null);
    for (path, request, code) in [
        ("/pods/validate", lacking, 403),
        ("/pods/validate", mistaken, 422),
        ("/workloads", job("A=secret:aws-kye,B"), 422),
        ("/workloads", job("A=secret:aws-kye,B=secret:/alice/a"), 503),
    ] {
        let answer = response(&router, path, &request).await;
        assert_eq!((&answer["allowed"], &answer["status"]["code"]), (&json!(false), &json!(code)), "{request}");
        assert_eq!(answer, response(&webhook().0, path, &request).await);
        assert_eq!(answer["warnings"], Value::Null);
    }
}
