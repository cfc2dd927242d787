//! The test cluster itself: what all other tests build on is there, and goes away.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, SystemTime},
};

use anyhow::Context;
use apolo_tests::{
    cluster::Cluster,
    command,
    eventually::{eventually, reached},
    namespace::with_namespace,
    objects,
};
use k8s_openapi::api::{
    authentication::v1::SelfSubjectReview,
    batch::v1::Job,
    core::v1::{Namespace, Pod, Secret},
};
use kube::{
    Api, Client, ResourceExt,
    api::{ListParams, PostParams},
};
use serde_json::json;

#[tokio::test]
async fn controllers_make_pods_under_their_own_names() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        let template = objects::template(&[("example.com/note", "kept")]);
        for (kind, object) in [
            ("Job", objects::job("a-job", &template)),
            ("ReplicaSet", objects::deployment("a-deployment", &template)),
            ("ReplicaSet", objects::replica_set("a-replica-set", &template)),
            ("StatefulSet", objects::stateful_set("a-stateful-set", &template)),
            ("DaemonSet", objects::daemon_set("a-daemon-set", &template)),
        ] {
            let pod = {
                let name = ns.create(&object).await?.name_any();
                ns.pod_of(&name).await?
            };
            assert_eq!(pod.owner_references()[0].kind, kind);
            assert_eq!(pod.annotations()["example.com/note"], "kept");
        }
        let log = std::fs::read_to_string(ns.audit_log())?;
        let made_by = |controller: &str| {
            let user = format!(r#""username":"system:serviceaccount:kube-system:{controller}""#);
            let pods = format!("/api/v1/namespaces/{}/pods\"", ns.name);
            log.lines().any(|line| line.contains(&user) && line.contains(&pods) && line.contains(r#""verb":"create""#))
        };
        for controller in ["job-controller", "replicaset-controller", "statefulset-controller", "daemon-set-controller"]
        {
            assert!(made_by(controller), "{controller} has made no Pod in {}", ns.name);
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_cron_job_run_by_hand_makes_a_job_and_a_pod() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        ns.create(&objects::cron_job("nightly", &objects::template(&[]))).await?;
        let arguments = ["create", "job", "by-hand", "--from=cronjob/nightly", "--namespace", &ns.name];
        let created = command::run(ns.kubectl(arguments), "").await?;
        assert!(created.status.success(), "{}", created.stderr);
        let pod = ns.pod_of("nightly").await?;
        assert_eq!(pod.owner_references()[0].name, "by-hand");
        let active = |job: Option<&Job>| job.and_then(|job| job.status.as_ref()?.active) == Some(1);
        reached(ns.api::<Job>(), "by-hand", "the Job counts its Pod", active).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_person_has_rights_in_one_namespace_only() -> anyhow::Result<()> {
    with_namespace(async |own| {
        with_namespace(async |other| {
            let alice = own.person("alice").await?;
            own.create_as(&alice, &objects::pod("hers", &objects::template(&[]))).await?;
            let secrets = |ns: &str| Api::<Secret>::namespaced(alice.clone(), ns);
            secrets(&own.name).list(&ListParams::default()).await?;
            let refused = secrets(&other.name).list(&ListParams::default()).await;
            assert!(matches!(&refused, Err(kube::Error::Api(status)) if status.code == 403), "{refused:?}");
            anyhow::Ok(())
        })
        .await
    })
    .await
}

#[tokio::test]
async fn a_certificate_gives_a_name_and_two_groups() -> anyhow::Result<()> {
    let cluster = Cluster::shared()?;
    let (name, groups) = who_am_i(cluster.user("bob", &["ml-team", "night shift"]).await?).await?;
    assert_eq!((name.as_str(), groups), ("bob", vec!["ml-team".into(), "night shift".into(), AUTHENTICATED.into()]));
    let three = cluster.user("bob", &["a", "b", "c"]).await.map(drop);
    assert!(three.is_err());
    Ok(())
}

#[tokio::test]
async fn a_token_authenticates_as_its_service_account() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        let (name, groups) = who_am_i(ns.service_account(&ns.name, "default").await?).await?;
        assert_eq!(name, format!("system:serviceaccount:{}:default", ns.name));
        let own_group = format!("system:serviceaccounts:{}", ns.name);
        assert_eq!(groups, ["system:serviceaccounts", &own_group, AUTHENTICATED]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn kubectl_reads_stdin_and_acts_as_whom_its_kubeconfig_names() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        let manifest = objects::pod("piped", &objects::template(&[])).to_string();
        let apply = || ns.kubectl(["apply", "--namespace", &ns.name, "--filename=-"]);
        let admin = command::run(apply(), &manifest).await?;
        assert_eq!(admin.stdout, "pod/piped created\n", "{}", admin.stderr);
        let mut stranger = apply();
        stranger.env("KUBECONFIG", ns.kubeconfig("mallory", &[])?);
        let refused = command::run(stranger, &manifest).await?;
        assert!(refused.stderr.contains(r#"User "mallory" cannot get resource "pods""#), "{}", refused.stderr);
        assert_eq!(refused.status.code(), Some(1));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn helm_reaches_the_cluster() -> anyhow::Result<()> {
    let cluster = Cluster::shared()?;
    let listed = command::run(cluster.helm(["list", "--output=json"]), "").await?;
    assert_eq!((listed.stdout.trim(), listed.stderr.as_str()), ("[]", ""));
    Ok(())
}

#[tokio::test]
async fn the_authority_signs_for_servers_too() -> anyhow::Result<()> {
    let cluster = Cluster::shared()?;
    let yesterday = SystemTime::now() - Duration::from_secs(24 * 60 * 60);
    let pair = cluster.authority().server(&["127.0.0.1", "webhook.example"], yesterday)?;
    assert!(pair.certificate.starts_with("-----BEGIN CERTIFICATE-----"));
    assert!(pair.key.starts_with("-----BEGIN PRIVATE KEY-----"));
    Ok(())
}

#[tokio::test]
async fn a_failed_test_still_fails_and_its_namespace_goes() -> anyhow::Result<()> {
    let mut name = String::new();
    let failed: anyhow::Result<()> = with_namespace(async |ns| {
        name = ns.name;
        anyhow::bail!("on purpose")
    })
    .await;
    assert_eq!(failed.err().context("it passed")?.to_string(), "on purpose");
    let namespaces: Api<Namespace> = Api::all(Cluster::shared()?.admin().await?);
    reached(namespaces, &name, "the namespace is gone", |namespace| namespace.is_none()).await?;
    Ok(())
}

#[tokio::test]
async fn clusters_run_side_by_side() -> anyhow::Result<()> {
    let shared = Cluster::shared()?;
    let (one, two) = tokio::try_join!(Cluster::start(), Cluster::start())?;
    one.with_namespace(async |ns| {
        ns.create(&objects::pod("lonely", &objects::template(&[]))).await?;
        for other in [&shared, &*two] {
            let pods: Api<Pod> = Api::namespaced(other.admin().await?, &ns.name);
            assert!(pods.list(&ListParams::default()).await?.items.is_empty());
        }
        anyhow::Ok(())
    })
    .await?;
    let folder = one.folder().to_owned();
    drop(one);
    assert!(is_gone(&folder).is_ok());
    two.admin().await?.apiserver_version().await?;
    Ok(())
}

#[tokio::test]
async fn nothing_stays_after_the_owner_is_killed() -> anyhow::Result<()> {
    let mut owner = Command::new(env!("CARGO_BIN_EXE_cluster"))
        .arg("up")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut lines = BufReader::new(owner.stdout.take().context("no stdout")?).lines();
    let first = lines.next().context("the cluster did not start")??;
    let folder = first.strip_prefix("export APOLO_TEST_CLUSTER='").and_then(|rest| rest.strip_suffix('\''));
    let folder = PathBuf::from(folder.context(first.clone())?);
    assert!(folder.join("kubeconfig").exists());
    assert!(is_gone(&folder).is_err());

    owner.kill()?;
    owner.wait()?;
    eventually("no process and no folder is left", async || is_gone(&folder)).await?;
    Ok(())
}

#[tokio::test]
async fn run_passes_on_the_cluster_and_the_exit_code() -> anyhow::Result<()> {
    let script = r#"kubectl get namespace default -o name && helm version --short && [ -e "$APOLO_TEST_CLUSTER/audit.log" ] && exit 7"#;
    let mut run = Command::new(env!("CARGO_BIN_EXE_cluster"));
    run.args(["run", "--", "sh", "-c", script]);
    let ran = command::run(run, "").await?;
    assert_eq!(ran.status.code(), Some(7), "{}", ran.stderr);
    assert!(ran.stdout.starts_with("namespace/default\n"), "{}", ran.stdout);
    Ok(())
}

const AUTHENTICATED: &str = "system:authenticated";

/// The name and groups that the API server sees.
async fn who_am_i(client: Client) -> anyhow::Result<(String, Vec<String>)> {
    let review =
        serde_json::from_value(json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}))?;
    let answer: SelfSubjectReview = Api::all(client).create(&PostParams::default(), &review).await?;
    let user = answer.status.and_then(|status| status.user_info).context("no answer")?;
    Ok((user.username.unwrap_or_default(), user.groups.unwrap_or_default()))
}

/// Nothing, or what is left of the cluster in `folder`.
fn is_gone(folder: &Path) -> Result<(), String> {
    let processes = Command::new("ps").args(["-A", "-ww", "-o", "command="]).output().map_err(|e| e.to_string())?;
    let processes = String::from_utf8_lossy(&processes.stdout);
    let left = processes.lines().find(|line| line.contains(&*folder.to_string_lossy()));
    match (left, folder.exists()) {
        (None, false) => Ok(()),
        (left, there) => Err(format!("process {left:?}, folder is there: {there}")),
    }
}
