//! Forged reviews: each is answered with the right status and in words, which never tell what stood there.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use serde_json::Value;

use crate::client::Http2;
use crate::webhook::{Webhook, review_of};
use Told::{Allowed, Refused, Status};

/// Stands in every body, where a value might.
const VALUE: &str = "hunter2";

/// How a row is answered.
enum Told {
    /// By a `Status` of HTTP 400, with these words.
    Status(&'static str),
    /// As a review, refused with this code and these words.
    Refused(u16, &'static str),
    /// As a review, and allowed.
    Allowed,
}

fn review(rest: &str) -> String {
    format!(r#"{{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","note":"{VALUE}",{rest}}}"#)
}

fn object(object: &str) -> String {
    review_of("7", object).replacen('{', &format!(r#"{{"note":"{VALUE}","#), 1)
}

fn rows() -> Vec<(&'static str, Vec<u8>, Told)> {
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let pods = r#""resource":{"group":"","version":"v1","resource":"pods"}"#;
    let annotated = |value: &str| object(&format!(r#"{{"metadata":{{"annotations":{value}}},"spec":{{}}}}"#));
    let text = |name, body: String, told| (name, body.into_bytes(), told);
    vec![
        ("nothing", Vec::new(), Status("the body is not JSON")),
        text("a word", VALUE.to_owned(), Status("the body is not JSON")),
        text("a string", format!("\"{VALUE}\""), Status("the body is not in the form of an AdmissionReview")),
        text("half of it", review_of("7", &format!(r#"{{"a":"{VALUE}"#))[..200].to_owned(), Status("not JSON")),
        ("no UTF-8", [VALUE.as_bytes(), b"\xff\xfe"].concat(), Status("the body is not UTF-8 (at byte 7)")),
        text("10,000 levels", nested(10_000), Status("nested more than 4096 levels deep")),
        text("10,000 levels in a Pod", object(&nested(10_000)), Refused(400, "nested more than 4096 levels deep")),
        text("another kind", review("").replace("AdmissionReview", "Pod").replace(",}", "}"), Status("not \"Pod\" of")),
        text("another version", review("").replace("io/v1", "io/v1beta1").replace(",}", "}"), Status("io/v1beta1\"")),
        text("no request", review(r#""request":null"#), Status("the AdmissionReview has no request")),
        text("no uid", review(&format!(r#""request":{{{pods}}}"#)), Status("missing field `uid`")),
        text("two uids", review(r#""request":{"uid":"7","uid":"8"}"#), Status("duplicate field `uid`")),
        text("a long uid", review_of(&VALUE.repeat(1000), "{}"), Status("request.uid is longer than 253 bytes")),
        text("a uid of no string", review(r#""request":{"uid":7}"#), Status("expected a string")),
        text("no object", review(&format!(r#""request":{{"uid":"7","namespace":"bob",{pods}}}"#)), Refused(400, "not")),
        text("another resource", review_of("7", "{}").replace("pods", "secrets"), Refused(400, "not \"secrets\" on")),
        text("another operation", review_of("7", "{}").replace("CREATE", "DELETE"), Refused(400, "on \"DELETE\"")),
        text("no namespace", review_of("7", "{}").replace("bob", ""), Refused(400, "without a namespace")),
        text("a list for a Pod", object("[[[]]]"), Refused(400, "the body is not in the form of an AdmissionReview")),
        text(
            "a value for a list",
            object(&format!(r#"{{"spec":{{"containers":"{VALUE}"}}}}"#)),
            Refused(400, "an array"),
        ),
        text(
            "2,000,000 containers",
            object(&format!(r#"{{"spec":{{"containers":[{{}}{}]}}}}"#, ",{}".repeat(2_000_000))),
            Refused(400, "the body has more than 10000 objects in its lists"),
        ),
        text("annotations of 3 MB", annotated(&format!(r#"{{"a":"{}"}}"#, VALUE.repeat(430_000))), Allowed),
        text(
            "an annotation of ours of 3 MB",
            annotated(&format!(r#"{{"secrets.apolo.us/env":"{}"}}"#, "A=hunter2,".repeat(300_000))),
            Refused(422, "and more"),
        ),
        text(
            "annotations that are nested",
            annotated(r#"{"secrets.apolo.us/env":{"a":[{}]}}"#),
            Refused(400, "a string"),
        ),
        text(
            "500 annotations of ours",
            annotated(&format!(
                "{{{}\"a\":\"\"}}",
                (0..500).map(|n| format!("\"secrets.apolo.us/{n}\":\"{VALUE}\",")).collect::<String>()
            )),
            Refused(400, "no more than 256 that begin with secrets.apolo.us/"),
        ),
        text("a NUL in a string", object(&format!("{{\"metadata\":{{\"name\":\"{VALUE}\0\"}}}}")), Status("not JSON")),
        text("an escaped NUL", annotated(r#"{"secrets.apolo.us/env":"A\u0000=hunter2"}"#), Refused(422, "item 1")),
        text("a bad escape", object(r#"{"metadata":{"name":"hunter2\x"}}"#), Status("the body is not JSON")),
        text("half of a surrogate pair", object(r#"{"metadata":{"name":"hunter2\ud800"}}"#), Refused(400, "not JSON")),
        text("a number that is too large", object(r#"{"spec":{"priority":1e999}}"#), Allowed),
        text("a number for a string", object(r#"{"metadata":{"name":1e999}}"#), Refused(400, "the body is not")),
        text("more after the end", format!("{}{VALUE}", object("{}")), Status("the body is not JSON")),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_every_forged_review_in_words_of_its_own() {
    let webhook = Webhook::new(&[]).await;
    let attack = async {
        let connection = Http2::new(&webhook).await;
        for path in ["/pods/mutate", "/pods/validate"] {
            for (name, body, told) in rows() {
                let (status, bytes) = connection.post(path, body).await;
                let text = String::from_utf8(bytes.to_vec()).unwrap();
                let answer: Value = serde_json::from_str(&text).unwrap();
                let response = &answer["response"];
                match told {
                    Status(words) => {
                        assert_eq!((status, &answer["kind"]), (400, &Value::from("Status")), "{name}: {text}");
                        assert!(answer["message"].as_str().unwrap().contains(words), "{name}: {text}");
                    }
                    Refused(code, words) => {
                        assert_eq!((status, &response["allowed"]), (200, &Value::from(false)), "{name}: {text}");
                        assert_eq!((&response["uid"], &response["status"]["code"]), (&"7".into(), &code.into()));
                        assert!(response["status"]["message"].as_str().unwrap().contains(words), "{name}: {text}");
                    }
                    Allowed => assert_eq!(response["allowed"], true, "{name}: {text}"),
                }
                assert!(!text.contains(VALUE), "{name}: {text}");
                assert!(text.len() < 16 << 10, "{name}: {} bytes", text.len());
            }
        }
    };
    webhook.survives("forged reviews", attack).await;
}

/// A review of a JobSet, new, with this `spec`.
fn job_set(spec: &str) -> Vec<u8> {
    let object = format!(r#"{{"metadata":{{"annotations":{{"secrets.apolo.us/env":"{VALUE}"}}}},"spec":{spec}}}"#);
    let resource = r#""resource":{"group":"jobset.x-k8s.io","version":"v1alpha2","resource":"jobsets"}"#;
    let request =
        format!(r#""request":{{"uid":"7",{resource},"namespace":"bob","operation":"CREATE","object":{object}}}"#);
    review(&request).into_bytes()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_every_forged_review_of_a_workload_in_words_of_its_own() {
    let many = |count: usize, what: &str| format!("[{}]", vec![what; count].join(","));
    let jobs = |jobs: &str| job_set(&format!(r#"{{"replicatedJobs":{jobs}}}"#));
    let template = |template: &str| jobs(&format!(r#"[{{"template":{{"spec":{{"template":{template}}}}}}}]"#));
    let webhook = Webhook::new(&[]).await;
    let attack = async {
        let connection = Http2::new(&webhook).await;
        for (name, body, code, words) in [
            ("2,000,000 jobs", jobs(&many(2_000_000, "{}")), 400, "more than 30000 objects in its lists"),
            ("29,000 jobs", jobs(&many(29_000, r#"{"template":{"metadata":{}}}"#)), 400, "more than 1000 elements"),
            ("a million numbers", jobs(&many(1_000_000, "0")), 400, "more than 1000 elements"),
            (
                "29,000 containers",
                template(&format!(r#"{{"spec":{{"containers":{}}}}}"#, many(29_000, "{}"))),
                422,
                "on the JobSet has no effect",
            ),
            (
                "a word for a list",
                jobs(&format!("\"{VALUE}\"")),
                400,
                "spec.replicatedJobs cannot be read: expected an array",
            ),
            ("a template that is none", template(&format!("\"{VALUE}\"")), 400, "cannot be read: expected an object"),
            (
                "3 MB beside",
                job_set(&format!(r#"{{"a":"{}"}}"#, VALUE.repeat(430_000))),
                422,
                "on the JobSet has no effect",
            ),
        ] {
            for _ in 0..4 {
                let (status, bytes) = connection.post("/workloads", body.clone()).await;
                let text = String::from_utf8(bytes.to_vec()).unwrap();
                let answer: Value = serde_json::from_str(&text).unwrap();
                let told = &answer["response"]["status"];
                assert_eq!((status, &told["code"]), (200, &code.into()), "{name}: {text}");
                assert!(told["message"].as_str().unwrap().contains(words), "{name}: {text}");
                assert!(!text.contains(VALUE) && text.len() < 16 << 10, "{name}: {text}");
            }
        }
    };
    webhook.survives("forged reviews of workloads", attack).await;
}

#[tokio::test]
async fn says_which_paths_and_methods_there_are_not() {
    let webhook = Webhook::new(&[]).await;
    let attack = async {
        let connection = Http2::new(&webhook).await;
        for (method, path, status, words) in [
            ("GET", "/pods/mutate", 405, "does not take GET"),
            ("DELETE", "/pods/validate", 405, "does not take DELETE"),
            ("POST", "/", 404, "there is nothing at"),
            ("POST", "/pods/mutate/../../etc/passwd", 404, "there is nothing at"),
            ("POST", "/metrics", 404, "there is nothing at"),
        ] {
            let request = Request::builder().method(method).uri(format!("https://localhost{path}"));
            let (told, body) = connection.send(request.body(Full::new(Bytes::new())).unwrap()).await;
            let text = String::from_utf8_lossy(&body);
            assert!(told == status && text.contains(words), "{method} {path}: {told} {text}");
        }
        // What the body is said to be does not matter; it is read as what it must be.
        for kind in ["text/plain", "application/yaml", "multipart/form-data; boundary=x"] {
            let request = Request::post("https://localhost/pods/mutate").header("content-type", kind);
            let body = Bytes::from(review_of("7", "{}"));
            assert_eq!(connection.send(request.body(Full::new(body)).unwrap()).await.0, 200, "{kind}");
        }
    };
    webhook.survives("wrong requests", attack).await;
}
