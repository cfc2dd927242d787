//! S8: cost against the number of grants, elsewhere and in the namespace of the owner, where RBAC goes through all bindings.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::AdmissionArgs;
use super::lanes::{FLOOR, OURS};
use super::pods;
use super::scene::{ALICE, BOB, Scene, grant, secret};
use super::turns::{self, Measured, Way};
use crate::grants::flight::{WIDTH, fly};
use crate::grants::ground::put;
use crate::machine::say;
use crate::statistics::Spread;
use crate::table::{self, row};

/// Somebody who has nothing to do with it, and an owner who shares much.
const OMAR: &str = "omar";
const OLIVIA: &str = "olivia";
/// What olivia shares with everybody, a grant each, and what she shares with bob alone.
const POPULAR: &str = "popular";
const RARE: &str = "rare";
/// How long the controller may take for all grants.
const DEADLINE: Duration = Duration::from_secs(600);
const LOOK: Duration = Duration::from_millis(100);
/// The account that bob's Pods run as.
const ACCOUNT: &str = "system:serviceaccount:ours:default";

/// Measures, and prints S8 as far as it is about grants.
pub(super) async fn measure(args: &AdmissionArgs, scene: &Scene) -> anyhow::Result<()> {
    let mut rows = vec![row([
        "a Pod with one shared secret",
        "ms",
        "the questions add",
        "one question: bob",
        "his account",
        "added / all four in turn",
        "ours, µs",
        "ours, MB",
    ])];
    let few = [("alice", ALICE, secret(0))];
    let measured = stage(args, scene, "0 grants elsewhere", &few).await?;
    rows.push(line(scene, &measured, "1 grant", "alice")?);
    crowd(args.most, scene, OMAR).await?;
    let measured = stage(args, scene, "grants elsewhere", &few).await?;
    rows.push(line(scene, &measured, &format!("1 grant, {} elsewhere", args.most), "alice")?);
    crowd(args.most, scene, OLIVIA).await?;
    let many =
        [("alice", ALICE, secret(0)), ("rare", OLIVIA, RARE.to_owned()), ("popular", OLIVIA, POPULAR.to_owned())];
    let measured = stage(args, scene, "grants in the owner's namespace", &many).await?;
    let twice = 2 * args.most;
    rows.push(line(scene, &measured, &format!("1 grant, {twice} elsewhere"), "alice")?);
    rows.push(line(scene, &measured, &format!("1 grant, {} of another secret of the owner", args.most), "rare")?);
    rows.push(line(scene, &measured, &format!("{} grants of the secret", args.most + 1), "popular")?);
    table::print("S8  cost against grants, ms", &rows);
    println!("  goal: ours flat; what RBAC makes of many bindings halved (added / all four in turn <= 0.5)");
    for (owner, secret) in [(ALICE, secret(0)), (OLIVIA, RARE.to_owned())] {
        at_once(args, scene, owner, &secret).await?;
    }
    Ok(())
}

/// Measures the Pods that ask for one of these secrets, and the questions about them.
async fn stage(
    args: &AdmissionArgs,
    scene: &Scene,
    what: &str,
    secrets: &[(&str, &str, String)],
) -> anyhow::Result<Measured> {
    let mut ways = vec![
        Way::pod("floor", FLOOR, &scene.bob, &scene.shared),
        Way::pod("typical floor", FLOOR, &scene.bob, &scene.typical),
        Way::pod("typical", OURS, &scene.bob, &scene.typical),
    ];
    for (name, owner, secret) in secrets {
        let pod = pods::sharing(&scene.typical, &format!("/{owner}/{secret}"))?;
        scene.taken(OURS, &scene.bob, &pod).await?;
        ways.push(Way::pod(*name, OURS, &scene.bob, &pod));
        for (who, user) in [(BOB, BOB), ("account", ACCOUNT)] {
            ways.push(Way::question(&format!("{name} {who}"), &scene.ground.client, user, owner, secret));
        }
    }
    turns::measure(&format!("S8: {what}"), scene, &ways, (args.rounds, args.times.div_ceil(2))).await
}

fn line(scene: &Scene, measured: &Measured, what: &str, name: &str) -> anyhow::Result<Vec<String>> {
    let added = measured.added(name, "typical");
    let questions = [BOB, "account"].map(|who| measured.time(&format!("{name} {who}")));
    let in_turn: f64 = questions.iter().map(|question| 2.0 * question.median).sum();
    let figure = |spread: &Spread| format!("{:.2}", spread.median);
    let [bob, account] = questions.each_ref().map(figure);
    Ok(vec![
        what.to_owned(),
        figure(&measured.time(name)),
        added.to_string(),
        bob,
        account,
        format!("{:.2}", added.median / in_turn),
        format!("{:.0}", measured.webhook(name).median),
        format!("{:.1}", scene.webhook.memory()?.now),
    ])
}

/// So many Pods, created 16 at a time by bob: questions that are equal and in flight are asked once.
async fn at_once(args: &AdmissionArgs, scene: &Scene, owner: &str, secret: &str) -> anyhow::Result<()> {
    let pod = pods::sharing(&scene.typical, &format!("/{owner}/{secret}"))?;
    let way = Way::pod("at once", OURS, &scene.bob, &pod);
    let (mut asked, mut rates) = (Vec::new(), Vec::new());
    for _ in 0..args.rounds {
        let (before, began) = (questions_asked(scene).await?, Instant::now());
        let create = |number| {
            let way = way.clone();
            async move { way.create(number).await }
        };
        fly(WIDTH, (0..args.times).map(create)).await?;
        rates.push(args.times as f64 / began.elapsed().as_secs_f64());
        asked.push((questions_asked(scene).await? - before) / args.times as f64);
        scene.clear().await?;
    }
    let (asked, rates) = (Spread::of(&asked), Spread::of(&rates));
    println!(
        "  {WIDTH} Pods at a time that ask for secret:/{owner}/{secret}: {rates} a second, {asked} questions each (alone: 4)"
    );
    Ok(())
}

/// How many SubjectAccessReviews the API server has answered.
async fn questions_asked(scene: &Scene) -> anyhow::Result<f64> {
    let request = http::Request::get("/metrics").body(Vec::new())?;
    let all = scene.ground.client.request_text(request).await?;
    let is_one = |line: &&str| {
        line.starts_with("apiserver_request_total{") && line.contains(r#"resource="subjectaccessreviews""#)
    };
    Ok(all.lines().filter(is_one).filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum())
}

/// An owner who shares one secret with so many people, a grant each, and two with bob.
async fn crowd(count: usize, scene: &Scene, owner: &str) -> anyhow::Result<()> {
    say(&format!("S8: {count} grants of {owner}"));
    let ground = &scene.ground;
    ground.namespace(owner, [POPULAR, RARE].map(str::to_owned).into_iter()).await?;
    let mut controller = ground.controller().await?;
    let api = ground.grants(owner);
    let people = (0..count).map(|number| grant_of(&format!("person-{number}"), POPULAR));
    let all = people.chain([grant_of("bob", POPULAR), pods::named(&grant_of("bob", RARE), "bob-rare")]);
    fly(
        WIDTH,
        all.map(|object| {
            let api = api.clone();
            async move { put(&api, object).await }
        }),
    )
    .await?;
    let (began, told) = (Instant::now(), r#"apolo_writes_total{operation="status",object="SecretGrant"}"#);
    while controller.metric(told).await?.unwrap_or_default() < (count + 2) as f64 {
        ensure!(began.elapsed() < DEADLINE, "the grants of {owner} do not come to stand");
        sleep(LOOK).await;
    }
    controller.stop().await.context("stopping the controller")
}

fn grant_of(person: &str, secret: &str) -> Value {
    grant(person, &[secret.to_owned()], &[json!({"kind": "User", "name": person})])
}
