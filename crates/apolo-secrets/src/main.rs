//! The binary of the image: one subcommand a server, and one that prints what has to be installed before them.

mod check;
mod crds;

use std::process::ExitCode;

use apolo_controller::run::ControllerArgs;
use apolo_controller::uninstall::UninstallArgs;
use apolo_runtime::telemetry::log::{self, LogLevel};
use apolo_webhook::run::WebhookArgs;
use clap::{Parser, Subcommand};
use tokio::runtime::Builder;

/// Apolo Secrets for Kubernetes: the servers.
#[derive(Parser)]
#[command(name = "apolo-secrets", version)]
struct Command {
    #[command(subcommand)]
    subcommand: Subcommands,

    #[command(flatten)]
    log_level: LogLevel,
}

#[derive(Subcommand)]
enum Subcommands {
    /// The admission webhook, which rewrites Pods that ask for secrets.
    Webhook(Box<WebhookArgs>),
    /// The controller, which turns grants into Kubernetes' own RBAC.
    Controller(Box<ControllerArgs>),
    /// Take away all that is ours but definitions and grants, before what was installed is deleted.
    Uninstall(UninstallArgs),
    /// Tell what is installed and whether it works, ending with a Pod in a dry run.
    Check(check::CheckArgs),
    /// Print the CustomResourceDefinitions, in YAML.
    Crds,
}

fn main() -> ExitCode {
    let command = Command::parse();
    // Kept until the end: dropping it writes what is still to be written.
    let _writer = match log::start(&command.log_level) {
        Ok(writer) => writer,
        Err(_closed) => return ExitCode::FAILURE,
    };
    let result = match command.subcommand {
        Subcommands::Webhook(args) => {
            serve(&mut Builder::new_multi_thread(), apolo_webhook::run::run(*args, env!("CARGO_PKG_VERSION")))
        }
        Subcommands::Controller(args) => {
            // The lease is renewed, and watched, in this thread; what one destination takes to think of holds up nothing here.
            serve(
                Builder::new_multi_thread().worker_threads(2),
                apolo_controller::run::run(*args, env!("CARGO_PKG_VERSION")),
            )
        }
        Subcommands::Uninstall(args) => serve(
            &mut Builder::new_current_thread(),
            apolo_controller::uninstall::run(args, &mut std::io::stdout().lock()),
        ),
        Subcommands::Check(args) => {
            serve(&mut Builder::new_current_thread(), check::run(args, &mut std::io::stdout().lock()))
        }
        Subcommands::Crds => crds::print(&mut std::io::stdout().lock()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(why = format!("{error:#}"), "cannot go on");
            ExitCode::FAILURE
        }
    }
}

fn serve(runtime: &mut Builder, server: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    runtime.enable_all().build()?.block_on(server)
}
