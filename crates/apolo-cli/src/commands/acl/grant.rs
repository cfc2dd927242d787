//! `apolo acl grant`, and `apolo share`.

mod told;

use std::process::ExitCode;
use std::time::Duration;

use apolo_client::connection::Connection;
use apolo_client::dry_run::DryRun;
use apolo_client::grants::{self, Access, Destinations, Expires, Given, Standing, Wish};
use apolo_core::key::is_dns_label;
use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap_complete::ArgValueCompleter;
use jiff::Timestamp;

use self::told::Told;
use super::{list, subject};
use crate::complete;
use crate::context::Context;
use crate::dry_run::Trying;
use crate::exit::Failure;
use crate::output::format::{Format, Printing};
use crate::output::table;

/// How long it is waited until a grant is in force.
const AT_MOST: Duration = Duration::from_secs(5);
/// After how much of that it is said.
const PATIENCE: Duration = Duration::from_secs(3);

/// Let somebody use a secret in jobs, read it, replace it, or share it further
///
/// One grant is kept for each secret and subject: to grant again adds to it, and never takes away.
#[derive(Args)]
#[command(after_help = "\
Examples:
  apolo acl grant secret:secret-password bob read      # to read, and for jobs in namespace bob
  apolo acl grant secret:secret-password bob manage --kubectl-only
  apolo acl grant secret:/alice/aws-key group:ml-team use --to jobs --to nightly
  apolo acl grant secret:aws-key serviceaccount:jobs/trainer --expires 7d

Exit codes: 0 it is shared, 2 wrong usage, 3 no such namespace, 4 not allowed, 5 another grant is in the way, 124 it is granted, and \
was not in force within 5 seconds.")]
pub(crate) struct GrantArgs {
    #[command(flatten)]
    pub(crate) granting: Granting,
}

/// What both commands take.
#[derive(Args)]
pub(crate) struct Granting {
    /// The secret: secret:KEY or KEY of the namespace, or secret:/OWNER/KEY of another that lets you share it
    #[arg(value_name = "URI", add = ArgValueCompleter::new(complete::references))]
    uri: String,

    #[arg(value_name = "SUBJECT", help = subject::HELP, add = ArgValueCompleter::new(complete::subjects))]
    subject: String,

    /// What he may do with it
    #[arg(default_value = "read", value_name = "ACCESS", value_parser = access())]
    access: Access,

    /// A namespace in which his jobs may use it; may be given several times. Otherwise the namespace that is called as the user, and
    /// the own one of a service account or namespace
    #[arg(long, value_name = "NAMESPACE", value_delimiter = ',', value_parser = namespace, conflicts_with = "kubectl_only",
        add = ArgValueCompleter::new(complete::namespaces))]
    to: Vec<String>,

    /// In no namespace may his jobs use it, only kubectl and apolo
    #[arg(long)]
    kubectl_only: bool,

    /// When the grant ends by itself: after 7d or 12h, at the end of 2027-01-01 (UTC), at 2027-01-01T18:00:00Z, or never. Otherwise
    /// what was granted before stays as it is
    #[arg(long, value_name = "7d|DATE", allow_hyphen_values = true)]
    expires: Option<String>,

    #[command(flatten)]
    trying: Trying,

    #[command(flatten)]
    printing: Printing,
}

/// Grants it, waits until that is in force, and tells what the other side has to type.
pub(crate) async fn run(args: &Granting, context: &mut Context) -> Result<ExitCode, Failure> {
    let now = Timestamp::now();
    let subject = subject::parse(&args.subject)?;
    let expires = args.expires.as_deref().map(|text| Expires::parse(text, now)).transpose()?.unwrap_or_default();
    let connection = context.connect().await?;
    let target = context.target(&args.uri, &connection).await?;
    let wish = Wish { target, subject, access: args.access, destinations: args.destinations(), expires };
    let given = grants::give(&connection, &wish, args.trying.dry_run()).await?;
    args.tell(&wish, given, &connection, context).await
}

impl Granting {
    fn destinations(&self) -> Destinations {
        match &self.to {
            _ if self.kubectl_only => Destinations::KubectlOnly,
            to if to.is_empty() => Destinations::OfSubject,
            to => Destinations::Named(to.clone()),
        }
    }

    async fn tell(
        &self,
        wish: &Wish,
        given: Given,
        connection: &Connection,
        context: &mut Context,
    ) -> Result<ExitCode, Failure> {
        let spec = &given.grant.spec;
        let opened: Vec<String> = spec.destinations().into_iter().map(str::to_owned).collect();
        let outlook = grants::look(connection, &wish.target, &opened).await;
        let cluster = context.cluster(connection).await;
        let told = Told { wish, given: &given, opened: &opened, outlook: &outlook, cluster: &cluster };
        if self.printing.output.is_none() {
            context.output.done(&format!("{}{}", told.what_was_done(), self.trying.remark()))?;
        }
        for warning in told.warnings() {
            context.output.warning(&warning);
        }
        for note in told.notes() {
            context.output.note(&note);
        }
        let standing = match self.trying.dry_run() {
            DryRun::None => Some(wait(connection, &given, context).await),
            DryRun::Client | DryRun::Server => None,
        };
        if self.printing.output.is_none() {
            context.output.done(&told.what_to_type())?;
        } else {
            self.print(&given, &cluster, context)?;
        }
        match standing {
            Some(Standing::InForce | Standing::SecretNotThere) | None => Ok(ExitCode::SUCCESS),
            Some(Standing::Unseen) => {
                context.output.note("whether it is in force cannot be seen by you");
                Ok(ExitCode::SUCCESS)
            }
            Some(standing) => Err(told::not_in_force(&given.grant, &standing)),
        }
    }

    fn print(&self, given: &Given, cluster: &str, context: &Context) -> Result<(), Failure> {
        let mut grant = given.grant.clone();
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

/// Waits until it is in force; where that takes long, it is said.
async fn wait(connection: &Connection, given: &Given, context: &mut Context) -> Standing {
    match grants::wait(connection, &given.grant, PATIENCE).await {
        Standing::NotLookedAt | Standing::Unseen => {
            context.output.note("waiting until it is in force");
            grants::wait(connection, &given.grant, AT_MOST.saturating_sub(PATIENCE)).await
        }
        standing => standing,
    }
}

fn access() -> impl TypedValueParser<Value = Access> {
    const ALL: [(Access, &str); 4] = [
        (Access::Use, "run jobs that use it, which can print it"),
        (Access::Read, "get its value as well"),
        (Access::Write, "replace it as well"),
        (Access::Manage, "delete it and share it further as well"),
    ];
    let values = ALL.map(|(access, help)| PossibleValue::new(access.word()).help(help));
    let meant = |word: String| ALL.iter().find(|(access, _)| access.word() == word).map(|(access, _)| *access);
    PossibleValuesParser::new(values).map(move |word| meant(word).unwrap_or_default())
}

fn namespace(text: &str) -> Result<String, String> {
    if is_dns_label(text) {
        return Ok(text.to_owned());
    }
    Err("a namespace is 1 to 63 of a-z, 0-9 and \"-\", beginning and ending with a letter or digit".to_owned())
}
