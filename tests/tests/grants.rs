//! What a SecretGrant gives and takes, on a real API server, by the real controller under the account that the chart makes.
#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use anyhow::{Context, ensure};
use apolo_tests::{
    cluster::Cluster,
    controller::{ACCOUNT, Controller},
    eventually::eventually,
    grants::{VERSION, grant},
    namespace::{self, Namespace},
    webhook::RELEASE,
};
use k8s_openapi::{
    api::{
        authorization::v1::{SelfSubjectAccessReview, SelfSubjectRulesReview},
        core::v1::Secret,
        rbac::v1::{Role, RoleBinding},
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
    jiff::{SignedDuration, Timestamp},
};
use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams, PropagationPolicy},
    core::GroupVersionKind,
};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

/// A control plane with a controller, for all tests of this file; it ends with this process.
async fn shared() -> anyhow::Result<&'static Cluster> {
    static SHARED: OnceCell<(Cluster, Controller)> = OnceCell::const_new();
    let start = async || {
        let cluster = Cluster::start().await?;
        cluster.install_kinds().await?;
        let controller = cluster.start_controller("controller", &[]).await?;
        controller.leads().await?;
        anyhow::Ok((cluster, controller))
    };
    Ok(&SHARED.get_or_try_init(start).await?.0)
}

const VERBS: [&str; 9] = ["use", "get", "update", "patch", "delete", "share", "list", "watch", "create"];

fn grants(ns: &Namespace) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("secrets.apolo.us", "v1alpha1", "SecretGrant");
    Api::namespaced_with(ns.client.clone(), &ns.name, &ApiResource::from_gvk(&kind))
}

async fn secret(ns: &Namespace, name: &str) -> anyhow::Result<()> {
    ns.create(&json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}})).await?;
    Ok(())
}

/// Creates the grant `shared`, with these fields of its spec in place of those of [`grant`].
async fn share(ns: &Namespace, fields: &Value) -> anyhow::Result<()> {
    share_as(ns, "shared", fields).await
}

async fn share_as(ns: &Namespace, name: &str, fields: &Value) -> anyhow::Result<()> {
    ns.create(&grant(name, fields.as_object().context("no fields")?)).await?;
    Ok(())
}

/// Waits until the grant stands for this reason, its generation looked at; tells its status.
async fn stands(ns: &Namespace, name: &str, reason: &str) -> anyhow::Result<Value> {
    let api = grants(ns);
    Ok(eventually(&format!("grant {name} is {reason}"), async || {
        let grant = api.get(name).await.map_err(|error| error.to_string())?;
        let status = &grant.data["status"];
        let told = status["conditions"][0]["reason"] == reason;
        let seen = status["observedGeneration"].as_i64() == grant.metadata.generation;
        if told && seen { Ok(status.clone()) } else { Err(status.to_string()) }
    })
    .await?)
}

async fn change(ns: &Namespace, name: &str, spec: &Value) -> anyhow::Result<()> {
    let patch = Patch::Merge(json!({"spec": spec}));
    grants(ns).patch(name, &PatchParams::default(), &patch).await?;
    Ok(())
}

/// What a client may do with a Secret, by asking about each verb.
async fn may(client: &Client, ns: &Namespace, secret: &str) -> anyhow::Result<BTreeSet<&'static str>> {
    let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let mut verbs = BTreeSet::new();
    for verb in VERBS {
        let attributes = json!({"namespace": ns.name, "verb": verb, "resource": "secrets", "name": secret});
        let review = serde_json::from_value(json!({"spec": {"resourceAttributes": attributes}}))?;
        let answer = reviews.create(&PostParams::default(), &review).await?;
        if answer.status.is_some_and(|status| status.allowed) {
            verbs.insert(verb);
        }
    }
    Ok(verbs)
}

/// Waits until a client may do this and no more with a Secret: the API server hears of bindings a moment later.
async fn comes_to(client: &Client, ns: &Namespace, secret: &str, verbs: &[&'static str]) -> anyhow::Result<()> {
    let wanted = BTreeSet::from_iter(verbs.iter().copied());
    Ok(eventually(&format!("{verbs:?} on {secret}"), async || match may(client, ns, secret).await {
        Ok(verbs) if verbs == wanted => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await?)
}

/// The rules about Secrets and grants that RBAC tells a client of, as verbs and names.
async fn rules(client: &Client, ns: &Namespace) -> anyhow::Result<BTreeSet<(String, Vec<String>, Vec<String>)>> {
    let review: SelfSubjectRulesReview = serde_json::from_value(json!({"spec": {"namespace": ns.name}}))?;
    let answer = Api::all(client.clone()).create(&PostParams::default(), &review).await?;
    let rules = answer.status.context("no rules")?.resource_rules;
    let about = rules.into_iter().filter_map(|rule| {
        let resource = rule.resources?.first()?.clone();
        let ours = ["secrets", "secretgrants"].contains(&resource.as_str());
        ours.then(|| (resource, rule.verbs, rule.resource_names.unwrap_or_default()))
    });
    Ok(about.collect())
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

/// Neither a Role nor a RoleBinding of a grant is there.
async fn is_withdrawn(ns: &Namespace, name: &str) -> anyhow::Result<()> {
    let name = format!("secretgrant:{name}");
    Ok(eventually(&format!("no Role and RoleBinding {name}"), async || {
        let role = ns.api::<Role>().get_opt(&name).await.map_err(|error| error.to_string())?;
        let binding = ns.api::<RoleBinding>().get_opt(&name).await.map_err(|error| error.to_string())?;
        if role.is_none() && binding.is_none() { Ok(()) } else { Err(format!("{role:?} {binding:?}")) }
    })
    .await?)
}

#[tokio::test]
async fn each_access_is_exactly_these_verbs_on_exactly_these_secrets() -> anyhow::Result<()> {
    shared()
        .await?
        .with_namespace(async |ns| {
            let hashed = "aws-key-4cea0ddbcf43f8cf";
            for name in ["one", "two", hashed, "neighbour"] {
                secret(&ns, name).await?;
            }
            for (access, verbs) in [
                ("Use", &["use"][..]),
                ("Read", &["use", "get"]),
                ("Write", &["use", "get", "update", "patch"]),
                ("Manage", &["use", "get", "update", "patch", "delete", "share"]),
            ] {
                let user = format!("bob-{access}-{}", ns.name);
                let bob = ns.user(&user, &[]).await?;
                let name = access.to_lowercase();
                let subjects = json!([{"kind": "User", "name": user}]);
                let fields = json!({"secrets": ["two", "one", "AWS_KEY"], "access": access, "subjects": subjects});
                share_as(&ns, &name, &fields).await?;
                let status = stands(&ns, &name, "Granted").await?;
                let uri = |key| format!("secret://default/{}/{key}", ns.name);
                assert_eq!(status["uris"], json!([uri("two"), uri("one"), uri("AWS_KEY")]));
                for name in ["one", "two", hashed] {
                    comes_to(&bob, &ns, name, verbs).await?;
                }
                assert!(may(&bob, &ns, "neighbour").await?.is_empty(), "{access}");
                let mut expected =
                    BTreeSet::from([("secrets".to_owned(), strings(verbs), strings(&[hashed, "one", "two"]))]);
                if access == "Manage" {
                    expected.insert(("secretgrants".to_owned(), strings(&["create"]), Vec::new()));
                }
                assert_eq!(rules(&bob, &ns).await?, expected, "{access}");
                tries(&bob, &ns, verbs).await?;
            }
            Ok(())
        })
        .await
}

/// Does what RBAC says that one may do with the Secret `one`, and what it does not: the answer is the same.
async fn tries(client: &Client, ns: &Namespace, verbs: &[&str]) -> anyhow::Result<()> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &ns.name);
    let allowed = |verb: &str, answer: Result<(), kube::Error>| match answer {
        Ok(()) => assert!(verbs.contains(&verb), "{verb} was allowed"),
        Err(kube::Error::Api(status)) if status.code == 403 => assert!(!verbs.contains(&verb), "{verb} was refused"),
        Err(error) => unreachable!("{verb}: {error}"),
    };
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    let stored = ns.api::<Secret>().get("one").await?;
    allowed("get", secrets.get("one").await.map(drop));
    allowed("update", secrets.replace("one", &dry, &stored).await.map(drop));
    let patch = Patch::Merge(json!({"metadata": {"labels": {"a": "b"}}}));
    allowed("patch", secrets.patch("one", &PatchParams::default(), &patch).await.map(drop));
    allowed("delete", secrets.delete("one", &DeleteParams::default().dry_run()).await.map(drop));
    allowed("list", secrets.list(&Default::default()).await.map(drop));
    Ok(())
}

#[tokio::test]
async fn each_kind_of_subject_gets_access_and_nobody_beside_it() -> anyhow::Result<()> {
    let cluster = shared().await?;
    cluster
        .with_namespace(async |other| {
            cluster
                .with_namespace(async |ns| {
                    secret(&ns, "secret-password").await?;
                    let account =
                        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "trainer"}});
                    ns.create(&account).await?;
                    let (bob, team) = (format!("bob-{}", ns.name), format!("team-{}", ns.name));
                    share(
                        &ns,
                        &json!({"access": "Use", "subjects": [
                            {"kind": "User", "name": bob},
                            {"kind": "Group", "name": team},
                            {"kind": "ServiceAccount", "name": "trainer", "namespace": ns.name},
                            {"kind": "Namespace", "name": other.name},
                        ]}),
                    )
                    .await?;
                    stands(&ns, "shared", "Granted").await?;
                    for subject in [
                        ns.user(&bob, &[]).await?,
                        ns.user("somebody", &[&team]).await?,
                        ns.service_account(&ns.name, "trainer").await?,
                        ns.service_account(&other.name, "default").await?,
                    ] {
                        comes_to(&subject, &ns, "secret-password", &["use"]).await?;
                    }
                    for stranger in [ns.user("somebody", &[]).await?, ns.service_account(&ns.name, "default").await?] {
                        assert!(may(&stranger, &ns, "secret-password").await?.is_empty());
                    }
                    Ok(())
                })
                .await
        })
        .await
}

#[tokio::test]
async fn a_secret_gets_its_rule_when_it_comes_and_loses_it_when_it_goes() -> anyhow::Result<()> {
    shared()
        .await?
        .with_namespace(async |ns| {
            secret(&ns, "one").await?;
            share(&ns, &json!({"secrets": ["one", "AWS_KEY"], "subjects": [{"kind": "User", "name": ns.name}]}))
                .await?;
            let bob = ns.user(&ns.name, &[]).await?;
            let hashed = "aws-key-4cea0ddbcf43f8cf";
            for _ in 0..2 {
                let status = stands(&ns, "shared", "SecretNotFound").await?;
                let message = status["conditions"][0]["message"].as_str().context("no message")?;
                assert!(message.ends_with(r#": "AWS_KEY""#), "{message}");
                comes_to(&bob, &ns, "one", &["use", "get"]).await?;
                comes_to(&bob, &ns, hashed, &[]).await?;
                secret(&ns, hashed).await?;
                stands(&ns, "shared", "Granted").await?;
                comes_to(&bob, &ns, hashed, &["use", "get"]).await?;
                ns.api::<Secret>().delete(hashed, &DeleteParams::default()).await?;
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn what_is_narrowed_is_lost_and_the_rest_stays() -> anyhow::Result<()> {
    shared()
        .await?
        .with_namespace(async |ns| {
            secret(&ns, "one").await?;
            secret(&ns, "two").await?;
            let (bob, carol) = (format!("bob-{}", ns.name), format!("carol-{}", ns.name));
            let users =
                |names: &[&String]| names.iter().map(|name| json!({"kind": "User", "name": name})).collect::<Value>();
            share(&ns, &json!({"secrets": ["one", "two"], "access": "Write", "subjects": users(&[&bob, &carol])}))
                .await?;
            let (bobs, carols) = (ns.user(&bob, &[]).await?, ns.user(&carol, &[]).await?);
            comes_to(&carols, &ns, "two", &["use", "get", "update", "patch"]).await?;
            change(&ns, "shared", &json!({"access": "Use"})).await?;
            comes_to(&bobs, &ns, "one", &["use"]).await?;
            change(&ns, "shared", &json!({"secrets": ["one"]})).await?;
            comes_to(&bobs, &ns, "two", &[]).await?;
            change(&ns, "shared", &json!({"subjects": users(&[&carol])})).await?;
            comes_to(&bobs, &ns, "one", &[]).await?;
            comes_to(&carols, &ns, "one", &["use"]).await?;
            // Other secrets to other subjects, at once.
            change(&ns, "shared", &json!({"secrets": ["two"], "subjects": users(&[&bob])})).await?;
            comes_to(&bobs, &ns, "two", &["use"]).await?;
            comes_to(&carols, &ns, "one", &[]).await?;
            assert!(may(&carols, &ns, "two").await?.is_empty());
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_grant_that_is_deleted_in_whatever_way_leaves_nothing() -> anyhow::Result<()> {
    shared()
        .await?
        .with_namespace(async |ns| {
            secret(&ns, "secret-password").await?;
            let bob = ns.user(&ns.name, &[]).await?;
            for policy in [PropagationPolicy::Background, PropagationPolicy::Foreground, PropagationPolicy::Orphan] {
                share(&ns, &json!({"subjects": [{"kind": "User", "name": ns.name}]})).await?;
                comes_to(&bob, &ns, "secret-password", &["use", "get"]).await?;
                let params = DeleteParams { propagation_policy: Some(policy), ..DeleteParams::default() };
                grants(&ns).delete("shared", &params).await?;
                is_withdrawn(&ns, "shared").await?;
                comes_to(&bob, &ns, "secret-password", &[]).await?;
                eventually("the grant is gone", async || match grants(&ns).get_opt("shared").await {
                    Ok(None) => Ok(()),
                    other => Err(format!("{other:?}")),
                })
                .await?;
            }
            Ok(())
        })
        .await
}

/// So many seconds from now, as a grant has it.
fn in_seconds(seconds: i64) -> anyhow::Result<String> {
    let at = Timestamp::now().checked_add(SignedDuration::from_secs(seconds))?;
    Ok(at.to_string())
}

#[tokio::test]
async fn a_grant_ends_when_it_expires_and_acts_again_when_its_expiry_is_changed() -> anyhow::Result<()> {
    shared()
        .await?
        .with_namespace(async |ns| {
            secret(&ns, "secret-password").await?;
            let bob = ns.user(&ns.name, &[]).await?;
            let expiry = in_seconds(4)?;
            share(&ns, &json!({"expiresAt": expiry, "subjects": [{"kind": "User", "name": ns.name}]})).await?;
            comes_to(&bob, &ns, "secret-password", &["use", "get"]).await?;
            let status = stands(&ns, "shared", "Expired").await?;
            assert!(Timestamp::now() >= expiry.parse()?);
            assert_eq!((&status["uris"], status["expired"].is_string()), (&Value::Null, true));
            comes_to(&bob, &ns, "secret-password", &[]).await?;
            is_withdrawn(&ns, "shared").await?;
            change(&ns, "shared", &json!({"access": "Use"})).await?;
            stands(&ns, "shared", "Expired").await?;
            change(&ns, "shared", &json!({"expiresAt": in_seconds(3600)?})).await?;
            stands(&ns, "shared", "Granted").await?;
            comes_to(&bob, &ns, "secret-password", &["use"]).await?;
            change(&ns, "shared", &json!({"expiresAt": in_seconds(-3600)?})).await?;
            stands(&ns, "shared", "Expired").await?;
            is_withdrawn(&ns, "shared").await
        })
        .await
}

/// What makes a Role or RoleBinding: its rules or subjects and role, our label and its owner.
fn content(object: &impl serde::Serialize) -> anyhow::Result<Value> {
    let mut whole = serde_json::to_value(object)?;
    let metadata = whole["metadata"].take();
    whole["metadata"] = json!([metadata["labels"], metadata["ownerReferences"]]);
    Ok(whole)
}

#[tokio::test]
async fn drift_is_mended() -> anyhow::Result<()> {
    shared()
        .await?
        .with_namespace(async |ns| {
            secret(&ns, "secret-password").await?;
            share(&ns, &json!({})).await?;
            stands(&ns, "shared", "Granted").await?;
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
async fn an_object_of_that_name_that_is_not_its_own_is_never_touched() -> anyhow::Result<()> {
    shared()
        .await?
        .with_namespace(async |ns| {
            secret(&ns, "secret-password").await?;
            let rbac = "rbac.authorization.k8s.io/v1";
            let role =
                json!({"apiVersion": rbac, "kind": "Role", "metadata": {"name": "secretgrant:role"}, "rules": []});
            let binding = json!({
                "apiVersion": rbac, "kind": "RoleBinding", "metadata": {"name": "secretgrant:binding"},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
            });
            let before = [ns.create(&role).await?, ns.create(&binding).await?];
            for (name, kind) in [("role", "Role"), ("binding", "RoleBinding")] {
                share_as(&ns, name, &json!({})).await?;
                let status = stands(&ns, name, "NameConflict").await?;
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

/// A grant in the namespace, as kubectl would make it.
#[tokio::test]
async fn a_manage_grant_reaches_the_grants_that_came_from_it_and_takes_them_along() -> anyhow::Result<()> {
    shared()
        .await?
        .with_namespace(async |ns| {
            secret(&ns, "secret-password").await?;
            let bob = ns.user(&ns.name, &[]).await?;
            let parent = json!({"access": "Manage", "subjects": [{"kind": "User", "name": ns.name}]});
            share_as(&ns, "parent", &parent).await?;
            stands(&ns, "parent", "Granted").await?;
            let uid = grants(&ns).get("parent").await?.uid().context("no uid")?;
            let mut child = grant("child", &Default::default());
            child["metadata"]["annotations"] = json!({"secrets.apolo.us/granted-via": format!("{uid} {}", ns.name)});
            ns.create(&child).await?;
            stands(&ns, "child", "Granted").await?;
            let on_child =
                ("secretgrants".to_owned(), strings(&["get", "update", "patch", "delete"]), strings(&["child"]));
            eventually("the rule on the child", async || match rules(&bob, &ns).await {
                Ok(rules) if rules.contains(&on_child) => Ok(()),
                other => Err(format!("{other:?}")),
            })
            .await?;
            change(&ns, "parent", &json!({"access": "Write"})).await?;
            stands(&ns, "child", "Withdrawn").await?;
            is_withdrawn(&ns, "child").await?;
            change(&ns, "parent", &json!({"access": "Manage"})).await?;
            stands(&ns, "parent", "Granted").await?;
            stands(&ns, "child", "Withdrawn").await?;
            Ok(())
        })
        .await
}

#[tokio::test]
async fn what_happened_while_the_controller_was_away_is_made_good() -> anyhow::Result<()> {
    let cluster = Cluster::start().await?;
    cluster.install_kinds().await?;
    let mut controller = cluster.start_controller("controller", &[]).await?;
    cluster
        .with_namespace(async |ns| {
            secret(&ns, "secret-password").await?;
            for (name, fields) in [
                ("deleted", json!({})),
                ("orphaned", json!({})),
                ("expired", json!({"expiresAt": in_seconds(6)?})),
                ("narrowed", json!({"access": "Manage"})),
                ("kept", json!({})),
            ] {
                share_as(&ns, name, &fields).await?;
                stands(&ns, name, "Granted").await?;
            }
            controller.stop().await?;
            for (name, policy) in [("deleted", PropagationPolicy::Background), ("orphaned", PropagationPolicy::Orphan)]
            {
                let params = DeleteParams { propagation_policy: Some(policy), ..DeleteParams::default() };
                grants(&ns).delete(name, &params).await?;
            }
            change(&ns, "narrowed", &json!({"access": "Use"})).await?;
            let bindings = ns.api::<RoleBinding>();
            let kept = bindings.get("secretgrant:kept").await?.resource_version();
            bindings.get("secretgrant:expired").await?;
            eventually("the grant is orphaned", async || match grants(&ns).get_opt("orphaned").await {
                Ok(None) => Ok(()),
                other => Err(format!("{other:?}")),
            })
            .await?;
            bindings.get("secretgrant:orphaned").await?;

            // The lease was given back, so another need not wait until it ends; this one allows less.
            controller = cluster.start_controller("controller", &["--max-access=Write"]).await?;
            for name in ["deleted", "orphaned", "expired"] {
                is_withdrawn(&ns, name).await?;
            }
            stands(&ns, "expired", "Expired").await?;
            stands(&ns, "narrowed", "Granted").await?;
            assert_eq!(bindings.get("secretgrant:kept").await?.resource_version(), kept);
            change(&ns, "narrowed", &json!({"access": "Manage"})).await?;
            let status = stands(&ns, "narrowed", "AccessNotAllowed").await?;
            ensure!(status["conditions"][0]["message"].as_str().is_some_and(|it| it.ends_with("at most Write")));
            is_withdrawn(&ns, "narrowed").await?;

            // Nothing is written where nothing has changed.
            controller.stop().await?;
            controller = cluster.start_controller("controller", &["--max-access=Write"]).await?;
            controller.leads().await?;
            eventually("all grants are looked at", async || {
                match controller.metric(r#"apolo_reconciles_total{outcome="settled"}"#).await {
                    Ok(Some(3.0..)) => Ok(()),
                    other => Err(format!("{other:?}")),
                }
            })
            .await?;
            ensure!(controller.writes().await? == 0.0, "it wrote something");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn one_of_two_writes_and_the_other_takes_over() -> anyhow::Result<()> {
    let cluster = Cluster::start().await?;
    cluster.install_kinds().await?;
    let mut first = cluster.start_controller("controller", &[]).await?;
    first.leads().await?;
    let second = cluster.start_controller("second-controller", &[]).await?;
    cluster
        .with_namespace(async |ns| {
            secret(&ns, "secret-password").await?;
            share_as(&ns, "one", &json!({})).await?;
            stands(&ns, "one", "Granted").await?;
            ensure!(second.writes().await? == 0.0, "the second wrote");
            ensure!(first.writes().await? == 3.0, "it wrote again because of its own writes");

            // Stopped, it does not know that its lease ends.
            let written = first.writes().await?;
            first.signal("STOP")?;
            share_as(&ns, "two", &json!({})).await?;
            stands(&ns, "two", "Granted").await?;
            second.leads().await?;
            first.signal("CONT")?;
            share_as(&ns, "three", &json!({})).await?;
            stands(&ns, "three", "Granted").await?;
            eventually("the first has heard of it", async || match first.metric("apolo_leading").await {
                Ok(Some(0.0)) => Ok(()),
                other => Err(format!("{other:?}")),
            })
            .await?;
            ensure!(first.writes().await? == written, "the first wrote after its lease");
            first.stop().await?;
            Ok(())
        })
        .await
}

#[tokio::test]
async fn the_account_of_the_controller_gives_nothing_but_what_grants_can() -> anyhow::Result<()> {
    let cluster = shared().await?;
    let client = cluster.service_account(RELEASE, ACCOUNT).await?;
    cluster.with_namespace(async |ns| {
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
async fn a_grant_that_cannot_be_read_is_named_and_stops_no_other() -> anyhow::Result<()> {
    let cluster = Cluster::start().await?;
    cluster.install_kinds().await?;
    let controller = cluster.start_controller("controller", &[]).await?;
    cluster
        .with_namespace(async |ns| {
            secret(&ns, "secret-password").await?;
            share_as(&ns, "bad", &json!({})).await?;
            stands(&ns, "bad", "Granted").await?;
            // A later version of ours may have known more.
            let definitions: Api<CustomResourceDefinition> = Api::all(ns.client.clone());
            let path = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/access/enum/-";
            let operations = serde_json::from_value(json!([{"op": "add", "path": path, "value": "Own"}]))?;
            let name = "secretgrants.secrets.apolo.us";
            definitions.patch::<()>(name, &PatchParams::default(), &Patch::Json(operations)).await?;
            eventually("the API server takes it", async || {
                change(&ns, "bad", &json!({"access": "Own"})).await.map_err(|error| error.to_string())
            })
            .await?;
            is_withdrawn(&ns, "bad").await?;
            share_as(&ns, "good", &json!({})).await?;
            stands(&ns, "good", "Granted").await?;
            let events: Api<k8s_openapi::api::events::v1::Event> = ns.api();
            eventually("an Event about the bad one", async || {
                let all = events.list(&Default::default()).await.map_err(|error| error.to_string())?;
                let is_told = |event: &k8s_openapi::api::events::v1::Event| {
                    let about = event.regarding.as_ref().and_then(|it| it.name.as_deref());
                    about == Some("bad") && event.reason.as_deref() == Some("Unreadable")
                };
                if all.iter().any(is_told) { Ok(()) } else { Err(String::from("none")) }
            })
            .await?;
            eventually("the metric", async || match controller.metric("apolo_unreadable_grants").await {
                Ok(Some(1.0)) => Ok(()),
                other => Err(format!("{other:?}")),
            })
            .await?;
            Ok(())
        })
        .await
}

#[tokio::test]
async fn events_tell_how_a_grant_came_to_stand() -> anyhow::Result<()> {
    shared()
        .await?
        .with_namespace(async |ns| {
            share(&ns, &json!({})).await?;
            stands(&ns, "shared", "SecretNotFound").await?;
            secret(&ns, "secret-password").await?;
            let events: Api<k8s_openapi::api::events::v1::Event> = ns.api();
            eventually("Events of both", async || {
                let all = events.list(&Default::default()).await.map_err(|error| error.to_string())?;
                let ours = all.into_iter().filter(|event| {
                    event.regarding.as_ref().is_some_and(|it| it.api_version.as_deref() == Some(VERSION))
                });
                let reasons: BTreeSet<String> = ours.filter_map(|event| event.reason).collect();
                if reasons == BTreeSet::from(["Granted".into(), "SecretNotFound".into()]) {
                    Ok(())
                } else {
                    Err(format!("{reasons:?}"))
                }
            })
            .await?;
            Ok(())
        })
        .await
}
