//! The API server does not tell the webhook what it asks: in doubt the answer is no, in words, and soon after all is right again.
#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use apolo_tests::{
    cluster::Cluster,
    eventually::{eventually, within},
    namespace::Namespace,
    objects,
    proxy::{Proxy, Trouble},
};
use http::StatusCode;
use kube::{Client, api::DeleteParams};
use serde_json::{Value, json};

const ENV: &str = "secrets.apolo.us/env";
/// When all is to be right again.
const SOON: Duration = Duration::from_secs(10);
/// How long the API server waits for a webhook.
const PATIENCE: Duration = Duration::from_secs(5);

struct Scene {
    alice: Namespace,
    bobs: Namespace,
    bob: Client,
    shared: Value,
}

impl Scene {
    /// Alice's secret is bob's to use. No controller runs: its Role is made here.
    async fn new(alice: Namespace, bobs: Namespace) -> anyhow::Result<Self> {
        let bob = bobs.person("bob").await?;
        let rbac = "rbac.authorization.k8s.io";
        let rule = json!({"apiGroups": [""], "resources": ["secrets"], "verbs": ["use"], "resourceNames": ["a"]});
        let role =
            json!({"apiVersion": format!("{rbac}/v1"), "kind": "Role", "metadata": {"name": "uses"}, "rules": [rule]});
        let user = json!({"apiGroup": rbac, "kind": "User", "name": "bob"});
        let binding = json!({"apiVersion": format!("{rbac}/v1"), "kind": "RoleBinding", "metadata": {"name": "uses"},
            "roleRef": {"apiGroup": rbac, "kind": "Role", "name": "uses"}, "subjects": [user]});
        for object in [role, binding] {
            alice.create(&object).await?;
        }
        let shared = objects::template(&[(ENV, &format!("A=secret:/{}/a", alice.name))]);
        let scene = Self { alice, bobs, bob, shared };
        scene.share("bobs").await?;
        scene.comes_to("it is allowed", Ok(())).await?;
        Ok(scene)
    }

    async fn share(&self, name: &str) -> anyhow::Result<()> {
        let user = json!([{"kind": "User", "name": "bob"}]);
        let fields = json!({"secrets": ["a"], "subjects": user, "namespaces": [self.bobs.name]});
        Ok(self.alice.share(name, &fields).await?)
    }

    /// What bob is told who creates a Pod of this template.
    async fn tried(&self, template: &Value) -> Result<(), String> {
        let mut pod = objects::pod("pod", template);
        pod["metadata"]["name"].take();
        pod["metadata"]["generateName"] = json!("pod-");
        self.bobs
            .create_as(&self.bob, &pod)
            .await
            .map(drop)
            .map_err(|error| format!("{:#}", anyhow::Error::from(error)))
    }

    async fn comes_to(&self, what: &str, wanted: Result<(), &str>) -> anyhow::Result<()> {
        let is_so = async || match (self.tried(&self.shared).await, wanted) {
            (Ok(()), Ok(())) => Ok(()),
            (Err(said), Err(words)) if said.contains(words) => Ok(()),
            (other, _) => Err(format!("{other:?}")),
        };
        Ok(within(SOON, what, is_so).await?)
    }

    /// What asks for another owner's secret is refused in these words, in time; what asks for its own is let in.
    async fn is_in_doubt(&self, words: &str) -> anyhow::Result<()> {
        let began = Instant::now();
        let said = self.tried(&self.shared).await.err().context("it was allowed")?;
        ensure!(began.elapsed() < PATIENCE, "the API server gave up first: {said}");
        let whether = "whether the Pod may use secrets of other owners cannot be known now";
        for words in [whether, words, "try again"] {
            ensure!(said.contains(words), "{words:?} is not in: {said}");
        }
        self.tried(&objects::template(&[(ENV, "A=secret:a")])).await.map_err(anyhow::Error::msg)
    }
}

#[tokio::test]
async fn what_the_api_server_does_not_tell_is_a_no() -> anyhow::Result<()> {
    let cluster = Cluster::start().await?;
    let proxy = Proxy::start(&cluster).await?;
    let _webhook = cluster.install_behind(&proxy).await?;
    let body = async |alice: Namespace, bobs: Namespace| {
        let scene = Scene::new(alice, bobs).await?;
        for (trouble, words) in [
            (Trouble::Late(Duration::from_secs(20)), "the API server did not answer within 4 s"),
            (Trouble::Refused(StatusCode::INTERNAL_SERVER_ERROR), "the proxy refuses"),
            (Trouble::Refused(StatusCode::TOO_MANY_REQUESTS), "the proxy refuses"),
            (Trouble::Refused(StatusCode::FORBIDDEN), "the proxy refuses"),
        ] {
            proxy.trouble(Some(trouble));
            scene.is_in_doubt(words).await.with_context(|| format!("{trouble:?}"))?;
            proxy.trouble(None);
            scene.comes_to("it is allowed again", Ok(())).await.with_context(|| format!("{trouble:?}"))?;
        }
        proxy.leave().await?;
        scene.is_in_doubt("").await.context("it is gone")?;
        // What happened in the meantime is heard of when it is back. RBAC would still say yes. The hook of grants is asked in vain as well.
        let said = scene.share("another").await.err().context("granted")?;
        ensure!(format!("{said:#}").contains("cannot be known now"), "{said:#}");
        scene.alice.grants().delete("bobs", &DeleteParams::default()).await?;
        proxy.come_back().await?;
        scene.comes_to("it is refused", Err("there is none, or it is not shared with bob")).await?;
        eventually("bob's is shared again", async || scene.share("bobs").await.map_err(|error| format!("{error:#}")))
            .await?;
        scene.comes_to("it is allowed again", Ok(())).await
    };
    cluster.with_namespace(async |alice| cluster.with_namespace(async |bobs| body(alice, bobs).await).await).await
}
