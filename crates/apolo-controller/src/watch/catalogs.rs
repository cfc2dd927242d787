//! What is kept of catalogs, and of the namespaces that they are in.

use apolo_api::catalog::SecretCatalog;
use k8s_openapi::api::core::v1::Namespace;
use kube::ResourceExt;
use kube::core::{DeserializeGuard, PartialObjectMeta};

use super::Keep;
use crate::store::{KnownCatalog, Store, Woken};

impl Keep<DeserializeGuard<SecretCatalog>> for Store {
    /// The namespace, and what is kept.
    type Kept = (String, KnownCatalog);

    fn kept(&self, catalog: DeserializeGuard<SecretCatalog>) -> Option<(String, KnownCatalog)> {
        let namespace = catalog.namespace()?;
        let known = match &catalog.0 {
            Ok(catalog) => KnownCatalog::of(catalog),
            Err(unreadable) => KnownCatalog::unreadable(&unreadable.metadata),
        };
        Some((namespace, known))
    }

    fn put(&self, (namespace, catalog): (String, KnownCatalog)) -> Woken {
        self.put_catalog(&namespace, catalog)
    }

    fn remove(&self, catalog: &DeserializeGuard<SecretCatalog>) -> Woken {
        self.remove_catalog(&catalog.namespace().unwrap_or_default(), &catalog.uid().unwrap_or_default())
    }

    fn replace(&self, all: Vec<(String, KnownCatalog)>) {
        self.replace_catalogs(all);
    }
}

impl Keep<PartialObjectMeta<Namespace>> for Store {
    /// The name, and whether it is there to stay.
    type Kept = (String, bool);

    fn kept(&self, namespace: PartialObjectMeta<Namespace>) -> Option<(String, bool)> {
        Some((namespace.name_any(), namespace.metadata.deletion_timestamp.is_none()))
    }

    fn put(&self, (name, is_there): (String, bool)) -> Woken {
        self.put_namespace(&name, is_there)
    }

    fn remove(&self, namespace: &PartialObjectMeta<Namespace>) -> Woken {
        self.put_namespace(&namespace.name_any(), false)
    }

    fn replace(&self, all: Vec<(String, bool)>) {
        self.replace_namespaces(all);
    }
}
