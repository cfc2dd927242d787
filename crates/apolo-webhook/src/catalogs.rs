//! What the catalogs list of each namespace, from a watch of all of them. Nothing is decided from it: it is for warnings.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};

use apolo_api::catalog::{NAME, SecretCatalog, SecretCatalogStatus};
use apolo_core::listed::Listed;
use apolo_core::warning::Warnings;
use apolo_runtime::watch::{News, follow};
use kube::core::DeserializeGuard;
use kube::runtime::watcher::Config;
use kube::{Api, Client, ResourceExt};

type Guarded = DeserializeGuard<SecretCatalog>;

/// How many catalogs are listed at a time: one may be some hundred KB, of which little is kept.
const PAGE: u32 = 20;

/// What is listed of all namespaces.
#[derive(Debug, Default)]
pub struct Catalogs(RwLock<Told>);

#[derive(Debug, Default)]
struct Told {
    is_complete: bool,
    /// None of a namespace whose catalog cannot be read, or says nothing yet.
    namespaces: HashMap<String, Option<Arc<Listed>>>,
    /// What is listed of all others.
    nothing: Arc<Listed>,
}

/// What is kept of a catalog: its namespace, and what is listed of it.
type Kept = (String, Option<Arc<Listed>>);

impl Catalogs {
    /// Watches for as long as it is polled.
    pub async fn watch(&self, client: Client) {
        let config = Config::default().fields(&format!("metadata.name={NAME}")).page_size(PAGE);
        let keep = |catalog| Some(kept(catalog));
        follow(Api::<Guarded>::all(client), config, keep, |news| match news {
            News::Put((namespace, listed)) => drop(self.write().namespaces.insert(namespace, listed)),
            News::Removed(catalog) => drop(self.write().namespaces.remove(&catalog.namespace().unwrap_or_default())),
            News::All(all) => *self.write() = all.into_iter().collect(),
            News::Broke(error) => tracing::warn!(why = %error, "the watch of catalogs broke; it is begun again"),
        })
        .await;
    }

    /// The warnings that there are in a namespace after `look` has looked; none where what is there is not known: not everything
    /// has been told yet, or the catalog cannot be read or says nothing.
    #[must_use]
    pub fn warnings(&self, namespace: &str, look: impl FnOnce(&mut Warnings<'_>)) -> Vec<String> {
        let Some(listed) = self.listed(namespace) else { return Vec::new() };
        let mut warnings = Warnings::new(namespace, &listed);
        look(&mut warnings);
        warnings.into_lines()
    }

    fn listed(&self, namespace: &str) -> Option<Arc<Listed>> {
        let told = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if !told.is_complete {
            return None;
        }
        told.namespaces.get(namespace).map_or_else(|| Some(Arc::clone(&told.nothing)), Clone::clone)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Told> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All that there are.
impl FromIterator<DeserializeGuard<SecretCatalog>> for Catalogs {
    fn from_iter<I: IntoIterator<Item = Guarded>>(all: I) -> Self {
        Self(RwLock::new(all.into_iter().map(kept).collect()))
    }
}

impl FromIterator<Kept> for Told {
    fn from_iter<I: IntoIterator<Item = Kept>>(all: I) -> Self {
        Self { is_complete: true, namespaces: all.into_iter().collect(), nothing: Arc::default() }
    }
}

fn kept(DeserializeGuard(catalog): Guarded) -> Kept {
    match catalog {
        // One without a status has been made a moment ago.
        Ok(catalog) => {
            let listed = catalog.status.as_ref().map(|status| Arc::new(listed(status)));
            (catalog.namespace().unwrap_or_default(), listed)
        }
        Err(unreadable) => (unreadable.metadata.namespace.unwrap_or_default(), None),
    }
}

fn listed(status: &SecretCatalogStatus) -> Listed {
    let of = |ordinary| status.own.iter().filter(move |it| it.ordinary == ordinary).map(|it| it.key.as_str());
    Listed::new(of(false), of(true), status.truncated.is_some_and(|left_out| left_out > 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use apolo_core::mistake::Mistakes;
    use apolo_core::pod::Pod;
    use apolo_core::reference::Scope;
    use apolo_core::request::Request;
    use serde_json::{Value, json};

    fn catalog(namespace: &str, status: &Value) -> Guarded {
        serde_json::from_value(json!({"metadata": {"name": NAME, "namespace": namespace}, "status": status})).unwrap()
    }

    /// Of which keys there are warnings to whoever asks for these.
    fn warned(catalogs: &Catalogs, namespace: &str, keys: &[&str]) -> Vec<String> {
        let items: Vec<String> = keys.iter().map(|key| format!("A_{key}=secret:{key}")).collect();
        let pod = json!({"metadata": {"annotations": {"secrets.apolo.us/env": items.join(",")}}}).to_string();
        let pod: Pod<'_> = serde_json::from_str(&pod).unwrap();
        let scope = Scope { cluster: "default", namespace: Some(namespace) };
        let said = catalogs.warnings(namespace, |warnings| {
            warnings.look_at(&Request::read(&pod, scope, &mut Mistakes::default()));
        });
        said.iter().map(|line| line.split('"').nth(1).unwrap().to_owned()).collect()
    }

    #[test]
    fn what_a_catalog_lists_is_known_of_its_namespace() {
        let own = json!([{"key": "KEY", "sharedWith": 0}, {"key": "db-creds", "ordinary": true, "sharedWith": 2}]);
        let catalogs: Catalogs = [
            catalog("bob", &json!({"own": own})),
            catalog("carol", &json!({"own": own, "truncated": 1})),
            catalog("dave", &json!({"own": own, "truncated": 0})),
            catalog("erin", &Value::Null),
        ]
        .into_iter()
        .collect();
        for (namespace, told) in [
            ("bob", &["a", "db-creds"][..]),
            ("carol", &["db-creds"]),
            ("dave", &["a", "db-creds"]),
            ("erin", &[]),
            ("frank", &["a", "KEY", "db-creds"]),
        ] {
            assert_eq!(warned(&catalogs, namespace, &["a", "KEY", "db-creds"]), told, "{namespace}");
        }
    }

    #[test]
    fn where_what_is_there_is_not_known_nothing_is_said() {
        assert_eq!(warned(&Catalogs::default(), "bob", &["a"]), Vec::<String>::new());
        let unreadable = catalog("bob", &json!({"own": [{"key": 3}]}));
        assert!(unreadable.0.is_err());
        let catalogs: Catalogs = [unreadable].into_iter().collect();
        assert_eq!(warned(&catalogs, "bob", &["a"]), Vec::<String>::new());
        assert_eq!(warned(&catalogs, "carol", &["a"]), ["a"]);
    }
}
