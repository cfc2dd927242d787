//! The client of the API server.

use kube::config::InferConfigError;
use kube::{Client, Config};
use thiserror::Error;

/// Why there is no client.
#[derive(Debug, Error)]
pub enum ClientError {
    /// Neither a kubeconfig nor the account of a Pod tells where the API server is.
    #[error("finding the API server")]
    Find(#[source] Box<InferConfigError>),
    /// What tells it is not as it should be.
    #[error("making a client")]
    Make(#[source] Box<kube::Error>),
}

/// A client for whom the environment tells: `KUBECONFIG`, else the kubeconfig of the home folder, else the service account of the
/// Pod. It gives up at the first failure: what is to be tried again is tried by those who know whether it may be. Nothing is
/// asked yet.
///
/// # Errors
/// Where the environment does not tell.
pub async fn client() -> Result<Client, ClientError> {
    let mut config = Config::infer().await.map_err(|error| ClientError::Find(Box::new(error)))?;
    config.default_retry = false;
    Client::try_from(config).map_err(|error| ClientError::Make(Box::new(error)))
}
