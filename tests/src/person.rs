//! Somebody with a kubeconfig who uses the command `apolo`.

use std::{
    ffi::{OsStr, OsString},
    io,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use crate::{
    binaries,
    command::{self, Finished},
    control_plane,
    namespace::{self, Namespace},
    terminal::{self, Seen},
};

/// Somebody with a kubeconfig, in a namespace.
#[derive(Debug, Clone)]
pub struct Person {
    /// Who.
    pub name: String,
    /// The namespace that the commands are about.
    pub namespace: String,
    /// The file.
    pub kubeconfig: PathBuf,
    /// Where kubectl, and `apolo` under each of its names, are found.
    path: PathBuf,
}

impl Namespace {
    /// The user `name`, who has the rights of the ClusterRole `edit` here, with a kubeconfig.
    ///
    /// # Errors
    /// When the rights or the kubeconfig cannot be made.
    pub async fn with_kubeconfig(&self, name: &str) -> Result<Person, namespace::Error> {
        self.person(name).await?;
        Ok(self.stranger(name)?)
    }

    /// The user `name`, who has no rights here, with a kubeconfig.
    ///
    /// # Errors
    /// When the kubeconfig cannot be made.
    pub fn stranger(&self, name: &str) -> Result<Person, control_plane::Error> {
        let kubeconfig = self.kubeconfig(name, &[])?;
        Ok(Person { name: name.into(), namespace: self.name.clone(), kubeconfig, path: self.bin() })
    }
}

impl Person {
    /// The same with another kubeconfig.
    #[must_use]
    pub fn with_kubeconfig(self, kubeconfig: Option<PathBuf>) -> Self {
        Self { kubeconfig: kubeconfig.unwrap_or(self.kubeconfig), ..self }
    }

    /// `apolo ARGUMENTS…` in the namespace, with nothing of the environment but what says where programs and the kubeconfig are.
    ///
    /// # Errors
    /// When it was not built.
    pub fn apolo<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> io::Result<Command> {
        self.program(&binaries::built("apolo")?, arguments)
    }

    /// `sh -c LINE` where `apolo` is found, with this home folder, and in it.
    ///
    /// # Errors
    /// When `apolo` was not built.
    pub fn shell(&self, line: &str, home: &Path) -> io::Result<Command> {
        let mut command = self.program(Path::new("sh"), ["-c", line])?;
        command.env("HOME", home).current_dir(home);
        Ok(command)
    }

    fn program<A: AsRef<OsStr>>(&self, program: &Path, arguments: impl IntoIterator<Item = A>) -> io::Result<Command> {
        let mut command = Command::new(program);
        command.args(arguments).env_clear().env("KUBECONFIG", &self.kubeconfig).env("PATH", self.path()?);
        Ok(command)
    }

    /// Makes the namespace that of the current context, so that no command has to name it.
    ///
    /// # Errors
    /// When the kubeconfig cannot be changed.
    pub async fn settle(&self) -> io::Result<()> {
        let namespace = format!("--namespace={}", self.namespace);
        let command = self.program(&self.path.join("kubectl"), ["config", "set-context", "--current", &namespace])?;
        let finished = command::run(command, "").await?;
        if finished.status.success() { Ok(()) } else { Err(io::Error::other(finished.stderr)) }
    }

    /// As [`Person::run`], with what it wrote byte for byte.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn bytes(&self, arguments: &[&str], stdin: impl AsRef<[u8]>) -> io::Result<Output> {
        command::output(self.apolo(self.here(arguments))?, stdin).await
    }

    /// Where his programs are: `apolo`, kubectl and helm before those of the machine.
    ///
    /// # Errors
    /// When `apolo` was not built.
    pub fn path(&self) -> io::Result<OsString> {
        let apolo = binaries::built("apolo")?.parent().map(PathBuf::from).unwrap_or_default();
        let others = std::env::var_os("PATH").unwrap_or_default();
        let path = [self.path.clone(), apolo].into_iter().chain(std::env::split_paths(&others));
        std::env::join_paths(path).map_err(io::Error::other)
    }

    /// The same, run through pipes to its end, with `--namespace` behind the arguments.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn run(&self, arguments: &[&str], stdin: impl AsRef<[u8]>) -> io::Result<Finished> {
        command::run(self.apolo(self.here(arguments))?, stdin).await
    }

    /// The same on a terminal, at which somebody types what is to be typed when he sees what he waits for.
    ///
    /// # Errors
    /// When it cannot be started, or does not show what is waited for by the deadline.
    pub async fn at_terminal(&self, arguments: &[&str], typed: &[(&str, &str)]) -> io::Result<Seen> {
        terminal::run(self.apolo(self.here(arguments))?, typed).await
    }

    /// The arguments, with the namespace before those that are not for `apolo`.
    fn here<'a>(&'a self, arguments: &[&'a str]) -> Vec<&'a str> {
        let end = arguments.iter().position(|&argument| argument == "--").unwrap_or(arguments.len());
        let (ours, others) = arguments.split_at(end);
        [ours, &["--namespace", &self.namespace], others].concat()
    }
}
