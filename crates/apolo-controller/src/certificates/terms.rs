//! What certificates are to be like, and where they are kept.

use std::collections::BTreeSet;
use std::time::Duration;

use apolo_runtime::limits::quantity::duration;
use clap::{Args, ValueEnum};

/// How many lives of a serving certificate an authority lives, and how many before its end it is followed by another: one in which the
/// last that it signed may still serve, and one to spare. So it signs for ten.
const LIVES: u32 = 12;
const LAST_LIVES: u32 = 2;
/// How long an authority is in caBundle before the first certificate that it has signed is served: each API server has to hear of it.
const HEARD: Duration = Duration::from_secs(5);
/// How long a webhook may take to load a new pair: kubelet looks for it about once a minute.
const LOADED: Duration = Duration::from_secs(3 * 60);

/// How long what somebody else has made is believed beside what we make when we begin to: by then each Pod of the webhook is another,
/// which serves ours.
const HANDED_OVER: Duration = Duration::from_secs(10 * 60);

/// Who makes the webhook's certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// This controller.
    Builtin,
    /// Somebody else.
    Off,
}

/// The arguments about certificates.
#[derive(Args, Clone, Debug)]
pub struct CertificatesArgs {
    /// Who makes and renews the webhook's certificates and keeps caBundle: builtin, which is this controller, or off, somebody else.
    #[arg(long = "certificates", env = "APOLO_CERTIFICATES", default_value = "off", hide_possible_values = true)]
    #[arg(value_name = "MODE")]
    pub mode: Mode,

    /// Name of both webhook configurations, whose caBundle is kept.
    #[arg(long, env = "APOLO_WEBHOOK_NAME", default_value = "apolo-secrets", value_name = "NAME")]
    pub webhook_name: String,

    /// Name of the webhook's Service, in the own namespace: the certificate is for NAME.NAMESPACE.svc.
    #[arg(long, env = "APOLO_WEBHOOK_SERVICE", default_value = "apolo-secrets-webhook", value_name = "NAME")]
    pub webhook_service: String,

    /// Another DNS name or IP address that the certificate is for, such as that of a webhook outside the cluster; repeatable.
    #[arg(long, env = "APOLO_WEBHOOK_HOST", value_delimiter = ',', value_name = "HOST")]
    pub webhook_host: Vec<String>,

    /// Name of the Secret, in the own namespace, with the certificate authority and its key.
    #[arg(long, env = "APOLO_CA_SECRET", default_value = "apolo-secrets-webhook-ca", value_name = "NAME")]
    pub ca_secret: String,

    /// Name of the Secret, in the own namespace, with the serving certificate and its key, which the webhook mounts.
    #[arg(long, env = "APOLO_SERVING_SECRET", default_value = "apolo-secrets-webhook-tls", value_name = "NAME")]
    pub serving_secret: String,

    /// How long a serving certificate lives; it is renewed at two thirds of that, and kubelet brings it to the webhook within a minute
    /// or two, so 10m or more. An authority lives twelve times as long.
    #[arg(long, env = "APOLO_SERVING_CERTIFICATE_LIFE", default_value = "90d", value_parser = life, value_name = "DURATION")]
    pub serving_certificate_life: Duration,
}

fn life(text: &str) -> Result<Duration, String> {
    let life = duration(text)?;
    let (least, most) = (Duration::from_secs(2), Duration::from_secs(3650 * 86_400));
    if (least..=most).contains(&life) { Ok(life) } else { Err("it is 2s to 3650d".to_owned()) }
}

/// What certificates are to be like.
#[derive(Clone, Debug)]
pub struct Terms {
    /// The names and addresses that the serving certificate is for.
    pub names: BTreeSet<String>,
    /// How long it lives.
    pub life: Duration,
}

impl Terms {
    /// What the arguments say of a webhook in this namespace.
    #[must_use]
    pub fn new(args: &CertificatesArgs, namespace: &str) -> Self {
        let service = format!("{}.{namespace}.svc", args.webhook_service);
        let names = args.webhook_host.iter().cloned().chain([service]).collect();
        Self { names, life: args.serving_certificate_life }
    }

    /// How long an authority lives.
    #[must_use]
    pub fn authority_life(&self) -> Duration {
        self.life * LIVES
    }

    /// How long before its end an authority is followed by another.
    #[must_use]
    pub fn authority_rest(&self) -> Duration {
        self.life * LAST_LIVES
    }

    /// How long an authority has to have been in caBundle before what it signs is served.
    #[must_use]
    pub fn heard(&self) -> Duration {
        HEARD.min(self.life / 20)
    }

    /// How long after a serving pair was made all webhooks have loaded it.
    #[must_use]
    pub fn loaded(&self) -> Duration {
        LOADED.min(self.life / 3)
    }

    /// How long another's authority stays in caBundle beside ours after we have taken its place.
    #[must_use]
    pub fn handed_over(&self) -> Duration {
        HANDED_OVER.min(self.life / 3)
    }
}
