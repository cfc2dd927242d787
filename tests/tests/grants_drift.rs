//! The Roles and RoleBindings of grants: what the controller keeps as it should be, also where it can neither change nor delete it,
//! and what it never touches.
#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use anyhow::{Context, ensure};
use apolo_tests::{
    cluster::Cluster, command, controller::Controller, eventually::eventually, namespace::with_namespace, rights,
};
use k8s_openapi::api::{
    events::v1::Event,
    rbac::v1::{Role, RoleBinding},
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

/// What makes a Role or RoleBinding: its rules or subjects and role, our label and its owner.
fn content(object: &impl serde::Serialize) -> anyhow::Result<Value> {
    let mut whole = serde_json::to_value(object)?;
    let metadata = whole["metadata"].take();
    whole["metadata"] = json!([metadata["labels"], metadata["ownerReferences"]]);
    Ok(whole)
}

/// A control plane whose API server lets others write the Roles of grants, as one does where the policy came later.
async fn without_the_policy() -> anyhow::Result<&'static Cluster> {
    static SHARED: OnceCell<(Cluster, Controller)> = OnceCell::const_new();
    let start = async || {
        let cluster = Cluster::start().await?;
        cluster.install_kinds().await?;
        let policy = ["delete", "validatingadmissionpolicybinding", "apolo-secrets-grant-roles"];
        let deleted = command::run(cluster.kubectl(policy), "").await?;
        ensure!(deleted.status.success(), "{}", deleted.stderr);
        cluster.policies_hold().await?;
        let controller = cluster.start_controller("controller", &[]).await?;
        controller.leads().await?;
        anyhow::Ok((cluster, controller))
    };
    Ok(&SHARED.get_or_try_init(start).await?.0)
}

#[tokio::test]
async fn drift_is_mended() -> anyhow::Result<()> {
    without_the_policy()
        .await?
        .with_namespace(async |ns| {
            ns.secret("secret-password").await?;
            ns.share("shared", &json!({})).await?;
            ns.stands("shared", "Granted").await?;
            let name = "secretgrant:shared";
            let (roles, bindings) = (ns.api::<Role>(), ns.api::<RoleBinding>());
            let made = (content(&roles.get(name).await?)?, content(&bindings.get(name).await?)?);
            let mended = async |what: &str| {
                let now =
                    async || anyhow::Ok((content(&roles.get(name).await?)?, content(&bindings.get(name).await?)?));
                eventually(what, async || match now().await {
                    Ok(now) if now == made => Ok(()),
                    other => Err(format!("{other:?}")),
                })
                .await
            };
            let merge = PatchParams::default();
            let rules = json!([{"apiGroups": [""], "resources": ["secrets"], "verbs": ["*"]}]);
            roles.patch(name, &merge, &Patch::Merge(json!({"rules": rules}))).await?;
            mended("its rules").await?;
            bindings.patch(name, &merge, &Patch::Merge(json!({"subjects": null}))).await?;
            mended("its subjects").await?;
            for metadata in [json!({"labels": null}), json!({"ownerReferences": null})] {
                roles.patch(name, &merge, &Patch::Merge(json!({"metadata": metadata}))).await?;
                mended("the metadata of the Role").await?;
                bindings.patch(name, &merge, &Patch::Merge(json!({"metadata": metadata}))).await?;
                mended("the metadata of the RoleBinding").await?;
            }
            roles.delete(name, &DeleteParams::default()).await?;
            mended("the Role is there again").await?;
            bindings.delete(name, &DeleteParams::default()).await?;
            mended("the RoleBinding is there again").await?;
            Ok(())
        })
        .await
}

#[tokio::test]
async fn what_a_finalizer_keeps_there_gives_nothing_once_it_is_withdrawn() -> anyhow::Result<()> {
    without_the_policy()
        .await?
        .with_namespace(async |ns| {
            for secret in ["one", "two"] {
                ns.secret(secret).await?;
            }
            let bob = ns.user(&ns.name, &[]).await?;
            let spec = json!({"secrets": ["one", "two"], "subjects": [{"kind": "User", "name": ns.name}]});
            ns.share("shared", &spec).await?;
            ns.comes_to(&bob, "two", &["use", "get"]).await?;
            let name = "secretgrant:shared";
            let (roles, bindings) = (ns.api::<Role>(), ns.api::<RoleBinding>());
            let merge = PatchParams::default();
            let finalizers = |finalizers: Value| Patch::Merge(json!({"metadata": {"finalizers": finalizers}}));
            let finalized = finalizers(json!(["example.com/a"]));
            roles.patch(name, &merge, &finalized).await?;
            bindings.patch(name, &merge, &finalized).await?;

            // Somebody deletes it while the grant is in force, and the grant is narrowed.
            bindings.delete(name, &DeleteParams::default()).await?;
            ns.change("shared", &json!({"secrets": ["one"]})).await?;
            ns.comes_to(&bob, "two", &[]).await?;
            ns.comes_to(&bob, "one", &["use", "get"]).await?;

            ns.grants().delete("shared", &DeleteParams::default()).await?;
            ns.comes_to(&bob, "one", &[]).await?;
            eventually("both give nothing", async || {
                let role = roles.get(name).await.map_err(|error| error.to_string())?;
                let binding = bindings.get(name).await.map_err(|error| error.to_string())?;
                let is_going = role.metadata.deletion_timestamp.is_some();
                let (rules, subjects) = (role.rules.unwrap_or_default(), binding.subjects.unwrap_or_default());
                if is_going && rules.is_empty() && subjects.is_empty() {
                    Ok(())
                } else {
                    Err(format!("{rules:?} {subjects:?}"))
                }
            })
            .await?;

            // It has its name again when they are gone.
            ns.share("shared", &spec).await?;
            ns.stands("shared", "NameConflict").await?;
            let none = finalizers(json!(null));
            roles.patch(name, &merge, &none).await?;
            bindings.patch(name, &merge, &none).await?;
            ns.comes_to(&bob, "two", &["use", "get"]).await?;
            ns.stands("shared", "Granted").await?;
            Ok(())
        })
        .await
}

/// A policy and its binding by which nobody changes a Role of this namespace.
fn no_role_changes(namespace: &str) -> String {
    let api = "admissionregistration.k8s.io/v1";
    let name = format!("no-role-changes-{namespace}");
    let rule = json!({
        "apiGroups": ["rbac.authorization.k8s.io"], "apiVersions": ["v1"], "resources": ["roles"], "operations": ["UPDATE"],
    });
    let policy = json!({
        "apiVersion": api,
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": {
            "matchConstraints": {"resourceRules": [rule]},
            "validations": [{"expression": format!("request.namespace != '{namespace}'"), "reason": "Forbidden"}],
        },
    });
    let binding = json!({
        "apiVersion": api,
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": {"policyName": name, "validationActions": ["Deny"]},
    });
    json!({"apiVersion": "v1", "kind": "List", "items": [policy, binding]}).to_string()
}

#[tokio::test]
async fn a_role_that_cannot_be_narrowed_is_bound_to_nobody() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        for secret in ["one", "two"] {
            ns.secret(secret).await?;
        }
        let bob = ns.user(&ns.name, &[]).await?;
        let spec =
            |secrets: &[&str], user: &str| json!({"secrets": secrets, "subjects": [{"kind": "User", "name": user}]});
        ns.share("narrowed", &spec(&["one", "two"], &ns.name)).await?;
        ns.share("widened", &spec(&["one"], "carol")).await?;
        ns.comes_to(&bob, "two", &["use", "get"]).await?;
        ns.stands("widened", "Granted").await?;
        let policy = no_role_changes(&ns.name);
        let kubectl = async |verb: &str| {
            let done = command::run(ns.kubectl([verb, "--filename=-"]), &policy).await?;
            ensure!(done.status.success(), "{}", done.stderr);
            anyhow::Ok(ns.policies_hold().await?)
        };
        kubectl("create").await?;
        let kept = ns.api::<RoleBinding>().get("secretgrant:widened").await?.uid();
        ns.change("widened", &json!({"secrets": ["one", "two"]})).await?;
        ns.change("narrowed", &json!({"secrets": ["one"]})).await?;
        ns.comes_to(&bob, "two", &[]).await?;
        let events: Api<Event> = ns.api();
        eventually("that neither could be done is told", async || {
            let all = events.list(&ListParams::default()).await.map_err(|error| error.to_string())?;
            let failed = all.into_iter().filter(|event| event.reason.as_deref() == Some("GrantFailed"));
            let about: BTreeSet<String> = failed.filter_map(|event| event.regarding?.name).collect();
            if about.len() == 2 { Ok(()) } else { Err(format!("{about:?}")) }
        })
        .await?;
        assert_eq!(ns.api::<RoleBinding>().get("secretgrant:widened").await?.uid(), kept);
        kubectl("delete").await?;
        ns.comes_to(&bob, "one", &["use", "get"]).await?;
        ns.stands("narrowed", "Granted").await?;
        ns.stands("widened", "Granted").await?;
        assert!(rights::verbs(&bob, &rights::secret(&ns.name, "two")).await?.is_empty());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_object_of_that_name_that_is_not_its_own_is_never_touched() -> anyhow::Result<()> {
    without_the_policy()
        .await?
        .with_namespace(async |ns| {
            ns.secret("secret-password").await?;
            let rbac = "rbac.authorization.k8s.io/v1";
            let role =
                json!({"apiVersion": rbac, "kind": "Role", "metadata": {"name": "secretgrant:role"}, "rules": []});
            let binding = json!({
                "apiVersion": rbac, "kind": "RoleBinding", "metadata": {"name": "secretgrant:binding"},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
            });
            let before = [ns.create(&role).await?, ns.create(&binding).await?];
            for (name, kind) in [("role", "Role"), ("binding", "RoleBinding")] {
                ns.share(name, &json!({})).await?;
                let status = ns.stands(name, "NameConflict").await?;
                let message = status["conditions"][0]["message"].as_str().context("no message")?;
                assert!(message.ends_with(&format!(": {kind} \"secretgrant:{name}\"")), "{message}");
            }
            let (roles, bindings) = (ns.api::<Role>(), ns.api::<RoleBinding>());
            let after = [
                roles.get("secretgrant:role").await?.resource_version(),
                bindings.get("secretgrant:binding").await?.resource_version(),
            ];
            assert_eq!(before.map(|object| object.resource_version()), after);
            assert!(bindings.get_opt("secretgrant:role").await?.is_none(), "our binding is to somebody else's Role");
            assert!(roles.get_opt("secretgrant:binding").await?.is_none(), "a Role without a binding of ours");
            Ok(())
        })
        .await
}
