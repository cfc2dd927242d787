//! `apolo inject` as people and pipelines use it, without a cluster.
#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use anyhow::Context;
use apolo_tests::{
    binaries::{self, apolo},
    command::{self, Finished},
    kinds, mistakes,
};
use serde_json::{Value, json};

const JOB: &str = "\
# trains
apiVersion: batch/v1
kind: Job
metadata: {name: train} # by hand
spec:
  template:
    metadata:
      annotations:
        secrets.apolo.us/env: 'TOKEN=secret:wandb-token'

    spec:
      restartPolicy: Never
      containers:
        - name: main # the only one
          image: \"busybox\"
";

const INJECTED: &str = "\
# trains
apiVersion: batch/v1
kind: Job
metadata: {name: train} # by hand
spec:
  template:
    metadata:
      annotations:
        secrets.apolo.us/env: 'TOKEN=secret:wandb-token'
        secrets.apolo.us/containers: main

    spec:
      restartPolicy: Never
      containers:
        - name: main # the only one
          image: \"busybox\"
          env:
            - name: TOKEN
              valueFrom:
                secretKeyRef:
                  name: wandb-token
                  key: wandb-token
";

async fn run(arguments: &[&str], stdin: &str) -> anyhow::Result<Finished> {
    Ok(command::run(apolo(arguments)?, stdin).await?)
}

/// A run that has to succeed: its output.
async fn output(arguments: &[&str], stdin: &str) -> anyhow::Result<String> {
    let finished = run(arguments, stdin).await?;
    anyhow::ensure!(finished.status.success(), "{arguments:?}: {}", finished.stderr);
    Ok(finished.stdout)
}

/// A run that has to fail with this exit code, and to print nothing: what it told.
async fn failure(code: i32, arguments: &[&str], stdin: &str) -> anyhow::Result<String> {
    let finished = run(arguments, stdin).await?;
    assert_eq!(finished.status.code(), Some(code), "{arguments:?}: {}", finished.stderr);
    assert_eq!(finished.stdout, "", "{arguments:?}");
    Ok(finished.stderr)
}

/// The mistakes that were told about a file, without their places, and the places.
fn told<'a>(stderr: &'a str, file: &str) -> (Vec<&'a str>, Vec<(usize, usize)>) {
    let lines = stderr.lines().filter_map(|line| line.strip_prefix(file)?.strip_prefix(':'));
    let mut words = Vec::new();
    let mut places = Vec::new();
    for line in lines {
        let mut parts = line.splitn(3, ':');
        let mut number = || parts.next().and_then(|part| part.parse().ok()).unwrap_or_default();
        places.push((number(), number()));
        words.push(parts.next().unwrap_or_default().trim_start());
    }
    (words, places)
}

#[tokio::test]
async fn every_mistake_is_told_in_the_words_of_the_hooks() -> anyhow::Result<()> {
    let rows = mistakes::rows()?;
    let mut manifests: Vec<(String, Value, String)> =
        rows.iter().map(|row| (row.name.clone(), row.object(), row.says().to_owned())).collect();
    for kind in kinds::all()? {
        for column in &kind.templates {
            let placed = rows.iter().filter_map(|row| Some((row, row.within(&kind, column)?)));
            manifests.extend(placed.map(|(row, (placed, says))| {
                (format!("{} at {} of {}", row.name, column.path, kind.kind), placed.object, says)
            }));
        }
    }
    assert!(manifests.len() > 700, "{} manifests", manifests.len());
    let folder = tempfile::tempdir()?;
    for (number, (_, manifest, _)) in manifests.iter().enumerate() {
        fs::write(folder.path().join(format!("{number:04}.json")), manifest.to_string())?;
    }
    let path = folder.path().to_str().context("no name")?;
    let stderr = failure(1, &["inject", "--check", "-n", "bob", "-f", path], "").await?;
    for (number, (name, _, says)) in manifests.iter().enumerate() {
        let (words, places) = told(&stderr, &format!("{path}/{number:04}.json"));
        assert_eq!(words.join("\n"), *says, "{name}");
        assert!(places.iter().all(|(line, column)| *line == 1 && *column > 1), "{name}: {places:?}");
    }
    Ok(())
}

#[tokio::test]
async fn everything_that_was_there_stays_as_it_was() -> anyhow::Result<()> {
    assert_eq!(output(&["inject", "-f", "-"], JOB).await?, INJECTED);
    // What has everything already gets nothing more.
    assert_eq!(output(&["inject", "-f", "-"], INJECTED).await?, INJECTED);
    let other = "# a Service\nkind:   Service\napiVersion: v1\n";
    assert_eq!(output(&["inject", "-f", "-"], other).await?, other);
    let windows = JOB.replace('\n', "\r\n");
    assert_eq!(output(&["inject", "-f", "-"], &windows).await?, INJECTED.replace('\n', "\r\n"));
    let several = format!("{other}---\n{JOB}---\n{other}");
    assert_eq!(output(&["inject", "-f", "-"], &several).await?, format!("{other}---\n{INJECTED}---\n{other}"));
    Ok(())
}

#[tokio::test]
async fn json_and_patches_are_what_programs_read() -> anyhow::Result<()> {
    let job: Value = serde_json::from_str(&output(&["inject", "-o", "json", "-f", "-"], JOB).await?)?;
    let variable =
        json!({"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "wandb-token", "key": "wandb-token"}}});
    assert_eq!(job["spec"]["template"]["spec"]["containers"][0]["env"], json!([variable]));

    let list: Value =
        serde_json::from_str(&output(&["inject", "-o", "json", "-f", "-"], &format!("{JOB}---\n{JOB}")).await?)?;
    assert_eq!((&list["kind"], list["items"].as_array().map(Vec::len)), (&json!("List"), Some(2)));

    let of_list = format!(
        "[{{\"kind\": \"Service\"}}, {job}]",
        job = serde_json::to_string(&json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "bob", "annotations": {"secrets.apolo.us/env": "A=secret:a"}},
        "spec": {"containers": [{"name": "main"}]}}))?
    );
    let of_list = format!("{{\"kind\": \"List\", \"items\": {of_list}}}");
    let patches: Value = serde_json::from_str(&output(&["inject", "-o", "patch", "-f", "-"], &of_list).await?)?;
    assert_eq!(
        patches,
        json!([{
            "file": "<stdin>", "line": 1, "apiVersion": "v1", "kind": "Pod", "namespace": "bob", "name": "a",
            "patch": [
                {"op": "add", "path": "/metadata/annotations/secrets.apolo.us~1containers", "value": "main"},
                {"op": "add", "path": "/spec/containers/0/env", "value":
                    [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "a", "key": "a"}}}]},
            ],
        }])
    );
    Ok(())
}

#[tokio::test]
async fn a_mistake_has_its_line_and_column_and_nothing_is_printed() -> anyhow::Result<()> {
    let job = JOB.replace(
        "'TOKEN=secret:wandb-token'",
        "|\n          # no comment\n          A=secret:a\n          B=secret:b, C=hunter2",
    );
    for check in [&["inject", "--check", "-f", "-"][..], &["inject", "-f", "-"]] {
        let stderr = failure(1, check, &job).await?;
        assert_eq!(
            stderr,
            "<stdin>:10:11: spec.template: secrets.apolo.us/env, item 1: there is no \"=\"; write NAME=secret:KEY\n\
             <stdin>:12:23: spec.template: secrets.apolo.us/env, item 4: the value must be a reference such as secret:KEY\n\
             error: 2 mistakes in 1 file\n"
        );
    }
    let number = JOB.replace("env: 'TOKEN=secret:wandb-token'", "file-mode: 0400");
    let stderr = failure(1, &["inject", "--check", "-f", "-"], &number).await?;
    assert!(
        stderr.starts_with(
            "<stdin>:9:37: spec.template.metadata.annotations[\"secrets.apolo.us/file-mode\"]: expected a string, and this is \
             read as something else; put it in quotes\n"
        ),
        "{stderr}"
    );
    let name = JOB.replace("{name: train}", "{name: n}");
    let stderr = failure(1, &["inject", "--check", "-f", "-"], &name).await?;
    let said = "<stdin>:4:18: metadata.name: expected a string, and this is read as something else; put it in quotes\n";
    assert!(stderr.starts_with(said), "{stderr}");
    Ok(())
}

#[tokio::test]
async fn what_is_no_yaml_is_refused_in_words_that_do_not_quote_it() -> anyhow::Result<()> {
    for (text, place) in [
        ("a: hunter2\na: hunter2\n", "2:1"),
        ("a: [hunter2\n", ""),
        ("a:\n\tb: hunter2\n", "2:2"),
        ("a: *hunter2\n", "1:4"),
        ("{{ .Values.hunter2 }}: hunter2\n", ""),
    ] {
        let stderr = failure(1, &["inject", "--check", "-f", "-"], text).await?;
        assert!(stderr.starts_with(&format!("<stdin>:{place}")), "{text}: {stderr}");
        assert!(stderr.ends_with("error: 1 file cannot be read\n") && !stderr.contains("hunter2"), "{text}: {stderr}");
    }
    Ok(())
}

#[tokio::test]
async fn the_namespace_is_that_of_the_manifest_or_of_the_command_or_asked_for() -> anyhow::Result<()> {
    let shared = JOB.replace("secret:wandb-token", "secret:/alice/wandb-token");
    let asked = failure(1, &["inject", "-f", "-"], &shared).await?;
    assert!(asked.contains("say in which the Pod will be, with -n NAMESPACE or in metadata.namespace"), "{asked}");
    let own = output(&["inject", "-n", "alice", "-f", "-"], &shared).await?;
    assert!(own.contains("name: wandb-token") && !own.contains("apolo-shared-"), "{own}");
    let said = shared.replace("{name: train}", "{name: train, namespace: bob}");
    let finished = run(&["inject", "-n", "alice", "-f", "-"], &said).await?;
    assert!(
        finished.stdout.contains("name: apolo-shared-")
            && finished.stdout.contains("- name: secrets.apolo.us/delivery")
    );
    let warning = "warning: <stdin>:9:32: secret:/alice/wandb-token is another owner's: this runs only in a cluster where apolo's \
                   controller delivers it\n";
    assert!(finished.stderr.starts_with(warning), "{}", finished.stderr);
    let other = shared.replace("secret:/alice", "secret://prod/alice");
    output(&["inject", "-n", "bob", "--cluster-name", "prod", "-f", "-"], &other).await?;
    Ok(())
}

#[tokio::test]
async fn kinds_that_are_not_known_are_named_and_can_be_made_known() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = |name: &str| folder.path().join(name).display().to_string();
    fs::write(file("box.yaml"), JOB.replace("batch/v1", "example.com/v1").replace("kind: Job", "kind: Box"))?;
    fs::write(file("rows.yaml"), "[{group: example.com, versions: [v1], kind: Box, templates: [spec.template]}]")?;
    let unknown = run(&["inject", "-f", &file("box.yaml")], "").await?;
    assert!(unknown.status.success() && !unknown.stdout.contains("secretKeyRef"));
    assert!(
        unknown.stderr.contains("box.yaml:9:9: \"Box\" of \"example.com/v1\" is no kind that is known"),
        "{}",
        unknown.stderr
    );
    let known = output(&["inject", "--workloads", &file("rows.yaml"), "-f", &file("box.yaml")], "").await?;
    assert!(known.contains("secretKeyRef"), "{known}");
    fs::write(file("rows.yaml"), "[{group: example.com, versions: [], kind: Box, templates: [spec.template]}]")?;
    let wrong = failure(1, &["inject", "--workloads", &file("rows.yaml"), "-f", &file("box.yaml")], "").await?;
    assert!(wrong.ends_with("hint: docs/WORKLOADS.md shows how a row is written\n"), "{wrong}");
    assert!(wrong.contains("row 1 (\"Box\"): versions are one or more API versions"), "{wrong}");
    Ok(())
}

#[tokio::test]
async fn files_and_folders_are_read_in_order_and_what_is_not_there_is_said() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().display().to_string();
    let in_folder = |name: &str| folder.path().join(name);
    fs::create_dir(in_folder("deeper"))?;
    let hint = failure(3, &["inject", "-f", &path], "").await?;
    assert!(
        hint.contains("has no file that ends in .yaml, .yml or .json\nhint: -R looks into the folders in it, too"),
        "{hint}"
    );
    for (name, text) in
        [("b.yml", "b: 1"), ("a.yaml", "a: 1\n"), ("deeper/c.json", "{\"c\": 1}"), ("README.md", "not: [this")]
    {
        fs::write(in_folder(name), text)?;
    }
    assert_eq!(output(&["inject", "-f", &path], "").await?, "a: 1\n---\nb: 1");
    assert_eq!(output(&["inject", "-R", "-f", &path], "").await?, "a: 1\n---\nb: 1\n---\n{\"c\": 1}");
    let both = [&format!("{path}/b.yml"), &format!("{path}/a.yaml")];
    assert_eq!(output(&["inject", "-f", both[0], both[1]], "").await?, "b: 1\n---\na: 1\n");
    let missing = failure(3, &["inject", "-f", &format!("{path}/none.yaml")], "").await?;
    assert!(missing.starts_with("error: reading ") && missing.contains("none.yaml: No such file"), "{missing}");
    for wrong in [
        &["inject"][..],
        &["inject", "-f"],
        &["inject", "-f", "-", "-n", "No"],
        &["inject", "--check", "-o", "json", "-f", "-"],
    ] {
        let told = failure(2, wrong, "").await?;
        assert!(told.starts_with("error: "), "{told}");
    }
    Ok(())
}

#[tokio::test]
async fn several_files_are_printed_one_behind_the_other_or_not_at_all() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = |name: &str| folder.path().join(name).display().to_string();
    let pod = |name: &str| json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": [{"name": "main"}]}});
    fs::write(file("a.yaml"), "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: first}")?;
    fs::write(file("stream.json"), format!("{}\n{}\n", pod("one"), pod("two")))?;
    let of_pods = json!({"apiVersion": "v1", "kind": "PodList", "items": [{"metadata": {"name": "three"}}]});
    fs::write(file("list.json"), json!({"apiVersion": "v1", "kind": "List", "items": [of_pods]}).to_string())?;
    let told = failure(1, &["inject", "-f", &file("a.yaml"), &file("stream.json")], "").await?;
    assert!(
        told.contains("cannot be printed one behind the other") && told.contains("hint: print them one by one"),
        "{told}"
    );
    let names = |text: &str| -> anyhow::Result<Vec<Value>> {
        let list: Value = serde_json::from_str(text)?;
        Ok(list["items"].as_array().context("no list")?.iter().map(|item| item["metadata"]["name"].clone()).collect())
    };
    let all =
        output(&["inject", "-o", "json", "-f", &file("a.yaml"), &file("stream.json"), &file("list.json")], "").await?;
    assert_eq!(names(&all)?, ["first", "one", "two", "three"]);
    assert!(all.contains("\"kind\": \"Pod\"") && !all.contains("PodList"), "{all}");
    Ok(())
}

#[tokio::test]
async fn what_the_hooks_never_see_is_let_be_whatever_its_form() -> anyhow::Result<()> {
    let many = format!("[{}]", vec!["{}"; 5_000].join(","));
    for odd in [
        format!(
            "{{\"apiVersion\": \"argoproj.io/v1alpha1\", \"kind\": \"Workflow\", \"spec\": {{\"templates\": {many}}}}}"
        ),
        "apiVersion: v1\nkind: Pod\nspec: {containers: [{name: n}]}\n".to_owned(),
        "apiVersion: batch/v1\nkind: Job\nspec: 3\n".to_owned(),
        "apiVersion: v1\nkind: Namespace\nmetadata: {labels: {secrets.apolo.us/enforce: 'true'}}\n".to_owned(),
    ] {
        assert_eq!(output(&["inject", "-f", "-"], &odd).await?, odd);
    }
    Ok(())
}

#[tokio::test]
async fn what_cannot_become_a_pod_is_said() -> anyhow::Result<()> {
    let pod = |spec: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{annotations: {{secrets.apolo.us/env: A=secret:a}}}}\nspec: {spec}\n"
        )
    };
    for spec in ["{}", "{containers: []}", "{containers: [{image: a}]}"] {
        let told = failure(1, &["inject", "-f", "-"], &pod(spec)).await?;
        assert!(told.contains("a Pod has at least one container, and each has a name"), "{spec}: {told}");
    }
    let list = failure(1, &["inject", "--check", "-f", "-"], "- apiVersion: v1\n  kind: Pod\n").await?;
    assert!(list.starts_with("<stdin>:1:1: this is no object, with apiVersion and kind\n"), "{list}");
    let of_pods = json!({"apiVersion": "v1", "kind": "PodList", "items": [{"metadata": {"annotations": {"secrets.apolo.us/env": "A"}}}]});
    let told = failure(1, &["inject", "--check", "-f", "-"], &of_pods.to_string()).await?;
    assert!(told.contains("secrets.apolo.us/env, item 1: there is no"), "{told}");
    Ok(())
}

#[tokio::test]
async fn a_reader_that_goes_away_is_no_failure_worth_a_word() -> anyhow::Result<()> {
    let many = format!("{JOB}---\n").repeat(5_000);
    let program = binaries::built("apolo")?.display().to_string();
    let mut shell = Command::new("bash");
    shell.args(["-c", &format!("{program} inject -q -f - | head -n 1")]);
    let finished = command::run(shell, many).await?;
    assert_eq!((finished.stdout.as_str(), finished.stderr.as_str()), ("# trains\n", ""));
    Ok(())
}

/// The pre-commit hook of docs/INJECT.md.
fn documented_hook() -> anyhow::Result<String> {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/INJECT.md"))?;
    let (_, after) = page.split_once("```bash\n#!").context("docs/INJECT.md shows no hook")?;
    let (hook, _) = after.split_once("```").context("the hook does not end")?;
    Ok(format!("#!{hook}"))
}

#[tokio::test]
async fn as_a_hook_of_git_it_keeps_mistakes_out_of_a_commit() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let program = binaries::built("apolo")?;
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin", program.parent().map(Path::display).context("no folder")?);
    let git = async |arguments: &[&str]| {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=a", "-c", "user.email=a@example.com"]).args(arguments).current_dir(folder.path());
        git.env_clear().env("PATH", &path).env("HOME", folder.path());
        command::run(git, "").await
    };
    git(&["init", "--quiet"]).await?;
    let hook = folder.path().join(".git/hooks/pre-commit");
    fs::write(&hook, documented_hook()?)?;
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755))?;

    fs::create_dir(folder.path().join("a folder"))?;
    let manifest = folder.path().join("a folder/a job.yaml");
    // What is staged counts, and not what stands in the folder by now, nor what is no manifest of ours.
    fs::write(&manifest, JOB.replace("secret:wandb-token", "hunter2"))?;
    fs::write(folder.path().join("-q.yaml"), "stages: [!reference [other, script]]\n")?;
    git(&["add", "--all"]).await?;
    fs::write(&manifest, JOB)?;
    let refused = git(&["commit", "--quiet", "--message=one"]).await?;
    assert_eq!(refused.status.code(), Some(1), "{}", refused.stderr);
    let place = "./a folder/a job.yaml:9:32: spec.template: secrets.apolo.us/env, item 1 (\"TOKEN\")";
    assert!(refused.stderr.starts_with(place), "{}", refused.stderr);
    git(&["add", "--all"]).await?;
    fs::write(&manifest, "not: [in the commit")?;
    let made = git(&["commit", "--quiet", "--message=one"]).await?;
    assert!(made.status.success(), "{}", made.stderr);
    // A commit without manifests is none of its business.
    fs::write(folder.path().join("README"), "x")?;
    git(&["add", "README"]).await?;
    let made = git(&["commit", "--quiet", "--message=two"]).await?;
    assert!(made.status.success(), "{}", made.stderr);
    Ok(())
}

#[tokio::test]
async fn version_and_completions_are_printed() -> anyhow::Result<()> {
    assert_eq!(output(&["version"], "").await?, concat!("apolo ", env!("CARGO_PKG_VERSION"), "\n"));
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        assert!(output(&["completion", shell], "").await?.contains("APOLO_COMPLETE"), "{shell}");
    }
    Ok(())
}
