//! `apolo whoami`.

use std::process::ExitCode;

use apolo_client::caller;
use apolo_core::subject::Subject;
use clap::Args;
use serde::Serialize;

use crate::context::Context;
use crate::exit::Failure;
use crate::output::format::{Format, Printing};
use crate::output::table::{self, Table};

/// Tell for whom the cluster takes you, and where you are
///
/// SUBJECT is how others share with you: apolo share secret:KEY SUBJECT.
#[derive(Args)]
#[command(after_help = "\
Examples:
  apolo whoami
  apolo whoami -o name                                 # as SUBJECT
  apolo whoami --as bob --as-group ml-team")]
pub(crate) struct WhoamiArgs {
    #[command(flatten)]
    printing: Printing,
}

/// The same, as programs get it.
#[derive(Serialize)]
struct Told {
    user: String,
    subject: String,
    groups: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<String>,
    namespace: String,
    cluster: String,
}

/// Tells it.
pub(crate) async fn run(args: &WhoamiArgs, context: &mut Context) -> Result<ExitCode, Failure> {
    let connection = context.connect().await?;
    let caller = caller::ask(&connection).await?;
    let subject = Subject::of_user_name(&caller.name);
    let told = Told {
        subject: subject.to_string(),
        user: caller.name,
        groups: caller.groups,
        context: connection.context.clone(),
        cluster: context.cluster(&connection).await,
        namespace: connection.namespace,
    };
    match (args.printing.structured(), args.printing.output) {
        (Some(structured), _) => context.output.structured(structured, &told)?,
        (None, Some(Format::Name)) => context.output.result(table::names([told.subject.as_str()]).as_bytes())?,
        (None, _) => context.output.result(told.table().text(false).as_bytes())?,
    }
    if let Err(error) = subject.check() {
        context.output.note(&format!("nothing can be shared with you: {error}"));
    }
    Ok(ExitCode::SUCCESS)
}

impl Told {
    fn table(&self) -> Table {
        let mut table = Table::new(["", ""]);
        for (name, value) in [
            ("user", &self.user),
            ("subject", &self.subject),
            ("groups", &self.groups.join(", ")),
            ("context", &self.context.clone().unwrap_or_else(|| "-".to_owned())),
            ("namespace", &self.namespace),
            ("cluster", &self.cluster),
        ] {
            table.row([name.to_owned(), value.clone()]);
        }
        table
    }
}
