//! `apolo-secrets check`: what `apolo check` does, as the account of a Pod or with a kubeconfig.

use std::io::Write;

use anyhow::bail;
use apolo_client::check;
use apolo_client::connection::{Connection, Settings};
use clap::Args;

/// What is looked at.
#[derive(Args)]
pub(crate) struct CheckArgs {
    /// The namespace of the Pod that asks for a secret; otherwise that of the context, or of the Pod that this runs in.
    #[arg(long, short, value_name = "NAME", env = "APOLO_NAMESPACE")]
    namespace: Option<String>,

    /// Only whether it could be installed.
    #[arg(long, env = "APOLO_PRE")]
    pre: bool,
}

/// Looks, and writes a line for each thing.
///
/// # Errors
/// Where something is wrong, or there is no connection.
pub(crate) async fn run(args: CheckArgs, output: &mut impl Write) -> anyhow::Result<()> {
    let settings = Settings { namespace: args.namespace, ..Settings::default() };
    let connection = Connection::open(&settings, None).await?;
    let found = if args.pre { check::before(&connection).await } else { check::installed(&connection).await };
    for finding in &found {
        writeln!(output, "{finding}")?;
    }
    if !check::is_well(&found) {
        bail!("something is wrong");
    }
    Ok(())
}
