//! `apolo secret ls`.

use std::process::ExitCode;

use apolo_client::secrets::{self, Found, List};
use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use crate::context::Context;
use crate::exit::Failure;
use crate::output::format::{Format, Printing};
use crate::output::table::{self, Table};

/// List the secrets of the namespace, never a value
///
/// What other namespaces share with it is in `apolo acl list`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  apolo secret ls
  apolo secret ls --full-uri -n alice
  apolo secret ls -o name | sort")]
pub(crate) struct LsArgs {
    /// Show how each is asked for from anywhere: secret://CLUSTER/OWNER/KEY
    #[arg(long)]
    full_uri: bool,

    #[command(flatten)]
    printing: Printing,
}

/// A secret, as programs get it.
#[derive(Serialize)]
struct Listed<'a> {
    key: &'a str,
    uri: String,
    ordinary: bool,
    entries: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    updated: Option<Timestamp>,
}

/// Lists them.
pub(crate) async fn run(args: &LsArgs, context: &mut Context) -> Result<ExitCode, Failure> {
    let connection = context.connect().await?;
    let namespace = connection.namespace.clone();
    let list = secrets::list(&connection, &namespace).await?;
    tell(&list, &namespace, context);
    let structured = args.printing.structured();
    let cluster =
        if args.full_uri || structured.is_some() { context.cluster(&connection).await } else { String::new() };
    let uri = |found: &Found| format!("secret://{cluster}/{namespace}/{}", found.key);
    let shown = |found: &Found| if args.full_uri { uri(found) } else { found.key.clone() };
    let with_headers = !args.printing.no_headers;
    if let Some(structured) = structured {
        let listed: Vec<Listed<'_>> = list.secrets.iter().map(|found| Listed::of(found, uri(found))).collect();
        context.output.structured(structured, &listed)?;
    } else if args.printing.output == Some(Format::Wide) {
        context.output.result(wide(&list, shown).text(with_headers).as_bytes())?;
    } else {
        let keys: Vec<String> = list.secrets.iter().map(shown).collect();
        let keys = keys.iter().map(String::as_str);
        let text = if args.printing.output.is_none() { table::keys(keys, with_headers) } else { table::names(keys) };
        context.output.result(text.as_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn tell(list: &List, namespace: &str, context: &mut Context) {
    if list.is_of_catalog {
        context.output.note(&format!(
            "you may not list the Secrets of namespace {namespace}; this is what its SecretCatalog says"
        ));
    }
    if list.left_out > 0 {
        context.output.warning(&format!("{} more are not in the SecretCatalog", list.left_out));
    }
}

fn wide(list: &List, shown: impl Fn(&Found) -> String) -> Table {
    let mut table = Table::new(["KEY", "UPDATED", "ENTRIES"]);
    for found in &list.secrets {
        let updated = found.updated.or(found.created).map(|time| time.to_string()).unwrap_or_default();
        let entries = if found.is_ordinary { found.entries.join(",") } else { String::new() };
        table.row([shown(found), updated, entries]);
    }
    table
}

impl<'a> Listed<'a> {
    fn of(found: &'a Found, uri: String) -> Self {
        Self {
            key: &found.key,
            uri,
            ordinary: found.is_ordinary,
            entries: &found.entries,
            created: found.created,
            updated: found.updated,
        }
    }
}
