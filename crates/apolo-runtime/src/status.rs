//! Refusals at the level of HTTP, in the form that Kubernetes shows to people: a `Status` object.
//!
//! <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/>: the API server passes `message` on
//! to whoever asked it.

use axum::body::Body;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Response, StatusCode, Uri};
use serde::Serialize;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Status<'a> {
    kind: &'static str,
    api_version: &'static str,
    metadata: Metadata,
    status: &'static str,
    message: &'a str,
    reason: &'a str,
    code: u16,
}

#[derive(Serialize)]
struct Metadata {}

/// A response with a `Status` of Failure; `reason` is one of Kubernetes' words, such as `Timeout`.
#[must_use]
pub fn response(code: StatusCode, reason: &str, message: &str) -> Response<Body> {
    let status = Status {
        kind: "Status",
        api_version: "v1",
        metadata: Metadata {},
        status: "Failure",
        message,
        reason,
        code: code.as_u16(),
    };
    let mut response = Response::new(Body::from(serde_json::to_vec(&status).unwrap_or_default()));
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The answer to a path that the router does not know: for `Router::fallback`.
pub async fn unknown_path(uri: Uri) -> Response<Body> {
    response(StatusCode::NOT_FOUND, "NotFound", &format!("there is nothing at {:?}", uri.path()))
}

/// The answer to a method that a path does not take: for `Router::method_not_allowed_fallback`.
pub async fn wrong_method(method: Method, uri: Uri) -> Response<Body> {
    let message = format!("{:?} does not take {method}", uri.path());
    response(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", &message)
}
