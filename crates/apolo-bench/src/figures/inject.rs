//! I1: what `apolo inject` costs where people wait for it, before a commit and in a pipeline.
//!
//! Beside it stand `cat`, which only reads and writes, and `kubectl kustomize`, which reads, understands and prints the same
//! manifests without a cluster and is what a pipeline runs anyway.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, ensure};

use super::MeasureArgs;
use crate::machine::say;
use crate::site::Site;
use crate::statistics::Spread;
use crate::table::{self, row};

/// How many manifests a large folder has.
const MANY: usize = 1000;
/// How often each command is run in a round, for one manifest and for many.
const RUNS: [(usize, usize); 2] = [(1, 20), (MANY, 3)];

/// Runs the commands in turn, and prints I1.
pub(super) fn measure(args: &MeasureArgs, site: &Site) -> anyhow::Result<()> {
    let apolo = site.program("apolo");
    ensure!(apolo.is_file(), "there is no {}: cargo build --release --package apolo-cli", apolo.display());
    let has_kubectl = Command::new("kubectl").arg("help").stdout(Stdio::null()).status().is_ok();
    let mut rows = vec![row(["manifests", "command", "ms", "x cat", "x kustomize"])];
    for (count, runs) in RUNS {
        say(&format!("I1: {count} manifests"));
        let folder = write(&args.folder, count)?;
        let apolo = apolo.display().to_string();
        let path = folder.display().to_string();
        let commands: Vec<(&str, Vec<String>)> = vec![
            ("cat", vec!["sh".into(), "-c".into(), format!("cat {path}/manifest-*.yaml")]),
            ("kubectl kustomize", vec!["kubectl".into(), "kustomize".into(), path.clone()]),
            ("apolo inject --check", vec![apolo.clone(), "inject".into(), "--check".into(), "-f".into(), path.clone()]),
            ("apolo inject", vec![apolo, "inject".into(), "-f".into(), path]),
        ];
        let commands: Vec<_> =
            commands.into_iter().filter(|(name, _)| has_kubectl || !name.starts_with("kubectl")).collect();
        let mut times: Vec<Vec<f64>> = vec![Vec::new(); commands.len()];
        for _ in 0..args.rounds * runs {
            for ((_, command), times) in commands.iter().zip(&mut times) {
                times.push(run(command)?);
            }
        }
        let of = |wanted: &str| commands.iter().position(|(name, _)| *name == wanted).and_then(|at| times.get(at));
        for ((name, _), measured) in commands.iter().zip(&times) {
            let ratio = |other: &str| of(other).map(|other| Spread::of_ratios(measured, other).to_string());
            let spread = Spread::of(measured);
            let cells = [ratio("cat"), ratio("kubectl kustomize")].map(Option::unwrap_or_default);
            rows.push([vec![count.to_string(), (*name).to_owned(), spread.to_string()], cells.to_vec()].concat());
        }
    }
    table::print("I1  apolo inject, from start to end", &rows);
    Ok(())
}

/// Writes so many Deployments that ask for secrets, and what kustomize wants to see beside them.
fn write(folder: &Path, count: usize) -> anyhow::Result<std::path::PathBuf> {
    let folder = folder.join(format!("manifests-{count}"));
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let mut resources = String::from("resources:\n");
    for number in 0..count {
        let name = format!("manifest-{number:04}.yaml");
        fs::write(folder.join(&name), manifest(number))?;
        resources.push_str(&format!("  - {name}\n"));
    }
    // Its name ends so that apolo takes it for none of its manifests.
    fs::write(folder.join("Kustomization"), resources)?;
    Ok(folder)
}

fn manifest(number: usize) -> String {
    include_str!("inject/deployment.yaml").replace("NUMBER", &number.to_string())
}

/// Milliseconds from the start of a command, which has to succeed, to its end.
fn run(command: &[String]) -> anyhow::Result<f64> {
    let (program, arguments) = command.split_first().context("no command")?;
    let began = Instant::now();
    let status = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    let took = began.elapsed().as_secs_f64() * 1e3;
    ensure!(status.with_context(|| format!("running {program}"))?.success(), "{program} failed");
    Ok(took)
}
