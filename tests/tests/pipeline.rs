//! `apolo inject` between helm or kustomize and kubectl, as docs/INJECT.md has it, with the real programs.

use std::{fs, process::Command};

use apolo_tests::{
    binaries,
    command::{self, Finished},
    namespace::{Namespace, with_namespace},
};

/// Runs a line of a shell, in which any failure is one of the whole, in a folder with a chart `charts/my-app` whose
/// Deployment asks for `env`.
async fn shell(ns: &Namespace, env: &str, line: &str) -> anyhow::Result<Finished> {
    let folder = tempfile::tempdir()?;
    let charts = folder.path().join("charts");
    fs::create_dir(&charts)?;
    let chart = charts.join("my-app").display().to_string();
    let created = command::run(ns.helm(["create", &chart]), "").await?;
    anyhow::ensure!(created.status.success(), "{}", created.stderr);
    let values = format!("podAnnotations:\n  secrets.apolo.us/env: {env}\n");
    fs::write(folder.path().join("values.yaml"), values)?;
    let overlay = folder.path().join("overlays/production");
    fs::create_dir_all(&overlay)?;
    fs::write(overlay.join("kustomization.yaml"), "resources: [job.yaml]\nnameSuffix: -production\n")?;
    fs::write(overlay.join("job.yaml"), include_str!("../../examples/job.yaml"))?;

    let programs = [ns.bin(), binaries::built("apolo")?.with_file_name("")];
    let programs: Vec<String> = programs.iter().map(|path| path.display().to_string()).collect();
    let mut bash = Command::new("bash");
    bash.args(["-euo", "pipefail", "-c", line]).current_dir(folder.path()).envs(ns.environment());
    bash.env("PATH", format!("{}:/usr/bin:/bin", programs.join(":"))).env("NS", &ns.name);
    Ok(command::run(bash, "").await?)
}

#[tokio::test]
async fn what_helm_renders_is_checked_on_its_way() -> anyhow::Result<()> {
    const LINE: &str = "helm template my-app charts/my-app --values values.yaml | apolo inject --check -f - -n \"$NS\"";
    with_namespace(async |ns| {
        let right = shell(&ns, "TOKEN=secret:token", LINE).await?;
        assert!(right.status.success(), "{}", right.stderr);
        assert!(right.stderr.contains("1 of ") && right.stderr.contains(" asks for secrets"), "{}", right.stderr);
        let wrong = shell(&ns, "TOKEN", LINE).await?;
        assert_eq!((wrong.status.code(), wrong.stdout.as_str()), (Some(1), ""));
        assert!(wrong.stderr.starts_with("<stdin>:"), "{}", wrong.stderr);
        assert!(
            wrong.stderr.contains("spec.template: secrets.apolo.us/env, item 1: there is no \"=\""),
            "{}",
            wrong.stderr
        );
        anyhow::Ok(())
    })
    .await
}

#[tokio::test]
async fn what_helm_and_kustomize_render_is_applied_with_what_it_asks_for() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        for (line, object, secret) in [
            (
                "helm template my-app charts/my-app --values values.yaml | apolo inject -f - -n \"$NS\" | kubectl apply -n \"$NS\" -f -",
                "deployment/my-app",
                "token",
            ),
            (
                "kubectl kustomize overlays/production | apolo inject -f - -n \"$NS\" | kubectl apply -n \"$NS\" -f -",
                "job/train-production",
                "secret-password",
            ),
        ] {
            let applied = shell(&ns, "TOKEN=secret:token", line).await?;
            assert!(applied.status.success(), "{line}: {}", applied.stderr);
            let path = "--output=jsonpath={.spec.template.spec.containers[0].env[*].valueFrom.secretKeyRef.name}";
            let got = command::run(ns.kubectl(["get", object, "--namespace", &ns.name, path]), "").await?;
            assert_eq!(got.stdout, secret, "{object}: {}", got.stderr);
        }
        anyhow::Ok(())
    })
    .await
}
