//! Who runs a command, where, and how: the flags that all commands have.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use apolo_client::cluster;
use apolo_client::connection::{Connection, Settings, Told};
use apolo_client::target::Target;
use apolo_core::key::is_dns_label;
use clap::{ArgAction, Args};
use clap_complete::ArgValueCompleter;
use jiff::SignedDuration;

use crate::called::Called;
use crate::complete;
use crate::exit::Failure;
use crate::output::{Color, Output};

/// Flags that every command has.
#[derive(Args, Debug)]
pub(crate) struct Global {
    /// Tell only errors
    #[arg(short, long, global = true)]
    quiet: bool,

    /// Tell of each request to the API server
    #[arg(long, global = true, conflicts_with = "quiet")]
    verbose: bool,

    /// When to colour what is told
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    color: Color,

    /// Never ask: fail where something has to be typed
    #[arg(long, global = true)]
    no_input: bool,

    /// Answer yes to whatever is asked
    #[arg(short, long, global = true)]
    yes: bool,

    #[command(flatten)]
    cluster: Cluster,
}

/// Flags about the cluster, as kubectl has them.
#[derive(Args, Debug)]
#[command(next_help_heading = "Cluster")]
struct Cluster {
    /// The namespace; otherwise that of the context
    #[arg(short, long, global = true, value_name = "NAME", value_parser = label, add = ArgValueCompleter::new(complete::namespaces))]
    namespace: Option<String>,

    /// The context of the kubeconfig; otherwise its current one
    #[arg(hide_short_help = true, long, global = true, value_name = "NAME", add = ArgValueCompleter::new(complete::contexts))]
    context: Option<String>,

    /// The kubeconfig; otherwise KUBECONFIG, or ~/.kube/config
    #[arg(hide_short_help = true, long, global = true, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,

    /// Whom to act as
    #[arg(hide_short_help = true, long = "as", global = true, value_name = "USER")]
    user: Option<String>,

    /// A group to act with; may be given several times
    #[arg(hide_short_help = true, long = "as-group", global = true, value_name = "GROUP", action = ArgAction::Append, requires = "user")]
    groups: Vec<String>,

    /// How long an answer may take, as in 10s or 1m; 0: as long as it takes
    #[arg(hide_short_help = true, long, global = true, value_name = "TIME", value_parser = request_timeout)]
    request_timeout: Option<Duration>,

    /// What the cluster is called in references; otherwise as its catalogs say, or `default`
    #[arg(hide_short_help = true, long, global = true, env = "APOLO_CLUSTER_NAME", value_name = "NAME", value_parser = label)]
    cluster_name: Option<String>,
}

/// Who runs a command, where, and where it writes.
pub(crate) struct Context {
    /// The only writer.
    pub(crate) output: Output,
    /// Whether nothing may be asked.
    pub(crate) no_input: bool,
    /// Whether whatever is asked is answered with yes.
    pub(crate) yes: bool,
    settings: Settings,
    cluster_name: Option<String>,
    told: Option<Told>,
}

impl Context {
    /// What the flags say.
    pub(crate) fn new(flags: Global, called: Called) -> Self {
        let Global { quiet, verbose, color, no_input, yes, cluster } = flags;
        let timeout = cluster.request_timeout.filter(|timeout| !timeout.is_zero());
        let settings = Settings {
            kubeconfig: cluster.kubeconfig,
            context: cluster.context,
            namespace: cluster.namespace,
            user: cluster.user,
            groups: cluster.groups,
            timeout,
        };
        let output = Output::new(quiet, color, called);
        let told: Told = Arc::new(move |method: &str, path: &str| {
            Output::new(false, color, called).note(&format!("{method} {path}"));
        });
        Self { output, no_input, yes, settings, cluster_name: cluster.cluster_name, told: verbose.then_some(told) }
    }

    /// Whether each request to the API server is told.
    pub(crate) fn is_verbose(&self) -> bool {
        self.told.is_some()
    }

    /// The namespace that was said, if one was.
    pub(crate) fn namespace(&self) -> Option<&str> {
        self.settings.namespace.as_deref()
    }

    /// The name of the cluster that was said, if one was.
    pub(crate) fn cluster_name(&self) -> Option<&str> {
        self.cluster_name.as_deref()
    }

    /// Connects to the cluster.
    ///
    /// # Errors
    /// Where nothing tells how, or the login fails.
    pub(crate) async fn connect(&self) -> Result<Connection, Failure> {
        Ok(Connection::open(&self.settings, self.told.clone()).await?)
    }

    /// The secret that a text names: a key of the namespace, or a reference to one of this cluster.
    ///
    /// # Errors
    /// Where it names none, or one of another cluster.
    pub(crate) async fn target(&self, text: &str, connection: &Connection) -> Result<Target, Failure> {
        let target = Target::parse(text, connection)?;
        if target.cluster.is_some() {
            target.check_cluster(&self.cluster(connection).await)?;
        }
        Ok(target)
    }

    /// What the cluster is called in references: what was said, else what its catalogs say.
    pub(crate) async fn cluster(&self, connection: &Connection) -> String {
        cluster::name(connection, self.cluster_name()).await
    }
}

/// The name of a namespace, or of a cluster.
fn label(text: &str) -> Result<String, String> {
    if is_dns_label(text) {
        return Ok(text.to_owned());
    }
    Err("it is 1 to 63 of a-z, 0-9 and \"-\", beginning and ending with a letter or digit".to_owned())
}

/// A length of time as kubectl takes it: a number of seconds, or numbers with units; not one that no clock reaches.
pub(crate) fn request_timeout(text: &str) -> Result<Duration, String> {
    const LONGEST: Duration = Duration::from_secs(i32::MAX as u64);
    let seconds = text.parse().map(Duration::from_secs).ok();
    let with_units = || text.parse::<SignedDuration>().ok().and_then(|length| Duration::try_from(length).ok());
    let length = seconds.or_else(with_units).filter(|length| *length <= LONGEST);
    length.ok_or_else(|| "write a length of time such as 30s, 5m or 1h30m".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_is_one_that_a_clock_reaches() {
        for (text, expected) in [("0", 0), ("30", 30), ("1m30s", 90), ("24h", 86_400)] {
            assert_eq!(request_timeout(text), Ok(Duration::from_secs(expected)), "{text}");
        }
        for text in ["", "-1", "-1s", "a", "18446744073709551615", "100000000000h"] {
            assert!(request_timeout(text).is_err(), "{text}");
        }
    }
}
