//! What the catalog of a namespace lists: what is there, and what is shared with it, by name, never a value.
#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]

use anyhow::{Context, ensure};
use apolo_tests::{
    catalogs::{NAME, keys},
    command,
    eventually::eventually,
    namespace::{Namespace, with_namespace},
    sharing::in_seconds,
};
use k8s_openapi::api::core::v1::{self, Secret};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

/// What nobody may find in a catalog, and as base64.
const VALUES: [&str; 2] = ["planted-Wert-0815", "cGxhbnRlZC1XZXJ0LTA4MTU="];
const HASHED: &str = "aws-key-4cea0ddbcf43f8cf";

/// As somebody does it with `kubectl apply`, which leaves all of it in an annotation.
async fn apply(ns: &Namespace, object: &Value) -> anyhow::Result<()> {
    let applied =
        command::run(ns.kubectl(["--namespace", &ns.name, "apply", "--filename", "-"]), object.to_string()).await?;
    ensure!(applied.status.success(), "{}", applied.stderr);
    Ok(())
}

async fn share_with(ns: &Namespace, name: &str, bob: &Namespace, fields: &Value) -> anyhow::Result<()> {
    let mut all = json!({"namespaces": [bob.name]});
    for (field, value) in fields.as_object().context("no fields")? {
        all[field] = value.clone();
    }
    Ok(ns.share(name, &all).await?)
}

/// Two namespaces: an owner's, and one for which he opens his grants.
async fn with_two(body: impl AsyncFnOnce(Namespace, Namespace) -> anyhow::Result<()>) -> anyhow::Result<()> {
    with_namespace(async |alice| with_namespace(async |bob| body(alice, bob).await).await).await
}

#[tokio::test]
async fn the_secrets_of_each_sort_are_listed_by_what_they_are_asked_for_by() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        ns.kept_secret("secret-password", "secret-password", VALUES[0]).await?;
        ns.kept_secret(HASHED, "AWS_KEY", VALUES[0]).await?;
        ns.kept_secret("elsewhere", "another-key", VALUES[0]).await?;
        let secret = |name: &str, fields: Value| {
            let mut secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}});
            secret
                .as_object_mut()
                .into_iter()
                .for_each(|it| it.extend(fields.as_object().cloned().unwrap_or_default()));
            secret
        };
        let of_kubectl = ["create", "secret", "generic", "db", "--from-literal=db=", "--namespace", &ns.name];
        ensure!(command::run(ns.kubectl(of_kubectl), "").await?.status.success());
        apply(&ns, &secret("wandb-token", json!({"stringData": {"wandb-token": VALUES[0]}}))).await?;
        apply(&ns, &secret("db-creds", json!({"stringData": {"user": "u", "password": VALUES[0]}}))).await?;
        ns.create(&secret("empty", json!({}))).await?;
        let tls = json!({"type": "kubernetes.io/tls", "data": {"tls.crt": "", "tls.key": ""}});
        ns.create(&secret("certificate", tls)).await?;
        ns.create(&secret("of-a-tool", json!({"type": "example.com/tool"}))).await?;
        let subjects = json!([{"kind": "User", "name": "bob"}, {"kind": "Group", "name": "ml-team"}]);
        ns.share("both", &json!({"secrets": ["AWS_KEY", "db-creds"], "subjects": subjects})).await?;
        ns.share("again", &json!({"secrets": ["AWS_KEY"], "access": "Use"})).await?;
        let listed = |status: &Value| {
            let own = status["own"].as_array().cloned().unwrap_or_default();
            let entry = |own: &Value| {
                let (key, shared) = (own["key"].as_str().unwrap_or("?"), &own["sharedWith"]);
                format!("{key} {shared}{}", if own["ordinary"] == true { " ordinary" } else { "" })
            };
            own.iter().map(entry).collect::<Vec<_>>()
        };
        let expected = [
            "AWS_KEY 2",
            "db 0",
            "db-creds 2 ordinary",
            "elsewhere 0 ordinary",
            "empty 0 ordinary",
            "secret-password 0",
            "wandb-token 0",
        ];
        let status = ns.catalog("all are listed", |status| listed(status) == expected).await?;
        assert_eq!(
            (&status["cluster"], &status["shared"], &status["truncated"]),
            (&json!("default"), &json!(null), &json!(null))
        );

        let whole = serde_json::to_string(&ns.catalogs().get(NAME).await?)?;
        let stored = serde_json::to_string(&ns.api::<Secret>().get("db-creds").await?)?;
        assert!(VALUES.iter().all(|value| stored.contains(value)), "it was not planted");
        assert!(!VALUES.iter().any(|value| whole.contains(value)) && !whole.contains("last-applied"), "{whole}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_secret_whose_value_changes_is_updated_later_than_it_was_created() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        ns.kept_secret("one", "one", "first").await?;
        let status = ns.catalog_owns(&["one"]).await?;
        let created = status["own"][0]["created"].clone();
        assert_eq!(created, status["own"][0]["updated"]);
        let secrets = ns.api::<Secret>();
        let mut change = 0;
        // The API server tells such times in whole seconds.
        eventually("its value is written in another second", async || {
            change += 1;
            let patch = Patch::Merge(json!({"stringData": {"one": format!("value {change}")}}));
            let params = PatchParams { field_manager: Some("rotation".into()), ..PatchParams::default() };
            let secret = secrets.patch("one", &params, &patch).await.map_err(|error| error.to_string())?;
            let times = secret.managed_fields().iter().filter_map(|entry| entry.time.as_ref());
            let last = times.map(|time| json!(time)).max_by_key(Value::to_string);
            if last.as_ref() == Some(&created) { Err(created.to_string()) } else { Ok(()) }
        })
        .await?;
        ns.catalog("it was updated", |status| {
            let own = &status["own"][0];
            own["created"] == created && own["updated"].as_str() > created.as_str()
        })
        .await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_is_shared_is_listed_where_it_is_open_with_whom_it_is_for_who_granted_it_and_until_when()
-> anyhow::Result<()> {
    with_two(async |alice, bob| {
        for name in ["secret-password", HASHED, "certificate"] {
            alice.secret(name).await?;
        }
        let expiry = in_seconds(3600).split_once('.').map_or_else(|| in_seconds(3600), |(whole, _)| format!("{whole}Z"));
        let keys = json!(["secret-password", "AWS_KEY", "not-there-yet"]);
        share_with(&alice, "by-user", &bob, &json!({"secrets": keys, "access": "Use", "expiresAt": expiry})).await?;
        share_with(&alice, "by-group", &bob, &json!({"subjects": [{"kind": "Group", "name": "ml-team"}]})).await?;
        let account = json!([{"kind": "ServiceAccount", "name": "trainer", "namespace": bob.name}]);
        alice.share("by-account", &json!({"access": "Write", "subjects": account})).await?;
        let namespace = json!([{"kind": "Namespace", "name": bob.name}]);
        alice.share("by-namespace", &json!({"access": "Manage", "subjects": namespace})).await?;
        alice.share("only-kubectl", &json!({})).await?;
        let grant = alice.grants().get("by-user").await?;
        let by = grant.annotations().get("secrets.apolo.us/granted-by").context("nobody granted it")?;
        let by = if by.contains(':') { format!("user:{by}") } else { by.clone() };
        let entry = |key: &str, access: &str, subject: String| {
            json!({"uri": format!("secret://default/{}/{key}", alice.name), "access": access, "subjects": [subject], "by": by})
        };
        let until = |mut entry: Value| {
            entry["expiresAt"] = json!(expiry);
            entry
        };
        let key = "secret-password";
        let expected = json!({"cluster": "default", "shared": [
            until(entry("AWS_KEY", "Use", "bob".into())),
            entry(key, "Write", format!("serviceaccount:{}/trainer", bob.name)),
            entry(key, "Read", "group:ml-team".into()),
            entry(key, "Manage", format!("namespace:{}", bob.name)),
            until(entry(key, "Use", "bob".into())),
        ]});
        bob.catalog(&format!("it is {expected}"), |status| *status == expected).await?;
        let own = alice.catalog_owns(&[HASHED, "certificate", key]).await?;
        let shared_with: Vec<_> = own["own"].as_array().into_iter().flatten().map(|own| own["sharedWith"].as_i64()).collect();
        assert_eq!((shared_with, &own["shared"]), (vec![Some(1), Some(0), Some(4)], &json!(null)));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_is_not_shared_any_more_is_not_listed_and_the_catalog_goes_with_the_last() -> anyhow::Result<()> {
    with_two(async |alice, bob| {
        let (name, params) = (&alice.name, DeleteParams::default());
        alice.secret("one").await?;
        for grant in ["deleted", "expired", "narrowed", "source-gone"] {
            let secret = format!("of-{grant}");
            alice.secret(&secret).await?;
            share_with(&alice, grant, &bob, &json!({"secrets": [secret]})).await?;
        }
        let of = |grants: &[&str]| grants.iter().map(|grant| format!("{name}/of-{grant}")).collect::<Vec<_>>();
        let shares = async |grants: &[&str]| {
            let wanted = of(grants);
            bob.catalog_shares(&wanted.iter().map(String::as_str).collect::<Vec<_>>()).await
        };
        shares(&["deleted", "expired", "narrowed", "source-gone"]).await?;
        alice.grants().delete("deleted", &params).await?;
        shares(&["expired", "narrowed", "source-gone"]).await?;
        alice.change("expired", &json!({"expiresAt": in_seconds(2)})).await?;
        shares(&["narrowed", "source-gone"]).await?;
        alice.change("narrowed", &json!({"namespaces": ["elsewhere"]})).await?;
        shares(&["source-gone"]).await?;
        alice.api::<Secret>().delete("of-source-gone", &params).await?;
        bob.catalog("there is none", Value::is_null).await?;
        alice.secret("of-source-gone").await?;
        alice.change("narrowed", &json!({"namespaces": [bob.name]})).await?;
        shares(&["narrowed", "source-gone"]).await?;
        alice.catalog_owns(&["of-deleted", "of-expired", "of-narrowed", "of-source-gone", "one"]).await?;
        Ok(())
    })
    .await
}

/// The one that came from it is not withdrawn by anybody: it ends with it.
#[tokio::test]
async fn what_came_from_a_grant_that_ends_is_not_listed() -> anyhow::Result<()> {
    with_two(async |alice, bob| {
        alice.secret("secret-password").await?;
        let manage = json!({"access": "Manage", "subjects": [{"kind": "User", "name": alice.name}]});
        alice.share("parent", &manage).await?;
        let manager = alice.user(&alice.name, &[]).await?;
        let all = ["use", "get", "update", "patch", "delete", "share"];
        alice.comes_to(&manager, "secret-password", &all).await?;
        let fields = json!({"namespaces": [bob.name]});
        alice
            .create_as(&manager, &apolo_tests::grants::grant("child", fields.as_object().context("no fields")?))
            .await?;
        let status = bob.catalog_shares(&[&format!("{}/secret-password", alice.name)]).await?;
        assert_eq!(status["shared"][0]["by"], alice.name.as_str());
        alice.grants().delete("parent", &DeleteParams::default()).await?;
        bob.catalog("there is none", Value::is_null).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn of_more_than_a_thousand_secrets_the_first_thousand_are_listed_and_the_others_counted() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        let mut making = tokio::task::JoinSet::new();
        for first in 0..15 {
            let ns = ns.clone();
            making.spawn(async move {
                for number in (first..1005).step_by(15) {
                    ns.secret(&format!("secret-{number:04}")).await?;
                }
                anyhow::Ok(())
            });
        }
        while let Some(made) = making.join_next().await {
            made??;
        }
        let status = ns.catalog("five are left out", |status| status["truncated"] == 5).await?;
        let expected: Vec<String> = (0..1000).map(|number| format!("secret-{number:04}")).collect();
        assert_eq!(keys(&status), expected);
        Ok(())
    })
    .await
}

/// As large as they can be, and of characters that take six times their size in etcd.
#[tokio::test]
async fn more_than_the_api_server_can_store_is_left_out_and_counted() -> anyhow::Result<()> {
    with_two(async |alice, bob| {
        let keys: Vec<String> = (0..64).map(|number| format!("secret-{number:02}")).collect();
        for key in &keys {
            alice.secret(key).await?;
        }
        let name = |number: usize| format!("{number:03}{}", "&<>".repeat(169));
        let subjects: Vec<Value> = (0..100).map(|number| json!({"kind": "Group", "name": name(number)})).collect();
        share_with(&alice, "large", &bob, &json!({"secrets": keys, "subjects": subjects})).await?;
        let status = bob.catalog("some are left out", |status| status["truncated"].is_i64()).await?;
        let listed = status["shared"].as_array().context("none is listed")?;
        ensure!(!listed.is_empty(), "none is listed");
        assert_eq!(status["truncated"].as_i64(), i64::try_from(64 - listed.len()).ok());
        assert_eq!(listed[0]["subjects"].as_array().map(Vec::len), Some(100));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_namespace_that_comes_after_the_grant_has_its_catalog_and_kube_system_has_none() -> anyhow::Result<()> {
    with_namespace(async |alice| {
        alice.secret("secret-password").await?;
        let later = format!("{}-later", alice.name);
        alice.share("shared", &json!({"namespaces": [later, "kube-system"]})).await?;
        alice.stands("shared", "Granted").await?;
        let namespaces: Api<v1::Namespace> = Api::all(alice.client.clone());
        let metadata = ObjectMeta { name: Some(later.clone()), ..ObjectMeta::default() };
        namespaces.create(&PostParams::default(), &v1::Namespace { metadata, ..v1::Namespace::default() }).await?;
        let mut there = alice.clone();
        there.name = later;
        there.catalog_shares(&[&format!("{}/secret-password", alice.name)]).await?;
        let mut system = alice.clone();
        system.name = "kube-system".into();
        ensure!(system.catalogs().get_opt(NAME).await?.is_none(), "kube-system has a catalog");
        namespaces.delete(&there.name, &DeleteParams::default()).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_administrator_of_the_namespace_reads_its_catalog_and_a_stranger_does_not() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        ns.kept_secret("secret-password", "secret-password", VALUES[0]).await?;
        ns.catalog_owns(&["secret-password"]).await?;
        let rbac = "rbac.authorization.k8s.io";
        let (admin, stranger) = (format!("admin-{}", ns.name), format!("stranger-{}", ns.name));
        ns.create(&json!({
            "apiVersion": format!("{rbac}/v1"), "kind": "RoleBinding", "metadata": {"name": "admin"},
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "admin"},
            "subjects": [{"apiGroup": rbac, "kind": "User", "name": admin}],
        }))
        .await?;
        let get = async |user: &str| {
            let mut kubectl = ns.kubectl(["get", "secretcatalog", NAME, "--output=yaml", "--namespace", &ns.name]);
            kubectl.env("KUBECONFIG", ns.kubeconfig(user, &[])?);
            anyhow::Ok(command::run(kubectl, "").await?)
        };
        let read = eventually("the administrator reads it", async || match get(&admin).await {
            Ok(read) if read.status.success() => Ok(read.stdout),
            Ok(read) => Err(read.stderr),
            Err(error) => Err(error.to_string()),
        })
        .await?;
        assert!(read.contains("- created: ") && read.contains("key: secret-password\n"), "{read}");
        assert!(!VALUES.iter().any(|value| read.contains(value)), "{read}");
        let refused = get(&stranger).await?;
        assert!(!refused.status.success() && refused.stderr.contains("Forbidden"), "{refused:?}");
        Ok(())
    })
    .await
}
