//! Whether the API server can call us: what both webhook configurations say of whom to trust and where to call, from a watch of them.

use std::fmt::Debug;
use std::sync::{Mutex, MutexGuard, PoisonError};

use apolo_runtime::watch::{News, follow};
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration, WebhookClientConfig,
};
use kube::runtime::watcher::Config;
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;

/// What is told of both configurations.
#[derive(Debug)]
pub struct Trusted {
    name: String,
    mutating: Mutex<Told>,
    validating: Mutex<Told>,
}

/// What is told of one; none of one that is not there, or not told of yet.
type Told = Option<Vec<Hook>>;

/// How the API server calls a hook.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Hook {
    bundle: Vec<u8>,
    host: String,
}

impl Trusted {
    /// By configurations of this name.
    #[must_use]
    pub fn new(name: String) -> Self {
        Self { name, mutating: Mutex::default(), validating: Mutex::default() }
    }

    /// Watches for as long as it is polled.
    pub async fn watch(&self, client: Client) {
        let mutating = |it: MutatingWebhookConfiguration| {
            hooks(it.webhooks.unwrap_or_default().into_iter().map(|hook| hook.client_config))
        };
        let validating = |it: ValidatingWebhookConfiguration| {
            hooks(it.webhooks.unwrap_or_default().into_iter().map(|hook| hook.client_config))
        };
        tokio::join!(
            self.follow(client.clone(), &self.mutating, mutating),
            self.follow(client, &self.validating, validating),
        );
    }

    async fn follow<K>(&self, client: Client, told: &Mutex<Told>, hooks: impl Fn(K) -> Vec<Hook>)
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
    {
        let config = Config::default().fields(&format!("metadata.name={}", self.name));
        follow(Api::<K>::all(client), config, |it| Some(hooks(it)), |news| match news {
            News::Put(hooks) => *lock(told) = Some(hooks),
            News::Removed(_) => *lock(told) = None,
            News::All(all) => *lock(told) = all.into_iter().next(),
            News::Broke(error) => {
                tracing::warn!(why = %error, kind = %K::kind(&()), "the watch of a webhook configuration broke; it is begun again");
            }
        })
        .await;
    }

    /// Whether each hook of both is called in a way that `believes` takes, which is asked once about each caBundle and host.
    ///
    /// # Errors
    /// In words, what is the matter.
    pub fn check(&self, believes: impl Fn(&[u8], &str) -> Result<(), String>) -> Result<(), String> {
        for (kind, told) in
            [("MutatingWebhookConfiguration", &self.mutating), ("ValidatingWebhookConfiguration", &self.validating)]
        {
            let Some(hooks) = lock(told).clone() else {
                return Err(format!("not told yet, or not there: {kind} {}", self.name));
            };
            for Hook { bundle, host } in hooks {
                believes(&bundle, &host).map_err(|why| {
                    format!("the caBundle of {kind} {} does not fit the certificate: {why}", self.name)
                })?;
            }
        }
        Ok(())
    }
}

/// Each way in which one is called, once.
fn hooks(configs: impl Iterator<Item = WebhookClientConfig>) -> Vec<Hook> {
    let mut hooks = Vec::new();
    for config in configs {
        let hook = Hook { host: host(&config), bundle: config.ca_bundle.unwrap_or_default().0 };
        if !hooks.contains(&hook) {
            hooks.push(hook);
        }
    }
    hooks
}

/// The name under which the API server calls it, which its certificate has to bear.
///
/// Source: <https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#contacting-the-webhook>.
fn host(config: &WebhookClientConfig) -> String {
    if let Some(service) = &config.service {
        return format!("{}.{}.svc", service.name, service.namespace);
    }
    let url = config.url.as_deref().unwrap_or_default().parse::<http::Uri>();
    let host = url.ok().and_then(|url| url.host().map(str::to_owned)).unwrap_or_default();
    host.trim_matches(['[', ']']).to_owned()
}

fn lock(told: &Mutex<Told>) -> MutexGuard<'_, Told> {
    told.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn is_believed_only_by_all_hooks_of_both_configurations() {
        let configs = |bundles: &[&str]| {
            hooks(bundles.iter().map(|bundle| {
                let service = json!({"name": "hook", "namespace": "ours"});
                let mut config: WebhookClientConfig = serde_json::from_value(json!({"service": service})).unwrap();
                config.ca_bundle = Some(k8s_openapi::ByteString(bundle.as_bytes().to_vec()));
                config
            }))
        };
        let trusted = Trusted::new("ours".into());
        let believes = |bundle: &[u8], host: &str| {
            if bundle == b"good" && host == "hook.ours.svc" { Ok(()) } else { Err("no".to_owned()) }
        };
        assert!(trusted.check(believes).is_err());
        *lock(&trusted.mutating) = Some(configs(&["good", "good"]));
        assert!(trusted.check(believes).is_err());
        *lock(&trusted.validating) = Some(configs(&["good"]));
        assert_eq!(trusted.check(believes), Ok(()));
        *lock(&trusted.mutating) = Some(configs(&["good", "bad"]));
        let why = "the caBundle of MutatingWebhookConfiguration ours does not fit the certificate: no";
        assert_eq!(trusted.check(believes), Err(why.to_owned()));
        *lock(&trusted.mutating) = None;
        assert!(trusted.check(believes).is_err());
    }

    #[test]
    fn a_hook_is_called_by_its_service_or_the_host_of_its_url() {
        let called = |config| host(&serde_json::from_value(config).unwrap());
        assert_eq!(called(json!({"service": {"name": "a", "namespace": "b", "path": "/c"}})), "a.b.svc");
        assert_eq!(called(json!({"url": "https://127.0.0.1:10250/pods/mutate"})), "127.0.0.1");
        assert_eq!(called(json!({"url": "https://[::1]:10250/pods/mutate"})), "::1");
    }
}
