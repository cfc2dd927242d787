//! `apolo secret get`: to a pipe, a terminal and a file.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
};

use apolo_tests::{command, namespace::with_namespace, running::Running, terminal, transcript::Transcript};
use serde_json::{Value, json};

use super::add::home;

fn names(folder: &Path) -> anyhow::Result<Vec<String>> {
    let names = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names = names.collect::<std::io::Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}

/// As a file is written there then, it has no name before it is whole: `O_TMPFILE` of open(2).
#[cfg(target_os = "linux")]
fn knows_files_without_a_name(folder: &Path) -> bool {
    use rustix::fs::{CWD, Mode, OFlags, openat};
    openat(CWD, folder, OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC, Mode::RUSR | Mode::WUSR).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn knows_files_without_a_name(_: &Path) -> bool {
    false
}

#[tokio::test]
async fn a_value_is_read_by_its_key_or_by_a_reference() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        let alice = ns.with_kubeconfig("alice").await?;
        ns.create(&json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db-creds"},
            "stringData": {"user": "u", "password": "of an ordinary Secret"}}))
            .await?;
        alice.run(&["secret", "add", "AWS_KEY"], "of alice").await?;
        let there = format!("secret:/{}/AWS_KEY", ns.name);
        let everywhere = format!("secret://default/{}/AWS_KEY", ns.name);
        let mut seen = Transcript::new().naming(&ns.name, "alice");
        for key in ["AWS_KEY", "secret:AWS_KEY", &there, &everywhere, "secret:db-creds#password"] {
            let finished = seen.run(&alice, &["secret", "get", key], "").await?;
            assert!(finished.status.success(), "{key}");
        }
        seen.run(&alice, &["secret", "get", "AWS_KEY", "-f", "-"], "").await?;
        seen.check("cli-secret-get.txt")?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_terminal_gets_nothing_that_it_would_obey() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        let alice = ns.with_kubeconfig("alice").await?;
        let mut seen = Transcript::new().naming(&ns.name, "alice");
        for value in [b"zo\xc3\xab\tp@ss".as_slice(), b"two\r\nlines\n", b"\x1b[31mred", b"safe\rnot", b"\xff", b"\0"] {
            alice.run(&["secret", "add", "k"], value).await?;
            let shown = seen.at_terminal(&alice, &["secret", "get", "k"], &[]).await?;
            assert!(shown.status.success() || !shown.text.contains('\u{1b}') || !shown.text.contains("red"));
        }
        seen.check("cli-secret-get-terminal.txt")?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_file_is_for_its_owner_alone_and_never_written_through_a_link() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        let alice = ns.with_kubeconfig("alice").await?;
        alice.settle().await?;
        alice.run(&["secret", "add", "k"], "planted").await?;
        let home = home()?;
        let path = |name: &str| home.path().join(name);
        fs::write(path("old"), "what was there before, and longer")?;
        fs::set_permissions(path("old"), fs::Permissions::from_mode(0o644))?;
        symlink("old", path("link"))?;
        symlink("nothing", path("dangling"))?;
        fs::create_dir(path("folder"))?;
        let mut seen =
            Transcript::new().naming(&ns.name, "alice").naming(home.path().display().to_string(), "/home/alice");
        for line in [
            "umask 0; apolo secret get k -f new && stat -c '%a %s' new",
            "apolo secret get k -f link",
            "apolo secret get k -f dangling",
            "apolo secret get k -f folder",
            "apolo secret get k -f no/such/folder",
            "apolo secret get k -f /dev/null",
            "apolo secret get none -f new; wc -c < new",
            "cat old",
            "apolo secret get k -f old && stat -c '%a %s' old",
        ] {
            seen.shell(&alice, line, home.path()).await?;
        }
        seen.check("cli-secret-get-file.txt")?;
        assert_eq!(names(home.path())?, ["aws-credentials.txt", "dangling", "folder", "link", "new", "old"]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn killed_while_it_writes_it_leaves_no_half_file_under_the_name() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        let alice = ns.with_kubeconfig("alice").await?;
        alice.settle().await?;
        let home = home()?;
        alice.run(&["secret", "add", "large"], vec![b'x'; 1_048_576]).await?;
        fs::write(home.path().join("old"), "before")?;
        for name in ["new", "old"] {
            // The kernel ends a process that writes a file beyond the limit, in the midst of the write.
            let line = format!("ulimit -f 256; exec apolo secret get large -f {name}");
            let finished = command::run(alice.shell(&line, home.path())?, "").await?;
            let signal = std::os::unix::process::ExitStatusExt::signal(&finished.status);
            assert!(signal.is_some(), "{name}: {finished:?}");
        }
        assert!(!home.path().join("new").exists());
        assert_eq!(fs::read(home.path().join("old"))?, b"before");
        let left: Vec<String> = names(home.path())?.into_iter().filter(|name| name.starts_with(".apolo-")).collect();
        assert!(left.is_empty() || !knows_files_without_a_name(home.path()), "{left:?}");
        for left in left {
            let mode = fs::metadata(home.path().join(&left))?.permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{left}");
            fs::remove_file(home.path().join(left))?;
        }
        // Where the write fails instead, nothing is left at all.
        let line = "trap '' XFSZ; ulimit -f 256; exec apolo secret get large -f new";
        let finished = command::run(alice.shell(line, home.path())?, "").await?;
        assert_eq!(finished.status.code(), Some(1), "{}", finished.stderr);
        assert!(finished.stderr.starts_with("error: writing new: File too large"), "{}", finished.stderr);
        assert_eq!(names(home.path())?, ["aws-credentials.txt", "old"]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn given_up_while_it_waits_it_leaves_no_file() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        let mut alice = ns.stranger("alice")?;
        // Whoever connects waits for ever.
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let mut kubeconfig: Value = serde_saphyr::from_str(&fs::read_to_string(&alice.kubeconfig)?)?;
        kubeconfig["clusters"][0]["cluster"]["server"] = json!(format!("https://{}", silent.local_addr()?));
        let home = home()?;
        alice.kubeconfig = home.path().join("kubeconfig");
        fs::write(&alice.kubeconfig, kubeconfig.to_string())?;
        const ASKED: &str = "GET /api/v1/namespaces/default/secrets/k";
        let command = || alice.shell("exec apolo secret get k -f file --verbose", home.path());
        let seen = terminal::run(command()?, &[(ASKED, "\u{3}")]).await?;
        assert_eq!(seen.status.code(), Some(130), "{}", seen.text);
        let run = Running::start(command()?)?;
        run.tells(ASKED).await?;
        run.signal("TERM")?;
        assert_eq!(run.end().await?.status.code(), Some(130));
        assert_eq!(names(home.path())?, ["aws-credentials.txt", "kubeconfig"]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn who_reads_no_further_is_not_told_of_it() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        let alice = ns.with_kubeconfig("alice").await?;
        alice.settle().await?;
        alice.run(&["secret", "add", "large"], vec![b'x'; 1_048_576]).await?;
        let home = home()?;
        let command = alice.shell("apolo secret get large | head -c 3", home.path())?;
        let finished = command::run(command, "").await?;
        assert_eq!((finished.stdout.as_str(), finished.stderr.as_str()), ("xxx", ""));
        let seen = terminal::run(alice.shell("apolo secret get large > file; wc -c < file", home.path())?, &[]).await?;
        assert_eq!(seen.text, "1048576\n");
        Ok(())
    })
    .await
}
