//! Wrong uses: each is told before anything is sent, and none repeats a value.

use apolo_tests::{namespace::with_namespace, transcript::Transcript};
use k8s_openapi::api::batch::v1::Job;
use kube::api::ListParams;

/// A value that nobody is to see again.
const PLANTED: &str = "hunter2";
const IMAGE: &str = "ubuntu:24.04";

/// What is typed behind `apolo run`.
const ROWS: [&[&str]; 42] = [
    &[],
    &[IMAGE, "cat", "/etc/passwd"],
    &[IMAGE, "ls", "-l"],
    &[IMAGE, "mysql", "-phunter2"],
    &[IMAGE, "mysql", "--password=hunter2"],
    &["--", "cat"],
    &["--evn", "A=hunter2", IMAGE],
    &["--volumes", "secret:a:/a", IMAGE],
    &["-v", "secret:aws-key:root/.aws", IMAGE],
    &["-v", "secret:a", IMAGE],
    &["-v", "secret:a:/a:rw", IMAGE],
    &["-v", "secret:a:/a/../b", IMAGE],
    &["-v", "secret:a:/", IMAGE],
    &["-v", "storage:data:/data", IMAGE],
    &["-v", "A=hunter2", IMAGE],
    &["-v", "secret:a:/a", "-v", "secret:b:/a", IMAGE],
    &["-v", "secret:a:/a/", "-v", "secret:b:/a/b", IMAGE],
    &["-v", "secret:a:/var/run/secrets/", IMAGE],
    &["-v", "secret:a:/a,secret:b:/b", IMAGE],
    &["-v", "secret:/Alice/a:/a", IMAGE],
    &["-v", "secret://other/alice/a:/a", IMAGE],
    &["-v", "secret:bad key:/a", IMAGE],
    &["-e", "A=secret:", IMAGE],
    &["-e", "A=secret:a:/a", IMAGE],
    &["-e", "A=secret:a,hunter2", IMAGE],
    &["-e", "A=secret:hunter2 x", IMAGE],
    &["-e", "hunter2", IMAGE],
    &["-e", "=hunter2", IMAGE],
    &["-e", "A=1", "-e", "A=hunter2", IMAGE],
    &["-e", "A=secret:a", "-e", "A=hunter2", IMAGE],
    &["--env-file", "/nowhere/.env", IMAGE],
    &["--name", "Not_A_Name", IMAGE],
    &["--timeout", "soon", IMAGE],
    &["--cpu", "two", IMAGE],
    &["--memory", "4GB", IMAGE],
    &["--gpu", "0", IMAGE],
    &["--image-pull-policy", "Sometimes", IMAGE],
    &["--rm", "--detach", IMAGE],
    &["-o", "yaml", IMAGE],
    &["--dry-run=perhaps", IMAGE],
    &["-v", "secret:a:a", "-e", "B=secret:/x", "-e", "C=secret:c:/d", IMAGE],
    &["--detach", "--name", "x", IMAGE, "-v", "secret:a:a"],
];

#[tokio::test]
async fn each_wrong_use_is_told_and_nothing_is_sent() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        let alice = ns.with_kubeconfig("alice").await?;
        let mut seen = Transcript::new().naming(&ns.name, "alice");
        for row in ROWS {
            let whole = [&["run"], row].concat();
            let finished = seen.run(&alice, &whole, "").await?;
            let code = if row.contains(&"--env-file") { 125 } else { 2 };
            assert_eq!(finished.status.code(), Some(code), "{row:?}: {}", finished.stderr);
            assert!(!(finished.stdout + &finished.stderr).contains(PLANTED), "{row:?}");
        }
        seen.check("cli-run-wrong.txt")?;
        assert!(ns.api::<Job>().list(&ListParams::default()).await?.items.is_empty());
        println!("{} wrong uses of apolo run", ROWS.len());
        Ok(())
    })
    .await
}
