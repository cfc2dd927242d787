//! Lists of the API server, as much of them as is needed: with their managedFields they would be most of the memory of the process.

use std::collections::BTreeMap;
use std::time::Duration;

use kube::Client;
use kube::api::{ListParams, Request};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use tokio::time::timeout;

/// How many objects are told at once.
const PAGE: u32 = 500;
/// How long an answer may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// Why there is no list.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The API server refuses.
    #[error("cannot list {path}")]
    List {
        /// Where the objects are.
        path: String,
        /// Why.
        source: kube::Error,
    },
    /// It does not answer.
    #[error("cannot list {path}: no answer within {} s", DEADLINE.as_secs())]
    NoAnswer {
        /// Where the objects are.
        path: String,
    },
}

/// A list.
#[derive(Deserialize)]
#[serde(bound = "T: Deserialize<'de>")]
pub(crate) struct Listed<T> {
    /// Of the list.
    pub(crate) metadata: Metadata,
    /// The objects.
    #[serde(deserialize_with = "or_none")]
    pub(crate) items: Vec<T>,
}

/// An object of which nothing is read but its metadata.
#[derive(Deserialize)]
pub(crate) struct Item {
    /// Its metadata.
    pub(crate) metadata: Metadata,
}

/// The API server may write a list of nothing as `null`.
fn or_none<'de, D: Deserializer<'de>, T: Deserialize<'de>>(items: D) -> Result<Vec<T>, D::Error> {
    Option::deserialize(items).map(Option::unwrap_or_default)
}

/// Of a list, or of an object.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Metadata {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
    resource_version: String,
    pub(crate) labels: BTreeMap<String, String>,
    /// Where the next page of a list begins; empty where there is none.
    #[serde(rename = "continue")]
    next: String,
}

impl Metadata {
    /// The resourceVersion, as a number; of a list, as of when it is.
    pub(crate) fn version(&self) -> u64 {
        self.resource_version.parse().unwrap_or(0)
    }
}

/// Lists the metadata of what is at a path.
///
/// # Errors
/// When the API server does not tell.
pub(crate) async fn list<T: DeserializeOwned>(
    client: &Client,
    path: &str,
    params: &ListParams,
) -> Result<Listed<T>, ListError> {
    let failed = |source| ListError::List { path: path.to_owned(), source };
    let request = Request::new(path).list_metadata(params).map_err(kube::Error::BuildRequest).map_err(failed)?;
    let listed = timeout(DEADLINE, client.request(request)).await;
    listed.map_err(|_| ListError::NoAnswer { path: path.to_owned() })?.map_err(failed)
}

/// Lists the metadata of what is at a path, as it is now, page by page. Tells as of which resourceVersion that is.
///
/// # Errors
/// When the API server does not tell, or has forgotten meanwhile how it was when the first page was told.
pub(crate) async fn pages(
    client: &Client,
    path: &str,
    params: ListParams,
    mut each: impl FnMut(Metadata),
) -> Result<u64, ListError> {
    let mut params = params.limit(PAGE);
    loop {
        let Listed { metadata, items } = list::<Item>(client, path, &params).await?;
        items.into_iter().for_each(|item| each(item.metadata));
        if metadata.next.is_empty() {
            return Ok(metadata.version());
        }
        params.continue_token = Some(metadata.next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_nothing_is_read() {
        let answer = r#"{"kind":"PartialObjectMetadataList","metadata":{"resourceVersion":"379"},"items":null}"#;
        let listed: Listed<Item> = serde_json::from_str(answer).unwrap();
        assert!(listed.items.is_empty() && listed.metadata.version() == 379);
    }
}
