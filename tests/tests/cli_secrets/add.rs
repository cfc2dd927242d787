//! `apolo secret add`: from where a value comes, and what is told of it.

use apolo_tests::{
    cluster::Cluster,
    namespace::{Namespace, with_namespace},
    transcript::Transcript,
};
use k8s_openapi::api::core::v1::Secret;

use super::state::entry;

/// A folder that is somebody's home.
pub(super) fn home() -> std::io::Result<tempfile::TempDir> {
    let home = tempfile::tempdir()?;
    std::fs::write(home.path().join("aws-credentials.txt"), "[default]\r\naws_secret_access_key = planted\n\n")?;
    Ok(home)
}

/// What the users of Apolo type, and what it shows.
async fn to_the_letter(ns: &Namespace) -> anyhow::Result<Transcript> {
    let alice = ns.with_kubeconfig("alice").await?;
    alice.settle().await?;
    let home = home()?;
    let mut seen = Transcript::new().naming(&ns.name, "alice");
    for line in [
        "apolo secret add secret-password p@ssw0rd123",
        "apolo secret add aws-key @~/aws-credentials.txt",
        "apolo secret ls",
        "apolo secret get secret-password",
        "apolo secret rm aws-key",
        "apolo secret ls",
    ] {
        let finished = seen.shell(&alice, line, home.path()).await?;
        assert!(finished.status.success(), "{line}: {}", finished.stderr);
        if line.ends_with("credentials.txt") {
            let kept = entry(ns, "aws-key", "aws-key").await?.unwrap_or_default();
            assert_eq!(kept, std::fs::read(home.path().join("aws-credentials.txt"))?);
        }
    }
    Ok(seen)
}

#[tokio::test]
async fn nothing_of_ours_is_needed_in_the_cluster() -> anyhow::Result<()> {
    let cluster = Cluster::start().await?;
    cluster.with_namespace(async |ns| Ok(to_the_letter(&ns).await?.check("cli-secret.txt")?)).await
}

#[tokio::test]
async fn the_commands_that_users_of_apolo_know_work_to_the_letter() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        to_the_letter(&ns).await?.check("cli-secret.txt")?;
        let secret = ns.api::<Secret>().get("secret-password").await?;
        assert_eq!(secret.type_.as_deref(), Some("Opaque"));
        assert_eq!(secret.metadata.labels.unwrap_or_default()["secrets.apolo.us/managed"], "true");
        assert_eq!(secret.metadata.annotations.unwrap_or_default()["secrets.apolo.us/key"], "secret-password");
        assert_eq!(secret.metadata.managed_fields.unwrap_or_default()[0].manager.as_deref(), Some("apolo"));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn it_is_told_what_became_of_a_value_and_how_large_it_is() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        let alice = ns.with_kubeconfig("alice").await?;
        let mut seen = Transcript::new().naming(&ns.name, "alice");
        for arguments in [
            ["secret", "add", "AWS_KEY", "one", "--dry-run=client"].as_slice(),
            &["secret", "add", "AWS_KEY", "one", "--dry-run=server"],
            &["secret", "get", "AWS_KEY"],
            &["secret", "add", "AWS_KEY", "one"],
            &["secret", "add", "AWS_KEY", "one"],
            &["secret", "add", "AWS_KEY", "two", "--dry-run=server"],
            &["secret", "add", "AWS_KEY", "one"],
            &["secret", "add", "AWS_KEY", "2"],
            &["secret", "add", "AWS_KEY", "2", "--quiet"],
            &["secret", "add", "AWS_KEY", "2", "-o", "json"],
            &["secret", "add", "AWS_KEY", "3", "-o", "yaml"],
            &["secret", "add", "AWS_KEY", "3", "-o", "name"],
            &["secret", "add", "AWS_KEY", "3", "-o", "wide"],
            &["secret", "add", "secret:AWS_KEY", "3"],
            &["secret", "add", "empty", "", "--allow-empty"],
            &["secret", "add", "AWS_KEY", "4", "--verbose"],
            &["secret", "get", "AWS_KEY"],
        ] {
            seen.run(&alice, arguments, "").await?;
        }
        seen.check("cli-secret-add.txt")?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_value_comes_from_where_it_is_said_to_come() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        let alice = ns.with_kubeconfig("alice").await?;
        alice.settle().await?;
        let home = home()?;
        let mut seen = Transcript::new().naming(&ns.name, "alice");
        seen.run(&alice, &["secret", "add", "k"], "of stdin\n").await?;
        seen.run(&alice, &["secret", "get", "k"], "").await?;
        seen.run(&alice, &["secret", "add", "k", "-"], "of stdin\r\n").await?;
        seen.run(&alice, &["secret", "get", "k"], "").await?;
        seen.run(&alice, &["secret", "add", "k", "--keep-newline"], "of stdin\n").await?;
        seen.run(&alice, &["secret", "get", "k"], "").await?;
        seen.run(&alice, &["secret", "add", "k"], "two\nlines\n").await?;
        seen.run(&alice, &["secret", "get", "k"], "").await?;
        for line in [
            "apolo secret add k --literal @alice && apolo secret get k",
            "apolo secret add k --literal - && apolo secret get k",
            "apolo secret add k -- -12 && apolo secret get k",
            "apolo secret add -- k '--quiet' && apolo secret get k",
            "printf '%s' 'no end' | apolo secret add k && apolo secret get k",
        ] {
            assert!(seen.shell(&alice, line, home.path()).await?.status.success(), "{line}");
        }
        seen.at_terminal(&alice, &["secret", "add", "k"], &[("not shown): ", "typed by hand\n")]).await?;
        seen.run(&alice, &["secret", "get", "k"], "").await?;
        seen.check("cli-secret-add-from.txt")?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_is_typed_is_never_shown_and_what_is_pasted_behind_it_reaches_no_shell() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        let alice = ns.with_kubeconfig("alice").await?;
        let add = ["secret", "add", "k"];
        for (typed, code, told) in [
            ("planted\n", 0, "created, 7 bytes"),
            ("planted\nplanted\nplanted", 2, "several lines"),
            ("planted\nplanted", 2, "several lines"),
            ("\n", 2, "empty"),
            ("\u{4}", 2, "no value was typed"),
            ("\u{3}", 130, ""),
        ] {
            let seen = alice.at_terminal(&add, &[("not shown): ", typed)]).await?;
            assert_eq!(seen.status.code(), Some(code), "{typed:?}: {}", seen.text);
            assert!(seen.text.contains(told) && !seen.text.contains("planted"), "{typed:?}: {}", seen.text);
        }
        assert_eq!(entry(&ns, "k", "k").await?.as_deref(), Some(b"planted".as_slice()));
        let long = format!("{}\n", "planted".repeat(700));
        let seen = alice.at_terminal(&add, &[("not shown): ", &long)]).await?;
        assert_eq!(seen.status.code(), Some(2), "{}", seen.text);
        assert!(seen.text.contains("longer than a terminal passes on"), "{}", seen.text);
        // Nobody is asked for a value that could not be kept.
        for unasked in [
            ["secret", "add", "k", "--no-input"],
            ["secret", "add", "k", "--context=none"],
            ["secret", "add", "..", "--allow-empty"],
            ["secret", "add", "secret://prod/alice/k", "--allow-empty"],
        ] {
            let seen = alice.at_terminal(&unasked, &[]).await?;
            assert_eq!(seen.status.code(), Some(2), "{}", seen.text);
            assert!(!seen.text.contains("not shown"), "{}", seen.text);
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_is_pasted_behind_a_value_is_not_left_for_the_shell() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        let alice = ns.with_kubeconfig("alice").await?;
        alice.settle().await?;
        let home = home()?;
        // Reads what is left at the terminal, and does not wait for more.
        let rest = "stty -icanon min 0 time 0; sed 's/^/left: /'; echo end";
        for (typed, expected) in [("-----BEGIN\nrm -r planted\n-----END", "several lines"), ("planted\n", "created")] {
            let line = format!("apolo secret add k; {rest}");
            let command = alice.shell(&line, home.path())?;
            let seen = apolo_tests::terminal::run(command, &[("not shown): ", typed)]).await?;
            assert!(seen.text.contains(expected) && seen.text.ends_with("end\n"), "{}", seen.text);
            assert!(!seen.text.contains("left: ") && !seen.text.contains("planted"), "{}", seen.text);
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_interrupts_a_prompt_leaves_a_terminal_that_shows_what_is_typed() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        let alice = ns.with_kubeconfig("alice").await?;
        alice.settle().await?;
        let home = home()?;
        let line = "trap : INT QUIT; apolo secret add k; echo \"ended with $?\"; stty -a | tr ' ;' '\\n\\n' | grep -x -e echo -e -echo";
        // Ctrl-C and Ctrl-\.
        for typed in ["\u{3}", "\u{1c}"] {
            let seen = apolo_tests::terminal::run(alice.shell(line, home.path())?, &[("not shown): ", typed)]).await?;
            assert!(seen.text.contains("ended with 130\n"), "{}", seen.text);
            assert!(seen.text.lines().any(|line| line == "echo"), "{}", seen.text);
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_value_that_a_shell_has_changed_is_warned_of() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        let alice = ns.with_kubeconfig("alice").await?;
        alice.settle().await?;
        let home = home()?;
        for (line, is_warned) in
            [("apolo secret add k \"p@$$w0rd\"; true", true), ("apolo secret add k 'p@$$w0rd'; true", false)]
        {
            let finished = apolo_tests::command::run(alice.shell(line, home.path())?, "").await?;
            let warned = finished.stderr.contains("warning: the number of your shell's process is in the value");
            assert_eq!(warned, is_warned, "{line}: {}", finished.stderr);
        }
        assert_eq!(entry(&ns, "k", "k").await?.as_deref(), Some(b"p@$$w0rd".as_slice()));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_file_of_variables_becomes_a_secret_a_line_or_nothing() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        let alice = ns.with_kubeconfig("alice").await?;
        alice.settle().await?;
        let home = home()?;
        let write = |name: &str, content: &str| std::fs::write(home.path().join(name), content);
        write(
            ".env",
            "# of the team\nexport DB_PASSWORD=\"p@ss $HOME # word\"\nWANDB_TOKEN='tok en'  # why\nPEM=\"-----BEGIN\nx\n-----END\n\"\n",
        )?;
        write("wrong.env", "GOOD=planted\nplanted\nbad name=planted\nOPEN='planted\n\n")?;
        write("taken.env", "FIRST=planted\ndb-creds=planted\nLAST=planted\n")?;
        write("empty.env", "# nothing\n")?;
        ns.create(&serde_json::json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db-creds"},
            "stringData": {"user": "u", "password": "planted"}}))
            .await?;
        let mut seen = Transcript::new().naming(&ns.name, "alice");
        for line in [
            "apolo secret add --from-env-file .env",
            "apolo secret add --from-env-file - < .env",
            "apolo secret get DB_PASSWORD",
            "apolo secret get PEM",
            "apolo secret add --from-env-file ~/.env -o json",
            "apolo secret add --from-env-file wrong.env",
            "apolo secret add --from-env-file taken.env",
            "apolo secret add --from-env-file empty.env",
            "apolo secret add --from-env-file none.env",
            "apolo secret add KEY --from-env-file .env",
            "apolo secret ls",
        ] {
            let finished = seen.shell(&alice, line, home.path()).await?;
            assert!(!(finished.stdout + &finished.stderr).contains("planted"), "{line}");
        }
        seen.check("cli-secret-add-env-file.txt")?;
        // That what is told cannot be written ends nothing half-way.
        let unread = "apolo secret rm DB_PASSWORD WANDB_TOKEN PEM && apolo secret add --from-env-file .env >/dev/full; apolo secret ls -o name";
        let finished = apolo_tests::command::run(alice.shell(unread, home.path())?, "").await?;
        assert!(finished.stdout.ends_with("DB_PASSWORD\nFIRST\nPEM\nWANDB_TOKEN\ndb-creds\n"), "{finished:?}");
        // Nor does it hide what was in the way.
        let unread = "apolo secret add --from-env-file taken.env -o json >/dev/full";
        let finished = apolo_tests::command::run(alice.shell(unread, home.path())?, "").await?;
        assert_eq!(finished.status.code(), Some(5), "{finished:?}");
        assert!(finished.stderr.contains("not kept: db-creds, LAST\nerror: secret \"db-creds\""), "{finished:?}");
        Ok(())
    })
    .await
}
