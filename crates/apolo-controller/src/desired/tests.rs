use apolo_core::names::{GRANT_UID, GRANTED_VIA};
use proptest::prelude::*;
use serde_json::{Value, json};
use strum::VariantArray;

use super::*;

const NOW: &str = "2026-11-25T00:00:00Z";

fn grant(spec: &Value) -> SecretGrant {
    let mut whole = json!({"secrets": ["a"], "subjects": [{"kind": "User", "name": "bob"}]});
    for (name, value) in spec.as_object().unwrap() {
        whole[name] = value.clone();
    }
    serde_json::from_value(json!({
        "metadata": {"name": "shared", "namespace": "alice", "uid": "7", "generation": 3},
        "spec": whole,
    }))
    .unwrap()
}

fn terms() -> Terms {
    Terms { cluster_name: "default".into(), max_access: Access::Manage }
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|&name| name.into()).collect()
}

fn of(grant: &SecretGrant) -> Observed<'_> {
    Observed { grant, secrets: names(&["a", "b"]), derived: BTreeSet::new(), descent: Descent::Stands }
}

fn at(time: &str) -> Timestamp {
    time.parse().unwrap()
}

fn decide(grant: &SecretGrant) -> Desired {
    desired(&of(grant), &terms(), at(NOW))
}

fn ready(desired: &Desired) -> (String, String, String) {
    let condition = desired.status.as_ref().unwrap().conditions[0].clone();
    (condition.status, condition.reason, condition.message)
}

fn rules(desired: &Desired) -> Value {
    serde_json::to_value(desired.rbac.as_ref().unwrap().role.rules.as_ref().unwrap()).unwrap()
}

#[test]
fn each_access_is_these_verbs_on_the_secrets_of_these_names() {
    let hashed = Key::parse("AWS_KEY").unwrap().object_name().into_owned();
    for access in Access::VARIANTS {
        let grant = grant(&json!({"secrets": ["b", "AWS_KEY", "absent"], "access": access}));
        let mut observed = of(&grant);
        observed.secrets.insert(hashed.clone());
        observed.derived = [(None, "child".into())].into();
        let got = rules(&desired(&observed, &terms(), at(NOW)));
        let mut expected = json!([{
            "apiGroups": [""], "resources": ["secrets"], "resourceNames": [hashed, "b"], "verbs": access.verbs(),
        }]);
        if *access == Access::Manage {
            let of = |verbs: Value| json!({"apiGroups": ["secrets.apolo.us"], "resources": ["secretgrants"], "verbs": verbs});
            let mut on_child = of(json!(["get", "update", "patch", "delete"]));
            on_child["resourceNames"] = json!(["child"]);
            expected.as_array_mut().unwrap().extend([of(json!(["create"])), on_child]);
        }
        assert_eq!(got, expected, "{access}");
    }
}

/// Names of 253 letters: 6,000 of them are more than etcd takes.
#[test]
fn a_role_names_the_oldest_of_the_grants_that_came_from_its_own() {
    let grant = grant(&json!({"access": "Manage"}));
    let mut observed = of(&grant);
    for number in 0..MOST_DERIVED {
        observed.derived.insert((Some(at(NOW)), format!("{number:0>253}")));
    }
    assert_eq!(ready(&desired(&observed, &terms(), at(NOW))).2, Reason::Granted.sentence());
    observed.derived.insert((Some(at("2026-11-25T00:00:01Z")), "a-younger-one".into()));
    observed.derived.insert((Some(at("2026-11-24T00:00:00Z")), "z-older-one".into()));
    let decided = desired(&observed, &terms(), at(NOW));
    let named = rules(&decided)[2]["resourceNames"].as_array().unwrap().clone();
    assert_eq!((named.len(), named.last().unwrap().as_str()), (MOST_DERIVED, Some("z-older-one")));
    assert!(named.is_sorted_by_key(|name| name.as_str()) && !named.contains(&json!("a-younger-one")));
    assert!(rules(&decided).to_string().len() < 300_000);
    let (status, reason, message) = ready(&decided);
    assert_eq!((status.as_str(), reason.as_str()), ("True", "Granted"));
    assert!(message.ends_with(": of the grants that came from this one, they may change the oldest 1000"), "{message}");
}

#[test]
fn the_role_and_binding_are_the_grants_own() {
    let decided = decide(&grant(&json!({"subjects": [
        {"kind": "User", "name": "bob"},
        {"kind": "Group", "name": "ml-team"},
        {"kind": "ServiceAccount", "name": "trainer", "namespace": "jobs"},
        {"kind": "Namespace", "name": "nightly"},
    ]})));
    let Rbac { role, binding } = decided.rbac.unwrap();
    assert_eq!(role.metadata, binding.metadata);
    let metadata = serde_json::to_value(&role.metadata).unwrap();
    let owner = json!({
        "apiVersion": "secrets.apolo.us/v1alpha1", "kind": "SecretGrant", "name": "shared", "uid": "7", "controller": true,
    });
    assert_eq!(
        metadata,
        json!({
            "name": "secretgrant:shared", "namespace": "alice", "labels": {GRANT_UID: "7"}, "ownerReferences": [owner],
        })
    );
    let group = "rbac.authorization.k8s.io";
    let binding = serde_json::to_value(&binding).unwrap();
    assert_eq!(binding["roleRef"], json!({"apiGroup": group, "kind": "Role", "name": "secretgrant:shared"}));
    assert_eq!(
        binding["subjects"],
        json!([
            {"apiGroup": group, "kind": "User", "name": "bob"},
            {"apiGroup": group, "kind": "Group", "name": "ml-team"},
            {"kind": "ServiceAccount", "name": "trainer", "namespace": "jobs"},
            {"apiGroup": group, "kind": "Group", "name": "system:serviceaccounts:nightly"},
        ])
    );
}

#[test]
fn a_grant_in_force_says_so_and_when_it_is_to_be_looked_at_again() {
    let grant = grant(&json!({"secrets": ["a", "b"], "expiresAt": "2026-11-25T00:00:01Z"}));
    let decided = decide(&grant);
    let told = "the subjects have access to the secrets";
    assert_eq!(ready(&decided), ("True".into(), "Granted".into(), told.into()));
    assert_eq!(decided.wake, Some(at("2026-11-25T00:00:01Z")));
    let status = decided.status.unwrap();
    assert_eq!(status.uris, ["secret://default/alice/a", "secret://default/alice/b"]);
    assert_eq!((status.observed_generation, status.conditions[0].observed_generation), (Some(3), Some(3)));
    assert_eq!((status.expired, status.withdrawn), (None, None));
}

#[test]
fn a_secret_that_is_not_there_is_named_and_gets_no_rule() {
    let many: Vec<String> = (0..10).map(|number| format!("x{number}")).collect();
    let decided = decide(&grant(&json!({"secrets": many})));
    assert_eq!(rules(&decided), json!([]));
    let (status, reason, message) = ready(&decided);
    assert_eq!((status.as_str(), reason.as_str()), ("False", "SecretNotFound"));
    assert!(message.ends_with(r#": "x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7" and 2 more"#), "{message}");
    let one = decide(&grant(&json!({"secrets": ["a", "AWS_KEY"]})));
    assert_eq!(rules(&one)[0]["resourceNames"], json!(["a"]));
    assert!(ready(&one).2.ends_with(r#": "AWS_KEY""#));
}

#[test]
fn a_grant_that_is_not_in_force_gives_nothing_and_says_why() {
    let expired = grant(&json!({"expiresAt": NOW}));
    let manage = grant(&json!({"access": "Manage"}));
    let mut orphan = grant(&json!({}));
    orphan.metadata.annotations = Some([(GRANTED_VIA.into(), "8 bob".into())].into());
    let low = Terms { max_access: Access::Write, ..terms() };
    for (reason, grant, descent, terms) in [
        ("Expired", &expired, Descent::Stands, terms()),
        ("Withdrawn", &orphan, Descent::Ended, terms()),
        ("Withdrawn", &orphan, Descent::Unknown, terms()),
        ("AccessNotAllowed", &orphan, Descent::NotAllowed, low.clone()),
        ("AccessNotAllowed", &manage, Descent::Stands, low),
    ] {
        let decided = desired(&Observed { descent, ..of(grant) }, &terms, at(NOW));
        assert_eq!((&decided.rbac, decided.wake), (&None, None), "{reason}");
        assert_eq!((ready(&decided).0.as_str(), ready(&decided).1.as_str()), ("False", reason));
        assert!(decided.status.unwrap().uris.is_empty(), "{reason}");
    }
}

#[test]
fn a_grant_that_is_being_deleted_gives_nothing() {
    let mut going = grant(&json!({}));
    going.metadata.deletion_timestamp = serde_json::from_value(json!(NOW)).unwrap();
    assert_eq!(decide(&going), Desired { rbac: None, status: None, wake: None });
}

#[test]
fn an_expired_grant_stays_expired_until_its_expiry_is_changed() {
    let expiry = "2026-11-24T23:59:59.5Z";
    let mut grant = grant(&json!({"expiresAt": expiry}));
    let stored = serde_json::to_value(decide(&grant).status).unwrap();
    grant.status = serde_json::from_value(stored).unwrap();
    assert_eq!(decide(&grant).status, grant.status, "what is stored is what should be");
    let earlier = at("2026-11-01T00:00:00Z");
    grant.spec.access = Access::Use;
    grant.metadata.generation = Some(4);
    let still = desired(&of(&grant), &terms(), earlier);
    assert_eq!((&still.rbac, ready(&still).1.as_str()), (&None, "Expired"));
    grant.spec.expires_at = serde_json::from_value(json!("2026-11-20T00:00:00Z")).unwrap();
    let again = desired(&of(&grant), &terms(), earlier);
    assert_eq!((again.rbac.is_some(), ready(&again).1.as_str()), (true, "Granted"));
    assert_eq!(again.status.unwrap().expired, None);
}

#[test]
fn a_withdrawn_grant_stays_withdrawn_until_it_is_granted_anew() {
    let mut grant = grant(&json!({}));
    grant.metadata.annotations = Some([(GRANTED_VIA.into(), "8 bob".into())].into());
    grant.status = desired(&Observed { descent: Descent::Ended, ..of(&grant) }, &terms(), at(NOW)).status;
    assert_eq!(ready(&decide(&grant)).1, "Withdrawn");
    grant.metadata.annotations = Some([(GRANTED_VIA.into(), "9 bob".into())].into());
    assert_eq!(ready(&decide(&grant)).1, "Granted");
}

#[test]
fn a_grant_that_came_from_one_that_is_not_allowed_or_cannot_be_read_gives_nothing_until_it_is() {
    let mut grant = grant(&json!({}));
    grant.metadata.annotations = Some([(GRANTED_VIA.into(), "8 bob".into())].into());
    for descent in [Descent::NotAllowed, Descent::Unknown] {
        let decided = desired(&Observed { descent, ..of(&grant) }, &terms(), at(NOW));
        assert_eq!((&decided.rbac, ready(&decided).0.as_str()), (&None, "False"), "{descent:?}");
        grant.status = decided.status;
        assert_eq!(ready(&decide(&grant)).1, "Granted", "{descent:?}");
    }
}

#[test]
fn the_time_of_the_last_change_moves_only_when_the_status_changes() {
    let mut grant = grant(&json!({}));
    grant.status = decide(&grant).status;
    let changed = |grant: &SecretGrant| {
        let later = desired(&of(grant), &terms(), at("2026-11-26T00:00:00Z"));
        later.status.unwrap().conditions[0].last_transition_time.0
    };
    assert_eq!(changed(&grant), at(NOW));
    grant.spec.secrets = vec!["absent".into()];
    assert_eq!(changed(&grant), at("2026-11-26T00:00:00Z"));
}

proptest! {
    #[test]
    fn a_rule_on_secrets_names_only_what_is_granted_and_there(
        access in prop::sample::select(Access::VARIANTS),
        secrets in prop::collection::vec("[a-cA-C_]{1,2}", 1..5),
        there in prop::collection::btree_set("[a-c]{1,2}", 0..5),
        derived in prop::collection::btree_set("[a-c]{1,2}", 0..3),
        max in prop::sample::select(Access::VARIANTS),
        second in -2_i64..3,
        descent in prop::sample::select(&[Descent::Stands, Descent::NotAllowed, Descent::Unknown, Descent::Ended]),
    ) {
        let now = at(NOW);
        let mut grant = grant(&json!({"secrets": secrets, "access": access}));
        grant.spec.expires_at = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(
            Timestamp::from_second(now.as_second() + second).unwrap(),
        ));
        let terms = Terms { max_access: max, ..terms() };
        let observed = Observed { grant: &grant, secrets: there.clone(), derived: derived.iter().map(|name| (None, name.clone())).collect(), descent };
        let decided = desired(&observed, &terms, now);
        prop_assert_eq!(decided.rbac.is_some(), second > 0 && descent == Descent::Stands && access <= max);
        let objects: BTreeSet<String> =
            secrets.iter().map(|key| Key::parse(key).unwrap().object_name().into_owned()).collect();
        for rule in decided.rbac.iter().flat_map(|rbac| rbac.role.rules.iter().flatten()) {
            let named = rule.resource_names.clone();
            if rule.resources.as_deref() == Some(&["secrets".to_owned()]) {
                let named: BTreeSet<String> = named.unwrap().into_iter().collect();
                prop_assert_eq!(&rule.verbs, access.verbs());
                prop_assert!(!named.is_empty());
                prop_assert_eq!(named, objects.intersection(&there).cloned().collect::<BTreeSet<_>>());
            } else if rule.verbs == ["create"] {
                prop_assert_eq!((named, access), (None, Access::Manage));
            } else {
                prop_assert_eq!((named.unwrap().into_iter().collect::<BTreeSet<_>>(), access), (derived.clone(), Access::Manage));
                prop_assert!(!derived.is_empty());
            }
        }
    }
}
