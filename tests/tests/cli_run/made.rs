//! What is made, and what is printed of it.

use apolo_tests::{
    delivered::{KEY, with_scene},
    eventually::eventually,
    namespace::with_namespace,
    transcript::Transcript,
};
use k8s_openapi::api::batch::v1::Job;
use kube::api::ListParams;

#[tokio::test]
async fn a_dry_run_prints_the_job_and_makes_none() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        let alice = ns.with_kubeconfig("alice").await?;
        let mut seen = Transcript::new().naming(&ns.name, "alice");
        let home = tempfile::tempdir()?;
        std::fs::write(home.path().join(".env"), "LEVEL=debug\nTOKEN=secret:hf-token\nmypass=overridden\n")?;
        let file = home.path().join(".env").display().to_string();
        let mut seen_file = std::mem::take(&mut seen).naming(&file, ".env").naming(&ns.name, "alice");
        let whole = [
            "run",
            "-v",
            "secret:aws-key:/root/.aws/credentials",
            "--volume",
            "secret:/alice/db#password:/etc/db/:ro",
            "-e",
            "mypass=secret:secret-password",
            "-e",
            "MODE=a,b=c",
            "--env-file",
            &file,
            "--timeout",
            "90m",
            "--cpu",
            "500m",
            "--memory",
            "4Gi",
            "--gpu",
            "1",
            "--service-account",
            "trainer",
            "--workdir",
            "/work",
            "--image-pull-policy",
            "Always",
            "--dry-run=client",
            "ghcr.io/team/Train.er:1",
            "--",
            "python",
            "train.py",
        ];
        seen_file.run(&alice, &whole, "").await?;
        seen_file.run(&alice, &["run", "--dry-run=client", "-o", "json", "--name", "x", "ubuntu:24.04"], "").await?;
        seen_file.check("cli-run-dry.txt")?;
        let server = alice.run(&["run", "--dry-run=server", "-e", "A=secret:a", "ubuntu:24.04"], "").await?;
        assert_eq!(server.status.code(), Some(0), "{}", server.stderr);
        assert!(server.stdout.contains("secrets.apolo.us/launched-by: alice"), "{}", server.stdout);
        assert!(ns.api::<Job>().list(&ListParams::default()).await?.items.is_empty());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_detached_job_is_told_by_its_name() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        let alice = ns.with_kubeconfig("alice").await?;
        let mut seen = Transcript::new().naming(&ns.name, "alice");
        seen.run(&alice, &["run", "--detach", "--name", "train", "ubuntu:24.04", "--", "date"], "").await?;
        seen.run(&alice, &["run", "-d", "-q", "--name", "quiet", "ubuntu:24.04", "--", "date"], "").await?;
        seen.run(&alice, &["run", "--detach", "--name", "train", "ubuntu:24.04", "--", "date"], "").await?;
        seen.at_terminal(&alice, &["run", "--detach", "--name", "seen", "ubuntu:24.04", "--", "date"], &[]).await?;
        seen.check("cli-run-detach.txt")?;
        let job = ns.api::<Job>().get("train").await?;
        let spec = job.spec.unwrap_or_default();
        assert_eq!((spec.backoff_limit, spec.ttl_seconds_after_finished), (Some(0), Some(86_400)));
        let unnamed = alice.run(&["run", "-d", "-o", "json", "ubuntu:24.04"], "").await?;
        let printed: serde_json::Value = serde_json::from_str(&unnamed.stdout)?;
        let name = printed["metadata"]["name"].as_str().unwrap_or_default();
        assert!(name.starts_with("ubuntu-") && printed["kind"] == "Job", "{}", unnamed.stdout);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_bob_may_not_use_is_refused_and_nothing_is_made() -> anyhow::Result<()> {
    with_scene(async |scene| {
        let bob = scene.bobs.stranger("bob")?;
        let env = format!("A={}", scene.reference(KEY));
        let refused = bob.run(&["run", "-e", &env, "ubuntu:24.04"], "").await?;
        assert_eq!(refused.status.code(), Some(125), "{}", refused.stderr);
        let words = format!("may not use {} in namespace {}", scene.reference(KEY), scene.bobs.name);
        assert!(refused.stderr.contains(&words), "{}", refused.stderr);
        assert!(scene.bobs.api::<Job>().list(&ListParams::default()).await?.items.is_empty());
        scene.share("password", &[KEY]).await?;
        // The webhook hears of the grant a moment later.
        eventually("it is allowed", async || {
            let allowed =
                bob.run(&["run", "-d", "-e", &env, "ubuntu:24.04"], "").await.map_err(|error| error.to_string())?;
            if allowed.status.success() { Ok(()) } else { Err(allowed.stderr) }
        })
        .await?;
        Ok(())
    })
    .await
}
