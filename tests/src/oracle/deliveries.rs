//! What should be delivered in some namespaces, by the grants, Pods and Secrets that are there, and what is. Nothing here knows of
//! the controller.
#![allow(clippy::indexing_slicing, reason = "what a JSON object does not have is null")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, DynamicObject, ListParams},
    core::GroupVersionKind,
};
use serde_json::Value;

use super::{is, is_in_force};
use crate::{
    delivered::{COPY, copy_name, is_gated},
    eventually::{NotYet, within},
};

const ENV: &str = "secrets.apolo.us/env";
const VOLUME: &str = "secrets.apolo.us/volume";
const BY: &str = "secrets.apolo.us/launched-by";
const GROUPS: &str = "secrets.apolo.us/launched-by-groups";

/// An object: its namespace and its name.
pub type Place = (String, String);

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A copy, by its UID too, that no Pod uses that may.
    Unjustified(Place, String),
    /// There is no copy where a Pod uses one, or waits for one, that may.
    Missing(Place),
    /// A copy has another value than its source.
    Stale(Place),
    /// A Pod, by its UID too, is gated that may have all that it asks for.
    Gated(Place, String),
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, (namespace, name)) = match self {
            Self::Unjustified(place, _) => ("a copy that nobody may use", place),
            Self::Missing(place) => ("no copy", place),
            Self::Stale(place) => ("not the value of its source", place),
            Self::Gated(place, _) => ("an allowed Pod is gated", place),
        };
        write!(formatter, "{what}: {namespace}/{name}")
    }
}

/// A Pod that asks for secrets of other owners and has not ended.
#[derive(Debug, Clone)]
pub struct Asking {
    /// Its UID.
    pub uid: String,
    /// Whether it may use all that it asks for.
    pub may: bool,
    /// Whether that is there, too.
    pub is_served: bool,
    /// Whether it waits.
    pub is_gated: bool,
    /// Whether it is being deleted.
    pub is_leaving: bool,
    /// The copies that it uses.
    pub copies: Vec<Place>,
}

/// Everything about deliveries in some namespaces at one time.
#[derive(Debug, Default)]
pub struct Deliveries {
    /// The copies that there may be, each with the value of its source; none where the source has no such entry.
    pub justified: BTreeMap<Place, Option<Vec<u8>>>,
    /// Those of them that there have to be.
    pub due: BTreeSet<Place>,
    /// The copies that there are, by UID, and what they hold.
    pub copies: BTreeMap<Place, (String, BTreeMap<String, Vec<u8>>)>,
    /// The Pods that ask.
    pub pods: BTreeMap<Place, Asking>,
}

/// An entry of a Secret of another owner.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    owner: String,
    key: String,
    entry: String,
}

impl Deliveries {
    /// Looks at the deliveries to and from these namespaces.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn look(client: &Client, namespaces: &[&str]) -> Result<Self, kube::Error> {
        let all = ListParams::default();
        let (secrets, pods): (Api<Secret>, Api<Pod>) = (Api::all(client.clone()), Api::all(client.clone()));
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("secrets.apolo.us", "v1alpha1", "SecretGrant"));
        let grants: Api<DynamicObject> = Api::all_with(client.clone(), &kind);
        let is_here = |namespace: Option<String>| namespace.is_some_and(|it| namespaces.contains(&it.as_str()));
        let secrets: BTreeMap<Place, Secret> = secrets
            .list(&all)
            .await?
            .into_iter()
            .filter(|secret| is_here(secret.namespace()))
            .map(|secret| (place(&secret), secret))
            .collect();
        let pods = pods.list(&all).await?.into_iter().filter(|pod| is_here(pod.namespace()));
        let pods: Vec<Pod> = pods.collect();
        let grants = grants.list(&all).await?.items;
        Ok(Self::of(&secrets, &pods, &grants))
    }

    fn of(secrets: &BTreeMap<Place, Secret>, pods: &[Pod], grants: &[DynamicObject]) -> Self {
        let in_force: Vec<&DynamicObject> = grants.iter().filter(|grant| is_in_force(grant, grants)).collect();
        let mut deliveries = Self::default();
        for ((namespace, name), secret) in secrets.iter().filter(|((_, name), _)| name.starts_with(COPY)) {
            let data = secret.data.iter().flatten().map(|(entry, value)| (entry.clone(), value.0.clone())).collect();
            let uid = secret.uid().unwrap_or_default();
            deliveries.copies.insert((namespace.clone(), name.clone()), (uid, data));
        }
        for pod in pods.iter().filter(|pod| !has_ended(pod)) {
            deliveries.add(pod, secrets, &in_force);
        }
        deliveries
    }

    fn add(&mut self, pod: &Pod, secrets: &BTreeMap<Place, Secret>, grants: &[&DynamicObject]) {
        let asked = asked(pod);
        if asked.is_empty() {
            return;
        }
        let namespace = pod.namespace().unwrap_or_default();
        let (mut may, mut is_served) = (true, true);
        let mut copies = Vec::new();
        for Asked { owner, key, entry } in asked {
            let source = secrets.get(&(owner.clone(), key.clone()));
            let value = source.and_then(|source| source.data.as_ref()?.get(&entry)).map(|value| value.0.clone());
            let is_granted = grants.iter().any(|grant| gives(grant, &owner, &key, pod));
            may &= is_granted;
            is_served &= value.is_some();
            let copy = (namespace.clone(), copy_name(&owner, &key, &entry));
            if is_granted && source.is_some() {
                self.justified.insert(copy.clone(), value);
            }
            copies.push(copy);
        }
        let is_leaving = pod.metadata.deletion_timestamp.is_some();
        if may && is_served && !is_leaving {
            self.due.extend(copies.iter().cloned());
        }
        let uid = pod.uid().unwrap_or_default();
        let asking = Asking { uid, may, is_served: may && is_served, is_gated: is_gated(pod), is_leaving, copies };
        self.pods.insert(place(pod), asking);
    }

    /// What is not as it should be.
    pub fn faults(&self) -> BTreeSet<Fault> {
        let mut faults = BTreeSet::new();
        for (place, (uid, held)) in &self.copies {
            match self.justified.get(place) {
                None => drop(faults.insert(Fault::Unjustified(place.clone(), uid.clone()))),
                Some(Some(value)) if !held.values().eq([value]) => drop(faults.insert(Fault::Stale(place.clone()))),
                Some(_) => {}
            }
        }
        let missing = self.due.iter().filter(|place| !self.copies.contains_key(*place));
        faults.extend(missing.map(|place| Fault::Missing(place.clone())));
        let gated = self.pods.iter().filter(|(_, pod)| pod.is_served && pod.is_gated && !pod.is_leaving);
        faults.extend(gated.map(|(place, pod)| Fault::Gated(place.clone(), pod.uid.clone())));
        faults
    }

    /// The Pods, by UID, that have all that they ask for: their gate is lifted, and the copies are there.
    pub fn delivered(&self) -> BTreeSet<String> {
        self.uids(|pod| pod.may && !pod.is_gated && pod.copies.iter().all(|place| self.copies.contains_key(place)))
    }

    /// The Pods, by UID, whose gate is lifted.
    pub fn lifted(&self) -> BTreeSet<String> {
        self.uids(|pod| !pod.is_gated)
    }

    /// The Pods, by UID, that may use all that they ask for.
    pub fn allowed(&self) -> BTreeSet<String> {
        self.uids(|pod| pod.may)
    }

    fn uids(&self, which: impl Fn(&Asking) -> bool) -> BTreeSet<String> {
        self.pods.values().filter(|pod| which(pod)).map(|pod| pod.uid.clone()).collect()
    }

    /// Waits until there is exactly what should be delivered to and from these namespaces.
    ///
    /// # Errors
    /// When it is not so by the deadline.
    pub async fn rest(client: &Client, namespaces: &[&str], deadline: Duration) -> Result<Self, NotYet> {
        within(deadline, "all is delivered, and nothing else", async || {
            let look = Self::look(client, namespaces).await.map_err(|error| error.to_string())?;
            let faults: Vec<String> = look.faults().iter().map(ToString::to_string).collect();
            if faults.is_empty() { Ok(look) } else { Err(faults.join(", ")) }
        })
        .await
    }
}

fn place(object: &impl kube::Resource) -> Place {
    let metadata = object.meta();
    (metadata.namespace.clone().unwrap_or_default(), metadata.name.clone().unwrap_or_default())
}

fn has_ended(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    phase.is_some_and(|phase| ["Succeeded", "Failed"].contains(&phase))
}

/// What a Pod asks for of other owners than its own namespace.
fn asked(pod: &Pod) -> Vec<Asked> {
    let items = |annotation: &str| {
        let text = pod.annotations().get(annotation).cloned().unwrap_or_default();
        text.split(['\n', ',']).map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect::<Vec<_>>()
    };
    let of_env = items(ENV).into_iter().filter_map(|item| Some(item.split_once('=')?.1.to_owned()));
    // secret:/OWNER/KEY:/PATH
    let of_volume = items(VOLUME).into_iter().filter_map(|item| {
        let (reference, _) = item.strip_prefix("secret:")?.split_once(':')?;
        Some(format!("secret:{reference}"))
    });
    let own = pod.namespace().unwrap_or_default();
    of_env.chain(of_volume).filter_map(|reference| Asked::read(&reference)).filter(|it| it.owner != own).collect()
}

impl Asked {
    /// `secret:/OWNER/KEY` or `secret:/OWNER/KEY#ENTRY`; others are not of another owner.
    fn read(reference: &str) -> Option<Self> {
        let (owner, rest) = reference.strip_prefix("secret:/")?.split_once('/')?;
        let (key, entry) = rest.split_once('#').unwrap_or((rest, rest));
        Some(Self { owner: owner.into(), key: key.into(), entry: entry.into() })
    }
}

/// Whether a grant gives a Pod the use of a secret: it names the secret, opens the Pod's namespace, and has among its subjects who
/// launched the Pod, or its account.
fn gives(grant: &DynamicObject, owner: &str, key: &str, pod: &Pod) -> bool {
    let spec = &grant.data["spec"];
    let list = |field: &str| spec[field].as_array().map(Vec::as_slice).unwrap_or_default();
    let namespace = pod.namespace().unwrap_or_default();
    let opens = |subject: &Value| match subject["kind"].as_str() {
        Some("ServiceAccount") => subject["namespace"] == *namespace,
        Some("Namespace") => subject["name"] == *namespace,
        _ => false,
    };
    let annotation = |name: &str| pod.annotations().get(name).map(String::as_str).unwrap_or_default();
    let account = pod.spec.as_ref().and_then(|spec| spec.service_account_name.as_deref()).unwrap_or("default");
    let account = format!("system:serviceaccount:{namespace}:{account}");
    let groups: Vec<&str> = annotation(GROUPS).lines().collect();
    let identities = [(annotation(BY), groups.as_slice()), (account.as_str(), &[])];
    grant.namespace().as_deref() == Some(owner)
        && list("secrets").iter().any(|secret| secret == key)
        && (list("namespaces").iter().any(|it| *it == *namespace) || list("subjects").iter().any(opens))
        && list("subjects").iter().any(|subject| identities.iter().any(|(user, groups)| is(subject, user, groups)))
}
