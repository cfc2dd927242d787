//! The caBundles of a webhook configuration.

use std::fmt;

use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration, WebhookClientConfig,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};

use super::certificate::Certificate;

/// The field manager of caBundle while it is written.
pub const MANAGER: &str = "apolo-secrets-certificates";

/// Which webhook configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Which {
    /// The MutatingWebhookConfiguration.
    Mutating,
    /// The ValidatingWebhookConfiguration.
    Validating,
}

/// What a webhook configuration says of whom to trust.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// Which it is of.
    pub which: Which,
    /// The UID of that.
    pub uid: String,
    /// A merge patch by which we own nothing of it any more; none where we do not.
    disowned: Option<Value>,
    /// The name of each hook, and its caBundle.
    hooks: Vec<(String, Vec<u8>)>,
    certificates: Vec<Certificate>,
}

impl Bundle {
    /// That of a MutatingWebhookConfiguration.
    #[must_use]
    pub fn mutating(configuration: MutatingWebhookConfiguration) -> Self {
        let hooks = configuration.webhooks.unwrap_or_default().into_iter().map(|it| (it.name, it.client_config));
        Self::new(Which::Mutating, configuration.metadata, hooks)
    }

    /// That of a ValidatingWebhookConfiguration.
    #[must_use]
    pub fn validating(configuration: ValidatingWebhookConfiguration) -> Self {
        let hooks = configuration.webhooks.unwrap_or_default().into_iter().map(|it| (it.name, it.client_config));
        Self::new(Which::Validating, configuration.metadata, hooks)
    }

    fn new(which: Which, metadata: ObjectMeta, hooks: impl Iterator<Item = (String, WebhookClientConfig)>) -> Self {
        let text = |config: WebhookClientConfig| config.ca_bundle.unwrap_or_default().0;
        let hooks: Vec<_> = hooks.map(|(name, config)| (name, text(config))).collect();
        let mut texts: Vec<&Vec<u8>> = hooks.iter().map(|(_, text)| text).collect();
        texts.dedup();
        let certificates = texts.into_iter().flat_map(|text| Certificate::read_all(text)).collect();
        Self { which, disowned: disowned(&metadata), uid: metadata.uid.unwrap_or_default(), hooks, certificates }
    }

    /// A merge patch by which we own nothing of it any more, that is to be sent where there is one: an owner of a caBundle would keep its
    /// hook from going when it goes from what somebody else applies, and what is left of a hook then is refused.
    ///
    /// Source: `addBackOwnedItems` of `sigs.k8s.io/structured-merge-diff/v6/merge`.
    #[must_use]
    pub fn disowned(&self) -> Option<&Value> {
        self.disowned.as_ref()
    }

    /// Whether each caBundle is this text.
    #[must_use]
    pub fn is(&self, text: &str) -> bool {
        self.hooks.iter().all(|(_, bundle)| bundle == text.as_bytes())
    }

    /// Whether an authority is in each caBundle.
    #[must_use]
    pub fn trusts(&self, authority: &Certificate) -> bool {
        self.hooks.iter().all(|(_, bundle)| Certificate::read_all(bundle).contains(authority))
    }

    /// Whether another certificate is in each caBundle that an authority is in.
    #[must_use]
    pub fn has_beside(&self, authority: &Certificate, other: &Certificate) -> bool {
        let all = self.hooks.iter().map(|(_, bundle)| Certificate::read_all(bundle));
        all.filter(|certificates| certificates.contains(authority)).all(|certificates| certificates.contains(other))
    }

    /// The certificates in all of them.
    pub fn certificates(&self) -> impl Iterator<Item = &Certificate> {
        self.certificates.iter()
    }

    /// What an apply has to say so that each caBundle is this text.
    #[must_use]
    pub fn fields(&self, text: &str) -> Value {
        let bundle = ByteString(text.as_bytes().to_vec());
        let hooks = self.hooks.iter().map(|(name, _)| json!({"name": name, "clientConfig": {"caBundle": bundle}}));
        json!({"webhooks": hooks.collect::<Vec<_>>()})
    }
}

fn disowned(metadata: &ObjectMeta) -> Option<Value> {
    let all = metadata.managed_fields.as_ref()?;
    let others: Vec<_> = all.iter().filter(|it| it.manager.as_deref() != Some(MANAGER)).collect();
    // Kubernetes takes no managers at all for nothing that was said about them.
    let is_owned = others.len() < all.len() && !others.is_empty();
    is_owned.then(|| json!({"metadata": {"resourceVersion": metadata.resource_version, "managedFields": others}}))
}

impl fmt::Display for Which {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Mutating => "MutatingWebhookConfiguration",
            Self::Validating => "ValidatingWebhookConfiguration",
        })
    }
}
