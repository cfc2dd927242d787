//! The connection to a cluster, as kubectl would make it: the same files, flags, plugins and names.

use std::env;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use kube::client::{AuthError, Body, ClientBuilder};
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use thiserror::Error;
use tower::util::MapRequestLayer;

use crate::explained::{Explained, Kind};

/// Where the files are that tell of clusters.
const KUBECONFIG: &str = "KUBECONFIG";
/// Set in every Pod: then its service account can stand in for a kubeconfig.
const IN_CLUSTER: &str = "KUBERNETES_SERVICE_HOST";
/// The namespace where nothing names one.
const DEFAULT_NAMESPACE: &str = "default";
/// How long it may take to reach the API server.
const CONNECT: Duration = Duration::from_secs(10);

/// What a person may say about the connection; all else comes from the kubeconfig.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The file, instead of those of `KUBECONFIG` or `~/.kube/config`.
    pub kubeconfig: Option<PathBuf>,
    /// The context in it.
    pub context: Option<String>,
    /// The namespace, instead of the context's.
    pub namespace: Option<String>,
    /// Whom to act as.
    pub user: Option<String>,
    /// With which groups.
    pub groups: Vec<String>,
    /// How long an answer may take; none: as long as it takes.
    pub timeout: Option<Duration>,
}

/// What is told of each request before it is sent: its method and its path with the query, in which names stand, and no value.
pub type Told = Arc<dyn Fn(&str, &str) + Send + Sync>;

/// A connection to a cluster, as one person.
#[derive(Clone)]
pub struct Connection {
    /// The client.
    pub client: Client,
    /// The namespace that the person is in.
    pub namespace: String,
    /// The name of the context, where there is one.
    pub context: Option<String>,
}

/// Why there is no connection.
#[derive(Debug, Error)]
pub enum ConnectionError {
    /// Nothing tells where a cluster is.
    #[error("nothing tells where the cluster is: there is no kubeconfig")]
    NoKubeconfig,
    /// A file cannot be read.
    #[error("reading the kubeconfig {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no such context, or none is chosen.
    #[error("the kubeconfig has no context {0:?}")]
    NoContext(String),
    /// None is chosen.
    #[error("the kubeconfig has no current context")]
    NoCurrentContext,
    /// It is no YAML, or not of a kubeconfig; its text may hold a token, and is not told.
    #[error("the kubeconfig cannot be read{}: it is no YAML, or not that of a kubeconfig", .0.as_ref().map(|at| format!(" at {at}")).unwrap_or_default())]
    Text(Option<String>),
    /// The kubeconfig is not as it should be.
    #[error("the kubeconfig cannot be used: {0}")]
    Kubeconfig(Box<KubeconfigError>),
    /// A program that the kubeconfig names did not log the person in.
    #[error("logging in: {0}")]
    Login(String),
    /// There can be no client of what the kubeconfig says.
    #[error("the kubeconfig cannot be used: {0}")]
    Client(Box<kube::Error>),
}

impl Connection {
    /// Makes a connection, and asks nothing yet; a login plugin of the kubeconfig is run.
    ///
    /// # Errors
    /// Where the kubeconfig does not tell, or the login fails.
    pub async fn open(settings: &Settings, told: Option<Told>) -> Result<Self, ConnectionError> {
        let (mut config, context) = config(settings).await?;
        if let Some(namespace) = &settings.namespace {
            config.default_namespace.clone_from(namespace);
        } else if config.default_namespace.is_empty() {
            config.default_namespace = DEFAULT_NAMESPACE.to_owned();
        }
        config.connect_timeout = Some(settings.timeout.map_or(CONNECT, |timeout| timeout.min(CONNECT)));
        config.read_timeout = settings.timeout;
        config.reset_reader_on_write = true;
        if settings.user.is_some() {
            config.auth_info.impersonate.clone_from(&settings.user);
        }
        if !settings.groups.is_empty() {
            config.auth_info.impersonate_groups = Some(settings.groups.clone());
        }
        let namespace = config.default_namespace.clone();
        let builder = ClientBuilder::try_from(config).map_err(ConnectionError::of_client)?;
        let client = match told {
            None => builder.build(),
            Some(told) => builder.with_layer(&telling(told)).build(),
        };
        Ok(Self { client, namespace, context })
    }
}

/// Tells of each request before it is sent.
fn telling(told: Told) -> MapRequestLayer<impl Fn(Request<Body>) -> Request<Body> + Clone> {
    MapRequestLayer::new(move |request: Request<Body>| {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        told(request.method().as_str(), path);
        request
    })
}

/// As kubectl finds it: the file of the flag, else those of `KUBECONFIG`, else that of the home folder, else the service account of
/// the Pod.
///
/// Source: <https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/>
async fn config(settings: &Settings) -> Result<(Config, Option<String>), ConnectionError> {
    let kubeconfig = match kubeconfig(settings) {
        Ok(kubeconfig) => kubeconfig,
        Err(error) if settings.kubeconfig.is_none() && is_absent(&error) => {
            if env::var_os(IN_CLUSTER).is_some() && settings.context.is_none() {
                let config = Config::incluster().map_err(|error| ConnectionError::Login(error.to_string()))?;
                return Ok((config, None));
            }
            return Err(ConnectionError::NoKubeconfig);
        }
        Err(error) => return Err(ConnectionError::of_kubeconfig(error, settings)),
    };
    let context = settings.context.clone().or_else(|| kubeconfig.current_context.clone());
    let options = KubeConfigOptions { context: settings.context.clone(), ..KubeConfigOptions::default() };
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
    Ok((config.map_err(|error| ConnectionError::of_kubeconfig(error, settings))?, context))
}

/// The file that was named, else those of `KUBECONFIG` that are there, else that of the home folder.
///
/// # Errors
/// Where there is none, or it cannot be read.
pub(crate) fn kubeconfig(settings: &Settings) -> Result<Kubeconfig, KubeconfigError> {
    if let Some(file) = &settings.kubeconfig {
        return Kubeconfig::read_from(file);
    }
    let named = env::var_os(KUBECONFIG).unwrap_or_default();
    let files: Vec<PathBuf> = env::split_paths(&named).filter(|file| !file.as_os_str().is_empty()).collect();
    // kubectl passes over those that are not there; where that is each of them, the first is told.
    let is_there = |file: &PathBuf| !file.try_exists().is_ok_and(|is_there| !is_there);
    match files.iter().any(is_there) {
        true => files
            .iter()
            .filter(|file| is_there(file))
            .try_fold(Kubeconfig::default(), |merged, file| merged.merge(Kubeconfig::read_from(file)?)),
        false => Kubeconfig::read(),
    }
}

/// Whether there is no kubeconfig, where nobody said that there is one.
fn is_absent(error: &KubeconfigError) -> bool {
    let is_named = env::var_os(KUBECONFIG).is_some_and(|value| !value.is_empty());
    match error {
        KubeconfigError::FindPath => true,
        KubeconfigError::ReadConfig(error, _) => !is_named && error.kind() == io::ErrorKind::NotFound,
        _ => false,
    }
}

impl ConnectionError {
    fn of_kubeconfig(error: KubeconfigError, settings: &Settings) -> Self {
        match error {
            KubeconfigError::ReadConfig(source, path) => Self::Read { path, source },
            KubeconfigError::Parse(error) => {
                Self::Text(error.location().map(|at| format!("line {}, column {}", at.line(), at.column())))
            }
            KubeconfigError::CurrentContextNotSet => Self::NoCurrentContext,
            KubeconfigError::LoadContext(name) if name.is_empty() && settings.context.is_none() => {
                Self::NoCurrentContext
            }
            KubeconfigError::LoadContext(name) => Self::NoContext(settings.context.clone().unwrap_or(name)),
            error => Self::Kubeconfig(Box::new(error)),
        }
    }

    /// What a login plugin printed may be a token: of it only its exit and what it told on standard error are passed on.
    fn of_client(error: kube::Error) -> Self {
        match error {
            kube::Error::Auth(error) => Self::Login(login(&error)),
            error => Self::Client(Box::new(error)),
        }
    }
}

/// Why a login failed, without what a plugin printed for kubectl alone, and without its arguments, which may be as secret.
pub(crate) fn login(error: &AuthError) -> String {
    match error {
        AuthError::AuthExecRun { out, .. } => {
            let told = String::from_utf8_lossy(&out.stderr);
            let told = told.trim();
            let between = if told.is_empty() { "" } else { ": " };
            format!("the program that the kubeconfig names ended with {}{between}{told}", out.status)
        }
        AuthError::AuthExecStart(error) => format!("the program that the kubeconfig names cannot be run: {error}"),
        AuthError::AuthExecParse(_) => "what the program printed is no ExecCredential".to_owned(),
        error => error.to_string(),
    }
}

impl Explained for ConnectionError {
    fn kind(&self) -> Kind {
        match self {
            Self::NoContext(_) | Self::NoCurrentContext => Kind::Usage,
            Self::Login(_) => Kind::NotAllowed,
            _ => Kind::Failed,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoKubeconfig => {
                "name it with --kubeconfig FILE or KUBECONFIG; who runs the cluster has one for you".to_owned()
            }
            Self::NoContext(_) => "kubectl config get-contexts".to_owned(),
            Self::NoCurrentContext => "kubectl config use-context NAME, or --context NAME".to_owned(),
            Self::Login(_) => {
                "log in again as you do for kubectl; kubectl auth whoami tells whether it worked".to_owned()
            }
            Self::Text(_) => "kubectl config view tells whether kubectl can read it".to_owned(),
            Self::Read { .. } | Self::Kubeconfig(_) | Self::Client(_) => return None,
        })
    }
}
