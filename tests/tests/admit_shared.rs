//! Who may use another owner's secret, and where: grants, launchers and refusals, on a real API server with its controllers.
#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::time::Duration;

use anyhow::{Context, ensure};
use apolo_tests::{
    eventually::within,
    namespace::{self, Namespace, with_namespace},
    objects,
};
use k8s_openapi::api::core::v1::Event;
use kube::{
    Api, Client, ResourceExt,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};

const ENV: &str = "secrets.apolo.us/env";
/// The account under which the webhook asks.
const WEBHOOK: &str = "system:serviceaccount:apolo-secrets:apolo-secrets-webhook";
const BY: &str = "secrets.apolo.us/launched-by";

/// Alice's namespace, with her secret, and bob's, where he may edit and is in ml-team.
struct Scene {
    alice: Namespace,
    bobs: Namespace,
    bob: Client,
}

impl Scene {
    async fn new(alice: Namespace, bobs: Namespace) -> anyhow::Result<Self> {
        alice.secret("secret-password").await?;
        bobs.person("bob").await?;
        let bob = bobs.user("bob", &["ml-team"]).await?;
        Ok(Self { alice, bobs, bob })
    }

    /// A template that asks for alice's secret.
    fn template(&self) -> Value {
        objects::template(&[(ENV, &format!("PASSWORD=secret:/{}/secret-password", self.alice.name))])
    }

    /// The same as each kind of object.
    fn objects(&self, name: &str) -> [Value; 4] {
        let template = self.template();
        [
            objects::pod(&format!("{name}-pod"), &template),
            objects::job(&format!("{name}-job"), &template),
            objects::cron_job(&format!("{name}-cron"), &template),
            objects::deployment(&format!("{name}-deployment"), &template),
        ]
    }

    /// What is said to whoever asks for a secret that is not shared with `subject`.
    fn refusal(&self, key: &str, subject: &str) -> String {
        let (alice, bobs) = (&self.alice.name, &self.bobs.name);
        let to = if subject.contains(':') { String::new() } else { format!(" --to {bobs}") };
        format!(
            "{subject} may not use secret:/{alice}/{key} in namespace {bobs}: there is none, or it is not shared with {subject} \
             for this namespace. Its owner can run: apolo share secret:{key} {subject}{to} -n {alice}"
        )
    }

    /// Alice's grant `bobs`: of her secret, for bob, in his namespace.
    async fn share_with_bob(&self) -> anyhow::Result<()> {
        let fields = json!({"subjects": [{"kind": "User", "name": "bob"}], "namespaces": [self.bobs.name]});
        Ok(self.alice.share("bobs", &fields).await?)
    }

    async fn refused(&self, who: &Client, object: &Value) -> anyhow::Result<String> {
        match self.bobs.create_as(who, object).await.err().with_context(|| format!("allowed: {object}"))? {
            namespace::Error::Create { source: kube::Error::Api(status), .. } => {
                ensure!(status.code == 403, "{status:?}");
                Ok(status.message)
            }
            other => Err(other.into()),
        }
    }

    /// Creates an object as soon as the grants allow it: the webhook and RBAC hear of one a moment later.
    async fn allowed(&self, who: &Client, object: &Value) -> anyhow::Result<()> {
        within(Duration::from_secs(10), "it is allowed", async || {
            self.bobs.create_as(who, object).await.map_err(|error| format!("{error:?}"))
        })
        .await?;
        Ok(())
    }
}

/// Runs `body` with two namespaces.
async fn with_scene(body: impl AsyncFnOnce(Scene) -> anyhow::Result<()>) -> anyhow::Result<()> {
    with_namespace(async |alice| with_namespace(async |bobs| body(Scene::new(alice, bobs).await?).await).await).await
}

#[tokio::test]
async fn each_kind_of_subject_may_use_what_is_granted_to_it_by_each_kind_of_workload() -> anyhow::Result<()> {
    with_scene(async |scene| {
        let bobs = &scene.bobs.name;
        for (index, subject) in [
            json!({"kind": "User", "name": "bob"}),
            json!({"kind": "Group", "name": "ml-team"}),
            json!({"kind": "ServiceAccount", "name": "default", "namespace": bobs}),
            json!({"kind": "Namespace", "name": bobs}),
        ]
        .into_iter()
        .enumerate()
        {
            let name = format!("grant-{index}");
            let objects = scene.objects(&name);
            for object in &objects {
                let said = scene.refused(&scene.bob, object).await?;
                ensure!(said.contains(&scene.refusal("secret-password", "bob")), "{said}");
            }
            let opens = subject["kind"] == "ServiceAccount" || subject["kind"] == "Namespace";
            let namespaces = if opens { json!([]) } else { json!([bobs]) };
            scene
                .alice
                .share(&name, &json!({"access": "Use", "subjects": [subject], "namespaces": namespaces}))
                .await?;
            for object in &objects {
                scene.allowed(&scene.bob, object).await.with_context(|| format!("{subject} {}", object["kind"]))?;
            }
            // Their controllers make the Pods: as bob launched them, and gated until there is a copy.
            for app in ["job", "deployment"] {
                let pod = scene.bobs.pod_of(&format!("{name}-{app}")).await?;
                assert_eq!(pod.annotations()[BY], "bob");
                assert_eq!(pod.labels()["secrets.apolo.us/shared"], "true");
                let gates = pod.spec.context("no spec")?.scheduling_gates.unwrap_or_default();
                assert_eq!(gates[0].name, "secrets.apolo.us/delivery");
            }
            scene.alice.grants().delete(&name, &Default::default()).await?;
            scene.alice.is_withdrawn(&name).await?;
            within(Duration::from_secs(10), "it is refused again", async || {
                scene
                    .refused(&scene.bob, &objects::pod("again", &scene.template()))
                    .await
                    .map_err(|error| error.to_string())
            })
            .await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_grant_allows_only_what_it_says_and_a_refusal_tells_nothing_of_it() -> anyhow::Result<()> {
    with_scene(async |scene| {
        let bobs = &scene.bobs.name;
        let user = |name: &str| json!([{"kind": "User", "name": name}]);
        let pod = objects::pod("pod", &scene.template());
        let nowhere =
            objects::pod("pod", &objects::template(&[(ENV, &format!("A=secret:/{}/nowhere", scene.alice.name))]));
        let none = scene.refused(&scene.bob, &nowhere).await?.replace("nowhere", "secret-password");
        for (name, fields) in [
            ("no-destination", json!({"subjects": user("bob")})),
            ("elsewhere", json!({"subjects": user("bob"), "namespaces": ["elsewhere"]})),
            ("another", json!({"subjects": user("carol"), "namespaces": [bobs]})),
            ("expired", json!({"subjects": user("bob"), "namespaces": [bobs], "expiresAt": "2026-01-01T00:00:00Z"})),
        ] {
            scene.alice.share(name, &fields).await?;
            let reason = if name == "expired" { "Expired" } else { "Granted" };
            scene.alice.stands(name, reason).await?;
            assert_eq!(scene.refused(&scene.bob, &pod).await?, none, "{name}");
        }
        // Each of them becomes one that allows it, and is made what it was.
        for (name, wider) in [
            ("no-destination", json!({"namespaces": [bobs]})),
            ("elsewhere", json!({"namespaces": [bobs]})),
            ("another", json!({"subjects": user("bob")})),
            ("expired", json!({"expiresAt": null})),
        ] {
            scene.alice.change(name, &wider).await?;
            scene.allowed(&scene.bob, &objects::pod(&format!("twin-{name}"), &scene.template())).await?;
            scene.alice.grants().delete(name, &Default::default()).await?;
            scene.alice.is_withdrawn(name).await?;
            within(Duration::from_secs(10), "it is refused again", async || {
                scene.refused(&scene.bob, &pod).await.map_err(|error| error.to_string())
            })
            .await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn who_may_do_everything_lends_nothing_to_whose_manifests_he_applies() -> anyhow::Result<()> {
    with_scene(async |scene| {
        let admin = &scene.bobs.client;
        for object in scene.objects("of-bob") {
            let said = scene.refused(admin, &object).await?;
            ensure!(said.contains(&scene.refusal("secret-password", "admin")), "{said}");
        }
        // A stamp that a manifest brings along is not believed.
        let mut forged = scene.template();
        forged["metadata"]["annotations"][BY] = json!("bob");
        scene.share_with_bob().await?;
        scene.allowed(&scene.bob, &objects::pod("of-bob-himself", &scene.template())).await?;
        for object in [objects::pod("forged", &forged), objects::job("forged-job", &forged)] {
            let said = scene.refused(admin, &object).await?;
            ensure!(said.contains(&scene.refusal("secret-password", "admin")), "{said}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_was_withdrawn_since_the_submission_is_refused_when_the_pod_comes() -> anyhow::Result<()> {
    with_scene(async |scene| {
        scene.share_with_bob().await?;
        let mut job = objects::job("waits", &scene.template());
        job["spec"]["suspend"] = json!(true);
        scene.allowed(&scene.bob, &job).await?;
        scene.alice.grants().delete("bobs", &Default::default()).await?;
        scene.alice.is_withdrawn("bobs").await?;
        within(Duration::from_secs(10), "it is refused", async || {
            scene.refused(&scene.bob, &objects::pod("pod", &scene.template())).await.map_err(|error| error.to_string())
        })
        .await?;
        let jobs: Api<k8s_openapi::api::batch::v1::Job> = scene.bobs.api();
        jobs.patch("waits", &PatchParams::default(), &Patch::Merge(json!({"spec": {"suspend": false}}))).await?;
        let events: Api<Event> = scene.bobs.api();
        let said = within(Duration::from_secs(60), "the Job's Event says so", async || {
            let events = events.list(&ListParams::default().fields("reason=FailedCreate")).await;
            let events = events.map_err(|error| error.to_string())?;
            events.items.into_iter().find_map(|event| event.message).ok_or_else(|| "no Event".to_owned())
        })
        .await?;
        ensure!(said.contains(&scene.refusal("secret-password", "bob")), "{said}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn whoever_changes_what_runs_has_launched_it() -> anyhow::Result<()> {
    with_scene(async |scene| {
        let carol = scene.bobs.person("carol").await?;
        scene.share_with_bob().await?;
        let mut deployment = objects::deployment("deployment", &scene.template());
        deployment["spec"]["replicas"] = json!(0);
        scene.allowed(&scene.bob, &deployment).await?;
        let as_carol: Api<k8s_openapi::api::apps::v1::Deployment> = Api::namespaced(carol.clone(), &scene.bobs.name);
        let change = async |spec: Value| {
            let patch = Patch::Strategic(json!({"spec": {"template": spec}}));
            as_carol.patch("deployment", &PatchParams::default(), &patch).await
        };
        let launched_by = async || {
            let stored = as_carol.get("deployment").await?;
            let metadata = stored.spec.context("no spec")?.template.metadata.unwrap_or_default();
            anyhow::Ok(metadata.annotations.unwrap_or_default().remove(BY))
        };
        change(json!({"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "2026-11-25T00:00:00Z"}}}))
            .await?;
        assert_eq!(launched_by().await?.as_deref(), Some("bob"));
        change(json!({"metadata": {"annotations": {BY: "alice"}}})).await?;
        assert_eq!(launched_by().await?.as_deref(), Some("bob"), "a stamp is not changed");
        let refused =
            change(json!({"spec": {"containers": [{"name": "main", "image": "registry.invalid/other"}]}})).await.err();
        let refused = refused.context("carol runs something else with it")?.to_string();
        ensure!(refused.contains(&scene.refusal("secret-password", "carol")), "{refused}");
        scene
            .alice
            .change("bobs", &json!({"subjects": [{"kind": "User", "name": "bob"}, {"kind": "User", "name": "carol"}]}))
            .await?;
        within(Duration::from_secs(10), "carol may", async || {
            let patch = json!({"spec": {"containers": [{"name": "main", "image": "registry.invalid/other"}]}});
            change(patch).await.map_err(|error| error.to_string())
        })
        .await?;
        assert_eq!(launched_by().await?.as_deref(), Some("carol"));
        Ok(())
    })
    .await
}

/// As Kueue starts a Job: it was suspended, and goes on where there is room.
#[tokio::test]
async fn who_decides_where_a_job_runs_has_not_launched_it() -> anyhow::Result<()> {
    with_scene(async |scene| {
        let kueue = "system:serviceaccount:kueue-system:kueue-controller-manager";
        let (kueue, carol) = (scene.bobs.person(kueue).await?, scene.bobs.person("carol").await?);
        scene.share_with_bob().await?;
        let mut job = objects::job("waits", &scene.template());
        job["spec"]["suspend"] = json!(true);
        scene.allowed(&scene.bob, &job).await?;
        let start = async |who: &Client| {
            let template = json!({"metadata": {"labels": {"queue": "a"}}, "spec": {"nodeSelector": {"pool": "gpu"}}});
            let jobs: Api<k8s_openapi::api::batch::v1::Job> = Api::namespaced(who.clone(), &scene.bobs.name);
            let patch = Patch::Merge(json!({"spec": {"suspend": false, "template": template}}));
            jobs.patch("waits", &PatchParams::default(), &patch).await
        };
        let said = start(&carol).await.err().context("carol started it")?.to_string();
        ensure!(said.contains(&scene.refusal("secret-password", "carol")), "{said}");
        start(&kueue).await?;
        let pod = scene.bobs.pod_of("waits").await?;
        assert_eq!(pod.annotations()[BY], "bob");
        assert_eq!(pod.spec.context("no spec")?.node_selector.unwrap_or_default()["pool"], "gpu");
        Ok(())
    })
    .await
}

/// All that the webhook has asked the API server of Secrets in alice's namespace, in order of the text: who may do what with which.
fn asked(scene: &Scene) -> anyhow::Result<Vec<Value>> {
    let log = std::fs::read_to_string(scene.alice.audit_log())?;
    let entries = log.lines().filter(|line| line.contains("subjectaccessreviews") && line.contains(&scene.alice.name));
    let questions = entries.map(|line| {
        let entry: Value = serde_json::from_str(line)?;
        let spec = &entry["requestObject"]["spec"];
        Ok((entry["user"]["username"] == WEBHOOK).then(|| spec.clone()))
    });
    let questions: Vec<Option<Value>> = questions.collect::<anyhow::Result<_>>()?;
    Ok(questions.into_iter().flatten().filter(|spec| spec["resourceAttributes"]["resource"] == "secrets").collect())
}

#[tokio::test]
async fn what_is_not_there_not_shared_and_not_for_you_are_refused_in_the_same_bytes_after_the_same_questions()
-> anyhow::Result<()> {
    with_scene(async |scene| {
        let bobs = scene.bobs.name.clone();
        let user = |name: &str| json!([{"kind": "User", "name": name}]);
        // Keys of one length each, so that the bytes can be the same but for the key.
        let cases = [
            ("key-none", false, None),
            ("key-kept", true, None),
            ("key-hers", true, Some(json!({"subjects": user("carol"), "namespaces": [bobs]}))),
            ("key-away", true, Some(json!({"subjects": user("bob"), "namespaces": ["elsewhere"]}))),
            ("key-here", true, Some(json!({"subjects": user("bob")}))),
            (
                "key-past",
                true,
                Some(json!({"subjects": user("bob"), "namespaces": [bobs], "expiresAt": "2026-01-01T00:00:00Z"})),
            ),
            // A grant of a secret that is not there.
            ("key-soon", false, Some(json!({"subjects": user("carol"), "namespaces": [bobs]}))),
        ];
        let mut seen = Vec::new();
        for (key, is_there, fields) in &cases {
            if *is_there {
                scene.alice.secret(key).await?;
            }
            if let Some(fields) = fields {
                let mut fields = fields.clone();
                fields["secrets"] = json!([key]);
                scene.alice.share(key, &fields).await?;
                let reason = if !is_there {
                    "SecretNotFound"
                } else if *key == "key-past" {
                    "Expired"
                } else {
                    "Granted"
                };
                scene.alice.stands(key, reason).await?;
            }
            let template = objects::template(&[(ENV, &format!("A=secret:/{}/{key}", scene.alice.name))]);
            for object in [objects::pod("pod", &template), objects::job("job", &template)] {
                let before = asked(&scene)?.len();
                let said = scene.refused(&scene.bob, &object).await?;
                let mut questions = asked(&scene)?.split_off(before);
                questions.sort_by_key(Value::to_string);
                let questions = json!(questions).to_string();
                ensure!(said.contains(key) && questions.contains(key), "{key}: {said}: {questions}");
                let kind = object["kind"].to_string();
                seen.push((kind, *key, said.replace(key, "KEY"), questions.replace(key, "KEY")));
            }
        }
        for (kind, key, said, questions) in &seen {
            let of_kind = |other: &&(String, &str, String, String)| other.0 == *kind;
            let (_, _, first_said, first_questions) = seen.iter().find(of_kind).context("none")?;
            assert_eq!((said, questions), (first_said, first_questions), "{kind} {key}");
        }
        // Whoever launches it, and the account of its Pods: use or get.
        let questions: Vec<Value> = serde_json::from_str(&seen[0].3)?;
        assert_eq!(questions.len(), 4, "{questions:?}");
        Ok(())
    })
    .await
}
