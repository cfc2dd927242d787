//! What is known of a namespace as one where shared secrets are used: its Pods that do, and the copies.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::pod::{KnownPod, Party};
use super::secret::KnownCopy;

/// A Secret of an owner: its namespace and its name.
pub(super) type Object = (String, String);

/// What is known of a destination.
#[derive(Debug, Default)]
pub(super) struct Destination {
    pods: HashMap<String, KnownPod>,
    parties: HashMap<Arc<Party>, usize>,
    pub(super) copies: BTreeMap<String, KnownCopy>,
}

impl Destination {
    pub(super) fn is_empty(&self) -> bool {
        self.pods.is_empty() && self.copies.is_empty()
    }

    pub(super) fn pod(&self, name: &str) -> Option<&KnownPod> {
        self.pods.get(name)
    }

    /// The Pods with their names.
    pub(super) fn pods(&self) -> impl Iterator<Item = (&String, &KnownPod)> {
        self.pods.iter()
    }

    /// Puts a Pod in the place of what is known; whether that is news. `gone` are the objects that nobody asks for any more, `come`
    /// those that nobody asked for before.
    pub(super) fn put_pod(&mut self, name: &str, mut pod: KnownPod) -> Option<Uses> {
        if self.pods.get(name).is_some_and(|known| known.version >= pod.version) {
            return None;
        }
        let mut uses = Uses::default();
        if let Some((party, _)) = self.parties.get_key_value(&pod.party) {
            pod.party = Arc::clone(party);
        } else {
            uses.come.extend(objects(&pod.party));
        }
        *self.parties.entry(Arc::clone(&pod.party)).or_default() += 1;
        if let Some(before) = self.pods.insert(name.to_owned(), pod) {
            uses.gone.extend(self.leave(&before.party));
        }
        Some(uses)
    }

    /// Forgets a Pod; another of its name stays.
    pub(super) fn remove_pod(&mut self, name: &str, uid: &str) -> Option<Uses> {
        self.pods.get(name).filter(|known| known.uid == uid)?;
        let before = self.pods.remove(name)?;
        Some(Uses { gone: self.leave(&before.party), come: Vec::new() })
    }

    pub(super) fn forget_pods(&mut self) -> Uses {
        self.pods.clear();
        let gone = self.parties.drain().flat_map(|(party, _)| objects(&party).collect::<Vec<_>>()).collect();
        Uses { gone, come: Vec::new() }
    }

    fn leave(&mut self, party: &Arc<Party>) -> Vec<Object> {
        let Some(count) = self.parties.get_mut(party) else { return Vec::new() };
        *count -= 1;
        if *count > 0 {
            return Vec::new();
        }
        self.parties.remove(party);
        objects(party).collect()
    }
}

/// Which Secrets of owners come into use in a namespace, each once for each party, and which go out of it.
#[derive(Debug, Default)]
pub(super) struct Uses {
    pub(super) come: Vec<Object>,
    pub(super) gone: Vec<Object>,
}

fn objects(party: &Party) -> impl Iterator<Item = Object> {
    party.asked.iter().map(|asked| (asked.owner.clone(), asked.object.clone()))
}
