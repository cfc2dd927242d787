//! S9: from the moment in which a grant is sent to the one in which its subject has access.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use kube::Client;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use super::GrantsArgs;
use super::access::Access;
use super::bare::Bare;
use super::flight::{WIDTH, fly};
use super::ground::{BARE, Ground, put};
use super::objects::{PERSON, grant, role_name};
use crate::machine::say;
use crate::statistics::Times;
use crate::table::{self, row};

/// The namespace of the grants, and that of those who stand by while there is a storm in another.
const OWNER: &str = "alice";
const BYSTANDER: &str = "bystander";
/// How often a bystander grants something during a storm.
const BESIDE: Duration = Duration::from_millis(50);

/// Measures, and prints S9.
pub(super) async fn measure(args: &GrantsArgs, ground: &mut Ground) -> anyhow::Result<()> {
    let mut controller = ground.controller().await?;
    say(&format!("S9: {} grants, one after another, and as many bare", args.times));
    ground.namespace(OWNER, (0..args.times).map(secret)).await?;
    ground.secrets(BARE, (0..args.times).map(secret)).await?;
    let (ours, bare) = one_after_another(args, ground).await?;
    let mut rows = vec![
        row(["from sent to", "ms p50", "p99", "worst", "ours / bare, p50", "goal"]),
        bare.row("bare: Role and RoleBinding are answered", None, String::new()),
        ours.row("grant: its subject has access", Some(&bare), table::at_most(2.0, ours.p50 / bare.p50)),
    ];
    ground.namespace(BYSTANDER, (0..args.some).map(secret)).await?;
    for (name, width) in [("one", 1), ("many", WIDTH)] {
        say(&format!("S9: a storm of {} grants, {width} in flight", args.some));
        let namespace = format!("storm-{name}");
        ground.namespace(&namespace, (0..args.some).map(secret)).await?;
        let (storm, beside) = storm(args.some, width, ground, &namespace).await?;
        let what = format!("storm of {}, {width} in flight: RoleBinding", args.some);
        rows.push(storm.row(&what, Some(&bare), table::at_most(1e3, storm.p99)));
        let what = format!("  beside it, in another namespace ({}): access", beside.count);
        rows.push(beside.row(&what, Some(&bare), table::at_most(1e3, beside.p99)));
        ground.clear(&namespace).await?;
        ground.clear(BYSTANDER).await?;
    }
    controller.stop().await?;
    ground.clear(OWNER).await?;
    ground.clear(BARE).await?;
    table::print("S9  from grant to access", &rows);
    Ok(())
}

fn secret(number: usize) -> String {
    format!("secret-{number}")
}

async fn one_after_another(args: &GrantsArgs, ground: &Ground) -> anyhow::Result<(Times, Times)> {
    let api = ground.grants(OWNER);
    let bare = Bare::new(&ground.client, BARE);
    let mut access = Access::watch(&ground.client, OWNER).await?;
    let (mut ours, mut floor) = (Vec::new(), Vec::new());
    for number in 0..args.times {
        let (name, secret) = (format!("grant-{number}"), secret(number));
        let began = Instant::now();
        bare.give(&name, &secret).await?;
        floor.push(began.elapsed());
        access.forget();
        let began = Instant::now();
        put(&api, grant(&name, &secret, &[PERSON])).await?;
        let at = access.until("RoleBinding", &name, (PERSON, "get", &secret), true).await?;
        ours.push(at.duration_since(began));
    }
    Ok((Times::of(ours), Times::of(floor)))
}

/// Times of the grants of a storm, until a watch has heard of the RoleBinding of each, and of those that somebody else applies
/// meanwhile.
async fn storm(count: usize, width: usize, ground: &Ground, namespace: &str) -> anyhow::Result<(Times, Times)> {
    let api = ground.grants(namespace);
    let mut access = Access::watch(&ground.client, namespace).await?;
    let (stop, stopped) = mpsc::channel(1);
    let beside = tokio::spawn(beside(ground.client.clone(), stopped));
    let send = |number: usize| {
        let (api, name) = (api.clone(), format!("grant-{number}"));
        async move {
            let began = Instant::now();
            put(&api, grant(&name, &secret(number), &[PERSON])).await?;
            Ok((role_name(&name), began))
        }
    };
    let sending = fly(width, (0..count).map(send));
    let hearing = async {
        let mut heard = HashMap::new();
        while heard.len() < count {
            let news = access.next().await?;
            if news.kind == "RoleBinding" {
                heard.entry(news.name).or_insert(news.at);
            }
        }
        anyhow::Ok(heard)
    };
    let (sent, heard) = tokio::try_join!(sending, hearing)?;
    drop(stop);
    let times = sent.into_iter().filter_map(|(name, began)| Some(heard.get(&name)?.duration_since(began)));
    Ok((Times::of(times.collect()), beside.await??))
}

/// Grants something, and waits for access, every so often until it is told to stop.
async fn beside(client: Client, mut stopped: mpsc::Receiver<()>) -> anyhow::Result<Times> {
    let api = Ground::grants_by(&client, BYSTANDER);
    let mut access = Access::watch(&client, BYSTANDER).await?;
    let mut tick = interval(BESIDE);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut times = Vec::new();
    for number in 0.. {
        tokio::select! {
            _ = stopped.recv() => break,
            _ = tick.tick() => {}
        }
        let (name, secret) = (format!("grant-{number}"), secret(number));
        access.forget();
        let began = Instant::now();
        put(&api, grant(&name, &secret, &[PERSON])).await?;
        let at = access.until("RoleBinding", &name, (PERSON, "get", &secret), true).await?;
        times.push(at.duration_since(began));
    }
    Ok(Times::of(times))
}
