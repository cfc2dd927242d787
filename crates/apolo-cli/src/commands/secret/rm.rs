//! `apolo secret rm`.

mod ties;

use std::process::ExitCode;

use apolo_client::connection::Connection;
use apolo_client::dry_run::DryRun;
use apolo_client::secrets::{self, Doomed, Holder, Removed};
use apolo_client::target::Target;
use apolo_core::access::{for_shell, shown};
use clap::Args;
use clap_complete::ArgValueCompleter;
use serde::Serialize;

use self::ties::Ties;
use crate::complete;
use crate::context::Context;
use crate::dry_run::Trying;
use crate::exit::{FAILED, Failure};
use crate::output::format::{Format, Printing};
use crate::output::table::{self, Table};
use crate::terminal;

/// Remove secrets
///
/// On a terminal it asks before it removes one that is shared with others, or that Pods of its namespace use. Grants of a secret
/// stay: they act again when there is another of its name.
#[derive(Args)]
#[command(after_help = "\
Examples:
  apolo secret rm aws-key
  apolo secret rm aws-key secret-password --ignore-not-found
  apolo secret rm aws-key --yes                        # never asks
  apolo secret rm aws-key --dry-run=server             # tells who keeps access, and removes nothing")]
pub(crate) struct RmArgs {
    /// The keys, or references: secret:/OWNER/KEY
    #[arg(required = true, value_name = "KEY", add = ArgValueCompleter::new(complete::keys))]
    keys: Vec<String>,

    /// What is not there is as good as removed
    #[arg(long)]
    ignore_not_found: bool,

    #[command(flatten)]
    trying: Trying,

    #[command(flatten)]
    printing: Printing,
}

/// What became of one of them, as programs get it.
#[derive(Serialize)]
struct Told {
    key: String,
    uri: String,
    result: &'static str,
    keep: Vec<Keeps>,
}

/// Somebody who keeps access to the next secret of this name.
#[derive(Serialize)]
struct Keeps {
    subject: String,
    access: String,
}

/// Removes all that can be removed; the exit code is that of the first that cannot.
pub(crate) async fn run(args: &RmArgs, context: &mut Context) -> Result<ExitCode, Failure> {
    let connection = context.connect().await?;
    let mut targets: Vec<Target> = Vec::new();
    for key in &args.keys {
        let target = context.target(key, &connection).await?;
        if !targets.contains(&target) {
            targets.push(target);
        }
    }
    let mut removing = Removing { args, connection: &connection, ties: Ties::default(), gone: Vec::new() };
    let mut code = None;
    for target in &targets {
        let failed = match removing.remove(target, context).await {
            Ok(()) => continue,
            Err(failure) => failure.report(&mut context.output),
        };
        code.get_or_insert(failed);
    }
    removing.print(context).await?;
    Ok(code.unwrap_or(ExitCode::SUCCESS))
}

/// Secrets that go one after the other.
struct Removing<'a> {
    args: &'a RmArgs,
    connection: &'a Connection,
    ties: Ties,
    gone: Vec<(Target, Removed, Vec<Holder>)>,
}

impl Removing<'_> {
    async fn remove(&mut self, target: &Target, context: &mut Context) -> Result<(), Failure> {
        let doomed = match secrets::find(self.connection, target).await {
            Err(error) if error.is_not_there() && self.args.ignore_not_found => {
                context.output.note(&format!("{} is not in namespace {}", target.key, target.owner));
                return Ok(());
            }
            found => found?,
        };
        let holders = self.ties.holders(self.connection, &doomed, &mut context.output).await;
        let dry_run = self.args.trying.dry_run();
        if dry_run == DryRun::None && !context.yes && terminal::is_there() {
            self.ask(&doomed, &holders, context).await?;
        }
        let removed = secrets::remove(self.connection, &doomed, dry_run).await?;
        if self.args.printing.output.is_none() {
            context.output.done(&line(&doomed, removed, self.args.trying))?;
        }
        if removed == Removed::Going {
            context.output.note(&format!(
                "it goes when its finalizers have been taken away; kubectl get secret {} -n {} -o jsonpath='{{.metadata.finalizers}}' \
                 tells them",
                doomed.object, target.owner
            ));
        }
        for holder in &holders {
            context.output.note(&keeps(holder, target));
        }
        self.gone.push((target.clone(), removed, holders));
        Ok(())
    }

    /// Asks where somebody relies on it.
    async fn ask(&mut self, doomed: &Doomed, holders: &[Holder], context: &mut Context) -> Result<(), Failure> {
        let pods = self.ties.pods(self.connection, doomed, &mut context.output).await;
        let Some(reason) = ties::reason(holders, &pods) else { return Ok(()) };
        let key = &doomed.target.key;
        if context.no_input {
            return Err(Failure::usage(format!("{key} is {reason}, and --no-input says that nothing is to be asked"))
                .hint(format!("apolo secret rm {key} --yes -n {}", doomed.target.owner)));
        }
        let answer = terminal::confirm(&format!("{key} is {reason}. Remove it?")).await;
        match answer.map_err(|error| Failure::new(format!("reading from the terminal: {error}")))? {
            true => Ok(()),
            false => Err(Failure::new(format!("{key} is kept")).code(FAILED)),
        }
    }

    async fn print(&self, context: &Context) -> Result<(), Failure> {
        if let Some(structured) = self.args.printing.structured() {
            let cluster = context.cluster(self.connection).await;
            let told: Vec<Told> = self.gone.iter().map(|gone| Told::of(gone, &cluster)).collect();
            return context.output.structured(structured, &told);
        }
        let text = match self.args.printing.output {
            Some(Format::Name) => table::names(self.gone.iter().map(|(target, ..)| target.key.as_str())),
            Some(_) => self.wide().text(!self.args.printing.no_headers),
            None => return Ok(()),
        };
        context.output.result(text.as_bytes())
    }

    fn wide(&self) -> Table {
        let mut table = Table::new(["KEY", "RESULT", "KEEP ACCESS"]);
        for (target, removed, holders) in &self.gone {
            let keep: Vec<String> = holders.iter().map(|holder| shown(&holder.subject)).collect();
            table.row([target.key.clone(), result(*removed).to_owned(), keep.join(",")]);
        }
        table
    }
}

impl Told {
    fn of((target, removed, holders): &(Target, Removed, Vec<Holder>), cluster: &str) -> Self {
        let keeps = |holder: &Holder| Keeps { subject: holder.subject.to_string(), access: holder.access.to_string() };
        Self {
            key: target.key.clone(),
            uri: target.uri(cluster),
            result: result(*removed),
            keep: holders.iter().map(keeps).collect(),
        }
    }
}

fn line(doomed: &Doomed, removed: Removed, trying: Trying) -> String {
    let entries = if doomed.entries > 1 { format!(", with {} entries", doomed.entries) } else { String::new() };
    format!("{} {}{entries}{}", doomed.target.key, result(removed), trying.remark())
}

fn result(removed: Removed) -> &'static str {
    match removed {
        Removed::Gone => "removed",
        Removed::Going => "is being removed",
        Removed::NotSent => "not sent",
    }
}

/// Who keeps access, and what takes it away; no command for a name that no shell reads back.
fn keeps(holder: &Holder, target: &Target) -> String {
    let who = shown(&holder.subject);
    let command = for_shell(&holder.subject)
        .map(|subject| format!(": apolo acl revoke secret:{} {subject} -n {}", target.key, target.owner));
    format!("{who} keeps access to the next secret of this name{}", command.unwrap_or_default())
}
