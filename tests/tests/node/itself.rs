//! The node itself: Pods run, their logs are read, commands run in them, Services lead to them.

use apolo_tests::{namespace::with_namespace, node::containers::template, objects};
use serde_json::json;

#[tokio::test]
async fn a_pod_runs_its_log_is_read_and_commands_run_in_it() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        ns.create(&objects::pod("hello", &template(&[], "echo hello; sleep 600"))).await?;
        ns.runs("hello").await?;
        assert_eq!(ns.log("hello", "main").await?, "hello\n");
        assert_eq!(ns.kubectl_logs("hello").await?, "hello\n");
        assert_eq!(ns.inside("hello", "echo $((6 * 7))").await?, "42");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_service_leads_to_its_pod_from_another_pod() -> anyhow::Result<()> {
    with_namespace(async |ns| {
        let server = objects::pod("server", &template(&[], "while true; do echo answered | nc -l -p 8080; done"));
        ns.create(&server).await?;
        ns.create(&json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "server"},
            "spec": {"selector": {"app": "server"}, "ports": [{"port": 80, "targetPort": 8080}]},
        }))
        .await?;
        ns.runs("server").await?;
        let ask = "until nc -w 2 $SERVER_SERVICE_HOST 80 </dev/null | grep answered; do usleep 100000; done";
        ns.create(&objects::job("client", &template(&[], ask))).await?;
        let client = ns.pod_of("client").await?.metadata.name.unwrap_or_default();
        assert_eq!(ns.printed(&client, "main").await?, "answered\n");
        Ok(())
    })
    .await
}
