//! `apolo acl list`.

mod received;
pub(super) mod shared;

use std::process::ExitCode;

use apolo_client::connection::Connection;
use apolo_client::target::Target;
use clap::Args;
use clap_complete::ArgValueCompleter;
use jiff::Timestamp;

use crate::complete;
use crate::context::Context;
use crate::exit::Failure;
use crate::output::format::Printing;

/// How many subjects a cell has, where it is not asked for more.
const MOST_SUBJECTS: usize = 3;

/// List what is shared with the namespace, or what it shares
#[derive(Args)]
#[command(after_help = "\
Examples:
  apolo acl list                                       # what is shared with this namespace, for its jobs
  apolo acl list secret:/alice/aws-key
  apolo acl list --shared                              # what this namespace shares, and with whom
  apolo acl list --shared secret:aws-key -o wide
  apolo acl list -o name | sort -u")]
pub(crate) struct ListArgs {
    /// Only this secret
    #[arg(value_name = "URI", add = ArgValueCompleter::new(complete::references))]
    uri: Option<String>,

    /// What the namespace shares, with whom
    #[arg(long)]
    shared: bool,

    #[command(flatten)]
    printing: Printing,
}

/// Lists it.
pub(crate) async fn run(args: &ListArgs, context: &mut Context) -> Result<ExitCode, Failure> {
    let connection = context.connect().await?;
    let target = match &args.uri {
        Some(uri) => Some(context.target(uri, &connection).await?),
        None => None,
    };
    let listing = Listing { printing: args.printing, target, connection: &connection };
    if args.shared { shared::run(&listing, context).await } else { received::run(&listing, context).await }
}

/// What is asked for.
struct Listing<'a> {
    printing: Printing,
    target: Option<Target>,
    connection: &'a Connection,
}

/// Names in a cell; of many only the first, unless all are asked for.
fn several(names: &[String], all: bool) -> String {
    match names.get(..MOST_SUBJECTS) {
        _ if names.is_empty() => "-".to_owned(),
        Some(shown) if !all && names.len() > MOST_SUBJECTS => {
            format!("{},+{}", shown.join(","), names.len() - MOST_SUBJECTS)
        }
        _ => names.join(","),
    }
}

/// A time in a cell.
fn until(time: Option<Timestamp>) -> String {
    time.map_or_else(|| "never".to_owned(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_has_the_first_of_many() {
        let names = |count: usize| (1..=count).map(|number| format!("u{number}")).collect::<Vec<_>>();
        assert_eq!(several(&names(3), false), "u1,u2,u3");
        assert_eq!(several(&names(5), false), "u1,u2,u3,+2");
        assert_eq!(several(&names(5), true), "u1,u2,u3,u4,u5");
        assert_eq!(several(&[], true), "-");
    }
}
