//! The Roles and RoleBindings of grants: what the policies of the chart keep others, and the controller, from.
#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]

use anyhow::{Context, ensure};
use apolo_tests::{
    controller::ACCOUNT,
    eventually::eventually,
    namespace::{self, with_namespace},
    rights,
    webhook::RELEASE,
};
use k8s_openapi::api::{
    core::v1::Secret,
    rbac::v1::{Role, RoleBinding},
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PropagationPolicy},
};
use serde_json::{Value, json};

#[tokio::test]
async fn nobody_else_writes_or_binds_the_role_of_a_grant() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        // One that gives nothing yet, so that Kubernetes itself lets anybody bind to its Role.
        ns.share("shared", &json!({"secrets": ["later"]})).await?;
        ns.stands("shared", "SecretNotFound").await?;
        let name = "secretgrant:shared";
        let rbac = "rbac.authorization.k8s.io";
        let role = |metadata: Value| json!({"apiVersion": format!("{rbac}/v1"), "kind": "Role", "metadata": metadata, "rules": []});
        let binding = |name: &str, role: &str| {
            json!({"apiVersion": format!("{rbac}/v1"), "kind": "RoleBinding", "metadata": {"name": name},
                "roleRef": {"apiGroup": rbac, "kind": "Role", "name": role},
                "subjects": [{"apiGroup": rbac, "kind": "User", "name": "mallory"}]})
        };
        let says = "are those of grants, which apolo's controller writes and binds";
        for (what, refused, twin) in [
            ("a Role of the name", role(json!({"name": "secretgrant:a"})), role(json!({"name": "secretgrants:a"}))),
            ("a RoleBinding of the name", binding("secretgrant:b", "b"), binding("secretgrants:b", "b")),
            ("a RoleBinding to it", binding("evil", name), binding("good", "shared")),
            (
                "our label",
                role(json!({"name": "labelled", "labels": {"secrets.apolo.us/grant-uid": "7"}})),
                role(json!({"name": "labelled", "labels": {"example.com/grant-uid": "7"}})),
            ),
        ] {
            let said = ns.create(&refused).await.err().with_context(|| format!("{what}: it was done"))?;
            let said = format!("{:#}", anyhow::Error::from(said));
            ensure!(said.contains(says), "{what}: {said}");
            ns.create(&twin).await.with_context(|| format!("the twin of {what}"))?;
        }
        let (roles, bindings) = (ns.api::<Role>(), ns.api::<RoleBinding>());
        let merge = PatchParams::default();
        let patch = |patch: Value| Patch::Merge(patch);
        let rules = json!({"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]});
        let subjects = json!({"subjects": [{"apiGroup": rbac, "kind": "User", "name": "mallory"}]});
        let adopted = json!({"metadata": {"labels": {"secrets.apolo.us/grant-uid": "7"}}});
        for (what, said) in [
            ("its rules", roles.patch(name, &merge, &patch(rules)).await.err()),
            ("its subjects", bindings.patch(name, &merge, &patch(subjects)).await.err()),
            ("a label of its", roles.patch(name, &merge, &patch(json!({"metadata": {"labels": null}}))).await.err()),
            ("our label, later", roles.patch("labelled", &merge, &patch(adopted)).await.err()),
        ] {
            let said = said.with_context(|| format!("{what} changed"))?.to_string();
            ensure!(said.contains(says), "{what}: {said}");
        }
        let ownerless = json!({"metadata": {"ownerReferences": null}});
        roles.patch(name, &merge, &patch(ownerless)).await.context("as the garbage collector does")?;
        roles.patch("labelled", &merge, &patch(json!({"metadata": {"labels": {"a": "b"}}}))).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn no_finalizer_comes_to_the_role_of_a_grant() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        ns.secret("secret-password").await?;
        ns.share("shared", &json!({})).await?;
        ns.stands("shared", "Granted").await?;
        let rbac = "rbac.authorization.k8s.io/v1";
        ns.create(&json!({"apiVersion": rbac, "kind": "Role", "metadata": {"name": "another"}, "rules": []})).await?;
        let (roles, bindings) = (ns.api::<Role>(), ns.api::<RoleBinding>());
        let (name, merge) = ("secretgrant:shared", PatchParams::default());
        let finalized = Patch::Merge(json!({"metadata": {"finalizers": ["example.com/a"]}}));
        for said in
            [roles.patch(name, &merge, &finalized).await.err(), bindings.patch(name, &merge, &finalized).await.err()]
        {
            let said = said.context("a finalizer came to it")?.to_string();
            ensure!(said.contains("of grants take no finalizers"), "{said}");
        }
        roles.patch("another", &merge, &finalized).await.context("a finalizer of another Role")?;
        roles.patch("another", &merge, &Patch::Merge(json!({"metadata": {"finalizers": null}}))).await?;

        // Those of Kubernetes itself come with how it is deleted, and go.
        for policy in [PropagationPolicy::Foreground, PropagationPolicy::Orphan] {
            let before = bindings.get(name).await?.uid();
            let params = DeleteParams { propagation_policy: Some(policy), ..DeleteParams::default() };
            bindings.delete(name, &params).await?;
            eventually("it has gone, and is there again", async || match bindings.get_opt(name).await {
                Ok(Some(binding)) if binding.uid() != before => Ok(()),
                other => Err(format!("{other:?}")),
            })
            .await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_account_of_the_controller_gives_nothing_but_what_grants_can() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        let client = ns.service_account(RELEASE, ACCOUNT).await?;
        let rbac = "rbac.authorization.k8s.io";
        let metadata = |name: &str| json!({"name": name, "labels": {"secrets.apolo.us/grant-uid": "7"}});
        let role = |name: &str, group: &str, resource: &str, verbs: &[&str], names: Option<&[&str]>| {
            let rule = json!({"apiGroups": [group], "resources": [resource], "verbs": verbs, "resourceNames": names});
            json!({"apiVersion": format!("{rbac}/v1"), "kind": "Role", "metadata": metadata(name), "rules": [rule]})
        };
        let binding = |name: &str, kind: &str, role: &str| {
            let to = json!({"apiGroup": rbac, "kind": kind, "name": role});
            json!({"apiVersion": format!("{rbac}/v1"), "kind": "RoleBinding", "metadata": metadata(name), "roleRef": to})
        };
        let ours = "secrets.apolo.us";
        let unlabelled = |mut object: Value| {
            object["metadata"]["labels"].take();
            object
        };
        for (what, refused, twin) in [
            (
                "all Secrets",
                role("secretgrant:a", "", "secrets", &["get"], None),
                role("secretgrant:a", "", "secrets", &["get"], Some(&["a"])),
            ),
            (
                "another verb",
                role("secretgrant:b", "", "secrets", &["list"], Some(&["a"])),
                role("secretgrant:b", "", "secrets", &["share", "delete"], Some(&["a"])),
            ),
            (
                "another kind",
                role("secretgrant:c", "", "configmaps", &["get"], Some(&["a"])),
                role("secretgrant:c", ours, "secretgrants", &["get"], Some(&["a"])),
            ),
            (
                "all grants",
                role("secretgrant:d", ours, "secretgrants", &["delete"], None),
                role("secretgrant:d", ours, "secretgrants", &["create"], None),
            ),
            (
                "another name",
                role("viewer", "", "secrets", &["get"], Some(&["a"])),
                role("secretgrant:e", "", "secrets", &["get"], Some(&["a"])),
            ),
            (
                "no label",
                unlabelled(role("secretgrant:f", "", "secrets", &["get"], Some(&["a"]))),
                role("secretgrant:f", "", "secrets", &["get"], Some(&["a"])),
            ),
            (
                "another role",
                binding("secretgrant:g", "Role", "secretgrant:a"),
                binding("secretgrant:g", "Role", "secretgrant:g"),
            ),
            (
                "a ClusterRole",
                binding("secretgrant:view", "ClusterRole", "view"),
                binding("secretgrant:view", "Role", "secretgrant:view"),
            ),
        ] {
            let why = eventually("it is refused", async || match ns.create_as(&client, &refused).await {
                Err(namespace::Error::Create { source, .. }) => Ok(source.to_string()),
                other => {
                    let name = refused["metadata"]["name"].as_str().unwrap_or_default();
                    ns.api::<Role>().delete(name, &DeleteParams::default()).await.map_err(|error| error.to_string())?;
                    Err(format!("{other:?}"))
                }
            })
            .await?;
            ensure!(why.contains("forbidden"), "{what}: {why}");
            ns.create_as(&client, &twin).await.with_context(|| format!("the twin of {what}"))?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_account_of_the_controller_writes_no_secrets_but_copies_and_its_own() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        let client = ns.service_account(RELEASE, ACCOUNT).await?;
        // Here it may do everything with Secrets, as far as RBAC goes.
        let rbac = "rbac.authorization.k8s.io";
        let rule = json!({"apiGroups": [""], "resources": ["secrets"], "verbs": ["*"]});
        let account = json!({"kind": "ServiceAccount", "name": ACCOUNT, "namespace": RELEASE});
        for (kind, key, value) in [("Role", "rules", rule), ("RoleBinding", "subjects", account)] {
            let mut object =
                json!({"apiVersion": format!("{rbac}/v1"), "kind": kind, "metadata": {"name": "writes"}, key: [value]});
            if kind == "RoleBinding" {
                object["roleRef"] = json!({"apiGroup": rbac, "kind": "Role", "name": "writes"});
            }
            ns.create(&object).await?;
        }
        rights::come_to(&client, &rights::secret(&ns.name, "a"), &rights::VERBS).await?;
        let secret = |name: &str| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}});
        let secrets: Api<Secret> = Api::namespaced(client.clone(), &ns.name);
        let says = "the controller writes no Secrets but the copies of shared ones";
        let held = |what: &str, said: Option<String>| {
            let said = said.with_context(|| format!("{what} a Secret of somebody"))?;
            ensure!(said.contains(says), "{what}: {said}");
            anyhow::Ok(())
        };
        let why = |error: namespace::Error| format!("{:#}", anyhow::Error::from(error));
        held("made", ns.create_as(&client, &secret("a")).await.err().map(why))?;
        ns.secret("a").await?;
        let mut token = secret("apolo-shared-a");
        token["type"] = json!("kubernetes.io/service-account-token");
        token["metadata"]["annotations"] = json!({"kubernetes.io/service-account.name": "default"});
        let said = ns.create_as(&client, &token).await.err().map(why).context("a token made as a copy")?;
        ensure!(said.contains("no Secrets of the type kubernetes.io/service-account-token"), "{said}");
        ns.create_as(&client, &secret("apolo-shared-a")).await.context("a copy")?;
        let label = Patch::Merge(json!({"metadata": {"labels": {"a": "b"}}}));
        let change = async |name| secrets.patch(name, &PatchParams::default(), &label).await;
        held("changed", change("a").await.err().map(|error| error.to_string()))?;
        change("apolo-shared-a").await?;
        let delete = async |name| secrets.delete(name, &DeleteParams::default()).await;
        held("deleted", delete("a").await.err().map(|error| error.to_string()))?;
        delete("apolo-shared-a").await?;
        let all = secrets.delete_collection(&DeleteParams::default(), &ListParams::default()).await.err();
        held("deleted with all others", all.map(|error| error.to_string()))
    })
    .await
}
