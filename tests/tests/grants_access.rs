//! What each access of a SecretGrant lets each kind of subject do, and that it is nothing more: asked verb by verb, told as rules,
//! and tried. On a real API server, by the real controller under the account that the chart makes.
#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use anyhow::{Context, bail};
use apolo_tests::{
    grants::grant,
    namespace::{Namespace, with_namespace},
    rights,
};
use k8s_openapi::api::{authorization::v1::SelfSubjectRulesReview, core::v1::Secret};
use kube::{
    Api, Client,
    api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams, WatchParams},
    core::GroupVersionKind,
};
use serde_json::{Map, Value, json};

/// The keys that are granted.
const KEYS: [&str; 3] = ["two", "one", "AWS_KEY"];
/// The names of their Secrets.
const SECRETS: [&str; 3] = ["aws-key-4cea0ddbcf43f8cf", "one", "two"];

#[tokio::test]
async fn use_is_to_use_and_nothing_else() -> anyhow::Result<()> {
    gives("Use", &["use"]).await
}

#[tokio::test]
async fn read_is_to_get_as_well_and_nothing_else() -> anyhow::Result<()> {
    gives("Read", &["use", "get"]).await
}

#[tokio::test]
async fn write_is_to_replace_as_well_and_nothing_else() -> anyhow::Result<()> {
    gives("Write", &["use", "get", "update", "patch"]).await
}

#[tokio::test]
async fn manage_is_to_delete_and_share_as_well_and_nothing_else() -> anyhow::Result<()> {
    gives("Manage", &["use", "get", "update", "patch", "delete", "share"]).await
}

/// A grant of this access gives exactly these verbs on exactly its Secrets, to each kind of subject and to nobody beside it.
async fn gives(access: &str, verbs: &[&'static str]) -> anyhow::Result<()> {
    with_namespace(async |elsewhere| {
        with_namespace(async |ns| {
            for name in SECRETS.iter().chain(&["neighbour"]) {
                ns.create(&secret(name, "first")).await?;
            }
            elsewhere.create(&secret("one", "first")).await?;
            for subject in subjects(&ns, &elsewhere).await? {
                let fields = json!({"secrets": KEYS, "access": access, "subjects": [subject.named]});
                ns.share(subject.grant, &fields).await?;
                let status = ns.stands(subject.grant, "Granted").await?;
                let uris = KEYS.map(|key| format!("secret://default/{}/{key}", ns.name));
                assert_eq!(status["uris"], json!(uris));
                asked(&subject, &ns, &elsewhere, verbs).await?;
                told(&subject, &ns, verbs).await?;
                tried(&subject, &ns, &elsewhere, verbs).await?;
            }
            Ok(())
        })
        .await
    })
    .await
}

/// To whom a grant is, with somebody who is it and somebody who nearly is.
struct Subject {
    grant: &'static str,
    named: Value,
    client: Client,
    stranger: Client,
}

/// One of each kind. They have nothing in common, so that the grants to them do not add up.
async fn subjects(ns: &Namespace, elsewhere: &Namespace) -> anyhow::Result<[Subject; 4]> {
    ns.create(&json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "trainer"}})).await?;
    let (bob, team) = (format!("bob-{}", ns.name), format!("team-{}", ns.name));
    Ok([
        Subject {
            grant: "user",
            named: json!({"kind": "User", "name": bob}),
            client: ns.user(&bob, &[]).await?,
            stranger: ns.user("somebody", &[&bob]).await?,
        },
        Subject {
            grant: "group",
            named: json!({"kind": "Group", "name": team}),
            client: ns.user("somebody", &[&team]).await?,
            stranger: ns.user(&team, &[]).await?,
        },
        Subject {
            grant: "service-account",
            named: json!({"kind": "ServiceAccount", "name": "trainer", "namespace": ns.name}),
            client: ns.service_account(&ns.name, "trainer").await?,
            stranger: ns.service_account(&ns.name, "default").await?,
        },
        Subject {
            grant: "namespace",
            named: json!({"kind": "Namespace", "name": elsewhere.name}),
            client: ns.service_account(&elsewhere.name, "default").await?,
            stranger: ns.service_account(&ns.name, "default").await?,
        },
    ])
}

fn secret(name: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {name: value}})
}

/// What the API server answers, verb by verb.
async fn asked(subject: &Subject, ns: &Namespace, elsewhere: &Namespace, verbs: &[&'static str]) -> anyhow::Result<()> {
    for name in SECRETS {
        ns.comes_to(&subject.client, name, verbs).await?;
        let stranger = rights::verbs(&subject.stranger, &rights::secret(&ns.name, name)).await?;
        assert!(stranger.is_empty(), "a stranger: {stranger:?} on {name}");
    }
    // Of Manage only: to make grants, which RBAC cannot bind to a name. It gives no other verb on any grant.
    let create = if verbs.contains(&"share") { BTreeSet::from(["create"]) } else { BTreeSet::new() };
    let mut status = rights::grant(&ns.name, subject.grant);
    status["subresource"] = json!("status");
    for (about, expected) in [
        (rights::secret(&ns.name, "neighbour"), BTreeSet::new()),
        (rights::secret(&ns.name, "not-there"), BTreeSet::new()),
        (rights::secret(&ns.name, ""), BTreeSet::new()),
        (rights::secret(&elsewhere.name, "one"), BTreeSet::new()),
        (rights::secret(&elsewhere.name, ""), BTreeSet::new()),
        (rights::secret("", ""), BTreeSet::new()),
        (json!({"namespace": ns.name, "resource": "configmaps", "name": "one"}), BTreeSet::new()),
        (rights::grant(&ns.name, ""), create.clone()),
        (rights::grant(&ns.name, subject.grant), create),
        (status, BTreeSet::new()),
        (rights::grant(&elsewhere.name, ""), BTreeSet::new()),
    ] {
        assert_eq!(rights::verbs(&subject.client, &about).await?, expected, "{about}");
    }
    Ok(())
}

/// What the API server lists of rules, beyond those that everybody has.
async fn told(subject: &Subject, ns: &Namespace, verbs: &[&str]) -> anyhow::Result<()> {
    let all = rules(&subject.client, ns).await?;
    let everybodys = rules(&subject.stranger, ns).await?;
    let of_secrets = json!({"apiGroups": [""], "resources": ["secrets"], "resourceNames": SECRETS, "verbs": verbs});
    let of_grants = json!({"apiGroups": ["secrets.apolo.us"], "resources": ["secretgrants"], "verbs": ["create"]});
    let mut expected = BTreeSet::from([of_secrets.to_string()]);
    if verbs.contains(&"share") {
        expected.insert(of_grants.to_string());
    }
    assert_eq!(all.difference(&everybodys).cloned().collect::<BTreeSet<_>>(), expected);
    assert!(everybodys.is_subset(&all), "{everybodys:?}");
    Ok(())
}

async fn rules(client: &Client, ns: &Namespace) -> anyhow::Result<BTreeSet<String>> {
    let review: SelfSubjectRulesReview = serde_json::from_value(json!({"spec": {"namespace": ns.name}}))?;
    let answer = Api::all(client.clone()).create(&PostParams::default(), &review).await?;
    let rules = answer.status.context("no rules")?.resource_rules;
    rules.into_iter().map(|rule| Ok(serde_json::to_value(rule)?.to_string())).collect()
}

/// What succeeds, request by request.
async fn tried(subject: &Subject, ns: &Namespace, elsewhere: &Namespace, verbs: &[&'static str]) -> anyhow::Result<()> {
    // There is no request of the verbs use and share: they are asked about only.
    let expected: BTreeSet<&str> = verbs.iter().copied().filter(|verb| !["use", "share"].contains(verb)).collect();
    let here: Api<Secret> = Api::namespaced(subject.client.clone(), &ns.name);
    let there: Api<Secret> = Api::namespaced(subject.client.clone(), &elsewhere.name);
    for name in SECRETS {
        assert_eq!(succeed(&here, name, subject.grant).await?, expected, "{name}");
        let stored = ns.api::<Secret>().get(name).await?.data.unwrap_or_default();
        let value = if verbs.contains(&"update") { subject.grant } else { "first" };
        assert_eq!(stored[name].0, value.as_bytes());
        if verbs.contains(&"get") {
            assert_eq!(here.get(name).await?.data.unwrap_or_default(), stored);
        }
    }
    for (api, name) in [(&here, "neighbour"), (&here, "not-there"), (&there, "one")] {
        assert_eq!(succeed(api, name, subject.grant).await?, BTreeSet::new(), "{name}");
    }
    Ok(())
}

/// The verbs whose requests about a Secret succeed. Any other answer than that or 403 is a failure. What is deleted or created is
/// not in the end (dry run), so that the next request finds the same.
async fn succeed(api: &Api<Secret>, name: &str, value: &str) -> anyhow::Result<BTreeSet<&'static str>> {
    let dry = DeleteParams::default().dry_run();
    let by_name = ListParams::default().fields(&format!("metadata.name={name}"));
    let watched = WatchParams::default().fields(&format!("metadata.name={name}"));
    let create = PostParams { dry_run: true, ..PostParams::default() };
    let label = Patch::Merge(json!({"metadata": {"labels": {"patched": value}}}));
    let stored: Secret = serde_json::from_value(secret(name, value))?;
    let mut new = stored.clone();
    new.metadata.name = Some(format!("{name}-new"));
    let answers = [
        ("get", api.get(name).await.map(drop)),
        ("list", api.list(&by_name).await.map(drop)),
        ("watch", api.watch(&watched, "0").await.map(drop)),
        ("create", api.create(&create, &new).await.map(drop)),
        ("update", api.replace(name, &PostParams::default(), &stored).await.map(drop)),
        ("patch", api.patch(name, &PatchParams::default(), &label).await.map(drop)),
        ("delete", api.delete(name, &dry).await.map(drop)),
        ("deletecollection", api.delete_collection(&dry, &by_name).await.map(drop)),
    ];
    let mut succeeded = BTreeSet::new();
    for (verb, answer) in answers {
        if is_allowed(answer).with_context(|| format!("{verb} {name}"))? {
            succeeded.insert(verb);
        }
    }
    Ok(succeeded)
}

fn is_allowed(answer: Result<(), kube::Error>) -> anyhow::Result<bool> {
    match answer {
        Ok(()) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 403 => Ok(false),
        Err(error) => bail!(error),
    }
}

#[tokio::test]
async fn who_manages_keeps_the_grants_that_came_from_it_and_no_others() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        ns.secret("secret-password").await?;
        let bob = ns.user(&ns.name, &[]).await?;
        let manage = json!({"access": "Manage", "subjects": [{"kind": "User", "name": ns.name}]});
        ns.share("parent", &manage).await?;
        ns.share("neighbour", &json!({})).await?;
        ns.comes_to(&bob, "secret-password", &["use", "get", "update", "patch", "delete", "share"]).await?;
        ns.create_as(&bob, &grant("child", &Map::new())).await?;
        ns.stands("child", "Granted").await?;

        let about = |name| rights::grant(&ns.name, name);
        rights::come_to(&bob, &about("child"), &["create", "get", "update", "patch", "delete"]).await?;
        let mut status = about("child");
        status["subresource"] = json!("status");
        assert!(rights::verbs(&bob, &status).await?.is_empty());
        for name in ["parent", "neighbour", ""] {
            assert_eq!(rights::verbs(&bob, &about(name)).await?, BTreeSet::from(["create"]), "{name}");
        }

        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("secrets.apolo.us", "v1alpha1", "SecretGrant"));
        let bobs: Api<DynamicObject> = Api::namespaced_with(bob.clone(), &ns.name, &kind);
        let narrow = Patch::Merge(json!({"spec": {"access": "Use"}}));
        for (name, expected) in [("parent", false), ("neighbour", false), ("child", true)] {
            assert_eq!(is_allowed(bobs.get(name).await.map(drop))?, expected, "get {name}");
            let patched = bobs.patch(name, &PatchParams::default(), &narrow).await.map(drop);
            assert_eq!(is_allowed(patched)?, expected, "patch {name}");
            let deleted = bobs.delete(name, &DeleteParams::default()).await.map(drop);
            assert_eq!(is_allowed(deleted)?, expected, "delete {name}");
        }
        assert!(!is_allowed(bobs.list(&ListParams::default()).await.map(drop))?);
        ns.is_withdrawn("child").await?;
        Ok(())
    })
    .await
}
