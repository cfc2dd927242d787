//! `apolo acl can`.

use std::process::ExitCode;

use apolo_client::may::{self, Answer, Deed};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap_complete::ArgValueCompleter;
use serde::Serialize;

use crate::complete;
use crate::context::Context;
use crate::exit::{FAILED, Failure};
use crate::output::format::{Format, Printing};
use crate::output::table::Table;

/// Tell whether you may use a secret, or do something else with it, and why
///
/// Without VERB: whether your jobs in the namespace may use it. For a secret of another namespace that takes a grant that opens
/// this one for you, and not only a right on the secret.
#[derive(Args)]
#[command(after_help = "\
Examples:
  apolo acl can secret:/alice/secret-password          # may my jobs in this namespace use it?
  apolo acl can secret:/alice/secret-password get
  apolo acl can secret:aws-key manage --as carol
  if apolo acl can secret:aws-key share -q; then …

Exit codes: 0 yes, 1 no.")]
pub(crate) struct CanArgs {
    /// The secret: secret:KEY or KEY of the namespace, or secret:/OWNER/KEY of another
    #[arg(value_name = "URI", add = ArgValueCompleter::new(complete::references))]
    uri: String,

    /// What: use, or a verb of Kubernetes on the secret, or all that an access gives
    #[arg(value_name = "VERB", default_value = "use", value_parser = deed())]
    verb: Deed,

    #[command(flatten)]
    printing: Printing,
}

/// The answer, as programs get it.
#[derive(Serialize)]
struct Told<'a> {
    allowed: bool,
    uri: String,
    verb: String,
    namespace: &'a str,
    why: &'a str,
}

/// Tells it.
pub(crate) async fn run(args: &CanArgs, context: &mut Context) -> Result<ExitCode, Failure> {
    let connection = context.connect().await?;
    let target = context.target(&args.uri, &connection).await?;
    let answer = may::may(&connection, &target, args.verb).await?;
    let word = if answer.is_allowed { "yes" } else { "no" };
    if let Some(structured) = args.printing.structured() {
        let cluster = context.cluster(&connection).await;
        let told = Told {
            allowed: answer.is_allowed,
            uri: target.uri(&cluster),
            verb: args.verb.to_string(),
            namespace: &connection.namespace,
            why: &answer.why,
        };
        context.output.structured(structured, &told)?;
    } else if args.printing.output == Some(Format::Wide) {
        let mut table = Table::new(["ALLOWED", "VERB", "URI", "WHY"]);
        let cluster = context.cluster(&connection).await;
        table.row([word.to_owned(), args.verb.to_string(), target.uri(&cluster), answer.why.clone()]);
        context.output.result(table.text(!args.printing.no_headers).as_bytes())?;
    } else {
        context.output.done(word)?;
        tell(&answer, context);
    }
    Ok(if answer.is_allowed { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

fn tell(answer: &Answer, context: &mut Context) {
    match &answer.hint {
        Some(hint) => context.output.nothing(&answer.why, hint),
        None => context.output.note(&answer.why),
    }
}

fn deed() -> impl TypedValueParser<Value = Deed> {
    PossibleValuesParser::new(Deed::words()).map(|word| word.parse().unwrap_or_default())
}
