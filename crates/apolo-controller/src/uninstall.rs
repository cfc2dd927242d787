//! `apolo-secrets uninstall`: takes away all that is ours in a cluster but the definitions and the grants, in an order in which nothing of
//! it is made again, and nobody is held up by what is left. Each step may be done any number of times.

mod steps;

use std::io::Write;
use std::time::Duration;

use apolo_core::key::is_dns_label;
use apolo_runtime::client::client;
use apolo_runtime::limits::quantity::duration;
use apolo_runtime::telemetry::log::chain;
use clap::Args;
use tokio::time::{Instant, sleep, timeout};

use steps::{Ours, StepError};

/// How long is waited before a step is tried again: the API server hears a moment later that a policy is there no more.
const PAUSE: Duration = Duration::from_millis(500);

/// The arguments of `apolo-secrets uninstall`.
#[derive(Args, Debug)]
pub struct UninstallArgs {
    /// Name of the release, after which all that is installed is named.
    #[arg(long, env = "APOLO_RELEASE", default_value = "apolo-secrets", value_parser = label, value_name = "NAME")]
    pub release: String,

    /// Namespace that it is installed in.
    #[arg(long, env = "APOLO_OWN_NAMESPACE", default_value = "apolo-secrets", value_parser = label, value_name = "NAME")]
    pub own_namespace: String,

    /// Name of the Lease of its controllers.
    #[arg(long, env = "APOLO_LEASE_NAME", default_value = "apolo-secrets-controller", value_name = "NAME")]
    pub lease_name: String,

    /// How long all of it may take.
    #[arg(long, env = "APOLO_UNINSTALL_TIMEOUT", default_value = "4m", value_parser = duration, value_name = "DURATION")]
    pub timeout: Duration,
}

fn label(text: &str) -> Result<String, String> {
    if is_dns_label(text) {
        return Ok(text.to_owned());
    }
    Err("it is 1 to 63 of a-z, 0-9 and \"-\", beginning and ending with a letter or digit".to_owned())
}

/// Does all steps, and says each in a line.
///
/// # Errors
/// Which step was not done in time, and why; it may be tried again.
pub async fn run(args: UninstallArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let end = Instant::now() + args.timeout;
    let ours = Ours::new(client().await?, args.release, args.own_namespace, args.lease_name);
    done(out, "webhook configurations", "deleted", end, async || ours.hooks().await).await?;
    done(out, "controllers", "left", end, async || ours.controller().await).await?;
    done(out, "policies and their bindings", "deleted", end, async || ours.policies().await).await?;
    match tried("other releases", end, async || Ok(Ok(ours.others().await?))).await? {
        None => elsewhere(&ours, out, end).await?,
        Some(other) => {
            writeln!(out, "what was made in other namespaces is left to the release {other}, which is there")?;
        }
    }
    done(out, "Secrets of certificates", "deleted", end, async || ours.certificates().await).await?;
    done(out, "leases", "deleted", end, async || ours.lease().await).await?;
    writeln!(out, "grants stay, with their definitions, and act again when it is installed again")?;
    Ok(())
}

/// What was made in the namespaces of others, of which nothing tells by which release.
async fn elsewhere(ours: &Ours, out: &mut impl Write, end: Instant) -> anyhow::Result<()> {
    done(out, "gates of waiting Pods", "lifted", end, async || ours.gates().await).await?;
    done(out, "copies of shared secrets", "deleted", end, async || ours.copies().await).await?;
    done(out, "RoleBindings of grants", "deleted", end, async || ours.bindings().await).await?;
    done(out, "Roles of grants", "deleted", end, async || ours.roles().await).await?;
    done(out, "catalogs", "deleted", end, async || ours.catalogs().await).await?;
    Ok(())
}

/// Tries a step until it is done; a step tells how many it has been done to in this try, and that nothing is left to be done.
async fn done(
    out: &mut impl Write,
    what: &'static str,
    verb: &str,
    end: Instant,
    step: impl AsyncFn() -> Result<Progress, StepError>,
) -> anyhow::Result<()> {
    let mut count = 0;
    tried(what, end, async || {
        let Progress { done, left } = step().await?;
        count += done;
        Ok(left.map_or(Ok(()), Err))
    })
    .await?;
    writeln!(out, "{what}: {count} {verb}")?;
    Ok(())
}

/// Tries until there is an answer, in words what there is instead, for as long as all may take.
async fn tried<T>(
    what: &'static str,
    end: Instant,
    mut attempt: impl AsyncFnMut() -> Result<Result<T, String>, StepError>,
) -> anyhow::Result<T> {
    let mut seen = String::from("no answer");
    loop {
        let rest = end.saturating_duration_since(Instant::now());
        match timeout(rest, attempt()).await {
            Ok(Ok(Ok(answer))) => return Ok(answer),
            Ok(Ok(Err(left))) => seen = left,
            Ok(Err(error)) => seen = chain(&error),
            Err(_) => anyhow::bail!("{what}: not done in time: {seen}"),
        }
        sleep(PAUSE.min(end.saturating_duration_since(Instant::now()))).await;
    }
}

/// What a try of a step came to.
struct Progress {
    /// How many it was done to.
    done: usize,
    /// What is left to be done, in words.
    left: Option<String>,
}
