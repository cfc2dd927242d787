//! Attempts: what somebody tries at the API server; and a table of those that must be refused, each beside a twin that must not.

use std::collections::BTreeMap;

use futures_util::{FutureExt, future::LocalBoxFuture};
use http::{
    Method, Request,
    header::{CONTENT_TYPE, HeaderName},
};
use kube::Client;
use serde_json::Value;

/// The group that may do everything: with it, RBAC is not what somebody is refused by.
const MASTERS: &str = "system:masters";

/// What came of an attempt: what was answered, or the words of the refusal.
pub type Outcome = Result<Value, String>;

/// Something to be tried, once. It fails where it could not be tried at all.
pub type Attempt = LocalBoxFuture<'static, anyhow::Result<Outcome>>;

/// What must be refused, and a twin of it that must be allowed.
pub struct Row {
    name: String,
    attack: Attempt,
    words: String,
    twin: Attempt,
}

impl Row {
    /// An attack, words of its refusal, and a twin, as near to it as can be.
    pub fn new(name: impl Into<String>, attack: Attempt, words: impl Into<String>, twin: Attempt) -> Self {
        Self { name: name.into(), attack, words: words.into(), twin }
    }

    /// Tries the attack, then the twin; whatever was not as it must be.
    async fn fault(self) -> Option<String> {
        let Self { name, attack, words, twin } = self;
        let faults: Vec<String> = [
            match attack.await {
                Ok(Err(said)) if said.contains(&words) => None,
                Ok(Err(said)) => Some(format!("refused, not with {words:?}: {said}")),
                Ok(Ok(done)) => Some(format!("it was done: {done}")),
                Err(error) => Some(format!("not tried: {error:#}")),
            },
            match twin.await {
                Ok(Ok(_)) => None,
                Ok(Err(said)) => Some(format!("the twin was refused: {said}")),
                Err(error) => Some(format!("the twin was not tried: {error:#}")),
            },
        ]
        .into_iter()
        .flatten()
        .collect();
        (!faults.is_empty()).then(|| format!("{name}: {}", faults.join("; ")))
    }
}

/// Tries every row, in their order, and returns how many there were.
///
/// # Errors
/// All rows that were not as they must be.
pub async fn hold(table: &str, rows: Vec<Row>) -> anyhow::Result<usize> {
    let count = rows.len();
    let mut faults = Vec::new();
    for row in rows {
        faults.extend(row.fault().await);
    }
    anyhow::ensure!(faults.is_empty(), "{table}, {} of {count} rows:\n{}", faults.len(), faults.join("\n"));
    Ok(count)
}

/// Something of one's own to be tried.
pub fn attempt(trial: impl Future<Output = anyhow::Result<Outcome>> + 'static) -> Attempt {
    trial.boxed_local()
}

/// What was answered to something that has to be done for what comes after it.
///
/// # Errors
/// When it was refused.
pub async fn done(attempt: Attempt) -> anyhow::Result<Value> {
    attempt.await?.map_err(anyhow::Error::msg)
}

/// How a patch is written.
#[derive(Debug, Clone, Copy)]
pub enum Form {
    /// RFC 6902.
    Json,
    /// RFC 7386.
    Merge,
    /// Kubernetes' own.
    Strategic,
    /// Server-side apply.
    Apply,
}

/// Somebody at the API server, by name and groups: the administrator, who may be anybody, acts as him.
#[derive(Clone)]
pub struct Somebody {
    administrator: Client,
    name: String,
    groups: Vec<String>,
}

impl Somebody {
    /// Who has this name and these groups, and those that everybody has. A service account without groups has those of its kind.
    pub fn new(administrator: &Client, name: impl Into<String>, groups: &[&str]) -> Self {
        let groups = groups.iter().map(|&group| group.to_owned()).collect();
        Self { administrator: administrator.clone(), name: name.into(), groups }
    }

    /// The same, who is beside that in the group that may do everything.
    pub fn with_all_rights(administrator: &Client, name: impl Into<String>, groups: &[&str]) -> Self {
        Self::new(administrator, name, &[groups, &[MASTERS]].concat())
    }

    /// Creates an object.
    pub fn create(&self, namespace: &str, object: &Value) -> Attempt {
        self.send(Method::POST, of_kind(namespace, object), "application/json", object)
    }

    /// The same without keeping it.
    pub fn dry_create(&self, namespace: &str, object: &Value) -> Attempt {
        self.send(Method::POST, of_kind(namespace, object) + "?dryRun=All", "application/json", object)
    }

    /// Applies an object by server-side apply, as GitOps tools do.
    pub fn apply(&self, namespace: &str, object: &Value) -> Attempt {
        let path = format!("{}/{}?fieldManager=tool", of_kind(namespace, object), name_of(object));
        self.send(Method::PATCH, path, Form::Apply.content_type(), object)
    }

    /// Sends an object to another path than its own: a subresource.
    pub fn post(&self, path: &str, object: &Value) -> Attempt {
        self.send(Method::POST, path.to_owned(), "application/json", object)
    }

    /// Puts an object in the place of the one that has its name.
    pub fn replace(&self, namespace: &str, object: &Value) -> Attempt {
        let path = format!("{}/{}", of_kind(namespace, object), name_of(object));
        self.send(Method::PUT, path, "application/json", object)
    }

    /// Changes what is at a path, such as that of [`path`].
    pub fn patch(&self, path: &str, form: Form, patch: &Value) -> Attempt {
        self.send(Method::PATCH, path.to_owned(), form.content_type(), patch)
    }

    /// Deletes what is at a path, with these options.
    pub fn delete(&self, path: &str, options: &Value) -> Attempt {
        self.send(Method::DELETE, path.to_owned(), "application/json", options)
    }

    fn send(&self, method: Method, path: String, content_type: &str, body: &Value) -> Attempt {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(CONTENT_TYPE, content_type)
            .header(HeaderName::from_static("impersonate-user"), &self.name);
        let impersonate_group = HeaderName::from_static("impersonate-group");
        let request =
            self.groups.iter().fold(request, |request, group| request.header(impersonate_group.clone(), group));
        let (client, request) = (self.administrator.clone(), request.body(body.to_string().into_bytes()));
        attempt(async move { outcome(client.request(request?).await) })
    }
}

/// What an answer of a server says.
///
/// # Errors
/// When it is no answer.
pub fn outcome(answer: Result<Value, kube::Error>) -> anyhow::Result<Outcome> {
    match answer {
        Ok(done) => Ok(Ok(done)),
        Err(kube::Error::Api(status)) => Ok(Err(status.message)),
        Err(error) => Err(error.into()),
    }
}

/// The path of an object by its kind, such as `Pod`, its version and its name.
pub fn path(namespace: &str, kind: &str, version: &str, name: &str) -> String {
    let types = BTreeMap::from([("apiVersion", version), ("kind", kind)]);
    format!("{}/{name}", of_kind(namespace, &serde_json::json!(types)))
}

/// Where objects of the kind of this one are.
fn of_kind(namespace: &str, object: &Value) -> String {
    let text = |field: &str| object.get(field).and_then(Value::as_str).unwrap_or_default();
    let (version, kind) = (text("apiVersion"), text("kind").to_lowercase());
    let apis = if version.contains('/') { "apis" } else { "api" };
    let plural = if kind.ends_with('x') { "es" } else { "s" };
    format!("/{apis}/{version}/namespaces/{namespace}/{kind}{plural}")
}

fn name_of(object: &Value) -> &str {
    object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default()
}

impl Form {
    fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json-patch+json",
            Self::Merge => "application/merge-patch+json",
            Self::Strategic => "application/strategic-merge-patch+json",
            Self::Apply => "application/apply-patch+yaml",
        }
    }
}
