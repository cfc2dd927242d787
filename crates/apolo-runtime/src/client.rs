//! The client of the API server.

mod fence;

use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, ClientBuilder, ConfigExt};
use kube::config::InferConfigError;
use kube::{Client, Config};
use thiserror::Error;
use tower::{BoxError, ServiceBuilder};

pub use fence::May;

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
    Client::try_from(config().await?).map_err(|error| ClientError::Make(Box::new(error)))
}

/// The same, but that nothing is sent any more from when it may not be, not even what was begun before. Its requests have no
/// deadline: who asks has one.
///
/// # Errors
/// Where the environment does not tell.
pub async fn fenced_client(may: May) -> Result<Client, ClientError> {
    fenced(&config().await?, may).map_err(|error| ClientError::Make(Box::new(error)))
}

fn fenced(config: &Config, may: May) -> Result<Client, kube::Error> {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    let connector = config.rustls_https_connector_with_connector(fence::Fence::new(connector, may))?;
    let client: legacy::Client<_, Body> = legacy::Client::builder(TokioExecutor::new()).build(connector);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(client);
    Ok(ClientBuilder::new(service, config.default_namespace.clone()).build())
}

async fn config() -> Result<Config, ClientError> {
    let mut config = Config::infer().await.map_err(|error| ClientError::Find(Box::new(error)))?;
    config.default_retry = false;
    Ok(config)
}
