//! A grant without RBAC's yes, and RBAC's yes without a grant: either alone is not enough. The controller is away, so RBAC is
//! what was written by hand.

use apolo_tests::{attempts::Row, objects};
use serde_json::json;

use super::scene::Scene;

const GRANTED: &str = "granted";
const RIGHTED: &str = "righted";
const BOTH: &str = "both";

pub(crate) async fn rows(scene: &Scene) -> anyhow::Result<Vec<Row>> {
    for key in [GRANTED, BOTH] {
        scene.share_with(key, &json!({"kind": "User", "name": "bob"})).await?;
    }
    scene.keep(RIGHTED).await?;
    let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "by-hand"});
    let bob = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "bob"});
    let rule =
        json!({"apiGroups": [""], "resources": ["secrets"], "resourceNames": [RIGHTED, BOTH], "verbs": ["use", "get"]});
    let kind = |kind: &str| json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": {"name": "by-hand"}});
    let (mut by_hand, mut binding) = (kind("Role"), kind("RoleBinding"));
    by_hand["rules"] = json!([rule]);
    binding["roleRef"] = role;
    binding["subjects"] = json!([bob]);
    scene.alice.create(&by_hand).await?;
    scene.alice.create(&binding).await?;
    // The webhook hears of the grants in their order, and RBAC of the whole Role at once.
    scene.is_allowed(&scene.bob, &objects::pod("probe", &scene.template(BOTH))).await?;
    let mut rows = Vec::new();
    for key in [GRANTED, RIGHTED] {
        for kind in [objects::pod, objects::job, objects::deployment] {
            let create = |key: &str| scene.bob.dry_create(&scene.bobs.name, &kind("either", &scene.template(key)));
            rows.push(Row::new(
                format!("a secret that is only {key}"),
                create(key),
                scene.refusal("bob", key),
                create(BOTH),
            ));
        }
    }
    Ok(rows)
}
