//! What is told of values that were kept.

use apolo_client::connection::Connection;
use apolo_client::secrets::Added;
use apolo_client::target::Target;
use serde::Serialize;

use super::AddArgs;
use crate::context::Context;
use crate::dry_run::Trying;
use crate::exit::Failure;
use crate::output::format::Format;
use crate::output::table::{self, Table};

/// A value that was kept.
pub(super) struct Kept<'a> {
    pub(super) target: &'a Target,
    pub(super) added: Added,
    pub(super) bytes: usize,
}

/// The same, as programs get it.
#[derive(Serialize)]
struct Told<'a> {
    key: &'a str,
    uri: String,
    result: &'static str,
    bytes: usize,
}

impl<'a> Told<'a> {
    fn of(kept: &Kept<'a>, cluster: &str) -> Self {
        Self { key: &kept.target.key, uri: kept.target.uri(cluster), result: kept.result(), bytes: kept.bytes }
    }
}

impl Kept<'_> {
    /// What happened, in a line.
    pub(super) fn line(&self, trying: Trying) -> String {
        let bytes = if self.bytes == 1 { "1 byte".to_owned() } else { format!("{} bytes", self.bytes) };
        format!("{} {}, {bytes}{}", self.target.key, self.result(), trying.remark())
    }

    fn result(&self) -> &'static str {
        match self.added {
            Added::Created => "created",
            Added::Updated => "updated",
            Added::Unchanged => "unchanged",
            Added::NotSent => "not sent",
        }
    }
}

/// Prints them as it was asked for: one alone, or those of a file as a list.
pub(super) async fn print(
    kept: &[Kept<'_>],
    args: &AddArgs,
    connection: &Connection,
    context: &Context,
) -> Result<(), Failure> {
    let Some(structured) = args.printing.structured() else {
        let text = match args.printing.output {
            Some(Format::Name) => table::names(kept.iter().map(|kept| kept.target.key.as_str())),
            _ => wide(kept).text(!args.printing.no_headers),
        };
        return context.output.result(text.as_bytes());
    };
    let cluster = context.cluster(connection).await;
    match kept {
        [one] if args.from_env_file.is_none() => context.output.structured(structured, &Told::of(one, &cluster)),
        [] if args.from_env_file.is_none() => Ok(()),
        all => {
            context.output.structured(structured, &all.iter().map(|kept| Told::of(kept, &cluster)).collect::<Vec<_>>())
        }
    }
}

fn wide(kept: &[Kept<'_>]) -> Table {
    let mut table = Table::new(["KEY", "RESULT", "BYTES"]);
    for kept in kept {
        table.row([kept.target.key.clone(), kept.result().to_owned(), kept.bytes.to_string()]);
    }
    table
}
