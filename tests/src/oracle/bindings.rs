//! Which RoleBindings there should be in some namespaces, by the grants that are there, and which there are. Nothing here knows of the
//! controller.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{ApiResource, DynamicObject, ListParams},
    core::GroupVersionKind,
};

use super::{LABEL, deliveries::Place, is_in_force};

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The binding, by its UID too, of a grant that is not in force.
    Stray(Place, String),
    /// There is no binding of a grant in force, by its UID too.
    Missing(Place, String),
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stray((namespace, name), _) => write!(formatter, "access that nobody grants: {namespace}/{name}"),
            Self::Missing((namespace, name), _) => write!(formatter, "granted, and no access: {namespace}/{name}"),
        }
    }
}

/// What is not as it should be with the bindings in these namespaces.
///
/// # Errors
/// When the API server does not answer.
pub async fn faults(client: &Client, namespaces: &[&str]) -> Result<BTreeSet<Fault>, kube::Error> {
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("secrets.apolo.us", "v1alpha1", "SecretGrant"));
    let (grants, bindings): (Api<DynamicObject>, Api<RoleBinding>) =
        (Api::all_with(client.clone(), &kind), Api::all(client.clone()));
    let bindings = bindings.list(&ListParams::default().labels(LABEL)).await?;
    let grants = grants.list(&ListParams::default()).await?.items;
    let in_force: BTreeMap<String, Place> = grants
        .iter()
        .filter(|grant| is_in_force(grant, &grants))
        .map(|grant| (grant.uid().unwrap_or_default(), place(grant, &format!("secretgrant:{}", grant.name_any()))))
        .collect();
    let (mut faults, mut bound) = (BTreeSet::new(), BTreeSet::new());
    for binding in &bindings {
        let place = place(binding, &binding.name_any());
        let of = binding.labels().get(LABEL).cloned().unwrap_or_default();
        if in_force.get(&of) == Some(&place) {
            bound.insert(of);
        } else {
            faults.insert(Fault::Stray(place, binding.uid().unwrap_or_default()));
        }
    }
    let unbound = in_force.into_iter().filter(|(uid, _)| !bound.contains(uid));
    faults.extend(unbound.map(|(uid, place)| Fault::Missing(place, uid)));
    faults.retain(|(Fault::Stray((namespace, _), _) | Fault::Missing((namespace, _), _))| {
        namespaces.contains(&namespace.as_str())
    });
    Ok(faults)
}

fn place(object: &impl Resource, name: &str) -> Place {
    (object.meta().namespace.clone().unwrap_or_default(), name.into())
}
