//! Which objects of each kind are watched, and counted again.

use apolo_api::catalog::NAME;
use apolo_api::secret::NOT_OURS;
use apolo_core::names::{GRANT_UID, SHARED};
use kube::api::ListParams;
use kube::runtime::watcher::Config;

/// How many catalogs are listed at once: one may have a MiB.
const CATALOGS: u32 = 50;

/// What is asked of the API server for each kind.
#[derive(Clone, Debug)]
pub(crate) struct Selected {
    /// Grants.
    pub(crate) grants: Config,
    /// Roles and RoleBindings of grants.
    pub(crate) owned: Config,
    /// Secrets of the type Opaque, the copies among them.
    pub(crate) opaque_secrets: Config,
    /// Those of other types, without those that do not exist for us.
    pub(crate) other_secrets: Config,
    /// Pods that use shared secrets.
    pub(crate) pods: Config,
    /// The catalogs that bear our name.
    pub(crate) catalogs: Config,
    /// Namespaces.
    pub(crate) namespaces: Config,
}

impl Selected {
    /// All but what is in these namespaces.
    #[must_use]
    pub(crate) fn outside(excluded: &[String]) -> Self {
        let without = |field: &str| excluded.iter().map(|it| format!("{field}!={it}")).collect::<Vec<_>>();
        let in_namespaces = |more: &[String]| {
            let fields = [without("metadata.namespace").as_slice(), more].concat();
            Config::default().fields(&fields.join(","))
        };
        let others: Vec<String> = NOT_OURS.into_iter().chain(["Opaque"]).map(|it| format!("type!={it}")).collect();
        Self {
            grants: in_namespaces(&[]),
            owned: in_namespaces(&[]).labels(GRANT_UID),
            opaque_secrets: in_namespaces(&["type=Opaque".to_owned()]),
            other_secrets: in_namespaces(&others),
            pods: in_namespaces(&[]).labels(&format!("{SHARED}=true")),
            catalogs: in_namespaces(&[format!("metadata.name={NAME}")]).page_size(CATALOGS),
            namespaces: Config::default().fields(&without("metadata.name").join(",")),
        }
    }
}

/// The same for a list.
pub(crate) fn list_params(config: &Config) -> ListParams {
    ListParams {
        label_selector: config.label_selector.clone(),
        field_selector: config.field_selector.clone(),
        ..ListParams::default()
    }
}
