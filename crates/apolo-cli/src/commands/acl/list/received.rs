//! What is shared with the namespace, as its catalog tells.

use std::collections::BTreeSet;
use std::process::ExitCode;

use apolo_client::received::{self, ReceivedSecret};
use jiff::Timestamp;
use serde::Serialize;

use super::{Listing, several, until};
use crate::context::Context;
use crate::exit::Failure;
use crate::output::format::Format;
use crate::output::table::{self, Table};

/// A secret, as programs get it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed<'a> {
    uri: &'a str,
    access: String,
    subjects: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
}

pub(super) async fn run(listing: &Listing<'_>, context: &mut Context) -> Result<ExitCode, Failure> {
    let namespace = &listing.connection.namespace;
    if let Some(own) = listing.target.as_ref().filter(|target| target.owner == *namespace) {
        let what = format!("{} is a secret of namespace {namespace} itself", own.reference());
        return Err(Failure::usage(what)
            .hint(format!("with whom it is shared: apolo acl list --shared {} -n {namespace}", own.reference())));
    }
    let received = received::list(listing.connection, namespace).await?;
    let is_asked = |secret: &&ReceivedSecret| listing.target.as_ref().is_none_or(|target| secret.is(target));
    let found: Vec<&ReceivedSecret> = received.secrets.iter().filter(is_asked).collect();
    if received.left_out > 0 {
        context.output.warning(&format!("{} more are not in the SecretCatalog", received.left_out));
    }
    if found.is_empty() && listing.printing.structured().is_none() {
        let nothing = match &listing.target {
            Some(target) => format!("{} is not shared with namespace {namespace}.", target.reference()),
            None => format!("Nothing is shared with namespace {namespace}."),
        };
        context
            .output
            .nothing(&nothing, "-n NAMESPACE looks at another; what this one shares: apolo acl list --shared");
        return Ok(ExitCode::SUCCESS);
    }
    print(&found, listing, context)?;
    Ok(ExitCode::SUCCESS)
}

fn print(found: &[&ReceivedSecret], listing: &Listing<'_>, context: &Context) -> Result<(), Failure> {
    let printing = listing.printing;
    if let Some(structured) = printing.structured() {
        let listed: Vec<Listed<'_>> = found.iter().map(|secret| Listed::of(secret)).collect();
        return context.output.structured(structured, &listed);
    }
    if printing.output == Some(Format::Name) {
        let names: BTreeSet<&str> = found.iter().map(|secret| secret.uri.as_str()).collect();
        return context.output.result(table::names(names).as_bytes());
    }
    let mut table = Table::new(["URI", "ACCESS", "FOR", "BY", "EXPIRES"]);
    for secret in found {
        table.row([
            secret.uri.clone(),
            secret.access.word().to_owned(),
            several(&secret.subjects, printing.output == Some(Format::Wide)),
            secret.by.clone().unwrap_or_else(|| "-".to_owned()),
            until(secret.expires_at),
        ]);
    }
    context.output.result(table.text(!printing.no_headers).as_bytes())
}

impl<'a> Listed<'a> {
    fn of(secret: &'a ReceivedSecret) -> Self {
        Self {
            uri: &secret.uri,
            access: secret.access.to_string(),
            subjects: &secret.subjects,
            by: secret.by.as_deref(),
            expires_at: secret.expires_at,
        }
    }
}
