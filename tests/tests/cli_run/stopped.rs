//! Somebody interrupts it: at a terminal, and without one.

use apolo_tests::{eventually::reached, namespace::with_namespace};
use k8s_openapi::api::batch::v1::Job;
use kube::api::DeleteParams;

use super::kubelet::{pod_of, start};

/// What is typed for Ctrl-C.
const INTERRUPT: &str = "\u{3}";
/// What is asked then.
const QUESTION: &str = "stop it (s), leave it (l), or follow it on (Enter)?";
/// What is waited for, and then typed.
type Typed<'a> = &'a [(&'a str, &'a str)];

const WAITS: &str = "waiting for a node";

#[tokio::test]
async fn at_a_terminal_it_is_asked_what_is_to_become_of_the_job() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        let alice = ns.with_kubeconfig("alice").await?;
        let rows: [(&str, Typed<'_>, bool); 4] = [
            ("stopped", &[(WAITS, INTERRUPT), (QUESTION, "s\n")], false),
            ("twice", &[(WAITS, INTERRUPT), (QUESTION, INTERRUPT)], false),
            ("left", &[(WAITS, INTERRUPT), (QUESTION, "l\n")], true),
            ("on", &[(WAITS, INTERRUPT), (QUESTION, "\n"), (WAITS, INTERRUPT), (QUESTION, "l\n")], true),
        ];
        for (name, typed, stays) in rows {
            let seen = alice.at_terminal(&["run", "--name", name, "busybox:1.35"], typed).await?;
            assert_eq!(seen.status.code(), Some(130), "{name}: {}", seen.text);
            if stays {
                assert!(seen.text.contains(&format!("kubectl delete job {name} -n {}", ns.name)), "{}", seen.text);
                ns.api::<Job>().get(name).await?;
            } else {
                assert!(seen.text.contains(&format!("Job {name} is stopped and deleted")), "{}", seen.text);
                reached(ns.api::<Job>(), name, "it is deleted", |job| job.is_none()).await?;
            }
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn who_wants_only_errors_is_told_nothing_else() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        let alice = ns.with_kubeconfig("alice").await?;
        let run = start(&alice, &["--quiet", "--name", "quiet", "busybox:1.35"])?;
        pod_of(&ns, "quiet").await?;
        run.signal("TERM")?;
        let ended = run.end().await?;
        assert_eq!((ended.status.code(), ended.stderr.as_str()), (Some(130), ""));
        reached(ns.api::<Job>(), "quiet", "it is deleted", |job| job.is_none()).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn without_a_terminal_a_signal_stops_it_and_nothing_moves() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        let alice = ns.with_kubeconfig("alice").await?;
        for signal in ["INT", "TERM"] {
            let name = signal.to_lowercase();
            let run = start(&alice, &["--name", &name, "busybox:1.35"])?;
            run.tells(WAITS).await?;
            run.signal(signal)?;
            let ended = run.end().await?;
            assert_eq!(ended.status.code(), Some(130), "{}", ended.stderr);
            assert!(!ended.stderr.contains(['\u{1b}', '\r']), "{:?}", ended.stderr);
            reached(ns.api::<Job>(), &name, "it is deleted", |job| job.is_none()).await?;
        }
        Ok(())
    })
    .await
}

/// Nothing that has happened while the process stood still is seen before the signal.
#[tokio::test]
async fn another_job_of_its_name_is_not_stopped() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        let alice = ns.with_kubeconfig("alice").await?;
        let run = start(&alice, &["--name", "again", "busybox:1.35"])?;
        run.tells(WAITS).await?;
        run.signal("STOP")?;
        let jobs = ns.api::<Job>();
        jobs.delete("again", &DeleteParams::background()).await?;
        reached(jobs.clone(), "again", "it is deleted", |job| job.is_none()).await?;
        let another = alice.run(&["run", "--detach", "--name", "again", "busybox:1.35"], "").await?;
        assert!(another.status.success(), "{}", another.stderr);
        run.signal("TERM")?;
        run.signal("CONT")?;
        let ended = run.end().await?;
        assert_eq!(ended.status.code(), Some(130), "{}", ended.stderr);
        let left = jobs.get("again").await?;
        assert!(left.metadata.deletion_timestamp.is_none(), "{}", ended.stderr);
        Ok(())
    })
    .await
}
