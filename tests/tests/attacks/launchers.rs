//! Whose right counts: not that of a tool which applies what others write, nor that of an account elsewhere.

use apolo_tests::{
    attempts::{Row, Somebody},
    objects,
};
use k8s_openapi::api::{core::v1::Namespace, rbac::v1::ClusterRoleBinding};
use kube::{Api, Resource, api::PostParams};
use serde_json::{Value, json};

use super::scene::{BOBS, BY, HER_TRAINERS, HERS, Scene, TEAMS, TRAINERS};

/// A secret that is shared with the tool itself.
const TOOLS: &str = "tools";

pub(crate) async fn rows(scene: &Scene) -> anyhow::Result<Vec<Row>> {
    let mut rows = by_a_tool(scene).await?;
    rows.extend(by_account(scene));
    rows.extend(without_a_grant(scene));
    rows.extend(dry(scene));
    Ok(rows)
}

/// An account of alice's namespace that may do everything in the cluster, as tools that apply manifests may.
async fn tool(scene: &Scene) -> anyhow::Result<Somebody> {
    let namespace = &scene.alice.name;
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "tool"}});
    scene.alice.create(&account).await?;
    let client = &scene.alice.client;
    let owner = Api::<Namespace>::all(client.clone()).get(namespace).await?;
    let binding: ClusterRoleBinding = serde_json::from_value(json!({
        // It goes with the namespace.
        "metadata": {"name": format!("tool-of-{namespace}"), "ownerReferences": [owner.owner_ref(&())]},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "tool", "namespace": namespace}],
    }))?;
    Api::all(client.clone()).create(&PostParams::default(), &binding).await?;
    scene.share_with(TOOLS, &json!({"kind": "ServiceAccount", "name": "tool", "namespace": namespace})).await?;
    let tool = Somebody::new(client, format!("system:serviceaccount:{namespace}:tool"), &[]);
    scene.is_allowed(&tool, &objects::pod("probe", &scene.template(TOOLS))).await?;
    Ok(tool)
}

async fn by_a_tool(scene: &Scene) -> anyhow::Result<Vec<Row>> {
    let (namespace, tool) = (&scene.bobs.name, tool(scene).await?);
    let subject = format!("serviceaccount:{}/tool", scene.alice.name);
    let mut rows = Vec::new();
    for (name, template) in [("applied", scene.template(BOBS)), ("applied-as-bob", scene.stamped(BOBS, "bob", ""))] {
        for object in super::stamps::kinds(name, &template).into_iter().take(5) {
            let title = format!("a tool applies bob's {} {name}", object["kind"]);
            let refusal = scene.refusal(&subject, BOBS);
            rows.push(Row::new(title, tool.apply(namespace, &object), refusal, scene.bob.apply(namespace, &object)));
        }
    }
    // What is shared with the tool is for all whose manifests it applies.
    let (pod, own) = (objects::pod("of-tool", &scene.template(BOBS)), objects::pod("of-tool", &scene.template(TOOLS)));
    let refusal = scene.refusal(&subject, BOBS);
    rows.push(Row::new(
        "a tool uses what is not its own",
        tool.create(namespace, &pod),
        refusal,
        tool.create(namespace, &own),
    ));
    Ok(rows)
}

/// The Pod's own account counts, if it is of the Pod's namespace.
fn by_account(scene: &Scene) -> Vec<Row> {
    let (namespace, mallory) = (&scene.bobs.name, &scene.mallory);
    let with = |name: &str, account: &str, key: &str| {
        let mut template = scene.template(key);
        template["spec"]["serviceAccountName"] = json!(account);
        template["metadata"]["annotations"][BY] = json!(format!("system:serviceaccount:{namespace}:trainer"));
        [objects::pod(name, &template), objects::job(name, &template), objects::deployment(name, &template)]
    };
    let mut rows = Vec::new();
    let mut all = |what: &str, attacks: [Value; 3], key: &str, twins: [Value; 3]| {
        for (attack, twin) in attacks.iter().zip(&twins) {
            let name = format!("{} {what}", attack["kind"].as_str().unwrap_or_default());
            let (attack, twin) = (mallory.create(namespace, attack), mallory.create(namespace, twin));
            rows.push(Row::new(name, attack, scene.refusal("mallory", key), twin));
        }
    };
    all("by another account", with("default", "default", TRAINERS), TRAINERS, with("trains", "trainer", TRAINERS));
    all(
        "by a namesake of alice's",
        with("namesake", "trainer", HER_TRAINERS),
        HER_TRAINERS,
        with("own", "trainer", TRAINERS),
    );
    rows
}

/// Neither a group that one is not in, nor the administrators, nor a grant to others.
fn without_a_grant(scene: &Scene) -> Vec<Row> {
    let namespace = &scene.bobs.name;
    let pod = |name: &str, key: &str| objects::pod(name, &scene.template(key));
    let admin = scene.almighty("admin");
    let trainer_of_alice = scene.almighty(&format!("system:serviceaccount:{}:trainer", scene.alice.name));
    let hers = scene.refusal(&format!("serviceaccount:{}/trainer", scene.alice.name), TRAINERS);
    vec![
        Row::new(
            "a secret that is shared with nobody",
            scene.bob.create(namespace, &pod("nobodys", HERS)),
            scene.refusal("bob", HERS),
            scene.bob.create(namespace, &pod("bobs-1", BOBS)),
        ),
        Row::new(
            "a secret that is not there",
            scene.bob.create(namespace, &pod("nowhere", "nowhere")),
            scene.refusal("bob", "nowhere"),
            scene.bob.create(namespace, &pod("bobs-2", BOBS)),
        ),
        Row::new(
            "a secret of a group by one who is not in it",
            scene.bob.create(namespace, &pod("of-team", TEAMS)),
            scene.refusal("bob", TEAMS),
            scene.carol.create(namespace, &pod("of-team", TEAMS)),
        ),
        Row::new(
            "a secret that is not shared, by system:masters",
            admin.create(namespace, &pod("of-admin", HERS)),
            scene.refusal("admin", HERS),
            scene.bob.create(namespace, &pod("of-admin", BOBS)),
        ),
        Row::new(
            "a secret of an account, by its namesake elsewhere",
            trainer_of_alice.create(namespace, &pod("of-namesake", TRAINERS)),
            hers,
            trainer_of_alice.create(namespace, &pod("of-namesake", HER_TRAINERS)),
        ),
        Row::new(
            "a secret for another namespace",
            Somebody::with_all_rights(&scene.alice.client, "carol", &["ml-team"])
                .create("default", &pod("elsewhere", TEAMS)),
            format!("carol may not use secret:/{}/{TEAMS} in namespace default", scene.alice.name),
            scene.carol.create(namespace, &pod("for-here", TEAMS)),
        ),
    ]
}

/// What is not kept is decided alike.
fn dry(scene: &Scene) -> Vec<Row> {
    let namespace = &scene.bobs.name;
    super::stamps::kinds("dry", &scene.stamped(BOBS, "bob", ""))
        .into_iter()
        .map(|object| {
            let name = format!("{} that is tried only", object["kind"].as_str().unwrap_or_default());
            let (attack, twin) =
                (scene.mallory.dry_create(namespace, &object), scene.bob.dry_create(namespace, &object));
            Row::new(name, attack, scene.refusal("mallory", BOBS), twin)
        })
        .collect()
}
