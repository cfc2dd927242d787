//! `apolo run` as people use it: what its container prints, how it ends, and what is told meanwhile.

use apolo_tests::{
    command,
    delivered::{KEY, Scene, with_scene},
    eventually::{eventually, reached},
    namespace::{Namespace, with_namespace},
    node::images::BUSYBOX,
    person::Person,
    running::Running,
};
use k8s_openapi::api::batch::v1::Job;
use kube::{ResourceExt, api::ListParams};

async fn with_alice(body: impl AsyncFnOnce(&Namespace, &Person) -> anyhow::Result<()>) -> anyhow::Result<()> {
    with_namespace(async |ns| {
        ns.secret_of("secret-password", &[("secret-password", "p@ssw0rd123")]).await?;
        let alice = ns.with_kubeconfig("alice").await?;
        body(&ns, &alice).await
    })
    .await
}

fn start(person: &Person, arguments: &[&str]) -> std::io::Result<Running> {
    let whole = [&["run", "--namespace", &person.namespace], arguments].concat();
    Running::start(person.apolo(whole)?)
}

#[tokio::test]
async fn a_secret_is_read_as_a_file_and_as_a_variable() -> anyhow::Result<()> {
    with_alice(async |_, alice| {
        let file = "secret:secret-password:/var/secrets/secret-password.txt";
        let cat = ["run", "--volume", file, "ubuntu:24.04", "--", "cat", "/var/secrets/secret-password.txt"];
        let printed = alice.run(&cat, "").await?;
        assert_eq!((printed.stdout.as_str(), printed.status.code()), ("p@ssw0rd123", Some(0)), "{}", printed.stderr);
        let env = ["run", "--env", "mypass=secret:secret-password", "ubuntu:24.04", "--", "sh", "-c", "echo $mypass"];
        let printed = alice.run(&env, "").await?;
        assert_eq!((printed.stdout.as_str(), printed.status.code()), ("p@ssw0rd123\n", Some(0)), "{}", printed.stderr);
        assert!(!printed.stderr.contains("p@ssw0rd123"), "{}", printed.stderr);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn bob_uses_a_secret_of_alice() -> anyhow::Result<()> {
    with_scene(async |scene: Scene| {
        scene.share("password", &[KEY]).await?;
        let bob = scene.bobs.stranger("bob")?;
        let env = format!("mypass={}", scene.reference(KEY));
        // The webhook hears of the grant a moment later.
        let printed = eventually("it is allowed", async || {
            let ran = bob.run(&["run", "-e", &env, BUSYBOX, "--", "sh", "-c", "echo $mypass"], "").await;
            let ran = ran.map_err(|error| error.to_string())?;
            if ran.stderr.contains("may not use") { Err(ran.stderr) } else { Ok(ran) }
        })
        .await?;
        assert_eq!((printed.stdout.as_str(), printed.status.code()), ("hunter2\n", Some(0)), "{}", printed.stderr);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_exit_code_is_that_of_the_container() -> anyhow::Result<()> {
    with_alice(async |_, alice| {
        let seven = alice.run(&["run", BUSYBOX, "--", "sh", "-c", "printf out; printf err >&2; exit 7"], "").await?;
        assert_eq!(seven.status.code(), Some(7), "{}", seven.stderr);
        assert!(["outerr", "errout"].contains(&seven.stdout.as_str()), "{}", seven.stdout);
        assert!(seven.stderr.ends_with("it has ended with exit code 7\n"), "{}", seven.stderr);
        let none = alice.run(&["run", BUSYBOX, "--", "no-such-program"], "").await?;
        assert_eq!((none.stdout.as_str(), none.status.code()), ("", Some(125)));
        assert!(none.stderr.contains("its container cannot be started: "), "{}", none.stderr);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn lines_arrive_while_it_runs_and_none_is_lost_of_many() -> anyhow::Result<()> {
    with_alice(async |ns, alice| {
        let script = "echo first; until [ -e /tmp/go ]; do usleep 50000; done; seq 20000; printf end";
        let running = start(alice, &["--name", "long", BUSYBOX, "--", "sh", "-c", script])?;
        running.prints("first\n").await?;
        let pods = ns.api::<k8s_openapi::api::core::v1::Pod>().list(&ListParams::default()).await?;
        ns.inside(&pods.items[0].name_any(), "touch /tmp/go").await?;
        let ended = running.end().await?;
        let numbers: String = (1..=20_000).map(|number| format!("{number}\n")).collect();
        assert!(ended.stdout == format!("first\n{numbers}end"), "{} bytes", ended.stdout.len());
        assert_eq!(ended.status.code(), Some(0));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn its_time_is_over() -> anyhow::Result<()> {
    with_alice(async |_, alice| {
        let script = "trap 'exit 0' TERM; echo begun; while true; do usleep 50000; done";
        let over = alice.run(&["run", "--timeout", "5s", BUSYBOX, "--", "sh", "-c", script], "").await?;
        assert_eq!((over.stdout.as_str(), over.status.code()), ("begun\n", Some(124)), "{}", over.stderr);
        assert!(over.stderr.contains("its time is over, and it was stopped"), "{}", over.stderr);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn ctrl_c_asks_at_a_terminal_and_stops_the_job() -> anyhow::Result<()> {
    with_alice(async |ns, alice| {
        let script = "echo begun; sleep 600";
        let run = ["run", "--name", "asked", BUSYBOX, "--", "sh", "-c", script];
        let seen = alice.at_terminal(&run, &[("begun", "\u{3}"), ("stop it (s)", "s\n")]).await?;
        assert_eq!(seen.status.code(), Some(130), "{}", seen.text);
        reached(ns.api::<Job>(), "asked", "the Job is gone", |job| job.is_none()).await?;
        let running = start(alice, &["--name", "signal", BUSYBOX, "--", "sh", "-c", script])?;
        running.prints("begun\n").await?;
        running.signal("INT")?;
        assert_eq!(running.end().await?.status.code(), Some(130));
        reached(ns.api::<Job>(), "signal", "the Job is gone", |job| job.is_none()).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_secret_that_is_not_there_is_told_and_waited_for() -> anyhow::Result<()> {
    with_alice(async |ns, alice| {
        let variable = start(alice, &["-e", "A=secret:later", BUSYBOX, "--", "sh", "-c", "echo $A"])?;
        let file = start(alice, &["-v", "secret:later:/later", BUSYBOX, "--", "cat", "/later"])?;
        let told = format!("secret:later is not there (apolo secret add later -n {})", ns.name);
        variable.tells(&told).await?;
        file.tells(&told).await?;
        ns.secret_of("later", &[("later", "now")]).await?;
        assert_eq!(variable.end().await?.stdout, "now\n");
        assert_eq!(file.end().await?.stdout, "now");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_image_that_cannot_be_had_is_told() -> anyhow::Result<()> {
    with_alice(async |ns, alice| {
        let missing = start(alice, &["--name", "missing", "registry.invalid/none:1", "--", "true"])?;
        missing.tells("image registry.invalid/none:1 cannot be had: ").await?;
        missing.signal("TERM")?;
        assert_eq!(missing.end().await?.status.code(), Some(130));
        let never = ["run", "--name", "never", "--image-pull-policy", "never", "none:1", "--", "true"];
        let never = alice.run(&never, "").await?;
        assert_eq!(never.status.code(), Some(125), "{}", never.stderr);
        reached(ns.api::<Job>(), "never", "the Job is gone", |job| job.is_none()).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_job_is_removed_or_left_as_is_wanted() -> anyhow::Result<()> {
    with_alice(async |ns, alice| {
        let removed = alice.run(&["run", "--rm", "--name", "removed", BUSYBOX, "--", "echo", "done"], "").await?;
        assert_eq!((removed.stdout.as_str(), removed.status.code()), ("done\n", Some(0)), "{}", removed.stderr);
        reached(ns.api::<Job>(), "removed", "the Job is gone", |job| job.is_none()).await?;
        let detached = alice.run(&["run", "--detach", BUSYBOX, "--", "echo", "done"], "").await?;
        let name = detached.stdout.trim().to_owned();
        let is_complete = |job: Option<&Job>| {
            job.and_then(|job| job.status.as_ref()).is_some_and(|status| status.completion_time.is_some())
        };
        reached(ns.api::<Job>(), &name, "the Job is done", is_complete).await?;
        let what_to_type = format!("kubectl logs -f job/{name} -n {}", ns.name);
        assert!(detached.stderr.contains(&what_to_type), "{}", detached.stderr);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn where_nobody_reads_it_any_more_it_is_stopped() -> anyhow::Result<()> {
    with_alice(async |ns, alice| {
        let home = tempfile::tempdir()?;
        let forever = "while true; do echo x; usleep 10000; done";
        let line = format!("apolo run -n {} --name piped {BUSYBOX} -- sh -c '{forever}' | head -n 1", ns.name);
        let finished = command::run(alice.shell(&line, home.path())?, "").await?;
        assert_eq!(finished.stdout, "x\n", "{}", finished.stderr);
        assert!(!finished.stderr.contains("error:"), "{}", finished.stderr);
        reached(ns.api::<Job>(), "piped", "the Job is gone", |job| job.is_none()).await?;
        Ok(())
    })
    .await
}
