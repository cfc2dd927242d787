//! What is wanted, by what was typed; and every mistake in it, before anything is sent.

use std::path::Path;

use apolo_client::connection::Connection;
use apolo_client::jobs::{Job, Resources, Wanted};
use apolo_core::key::is_dns_label;
use apolo_core::mistake::{Mistake, Place};
use apolo_core::names;
use apolo_core::reference::Scope;
use apolo_core::text::quoted;
use clap::ValueEnum;

use super::RunArgs;
use super::environment::{Variable, Wrong};
use crate::commands::secret::add::source;
use crate::context::Context;
use crate::env_file;
use crate::exit::Failure;

/// A Job that is to be made, and where.
pub(super) struct Order {
    /// The connection.
    pub(super) connection: Connection,
    /// What the cluster is called in references.
    pub(super) cluster: String,
    /// The Job.
    pub(super) job: Job,
}

/// What was found in all that is about variables: those that are wanted, each with where it stands; and mistakes.
#[derive(Default)]
struct Variables {
    found: Vec<(Variable, String)>,
    mistakes: Vec<String>,
}

/// What is wanted.
///
/// # Errors
/// Where there are mistakes, which are told, or there is no connection.
pub(super) async fn order(args: &RunArgs, context: &mut Context) -> Result<Order, Failure> {
    let mut variables = Variables::default();
    variables.of_flags(args);
    for file in &args.env_file {
        variables.of_file(file).await?;
    }
    let connection = context.connect().await?;
    let (secret, plain): (Vec<_>, Vec<_>) = variables.found.into_iter().partition(|(variable, _)| variable.is_secret());
    let pair = |(variable, _): &(Variable, String)| (variable.name.clone(), variable.value.clone());
    let wanted = Wanted {
        image: args.image.clone(),
        command: args.command.clone(),
        files: args.volumes.clone(),
        secret_variables: secret.iter().map(pair).collect(),
        variables: plain.iter().map(pair).collect(),
        name: args.name.clone(),
        timeout: args.timeout.map(|timeout| timeout.as_secs_f64().ceil().max(1.0) as i64),
        resources: Resources { cpu: args.cpu.clone(), memory: args.memory.clone(), gpu: args.gpu },
        service_account: args.service_account.clone(),
        workdir: args.workdir.clone(),
        pull_policy: args.image_pull_policy.and_then(|policy| Some(policy.to_possible_value()?.get_name().to_owned())),
    };
    let cluster = cluster(&wanted, &connection, context).await;
    let mut mistakes = variables.mistakes;
    let scope = Scope { cluster: &cluster, namespace: Some(&connection.namespace) };
    if let Err(found) = wanted.check(scope) {
        mistakes.extend(found.iter().map(|mistake| told(mistake, &secret, &wanted.files)));
    }
    if mistakes.is_empty() {
        let job = wanted.job(&connection.namespace);
        return Ok(Order { connection, cluster, job });
    }
    for mistake in &mistakes {
        context.output.mistake(mistake);
    }
    let count = if mistakes.len() == 1 { "one mistake".to_owned() } else { format!("{} mistakes", mistakes.len()) };
    Err(Failure::usage(format!("{count}; nothing was sent")))
}

/// Which name the cluster has matters only where a reference says one.
async fn cluster(wanted: &Wanted, connection: &Connection, context: &Context) -> String {
    let references = wanted.secret_variables.iter().map(|(_, reference)| reference);
    let mut all = references.chain(&wanted.files);
    if all.any(|text| text.starts_with("secret://")) {
        return context.cluster(connection).await;
    }
    context.cluster_name().unwrap_or("default").to_owned()
}

/// A mistake, where it was typed.
fn told(mistake: &Mistake, secret: &[(Variable, String)], files: &[String]) -> String {
    let place = match &mistake.place {
        Place::VolumeItem(number, Some(text)) => format!("--volume {number}: {}", quoted(text)),
        Place::VolumeItem(number, None) => format!("--volume {number}"),
        Place::EnvItem(number, name) => {
            let place = secret.get(number.saturating_sub(1)).map_or("--env", |(_, place)| place);
            let name = name.as_ref().map(|name| format!(" ({})", quoted(name))).unwrap_or_default();
            format!("{place}{name}")
        }
        Place::Annotation(name) if name == names::ENV => "--env".to_owned(),
        Place::Annotation(name) if name == names::VOLUME => "--volume".to_owned(),
        other => other.to_string(),
    };
    match mistake.place {
        _ if mistake.wrong == apolo_core::mistake::Wrong::VariableAsVolume => {
            format!("{place}: this is a variable; write --env NAME=secret:KEY")
        }
        Place::VolumeItem(number, _)
            if files.get(number.saturating_sub(1)).is_some_and(|it| it.contains([',', '\n'])) =>
        {
            format!("{place}: neither a comma nor a line end can stand there; give each secret a --volume of its own")
        }
        _ => format!("{place}: {}", mistake.wrong),
    }
}

impl Variables {
    fn of_flags(&mut self, args: &RunArgs) {
        for (number, text) in (1..).zip(&args.env) {
            let place = format!("--env {number}");
            match Variable::parse(text, |name| std::env::var_os(name)) {
                Ok(variable) if self.has(&variable.name) => self.wrong(&place, Wrong::Twice),
                Ok(variable) => self.found.push((variable, place)),
                Err(wrong) => self.wrong(&place, wrong),
            }
        }
    }

    /// What was said before, by a flag or in a file before this one, stands.
    async fn of_file(&mut self, file: &Path) -> Result<(), Failure> {
        let name = file.display().to_string();
        let file = file.to_path_buf();
        let read = tokio::task::spawn_blocking(move || source::of_env_file(&file)).await;
        let content = read.unwrap_or_else(|error| Err(Failure::new(format!("{name}: {error}"))))?;
        match env_file::parse(&content, true) {
            Ok(items) => {
                for item in items {
                    let place = format!("{name}:{}", item.line);
                    match Variable::of(&item.key, item.value) {
                        Ok(variable) if self.has(&variable.name) => {}
                        Ok(variable) => self.found.push((variable, place)),
                        Err(wrong) => self.wrong(&place, wrong),
                    }
                }
            }
            Err(mistakes) => {
                let told = mistakes.iter().map(|mistake| format!("{name}:{}: {}", mistake.line, mistake.wrong));
                self.mistakes.extend(told);
            }
        }
        Ok(())
    }

    fn has(&self, name: &str) -> bool {
        self.found.iter().any(|(variable, _)| variable.name == name)
    }

    fn wrong(&mut self, place: &str, wrong: Wrong) {
        self.mistakes.push(format!("{place}: {wrong}"));
    }
}

/// The name of a Job: its Pod is named after it.
pub(super) fn job_name(text: &str) -> Result<String, String> {
    if is_dns_label(text) {
        return Ok(text.to_owned());
    }
    Err("it is 1 to 63 of a-z, 0-9 and \"-\", beginning and ending with a letter or digit".to_owned())
}

/// A quantity that is not nothing.
///
/// Source: <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/>
pub(super) fn quantity(text: &str) -> Result<String, String> {
    const UNITS: [&str; 15] = ["", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "n"];
    let unit = text.trim_start_matches(|it: char| it.is_ascii_digit() || it == '.');
    let number = text.strip_suffix(unit).unwrap_or_default();
    let is_number = number.parse::<f64>().is_ok_and(|number| number > 0.0);
    if is_number && UNITS.contains(&unit) {
        return Ok(text.to_owned());
    }
    Err("write a number, with a unit where it needs one: 2, 0.5, 500m, 512Mi, 4Gi".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantity_is_a_number_with_a_unit_of_kubernetes() {
        for text in ["2", "0.5", "500m", "4Gi", "1.5G"] {
            assert_eq!(quantity(text).as_deref(), Ok(text));
        }
        for text in ["", "0", "4GB", "4 Gi", "-1", "Gi", "4gi", "inf", "1.2.3"] {
            assert!(quantity(text).is_err(), "{text}");
        }
    }
}
