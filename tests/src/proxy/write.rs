//! A request that writes, as a proxy sees it.

use std::fmt;

use http::{Method, StatusCode};
use serde_json::Value;
use tokio::time::Instant;

/// What a write is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// How it writes, such as `PATCH`.
    pub method: Method,
    /// What it writes, such as `rolebindings` or `secretgrants/status`.
    pub resource: String,
    /// The name of the object.
    pub name: String,
}

/// A write.
#[derive(Debug, Clone)]
pub struct Write {
    /// The how-manyth it is; none for a Lease, an Event, a catalog or a question.
    pub number: Option<usize>,
    /// What it is about.
    pub about: About,
    /// When it was passed on, if it was.
    pub passed: Option<Instant>,
    /// What the API server answered, and when.
    pub answered: Option<(StatusCode, Instant)>,
}

impl About {
    /// What a request is about, if it writes.
    pub(super) fn of(method: &Method, path: &str, body: &[u8]) -> Option<Self> {
        if method.is_safe() {
            return None;
        }
        // /apis/GROUP/VERSION/namespaces/NAMESPACE/RESOURCE/NAME/SUBRESOURCE, or /api/VERSION/…
        let mut segments = path.trim_start_matches('/').split('/').peekable();
        let before = if segments.next() == Some("apis") { 2 } else { 1 };
        let mut segments = segments.skip(before).peekable();
        if segments.next_if_eq(&"namespaces").is_some() {
            segments.next();
        }
        let resource = segments.next().unwrap_or_default();
        let name = segments.next().map_or_else(|| name_in(body), |name| name.replace("%3A", ":"));
        let resource = segments.next().map_or_else(|| resource.to_owned(), |sub| format!("{resource}/{sub}"));
        Some(Self { method: method.clone(), resource, name })
    }

    /// Whether it is counted. A Lease says who may write, an Event what was written, and a catalog what there is: none of them gives
    /// or takes access. Who may do what is asked by a POST too.
    pub(super) fn is_counted(&self) -> bool {
        let resource = self.resource.split('/').next().unwrap_or_default();
        !["leases", "events", "secretcatalogs", "subjectaccessreviews"].contains(&resource)
    }
}

fn name_in(body: &[u8]) -> String {
    let object: Value = serde_json::from_slice(body).unwrap_or_default();
    object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned()
}

impl Write {
    /// Whether the API server did what it asks for.
    pub fn is_done(&self) -> bool {
        self.answered.is_some_and(|(status, _)| status.is_success())
    }
}

impl fmt::Display for About {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {} {}", self.method, self.resource, self.name)
    }
}

impl fmt::Display for Write {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number {
            Some(number) => write!(formatter, "write {number}: {}", self.about),
            None => self.about.fmt(formatter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_what_a_request_writes() {
        let rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/alice";
        let grants = "/apis/secrets.apolo.us/v1alpha1/namespaces/alice/secretgrants";
        let row = |method: Method, path: &str, body: &str, shown: Option<&str>| {
            let about = About::of(&method, path, body.as_bytes()).map(|about| about.to_string());
            assert_eq!(about.as_deref(), shown, "{method} {path}");
        };
        let role = r#"{"metadata": {"name": "secretgrant:a"}}"#;
        row(Method::GET, &format!("{rbac}/roles"), "", None);
        row(Method::POST, &format!("{rbac}/roles"), role, Some("POST roles secretgrant:a"));
        row(Method::DELETE, &format!("{rbac}/roles/secretgrant:a"), "", Some("DELETE roles secretgrant:a"));
        row(Method::PATCH, &format!("{rbac}/roles/secretgrant%3Aa"), "", Some("PATCH roles secretgrant:a"));
        row(Method::PATCH, &format!("{grants}/a/status"), "", Some("PATCH secretgrants/status a"));
        row(Method::DELETE, "/api/v1/namespaces/bob/secrets/s", "", Some("DELETE secrets s"));
        row(Method::PATCH, "/apis/rbac.authorization.k8s.io/v1/clusterroles/c", "", Some("PATCH clusterroles c"));
    }
}
