//! Values come out byte for byte as they were put in, by every way in and every way out.

use std::fs;

use apolo_tests::{
    command,
    namespace::{Namespace, with_namespace},
    person::Person,
};

use super::{add::home, state::entry};

/// Values that are spoilt where somebody takes them for text.
fn values() -> Vec<(&'static str, Vec<u8>)> {
    let pem = b"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA==\n-----END PRIVATE KEY-----\n";
    vec![
        ("every byte", (0..=255).collect()),
        ("one line", b"p@ssw0rd123".to_vec()),
        ("one line with its end", b"p@ssw0rd123\n".to_vec()),
        ("a line end", b"\n".to_vec()),
        ("nothing", Vec::new()),
        ("CRLF", b"one\r\ntwo\r\n".to_vec()),
        ("one line with CRLF", b"one\r\n".to_vec()),
        ("PEM", pem.to_vec()),
        ("no UTF-8", b"caf\xe9 \xff\xfe".to_vec()),
        ("a byte order mark", b"\xef\xbb\xbfA=1\n".to_vec()),
        ("only zeros", vec![0; 1000]),
        ("words of a shell", b"$HOME `id` \"'\\ !! *".to_vec()),
        ("a file's name", b"@/etc/hostname".to_vec()),
        ("a flag", b"--allow-empty".to_vec()),
        ("white space", b" \t a \t ".to_vec()),
        ("all that Kubernetes takes", (0..1_048_576_u32).map(|at| (at % 251) as u8).collect()),
    ]
}

/// How the value comes in.
const WAYS_IN: [&str; 5] = ["@FILE", "stdin", "-", "VALUE", "--from-env-file"];

#[tokio::test]
async fn every_value_comes_out_as_it_went_in() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        let alice = ns.with_kubeconfig("alice").await?;
        let mut count = 0;
        for (name, value) in values() {
            for way in WAYS_IN {
                if !add(&alice, way, &value).await? {
                    continue;
                }
                comes_out(&ns, &alice, &value, &format!("{name} by {way}")).await?;
                count += 1;
            }
        }
        println!("{count} values came out as they went in, by three ways each");
        assert!(count >= 70, "{count}");
        Ok(())
    })
    .await
}

/// Whether the value could be kept by this way: no argument holds a zero, nor is one longer than 128 KiB.
async fn add(alice: &Person, way: &str, value: &[u8]) -> anyhow::Result<bool> {
    use std::os::unix::ffi::OsStrExt;
    let folder = home()?;
    let file = folder.path().join("value");
    fs::write(&file, value)?;
    let at_file = format!("@{}", file.display());
    let env_file = folder.path().join("value.env");
    let mut arguments = vec!["secret", "add", "KEY", "--allow-empty"];
    let mut stdin = b"".as_slice();
    match way {
        "@FILE" => arguments.push(&at_file),
        "VALUE" if value.contains(&0) || value.len() > 100_000 => return Ok(false),
        "VALUE" => {
            let mut command =
                alice.apolo(["secret", "add", "KEY", "--allow-empty", "--literal", "-n", &alice.namespace, "--"])?;
            command.arg(std::ffi::OsStr::from_bytes(value));
            let finished = command::run(command, "").await?;
            anyhow::ensure!(finished.status.success(), "{way}: {}", finished.stderr);
            return Ok(true);
        }
        "--from-env-file" => {
            let escaped = value.iter().flat_map(|byte| match byte {
                b'"' | b'\\' => vec![b'\\', *byte],
                _ => vec![*byte],
            });
            let content: Vec<u8> = b"KEY=\"".iter().copied().chain(escaped).chain(*b"\"\n").collect();
            fs::write(&env_file, content)?;
            arguments.remove(2);
            arguments.extend([way, env_file.to_str().unwrap_or_default()]);
        }
        _ => {
            arguments.push("--keep-newline");
            arguments.extend((way == "-").then_some("-"));
            stdin = value;
        }
    }
    let finished = alice.run(&arguments, stdin).await?;
    anyhow::ensure!(finished.status.success(), "{way}: {}", finished.stderr);
    anyhow::ensure!(finished.stderr.is_empty(), "{way}: {}", finished.stderr);
    Ok(true)
}

async fn comes_out(ns: &Namespace, alice: &Person, value: &[u8], what: &str) -> anyhow::Result<()> {
    let folder = home()?;
    let file = folder.path().join("out");
    let stored = entry(ns, "key-5ca24005b740717b", "KEY").await?;
    assert!(stored.as_deref() == Some(value), "{what}: what is stored");
    let printed = alice.bytes(&["secret", "get", "KEY"], "").await?;
    assert!(printed.status.success() && printed.stdout == value, "{what}: what is printed");
    let written = alice.run(&["secret", "get", "KEY", "-f", file.to_str().unwrap_or_default()], "").await?;
    assert!(written.status.success() && fs::read(&file)? == value, "{what}: what is in the file");
    alice.run(&["secret", "rm", "KEY"], "").await?;
    Ok(())
}
