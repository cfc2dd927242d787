//! R8: honest requests while strangers attack the port, and what the server needs meanwhile.

use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use super::MeasureArgs;
use crate::attack::Attack;
use crate::honest::{Honest, Served};
use crate::machine::say;
use crate::review::Review;
use crate::server::Server;
use crate::site::{Contender, Site};
use crate::statistics::percentile;
use crate::table::{self, row};
use crate::usage::Usage;

const MOST_MEGABYTES: f64 = 64.0;
const MOST_MILLIS: f64 = 250.0;

/// How long an attack has begun before it is measured.
const LEAD: Duration = Duration::from_secs(2);

/// What was measured during one attack on one server.
struct Outcome {
    served: Served,
    /// MB.
    peak: f64,
    /// Of one core, in percent: the server, and the attackers.
    cpu: (f64, f64),
    /// What the attackers did.
    told: String,
}

/// Attacks the webhook and the floor in turn, and prints R8.
pub(super) async fn measure(args: &MeasureArgs, site: &Site, typical: &Review) -> anyhow::Result<()> {
    let (webhook, _) = site.start(Contender::Webhook, typical).await?;
    site.keep_answers(&webhook, std::slice::from_ref(typical)).await?;
    drop(webhook);
    let mut rows = vec![row(["attack", "p50 ms", "p99 ms", "F", "errors", "peak MB", "F", "CPU %", "theirs", "holds"])];
    let (mut done, mut broken) = (Vec::new(), Vec::new());
    let attacks = if args.attack.is_empty() { &Attack::ALL[..] } else { &args.attack };
    for attack in std::iter::once(None).chain(attacks.iter().copied().map(Some)) {
        let words = attack.map_or("none", |attack| attack.plan().words);
        say(&format!("R8: {words}"));
        let ours = take(args, site, typical, Contender::Webhook, attack).await?;
        // A floor without bounds would keep all of these.
        let floor = match attack {
            Some(Attack::EndlessBodies) => None,
            _ => Some(take(args, site, typical, Contender::Floor, attack).await?),
        };
        let (p50, p99) = (percentile(&ours.served.latencies, 50), percentile(&ours.served.latencies, 99));
        let of_floor = |figure: fn(&Outcome) -> f64, digits| {
            floor.as_ref().map_or("-".to_owned(), |floor| format!("{:.digits$}", figure(floor)))
        };
        let holds = p99 <= MOST_MILLIS && ours.peak <= MOST_MEGABYTES && ours.served.errors == 0;
        rows.push(vec![
            words.to_owned(),
            format!("{p50:.1}"),
            format!("{p99:.1}"),
            of_floor(|floor| percentile(&floor.served.latencies, 99), 1),
            format!("{} of {}", ours.served.errors, ours.served.latencies.len()),
            format!("{:.1}", ours.peak),
            of_floor(|floor| floor.peak, 0),
            format!("{:.0}", ours.cpu.0),
            format!("{:.0}", ours.cpu.1),
            if holds { "yes" } else { "no" }.to_owned(),
        ]);
        if !holds {
            broken.push(words);
        }
        done.push(format!("  {words}: {}", ours.told));
        done.extend(ours.served.first.map(|error| format!("    first error: {error}")));
    }
    let goals = format!("p99 <= {MOST_MILLIS} ms, peak <= {MOST_MEGABYTES} MB, 0 errors");
    table::print(&format!("R8  honest requests, 300 a second, under attack ({goals})"), &rows);
    println!("  F is the floor under the same attack; CPU in percent of one core, the server's and the attackers'");
    println!("{}", done.join("\n"));
    match broken.as_slice() {
        [] => println!("  R8 holds"),
        broken => println!("  R8 does not hold under: {}", broken.join("; ")),
    }
    Ok(())
}

/// One attack on a server of its own.
async fn take(
    args: &MeasureArgs,
    site: &Site,
    typical: &Review,
    contender: Contender,
    attack: Option<Attack>,
) -> anyhow::Result<Outcome> {
    let (server, _) = site.start(contender, typical).await?;
    let path = contender.path(typical);
    let right = site.ask(&server, contender, typical).await?.body;
    let honest = Honest {
        client: site.client.clone(),
        address: server.address,
        path: path.clone(),
        review: typical.bytes.clone(),
        right,
    };
    let time = Duration::from_secs_f64(args.attack_seconds);
    let Some(attack) = attack else {
        let (before, began) = (server.usage.cpu()?, Instant::now());
        let served = honest.ask(time).await;
        let cpu = percent(server.usage.cpu()? - before, began);
        return Ok(Outcome { served, peak: server.usage.memory()?.peak, cpu: (cpu, 0.0), told: "-".to_owned() });
    };
    let attackers = Command::new(std::env::current_exe()?)
        .args(["attack", &attack.name()])
        .arg(format!("--address={}", server.address))
        .arg(format!("--path={path}"))
        .arg(format!("--authority={}", site.authority_file.display()))
        .arg(format!("--seconds={}", (LEAD + time).as_secs_f64() + 0.5))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("starting the attackers")?;
    let usage = Usage::of(&attackers)?;
    let (served, cpu) = tokio::try_join!(async { Ok(under(&honest, time).await) }, cpu(&server, usage, time))?;
    let told = attackers.wait_with_output().await?;
    let told = String::from_utf8_lossy(&told.stdout).trim().to_owned();
    Ok(Outcome { served, peak: server.usage.memory()?.peak, cpu, told })
}

/// The honest requests of one attack, from a client that comes once the attack has begun.
async fn under(honest: &Honest, time: Duration) -> Served {
    sleep(LEAD).await;
    honest.ask(time).await
}

/// CPU time of the server and of the attackers meanwhile.
async fn cpu(server: &Server, attackers: Usage, time: Duration) -> anyhow::Result<(f64, f64)> {
    sleep(LEAD).await;
    let (before, began) = ((server.usage.cpu()?, attackers.cpu()?), Instant::now());
    sleep(time).await;
    Ok((percent(server.usage.cpu()? - before.0, began), percent(attackers.cpu()? - before.1, began)))
}

fn percent(used: Duration, began: Instant) -> f64 {
    used.as_secs_f64() / began.elapsed().as_secs_f64() * 100.0
}
