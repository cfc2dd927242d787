//! Where servers are measured: this machine's loopback, with a certificate for it, the webhook and the floor.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use crate::client::{Answer, Client};
use crate::review::Review;
use crate::server::Server;

/// How long a server may take to answer rightly, and the pause before it is asked again.
const DEADLINE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_micros(100);

/// A kubeconfig that names an API server where nobody is.
const NOWHERE: &str = r#"{"apiVersion": "v1", "kind": "Config", "current-context": "nowhere",
    "contexts": [{"name": "nowhere", "context": {"cluster": "nowhere", "user": "nobody"}}],
    "clusters": [{"name": "nowhere", "cluster": {"server": "https://127.0.0.1:9"}}],
    "users": [{"name": "nobody", "user": {}}]}"#;

/// What servers need to be started and asked.
pub(crate) struct Site {
    /// Whom clients trust: PEM.
    pub(crate) authority: String,
    /// A client that does.
    pub(crate) client: Client,
    /// The file with the authority's certificate.
    pub(crate) authority_file: PathBuf,
    /// The certificate for 127.0.0.1: PEM.
    pub(crate) certificate: PathBuf,
    /// Its key: PEM.
    pub(crate) key: PathBuf,
    /// Where the webhook is told that an API server is: nobody asks it about a Pod.
    kubeconfig: PathBuf,
    answers: PathBuf,
    programs: PathBuf,
    webhook: Option<PathBuf>,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contender {
    /// `apolo-secrets webhook`, as it is shipped.
    Webhook,
    /// F.
    Floor,
    /// F, served by our own runtime.
    FloorOnRuntime,
}

impl Site {
    /// A site whose files are in `folder`; the programs are beside this one, unless the webhook is elsewhere.
    pub(crate) fn new(folder: &Path, webhook: Option<PathBuf>) -> anyhow::Result<Self> {
        let answers = folder.join("answers");
        fs::create_dir_all(&answers).with_context(|| format!("making {}", answers.display()))?;
        let (authority, certificate, key) = certificate().context("making a certificate")?;
        let programs = std::env::current_exe()?.parent().context("no folder of programs")?.to_owned();
        let site = Self {
            client: Client::new(&authority)?,
            authority,
            authority_file: folder.join("ca.crt"),
            certificate: folder.join("tls.crt"),
            key: folder.join("tls.key"),
            kubeconfig: folder.join("kubeconfig"),
            answers,
            programs,
            webhook,
        };
        fs::write(&site.kubeconfig, NOWHERE)?;
        fs::write(&site.authority_file, &site.authority)?;
        fs::write(&site.certificate, certificate)?;
        fs::write(&site.key, key)?;
        Ok(site)
    }

    /// The webhook's binary.
    pub(crate) fn webhook(&self) -> PathBuf {
        self.webhook.clone().unwrap_or_else(|| self.program("apolo-secrets"))
    }

    /// A binary that was built beside this one.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }

    /// Starts a server; it does not serve yet.
    pub(crate) fn launch(&self, contender: Contender) -> anyhow::Result<Server> {
        let tls = [("cert", &self.certificate), ("private-key", &self.key)]
            .map(|(file, path)| format!("--tls-{file}-file={}", path.display()));
        let answers = format!("--answers={}", self.answers.display());
        let (program, mut arguments) = match contender {
            Contender::Webhook => (self.webhook(), vec!["webhook", "--metrics-bind-address=127.0.0.1:0"]),
            Contender::Floor => (self.programs.join("apolo-bench-floor"), vec![&*answers]),
            Contender::FloorOnRuntime => (self.programs.join("apolo-bench-floor"), vec!["--on-runtime", &answers]),
        };
        arguments.extend(tls.iter().map(String::as_str));
        Server::start(&program, arguments, &self.kubeconfig)
    }

    /// Starts a server and asks it until it answers rightly; says how long that took.
    pub(crate) async fn start(&self, contender: Contender, first: &Review) -> anyhow::Result<(Server, Duration)> {
        let began = Instant::now();
        let mut server = self.launch(contender)?;
        loop {
            match self.ask(&server, contender, first).await {
                Ok(_) => return Ok((server, began.elapsed())),
                Err(error) if began.elapsed() > DEADLINE => return Err(error),
                // The timer of tokio is too coarse for this.
                Err(_) => tokio::task::block_in_place(|| thread::sleep(PAUSE)),
            }
            server.check()?;
        }
    }

    /// Sends one review; an answer that is not right is an error. The floor's is right if it has the right size.
    pub(crate) async fn ask(&self, server: &Server, contender: Contender, review: &Review) -> anyhow::Result<Answer> {
        let answer = self.client.post(server.address, &contender.path(review), review.bytes.clone()).await?;
        if contender == Contender::Webhook {
            review.check(&answer)?;
        } else {
            let due = fs::metadata(self.answer(review))?.len();
            anyhow::ensure!(answer.status == 200 && answer.body.len() as u64 == due, "the floor is not ready");
        }
        Ok(answer)
    }

    /// Asks the webhook each review once, and keeps its answers for the floor.
    pub(crate) async fn keep_answers(&self, webhook: &Server, reviews: &[Review]) -> anyhow::Result<()> {
        for review in reviews {
            let answer = self.ask(webhook, Contender::Webhook, review).await?;
            fs::write(self.answer(review), answer.body)?;
        }
        Ok(())
    }

    /// How long the answer to a review is, in bytes.
    pub(crate) fn answer_size(&self, review: &Review) -> anyhow::Result<u64> {
        Ok(fs::metadata(self.answer(review))?.len())
    }

    fn answer(&self, review: &Review) -> PathBuf {
        self.answers.join(Review::name(review.pod, review.hook))
    }
}

impl Contender {
    /// The path that a review is sent to.
    pub(crate) fn path(self, review: &Review) -> String {
        match self {
            Self::Webhook => review.hook.path(),
            Self::Floor | Self::FloorOnRuntime => format!("/{}", Review::name(review.pod, review.hook)),
        }
    }
}

/// An authority's certificate, one that it signed for 127.0.0.1, and the key of that one: all PEM.
fn certificate() -> Result<(String, String, String), rcgen::Error> {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate()?;
    let authority_certificate = authority.self_signed(&authority_key)?.pem();
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![rcgen::SanType::IpAddress(IpAddr::from([127, 0, 0, 1]))];
    let certificate = params.signed_by(&key, &Issuer::new(authority, authority_key))?.pem();
    Ok((authority_certificate, certificate, key.serialize_pem()))
}
