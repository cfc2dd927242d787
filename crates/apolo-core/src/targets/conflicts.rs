//! What a Pod already has that stands against what it asks for. What is there exactly as we would write it is ours, from
//! an earlier application.

use std::collections::HashSet;

use super::Targets;
use crate::items::Item;
use crate::mistake::{Mistakes, Place, Wrong};
use crate::names::POD_VOLUME;
use crate::path::{Location, Relation, SERVICE_ACCOUNT};
use crate::pod::{Container, Mount, Pod, ProjectedSource, ValueFrom, Variable, Volume};
use crate::text::{quoted, shortened};

/// What the name of the volume begins with that the API server adds for the token of a service account.
const TOKEN_VOLUME: &str = "kube-api-access-";

/// Finds every conflict of what a Pod asks for with what it has, until there are more than anybody reads.
pub(super) fn find(pod: &Pod<'_>, targets: &Targets<'_>, mistakes: &mut Mistakes) {
    volumes(pod, targets, mistakes);
    let wanted: Vec<Wanted<'_>> = targets.mounts.iter().map(|(item, mount)| Wanted::of(*item, mount)).collect();
    let volumes = pod.spec.volumes.0.iter().filter(|volume| volume.is_read_only());
    let read_only: HashSet<&str> = volumes.map(|volume| &*volume.name).collect();
    let containers = pod.spec.containers.0.iter().chain(&pod.spec.init_containers.0);
    for container in containers.filter(|container| targets.request.selects(container)) {
        if mistakes.is_full() {
            break;
        }
        variables(container, targets, mistakes);
        mounts(pod, container, &wanted, &read_only, mistakes);
    }
}

fn volumes(pod: &Pod<'_>, targets: &Targets<'_>, mistakes: &mut Mistakes) {
    // Where the reference of a file is wrong, the volume of an earlier application is not what is wanted now; that is no
    // second mistake.
    let unsure = mistakes.iter().any(|mistake| matches!(mistake.place, Place::VolumeItem(..)));
    for volume in pod.spec.volumes.0.iter().filter(|volume| volume.name.starts_with(POD_VOLUME)) {
        let ours = targets.volumes.contains(volume) || (unsure && is_of_secrets(volume));
        if !ours {
            mistakes.add(Place::volume(&volume.name), Wrong::VolumeTaken);
        }
    }
    for (index, volume) in targets.volumes.iter().enumerate() {
        if targets.volumes.iter().take(index).any(|before| before.name == volume.name) {
            let mut of_this_name = targets.mounts.iter().filter(|(_, mount)| mount.name == volume.name);
            if let (Some((first, _)), Some((second, _))) = (of_this_name.next(), of_this_name.next_back()) {
                mistakes.add(Place::volume_item(*second), Wrong::SameVolumeName { other: first.number });
            }
        }
    }
}

fn is_of_secrets(volume: &Volume<'_>) -> bool {
    let is_secret = |source: &ProjectedSource<'_>| source.secret.is_some();
    volume.projected.as_ref().is_some_and(|projected| projected.sources.0.iter().all(is_secret))
}

fn variables(container: &Container<'_>, targets: &Targets<'_>, mistakes: &mut Mistakes) {
    for ((_, wanted), item) in targets.variables.iter().zip(&targets.request.variables) {
        let may_be_ours = |value: &ValueFrom<'_>| item.asked.is_wrong() && value.is_secret();
        let taken = |there: &Variable<'_>| {
            there.name == wanted.name && there != wanted && !there.value_from.as_ref().is_some_and(may_be_ours)
        };
        if container.env.0.iter().any(taken) {
            mistakes.add(item.place(), Wrong::VariableTaken { container: shortened(&container.name) });
        }
    }
}

/// A mount that is asked for.
struct Wanted<'a> {
    item: Item<'a>,
    mount: &'a Mount<'a>,
    at: Location<'a>,
}

impl<'a> Wanted<'a> {
    fn of(item: Item<'a>, mount: &'a Mount<'a>) -> Self {
        Self { item, mount, at: Location::of(&mount.mount_path) }
    }

    /// Whether a mount is this one; where the reference is wrong, whether it may have been.
    fn is(&self, there: &Mount<'_>) -> bool {
        // A wrong reference has no Secret, so its sub-path begins with the slash that follows the Secret's name.
        let wrong = self.mount.sub_path.as_deref().is_some_and(|path| path.starts_with('/'));
        let may_be = || {
            there.name.starts_with(POD_VOLUME) && self.at.relation(&Location::of(&there.mount_path)) == Relation::Same
        };
        self.mount == there || (wrong && may_be())
    }
}

/// Something that a container has at a path.
struct Obstacle<'a> {
    at: Location<'a>,
    path: &'a str,
    kind: Kind<'a>,
}

#[derive(Clone, Copy)]
enum Kind<'a> {
    Mount(&'a Mount<'a>),
    Device(&'a str),
    Token,
}

fn mounts(
    pod: &Pod<'_>,
    container: &Container<'_>,
    wanted: &[Wanted<'_>],
    read_only: &HashSet<&str>,
    mistakes: &mut Mistakes,
) {
    let obstacles = obstacles(pod, container, wanted);
    for Wanted { item, at, .. } in wanted {
        if let Some(wrong) = in_the_way(at, &obstacles, container, read_only) {
            mistakes.add(Place::volume_item(*item), wrong);
        }
    }
}

fn in_the_way(
    at: &Location<'_>,
    obstacles: &[Obstacle<'_>],
    container: &Container<'_>,
    read_only: &HashSet<&str>,
) -> Option<Wrong> {
    let container = || shortened(&container.name);
    let mut around: Option<&Obstacle<'_>> = None;
    for obstacle in obstacles {
        match at.relation(&obstacle.at) {
            Relation::Same => return Some(Wrong::PathTaken { container: container(), what: obstacle.describe() }),
            Relation::Above => {
                return Some(Wrong::MountBelow { container: container(), path: shortened(obstacle.path) });
            }
            // Of those around it, the innermost is what it lies in.
            Relation::Below if around.is_none_or(|outer| outer.at.len() < obstacle.at.len()) => around = Some(obstacle),
            Relation::Below | Relation::Apart => {}
        }
    }
    let around = around?;
    let how = around.closed(read_only)?;
    Some(Wrong::InsideReadOnly { container: container(), path: shortened(around.path), how })
}

fn obstacles<'a>(pod: &'a Pod<'_>, container: &'a Container<'a>, wanted: &[Wanted<'_>]) -> Vec<Obstacle<'a>> {
    let mounts = container.volume_mounts.0.iter().filter(|there| !wanted.iter().any(|wanted| wanted.is(there)));
    let mounts = mounts.map(|there| Obstacle::at(&there.mount_path, Kind::Mount(there)));
    let devices = container.volume_devices.0.iter();
    let devices = devices.map(|device| Obstacle::at(&device.device_path, Kind::Device(&device.name)));
    let mut obstacles: Vec<Obstacle<'_>> = mounts.chain(devices).collect();
    // The API server mounts the token after templates are checked, unless the Pod says otherwise (its service account
    // could, too, but that is not known here) or the container mounts something there.
    let token = Obstacle::at(SERVICE_ACCOUNT, Kind::Token);
    let replaced = obstacles.iter().any(|it| it.at.relation(&token.at) == Relation::Same);
    if pod.spec.automount_service_account_token != Some(false) && !replaced {
        obstacles.push(token);
    }
    obstacles
}

impl<'a> Obstacle<'a> {
    fn at(path: &'a str, kind: Kind<'a>) -> Self {
        Self { at: Location::of(path), path, kind }
    }

    fn describe(&self) -> String {
        match self.kind {
            Kind::Mount(mount) if mount.name.starts_with(TOKEN_VOLUME) => {
                Obstacle::at(self.path, Kind::Token).describe()
            }
            Kind::Mount(mount) => format!("mounts volume {}", quoted(&mount.name)),
            Kind::Device(name) => format!("has device {}", quoted(name)),
            Kind::Token => "mounts the token of its service account".to_owned(),
        }
    }

    /// Why nothing can be mounted inside it, if that is so; the volumes in which nothing can be created are `read_only`.
    fn closed(&self, read_only: &HashSet<&str>) -> Option<&'static str> {
        match self.kind {
            Kind::Mount(mount) => {
                let closed = mount.read_only == Some(true) || read_only.contains(&*mount.name);
                closed.then_some("mounts read-only")
            }
            Kind::Device(_) => Some("has as a device"),
            Kind::Token => Some("mounts read-only"),
        }
    }
}
