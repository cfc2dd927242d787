//! A verdict, and the bytes that tell it to the API server.

use apolo_core::mistake::Mistakes;
use apolo_runtime::status;
use axum::body::Body;
use axum::response::Response;
use data_encoding::BASE64;
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue};
use serde::Serialize;

use super::{API_VERSION, KIND, ReviewError, uid_of};

/// What was decided.
#[derive(Debug)]
pub enum Verdict {
    /// It may pass as it is.
    Allowed,
    /// It may pass with these operations of a JSON Patch (RFC 6902) applied.
    Patched {
        /// The patch as JSON.
        patch: String,
        /// How many operations it has.
        operations: usize,
    },
    /// Its author has to mend it: 422 Invalid.
    Mistaken(Mistakes),
    /// Its author has to mend it, in words of its own: 422 Invalid.
    Invalid(String),
    /// It may not pass: 403 Forbidden.
    Refused(String),
    /// It is not known whether it may pass, so it may not: 503 ServiceUnavailable.
    Unknown(String),
    /// It was not to be asked here: 400 BadRequest.
    Misdirected(String),
}

impl Verdict {
    /// The verdict as one word, for logs and metrics.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Patched { .. } => "patched",
            Self::Mistaken(_) | Self::Invalid(_) => "mistaken",
            Self::Refused(_) => "refused",
            Self::Unknown(_) => "unknown",
            Self::Misdirected(_) => "misdirected",
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Review<'a> {
    kind: &'static str,
    api_version: &'static str,
    response: AdmissionResponse<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AdmissionResponse<'a> {
    uid: &'a str,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Denial>,
}

/// The `status` of a response, which the API server passes on to whoever asked it.
#[derive(Serialize)]
struct Denial {
    status: &'static str,
    code: u16,
    reason: &'static str,
    message: String,
}

/// Answers a request.
#[must_use]
pub fn reply(uid: &str, verdict: &Verdict) -> Response {
    let denial =
        |code: StatusCode, reason, message| Some(Denial { status: "Failure", code: code.as_u16(), reason, message });
    let status = match verdict {
        Verdict::Allowed => None,
        Verdict::Patched { patch, .. } => return patched(uid, patch),
        Verdict::Mistaken(mistakes) => denial(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", mistakes.to_string()),
        Verdict::Invalid(why) => denial(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", why.clone()),
        Verdict::Refused(why) => denial(StatusCode::FORBIDDEN, "Forbidden", why.clone()),
        Verdict::Unknown(why) => denial(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", why.clone()),
        Verdict::Misdirected(why) => denial(StatusCode::BAD_REQUEST, "BadRequest", why.clone()),
    };
    let response = AdmissionResponse { uid, allowed: status.is_none(), status };
    json(serde_json::to_string(&Review { kind: KIND, api_version: API_VERSION, response }))
}

/// An answer with a patch. It is written by hand, since the patch is most of it: base64 has nothing to escape, and goes
/// straight to where it is sent from.
fn patched(uid: &str, patch: &str) -> Response {
    const AROUND: usize = 256;
    json(serde_json::to_string(uid).map(|uid| {
        let mut text = String::with_capacity(AROUND + uid.len() + patch.len().div_ceil(3) * 4);
        text.push_str(r#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","response":{"uid":"#);
        text.push_str(&uid);
        text.push_str(r#","allowed":true,"patchType":"JSONPatch","patch":""#);
        BASE64.encode_append(patch.as_bytes(), &mut text);
        text.push_str(r#""}}"#);
        text
    }))
}

fn json(text: serde_json::Result<String>) -> Response {
    match text {
        Ok(text) => {
            let mut response = Response::new(Body::from(text));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response
        }
        Err(error) => status::response(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", &error.to_string()),
    }
}

/// Answers a body that is no request: as a review where it has a uid, else with a `Status`.
#[must_use]
pub fn unreadable(body: &[u8], error: &ReviewError) -> Response {
    let message = error.to_string();
    match uid_of(body) {
        Some(uid) => reply(&uid, &Verdict::Misdirected(message)),
        None => status::response(StatusCode::BAD_REQUEST, "BadRequest", &message),
    }
}
