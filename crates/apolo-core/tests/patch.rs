//! The patch: what it adds, and that it adds nothing else, for Pods that nobody thought of.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use apolo_core::patch::{MOST_BYTES, Patch};
use apolo_core::pod::Pod;
use apolo_core::reference::Scope;
use apolo_core::targets::Targets;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

const SCOPE: Scope<'_> = Scope { cluster: "default", namespace: Some("bob") };

/// The patch of a Pod, as it goes over the wire.
fn patch_of(pod: &Value) -> Vec<Value> {
    let text = pod.to_string();
    let pod: Pod<'_> = serde_json::from_str(&text).unwrap();
    let targets = Targets::read(&pod, SCOPE).unwrap_or_else(|mistakes| panic!("{mistakes}\n{text}"));
    match serde_json::from_str(&Patch::of(&pod, &targets, None).unwrap().into_json()).unwrap() {
        Value::Array(operations) => operations,
        other => panic!("{other}"),
    }
}

fn patched(pod: &Value) -> Value {
    let patch: json_patch::Patch = serde_json::from_value(Value::Array(patch_of(pod))).unwrap();
    let mut patched = pod.clone();
    json_patch::patch(&mut patched, &patch).unwrap();
    patched
}

fn example() -> Value {
    json!({
        "metadata": {"name": "train", "annotations": {
            "secrets.apolo.us/volume": "secret:secret-password:/var/secrets/secret-password.txt\n\
                secret:/alice/aws-key:/root/.aws/credentials:ro\nsecret:wandb-token:/etc/tokens/\n\
                secret:db#user:/etc/tokens/, secret:db#password:/etc/db-password",
            "secrets.apolo.us/env": "mypass=secret:secret-password, AWS_KEY=secret:AWS_KEY",
        }},
        "spec": {
            "initContainers": [{"name": "fetch", "image": "busybox", "env": [{"name": "A", "value": "b"}]}],
            "containers": [{"name": "main", "image": "busybox",
                "volumeMounts": [{"name": "token", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}]}],
            "volumes": [{"name": "token", "emptyDir": {}}],
            "automountServiceAccountToken": false,
        },
    })
}

#[test]
fn is_refused_where_it_would_be_more_than_can_be_stored() {
    let items: Vec<String> = (0..64).map(|number| format!("secret:key:/var/secrets/{number}")).collect();
    let of = |count: usize| {
        let containers: Vec<Value> = (0..count).map(|number| json!({"name": number.to_string()})).collect();
        let pod = json!({"metadata": {"annotations": {"secrets.apolo.us/volume": items.join(",")}},
            "spec": {"containers": containers}})
        .to_string();
        let pod: Pod<'_> = serde_json::from_str(&pod).unwrap();
        Patch::of(&pod, &Targets::read(&pod, SCOPE).unwrap(), None).map(Patch::into_json)
    };
    assert!(of(100).unwrap().len() < MOST_BYTES);
    let error = of(1000).unwrap_err().to_string();
    assert!(
        error.starts_with("it would be more than 1572864 bytes, since each container gets everything; "),
        "{error}"
    );
}

#[test]
fn adds_volumes_mounts_and_variables_to_every_container() {
    let pod = patched(&example());
    let shared = "apolo-shared-022500a2c0385123416d074344cecd47";
    let mounts = [
        json!({"name": "apolo-secrets", "mountPath": "/var/secrets/secret-password.txt",
               "subPath": "secret-password/secret-password", "readOnly": true}),
        json!({"name": "apolo-secrets", "mountPath": "/root/.aws/credentials",
               "subPath": format!("{shared}/aws-key"), "readOnly": true}),
        json!({"name": "apolo-secrets-bf82e6e9", "mountPath": "/etc/tokens", "readOnly": true}),
        json!({"name": "apolo-secrets", "mountPath": "/etc/db-password", "subPath": "db/password", "readOnly": true}),
    ];
    let env = [
        json!({"name": "mypass", "valueFrom": {"secretKeyRef": {"name": "secret-password", "key": "secret-password"}}}),
        json!({"name": "AWS_KEY", "valueFrom": {"secretKeyRef": {"name": "aws-key-4cea0ddbcf43f8cf", "key": "AWS_KEY"}}}),
    ];
    assert_eq!(
        pod["spec"]["volumes"],
        json!([
            {"name": "token", "emptyDir": {}},
            {"name": "apolo-secrets", "projected": {"defaultMode": 0o444, "sources": [
                {"secret": {"name": "secret-password", "items": [{"key": "secret-password", "path": "secret-password/secret-password"}]}},
                {"secret": {"name": shared, "items": [{"key": "aws-key", "path": format!("{shared}/aws-key")}]}},
                {"secret": {"name": "db", "items": [{"key": "password", "path": "db/password"}]}},
            ]}},
            {"name": "apolo-secrets-bf82e6e9", "projected": {"defaultMode": 0o444, "sources": [
                {"secret": {"name": "wandb-token", "items": [{"key": "wandb-token", "path": "wandb-token"}]}},
                {"secret": {"name": "db", "items": [{"key": "user", "path": "user"}]}},
            ]}},
        ])
    );
    let [init, main] = [&pod["spec"]["initContainers"][0], &pod["spec"]["containers"][0]];
    assert_eq!(init["volumeMounts"].as_array().unwrap(), &mounts);
    assert_eq!(main["volumeMounts"].as_array().unwrap()[1..], mounts);
    assert_eq!(init["env"].as_array().unwrap()[1..], env);
    assert_eq!(main["env"].as_array().unwrap(), &env);
    assert_eq!(pod["metadata"]["annotations"]["secrets.apolo.us/containers"], "main,fetch");
    assert_eq!(pod["metadata"]["labels"], json!({"secrets.apolo.us/shared": "true"}));
    assert_eq!(pod["spec"]["schedulingGates"], json!([{"name": "secrets.apolo.us/delivery"}]));
}

#[test]
fn makes_few_operations() {
    // A container that has neither list takes two operations, however much it gets.
    let paths: Vec<String> = patch_of(&example())
        .iter()
        .map(|operation| operation["path"].as_str().unwrap().to_owned())
        .filter(|path| path.contains("ontainers/"))
        .collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    assert_eq!(
        paths,
        [
            "/spec/containers/0/volumeMounts/-",
            "/spec/containers/0/volumeMounts/-",
            "/spec/containers/0/volumeMounts/-",
            "/spec/containers/0/volumeMounts/-",
            "/spec/containers/0/env",
            "/spec/initContainers/0/volumeMounts",
            "/spec/initContainers/0/env/-",
            "/spec/initContainers/0/env/-",
        ]
    );
}

#[test]
fn a_container_that_comes_later_gets_nothing() {
    let mut pod = patched(&example());
    let sidecar = json!({"name": "sidecar", "image": "busybox"});
    pod["spec"]["containers"].as_array_mut().unwrap().push(sidecar.clone());
    assert_eq!(patched(&pod)["spec"]["containers"][1], sidecar);
}

#[test]
fn only_the_containers_that_are_named_get_it_in_the_mode_that_is_asked() {
    let mut pod = example();
    pod["metadata"]["annotations"]["secrets.apolo.us/containers"] = json!("fetch");
    pod["metadata"]["annotations"]["secrets.apolo.us/file-mode"] = json!("0400");
    let after = patched(&pod);
    assert_eq!(after["spec"]["containers"], pod["spec"]["containers"]);
    assert!(after["spec"]["initContainers"][0]["volumeMounts"].is_array());
    assert_eq!(after["spec"]["volumes"][1]["projected"]["defaultMode"], 0o400);
}

#[test]
fn a_pod_that_names_its_node_gets_no_gate() {
    let mut pod = example();
    pod["spec"]["nodeName"] = json!("node-1");
    assert_eq!(patched(&pod)["spec"].get("schedulingGates"), None);
    pod["spec"]["nodeName"] = json!("");
    assert!(patched(&pod)["spec"].get("schedulingGates").is_some());
}

#[test]
fn what_was_added_and_then_changed_is_lacking_or_a_mistake() {
    let mut pod = patched(&example());
    pod["spec"]["containers"][0]["env"].as_array_mut().unwrap().remove(0);
    assert_eq!(patch_of(&pod).len(), 1);
}

/// A Pod that asks for one file, in the container that is given.
fn with_file_at(path: &str, container: &Value, volumes: &Value) -> Value {
    json!({
        "metadata": {"annotations": {"secrets.apolo.us/volume": format!("secret:a:{path}")}},
        "spec": {"containers": [container], "volumes": volumes},
    })
}

#[test]
fn the_innermost_mount_decides_whether_a_file_can_lie_in_it() {
    let mounts = json!([{"name": "disk", "mountPath": "/disk", "readOnly": true}, {"name": "cache", "mountPath": "/disk/cache"}]);
    let volumes = json!([{"name": "disk", "emptyDir": {}}, {"name": "cache", "emptyDir": {}}]);
    let container = json!({"name": "main", "volumeMounts": mounts});
    assert!(!patch_of(&with_file_at("/disk/cache/a", &container, &volumes)).is_empty());
}

#[test]
fn where_a_container_mounts_something_else_for_the_token_there_is_no_token() {
    let at = "/var/run/secrets/kubernetes.io/serviceaccount";
    let container = json!({"name": "main", "volumeMounts": [{"name": "own", "mountPath": at}]});
    let volumes = json!([{"name": "own", "emptyDir": {}}]);
    assert!(!patch_of(&with_file_at(&format!("{at}/a"), &container, &volumes)).is_empty());
}

#[test]
fn what_is_like_ours_but_for_a_field_is_not_ours() {
    let mount =
        json!({"name": "apolo-secrets", "mountPath": "/a", "subPath": "a/a", "readOnly": true, "subPathExpr": "x"});
    let pod = with_file_at("/a", &json!({"name": "main", "volumeMounts": [mount]}), &json!([]));
    let text = pod.to_string();
    let pod: Pod<'_> = serde_json::from_str(&text).unwrap();
    assert!(Targets::read(&pod, SCOPE).is_err());
}

#[test]
fn a_variable_with_blanks_around_the_equals_sign_is_one_without_and_optional_false_is_the_default() {
    let pod = json!({
        "metadata": {"annotations": {"secrets.apolo.us/env": "A = secret:a", "secrets.apolo.us/containers": "main"}},
        "spec": {"containers": [{"name": "main", "env": [
            {"name": "A", "valueFrom": {"secretKeyRef": {"name": "a", "key": "a", "optional": false}}}]}]},
    });
    assert_eq!(patch_of(&pod), Vec::<Value>::new());
}

#[test]
fn mistakes_are_told_in_bounds_however_large_the_pod() {
    let item = format!("secret:a:/var/run/secrets/kubernetes.io/serviceaccount/{}", "x/".repeat(1000));
    let containers: Vec<Value> = (0..1000).map(|index| json!({"name": format!("c{index}")})).collect();
    let text = json!({
        "metadata": {"annotations": {
            "secrets.apolo.us/volume": vec![item; 64].join(","),
            "secrets.apolo.us/containers": "+,".repeat(10_000),
            format!("secrets.apolo.us/{}", "y".repeat(100_000)): "",
        }},
        "spec": {"containers": containers},
    })
    .to_string();
    let pod: Pod<'_> = serde_json::from_str(&text).unwrap();
    let told = Targets::read(&pod, SCOPE).unwrap_err().to_string();
    assert_eq!(told.lines().count(), 101);
    assert!(told.ends_with("\nand more") && told.len() < 100_000, "{} bytes", told.len());
}

/// Anything that JSON can hold, three levels deep.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{1,5}", inner, 0..3).prop_map(|map| Value::Object(Map::from_iter(map))),
        ]
    })
}

/// An object with fields of its own and fields that nobody knows.
fn with_unknown_fields(known: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    (known, prop::collection::btree_map("x[a-zA-Z]{1,5}", any_json(), 0..3)).prop_map(|(known, unknown)| match known {
        Value::Object(mut fields) => {
            fields.extend(unknown);
            Value::Object(fields)
        }
        other => other,
    })
}

fn list_or_absent(element: impl Strategy<Value = Value>) -> impl Strategy<Value = Option<Value>> {
    prop_oneof![
        Just(None),
        Just(Some(Value::Null)),
        prop::collection::vec(element, 0..3).prop_map(|list| Some(Value::from(list))),
    ]
}

fn container(prefix: &'static str) -> impl Strategy<Value = Value> {
    let env = with_unknown_fields("[A-Z]{1,3}".prop_map(|name| json!({"name": format!("OWN_{name}"), "value": "v"})));
    let mount =
        with_unknown_fields("[a-z]{1,3}".prop_map(|at| json!({"name": "own", "mountPath": format!("/own/{at}")})));
    with_unknown_fields((list_or_absent(env), list_or_absent(mount), "[a-z]{1,6}").prop_map(
        move |(env, mounts, name)| {
            let mut container = Map::from_iter([("name".to_owned(), json!(format!("{prefix}-{name}")))]);
            container.extend(env.map(|env| ("env".to_owned(), env)));
            container.extend(mounts.map(|mounts| ("volumeMounts".to_owned(), mounts)));
            Value::Object(container)
        },
    ))
}

fn asking() -> impl Strategy<Value = (Vec<String>, Vec<String>)> {
    let key = prop_oneof!["[a-z]{1,8}", "[A-Z_]{1,8}", "/alice/[a-z]{1,8}", "[a-z]{1,4}#[a-z]{1,3}"];
    let files = prop::collection::vec((key.clone(), any::<bool>()), 0..5).prop_map(|keys| {
        let at = |index, directory| if directory { format!("/directory/{index}/") } else { format!("/file/{index}") };
        keys.iter()
            .enumerate()
            .map(|(index, (key, directory))| format!("secret:{key}:{}", at(index, *directory)))
            .collect()
    });
    let env = prop::collection::vec(key, 0..4)
        .prop_map(|keys| keys.iter().enumerate().map(|(index, key)| format!("ASKED_{index}=secret:{key}")).collect());
    (files, env)
}

fn any_pod() -> impl Strategy<Value = Value> {
    let containers = prop::collection::vec(container("c"), 1..4);
    let init = list_or_absent(container("i"));
    let volumes = list_or_absent(with_unknown_fields(Just(json!({"name": "own", "emptyDir": {}}))));
    let gates = list_or_absent(Just(json!({"name": "example.com/gate"})));
    (asking(), containers, init, volumes, gates, any_json(), any::<bool>()).prop_map(
        |((files, env), containers, init, volumes, gates, unknown, labels)| {
            let mut spec = Map::from_iter([("containers".to_owned(), Value::from(containers))]);
            spec.insert("unknown".to_owned(), unknown.clone());
            spec.extend(init.map(|init| ("initContainers".to_owned(), init)));
            spec.extend(volumes.map(|volumes| ("volumes".to_owned(), volumes)));
            spec.extend(gates.map(|gates| ("schedulingGates".to_owned(), gates)));
            let annotations = json!({"other": "kept", "secrets.apolo.us/volume": files.join("\n"),
                "secrets.apolo.us/env": env.join(",")});
            let mut metadata = Map::from_iter([("annotations".to_owned(), annotations)]);
            if labels {
                metadata.insert("labels".to_owned(), json!({"app": "x"}));
            }
            json!({"metadata": metadata, "spec": spec, "status": unknown})
        },
    )
}

/// Takes away what the contract says that we add; what is left must be the Pod as it was.
fn without_additions(mut pod: Value, before: &Value) -> Value {
    let is_ours = |value: &Value| value["name"].as_str().is_some_and(|name| name.starts_with("apolo-secrets"));
    let is_asked = |value: &Value| value["name"].as_str().is_some_and(|name| name.starts_with("ASKED_"));
    strip(&mut pod["spec"], &before["spec"], "volumes", is_ours);
    strip(&mut pod["spec"], &before["spec"], "schedulingGates", |gate| gate["name"] == "secrets.apolo.us/delivery");
    for list in ["containers", "initContainers"] {
        let Some(containers) = pod["spec"].get_mut(list).and_then(Value::as_array_mut) else { continue };
        for (index, container) in containers.iter_mut().enumerate() {
            let before = &before["spec"][list][index];
            strip(container, before, "volumeMounts", is_ours);
            strip(container, before, "env", is_asked);
        }
    }
    pod["metadata"]["annotations"].as_object_mut().unwrap().shift_remove("secrets.apolo.us/containers");
    let metadata = pod["metadata"].as_object_mut().unwrap();
    if let Some(labels) = metadata.get_mut("labels").and_then(Value::as_object_mut) {
        labels.shift_remove("secrets.apolo.us/shared");
        if labels.is_empty() {
            metadata.shift_remove("labels");
        }
    }
    pod
}

/// Takes ours out of a list; a list that is then empty becomes what it was before (absent, `null` or empty).
fn strip(object: &mut Value, before: &Value, list: &str, ours: impl Fn(&Value) -> bool) {
    let Some(elements) = object.get_mut(list).and_then(Value::as_array_mut) else { return };
    elements.retain(|element| !ours(element));
    if elements.is_empty() {
        match before.get(list) {
            Some(was) => object[list] = was.clone(),
            None => drop(object.as_object_mut().unwrap().shift_remove(list)),
        }
    }
}

proptest! {
    #[test]
    fn twice_is_once(pod in any_pod()) {
        let once = patched(&pod);
        prop_assert_eq!(patch_of(&once), Vec::<Value>::new());
    }

    #[test]
    fn nothing_changes_but_what_is_added(pod in any_pod()) {
        let after = without_additions(patched(&pod), &pod);
        // Compared as text: the order of fields stays, too.
        prop_assert_eq!(after.to_string(), pod.to_string());
    }

    #[test]
    fn no_annotations_make_no_patch(mut pod in any_pod()) {
        pod["metadata"]["annotations"] = json!({"other": "kept"});
        prop_assert_eq!(patch_of(&pod), Vec::<Value>::new());
    }

    #[test]
    fn no_pod_makes_it_panic(
        parts in prop::collection::vec(any_json(), 5),
        annotations in prop::collection::btree_map(
            "secrets\\.apolo\\.us/(volume|env|containers|file-mode)",
            "\\PC{0,40}|((secret:[a-z/#.:]{0,12}|A=secret:a)[,\n]){0,4}",
            0..4,
        ),
    ) {
        let [env, mounts, volumes, gates, labels] = &parts[..] else { return Ok(()) };
        let text = json!({
            "metadata": {"annotations": annotations, "labels": labels},
            "spec": {
                "containers": [{"name": "a", "env": env, "volumeMounts": mounts}, {"name": "b"}],
                "volumes": volumes, "schedulingGates": gates,
            },
        }).to_string();
        // What is out of form is an error of the JSON; everything else is decided.
        let Ok(pod) = serde_json::from_str::<Pod<'_>>(&text) else { return Ok(()) };
        match Targets::read(&pod, SCOPE) {
            Ok(targets) => drop(Patch::of(&pod, &targets, None).unwrap()),
            Err(mistakes) => prop_assert!(!mistakes.to_string().is_empty()),
        }
    }
}
