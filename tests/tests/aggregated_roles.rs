//! What Kubernetes' own roles admin and edit can do with secrets and grants once the chart is there, and what view cannot.

use anyhow::{Context, ensure};
use apolo_tests::{
    command,
    grants::grant,
    namespace::{self, Namespace, with_namespace},
    rights::{self, VERBS},
    webhook::{CHART, RELEASE},
};
use kube::Client;
use serde_json::{Map, Value, json};

const STORED: [&str; 8] = ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"];
const READ: [&str; 3] = ["get", "list", "watch"];

/// A client of somebody who has this ClusterRole here, and nothing elsewhere.
async fn somebody(ns: &Namespace, role: &str) -> anyhow::Result<Client> {
    let name = format!("{role}-{}", ns.name);
    let rbac = "rbac.authorization.k8s.io";
    ns.create(&json!({
        "apiVersion": format!("{rbac}/v1"), "kind": "RoleBinding", "metadata": {"name": role},
        "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": rbac, "kind": "User", "name": name}],
    }))
    .await?;
    Ok(ns.user(&name, &[]).await?)
}

/// A resource of ours in a namespace, or the status of one.
fn ours(namespace: &str, resource: &str, subresource: &str) -> Value {
    json!({"namespace": namespace, "group": "secrets.apolo.us", "resource": resource, "subresource": subresource})
}

#[tokio::test]
async fn who_has_admin_or_edit_keeps_the_grants_of_that_namespace_only() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        for role in ["admin", "edit"] {
            let owner = somebody(&ns, role).await?;
            rights::come_to(&owner, &rights::secret(&ns.name, ""), &VERBS).await?;
            rights::come_to(&owner, &ours(&ns.name, "secretgrants", ""), &STORED).await?;
            rights::come_to(&owner, &ours(&ns.name, "secretgrants", "status"), &[]).await?;
            rights::come_to(&owner, &ours(&ns.name, "secretcatalogs", ""), &READ).await?;
            for resource in ["secretgrants", "secretcatalogs"] {
                rights::come_to(&owner, &ours("default", resource, ""), &[]).await?;
            }
            rights::come_to(&owner, &rights::secret("default", ""), &[]).await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn who_has_view_gets_nothing_of_secrets_grants_and_catalogs() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        let viewer = somebody(&ns, "view").await?;
        // So that what follows is not asked before the binding is known.
        rights::come_to(&viewer, &json!({"namespace": ns.name, "resource": "pods"}), &READ).await?;
        for about in [
            rights::secret(&ns.name, ""),
            ours(&ns.name, "secretgrants", ""),
            ours(&ns.name, "secretgrants", "status"),
            ours(&ns.name, "secretcatalogs", ""),
        ] {
            let verbs = rights::verbs(&viewer, &about).await?;
            assert!(verbs.is_empty(), "{verbs:?} on {about}");
        }
        Ok(())
    })
    .await
}

/// Whether the API server let somebody create a grant. If it did not, it was for want of a right.
async fn creates(ns: &Namespace, client: &Client, name: &str) -> anyhow::Result<bool> {
    match ns.create_as(client, &grant(name, &Map::new())).await {
        Ok(_) => Ok(true),
        Err(namespace::Error::Create { source: kube::Error::Api(status), .. }) if status.code == 403 => Ok(false),
        Err(error) => Err(error).context("neither created nor forbidden"),
    }
}

#[tokio::test]
async fn an_editor_creates_a_grant_where_he_is_one_and_a_viewer_does_not() -> anyhow::Result<()> {
    with_namespace(async |elsewhere| {
        with_namespace(async |ns| {
            ns.serves_grants().await?;
            ns.create(&json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "secret-password"}})).await?;
            let (editor, viewer) = (somebody(&ns, "edit").await?, somebody(&ns, "view").await?);
            rights::come_to(&editor, &ours(&ns.name, "secretgrants", ""), &STORED).await?;
            rights::come_to(&viewer, &json!({"namespace": ns.name, "resource": "pods"}), &READ).await?;
            ensure!(creates(&ns, &editor, "by-editor").await?);
            ensure!(!creates(&ns, &viewer, "by-viewer").await?);
            ensure!(!creates(&elsewhere, &editor, "by-editor").await?);
            Ok(())
        })
        .await
    })
    .await
}

#[tokio::test]
async fn the_roles_are_left_as_they_are_where_the_chart_is_told_so() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        for (wanted, expected) in [("true", 2), ("false", 0)] {
            let set = format!("rbac.aggregateClusterRoles={wanted}");
            let rendered =
                command::run(ns.helm(["template", RELEASE, CHART, "--namespace", RELEASE, "--set", &set]), "").await?;
            ensure!(rendered.status.success(), "{}", rendered.stderr);
            assert_eq!(rendered.stdout.matches("/aggregate-to-").count(), expected, "{wanted}");
        }
        Ok(())
    })
    .await
}
