//! `apolo inject`: what the hooks would make of manifests, before any cluster sees them.
//!
//! It is the hooks' own code: files are read into [`object`]s, each object becomes an [`outcome`] (its mistakes, or the patch of
//! each of its Pod templates), and the outcomes are [`print`]ed into the files' own text.

mod locate;
mod object;
mod outcome;
mod print;
mod source;

use std::path::PathBuf;
use std::process::ExitCode;

use apolo_core::reference::Scope;
use apolo_core::workload::Table;
use apolo_manifest::Manifest;
use clap::{Args, ValueEnum};

use crate::context::Context;
use crate::exit::{FAILED, Failure};
use crate::output::Output;
use object::Object;
use outcome::{Outcome, Told};
use source::Source;

/// Show what becomes of manifests that ask for secrets, without a cluster
///
/// Pods, and the Pod templates of Jobs, Deployments and other workloads, get the volumes, mounts and variables that they would
/// get in a cluster with Apolo Secrets, so that they can be reviewed, or applied where it is not installed. Everything else, also
/// comments, order and quotes, is printed as it is. Nothing is printed if there is a mistake.
#[derive(Args)]
#[command(after_help = "\
Examples:
  apolo inject -f job.yaml                           # print it with its secrets
  apolo inject --check -f manifests/ -R              # only tell mistakes: exit 1 if there are any
  helm template my-chart | apolo inject -f - | kubectl apply -f -
  apolo inject -f job.yaml -o patch                  # what would be added, as JSON Patches

Exit codes: 0 all is right, 1 there are mistakes or a file cannot be read, 2 wrong usage, 3 a file is not there.")]
pub(crate) struct InjectArgs {
    /// Files and folders with manifests in YAML or JSON; `-` is standard input
    #[arg(short, long = "filename", required = true, num_args = 1.., value_name = "FILE")]
    filename: Vec<PathBuf>,

    /// Look into the folders of folders, too
    #[arg(short = 'R', long)]
    recursive: bool,

    /// Only tell mistakes, each with its file, line and column
    #[arg(long, conflicts_with = "output")]
    check: bool,

    /// How to print the result
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,

    /// File with rows of your own for the workload table, as `apolo-secrets webhook` has it
    #[arg(long, env = "APOLO_WORKLOADS", value_name = "FILE")]
    workloads: Option<PathBuf>,
}

/// How to print the result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// The files as they are, and what is added
    #[default]
    Yaml,
    /// The objects as JSON: one, or a List of several
    Json,
    /// A list with an object for each that gets something: which it is, and its JSON Patch (RFC 6902)
    Patch,
}

/// A file that was read, with what becomes of its objects.
struct File {
    name: String,
    manifest: Manifest,
    outcomes: Vec<Outcome>,
}

/// What was found in all files.
#[derive(Default)]
struct Findings {
    files: Vec<File>,
    mistakes: usize,
    unreadable: usize,
}

/// Reads the files, tells what is wrong with them, and prints what becomes of them.
pub(crate) fn run(args: &InjectArgs, context: &mut Context) -> Result<ExitCode, Failure> {
    let table = table(args)?;
    let (cluster, namespace) = (context.cluster_name().map(str::to_owned), context.namespace().map(str::to_owned));
    let scope = Scope { cluster: cluster.as_deref().unwrap_or("default"), namespace: namespace.as_deref() };
    let output = &mut context.output;
    let mut findings = Findings::default();
    for source in source::read(&args.filename, args.recursive)? {
        findings.add(source, &table, scope, output);
    }
    if findings.mistakes + findings.unreadable > 0 {
        output.error(&findings.wrong());
        return Ok(ExitCode::from(FAILED));
    }
    let printed = if args.check { Vec::new() } else { print::print(&findings.files, args.output)? };
    for (file, outcome) in findings.outcomes() {
        tell(output, file, &outcome.warnings, Output::warning);
        if !args.check {
            tell(output, file, &outcome.gets, Output::note);
        }
    }
    output.note(&findings.right());
    output.result(&printed)?;
    Ok(ExitCode::SUCCESS)
}

fn table(args: &InjectArgs) -> Result<Table, Failure> {
    let shipped = Table::shipped().map_err(|error| Failure::new(error.to_string()))?;
    let Some(file) = &args.workloads else { return Ok(shipped) };
    let text = source::text(file)?;
    let rows = shipped.with_own(&text);
    rows.map_err(|error| {
        Failure::new(format!("{}: {error}", file.display())).hint("docs/WORKLOADS.md shows how a row is written")
    })
}

impl Findings {
    fn add(&mut self, source: Source, table: &Table, scope: Scope<'_>, output: &mut Output) {
        let Source { name, bytes } = source;
        let manifest = match Manifest::read(&bytes) {
            Ok(manifest) => manifest,
            Err(error) => {
                self.unreadable += 1;
                output.mistake(&format!("{name}:{}: {}", error.position, error.words));
                return;
            }
        };
        let mut outcomes = Vec::new();
        for (number, document) in manifest.documents().enumerate() {
            let objects = Object::all_in(document.json(), number);
            if objects.is_empty() && !document.json().is_object() {
                self.unreadable += 1;
                output
                    .mistake(&format!("{name}:{}: this is no object, with apiVersion and kind", document.position("")));
            }
            outcomes.extend(objects.iter().map(|object| Outcome::of(object, &document, table, scope)));
        }
        for outcome in &outcomes {
            self.mistakes += outcome.mistakes.len();
            tell(output, &name, &outcome.mistakes, Output::mistake);
        }
        self.files.push(File { name, manifest, outcomes });
    }

    fn outcomes(&self) -> impl Iterator<Item = (&str, &Outcome)> {
        self.files.iter().flat_map(|file| file.outcomes.iter().map(|outcome| (file.name.as_str(), outcome)))
    }

    fn wrong(&self) -> String {
        let mistaken =
            self.files.iter().filter(|file| file.outcomes.iter().any(|outcome| !outcome.mistakes.is_empty()));
        let mut told = Vec::new();
        if self.mistakes > 0 {
            told.push(format!("{} in {}", count(self.mistakes, "mistake"), count(mistaken.count(), "file")));
        }
        if self.unreadable > 0 {
            told.push(format!("{} cannot be read", count(self.unreadable, "file")));
        }
        told.join(", ")
    }

    fn right(&self) -> String {
        let objects = self.outcomes().count();
        let asking = self.outcomes().filter(|(_, outcome)| outcome.asks).count();
        let ask = if asking == 1 { "asks" } else { "ask" };
        format!("{asking} of {} in {} {ask} for secrets", count(objects, "object"), count(self.files.len(), "file"))
    }
}

fn tell(output: &mut Output, file: &str, told: &[Told], how: fn(&mut Output, &str)) {
    for Told { at, text } in told {
        how(output, &format!("{file}:{at}: {text}"));
    }
}

fn count(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}
