//! What a Pod already has that stands against what it asks for. What is there exactly as we would write it is ours, from
//! an earlier application.

use super::Targets;
use crate::mistake::{Mistakes, Place, Wrong};
use crate::names::POD_VOLUME;
use crate::path::{Relation, SERVICE_ACCOUNT, relation};
use crate::pod::{Container, Mount, Pod, ValueFrom, Variable, Volume};
use crate::text::quoted;

/// Finds every conflict of what a Pod asks for with what it has.
pub(super) fn find(pod: &Pod<'_>, targets: &Targets<'_>, mistakes: &mut Mistakes) {
    // Where an item is wrong, what an earlier application added is not what is wanted now; that is no second mistake.
    let unsure = !mistakes.is_empty();
    volumes(pod, targets, unsure, mistakes);
    let containers = pod.spec.containers.0.iter().chain(&pod.spec.init_containers.0);
    for container in containers.filter(|container| targets.request.selects(container)) {
        variables(container, targets, unsure, mistakes);
        mounts(pod, container, targets, unsure, mistakes);
    }
}

fn volumes(pod: &Pod<'_>, targets: &Targets<'_>, unsure: bool, mistakes: &mut Mistakes) {
    for volume in pod.spec.volumes.0.iter().filter(|volume| volume.name.starts_with(POD_VOLUME)) {
        let ours = targets.volumes.contains(volume) || (unsure && volume.projected.is_some());
        if !ours {
            mistakes.add(Place::Volume(volume.name.to_string()), Wrong::VolumeTaken);
        }
    }
    for (index, volume) in targets.volumes.iter().enumerate() {
        if targets.volumes.iter().take(index).any(|before| before.name == volume.name) {
            let mut of_this_name = targets.mounts.iter().filter(|(_, mount)| mount.name == volume.name);
            if let (Some((first, _)), Some((second, _))) = (of_this_name.next(), of_this_name.next_back()) {
                let place = Place::VolumeItem(second.number, second.text.to_owned());
                mistakes.add(place, Wrong::SameVolumeName { other: first.number });
            }
        }
    }
}

fn variables(container: &Container<'_>, targets: &Targets<'_>, unsure: bool, mistakes: &mut Mistakes) {
    let may_be_ours = |there: &Variable<'_>| unsure && there.value_from.as_ref().is_some_and(ValueFrom::is_secret);
    for ((_, wanted), item) in targets.variables.iter().zip(&targets.request.variables) {
        let taken = |there: &Variable<'_>| there.name == wanted.name && there != wanted && !may_be_ours(there);
        if container.env.0.iter().any(taken) {
            mistakes.add(item.place(), Wrong::VariableTaken { container: container.name.to_string() });
        }
    }
}

fn mounts(pod: &Pod<'_>, container: &Container<'_>, targets: &Targets<'_>, unsure: bool, mistakes: &mut Mistakes) {
    let ours = |there: &Mount<'_>| {
        targets.mounts.iter().any(|(_, wanted)| wanted == there) || (unsure && there.name.starts_with(POD_VOLUME))
    };
    let theirs: Vec<&Mount<'_>> = container.volume_mounts.0.iter().filter(|there| !ours(there)).collect();
    for (item, wanted) in &targets.mounts {
        let found = theirs.iter().find_map(|there| against(wanted, there, container, pod));
        if let Some(wrong) = found.or_else(|| against_token(wanted, container, pod)) {
            mistakes.add(Place::VolumeItem(item.number, item.text.to_owned()), wrong);
        }
    }
}

fn against(wanted: &Mount<'_>, there: &Mount<'_>, container: &Container<'_>, pod: &Pod<'_>) -> Option<Wrong> {
    let (container, path) = (container.name.to_string(), there.mount_path.to_string());
    match relation(&wanted.mount_path, &there.mount_path) {
        Relation::Same => Some(Wrong::PathTaken { container, what: format!("volume {}", quoted(&there.name)) }),
        Relation::Above => Some(Wrong::MountBelow { container, path }),
        Relation::Below if is_read_only(pod, there) => Some(Wrong::InsideReadOnly { container, path }),
        Relation::Below | Relation::Apart => None,
    }
}

/// The token of the Pod's service account is mounted by the API server, after the check of a template and unless the
/// Pod's own spec says otherwise (the service account could, too, but that is not known here).
fn against_token(wanted: &Mount<'_>, container: &Container<'_>, pod: &Pod<'_>) -> Option<Wrong> {
    if pod.spec.automount_service_account_token == Some(false) {
        return None;
    }
    let (container, path) = (container.name.to_string(), SERVICE_ACCOUNT.to_owned());
    match relation(&wanted.mount_path, SERVICE_ACCOUNT) {
        Relation::Same => Some(Wrong::PathTaken { container, what: "the token of its service account".to_owned() }),
        Relation::Above => Some(Wrong::MountBelow { container, path }),
        Relation::Below => Some(Wrong::InsideReadOnly { container, path }),
        Relation::Apart => None,
    }
}

fn is_read_only(pod: &Pod<'_>, mount: &Mount<'_>) -> bool {
    let always = |volume: &Volume<'_>| {
        volume.projected.is_some()
            || volume.secret.is_some()
            || volume.config_map.is_some()
            || volume.downward_api.is_some()
            || volume.image.is_some()
    };
    mount.read_only == Some(true) || pod.spec.volumes.0.iter().any(|volume| volume.name == mount.name && always(volume))
}
