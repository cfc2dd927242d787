//! A Job is followed: what it waits for on standard error, what it prints on standard output, and its end as an exit code.

use std::process::ExitCode;

use apolo_client::connection::Connection;
use apolo_client::jobs::{self, End, Following, Job, News, State};

use crate::context::Context;
use crate::exit::{Failure, INTERRUPTED, NOT_RUN, TIMED_OUT};
use crate::interrupts::Interrupts;
use crate::terminal;

/// A Job that is followed.
struct Followed<'a> {
    connection: Connection,
    /// As it was created.
    job: Job,
    name: String,
    is_removed: bool,
    /// What it waits for.
    waits: Option<String>,
    context: &'a mut Context,
}

/// What is to become of a Job when somebody has typed Ctrl-C.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    Stop,
    Leave,
    GoOn,
}

/// Follows it to its end; it is deleted then if that is wanted.
pub(super) async fn follow(
    connection: Connection,
    cluster: String,
    job: Job,
    is_removed: bool,
    interrupts: &mut Interrupts,
    context: &mut Context,
) -> Result<ExitCode, Failure> {
    let name = job.metadata.name.clone().unwrap_or_default();
    let mut following = Following::begin(connection.clone(), cluster, job.clone());
    let mut followed = Followed { connection, job, name, is_removed, waits: None, context };
    loop {
        let news = tokio::select! {
            biased;
            () = interrupts.next() => {
                followed.context.output.still();
                match followed.choose(interrupts).await {
                    Choice::Stop => return followed.stop(interrupts).await,
                    Choice::Leave => return Ok(followed.leave()),
                    Choice::GoOn => {
                        followed.show();
                        continue;
                    }
                }
            }
            news = following.next() => news,
        };
        match news {
            Ok(News::State(State::Image { image, why, is_final: true })) => {
                let failure = followed.failure(&format!("image {image} cannot be had: {why}"));
                jobs::delete(&followed.connection, &followed.job)
                    .await
                    .map_err(|error| Failure::from(error).not_run())?;
                return Err(failure.hint("the Job was deleted, for it can never begin"));
            }
            Ok(News::State(state)) => followed.tell(&state),
            Ok(News::Note(note)) => followed.context.output.note(&note),
            Ok(News::Printed(bytes)) => followed.print(&bytes).await?,
            Ok(News::Ended(end)) => return followed.end(end).await,
            Err(error) => {
                followed.context.output.still();
                tell_what_to_type(&followed.name, &followed.connection.namespace, followed.context);
                return Err(Failure::from(error).not_run());
            }
        }
    }
}

/// How a Job is followed and stopped that nobody follows here any more.
pub(super) fn tell_what_to_type(name: &str, namespace: &str, context: &mut Context) {
    context.output.note(&format!("what it prints: kubectl logs -f job/{name} -n {namespace}"));
    context.output.note(&format!("stop it:        kubectl delete job {name} -n {namespace}"));
}

impl Followed<'_> {
    /// What needs somebody stays on the terminal; what does not is only seen while it lasts.
    fn tell(&mut self, state: &State) {
        let told = match state.mend() {
            Some(mend) => format!("{state} ({mend} -n {})", self.connection.namespace),
            None => state.to_string(),
        };
        if !self.moves() || state.is_trouble() {
            self.context.output.note(&told);
        }
        // Why it is so stands in the line above, in full.
        let waits = told.split(": ").next().unwrap_or_default().to_owned();
        self.waits = (*state != State::Running).then_some(waits);
        self.context.output.still();
        self.show();
    }

    fn show(&mut self) {
        if let Some(waits) = self.waits.as_ref().filter(|_| self.moves()) {
            self.context.output.moving(waits);
        }
    }

    fn moves(&self) -> bool {
        !self.context.is_verbose() && self.context.output.can_move()
    }

    async fn print(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.context.output.still();
        if let Err(failure) = self.context.output.result(bytes) {
            // Nobody reads it any more, as behind `| head`: a program of this machine would end.
            jobs::delete(&self.connection, &self.job).await.map_err(|error| Failure::from(error).not_run())?;
            return Err(failure.not_run());
        }
        Ok(())
    }

    async fn end(mut self, end: End) -> Result<ExitCode, Failure> {
        self.context.output.still();
        if self.is_removed
            && end != End::Deleted
            && let Err(error) = jobs::delete(&self.connection, &self.job).await
        {
            self.context.output.warning(&error.to_string());
        }
        match end {
            End::Exited { code: 0, .. } | End::Succeeded => Ok(ExitCode::SUCCESS),
            End::Exited { code, killed: None } => {
                self.context.output.note(&self.about(&end));
                Ok(exit_code(code))
            }
            End::Exited { code, killed: Some(_) } => {
                let failure = self.failure(&end.to_string()).hint("--memory gives it more, and reserves it");
                Err(failure.code(u8::try_from(code).unwrap_or(NOT_RUN)))
            }
            End::TimeOver => Err(self.failure(&end.to_string()).code(TIMED_OUT)),
            end => Err(self.failure(&end.to_string())),
        }
    }

    /// What is to become of it, after an interrupt.
    async fn choose(&mut self, interrupts: &mut Interrupts) -> Choice {
        if interrupts.is_final || self.context.no_input || self.context.yes || !terminal::is_there() {
            return Choice::Stop;
        }
        let question = format!("\nJob {} goes on: stop it (s), leave it (l), or follow it on (Enter)? ", self.name);
        tokio::select! {
            () = interrupts.next() => Choice::Stop,
            answer = terminal::line(&question) => match answer.unwrap_or_default().to_lowercase().as_str() {
                "s" | "stop" => Choice::Stop,
                "l" | "leave" => Choice::Leave,
                _ => Choice::GoOn,
            },
        }
    }

    /// Another interrupt does not wait for the API server.
    async fn stop(self, interrupts: &mut Interrupts) -> Result<ExitCode, Failure> {
        tokio::select! {
            deleted = jobs::delete(&self.connection, &self.job) => deleted.map_err(|error| Failure::from(error).not_run())?,
            () = interrupts.next() => return Ok(self.leave()),
        }
        self.context.output.note(&format!("Job {} is stopped and deleted", self.name));
        Ok(ExitCode::from(INTERRUPTED))
    }

    fn leave(self) -> ExitCode {
        self.context.output.note(&format!("Job {} goes on", self.name));
        tell_what_to_type(&self.name, &self.connection.namespace, self.context);
        ExitCode::from(INTERRUPTED)
    }

    fn about(&self, what: &impl std::fmt::Display) -> String {
        format!("Job {} of namespace {}: {what}", self.name, self.connection.namespace)
    }

    fn failure(&mut self, what: &str) -> Failure {
        self.context.output.still();
        Failure::new(self.about(&what)).code(NOT_RUN)
    }
}

/// Those of containers are from 0 to 255.
fn exit_code(code: i32) -> ExitCode {
    ExitCode::from(u8::try_from(code).unwrap_or(NOT_RUN))
}
