//! Pods that nobody thought of, stored by a real API server with and without our annotations: they differ in what the
//! contract adds and in nothing else, and what was stored, submitted again, is stored as it was.

use anyhow::Context;
use apolo_tests::namespace::{Namespace, with_namespace};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use proptest::{
    prelude::*,
    sample::{select, subsequence},
    strategy::ValueTree,
    test_runner::TestRunner,
};
use serde_json::{Map, Value, json};

/// How many Pods; `APOLO_CASES` says another number.
const CASES: usize = 40;

const ANNOTATIONS: [(&str, &str); 3] = [
    ("secrets.apolo.us/volume", "secret:a:/apolo/a\nsecret:B_C:/apolo/b, secret:d#e:/apolo/directory/"),
    ("secrets.apolo.us/env", "APOLO_A=secret:a\nAPOLO_B=secret:B_C"),
    ("secrets.apolo.us/file-mode", "0440"),
];

/// Some of these fields, each valid wherever the others are.
fn some_of(fields: &Value) -> impl Strategy<Value = Map<String, Value>> + use<> {
    let fields: Vec<(String, Value)> =
        fields.as_object().into_iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect();
    let count = fields.len();
    (subsequence(fields, 0..=count), prop::option::of("x[A-Z][a-z]{3}")).prop_map(|(fields, unknown)| {
        let mut fields = Map::from_iter(fields);
        // What this API server does not know it drops, with us and without us.
        fields.extend(unknown.map(|name| (name, json!({"unknown": [1, null, "x"]}))));
        fields
    })
}

fn container(name: &'static str) -> impl Strategy<Value = Value> {
    some_of(&json!({
        "command": ["sh", "-c", "exit 0"],
        "workingDir": "/work",
        "tty": true,
        "ports": [{"containerPort": 8080, "name": "http"}],
        "env": [
            {"name": "OWN", "value": "$(HOST) and, = others"},
            {"name": "HOST", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}},
            {"name": "OTHER", "valueFrom": {"secretKeyRef": {"name": "other", "key": "k", "optional": true}}},
        ],
        "envFrom": [{"prefix": "P_", "configMapRef": {"name": "config", "optional": true}}],
        "volumeMounts": [
            {"name": "scratch", "mountPath": "/scratch", "mountPropagation": "None"},
            {"name": "config", "mountPath": "/etc/config", "readOnly": true, "recursiveReadOnly": "Disabled"},
            {"name": "scratch", "mountPath": "/logs", "subPathExpr": "$(OWN)"},
            {"name": "scratch", "mountPath": "/etc/config/nested"},
            {"name": "claim", "mountPath": "/claim"},
            {"name": "image", "mountPath": "/image"},
        ],
        "volumeDevices": [{"name": "disk", "devicePath": "/dev/disk"}],
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "1Gi"}},
        "securityContext": {"runAsNonRoot": true, "runAsUser": 65534, "capabilities": {"drop": ["ALL"]}},
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }))
    .prop_map(move |mut fields| {
        fields.insert("name".into(), json!(name));
        fields.insert("image".into(), json!("registry.invalid/image:1"));
        Value::Object(fields)
    })
}

fn spec() -> impl Strategy<Value = Value> {
    let containers = subsequence(vec!["main", "second", "third"], 1..=3)
        .prop_flat_map(|names| names.into_iter().map(container).collect::<Vec<_>>());
    let init =
        prop::option::of((container("first"), select(vec![None, Some("Always")])).prop_map(|(mut init, restart)| {
            init.as_object_mut()
                .into_iter()
                .for_each(|init| init.extend(restart.map(|policy| ("restartPolicy".into(), json!(policy)))));
            json!([init])
        }));
    let rest = some_of(&json!({
        "restartPolicy": "Never",
        "automountServiceAccountToken": false,
        "nodeSelector": {"kubernetes.io/arch": "amd64"},
        "tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}],
        "schedulingGates": [{"name": "example.com/gate"}],
        "hostAliases": [{"ip": "127.0.0.1", "hostnames": ["a.example"]}],
        "dnsConfig": {"options": [{"name": "ndots", "value": "2"}]},
        "securityContext": {"fsGroup": 1000, "seccompProfile": {"type": "RuntimeDefault"}, "sysctls": []},
        "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": {"app": "x"}}}],
        "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "preference":
            {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]}}]}},
        "readinessGates": [{"conditionType": "example.com/ready"}],
        "setHostnameAsFQDN": false,
    }));
    (containers, init, rest).prop_map(|(containers, init, mut spec)| {
        spec.insert("containers".into(), Value::Array(containers));
        spec.extend(init.map(|init| ("initContainers".into(), init)));
        spec.insert(
            "volumes".into(),
            json!([
                {"name": "scratch", "emptyDir": {"sizeLimit": "1Gi"}},
                {"name": "config", "configMap": {"name": "config", "optional": true, "items": [{"key": "k", "path": "p"}]}},
                {"name": "claim", "persistentVolumeClaim": {"claimName": "claim", "readOnly": true}},
                {"name": "disk", "persistentVolumeClaim": {"claimName": "disk"}},
                {"name": "image", "image": {"reference": "registry.invalid/data:1", "pullPolicy": "Always"}},
                {"name": "driver", "csi": {"driver": "csi.example.com", "readOnly": true}},
                {"name": "ephemeral", "ephemeral": {"volumeClaimTemplate": {"spec": {"accessModes": ["ReadWriteOnce"],
                    "resources": {"requests": {"storage": "1Gi"}}}}}},
            ]),
        );
        Value::Object(spec)
    })
}

/// Creates a Pod and gives what is stored of it, as far as it tells what it is.
async fn stored(ns: &Namespace, name: &str, annotations: &Value, spec: &Value) -> anyhow::Result<(Value, Value)> {
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "annotations": annotations}, "spec": spec});
    ns.create(&pod).await.with_context(|| pod.to_string())?;
    let pod = ns.api::<Pod>().get(name).await?;
    let text = serde_json::to_string(&pod.spec)?;
    // The API server gives the volume of the token a random name.
    let token = text.find("kube-api-access-").and_then(|at| text.get(at..at + "kube-api-access-token".len()));
    let text = token.map_or(text.clone(), |token| text.replace(token, "kube-api-access-token"));
    Ok((json!(pod.annotations()), serde_json::from_str(&text)?))
}

/// Takes away what the contract adds.
fn without_additions(mut spec: Value) -> Value {
    let ours = |value: &Value| value["name"].as_str().is_some_and(|name| name.starts_with("apolo-secrets"));
    let asked = |value: &Value| value["name"].as_str().is_some_and(|name| name.starts_with("APOLO_"));
    let strip = |object: &mut Value, list: &str, is_added: &dyn Fn(&Value) -> bool| {
        let Some(Value::Array(elements)) = object.get_mut(list) else { return };
        elements.retain(|element| !is_added(element));
        if elements.is_empty() {
            object.as_object_mut().map(|object| object.remove(list));
        }
    };
    strip(&mut spec, "volumes", &ours);
    for list in ["containers", "initContainers"] {
        for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            strip(container, "volumeMounts", &ours);
            strip(container, "env", &asked);
        }
    }
    spec
}

#[tokio::test]
async fn any_pod_is_stored_as_without_us_but_for_what_is_added() -> anyhow::Result<()> {
    let cases = std::env::var("APOLO_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(CASES);
    let annotations =
        Value::Object(ANNOTATIONS.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect());
    let mut runner = TestRunner::deterministic();
    with_namespace(async |ns| {
        for case in 0..cases {
            let spec = spec().new_tree(&mut runner).map_err(|reason| anyhow::anyhow!("{reason}"))?.current();
            let (_, plain) = stored(&ns, &format!("plain-{case}"), &json!({}), &spec).await?;
            let (with, asking) = stored(&ns, &format!("asking-{case}"), &annotations, &spec).await?;
            assert_eq!(without_additions(asking.clone()), plain, "{spec}");

            let added = asking["containers"][0]["env"].as_array().into_iter().flatten();
            assert_eq!(added.filter(|variable| variable["name"] == "APOLO_B").count(), 1, "{asking}");
            let (again, twice) = stored(&ns, &format!("again-{case}"), &with, &asking).await?;
            assert_eq!((again, twice), (with, asking));
        }
        Ok(())
    })
    .await
}
