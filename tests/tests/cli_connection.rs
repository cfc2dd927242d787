//! `apolo` where the connection is not as it should be: each is told in words, with the mend, and with its exit code.

use std::{fs, process::Command};

use anyhow::{Context, ensure};
use apolo_tests::{
    command::{self, Finished},
    eventually::eventually,
    namespace::{Namespace, with_namespace},
    person::Person,
    running::Running,
    snapshot,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::{TcpListener, unix::pipe};

/// Printed by login plugins for kubectl alone.
const TOKEN: &str = "t0ken-of-nobody-else";

/// A use, what is done to the kubeconfig before, and the exit code that is due.
struct Row {
    name: &'static str,
    arguments: &'static [&'static str],
    change: Change,
    code: i32,
}

/// What is done to a kubeconfig that works.
enum Change {
    /// Nothing.
    None,
    /// There is none at all: no file, no variable.
    NoFile,
    /// It is one of two files, of which the first is not there.
    Second,
    /// It is this text.
    Text(&'static str),
    /// A field of the cluster, of the user or of the whole.
    Cluster(&'static str, Value),
    User(Value),
    Whole(&'static str, Value),
    /// The server is somebody who never answers.
    Silent,
}

use Change::{Cluster, NoFile, None, Second, Silent, Text, User, Whole};

fn rows() -> Vec<Row> {
    let row = |name, arguments, change, code| Row { name, arguments, change, code };
    let exec = |command: &str, arguments: &[&str]| json!({"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": command, "args": arguments, "interactiveMode": "Never"}});
    let printing = format!(
        "printf '%s' '{{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":\"ExecCredential\",\"status\":{{\"token\":\"{TOKEN}\"}}}}'"
    );
    const LS: &[&str] = &["secret", "ls"];
    vec![
        row("all is well", LS, None, 0),
        row("several files, and one that is not there", LS, Second, 0),
        row("no kubeconfig", LS, NoFile, 1),
        row("a file that is not there", &["secret", "ls", "--kubeconfig", "/nowhere/kubeconfig"], None, 1),
        row("a folder", &["secret", "ls", "--kubeconfig", "/"], None, 1),
        row("no YAML", LS, Text("{"), 1),
        row("another thing", LS, Text("a: [1"), 1),
        row("nothing in it", LS, Text(""), 2),
        row("a context that is not there", &["secret", "ls", "--context", "other"], None, 2),
        row("no current context", LS, Whole("current-context", json!("")), 2),
        row("a context without its cluster", LS, Whole("clusters", json!([])), 1),
        row("no URL", LS, Cluster("server", json!("not a URL")), 1),
        row("a host that there is not", LS, Cluster("server", json!("https://nowhere.invalid:6443")), 1),
        row("nobody listens", LS, Cluster("server", json!("https://127.0.0.1:9")), 1),
        row("another authority", LS, Cluster("certificate-authority-data", json!(null)), 1),
        row("nobody answers in time", &["secret", "ls", "--request-timeout", "1s"], Silent, 124),
        row("nobody is logged in", LS, User(json!({})), 4),
        row("a token that has expired", LS, User(json!({"token": TOKEN})), 4),
        row(
            "a login plugin that fails",
            LS,
            User(exec("sh", &["-c", &format!("{printing}; echo log in at https://sso >&2; exit 3")])),
            4,
        ),
        row("a login plugin that is not there", LS, User(exec("no-such-plugin", &[])), 4),
        row("a login plugin that prints something else", LS, User(exec("echo", &[TOKEN])), 4),
        row("a login plugin whose token is none", LS, User(exec("sh", &["-c", &printing])), 4),
        row("whom he may not act as", &["secret", "ls", "--as", "root"], None, 4),
        row("groups of nobody", &["secret", "ls", "--as-group", "system:masters"], None, 2),
        row("a namespace that can be none", &["secret", "ls", "--namespace", "Alice"], None, 2),
        row("another's namespace", &["secret", "ls", "--namespace", "default"], None, 4),
        row("a timeout that is none", &["secret", "ls", "--request-timeout", "soon"], None, 2),
        row("a cluster name that can be none", &["secret", "ls", "--cluster-name", "a_b"], None, 2),
        row("a format that there is not", &["secret", "ls", "-o", "xml"], None, 2),
        row("a command that there is not", &["secret", "list-all"], None, 2),
        row("a flag that there is not", &["secret", "ls", "--all-namespaces"], None, 2),
        row("quiet and verbose", &["secret", "ls", "--quiet", "--verbose"], None, 2),
        row("a shell that there is not", &["completion", "tcsh"], None, 2),
    ]
}

#[tokio::test]
async fn what_is_wrong_with_a_connection_is_told_with_the_mend_and_no_token() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        let alice = ns.with_kubeconfig("alice").await?;
        let folder = tempfile::tempdir()?;
        let silent = TcpListener::bind("127.0.0.1:0").await?;
        let silent_url = format!("https://{}", silent.local_addr()?);
        let mut told = String::new();
        let mut wrong = Vec::new();
        for Row { name, arguments, change, code } in rows() {
            let finished = run(&alice, &ns, arguments, &change, &folder, &silent_url).await.context(name)?;
            let Finished { status, stdout, stderr } = finished;
            let text = if code == 0 { stdout.clone() + &stderr } else { stderr.clone() };
            told.push_str(&format!("# {name}\n$ apolo {}\n{text}[exit {:?}]\n\n", arguments.join(" "), status.code()));
            let has_error = code == 0 || stderr.starts_with("error: ");
            if status.code() != Some(code) || !has_error || (code != 0 && !stdout.is_empty()) {
                wrong.push(format!("{name}: {status}, {stdout}{stderr}"));
            }
        }
        ensure!(!told.contains(TOKEN), "a token is told:\n{told}");
        ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
        let told = told.replace(&folder.path().display().to_string(), "FOLDER").replace(&ns.name, "alice");
        Ok(snapshot::check(
            "cli-connection.txt",
            &told.replace(ns.url(), "https://API-SERVER").replace(&silent_url, "https://SILENT"),
        )?)
    })
    .await
}

async fn run(
    alice: &Person,
    ns: &Namespace,
    arguments: &[&str],
    change: &Change,
    folder: &TempDir,
    silent: &str,
) -> anyhow::Result<Finished> {
    let file = folder.path().join("kubeconfig");
    let content: Value = serde_saphyr::from_str(&fs::read_to_string(&alice.kubeconfig)?)?;
    fs::write(&file, changed(content, change, silent)?)?;
    let mut command: Command = alice.apolo(arguments)?;
    command.env("KUBECONFIG", &file).env("HOME", folder.path());
    match change {
        NoFile => command.env_remove("KUBECONFIG"),
        Second => command.env("KUBECONFIG", std::env::join_paths(["/nowhere/kubeconfig".as_ref(), file.as_path()])?),
        _ => &mut command,
    };
    if !arguments.contains(&"--namespace") && matches!(arguments, ["secret", ..]) {
        command.args(["--namespace", &ns.name]);
    }
    Ok(command::run(command, "").await?)
}

fn changed(mut content: Value, change: &Change, silent: &str) -> anyhow::Result<String> {
    let mut set = |path: &str, field: &str, value: &Value| {
        let object =
            content.pointer_mut(path).and_then(Value::as_object_mut).context("a kubeconfig of another form")?;
        object.insert(field.to_owned(), value.clone());
        anyhow::Ok(())
    };
    match change {
        None | NoFile | Second => {}
        Text(text) => return Ok((*text).to_owned()),
        Cluster(field, value) => set("/clusters/0/cluster", field, value)?,
        User(value) => set("/users/0", "user", value)?,
        Whole(field, value) => set("", field, value)?,
        Silent => set("/clusters/0/cluster", "server", &json!(silent))?,
    }
    Ok(content.to_string())
}

/// The plugin hears nothing of it, as where only the process is told to end.
#[tokio::test]
async fn a_login_that_takes_long_can_be_given_up() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        let alice = ns.with_kubeconfig("alice").await?;
        let kubeconfig: Value = serde_saphyr::from_str(&fs::read_to_string(&alice.kubeconfig)?)?;
        for words in [["whoami", "--quiet"], ["run", "busybox"]] {
            // One each: the plugin of the command before may still read.
            let folder = tempfile::tempdir()?;
            let (fifo, file) = (folder.path().join("fifo"), folder.path().join("kubeconfig"));
            let mut mkfifo = Command::new("mkfifo");
            mkfifo.arg(&fifo);
            ensure!(command::run(mkfifo, "").await?.status.success());
            let exec = json!({"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "cat", "args": [&fifo],
                "interactiveMode": "Never"}});
            fs::write(&file, changed(kubeconfig.clone(), &User(exec), "")?)?;
            let mut command = alice.apolo(words)?;
            command.env("KUBECONFIG", &file);
            let run = Running::start(command)?;
            // Once it is open, the plugin reads, and goes on to do so.
            let held = eventually("the plugin reads", async || {
                pipe::OpenOptions::new().open_sender(&fifo).map_err(|error| error.to_string())
            })
            .await?;
            run.signal("INT")?;
            let ended = run.end().await?;
            ensure!(ended.status.code() == Some(130) && ended.stderr.is_empty(), "{words:?}: {ended:?}");
            drop(held);
        }
        Ok(())
    })
    .await
}

#[test]
fn the_table_has_no_name_twice() {
    let mut names: Vec<_> = rows().iter().map(|row| row.name).collect();
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count);
}
