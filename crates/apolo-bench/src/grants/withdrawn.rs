//! S10: from the moment in which a grant is withdrawn to the one in which nobody has access by it.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use super::GrantsArgs;
use super::access::Access;
use super::bare::Bare;
use super::flight::{WIDTH, fly};
use super::ground::{BARE, Ground, put};
use super::objects::{OTHER, PERSON, grant};
use crate::machine::say;
use crate::statistics::Times;
use crate::table::{self, row};
use crate::usage::Usage;

/// The namespace of the grants.
const OWNER: &str = "olivia";
/// How long after the first of them the grants begin to expire, and how long after each the next.
const AHEAD: Duration = Duration::from_secs(10);
const APART: Duration = Duration::from_millis(25);
/// How many grants are withdrawn in the first seconds after the definition.
const AT_ONCE: usize = 20;

/// How a grant is withdrawn.
#[derive(Clone, Copy, Debug, PartialEq)]
enum How {
    Deleted,
    SubjectRemoved,
    AccessLowered,
}

/// Measures, and prints S10.
pub(super) async fn measure(args: &GrantsArgs, ground: &mut Ground) -> anyhow::Result<()> {
    let mut controller = ground.controller().await?;
    ground.namespace(OWNER, (0..args.times).map(secret)).await?;
    ground.secrets(BARE, [secret(args.times)].into_iter()).await?;
    let mut rows = vec![row(["from sent to", "ms p50", "p99", "worst", "ours / bare, p50", "goal"])];
    let mut line = |what: &str, ours: &Times, bare: Option<&Times>| {
        let goal = bare.map(|bare| {
            format!("{}; p99 {}", table::at_most(3.0, ours.p50 / bare.p50), table::at_most(100.0, ours.p99))
        });
        rows.push(ours.row(what, bare, goal.unwrap_or_default()));
    };
    let mut floor = None;
    for (how, what) in [
        (How::Deleted, "grant deleted: refused"),
        (How::SubjectRemoved, "a subject removed: he is refused"),
        (How::AccessLowered, "Read made Use: get is refused"),
    ] {
        say(&format!("S10: {} grants, one after another: {what}", args.times));
        let (ours, bare) = withdrawn(args, ground, how).await?;
        let bare = floor.get_or_insert_with(|| {
            line("bare: deleting a RoleBinding is answered", &bare, None);
            bare
        });
        line(what, &ours, Some(bare));
    }
    say("S10: expiry");
    line("expiresAt: refused", &expired(args, ground).await?, floor.as_ref());
    say("S10: with the controller-manager stopped");
    let manager = Usage::of_program(&ground.control_plane.bin().join("kube-controller-manager"))?.id();
    signal(manager, "STOP")?;
    let outcome = withdrawn(args, ground, How::Deleted).await;
    signal(manager, "CONT")?;
    let (ours, bare) = outcome?;
    line("grant deleted, controller-manager stopped", &ours, Some(&bare));
    controller.stop().await?;
    say("S10: in the first seconds after the definition");
    let (times, took) = after_definition(ground).await?;
    let what =
        format!("grant deleted, {:.1} to {:.1} s after the definition", took.0.as_secs_f64(), took.1.as_secs_f64());
    line(&what, &times, floor.as_ref());
    ground.clear(BARE).await?;
    table::print("S10  from withdrawal to refusal", &rows);
    Ok(())
}

fn secret(number: usize) -> String {
    format!("secret-{number}")
}

fn name(number: usize) -> String {
    format!("grant-{number}")
}

/// Withdraws grants in one way, and deletes as many RoleBindings that no controller made, in turn.
async fn withdrawn(args: &GrantsArgs, ground: &Ground, how: How) -> anyhow::Result<(Times, Times)> {
    prepare(args.times, ground, |number| grant(&name(number), &secret(number), &[PERSON, OTHER])).await?;
    let bare = Bare::new(&ground.client, BARE);
    fly(
        WIDTH,
        (0..args.times).map(|number| {
            let bare = bare.clone();
            async move { bare.give(&name(number), &secret(number)).await }
        }),
    )
    .await?;
    let api = ground.grants(OWNER);
    let mut access = Access::watch(&ground.client, OWNER).await?;
    let (mut ours, mut floor) = (Vec::new(), Vec::new());
    for number in 0..args.times {
        let (name, secret) = (name(number), secret(number));
        let began = Instant::now();
        bare.withdraw(&name).await?;
        floor.push(began.elapsed());
        access.forget();
        let began = Instant::now();
        let merge = |spec: Value| Patch::Merge(json!({"spec": spec}));
        let params = PatchParams::default();
        match how {
            How::Deleted => drop(api.delete(&name, &DeleteParams::background()).await?),
            How::SubjectRemoved => {
                drop(api.patch(&name, &params, &merge(json!({"subjects": [{"kind": "User", "name": OTHER}]}))).await?);
            }
            How::AccessLowered => drop(api.patch(&name, &params, &merge(json!({"access": "Use"}))).await?),
        }
        let kind = if how == How::AccessLowered { "Role" } else { "RoleBinding" };
        let at = access.until(kind, &name, (PERSON, "get", &secret), false).await?;
        ours.push(at.duration_since(began));
    }
    ground.clear(OWNER).await?;
    ground.clear(BARE).await?;
    Ok((Times::of(ours), Times::of(floor)))
}

/// Makes grants, and waits until all of them stand.
async fn prepare(count: usize, ground: &Ground, object: impl Fn(usize) -> Value) -> anyhow::Result<()> {
    let api = ground.grants(OWNER);
    fly(
        WIDTH,
        (0..count).map(|number| {
            let (api, object) = (api.clone(), object(number));
            async move { put(&api, object).await }
        }),
    )
    .await?;
    ground.all_ready(Some(OWNER), count).await
}

/// Times from the instant at which each grant expires.
async fn expired(args: &GrantsArgs, ground: &Ground) -> anyhow::Result<Times> {
    let (now, began) = (Timestamp::now(), Instant::now());
    let left = |number: usize| AHEAD + APART * u32::try_from(number).unwrap_or(u32::MAX);
    prepare(args.times, ground, |number| {
        let mut object = grant(&name(number), &secret(number), &[PERSON]);
        if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
            spec.insert("expiresAt".into(), json!((now + left(number)).to_string()));
        }
        object
    })
    .await?;
    let mut access = Access::watch(&ground.client, OWNER).await?;
    ensure!(began.elapsed() < AHEAD, "the first grants expired before all of them stood");
    let mut times = Vec::new();
    while times.len() < args.times {
        let role = access.next_of("RoleBinding").await?;
        let number: usize = role.rsplit('-').next().unwrap_or_default().parse().context("another RoleBinding")?;
        let at = access.answers((PERSON, "get", &secret(number)), false).await?;
        times.push(at.saturating_duration_since(began + left(number)));
    }
    ground.clear(OWNER).await?;
    Ok(Times::of(times))
}

/// Makes our kinds anew, and grants and withdraws at once: the garbage collector knows of neither. Also tells when after the
/// definition the first and the last were withdrawn.
async fn after_definition(ground: &Ground) -> anyhow::Result<(Times, (Duration, Duration))> {
    let definition = ["customresourcedefinition", "secretgrants.secrets.apolo.us"];
    kubectl(ground, &[&["delete"], definition.as_slice()].concat())?;
    let began = Instant::now();
    ground.control_plane.install_kinds().await?;
    let mut controller = ground.controller().await?;
    let mut access = Access::watch(&ground.client, OWNER).await?;
    let api = ground.grants(OWNER);
    let mut times = Vec::new();
    let (mut first, mut last) = (None, Duration::ZERO);
    for number in 0..AT_ONCE {
        let (name, secret) = (format!("new-{number}"), secret(number));
        put(&api, grant(&name, &secret, &[PERSON])).await?;
        access.until("RoleBinding", &name, (PERSON, "get", &secret), true).await?;
        access.forget();
        let sent = Instant::now();
        api.delete(&name, &DeleteParams::background()).await?;
        let at = access.until("RoleBinding", &name, (PERSON, "get", &secret), false).await?;
        times.push(at.duration_since(sent));
        last = began.elapsed();
        first.get_or_insert(last);
    }
    controller.stop().await?;
    Ok((Times::of(times), (first.unwrap_or_default(), last)))
}

fn kubectl(ground: &Ground, arguments: &[&str]) -> anyhow::Result<()> {
    let output = ground.control_plane.kubectl(arguments).output().context("running kubectl")?;
    ensure!(output.status.success(), "kubectl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

fn signal(id: u32, name: &str) -> anyhow::Result<()> {
    let sent = Command::new("kill").arg(format!("-{name}")).arg(id.to_string()).status().context("running kill")?;
    ensure!(sent.success(), "{name} could not be sent");
    Ok(())
}
