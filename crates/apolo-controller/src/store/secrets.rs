//! Secrets, and copies of them, in the store.

use std::collections::BTreeSet;

use apolo_core::names::DELIVERY_PREFIX;

use super::namespace::Known;
use super::secret::{Kept, KnownCopy, KnownSecret};
use super::{Source, State, Store, Woken};
use crate::key::GrantKey;

impl Store {
    /// A Secret as it is now.
    pub fn put_secret(&self, namespace: &str, name: &str, kept: Kept) -> Woken {
        let mut state = self.lock();
        match kept {
            Kept::Secret(secret) => state.put_secret(namespace, name, secret),
            Kept::Copy(copy) => state.put_copy(namespace, name, copy),
        }
    }

    /// A copy as the API server answered a write of it: news only of one that has not gone meanwhile, which the watch tells.
    pub fn put_answered_copy(&self, namespace: &str, name: &str, kept: Kept) -> Woken {
        let Kept::Copy(copy) = kept else { return Woken::default() };
        let mut state = self.lock();
        if state.gone.has(&copy.uid) { Woken::default() } else { state.put_copy(namespace, name, copy) }
    }

    /// A Secret has gone; a later one of its name stays.
    pub fn remove_secret(&self, namespace: &str, name: &str, uid: &str) -> Woken {
        let mut state = self.lock();
        if name.starts_with(DELIVERY_PREFIX) {
            state.gone.add(uid);
        }
        let Some(known) = state.namespaces.get_mut(namespace) else { return Woken::default() };
        if known.destination.copies.get(name).is_some_and(|copy| copy.uid == uid) {
            known.destination.copies.remove(name);
            return Woken { destinations: BTreeSet::from([namespace.to_owned()]), ..Woken::default() };
        }
        if known.secrets.get(name).is_none_or(|secret| secret.uid != uid) {
            return Woken::default();
        }
        known.secrets.remove(name);
        state.secret_changed(namespace, name, true)
    }

    /// All Secrets that are of the type Opaque, or all that are not, have been told anew, by namespace and name: others are not there.
    pub fn replace_secrets(&self, are_opaque: bool, all: Vec<(String, String, Kept)>) {
        let mut state = self.lock();
        for namespace in state.namespaces.values_mut() {
            namespace.secrets.retain(|_, secret| secret.is_opaque != are_opaque);
            namespace.destination.copies.retain(|_, copy| copy.is_opaque != are_opaque);
        }
        for (namespace, name, kept) in all {
            match kept {
                Kept::Secret(secret) => drop(state.put_secret(&namespace, &name, secret)),
                Kept::Copy(copy) => drop(state.put_copy(&namespace, &name, copy)),
            }
        }
        state.complete.insert(if are_opaque { Source::OpaqueSecrets } else { Source::OtherSecrets });
    }
}

impl State {
    fn put_secret(&mut self, namespace: &str, name: &str, secret: KnownSecret) -> Woken {
        let all = &mut self.namespaces.entry(namespace.to_owned()).or_default().secrets;
        let before = all.get(name).map(|known| known.version);
        if before.is_some_and(|before| before >= secret.version) {
            return Woken::default();
        }
        all.insert(name.to_owned(), secret);
        self.secret_changed(namespace, name, before.is_none())
    }

    fn put_copy(&mut self, namespace: &str, name: &str, copy: KnownCopy) -> Woken {
        let copies = &mut self.namespaces.entry(namespace.to_owned()).or_default().destination.copies;
        if copies.get(name).is_some_and(|known| known.version >= copy.version) {
            return Woken::default();
        }
        copies.insert(name.to_owned(), copy);
        Woken { destinations: BTreeSet::from([namespace.to_owned()]), ..Woken::default() }
    }

    /// `in_being`: whether it has come, or gone.
    fn secret_changed(&self, namespace: &str, name: &str, in_being: bool) -> Woken {
        let known = self.namespaces.get(namespace);
        let grants: Vec<&str> = known.into_iter().flat_map(|known| known.naming(name)).filter(|_| in_being).collect();
        let told = grants.iter().filter_map(|grant| known?.grant(grant)).flat_map(Known::destinations);
        let users = self.used.get(&(namespace.to_owned(), name.to_owned()));
        Woken {
            grants: grants.iter().map(|grant| GrantKey::new(namespace, grant)).collect(),
            destinations: users.into_iter().flat_map(|users| users.keys().cloned()).collect(),
            catalogs: told.map(str::to_owned).chain([namespace.to_owned()]).collect(),
        }
    }
}
