//! The client of the API server.

mod fence;

use std::time::Duration;

use http::Uri;
use hyper::rt::{Read, Write};
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::{Connection, HttpConnector};
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, ClientBuilder, ConfigExt};
use kube::config::InferConfigError;
use kube::{Client, Config};
use thiserror::Error;
use tower::{BoxError, Service, ServiceBuilder};

pub use fence::May;

/// How long a connection is idle before it is looked whether the other side is there, and how often then.
const IDLE: Duration = Duration::from_secs(15);
const PROBES: Duration = Duration::from_secs(5);

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
    let config = config().await?;
    with_connector(&config, connector()).map_err(|error| ClientError::Make(Box::new(error)))
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
    with_connector(config, fence::Fence::new(connector(), may))
}

/// Connects, and notices within half a minute that the other side is not there any more, of which nothing else may tell: a watch is
/// silent for minutes where nothing changes.
fn connector() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_keepalive(Some(IDLE));
    connector.set_keepalive_interval(Some(PROBES));
    connector.set_keepalive_retries(Some(3));
    connector.set_tcp_user_timeout(Some(IDLE + PROBES * 3));
    connector
}

/// What [`Client::try_from`] makes, but for the connector, and for what tells of requests.
fn with_connector<C>(config: &Config, connector: C) -> Result<Client, kube::Error>
where
    C: 'static + Clone + Send + Sync + Service<Uri>,
    C::Response: 'static + Connection + Read + Write + Send + Unpin,
    C::Future: 'static + Send,
    C::Error: 'static + Send + Sync + std::error::Error,
{
    if let Some(proxy) = &config.proxy_url {
        return Err(kube::Error::ProxyProtocolUnsupported { proxy_url: Box::new(proxy.clone()) });
    }
    let mut connector = TimeoutConnector::new(config.rustls_https_connector_with_connector(connector)?);
    connector.set_connect_timeout(config.connect_timeout);
    connector.set_read_timeout(config.read_timeout);
    connector.set_write_timeout(config.write_timeout);
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

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    /// The timer of a socket: 2 where it is looked some time whether the other side is there.
    ///
    /// Source: <https://docs.kernel.org/networking/proc_net_tcp.html>.
    fn timer(local: u16, remote: u16) -> Option<String> {
        let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let fields = sockets.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let of = |address: &str, port: u16| address.ends_with(&format!(":{port:04X}"));
        let mut found = fields.filter(|fields| of(fields[1], local) && of(fields[2], remote));
        found.next().and_then(|fields| Some(fields[5].split_once(':')?.0.to_owned()))
    }

    #[tokio::test]
    #[cfg(target_os = "linux")]
    async fn it_is_looked_whether_the_other_side_of_an_idle_connection_is_there() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connection = connector().call(format!("http://{address}/").parse().unwrap());
        let (connection, accepted) = tokio::join!(connection, listener.accept());
        let (_connection, (_other, peer)) = (connection.unwrap(), accepted.unwrap());
        assert_eq!(timer(peer.port(), address.port()).as_deref(), Some("02"));
    }
}
