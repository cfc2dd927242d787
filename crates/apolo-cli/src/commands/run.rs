//! `apolo run`: a command in a container, with secrets.
//!
//! What was typed becomes what is [wanted], which becomes a Job, which is [followed](follow) to its end.

mod environment;
mod follow;
mod wanted;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use apolo_client::connection::Connection;
use apolo_client::dry_run::DryRun;
use apolo_client::jobs::{self, Created, Job, JobError};
use clap::{Args, ValueEnum};
use clap_complete::ArgValueCompleter;

use crate::complete;
use crate::context::{Context, request_timeout};
use crate::dry_run::Trying;
use crate::exit::{Failure, INTERRUPTED};
use crate::interrupts::Interrupts;
use crate::output::format::{Structure, Structured};
use wanted::Order;

/// How long the API server may take to say whether it has created a Job, after somebody has interrupted that.
const LAST_WORD: Duration = Duration::from_secs(10);

/// Run a command in a container, with secrets
///
/// It makes a Job, tells on standard error what it waits for, prints what the container prints, and ends with its exit code. The
/// command stands behind --, and takes the place of the image's; the image's entrypoint stays. A secret that is not there yet is
/// waited for, as is an image; --timeout ends that.
///
/// Ctrl-C asks on a terminal whether the Job is to be stopped or left; a second one stops it. Without a terminal, SIGINT and SIGTERM
/// stop it.
#[derive(Args)]
#[command(after_help = "\
Examples:
  apolo run --volume secret:aws-key:/root/.aws/credentials amazon/aws-cli -- s3 ls
  apolo run --env mypass=secret:secret-password ubuntu:24.04 -- sh -c 'echo $mypass'
  apolo run -e TOKEN=secret:/alice/hf-token --gpu 1 --memory 16Gi pytorch/pytorch -- python train.py
  apolo run --detach ubuntu:24.04 -- sleep 600          # prints the name of the Job
  apolo run --dry-run=client -o yaml ubuntu:24.04 -- date

Exit codes: that of the container; 2 wrong usage, and nothing was sent; 124 --timeout was over;
125 the Job did not come to an end of its own; 130 interrupted.")]
pub(crate) struct RunArgs {
    /// The image
    #[arg(value_name = "IMAGE")]
    image: String,

    /// What stands behind the image without --
    #[arg(hide = true, num_args = 0..)]
    rest: Vec<OsString>,

    /// The command, in place of the image's own
    #[arg(last = true, value_name = "CMD")]
    command: Vec<String>,

    /// A secret as a file: secret:KEY:/PATH, or as one in a directory: secret:KEY:/PATH/; may be given several times
    #[arg(short, long = "volume", value_name = "URI:PATH", add = ArgValueCompleter::new(complete::references))]
    volumes: Vec<String>,

    /// A variable: NAME=secret:KEY for a secret, NAME=VALUE for anything else, NAME for what it is here; may be given several times
    #[arg(short, long, value_name = "NAME=VALUE|NAME", add = ArgValueCompleter::new(complete::variables))]
    env: Vec<OsString>,

    /// A file of variables, NAME=VALUE a line; what --env says comes first
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,

    /// The name of the Job; otherwise one that begins with that of the image
    #[arg(long, value_parser = wanted::job_name)]
    name: Option<String>,

    /// Do not wait: print the name of the Job
    #[arg(short, long)]
    detach: bool,

    /// Stop it after this long, as in 30s, 10m or 1h30m; its waiting counts
    #[arg(long, value_name = "TIME", value_parser = request_timeout)]
    timeout: Option<Duration>,

    /// Processors: 2, 0.5 or 500m; all are reserved, and there are no more
    #[arg(long, value_name = "QUANTITY", value_parser = wanted::quantity, help_heading = "Container")]
    cpu: Option<String>,

    /// Memory: 512Mi or 4Gi; all is reserved, and there is no more
    #[arg(long, value_name = "QUANTITY", value_parser = wanted::quantity, help_heading = "Container")]
    memory: Option<String>,

    /// GPUs (nvidia.com/gpu)
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Container")]
    gpu: Option<u32>,

    /// The service account of its Pod
    #[arg(long, value_name = "NAME", help_heading = "Container")]
    service_account: Option<String>,

    /// The folder in which it begins
    #[arg(long, value_name = "PATH", help_heading = "Container")]
    workdir: Option<String>,

    /// When the image is pulled
    #[arg(long, value_enum, ignore_case = true, value_name = "WHEN", help_heading = "Container")]
    image_pull_policy: Option<PullPolicy>,

    /// Delete the Job when it has ended
    #[arg(long, conflicts_with = "detach")]
    rm: bool,

    #[command(flatten)]
    trying: Trying,

    #[command(flatten)]
    printing: Structure,
}

/// When an image is pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum PullPolicy {
    /// Each time
    #[value(name = "Always")]
    Always,
    /// If the node has none
    #[value(name = "IfNotPresent")]
    IfNotPresent,
    /// Never: the node has it
    #[value(name = "Never")]
    Never,
}

/// Runs it.
pub(crate) async fn run(args: &RunArgs, context: &mut Context) -> Result<ExitCode, Failure> {
    check_usage(args)?;
    let mut interrupts = Interrupts::begin().map_err(|error| Failure::new(format!("starting: {error}")).not_run())?;
    tokio::select! {
        order = wanted::order(args, context) => submit(args, order.map_err(Failure::not_run)?, context, &mut interrupts).await,
        () = interrupts.next() => Ok(ExitCode::from(INTERRUPTED)),
    }
}

fn check_usage(args: &RunArgs) -> Result<(), Failure> {
    if !args.rest.is_empty() {
        return Err(Failure::usage("a command stands behind the image; it has to stand behind --")
            .hint(format!("apolo run {} -- CMD; flags of apolo stand before --", args.image)));
    }
    let is_tried = args.trying.dry_run() != DryRun::None;
    if args.printing.structured().is_some() && !is_tried && !args.detach {
        return Err(Failure::usage("-o is about the Job, and this prints what the container prints")
            .hint("--dry-run=client, --dry-run=server or --detach print the Job"));
    }
    Ok(())
}

/// Sends it, and follows it if that is wanted.
async fn submit(
    args: &RunArgs,
    order: Order,
    context: &mut Context,
    interrupts: &mut Interrupts,
) -> Result<ExitCode, Failure> {
    let Order { connection, cluster, job } = order;
    let dry_run = args.trying.dry_run();
    if dry_run == DryRun::Client {
        context.output.structured(args.printing.structured().unwrap_or(Structured::Yaml), &job)?;
        return Ok(ExitCode::SUCCESS);
    }
    let Some(created) = create(&connection, &job, dry_run.is_server(), interrupts, context).await? else {
        return Ok(ExitCode::from(INTERRUPTED));
    };
    for warning in &created.warnings {
        context.output.warning(warning);
    }
    let job = created.job;
    let (name, namespace) = (job.metadata.name.clone().unwrap_or_default(), &connection.namespace);
    if dry_run.is_server() {
        context.output.structured(args.printing.structured().unwrap_or(Structured::Yaml), &job)?;
        return Ok(ExitCode::SUCCESS);
    }
    context.output.note(&format!("Job {name} is created in namespace {namespace}"));
    if args.detach {
        follow::tell_what_to_type(&name, namespace, context);
        match args.printing.structured() {
            Some(structured) => context.output.structured(structured, &job)?,
            None => context.output.line(&name)?,
        }
        return Ok(ExitCode::SUCCESS);
    }
    follow::follow(connection, cluster, job, args.rm, interrupts, context).await
}

/// None where it was interrupted; what has been created then is deleted.
async fn create(
    connection: &Connection,
    job: &Job,
    is_dry: bool,
    interrupts: &mut Interrupts,
    context: &mut Context,
) -> Result<Option<Created>, Failure> {
    let failed = |error: JobError| Failure::from(error).not_run();
    let creating = jobs::create(connection, job, is_dry);
    tokio::pin!(creating);
    tokio::select! {
        created = &mut creating => return created.map(Some).map_err(failed),
        () = interrupts.next() => {}
    }
    match tokio::time::timeout(LAST_WORD, creating).await {
        Ok(Ok(Created { job, .. })) if !is_dry => {
            jobs::delete(connection, &job).await.map_err(failed)?;
        }
        Ok(_) => {}
        Err(_) => context.output.warning(&format!(
            "the API server did not say whether it has created the Job; kubectl get jobs -n {} tells",
            connection.namespace
        )),
    }
    Ok(None)
}
