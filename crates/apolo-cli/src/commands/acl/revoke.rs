//! `apolo acl revoke`.

use std::process::ExitCode;

use apolo_client::grants::{self, Other, Others, Revoked, Subject};
use apolo_client::target::Target;
use apolo_core::access::shown;
use clap::Args;
use clap_complete::ArgValueCompleter;

use super::{list, subject};
use crate::complete;
use crate::context::Context;
use crate::dry_run::Trying;
use crate::exit::{CONFLICT, Failure};
use crate::output::format::{Format, Printing};
use crate::output::table;

/// Take back what was granted
///
/// The grant goes, and with it the copies that jobs of the subject had: what runs keeps what it has read. Somebody who may have read
/// the value knows it: give the secret another one, too.
#[derive(Args)]
#[command(after_help = "\
Examples:
  apolo acl revoke secret:secret-password bob
  apolo acl revoke secret:/alice/aws-key group:ml-team
  apolo acl revoke secret:aws-key serviceaccount:jobs/trainer --dry-run=server

Exit codes: 0 it is taken back, 3 it was not shared, 4 not allowed, 5 another grant gives the same, and is named.")]
pub(crate) struct RevokeArgs {
    /// The secret: secret:KEY or KEY of the namespace, or secret:/OWNER/KEY of another
    #[arg(value_name = "URI", add = ArgValueCompleter::new(complete::references))]
    uri: String,

    #[arg(value_name = "SUBJECT", help = subject::HELP, add = ArgValueCompleter::new(complete::subjects))]
    subject: String,

    #[command(flatten)]
    trying: Trying,

    #[command(flatten)]
    printing: Printing,
}

/// Takes it back.
pub(crate) async fn run(args: &RevokeArgs, context: &mut Context) -> Result<ExitCode, Failure> {
    let subject = subject::parse(&args.subject)?;
    let connection = context.connect().await?;
    let target = context.target(&args.uri, &connection).await?;
    let revoked = grants::revoke(&connection, &target, &subject, args.trying.dry_run()).await?;
    // That it cannot be told hides in no case that the subject has it all the same.
    let told = if args.printing.output.is_some() {
        let cluster = context.cluster(&connection).await;
        args.print(&revoked, &cluster, context)
    } else if revoked.grant.is_some() {
        let who = shown(&subject);
        context.output.done(&format!("{} no longer shared with {who}{}", target.key, args.trying.remark()))
    } else {
        Ok(())
    };
    match &revoked.others {
        Others::Seen(others) if others.is_empty() => told.map(|()| ExitCode::SUCCESS),
        Others::Seen(others) => Err(still(others, &target, &subject)),
        Others::Unseen => {
            let owner = &target.owner;
            context
                .output
                .note(&format!("whether another grant of namespace {owner} gives the same cannot be seen by you"));
            told.map(|()| ExitCode::SUCCESS)
        }
    }
}

/// That the subject has it all the same.
fn still(others: &[Other], target: &Target, subject: &Subject) -> Failure {
    let named: Vec<String> = others.iter().map(|other| format!("{} ({})", other.grant, other.access.word())).collect();
    let what = format!(
        "{} has {} all the same, by {} {}",
        shown(subject),
        target.reference(),
        if others.len() == 1 { "grant" } else { "grants" },
        named.join(", ")
    );
    let first = others.first().map(|other| other.grant.as_str()).unwrap_or_default();
    Failure::new(what)
        .code(CONFLICT)
        .hint(format!("they may be for others, too: kubectl get secretgrant {first} -n {} -o yaml", target.owner))
}

impl RevokeArgs {
    fn print(&self, revoked: &Revoked, cluster: &str, context: &Context) -> Result<(), Failure> {
        let Some(mut grant) = revoked.grant.clone() else { return Ok(()) };
        grant.metadata.managed_fields = None;
        if let Some(structured) = self.printing.structured() {
            return context.output.structured(structured, &grant);
        }
        let text = match self.printing.output {
            Some(Format::Name) => table::names([list::shared::full_name(&grant).as_str()]),
            _ => list::shared::wide_of(&grant, cluster).text(!self.printing.no_headers),
        };
        context.output.result(text.as_bytes())
    }
}
