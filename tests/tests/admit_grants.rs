//! Who may create or widen a SecretGrant, and what the hook writes on it: each attempt to get more than one has, beside a twin
//! that is allowed. On a real API server, with the webhook and the controller under the accounts that the chart makes.
#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]

use anyhow::{Context, ensure};
use apolo_tests::{
    command,
    eventually::eventually,
    grants::{VERSION, grant},
    namespace::{self, Namespace},
    webhook::RELEASE,
};
use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams},
    core::GroupVersionKind,
};
use serde_json::{Value, json};

const BY: &str = "secrets.apolo.us/granted-by";
const VIA: &str = "secrets.apolo.us/granted-via";

/// The secrets `a`, `b` and `c` of alice, who has shared them: bob manages `a`, and so does ml-team, of which gina is; dana may
/// share and use `c` by a Role that is not ours, and change all grants.
struct Scene {
    ns: Namespace,
    alice: Client,
    bob: Client,
    dana: Client,
    gina: Client,
}

impl Scene {
    async fn new(ns: Namespace) -> anyhow::Result<Self> {
        for name in ["a", "b", "c"] {
            ns.secret(name).await?;
        }
        let alice = ns.person("alice").await?;
        let scene = Self {
            bob: ns.user("bob", &[]).await?,
            dana: ns.user("dana", &[]).await?,
            gina: ns.user("gina", &["ml-team"]).await?,
            alice,
            ns,
        };
        scene.role_of_dana().await?;
        scene.stands("manage-bob", &scene.alice, &manage("bob")).await?;
        let team = json!({"secrets": ["a"], "access": "Manage", "subjects": [{"kind": "Group", "name": "ml-team"}]});
        scene.stands("manage-team", &scene.alice, &team).await?;
        let to_frank = json!({
            "secrets": ["b", "c"], "access": "Read", "namespaces": ["frank", "jobs"], "expiresAt": "2100-01-01T00:00:00Z",
            "subjects": [{"kind": "User", "name": "frank"}, {"kind": "User", "name": "fred"}],
        });
        scene.stands("to-frank", &scene.alice, &to_frank).await?;
        Ok(scene)
    }

    async fn role_of_dana(&self) -> anyhow::Result<()> {
        self.ns
            .create(&json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "dana"},
                "rules": [
                    {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["c"], "verbs": ["use", "share"]},
                    {"apiGroups": ["secrets.apolo.us"], "resources": ["secretgrants"],
                     "verbs": ["get", "create", "update", "patch"]},
                ],
            }))
            .await?;
        self.ns
            .create(&json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "dana"},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "dana"},
                "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "dana"}],
            }))
            .await?;
        Ok(())
    }

    fn grants(&self, client: &Client) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("secrets.apolo.us", "v1alpha1", "SecretGrant");
        Api::namespaced_with(client.clone(), &self.ns.name, &ApiResource::from_gvk(&kind))
    }

    /// Creates a grant as somebody, and waits until it is in force: rights that were given just now come a moment later.
    async fn stands(&self, name: &str, who: &Client, fields: &Value) -> anyhow::Result<()> {
        eventually(&format!("{name} can be created"), async || {
            self.act(who, name, &Act::Create(fields.clone())).await.map_err(|error| format!("{error:#}"))
        })
        .await?;
        self.ns.stands(name, "Granted").await?;
        Ok(())
    }

    async fn act(&self, who: &Client, name: &str, act: &Act) -> anyhow::Result<()> {
        let api = self.grants(who);
        let merge = |patch: &Value| Patch::Merge(patch.clone());
        match act {
            Act::Create(fields) => {
                let object = grant(name, fields.as_object().context("no fields")?);
                self.ns.create_as(who, &object).await?;
            }
            Act::Change(at, fields) => {
                api.patch(at, &PatchParams::default(), &merge(&json!({"spec": fields}))).await?;
            }
            Act::Merge(at, patch) => {
                api.patch(at, &PatchParams::default(), &merge(patch)).await?;
            }
            Act::Status(at, status) => {
                api.patch_status(at, &PatchParams::default(), &merge(&json!({"status": status}))).await?;
            }
            Act::Apply(fields) => {
                let object = grant(name, fields.as_object().context("no fields")?);
                api.patch(name, &PatchParams::apply("kubectl").force(), &Patch::Apply(object)).await?;
            }
            Act::DryRun(fields) => {
                let object = serde_json::from_value(grant(name, fields.as_object().context("no fields")?))?;
                api.create(&PostParams { dry_run: true, ..PostParams::default() }, &object).await?;
            }
        }
        Ok(())
    }

    async fn annotations(&self, name: &str) -> anyhow::Result<(Option<String>, Option<String>)> {
        let grant = self.grants(&self.ns.client).get(name).await?;
        let annotation = |name: &str| grant.annotations().get(name).cloned();
        Ok((annotation(BY), annotation(VIA)))
    }

    async fn uid(&self, name: &str) -> anyhow::Result<String> {
        self.grants(&self.ns.client).get(name).await?.uid().context("no uid")
    }
}

/// What somebody does with a grant.
enum Act {
    /// Creates it, with these fields of its spec.
    Create(Value),
    /// The same with server-side apply.
    Apply(Value),
    /// The same, to see whether it would be done.
    DryRun(Value),
    /// Changes fields of the spec of that one.
    Change(&'static str, Value),
    /// Merges this into that one.
    Merge(&'static str, Value),
    /// Changes the status of that one.
    Status(&'static str, Value),
}

fn manage(user: &str) -> Value {
    json!({"secrets": ["a"], "access": "Manage", "subjects": [{"kind": "User", "name": user}]})
}

fn to_carol(secrets: &[&str], access: &str) -> Value {
    json!({"secrets": secrets, "access": access, "subjects": [{"kind": "User", "name": "carol"}]})
}

fn to(kind: &str, name: &str) -> Value {
    json!({"secrets": ["a"], "access": "Use", "subjects": [{"kind": kind, "name": name}]})
}

/// An attempt, what is said to it, and its twin.
struct Row<'a> {
    name: &'static str,
    who: &'a Client,
    refused: Act,
    says: &'static str,
    twin: Act,
}

fn row<'a>(name: &'static str, who: &'a Client, refused: Act, says: &'static str, twin: Act) -> Row<'a> {
    Row { name, who, refused, says, twin }
}

/// `says` has NS for the namespace.
async fn try_all(scene: &Scene, rows: &[Row<'_>]) -> anyhow::Result<()> {
    for (number, Row { name, who, refused, says, twin }) in rows.iter().enumerate() {
        let says = says.replace("NS", &scene.ns.name);
        match scene.act(who, &format!("refused-{number}"), refused).await {
            Ok(()) => anyhow::bail!("{name}: it was done"),
            Err(error) => ensure!(format!("{error:#}").contains(&says), "{name}: {error:#}"),
        }
        // What it needs may have been given just now.
        eventually(&format!("the twin of: {name}"), async || {
            let done = scene.act(who, &format!("twin-{number}"), twin).await;
            done.map_err(|error| format!("{error:#}"))
        })
        .await?;
    }
    Ok(())
}

#[tokio::test]
async fn nobody_creates_a_grant_of_more_than_he_has() -> anyhow::Result<()> {
    use Act::*;
    namespace::with_namespace(async |ns| {
            let scene = Scene::new(ns).await?;
            let Scene { alice, bob, dana, gina, .. } = &scene;
            let no_share_b = "bob may not share secret:/NS/b. Its owner can run: apolo share secret:b bob manage --kubectl-only -n NS";
            let has_not = "dana may not grant Read on secret:/NS/c: dana has not get; write access: Use";
            let far = json!({"secrets": ["a"], "access": "Read", "subjects": [{"kind": "User", "name": "carol"}], "namespaces": ["carol"]});
            let far_b = json!({"secrets": ["b"], "access": "Read", "subjects": [{"kind": "User", "name": "carol"}], "namespaces": ["carol"]});
            try_all(&scene, &[
                row("a secret that he may not share", bob, Create(to_carol(&["b"], "Read")), no_share_b, Create(to_carol(&["a"], "Read"))),
                row("one that he may, and one that he may not", bob, Create(to_carol(&["a", "b"], "Use")), no_share_b, Create(to_carol(&["a"], "Use"))),
                row("one that is not there", bob, Create(to_carol(&["nowhere"], "Use")), "bob may not share secret:/NS/nowhere", Create(to_carol(&["a"], "Write"))),
                row("more access than she has", dana, Create(to_carol(&["c"], "Read")), has_not, Create(to_carol(&["c"], "Use"))),
                row("the most", dana, Create(to_carol(&["c"], "Manage")), "dana has not get, update, patch, delete; write access: Use", Create(to_carol(&["c"], "Use"))),
                row("by a group that he is not in", bob, Create(to_carol(&["c"], "Use")), "bob may not share secret:/NS/c", Create(to_carol(&["a"], "Manage"))),
                row("by a group that she is in, another secret", gina, Create(to_carol(&["b"], "Use")), "gina may not share secret:/NS/b", Create(to_carol(&["a"], "Manage"))),
                row("for use elsewhere", bob, Create(far_b), no_share_b, Create(far)),
                row("with server-side apply", dana, Apply(to_carol(&["c"], "Read")), has_not, Apply(to_carol(&["c"], "Use"))),
                row("only to see", bob, DryRun(to_carol(&["b"], "Use")), no_share_b, DryRun(to_carol(&["a"], "Use"))),
                row("to those whom nothing is forbidden", alice, Create(to("Group", "system:masters")), "nothing can be granted to everybody, nor to system:masters", Create(to("Group", "masters"))),
                row("to everybody", alice, Create(to("Group", "system:authenticated")), "nothing can be granted to everybody", Create(to("User", "authenticated"))),
                row("to nobody in particular", alice, Create(to("User", "system:anonymous")), "nothing can be granted to everybody", Create(to("User", "anonymous"))),
                row("to all service accounts", alice, Create(to("Group", "system:serviceaccounts")), "nothing can be granted to everybody", Create(to("Namespace", "jobs"))),
                row("to a service account in disguise", alice, Create(to("User", "system:serviceaccount:kube-system:job-controller")), "use the kind ServiceAccount", Create(to("User", "job-controller"))),
                row("to a namespace in disguise", alice, Create(to("Group", "system:serviceaccounts:kube-system")), "use the kind Namespace", Create(to("Namespace", "nightly"))),
            ])
            .await
        })
        .await
}

#[tokio::test]
async fn nobody_widens_a_grant_beyond_what_he_has() -> anyhow::Result<()> {
    use Act::*;
    namespace::with_namespace(async |ns| {
        let scene = Scene::new(ns).await?;
        let Scene { alice, bob, dana, .. } = &scene;
        scene.stands("of-bob", bob, &to_carol(&["a"], "Read")).await?;
        scene.stands("of-dana", dana, &to_carol(&["c"], "Use")).await?;
        let no = "dana may not share secret:/NS/b";
        let user = |name: &str| json!({"kind": "User", "name": name});
        let (frank, fred) = (user("frank"), user("fred"));
        try_all(
            &scene,
            &[
                row(
                    "access raised",
                    dana,
                    Change("of-dana", json!({"access": "Read"})),
                    "dana has not get; write access: Use",
                    Change("of-dana", json!({"namespaces": ["carol"]})),
                ),
                row(
                    "a secret added",
                    dana,
                    Change("of-dana", json!({"secrets": ["c", "a"]})),
                    "dana may not share secret:/NS/a",
                    Change("of-dana", json!({"namespaces": []})),
                ),
                row(
                    "a subject added to another's",
                    dana,
                    Change("to-frank", json!({"subjects": [frank, fred, user("dana")]})),
                    no,
                    Change("to-frank", json!({"subjects": [frank]})),
                ),
                row(
                    "a subject put in another's place",
                    dana,
                    Change("to-frank", json!({"subjects": [user("dana")]})),
                    no,
                    Change("to-frank", json!({"access": "Use"})),
                ),
                row(
                    "a namespace added",
                    dana,
                    Change("to-frank", json!({"namespaces": ["frank", "jobs", "dana"]})),
                    no,
                    Change("to-frank", json!({"namespaces": ["frank"]})),
                ),
                row(
                    "for longer",
                    dana,
                    Change("to-frank", json!({"expiresAt": "2100-01-01T00:00:01Z"})),
                    no,
                    Change("to-frank", json!({"expiresAt": "2099-01-01T00:00:00Z"})),
                ),
                row(
                    "without an end",
                    dana,
                    Change("to-frank", json!({"expiresAt": null})),
                    no,
                    Change("to-frank", json!({"expiresAt": "2098-01-01T00:00:00Z"})),
                ),
                row(
                    "one secret for another",
                    dana,
                    Change("to-frank", json!({"secrets": ["c", "a"]})),
                    "dana may not share secret:/NS/a",
                    Change("to-frank", json!({"secrets": ["c"]})),
                ),
                row(
                    "the status of a grant that he came to",
                    bob,
                    Status("of-bob", json!({"expired": null})),
                    "secretgrants/status",
                    Change("of-bob", json!({"access": "Use"})),
                ),
                row(
                    "the status, by whoever may edit all",
                    alice,
                    Status("to-frank", json!({"observedGeneration": 9})),
                    "secretgrants/status",
                    Change("to-frank", json!({"secrets": ["b", "c"]})),
                ),
                row(
                    "the grant by which he may share",
                    bob,
                    Change("manage-bob", json!({"secrets": ["a", "b"]})),
                    "cannot patch resource \"secretgrants\"",
                    Change("of-bob", json!({"access": "Write"})),
                ),
                row(
                    "the owner reference and the spec at once",
                    dana,
                    Merge("to-frank", json!({"metadata": {"labels": {"a": "b"}}, "spec": {"access": "Manage"}})),
                    "dana may not share secret:/NS/b",
                    Merge("to-frank", json!({"metadata": {"labels": {"a": "b"}}})),
                ),
            ],
        )
        .await
    })
    .await
}

#[tokio::test]
async fn who_granted_is_written_whatever_the_request_says() -> anyhow::Result<()> {
    namespace::with_namespace(async |ns| {
        let scene = Scene::new(ns).await?;
        let Scene { alice, bob, dana, gina, .. } = &scene;
        let forged = json!({BY: "alice", VIA: ""});
        let create = async |who: &Client, name: &str, fields: Value| {
            let mut object = grant(name, fields.as_object().context("no fields")?);
            object["metadata"]["annotations"] = forged.clone();
            eventually("it can be created", async || {
                scene.ns.create_as(who, &object).await.map_err(|error| format!("{error:?}"))
            })
            .await?;
            anyhow::Ok(())
        };
        let some = |text: &str| Some(text.to_owned());
        let (by_bob, by_team) = (
            format!("{} bob", scene.uid("manage-bob").await?),
            format!("{} group:ml-team", scene.uid("manage-team").await?),
        );

        create(bob, "of-bob", to_carol(&["a"], "Read")).await?;
        create(gina, "of-gina", to_carol(&["a"], "Read")).await?;
        create(dana, "of-dana", to_carol(&["c"], "Use")).await?;
        create(alice, "of-alice", to_carol(&["a"], "Read")).await?;
        assert_eq!(scene.annotations("of-bob").await?, (some("bob"), Some(by_bob.clone())));
        assert_eq!(scene.annotations("of-gina").await?, (some("gina"), Some(by_team)));
        assert_eq!(scene.annotations("of-dana").await?, (some("dana"), some("")), "by a Role that is not ours");
        assert_eq!(scene.annotations("of-alice").await?, (some("alice"), None), "an owner's");

        // Bob has the right to change his grant, but not what was written on it.
        for patch in [
            json!({"metadata": {"annotations": {BY: "alice", VIA: null}}}),
            json!({"metadata": {"annotations": null}}),
            json!({"metadata": {"annotations": {VIA: ""}}, "spec": {"access": "Use"}}),
        ] {
            eventually("bob may change his grant", async || {
                let done = scene.act(bob, "", &Act::Merge("of-bob", patch.clone())).await;
                done.map_err(|error| format!("{error:#}"))
            })
            .await?;
            assert_eq!(scene.annotations("of-bob").await?, (some("bob"), Some(by_bob.clone())), "{patch}");
        }

        // Whoever widens it has granted it; whoever narrows it has not.
        scene.act(alice, "", &Act::Change("of-bob", json!({"access": "Read"}))).await?;
        assert_eq!(scene.annotations("of-bob").await?, (some("alice"), None));
        scene.act(dana, "", &Act::Change("of-bob", json!({"access": "Use"}))).await?;
        assert_eq!(scene.annotations("of-bob").await?, (some("alice"), None));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_came_from_a_manage_grant_ends_with_it() -> anyhow::Result<()> {
    namespace::with_namespace(async |ns| {
        let scene = Scene::new(ns).await?;
        let Scene { alice, bob, gina, .. } = &scene;
        // Bob's second account, and who gets it from there; himself again, so that his grants hold each other up.
        let second = scene.ns.user("bob2", &[]).await?;
        scene.stands("second", bob, &manage("bob2")).await?;
        scene.stands("third", &second, &to_carol(&["a"], "Read")).await?;
        scene.stands("himself", &second, &manage("bob")).await?;
        scene.stands("circle", bob, &manage("bob2")).await?;
        scene.stands("of-gina", gina, &to_carol(&["a"], "Read")).await?;
        scene.stands("of-alice", alice, &to_carol(&["a"], "Read")).await?;
        scene.grants(alice).delete("manage-bob", &DeleteParams::default()).await?;
        for name in ["second", "third", "himself", "circle"] {
            scene.ns.stands(name, "Withdrawn").await?;
        }
        for (name, who) in [("second", bob), ("third", &second)] {
            eventually("they share nothing any more", async || {
                let act = Act::DryRun(to_carol(&["a"], "Use"));
                match scene.act(who, name, &act).await {
                    Err(error) if format!("{error:#}").contains("forbidden") => Ok(()),
                    other => Err(format!("{other:?}")),
                }
            })
            .await?;
        }
        scene.ns.stands("of-gina", "Granted").await?;
        scene.ns.stands("of-alice", "Granted").await?;

        // Not to be named any more is the same for whoever was named.
        let others = json!({"subjects": [{"kind": "Group", "name": "others"}]});
        scene.act(alice, "", &Act::Change("manage-team", others)).await?;
        scene.ns.stands("of-gina", "Withdrawn").await?;
        scene.ns.stands("of-alice", "Granted").await?;
        // For good: also an owner, whom it would take for all that another has put into it, makes another.
        let wider = || Act::Change("of-gina", json!({"access": "Write"}));
        let said = scene.act(alice, "", &wider()).await.err().context("it was widened")?;
        ensure!(format!("{said:#}").contains("this grant was withdrawn for good"), "{said:#}");
        scene.act(alice, "", &Act::Change("of-alice", json!({"access": "Write"}))).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn nothing_of_kube_system_or_of_our_own_namespace_is_granted() -> anyhow::Result<()> {
    namespace::with_namespace(async |ns| {
        for (namespace, refused) in [("kube-system", true), (RELEASE, true), (&ns.name, false)] {
            let create = ns.kubectl(["create", "--dry-run=server", "--namespace", namespace, "--filename=-"]);
            let made = command::run(create, grant("one", &serde_json::Map::new()).to_string()).await?;
            assert_eq!(made.status.success(), !refused, "{namespace}: {}", made.stderr);
            let says =
                format!("secrets of the namespace {namespace} cannot be granted; keep what is to be shared in another");
            assert_eq!(made.stderr.contains(&says), refused, "{}", made.stderr);
        }
        Ok::<_, anyhow::Error>(())
    })
    .await
}

/// Shapes that the schema refuses are told in its words: the hook, which comes first, says nothing of them.
#[tokio::test]
async fn what_is_out_of_form_is_refused_by_the_schema() -> anyhow::Result<()> {
    namespace::with_namespace(async |ns| {
        let mut object = grant("one", &serde_json::Map::new());
        object["spec"]["access"] = json!("Everything");
        let refused = ns.create(&object).await.err().context("it was created")?;
        let refused = format!("{:#}", anyhow::Error::from(refused));
        ensure!(refused.contains("spec.access: Unsupported value: \"Everything\""), "{refused}");
        assert_eq!(object["apiVersion"], VERSION);
        Ok(())
    })
    .await
}
