//! The API server: its version, our kinds in it, and whether who asks could install them.

use futures_util::future::join_all;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::Api;
use kube::api::PostParams;

use super::Finding;
use crate::connection::Connection;
use crate::request::Why;

/// The oldest version that has all that we stand on.
const OLDEST: (u32, u32) = (1, 34);

pub(super) async fn version(connection: &Connection) -> Finding {
    const WHAT: &str = "Kubernetes";
    let version = match connection.client.apiserver_version().await {
        Ok(version) => version,
        Err(error) => {
            let mend = "kubectl cluster-info tells where kubectl looks for the API server";
            return Finding::wrong(WHAT, Why::of(&error).to_string(), mend);
        }
    };
    if is_new_enough(&version.major, &version.minor) {
        Finding::well(WHAT, version.git_version)
    } else {
        let (major, minor) = OLDEST;
        let mend = format!("upgrade the cluster to {major}.{minor} or newer");
        Finding::wrong(WHAT, format!("{} is older than {major}.{minor}", version.git_version), mend)
    }
}

/// Whether a version is new enough; some clouds write `34+` for a minor one.
fn is_new_enough(major: &str, minor: &str) -> bool {
    let number = |text: &str| text.trim_end_matches(|it: char| !it.is_ascii_digit()).parse::<u32>().unwrap_or(0);
    (number(major), number(minor)) >= OLDEST
}

pub(super) async fn kinds(connection: &Connection) -> Finding {
    const WHAT: &str = "SecretGrant and SecretCatalog";
    let found = connection.client.list_api_group_resources("secrets.apolo.us/v1alpha1").await;
    let resources = match found {
        Ok(found) => found.resources,
        Err(error) if matches!(Why::of(&error), Why::NoSuchKind | Why::NotThere) => Vec::new(),
        Err(error) => return Finding::unread(WHAT, &error),
    };
    let has = |name: &str| resources.iter().any(|resource| resource.name == name);
    if has("secretgrants") && has("secretcatalogs") {
        Finding::well(WHAT, "this cluster has these kinds")
    } else {
        let mend = "its admin can run: helm install apolo-secrets charts/apolo-secrets --namespace apolo-secrets --create-namespace";
        Finding::wrong(WHAT, "Apolo Secrets is not installed in this cluster", mend)
    }
}

/// What has to be created to install the chart: group, resource.
const NEEDED: [(&str, &str); 6] = [
    ("", "namespaces"),
    ("apiextensions.k8s.io", "customresourcedefinitions"),
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations"),
    ("admissionregistration.k8s.io", "validatingadmissionpolicies"),
    ("rbac.authorization.k8s.io", "clusterroles"),
    ("rbac.authorization.k8s.io", "clusterrolebindings"),
];

pub(super) async fn may_install(connection: &Connection) -> Finding {
    const WHAT: &str = "your rights";
    let answers = join_all(NEEDED.map(|(group, resource)| may_create(connection, group, resource))).await;
    let mut missing = Vec::new();
    for (answer, (_, resource)) in answers.into_iter().zip(NEEDED) {
        match answer {
            Ok(true) => {}
            Ok(false) => missing.push(resource),
            Err(error) => return Finding::unread(WHAT, &error),
        }
    }
    if missing.is_empty() {
        Finding::well(WHAT, "you may install it")
    } else {
        let told = format!("you may not create {}", missing.join(", "));
        Finding::wrong(WHAT, told, "an admin of the cluster can install it, or give you the ClusterRole cluster-admin")
    }
}

async fn may_create(connection: &Connection, group: &str, resource: &str) -> Result<bool, kube::Error> {
    let reviews: Api<SelfSubjectAccessReview> = Api::all(connection.client.clone());
    let attributes = ResourceAttributes {
        group: Some(group.to_owned()),
        resource: Some(resource.to_owned()),
        verb: Some("create".to_owned()),
        ..ResourceAttributes::default()
    };
    let spec =
        SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..SelfSubjectAccessReviewSpec::default() };
    let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
    let answer = reviews.create(&PostParams::default(), &review).await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_counts_by_its_numbers() {
        for (major, minor, is_enough) in [
            ("1", "34", true),
            ("1", "34+", true),
            ("1", "33", false),
            ("2", "0", true),
            ("1", "4", false),
            ("", "", false),
        ] {
            assert_eq!(is_new_enough(major, minor), is_enough, "{major}.{minor}");
        }
    }
}
