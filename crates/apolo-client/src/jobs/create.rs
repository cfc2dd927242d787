//! A Job is created, or tried, and deleted.

use apolo_core::names;
use http::header::WARNING;
use k8s_openapi::api::batch::v1::Job;
use kube::api::{DeleteParams, PostParams, Preconditions};
use kube::client::Body;
use kube::core::{Request, Status};
use kube::{Api, Resource};
use thiserror::Error;

use crate::connection::Connection;
use crate::explained::{Explained, Kind};
use crate::request::{RequestError, Why, doing};
use crate::service::{self, ServiceError};

/// A Job as the API server has taken it.
#[derive(Clone, Debug)]
pub struct Created {
    /// The Job.
    pub job: Job,
    /// What the API server, or a hook, warned of.
    pub warnings: Vec<String>,
}

/// Why something could not be done with a Job.
#[derive(Debug, Error)]
pub enum JobError {
    /// The API server did not do it.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// There is another one of that name.
    #[error("there is a Job {name} in namespace {namespace} already")]
    NameTaken {
        /// Its name.
        name: String,
        /// The namespace.
        namespace: String,
    },
    /// It asks for secrets, and nobody is there who would see to them.
    #[error("Apolo Secrets {}: the Job would run without its secrets, and was not sent", about(.namespace, *.is_installed))]
    WithoutSecrets {
        /// The namespace.
        namespace: String,
        /// Whether the cluster knows our kinds.
        is_installed: bool,
    },
}

/// Creates a Job in the namespace of the connection; in a dry run, the API server keeps nothing.
///
/// # Errors
/// Where the API server, or a hook, does not take it; or where no hook takes care of the secrets that it asks for.
pub async fn create(connection: &Connection, job: &Job, dry_run: bool) -> Result<Created, JobError> {
    let namespace = &connection.namespace;
    // What fails in it is told by what follows; a hook of others may know no dry runs.
    if asks(job)
        && let Ok(tried) = post(connection, job, true).await
        && !is_stamped(&tried.job)
    {
        let is_installed = service::is_installed(connection).await;
        return Err(JobError::WithoutSecrets { namespace: namespace.clone(), is_installed });
    }
    let created = post(connection, job, dry_run).await;
    created.map_err(|error| match (Why::of(&error), &job.metadata.name) {
        (Why::IsThere, Some(name)) => JobError::NameTaken { name: name.clone(), namespace: namespace.clone() },
        _ => RequestError::new(format!("creating a Job in namespace {namespace}"), &error).into(),
    })
}

/// Whether a Job asks for secrets.
fn asks(job: &Job) -> bool {
    [names::VOLUME, names::ENV].iter().any(|name| has(job, name))
}

/// Whether the hook for workloads has seen a Job: on each that asks it writes who has submitted it.
fn is_stamped(job: &Job) -> bool {
    has(job, names::LAUNCHED_BY)
}

fn has(job: &Job, annotation: &str) -> bool {
    let template = job.spec.as_ref().and_then(|spec| spec.template.metadata.as_ref());
    template.and_then(|template| template.annotations.as_ref()).is_some_and(|notes| notes.contains_key(annotation))
}

fn about(namespace: &str, is_installed: bool) -> String {
    if is_installed {
        format!("does not act in namespace {namespace}")
    } else {
        "is not installed in this cluster".to_owned()
    }
}

/// Through the client itself: what [`Api`] gives back has no warnings.
async fn post(connection: &Connection, job: &Job, dry_run: bool) -> Result<Created, kube::Error> {
    let params = PostParams { dry_run, ..PostParams::default() };
    let bytes = serde_json::to_vec(job).map_err(kube::Error::SerdeError)?;
    let request = Request::new(Job::url_path(&(), Some(&connection.namespace)));
    let request = request.create(&params, bytes).map_err(kube::Error::BuildRequest)?;
    let answer = connection.client.send(request.map(Body::from)).await?;
    let (head, body) = answer.into_parts();
    let body = body.collect_bytes().await?;
    if !head.status.is_success() {
        let unknown = |_| Status::failure(head.status.as_str(), "").with_code(head.status.as_u16());
        return Err(kube::Error::Api(Box::new(serde_json::from_slice(&body).unwrap_or_else(unknown))));
    }
    let told = head.headers.get_all(WARNING).iter().filter_map(|value| value.to_str().ok());
    let warnings = told.filter_map(warning).collect();
    Ok(Created { job: serde_json::from_slice(&body).map_err(kube::Error::SerdeError)?, warnings })
}

/// The text of a warning: `299 - "text"`, in which `"` and `\` have a `\` before them.
///
/// Source: RFC 7234, section 5.5
fn warning(header: &str) -> Option<String> {
    let (_, quoted) = header.split_once('"')?;
    let (quoted, _) = quoted.rsplit_once('"')?;
    let mut characters = quoted.chars();
    let mut text = String::new();
    while let Some(character) = characters.next() {
        text.extend(if character == '\\' { characters.next() } else { Some(character) });
    }
    Some(text)
}

/// Deletes a Job of the namespace of the connection, and its Pods after it. That it is not there, or another in its place, is as good.
///
/// # Errors
/// Where the API server does not do it.
pub async fn delete(connection: &Connection, job: &Job) -> Result<(), JobError> {
    let jobs: Api<Job> = Api::namespaced(connection.client.clone(), &connection.namespace);
    let name = job.metadata.name.as_deref().unwrap_or_default();
    let exactly = Preconditions { uid: job.metadata.uid.clone(), resource_version: None };
    let deleted = jobs.delete(name, &DeleteParams::background().preconditions(exactly)).await.map(drop);
    match deleted.map_err(doing(|| format!("deleting Job {name} of namespace {}", connection.namespace))) {
        Err(RequestError { why: Why::NotThere | Why::Changed, .. }) | Ok(()) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

impl Explained for JobError {
    fn kind(&self) -> Kind {
        match self {
            Self::Request(error) => error.kind(),
            Self::NameTaken { .. } => Kind::Conflict,
            Self::WithoutSecrets { .. } => Kind::Failed,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Request(error) => error.hint(),
            Self::NameTaken { name, namespace } => {
                Some(format!("choose another --name, or delete it: kubectl delete job {name} -n {namespace}"))
            }
            Self::WithoutSecrets { is_installed: false, .. } => ServiceError::NotInstalled.hint(),
            Self::WithoutSecrets { namespace, .. } => {
                Some(format!("apolo check -n {namespace} tells what is not there"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_warning_is_what_it_was_before_it_was_quoted() {
        let header = r#"299 - "secret \"aws-kye\" is not in namespace bob yet; nearest: aws-key""#;
        let text = "secret \"aws-kye\" is not in namespace bob yet; nearest: aws-key";
        assert_eq!(warning(header).as_deref(), Some(text));
        assert_eq!(warning("299 - x"), None);
    }
}
