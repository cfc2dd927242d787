//! What can stand where the cursor is: keys, subjects, namespaces and contexts, as the cluster and the kubeconfig tell.
//!
//! Whatever fails, nothing is offered, and nothing is said: somebody is typing.

mod line;
pub(crate) mod plugin;

use std::ffi::OsStr;
use std::future::Future;
use std::time::Duration;

use apolo_client::connection::Connection;
use apolo_client::{contexts, namespaces, secrets, subjects};
use clap_complete::CompletionCandidate;

/// How long somebody waits who has pressed the key.
const PATIENCE: Duration = Duration::from_secs(3);

/// Keys of the namespace.
pub(crate) fn keys(typed: &OsStr) -> Vec<CompletionCandidate> {
    beginning(typed, asked(async |connection| own_keys(&connection).await))
}

/// References to secrets of the namespace, and of those that are shared with it.
pub(crate) fn references(typed: &OsStr) -> Vec<CompletionCandidate> {
    beginning(typed, asked(async |connection| all_references(&connection).await))
}

/// `NAME=REFERENCE`, once the name is there.
pub(crate) fn variables(typed: &OsStr) -> Vec<CompletionCandidate> {
    let Some((name, _)) = typed.to_str().and_then(|typed| typed.split_once('=')) else { return Vec::new() };
    let found = asked(async |connection| all_references(&connection).await);
    beginning(typed, found.into_iter().map(|reference| format!("{name}={reference}")).collect())
}

/// Those with whom somebody shares here, service accounts and namespaces.
pub(crate) fn subjects(typed: &OsStr) -> Vec<CompletionCandidate> {
    beginning(typed, asked(async |connection| subjects::known(&connection).await))
}

/// Namespaces.
pub(crate) fn namespaces(typed: &OsStr) -> Vec<CompletionCandidate> {
    beginning(typed, asked(async |connection| namespaces::known(&connection).await))
}

/// Contexts of the kubeconfig.
pub(crate) fn contexts(typed: &OsStr) -> Vec<CompletionCandidate> {
    beginning(typed, contexts::known(&line::settings(std::env::args_os())))
}

async fn own_keys(connection: &Connection) -> Vec<String> {
    let found = secrets::list(connection, &connection.namespace).await.unwrap_or_default();
    found.secrets.into_iter().map(|secret| secret.key).collect()
}

async fn all_references(connection: &Connection) -> Vec<String> {
    let found = secrets::list(connection, &connection.namespace).await.unwrap_or_default();
    let own = found.secrets.into_iter().flat_map(|secret| {
        let reference = format!("secret:{}", secret.key);
        if secret.is_ordinary {
            secret.entries.iter().map(|entry| format!("{reference}#{entry}")).collect()
        } else {
            vec![reference]
        }
    });
    own.chain(subjects::shared(connection).await).collect()
}

/// What a cluster tells before it is too late.
fn asked<T: Default, F: Future<Output = T>>(ask: impl FnOnce(Connection) -> F) -> T {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return T::default() };
    let told = runtime.block_on(async {
        let asked = async {
            match Connection::open(&line::settings(std::env::args_os()), None).await {
                Ok(connection) => ask(connection).await,
                Err(_) => T::default(),
            }
        };
        tokio::time::timeout(PATIENCE, asked).await
    });
    runtime.shutdown_background();
    told.unwrap_or_default()
}

fn beginning(typed: &OsStr, found: Vec<String>) -> Vec<CompletionCandidate> {
    let typed = typed.to_string_lossy();
    found.into_iter().filter(|name| name.starts_with(&*typed)).map(CompletionCandidate::new).collect()
}
