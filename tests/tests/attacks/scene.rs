//! Where the attacks take place: alice's namespace with her secrets and grants, and bob's, where mallory may edit as well.

use anyhow::Context;
use apolo_tests::{
    attempts::{Attempt, Somebody, attempt, done},
    control_plane::ControlPlane,
    eventually::eventually,
    namespace::Namespace,
    objects,
};
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::{Api, api::ListParams};
use serde_json::{Value, json};

pub(crate) const ENV: &str = "secrets.apolo.us/env";
pub(crate) const VOLUME: &str = "secrets.apolo.us/volume";
pub(crate) const BY: &str = "secrets.apolo.us/launched-by";
pub(crate) const GROUPS: &str = "secrets.apolo.us/launched-by-groups";
pub(crate) const GATE: &str = "secrets.apolo.us/delivery";

/// What alice keeps secret.
pub(crate) const VALUE: &str = "hunter2-of-alice";
/// Her secrets: shared with bob, with the group ml-team, with bob's account `trainer`, with her own account of that name, and
/// with nobody. All are for use in bob's namespace.
pub(crate) const BOBS: &str = "bobs";
pub(crate) const TEAMS: &str = "teams";
pub(crate) const TRAINERS: &str = "trainers";
pub(crate) const HER_TRAINERS: &str = "her-trainers";
pub(crate) const HERS: &str = "hers";

pub(crate) struct Scene {
    pub(crate) alice: Namespace,
    pub(crate) bobs: Namespace,
    /// May edit in his namespace.
    pub(crate) bob: Somebody,
    /// The same, but nothing is shared with her.
    pub(crate) mallory: Somebody,
    /// The same, in ml-team.
    pub(crate) carol: Somebody,
}

/// Runs `body` in two namespaces of a cluster, when all grants act.
pub(crate) async fn with_scene<T>(
    control_plane: &ControlPlane,
    body: impl AsyncFnOnce(Scene) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    control_plane
        .with_namespace(async |alice| {
            control_plane.with_namespace(async |bobs| body(Scene::new(alice, bobs).await?).await).await
        })
        .await
}

impl Scene {
    async fn new(alice: Namespace, bobs: Namespace) -> anyhow::Result<Self> {
        for name in ["bob", "mallory", "carol"] {
            bobs.person(name).await?;
        }
        let person = |name: &str, groups: &[&str]| Somebody::new(&bobs.client, name, groups);
        let (bob, mallory, carol) = (person("bob", &[]), person("mallory", &[]), person("carol", &["ml-team"]));
        let scene = Self { alice, bobs, bob, mallory, carol };
        scene.share().await?;
        Ok(scene)
    }

    async fn share(&self) -> anyhow::Result<()> {
        let account = |namespace: &str| json!({"kind": "ServiceAccount", "name": "trainer", "namespace": namespace});
        // The webhook hears of them in this order.
        for (key, subject) in [
            (HER_TRAINERS, account(&self.alice.name)),
            (TEAMS, json!({"kind": "Group", "name": "ml-team"})),
            (TRAINERS, account(&self.bobs.name)),
            (BOBS, json!({"kind": "User", "name": "bob"})),
        ] {
            self.share_with(key, &subject).await?;
        }
        self.keep(HERS).await?;
        for namespace in [&self.alice, &self.bobs] {
            let trainer = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "trainer"}});
            namespace.create(&trainer).await?;
        }
        for (who, key, account) in
            [(&self.bob, BOBS, "default"), (&self.carol, TEAMS, "default"), (&self.mallory, TRAINERS, "trainer")]
        {
            let mut pod = objects::pod("probe", &self.template(key));
            pod["spec"]["serviceAccountName"] = json!(account);
            self.is_allowed(who, &pod).await.with_context(|| format!("the grant of {key}"))?;
        }
        Ok(())
    }

    /// Keeps a secret for alice, and shares it with somebody in bob's namespace.
    pub(crate) async fn share_with(&self, key: &str, subject: &Value) -> anyhow::Result<()> {
        self.keep(key).await?;
        let spec = json!({"secrets": [key], "access": "Use", "subjects": [subject], "namespaces": [self.bobs.name]});
        Ok(self.alice.share(key, &spec).await?)
    }

    /// Keeps a secret for alice, which is shared with nobody.
    pub(crate) async fn keep(&self, key: &str) -> anyhow::Result<()> {
        let secret =
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": key}, "stringData": {key: VALUE}});
        self.alice.create(&secret).await?;
        Ok(())
    }

    /// Waits until somebody may create an object in bob's namespace, without creating it.
    pub(crate) async fn is_allowed(&self, who: &Somebody, object: &Value) -> anyhow::Result<()> {
        let allowed = async || match who.dry_create(&self.bobs.name, object).await {
            Ok(outcome) => outcome.map(drop),
            Err(error) => Err(format!("{error:#}")),
        };
        Ok(eventually("it is allowed", allowed).await?)
    }

    /// Does what is to be there for an attack.
    pub(crate) async fn given(&self, who: &Somebody, object: &Value) -> anyhow::Result<Value> {
        done(who.create(&self.bobs.name, object)).await.with_context(|| object.to_string())
    }

    /// An annotation that asks for one of alice's secrets.
    pub(crate) fn item(&self, key: &str) -> String {
        format!("PASSWORD=secret:/{}/{key}", self.alice.name)
    }

    /// A template that asks for it.
    pub(crate) fn template(&self, key: &str) -> Value {
        objects::template(&[(ENV, &self.item(key))])
    }

    /// The same, of an entry that is not there yet: its Pods wait for as long as a test takes.
    pub(crate) fn waiting(&self, key: &str) -> Value {
        self.template(&format!("{key}#later"))
    }

    /// The same, which says who has launched it.
    pub(crate) fn stamped(&self, key: &str, user: &str, groups: &str) -> Value {
        objects::template(&[(ENV, &self.item(key)), (BY, user), (GROUPS, groups)])
    }

    /// What is said to somebody with whom it is not shared.
    pub(crate) fn refusal(&self, subject: &str, key: &str) -> String {
        let (alice, bobs) = (&self.alice.name, &self.bobs.name);
        format!(
            "{subject} may not use secret:/{alice}/{key} in namespace {bobs}: there is none, or it is not shared with"
        )
    }

    /// An account of bob's namespace as a refusal names it.
    pub(crate) fn account(&self, name: &str) -> String {
        format!("serviceaccount:{}/{name}", self.bobs.name)
    }

    /// Somebody of this name, whom RBAC forbids nothing.
    pub(crate) fn almighty(&self, name: &str) -> Somebody {
        Somebody::with_all_rights(&self.bobs.client, name, &[])
    }

    /// One of Kubernetes' own controllers.
    pub(crate) fn controller(&self, name: &str) -> Somebody {
        self.almighty(&format!("system:serviceaccount:kube-system:{name}"))
    }
}

/// The path of an object of Kubernetes' core in bob's namespace.
pub(crate) fn core(scene: &Scene, kind: &str, name: &str) -> String {
    apolo_tests::attempts::path(&scene.bobs.name, kind, "v1", name)
}

/// Creates a workload: done if it has a Pod, refused if an Event says why its controller could not make one.
pub(crate) fn made_by_controller(scene: &Scene, who: &Somebody, object: &Value) -> Attempt {
    let (bobs, create) = (scene.bobs.clone(), who.create(&scene.bobs.name, object));
    let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    attempt(async move {
        if let Err(refused) = create.await? {
            return Ok(Err(refused));
        }
        let events: Api<Event> = bobs.api();
        let pods: Api<Pod> = bobs.api();
        let seen = async || {
            let failed = format!("reason=FailedCreate,involvedObject.name={name}");
            let told = events.list(&ListParams::default().fields(&failed)).await.map_err(|error| error.to_string())?;
            if let Some(said) = told.items.into_iter().find_map(|event| event.message) {
                return Ok(Err(said));
            }
            let made = pods.list(&ListParams::default().labels(&format!("app={name}"))).await;
            let made = made.map_err(|error| error.to_string())?;
            if made.items.is_empty() { Err("no Pod and no Event".to_owned()) } else { Ok(Ok(Value::Null)) }
        };
        Ok(eventually(&format!("the controller of {name} makes a Pod, or says why not"), seen).await?)
    })
}
