//! The admission webhook: AdmissionReviews in, verdicts out, over HTTPS.
//!
//! In the order in which the data goes: [`admission`] (bytes to a request, a verdict to bytes) and [`pods`] and [`workloads`] (what is
//! decided); beside them [`record`] (one line and one count a decision) and [`run`].
//!
//! It has no right to read a Secret and no type that could hold a value.

pub mod admission;
pub mod pods;
pub mod record;
pub mod run;
pub mod workloads;

use std::sync::Arc;
use std::time::Instant;

use apolo_core::workload::Table;
use apolo_runtime::status;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use bytes::Bytes;
use serde::Deserialize;

use admission::{AdmissionRequest, Object, Verdict};
use record::Decisions;

/// The paths that are answered.
pub const PATHS: [&str; 3] = [MUTATE, VALIDATE, WORKLOADS];
const MUTATE: &str = "/pods/mutate";
const VALIDATE: &str = "/pods/validate";
const WORKLOADS: &str = "/workloads";

/// What the answers depend on.
#[derive(Debug)]
pub struct Webhook {
    /// What this cluster is called in references.
    pub cluster_name: String,
    /// The kinds whose Pod templates are checked.
    pub table: Table,
    /// What is counted.
    pub decisions: Decisions,
}

/// The router of the webhook's port.
pub fn router(webhook: Webhook) -> Router {
    let pods_mutate = |state, body| answer(state, body, |webhook, body| hook(webhook, body, MUTATE, pods::mutate));
    let pods_validate =
        |state, body| answer(state, body, |webhook, body| hook(webhook, body, VALIDATE, pods::validate));
    let workloads = |state, body| answer(state, body, |webhook, body| hook(webhook, body, WORKLOADS, workloads::check));
    Router::new()
        .route(MUTATE, post(pods_mutate))
        .route(VALIDATE, post(pods_validate))
        .route(WORKLOADS, post(workloads))
        .fallback(status::unknown_path)
        .method_not_allowed_fallback(status::wrong_method)
        .with_state(Arc::new(webhook))
}

type Hook = for<'b> fn(&Webhook, &'b [u8]) -> Response;
type Decide<'b, O> = fn(&AdmissionRequest<'b, O>, &Webhook) -> Verdict;

async fn answer(State(webhook): State<Arc<Webhook>>, body: Bytes, hook: Hook) -> Response {
    hook(&webhook, &body)
}

fn hook<'b, O: Object + Deserialize<'b>>(
    webhook: &Webhook,
    body: &'b [u8],
    path: &'static str,
    decide: Decide<'b, O>,
) -> Response {
    let began = Instant::now();
    match AdmissionRequest::read(body) {
        Ok(request) => {
            let verdict = decide(&request, webhook);
            webhook.decisions.record(path, &request, &verdict, began.elapsed());
            admission::reply(&request.uid, &verdict)
        }
        Err(error) => {
            webhook.decisions.record_unreadable(path, &error, body.len());
            admission::unreadable(body, &error)
        }
    }
}
