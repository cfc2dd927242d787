//! The admission webhook: AdmissionReviews in, verdicts out, over HTTPS.
//!
//! In the order in which the data goes: [`admission`] (bytes to a request, a verdict to bytes) and [`pods`] (what is
//! decided); beside them [`record`] (one line and one count a decision) and [`run`].
//!
//! It has no right to read a Secret and no type that could hold a value.

pub mod admission;
pub mod pods;
pub mod record;
pub mod run;

use std::sync::Arc;
use std::time::Instant;

use apolo_runtime::status;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use bytes::Bytes;

use admission::{AdmissionRequest, Verdict};
use record::Decisions;

/// The paths that are answered.
pub const PATHS: [&str; 2] = [MUTATE, VALIDATE];
const MUTATE: &str = "/pods/mutate";
const VALIDATE: &str = "/pods/validate";

/// What the answers depend on.
#[derive(Debug)]
pub struct Webhook {
    /// What this cluster is called in references.
    pub cluster_name: String,
    /// What is counted.
    pub decisions: Decisions,
}

type Decide = fn(&AdmissionRequest<'_>, &str) -> Verdict;

/// The router of the webhook's port.
pub fn router(webhook: Webhook) -> Router {
    Router::new()
        .route(MUTATE, post(|state, body| answer(state, body, MUTATE, pods::mutate)))
        .route(VALIDATE, post(|state, body| answer(state, body, VALIDATE, pods::validate)))
        .fallback(status::unknown_path)
        .method_not_allowed_fallback(status::wrong_method)
        .with_state(Arc::new(webhook))
}

async fn answer(State(webhook): State<Arc<Webhook>>, body: Bytes, path: &'static str, decide: Decide) -> Response {
    let began = Instant::now();
    match AdmissionRequest::read(&body) {
        Ok(request) => {
            let verdict = decide(&request, &webhook.cluster_name);
            webhook.decisions.record(path, &request, &verdict, began.elapsed());
            admission::reply(&request.uid, &verdict)
        }
        Err(error) => {
            webhook.decisions.record_unreadable(path, &error, body.len());
            admission::unreadable(&body, &error)
        }
    }
}
