//! Namespaces that differ in who is asked about their Pods, and how the API server is told.

use anyhow::Context;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingAdmissionPolicyBinding, ValidatingWebhookConfiguration,
};
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::fmt::Debug;

/// Nobody.
pub(super) const NONE: &str = "none";
/// The floor, which allows all.
pub(super) const FLOOR: &str = "floor";
/// The floor, which answers with what ours makes of the typical Pod, and of the one with a shared secret.
pub(super) const SAME: [&str; 2] = ["same-typical", "same-shared"];
/// The peer, as its one hook.
pub(super) const PEER: &str = "peer";
/// Our hooks, and no policy.
pub(super) const HOOKS: &str = "hooks";
/// All that the chart has.
pub(super) const OURS: &str = "ours";
/// All of them.
pub(super) const ALL: [&str; 7] = [NONE, FLOOR, SAME[0], SAME[1], PEER, HOOKS, OURS];

/// The name of our configurations, and that of the floor's.
const CHART: &str = "apolo-secrets";
const BENCH: &str = "apolo-bench";
/// Labels of namespaces.
const HOOKED: &str = "apolo-bench/hooked";
const GUARDED: &str = "apolo-bench/guarded";

/// The labels of a lane.
pub(super) fn labels(lane: &str) -> Value {
    let hooked = if lane == OURS { HOOKS } else { lane };
    json!({HOOKED: hooked, GUARDED: lane})
}

/// Has the chart's hooks and policies look at their lanes only, and registers the floor and the peer, which serve at these URLs, for
/// theirs.
pub(super) async fn lay(client: &Client, floor: &str, peer: Option<&str>) -> anyhow::Result<()> {
    let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(client.clone());
    let guarded = json!({"spec": {"matchResources": {"namespaceSelector": {"matchLabels": {GUARDED: OURS}}}}});
    for binding in bindings.list(&ListParams::default()).await?.iter().filter(|it| it.name_any().starts_with(CHART)) {
        let params = PatchParams::default();
        bindings.patch(&binding.name_any(), &params, &Patch::Merge(&guarded)).await.context("a policy's binding")?;
    }
    let asked = |verb| [FLOOR, SAME[0], SAME[1]].map(|lane| (lane, format!("{floor}/{}", answer(lane, verb)))).to_vec();
    split::<ValidatingWebhookConfiguration>(client, asked("validate")).await?;
    let peer = peer.map(|peer| (PEER, format!("{peer}/mutate")));
    split::<MutatingWebhookConfiguration>(client, asked("mutate").into_iter().chain(peer).collect()).await
}

/// Narrows a configuration of the chart, and makes another of its hook for Pods, which asks somebody else in each of these lanes.
async fn split<K>(client: &Client, asked: Vec<(&str, String)>) -> anyhow::Result<()>
where
    K: Resource<DynamicType = ()> + Clone + Debug + Serialize + DeserializeOwned,
{
    let api: Api<K> = Api::all(client.clone());
    let mut ours = serde_json::to_value(api.get(CHART).await?)?;
    let hooks = ours.get_mut("webhooks").and_then(Value::as_array_mut).context("no hooks")?;
    let pods = hooks.iter().find(|hook| hook.get("name") == Some(&json!("pods.secrets.apolo.us")));
    let pods = pods.context("no hook for Pods")?.clone();
    for hook in hooks.iter_mut() {
        select(hook, HOOKS);
    }
    let asked: Vec<Value> = asked.into_iter().map(|(lane, url)| asking(&pods, lane, &url)).collect();
    let mut theirs = ours.clone();
    if let Some(theirs) = theirs.as_object_mut() {
        theirs.insert("metadata".to_owned(), json!({"name": BENCH}));
        theirs.insert("webhooks".to_owned(), json!(asked));
    }
    api.create(&Default::default(), &serde_json::from_value(theirs)?).await.context("registering the floor")?;
    api.replace(CHART, &Default::default(), &serde_json::from_value(ours)?).await.context("narrowing a hook")?;
    Ok(())
}

/// The chart's hook for Pods, but that it asks at this URL, and about the Pods of one lane.
fn asking(pods: &Value, lane: &str, url: &str) -> Value {
    let mut hook = pods.clone();
    select(&mut hook, lane);
    if let Some(hook) = hook.as_object_mut() {
        hook.insert("name".to_owned(), json!(format!("{lane}.apolo-bench.invalid")));
    }
    if let Some(asked) = hook.pointer_mut("/clientConfig/url") {
        *asked = json!(url);
    }
    hook
}

/// The name of the floor's answer to what a hook of a lane asks.
pub(super) fn answer(lane: &str, verb: &str) -> String {
    if verb == "mutate" && SAME.contains(&lane) { lane.to_owned() } else { "allowed".to_owned() }
}

fn select(hook: &mut Value, lane: &str) {
    if let Some(hook) = hook.as_object_mut() {
        hook.insert("namespaceSelector".to_owned(), json!({"matchLabels": {HOOKED: lane}}));
    }
}
