//! What is measured on: a control plane with the chart, our webhook and the floor as processes, the lanes, and alice, who shares her
//! secrets with bob.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use apolo_tests::webhook::Webhook;
use bytes::Bytes;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::lanes::{self, ALL, FLOOR, HOOKS, NONE, OURS, PEER, SAME};
use super::pods;
use crate::grants::flight::{WIDTH, fly};
use crate::grants::ground::{Ground, put};
use crate::grants::objects::VERSION;
use crate::server::Server;
use crate::usage::Usage;

/// Who owns the secrets that are shared, and who launches the Pods.
pub(super) const ALICE: &str = "alice";
pub(super) const BOB: &str = "bob";
/// How many secrets alice shares with him, by one grant.
pub(super) const SHARED: usize = 64;
/// How long the API server may take to hear of something.
const DEADLINE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(50);
/// An answer that allows; the floor puts the UID of the review in.
const ALLOWED: &str = r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"00000000-0000-0000-0000-000000000000","allowed":true}}"#;

/// All that is measured on.
pub(super) struct Scene {
    pub(super) ground: Ground,
    pub(super) bob: Client,
    /// The account that bob's Pods in [`OURS`] run as, when it launches a Pod itself.
    pub(super) account: Client,
    /// The typical Pod, and the same with one shared secret.
    pub(super) typical: Value,
    pub(super) shared: Value,
    pub(super) webhook: Usage,
    pub(super) floor: Usage,
    pub(super) peer: Option<Usage>,
    _servers: (Webhook, Server, Option<Server>),
}

impl Scene {
    /// Starts and makes all of it; the peer, if its program is given.
    pub(super) async fn new(folder: &Path, peer: Option<&Path>) -> anyhow::Result<Self> {
        let ground = Ground::new(folder).await?;
        let mut controller = ground.controller().await?;
        make_people(&ground).await?;
        controller.stop().await?;
        for lane in ALL {
            list(&ground, lane).await?;
        }
        let typical = pods::of_file(&ground.control_plane, "typical")?;
        let shared = pods::sharing(&typical, &format!("/{ALICE}/{}", secret(0)))?;
        let bob = ground.control_plane.user(BOB, &[]).await?;
        let webhook = ground.control_plane.install().await?;
        let answers = folder.join("answers");
        fs::create_dir_all(&answers)?;
        fs::write(answers.join("allowed"), ALLOWED)?;
        for (lane, pod) in SAME.into_iter().zip([&typical, &shared]) {
            let answer = patched(&ground, &bob, &webhook.url, pod).await?;
            fs::write(answers.join(lanes::answer(lane, "mutate")), answer)?;
        }
        let floor = start_floor(folder, &answers)?;
        let kubeconfig = folder.join("kubeconfig");
        let peer = peer.map(|program| Server::start(program, [folder], &kubeconfig)).transpose()?;
        let url = |server: &Server| format!("https://{}", server.address);
        lanes::lay(&ground.client, &url(&floor), peer.as_ref().map(url).as_deref()).await?;
        let scene = Self {
            account: ground.control_plane.service_account(OURS, "default").await?,
            webhook: Usage::of_id(webhook.id()),
            floor: floor.usage,
            peer: peer.as_ref().map(|peer| peer.usage),
            _servers: (webhook, floor, peer),
            ground,
            bob,
            typical,
            shared,
        };
        scene.stands().await?;
        Ok(scene)
    }

    /// Deletes the Pods of all lanes.
    pub(super) async fn clear(&self) -> anyhow::Result<()> {
        let clear = |lane: &str| {
            let pods: Api<Pod> = Api::namespaced(self.ground.client.clone(), lane);
            let now = DeleteParams::default().grace_period(0);
            async move { pods.delete_collection(&now, &ListParams::default()).await.map(drop).context("clearing a lane") }
        };
        fly(WIDTH, ALL.map(clear)).await?;
        Ok(())
    }

    /// How many decisions about Pods our webhook has counted.
    pub(super) async fn decisions(&self) -> anyhow::Result<f64> {
        let all = self.ground.control_plane.webhook_metrics().await?;
        let counts = all.lines().filter(|line| line.starts_with("apolo_admission_decisions_total{"));
        Ok(counts.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum())
    }

    /// Waits until a Pod is taken.
    pub(super) async fn taken(&self, lane: &str, by: &Client, pod: &Value) -> anyhow::Result<Value> {
        let began = Instant::now();
        loop {
            match dry(by, lane, pod).await {
                Ok(taken) => return Ok(taken),
                Err(error) if began.elapsed() > DEADLINE => return Err(error),
                Err(_) => sleep(LOOK).await,
            }
        }
    }

    /// Waits until each lane does what it is for.
    async fn stands(&self) -> anyhow::Result<()> {
        for pod in [&self.typical, &self.shared] {
            self.taken(OURS, &self.account, pod).await.context("by the account")?;
            for lane in ALL {
                // It knows nothing of shared secrets.
                if lane == PEER && (self.peer.is_none() || pod == &self.shared) {
                    continue;
                }
                let began = Instant::now();
                let is_shaped = ![NONE, FLOOR].contains(&lane);
                while is_stamped(&self.taken(lane, &self.bob, pod).await.context(lane)?) != is_shaped {
                    ensure!(began.elapsed() < DEADLINE, "lane {lane} is not what it should be");
                    sleep(LOOK).await;
                }
            }
        }
        let before = self.floor.cpu_of_threads()?;
        dry(&self.bob, FLOOR, &self.typical).await?;
        ensure!(self.floor.cpu_of_threads()? > before, "the floor is not asked");
        Ok(())
    }
}

/// The name of a secret of alice's.
pub(super) fn secret(number: usize) -> String {
    format!("secret-{number}")
}

/// A grant of secrets for use in the lanes of our hooks, to these subjects.
pub(super) fn grant(name: &str, secrets: &[String], subjects: &[Value]) -> Value {
    json!({
        "apiVersion": VERSION, "kind": "SecretGrant", "metadata": {"name": name},
        "spec": {"secrets": secrets, "access": "Use", "subjects": subjects, "namespaces": [HOOKS, OURS]},
    })
}

/// The subjects of alice's grant.
pub(super) fn bob_and_account() -> [Value; 2] {
    [json!({"kind": "User", "name": BOB}), json!({"kind": "ServiceAccount", "name": "default", "namespace": OURS})]
}

/// The lanes, in which bob and the accounts may create Pods, and alice's secrets.
async fn make_people(ground: &Ground) -> anyhow::Result<()> {
    let namespaces: Api<Namespace> = Api::all(ground.client.clone());
    for lane in ALL {
        ground.namespace(lane, std::iter::empty()).await?;
        let labels = json!({"metadata": {"labels": lanes::labels(lane)}});
        namespaces.patch(lane, &PatchParams::default(), &Patch::Merge(labels)).await?;
        kubectl(ground, &["create", "role", "launcher", "--verb=create", "--resource=pods", "-n", lane])?;
        let account = format!("--serviceaccount={lane}:default");
        kubectl(ground, &["create", "rolebinding", "launcher", "--role=launcher", "--user=bob", &account, "-n", lane])?;
        kubectl(ground, &["wait", "--for=create", "--timeout=60s", "serviceaccount/default", "-n", lane])?;
    }
    let secrets: Vec<String> = (0..SHARED).map(secret).collect();
    ground.namespace(ALICE, secrets.iter().cloned()).await?;
    put(&ground.grants(ALICE), grant("bob", &secrets, &bob_and_account())).await?;
    ground.all_ready(Some(ALICE), 1).await
}

/// Writes a lane's catalog as one that does not list all there is: what its Pods ask for is not there, and usually that would be, so
/// that nobody is to be warned of it.
async fn list(ground: &Ground, lane: &str) -> anyhow::Result<()> {
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("secrets.apolo.us", "v1alpha1", "SecretCatalog"));
    let catalogs: Api<DynamicObject> = Api::namespaced_with(ground.client.clone(), lane, &kind);
    let catalog = json!({"apiVersion": VERSION, "kind": "SecretCatalog", "metadata": {"name": "secrets"}});
    put(&catalogs, catalog).await?;
    let status = Patch::Merge(json!({"status": {"truncated": 1}}));
    catalogs.patch_status("secrets", &PatchParams::default(), &status).await.context("a catalog's status")?;
    Ok(())
}

fn start_floor(folder: &Path, answers: &Path) -> anyhow::Result<Server> {
    let program = std::env::current_exe()?.with_file_name("apolo-bench-floor");
    let arguments = [
        "--with-uid".to_owned(),
        format!("--answers={}", answers.display()),
        format!("--tls-cert-file={}", folder.join("webhook.crt").display()),
        format!("--tls-private-key-file={}", folder.join("webhook.key").display()),
    ];
    Server::start(&program, arguments, &folder.join("kubeconfig"))
}

/// What our webhook answers when bob creates this Pod.
async fn patched(ground: &Ground, bob: &Client, url: &str, pod: &Value) -> anyhow::Result<Bytes> {
    let resource = json!({"group": "", "version": "v1", "resource": "pods"});
    // As it reaches a hook.
    let pod = pods::asking_as(&dry(bob, NONE, &pods::asking_as(pod, &json!({}))).await?, pod);
    let review = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "00000000-0000-0000-0000-000000000000", "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": resource, "operation": "CREATE", "namespace": OURS,
            "userInfo": {"username": BOB, "groups": ["system:authenticated"]},
            "object": pod,
        },
    });
    let address: SocketAddr = url.trim_start_matches("https://").parse().context("where the webhook is")?;
    let client = crate::client::Client::new(&ground.control_plane.authority().pair().certificate)?;
    let answer = client.post(address, "/pods/mutate", Bytes::from(review.to_string())).await?;
    let told: Value = serde_json::from_slice(&answer.body).context("no JSON")?;
    ensure!(told.pointer("/response/patch").is_some(), "no patch: {told}");
    Ok(answer.body)
}

async fn dry(by: &Client, lane: &str, pod: &Value) -> anyhow::Result<Value> {
    let url = format!("/api/v1/namespaces/{lane}/pods?dryRun=All");
    let body = pods::named(pod, "dry").to_string();
    let request = http::Request::post(url).header("content-type", "application/json").body(body.into_bytes())?;
    Ok(by.request::<Value>(request).await?)
}

fn is_stamped(pod: &Value) -> bool {
    pod.pointer("/metadata/annotations/secrets.apolo.us~1launched-by").is_some()
}

fn kubectl(ground: &Ground, arguments: &[&str]) -> anyhow::Result<()> {
    let output = ground.control_plane.kubectl(arguments).output().context("running kubectl")?;
    ensure!(output.status.success(), "kubectl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
