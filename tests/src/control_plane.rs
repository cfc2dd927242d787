//! A running control plane as a stranger sees it: where it is, who may come in, and the programs that people use.
//!
//! All of it is read from the cluster's folder, so that whoever knows the folder can do this, not only the owner.

mod foreign;

use std::{
    ffi::OsStr,
    io,
    path::{Path, PathBuf},
    process::Command,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use k8s_openapi::api::{authentication::v1::TokenRequest, core::v1::ServiceAccount};
use kube::{
    Api, Client, Config,
    api::PostParams,
    config::{KubeConfigOptions, Kubeconfig, KubeconfigError},
};
use serde_json::{Value, json};

use self::foreign::Foreign;
use crate::authority::{self, Authority, CertificatePair};

pub(crate) const AUTHORITY: &str = "ca.crt";
pub(crate) const AUTHORITY_KEY: &str = "ca.key";
pub(crate) const AUDIT_LOG: &str = "audit.log";
const KUBECONFIG: &str = "kubeconfig";
/// In the folder of a cluster that others have started: how its administrator reaches it.
const FOREIGN: &str = "foreign-kubeconfig";

/// The group that may do everything.
const MASTERS: &str = "system:masters";

/// A control plane that runs, whoever started it.
#[derive(Debug, Clone)]
pub struct ControlPlane {
    folder: PathBuf,
    url: String,
    authority: Authority,
    foreign: Option<Foreign>,
}

/// Why a control plane cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of the cluster's folder cannot be read; the cluster may have gone.
    #[error("cannot read {} of the cluster", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A kubeconfig cannot be written into the cluster's folder.
    #[error("cannot write a kubeconfig into {}", .folder.display())]
    Write {
        /// The folder.
        folder: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A person's certificate cannot be made.
    #[error("cannot make a certificate")]
    Authority(#[from] authority::Error),
    /// A kubeconfig says nothing that a client understands.
    #[error("cannot use a kubeconfig of the cluster")]
    Kubeconfig(#[from] KubeconfigError),
    /// A client cannot be made.
    #[error("cannot make a client for {user}")]
    Client {
        /// Whose client it was to be.
        user: String,
        /// What kube says.
        source: kube::Error,
    },
    /// A service account got no token.
    #[error("cannot get a token for service account {namespace}/{account}")]
    Token {
        /// Its namespace.
        namespace: String,
        /// Its name.
        account: String,
        /// What the API server says; nothing, if it only sent no token.
        source: Option<kube::Error>,
    },
}

impl ControlPlane {
    /// The control plane whose files are in `folder`.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let kubeconfig = Kubeconfig::read_from(folder.join(KUBECONFIG))?;
        let url = kubeconfig.clusters.into_iter().find_map(|named| named.cluster?.server).unwrap_or_default();
        Self::with_url(folder, url)
    }

    /// A cluster that others have started, by the kubeconfig of somebody who may do everything there, with an authority of our own, which
    /// signs for webhooks, in `folder`.
    ///
    /// # Errors
    /// When the kubeconfig says nothing that a client understands, or the folder cannot be written to.
    pub fn adopt(folder: &Path, kubeconfig: &Path) -> Result<Self, Error> {
        let foreign = Foreign::read(&Kubeconfig::read_from(kubeconfig)?)?;
        let authority = Authority::new()?;
        let url = foreign.cluster.get("server").and_then(Value::as_str).unwrap_or_default().to_owned();
        let own = authority.pair();
        for (name, content) in [(AUTHORITY, &own.certificate), (AUTHORITY_KEY, &own.key), (FOREIGN, &foreign.to_text())]
        {
            std::fs::write(folder.join(name), content)
                .map_err(|source| Error::Write { folder: folder.into(), source })?;
        }
        Self::create(folder, &url)
    }

    /// The control plane that will serve at `url`, with an administrator's kubeconfig in the `folder` that holds its
    /// authority.
    pub(crate) fn create(folder: &Path, url: &str) -> Result<Self, Error> {
        let control_plane = Self::with_url(folder, url.into())?;
        let file = control_plane.kubeconfig("admin", &[MASTERS])?;
        std::fs::rename(file, folder.join(KUBECONFIG))
            .map_err(|source| Error::Write { folder: folder.into(), source })?;
        Ok(control_plane)
    }

    fn with_url(folder: &Path, url: String) -> Result<Self, Error> {
        let read = |name| {
            let path = folder.join(name);
            std::fs::read_to_string(&path).map_err(|source| Error::Read { path, source })
        };
        let pair = CertificatePair { certificate: read(AUTHORITY)?, key: read(AUTHORITY_KEY)? };
        let foreign = std::fs::read_to_string(folder.join(FOREIGN)).ok();
        let foreign = foreign.and_then(|text| Foreign::from_text(&text));
        Ok(Self { folder: folder.into(), url, authority: Authority::from_pair(pair), foreign })
    }

    /// The folder that holds everything of this cluster: `kubeconfig`, `bin`, a log for each server, `audit.log`.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the API server serves: `https://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The authority that the API server believes, and that signed its certificate. It signs for webhooks too.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The audit log: one JSON object a line for each answered request, with the questions who may do what, and else only metadata.
    pub fn audit_log(&self) -> PathBuf {
        self.folder.join(AUDIT_LOG)
    }

    /// A client that may do everything.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn admin(&self) -> Result<Client, Error> {
        self.user("admin", &[MASTERS]).await
    }

    /// A client of the user `name`, a member of `groups` (two at most), who holds a certificate made for this call.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn user(&self, name: &str, groups: &[&str]) -> Result<Client, Error> {
        self.client(name, &self.person(name, groups)?).await
    }

    /// A client of a service account, with a token from [`ControlPlane::token`].
    ///
    /// # Errors
    /// When there is no such account.
    pub async fn service_account(&self, namespace: &str, name: &str) -> Result<Client, Error> {
        let token = self.token(namespace, name).await?;
        self.client(name, &json!({"token": token})).await
    }

    /// A token of a service account, from the TokenRequest API.
    ///
    /// # Errors
    /// When there is no such account.
    pub async fn token(&self, namespace: &str, account: &str) -> Result<String, Error> {
        let failed = |source| Error::Token { namespace: namespace.into(), account: account.into(), source };
        let accounts: Api<ServiceAccount> = Api::namespaced(self.admin().await?, namespace);
        let answer = accounts
            .create_token_request(account, &PostParams::default(), &TokenRequest::default())
            .await
            .map_err(|error| failed(Some(error)))?;
        answer.status.map(|status| status.token).ok_or_else(|| failed(None))
    }

    /// A kubeconfig of the user `name`, a member of `groups`, in a file of its own.
    ///
    /// # Errors
    /// When it cannot be made or written.
    pub fn kubeconfig(&self, name: &str, groups: &[&str]) -> Result<PathBuf, Error> {
        self.write_kubeconfig(&self.person(name, groups)?)
    }

    /// A client that says nothing of who it is: each request brings that along.
    pub(crate) async fn nobody(&self) -> Result<Client, Error> {
        self.client("nobody", &json!({})).await
    }

    /// A client of another server whose certificate the cluster's authority signed; it says nothing of who it is.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn stranger_at(&self, url: &str) -> Result<Client, Error> {
        self.client_at(url, "nobody", &json!({})).await
    }

    /// The same of a service account, with a token from [`ControlPlane::token`].
    ///
    /// # Errors
    /// When there is no such account, or it cannot be written.
    pub async fn kubeconfig_of_account(&self, namespace: &str, name: &str) -> Result<PathBuf, Error> {
        self.kubeconfig_of_account_at(&self.url, namespace, name).await
    }

    /// The same for whoever is to reach the API server at another `url`, through a [`Proxy`](crate::proxy::Proxy).
    ///
    /// # Errors
    /// When there is no such account, or it cannot be written.
    pub async fn kubeconfig_of_account_at(&self, url: &str, namespace: &str, name: &str) -> Result<PathBuf, Error> {
        let user = json!({"token": self.token(namespace, name).await?});
        self.write_content(&self.kubeconfig_of(url, &user))
    }

    fn write_kubeconfig(&self, user: &Value) -> Result<PathBuf, Error> {
        self.write_content(&self.kubeconfig_of(&self.url, user))
    }

    fn write_content(&self, content: &str) -> Result<PathBuf, Error> {
        let write = || {
            let file = tempfile::Builder::new().prefix("kubeconfig-").tempfile_in(&self.folder)?;
            std::fs::write(file.path(), content)?;
            file.into_temp_path().keep().map_err(io::Error::from)
        };
        write().map_err(|source| Error::Write { folder: self.folder.clone(), source })
    }

    /// `kubectl ARGUMENTS…` as the administrator; with another `KUBECONFIG` as somebody else.
    pub fn kubectl<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        self.program("kubectl", arguments)
    }

    /// `helm ARGUMENTS…` as the administrator.
    pub fn helm<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        self.program("helm", arguments)
    }

    fn program<A: AsRef<OsStr>>(&self, name: &str, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(self.bin().join(name));
        command.args(arguments).envs(self.environment());
        command
    }

    /// The folder with kubectl, helm and the servers.
    pub fn bin(&self) -> PathBuf {
        self.folder.join("bin")
    }

    /// The variables with which kubectl and helm reach this control plane, and keep what they store in its folder.
    pub fn environment(&self) -> [(&'static str, PathBuf); 5] {
        [
            ("KUBECONFIG", self.folder.join(KUBECONFIG)),
            ("KUBECACHEDIR", self.folder.join("kubectl-cache")),
            ("HELM_CACHE_HOME", self.folder.join("helm-cache")),
            ("HELM_CONFIG_HOME", self.folder.join("helm-config")),
            ("HELM_DATA_HOME", self.folder.join("helm-data")),
        ]
    }

    /// The `user` of a kubeconfig: a certificate made for this call, or the administrator who acts for him.
    fn person(&self, name: &str, groups: &[&str]) -> Result<Value, Error> {
        if let Some(foreign) = &self.foreign {
            return Ok(if groups.contains(&MASTERS) { foreign.user.clone() } else { foreign.acting_for(name, groups) });
        }
        let pair = self.authority.client(name, groups)?;
        Ok(json!({
            "client-certificate-data": STANDARD.encode(pair.certificate),
            "client-key-data": STANDARD.encode(pair.key),
        }))
    }

    fn kubeconfig_of(&self, url: &str, user: &Value) -> String {
        let mut cluster = match &self.foreign {
            Some(foreign) => foreign.cluster.clone(),
            None => json!({"certificate-authority-data": STANDARD.encode(&self.authority.pair().certificate)}),
        };
        if let Some(fields) = cluster.as_object_mut() {
            fields.insert("server".into(), json!(url));
        }
        json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "test", "user": user}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "current-context": "test",
        })
        .to_string()
    }

    async fn client(&self, name: &str, user: &Value) -> Result<Client, Error> {
        self.client_at(&self.url, name, user).await
    }

    async fn client_at(&self, url: &str, name: &str, user: &Value) -> Result<Client, Error> {
        let kubeconfig = Kubeconfig::from_yaml(&self.kubeconfig_of(url, user))?;
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        // A refusal is what a test wants to see, at once; and no proxy leads to this machine.
        config.default_retry = false;
        config.proxy_url = None;
        Client::try_from(config).map_err(|source| Error::Client { user: name.into(), source })
    }
}
