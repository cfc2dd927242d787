//! The names of the contract, each of them here and nowhere else: annotations, labels, prefixes.

/// What every annotation and label of ours begins with.
pub const PREFIX: &str = "secrets.apolo.us/";

/// Pod annotation: files and directories, one item `REFERENCE:/PATH` each.
pub const VOLUME: &str = "secrets.apolo.us/volume";
/// Pod annotation: environment variables, one item `NAME=REFERENCE` each.
pub const ENV: &str = "secrets.apolo.us/env";
/// Pod annotation: the names of the containers that get them; written by the webhook where it is absent.
pub const CONTAINERS: &str = "secrets.apolo.us/containers";
/// Pod annotation: the mode of the files, octal.
pub const FILE_MODE: &str = "secrets.apolo.us/file-mode";
/// Pod annotation: the user that submitted the Pod or its workload.
pub const LAUNCHED_BY: &str = "secrets.apolo.us/launched-by";
/// Pod annotation: the groups of that user, one a line.
pub const LAUNCHED_BY_GROUPS: &str = "secrets.apolo.us/launched-by-groups";

/// The annotations that may stand on a Pod, in the order in which mistakes are told.
pub const POD_ANNOTATIONS: [&str; 6] = [VOLUME, ENV, CONTAINERS, FILE_MODE, LAUNCHED_BY, LAUNCHED_BY_GROUPS];

/// Annotation of a grant: the user that created it or last widened it.
pub const GRANTED_BY: &str = "secrets.apolo.us/granted-by";
/// Annotation of a grant whose author is no owner: the Manage grants that let him share, a line `UID SUBJECT` each, where SUBJECT
/// is the one of their subjects that he was known by.
pub const GRANTED_VIA: &str = "secrets.apolo.us/granted-via";

/// Label of the Role and RoleBinding of a grant: its UID.
pub const GRANT_UID: &str = "secrets.apolo.us/grant-uid";
/// What the name of the Role and RoleBinding of a grant begins with; the grant's name follows.
pub const ROLE_PREFIX: &str = "secretgrant:";
/// The field manager of all that the controller writes.
pub const FIELD_MANAGER: &str = "apolo-secrets";

/// Label of a namespace in which whoever launches a Pod, or its account, needs a right on each Secret that it names: `true`.
pub const ENFORCE: &str = "secrets.apolo.us/enforce";

/// Label of a Pod that uses a secret of another owner.
pub const SHARED: &str = "secrets.apolo.us/shared";
/// Scheduling gate of a Pod that waits for the copy of a shared secret.
pub const DELIVERY_GATE: &str = "secrets.apolo.us/delivery";

/// Label of a Secret that apolo made for a key: `true`.
pub const MANAGED: &str = "secrets.apolo.us/managed";
/// Annotation of such a Secret: the key.
pub const KEY: &str = "secrets.apolo.us/key";

/// Label of the copy of a shared secret: `true`.
pub const DELIVERY: &str = "secrets.apolo.us/delivery";
/// Annotation of a copy: what it is a copy of, `OWNER/OBJECT/ENTRY`.
pub const SOURCE: &str = "secrets.apolo.us/source";
/// Annotation of a copy: the UID of the Secret that it was copied from.
pub const SOURCE_UID: &str = "secrets.apolo.us/source-uid";
/// Annotation of a copy: the resourceVersion of that Secret when it was copied.
pub const SOURCE_VERSION: &str = "secrets.apolo.us/source-version";

/// What the name of every delivery begins with.
pub const DELIVERY_PREFIX: &str = "apolo-shared-";
/// The projected volume that holds a Pod's files; with `-` and 8 hex digits behind it, one of its directories.
pub const POD_VOLUME: &str = "apolo-secrets";

/// Kubernetes' own mark of a mirror Pod, the image of a static Pod.
///
/// Source: <https://kubernetes.io/docs/reference/labels-annotations-taints/#kubernetes-io-config-mirror>
pub const MIRROR: &str = "kubernetes.io/config.mirror";
