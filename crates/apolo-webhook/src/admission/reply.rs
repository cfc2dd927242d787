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

/// What is answered: a verdict, and warnings to whoever asked the API server.
#[derive(Debug)]
pub struct Answer {
    /// What was decided.
    pub verdict: Verdict,
    /// What holds nothing up, a line each; nothing but the verdict is said of what may not pass.
    pub warnings: Vec<String>,
}

impl Answer {
    /// A verdict, and the warnings where it may pass.
    pub fn new(verdict: Verdict, warnings: impl FnOnce() -> Vec<String>) -> Self {
        let warnings = if verdict.is_allowed() { warnings() } else { Vec::new() };
        Self { verdict, warnings }
    }
}

impl From<Verdict> for Answer {
    fn from(verdict: Verdict) -> Self {
        Self { verdict, warnings: Vec::new() }
    }
}

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
    /// Whether it may pass.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Allowed | Self::Patched { .. })
    }

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
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    warnings: &'a [String],
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
pub fn reply(uid: &str, Answer { verdict, warnings }: &Answer) -> Response {
    let denial =
        |code: StatusCode, reason, message| Some(Denial { status: "Failure", code: code.as_u16(), reason, message });
    let status = match verdict {
        Verdict::Allowed => None,
        Verdict::Patched { patch, .. } => return patched(uid, patch, warnings),
        Verdict::Mistaken(mistakes) => denial(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", mistakes.to_string()),
        Verdict::Invalid(why) => denial(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", why.clone()),
        Verdict::Refused(why) => denial(StatusCode::FORBIDDEN, "Forbidden", why.clone()),
        Verdict::Unknown(why) => denial(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", why.clone()),
        Verdict::Misdirected(why) => denial(StatusCode::BAD_REQUEST, "BadRequest", why.clone()),
    };
    let response = AdmissionResponse { uid, allowed: status.is_none(), status, warnings };
    json(serde_json::to_string(&Review { kind: KIND, api_version: API_VERSION, response }))
}

/// An answer with a patch. It is written by hand, since the patch is most of it: base64 has nothing to escape, and goes
/// straight to where it is sent from.
fn patched(uid: &str, patch: &str, warnings: &[String]) -> Response {
    const AROUND: usize = 256;
    let warnings = if warnings.is_empty() { Ok(String::new()) } else { serde_json::to_string(warnings) };
    json(serde_json::to_string(uid).and_then(|uid| Ok((uid, warnings?))).map(|(uid, warnings)| {
        let mut text = String::with_capacity(AROUND + uid.len() + patch.len().div_ceil(3) * 4 + warnings.len());
        text.push_str(r#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","response":{"uid":"#);
        text.push_str(&uid);
        text.push_str(r#","allowed":true,"patchType":"JSONPatch","patch":""#);
        BASE64.encode_append(patch.as_bytes(), &mut text);
        text.push('"');
        if !warnings.is_empty() {
            text.push_str(r#","warnings":"#);
            text.push_str(&warnings);
        }
        text.push_str("}}");
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
        Some(uid) => reply(&uid, &Verdict::Misdirected(message).into()),
        None => status::response(StatusCode::BAD_REQUEST, "BadRequest", &message),
    }
}
