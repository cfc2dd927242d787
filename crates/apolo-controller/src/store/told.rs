//! What the watches have told of which there is, to be held against a list.

use std::collections::HashSet;

use super::namespace::{Known, Namespace};
use super::{Source, Store};
use crate::owned;

/// An object as a watch told of it last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Told<'a> {
    name: &'a str,
    uid: &'a str,
    version: u64,
}

impl Store {
    /// The UID and the resourceVersion of an object, as told. Only of grants, Pods and Secrets.
    #[must_use]
    pub fn told(&self, source: Source, namespace: &str, name: &str) -> Option<(String, u64)> {
        let state = self.lock();
        let told = state.namespaces.get(namespace)?.told_of(source, name)?;
        Some((told.uid.to_owned(), told.version))
    }

    /// Those, by namespace, name and UID, that a list has not, as of a resourceVersion that it is not older than what is known.
    #[must_use]
    pub fn told_but_not_listed(
        &self,
        source: Source,
        listed: &HashSet<String>,
        as_of: u64,
    ) -> Vec<(String, String, String)> {
        let state = self.lock();
        let each =
            state.namespaces.iter().flat_map(|(namespace, known)| known.told(source).map(move |it| (namespace, it)));
        let gone = each.filter(|(_, told)| told.version <= as_of && !listed.contains(told.uid));
        gone.map(|(namespace, told)| (namespace.clone(), told.name.to_owned(), told.uid.to_owned())).collect()
    }
}

impl Namespace {
    fn told(&self, source: Source) -> Box<dyn Iterator<Item = Told<'_>> + '_> {
        match source {
            Source::SecretGrants => Box::new(self.grants().filter_map(told_grant)),
            Source::Pods => {
                Box::new(self.destination.pods().map(|(name, pod)| Told { name, uid: &pod.uid, version: pod.version }))
            }
            Source::OpaqueSecrets | Source::OtherSecrets => {
                let are_opaque = source == Source::OpaqueSecrets;
                let secrets = self.secrets.iter().filter(move |(_, secret)| secret.is_opaque == are_opaque);
                let secrets = secrets.map(|(name, it)| Told { name, uid: &it.uid, version: it.version });
                let copies = self.destination.copies.iter().filter(move |(_, copy)| copy.is_opaque == are_opaque);
                Box::new(secrets.chain(copies.map(|(name, it)| Told { name, uid: &it.uid, version: it.version })))
            }
            Source::Roles | Source::RoleBindings | Source::SecretCatalogs | Source::Namespaces => {
                Box::new(std::iter::empty())
            }
        }
    }

    fn told_of<'a>(&'a self, source: Source, name: &'a str) -> Option<Told<'a>> {
        match source {
            Source::SecretGrants => self.grant(name).and_then(told_grant),
            Source::Pods => self.destination.pod(name).map(|pod| Told { name, uid: &pod.uid, version: pod.version }),
            Source::OpaqueSecrets | Source::OtherSecrets => {
                let secret = self.secrets.get(name).map(|it| Told { name, uid: &it.uid, version: it.version });
                let copy = || self.destination.copies.get(name);
                secret.or_else(|| copy().map(|it| Told { name, uid: &it.uid, version: it.version }))
            }
            Source::Roles | Source::RoleBindings | Source::SecretCatalogs | Source::Namespaces => None,
        }
    }
}

fn told_grant(known: &Known) -> Option<Told<'_>> {
    let metadata = known.metadata();
    Some(Told { name: metadata.name.as_deref()?, uid: metadata.uid.as_deref()?, version: owned::version(metadata) })
}
