//! The admission webhook: AdmissionReviews in, verdicts out, over HTTPS.
//!
//! In the order in which the data goes: [`admission`] (bytes to a request, an answer to bytes) and [`pods`], [`workloads`] and
//! [`grants`] (what is decided, by the grants that are [`known`] and by asking); [`catalogs`] (for warnings); beside them [`trusted`] (whether
//! the API server believes us), [`record`] (one line and one count a decision) and [`run`].
//!
//! It has no right to read a Secret and no type that could hold a value.

pub mod admission;
pub mod catalogs;
pub mod grants;
pub mod known;
pub mod pods;
pub mod record;
pub mod run;
mod shared;
pub mod trusted;
mod unknown;
pub mod workloads;

use std::sync::Arc;
use std::time::Instant;

use apolo_api::access::Access;
use apolo_core::workload::Table;
use apolo_runtime::review::Reviews;
use apolo_runtime::status;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use bytes::Bytes;
use serde::Deserialize;

use admission::{AdmissionRequest, Answer, Object};
use catalogs::Catalogs;
use known::Known;
use record::Decisions;

/// The paths that are answered.
pub const PATHS: [&str; 5] = [MUTATE, VALIDATE, WORKLOADS, GRANTS_MUTATE, GRANTS_VALIDATE];
const MUTATE: &str = "/pods/mutate";
const VALIDATE: &str = "/pods/validate";
const WORKLOADS: &str = "/workloads";
const GRANTS_MUTATE: &str = "/grants/mutate";
const GRANTS_VALIDATE: &str = "/grants/validate";

/// What the answers depend on.
pub struct Webhook {
    /// What this cluster is called in references.
    pub cluster_name: String,
    /// The kinds whose Pod templates are checked.
    pub table: Table,
    /// The most that a grant may give.
    pub max_access: Access,
    /// Where it is asked who may do what.
    pub reviews: Reviews,
    /// The grants.
    pub known: Arc<Known>,
    /// What is listed of each namespace.
    pub catalogs: Arc<Catalogs>,
    /// The accounts whose changes to where and when Pods run leave a stamp as it is.
    pub neutral_editors: Vec<String>,
    /// What is counted.
    pub decisions: Decisions,
}

/// The router of the webhook's port.
pub fn router(webhook: Webhook) -> Router {
    Router::new()
        .route(MUTATE, post(|State(webhook), body| mutate_pod(webhook, body)))
        .route(VALIDATE, post(|State(webhook), body| validate_pod(webhook, body)))
        .route(WORKLOADS, post(|State(webhook), body| check_workload(webhook, body)))
        .route(GRANTS_MUTATE, post(|State(webhook), body| mutate_grant(webhook, body)))
        .route(GRANTS_VALIDATE, post(|State(webhook), body| validate_grant(webhook, body)))
        .fallback(status::unknown_path)
        .method_not_allowed_fallback(status::wrong_method)
        .with_state(Arc::new(webhook))
}

async fn mutate_pod(webhook: Arc<Webhook>, body: Bytes) -> Response {
    Asked::of(&webhook, &body, MUTATE)
        .map_or_else(|unreadable| *unreadable, |asked| asked.answer(pods::mutate(&asked.request, &webhook)))
}

async fn validate_pod(webhook: Arc<Webhook>, body: Bytes) -> Response {
    match Asked::of(&webhook, &body, VALIDATE) {
        Ok(asked) => asked.answer(pods::validate(&asked.request, &admission::deliveries(&body), &webhook).await),
        Err(unreadable) => *unreadable,
    }
}

async fn check_workload(webhook: Arc<Webhook>, body: Bytes) -> Response {
    match Asked::of(&webhook, &body, WORKLOADS) {
        Ok(asked) => asked.answer(workloads::check(&asked.request, &webhook).await),
        Err(unreadable) => *unreadable,
    }
}

async fn mutate_grant(webhook: Arc<Webhook>, body: Bytes) -> Response {
    match Asked::of(&webhook, &body, GRANTS_MUTATE) {
        Ok(asked) => asked.answer(grants::mutate(&asked.request, &webhook).await),
        Err(unreadable) => *unreadable,
    }
}

async fn validate_grant(webhook: Arc<Webhook>, body: Bytes) -> Response {
    match Asked::of(&webhook, &body, GRANTS_VALIDATE) {
        Ok(asked) => asked.answer(grants::validate(&asked.request, &webhook).await),
        Err(unreadable) => *unreadable,
    }
}

/// A request that is being decided.
struct Asked<'a, O> {
    webhook: &'a Webhook,
    path: &'static str,
    began: Instant,
    request: AdmissionRequest<'a, O>,
}

impl<'a, O: Object + Deserialize<'a>> Asked<'a, O> {
    /// Reads it, or answers that it cannot be read.
    fn of(webhook: &'a Webhook, body: &'a [u8], path: &'static str) -> Result<Self, Box<Response>> {
        let began = Instant::now();
        match AdmissionRequest::read(body) {
            Ok(request) => Ok(Self { webhook, path, began, request }),
            Err(error) => {
                webhook.decisions.record_unreadable(path, &error, body.len());
                Err(Box::new(admission::unreadable(body, &error)))
            }
        }
    }

    fn answer(&self, answer: impl Into<Answer>) -> Response {
        let answer = answer.into();
        self.webhook.decisions.record(self.path, &self.request, &answer, self.began.elapsed());
        admission::reply(&self.request.uid, &answer)
    }
}
