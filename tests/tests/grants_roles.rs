//! The Roles and RoleBindings of grants: what the controller keeps as it should be, what it never touches, and what the policy of
//! the chart keeps it from.
#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use anyhow::{Context, ensure};
use apolo_tests::{
    cluster::Cluster,
    command,
    controller::{ACCOUNT, Controller},
    eventually::eventually,
    namespace::{self, with_namespace},
    rights,
    webhook::RELEASE,
};
use k8s_openapi::api::{
    core::v1::Secret,
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
        let finalized = json!({"metadata": {"finalizers": ["example.com/a"]}});
        for said in [
            roles.patch(name, &merge, &patch(finalized.clone())).await.err(),
            bindings.patch(name, &merge, &patch(finalized.clone())).await.err(),
        ] {
            let said = said.context("a finalizer came to it")?.to_string();
            ensure!(said.contains("of grants take no finalizers"), "{said}");
        }
        roles.patch("labelled", &merge, &patch(finalized)).await.context("a finalizer of another Role")?;
        roles.patch("labelled", &merge, &patch(json!({"metadata": {"finalizers": null}}))).await?;
        let ownerless = json!({"metadata": {"ownerReferences": null}});
        roles.patch(name, &merge, &patch(ownerless)).await.context("as the garbage collector does")?;
        roles.patch("labelled", &merge, &patch(json!({"metadata": {"labels": {"a": "b"}}}))).await?;
        Ok(())
    })
    .await
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
