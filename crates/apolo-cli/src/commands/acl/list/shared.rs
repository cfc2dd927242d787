//! What a namespace shares: its grants.

use std::collections::BTreeSet;
use std::process::ExitCode;

use apolo_client::grants::{self, SecretGrant, SharedGrant, Subject};
use jiff::Timestamp;
use serde::Serialize;

use super::{Listing, several, until};
use crate::context::Context;
use crate::exit::Failure;
use crate::output::format::Format;
use crate::output::table::{self, Table};

/// A secret that a grant shares, as programs get it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed<'a> {
    uri: String,
    grant: &'a str,
    access: String,
    subjects: Vec<String>,
    namespaces: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    state: String,
}

pub(super) async fn run(listing: &Listing<'_>, context: &mut Context) -> Result<ExitCode, Failure> {
    let namespace = listing.target.as_ref().map_or(&listing.connection.namespace, |target| &target.owner);
    let found = grants::list(listing.connection, namespace).await?;
    let is_asked = |shared: &SharedGrant| listing.target.as_ref().is_none_or(|target| shared.key == target.key);
    let found: Vec<SharedGrant> = found.into_iter().filter(is_asked).collect();
    let printing = listing.printing;
    if found.is_empty() && printing.structured().is_none() {
        let nothing = match &listing.target {
            Some(target) => format!("{} is not shared.", target.reference()),
            None => format!("Namespace {namespace} shares nothing."),
        };
        context.output.nothing(&nothing, "apolo share secret:KEY SUBJECT shares; -n NAMESPACE looks at another");
        return Ok(ExitCode::SUCCESS);
    }
    if printing.output == Some(Format::Name) {
        let names: BTreeSet<String> = found.iter().map(|shared| named(&shared.grant)).collect();
        context.output.result(table::names(names.iter().map(String::as_str)).as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    let cluster = context.cluster(listing.connection).await;
    let uri = |shared: &SharedGrant| format!("secret://{cluster}/{namespace}/{}", shared.key);
    if let Some(structured) = printing.structured() {
        let listed: Vec<Listed<'_>> = found.iter().map(|shared| Listed::of(shared, uri(shared))).collect();
        context.output.structured(structured, &listed)?;
    } else {
        let table = table(&found, uri, printing.output == Some(Format::Wide));
        context.output.result(table.text(!printing.no_headers).as_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The name of a grant as kubectl prints it.
pub(in super::super) fn full_name(grant: &SecretGrant) -> String {
    named(grant.metadata.name.as_deref().unwrap_or_default())
}

/// A table of one grant.
pub(in super::super) fn wide_of(grant: &SecretGrant, cluster: &str) -> Table {
    let namespace = grant.metadata.namespace.as_deref().unwrap_or_default();
    let uri = |shared: &SharedGrant| format!("secret://{cluster}/{namespace}/{}", shared.key);
    table(&SharedGrant::of(grant, Timestamp::now()), uri, true)
}

fn named(name: &str) -> String {
    format!("secretgrant.secrets.apolo.us/{name}")
}

fn table(found: &[SharedGrant], uri: impl Fn(&SharedGrant) -> String, is_wide: bool) -> Table {
    let headers = ["URI", "ACCESS", "FOR", "TO", "BY", "EXPIRES", "STATE"];
    let mut table = Table::new(if is_wide { [headers.as_slice(), &["GRANT"]].concat() } else { headers.to_vec() });
    for shared in found {
        let subjects: Vec<String> = shared.subjects.iter().map(Subject::to_string).collect();
        let mut cells = vec![
            uri(shared),
            shared.access.word().to_owned(),
            several(&subjects, is_wide),
            several(&shared.namespaces, is_wide),
            shared.by.as_ref().map_or_else(|| "-".to_owned(), Subject::to_string),
            until(shared.expires_at),
            shared.state.to_string(),
        ];
        if is_wide {
            cells.push(shared.grant.clone());
        }
        table.row(cells);
    }
    table
}

impl<'a> Listed<'a> {
    fn of(shared: &'a SharedGrant, uri: String) -> Self {
        Self {
            uri,
            grant: &shared.grant,
            access: shared.access.to_string(),
            subjects: shared.subjects.iter().map(Subject::to_string).collect(),
            namespaces: &shared.namespaces,
            by: shared.by.as_ref().map(Subject::to_string),
            expires_at: shared.expires_at,
            state: shared.state.to_string(),
        }
    }
}
