//! Every command line that README and docs show to people, run as they would run it, on a real node: it does what it says.
#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use anyhow::{Context, ensure};
use apolo_tests::{
    cluster::Cluster,
    command::{self, Finished},
    control_plane::ControlPlane,
    eventually::eventually,
    generated::root,
    person::Person,
    said::Said,
};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api,
    api::{DeleteParams, PostParams},
};
use serde::Deserialize;
use serde_json::json;
use tempfile::TempDir;

/// How a line is run that is not only run by alice.
#[derive(Deserialize, Default, Clone)]
struct Row {
    line: String,
    #[serde(default, rename = "as")]
    by: Option<String>,
    #[serde(default)]
    stdin: String,
    #[serde(default)]
    prints: String,
}

#[tokio::test]
async fn each_command_line_of_the_documents_does_what_it_says() -> anyhow::Result<()> {
    let rows: Vec<Row> = serde_saphyr::from_str(include_str!("../tables/said.yaml"))?;
    let rows: BTreeMap<&str, &Row> = rows.iter().map(|row| (row.line.as_str(), row)).collect();
    let said = Said::all(&["apolo"])?;
    for line in rows.keys() {
        ensure!(said.iter().any(|said| said.line == **line), "tests/tables/said.yaml: no document says {line}");
    }
    let control_plane = Cluster::shared()?;
    let home = home()?;
    let [alice, bob] = [at_home(&control_plane, "alice").await?, at_home(&control_plane, "bob").await?];
    let mut wrong = Vec::new();
    for Said { document, line } in &said {
        let row = rows.get(line.as_str()).copied().cloned().unwrap_or_default();
        let person = if row.by.as_deref() == Some("bob") { &bob } else { &alice };
        let Finished { status, stdout, stderr } = run(person, line, &row.stdin, home.path()).await?;
        if !status.success() || !stdout.contains(&row.prints) {
            wrong.push(format!("{document}: {line}\n{status}\n{stdout}{stderr}"));
        }
    }
    leave(&control_plane).await?;
    ensure!(said.len() >= 20, "{} command lines", said.len());
    ensure!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), said.len(), wrong.join("\n"));
    Ok(())
}

/// What the documents say is in the folder where they are read, and in the home folder, which is the same.
fn home() -> anyhow::Result<TempDir> {
    let home = tempfile::tempdir()?;
    let write = |name: &str, content: &str| {
        let path = home.path().join(name);
        path.parent().map(fs::create_dir_all).transpose()?;
        fs::write(path, content)
    };
    let job = fs::read_to_string(root().join("examples/job.yaml"))?;
    write("aws-credentials.txt", "[default]\naws_access_key_id = AKIA\n")?;
    write(".env", "WANDB_TOKEN=w4ndb\nexport DB_PASSWORD=\"a b\"\n")?;
    write("job.yaml", &job)?;
    write("manifests/job.yaml", &job)?;
    write("charts/my-app/Chart.yaml", "apiVersion: v2\nname: my-app\nversion: 1.0.0\n")?;
    write("charts/my-app/templates/job.yaml", &job)?;
    write("overlays/production/kustomization.yaml", "resources: [job.yaml]\nnamePrefix: production-\n")?;
    write("overlays/production/job.yaml", &job)?;
    Ok(home)
}

/// Somebody in the namespace that is called as he is, where he may do what the ClusterRole edit lets him.
async fn at_home(control_plane: &ControlPlane, name: &str) -> anyhow::Result<Person> {
    let client = control_plane.admin().await?;
    let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": name}}))?;
    Api::all(client).create(&PostParams::default(), &namespace).await.with_context(|| format!("namespace {name}"))?;
    let namespace = control_plane.namespace(name).await?;
    let person = namespace.with_kubeconfig(name).await?;
    let choose = ["config", "set-context", "--current", "--namespace", name];
    let mut choose = control_plane.kubectl(choose);
    choose.env("KUBECONFIG", &person.kubeconfig);
    let chosen = command::run(choose, "").await?;
    ensure!(chosen.status.success(), "{}", chosen.stderr);
    Ok(person)
}

/// A line, as a shell runs it.
async fn run(person: &Person, line: &str, stdin: &str, home: &Path) -> anyhow::Result<Finished> {
    let mut shell = Command::new("bash");
    shell.args(["-o", "pipefail", "-c", line]).env_clear().current_dir(home);
    shell.env("HOME", home).env("KUBECONFIG", &person.kubeconfig).env("PATH", person.path()?);
    Ok(command::run(shell, stdin).await?)
}

async fn leave(control_plane: &ControlPlane) -> anyhow::Result<()> {
    let namespaces: Api<Namespace> = Api::all(control_plane.admin().await?);
    for name in ["alice", "bob"] {
        namespaces.delete(name, &DeleteParams::default()).await?;
    }
    eventually("alice and bob have left", async || {
        for name in ["alice", "bob"] {
            let found = namespaces.get_opt(name).await.map_err(|error| error.to_string())?;
            if found.is_some() {
                return Err(format!("{name} is there"));
            }
        }
        Ok(())
    })
    .await?;
    Ok(())
}
