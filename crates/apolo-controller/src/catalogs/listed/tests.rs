#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::room::{MOST_BYTES, MOST_BYTES_OF_OWNER, stored_size};
use super::*;
use apolo_api::access::Access;
use apolo_api::grant::SecretGrant;
use proptest::prelude::*;
use serde_json::{Value, json};

const NOW: &str = "2026-11-25T00:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn terms(max_access: Access) -> Terms {
    Terms { cluster_name: "default".into(), max_access }
}

fn list(listing: &Listing) -> Option<SecretCatalogStatus> {
    listed(listing, &terms(Access::Manage), now())
}

/// A grant of `namespace` whose secrets all exist.
fn seen(namespace: &str, name: &str, fields: &Value) -> SeenGrant {
    let mut grant = json!({
        "metadata": {"name": name, "namespace": namespace, "uid": name, "annotations": {GRANTED_BY: "alice"}},
        "spec": {"secrets": ["one"], "subjects": [{"kind": "User", "name": "bob"}]},
    });
    for (field, value) in fields.as_object().unwrap() {
        grant["spec"][field] = value.clone();
    }
    let grant: SecretGrant = serde_json::from_value(grant).unwrap();
    let keys = grant.spec.secrets.iter().filter_map(|key| Key::parse(key).ok());
    let there = keys.map(|key| key.object_name().into_owned()).collect();
    SeenGrant { grant: Arc::new(grant), stands: true, there }
}

fn changed(seen: &SeenGrant, change: impl FnOnce(&mut SecretGrant)) -> SeenGrant {
    let mut grant = SecretGrant::clone(&seen.grant);
    change(&mut grant);
    SeenGrant { grant: Arc::new(grant), ..seen.clone() }
}

fn opaque() -> KnownSecret {
    KnownSecret { is_opaque: true, ..KnownSecret::default() }
}

fn of_key(key: &str) -> (String, KnownSecret) {
    let object = Key::parse(key).unwrap().object_name().into_owned();
    (object, KnownSecret { key: Some(key.into()), ..opaque() })
}

fn own_of(secrets: impl IntoIterator<Item = (String, KnownSecret)>) -> Listing {
    Listing { secrets: secrets.into_iter().collect(), ..Listing::default() }
}

fn keys(listing: &Listing) -> Vec<(String, bool)> {
    list(listing).into_iter().flat_map(|status| status.own).map(|own| (own.key, own.ordinary)).collect()
}

fn uris(listing: &Listing) -> Vec<String> {
    list(listing).into_iter().flat_map(|status| status.shared).map(|shared| shared.uri).collect()
}

#[test]
fn where_nothing_is_to_be_listed_there_is_no_catalog() {
    assert_eq!(list(&Listing::default()), None);
    assert_eq!(list(&own_of([("tls".into(), KnownSecret { has_own_entry: true, ..KnownSecret::default() })])), None);
    let own = Listing { own: vec![seen("bob", "a", &json!({}))], ..Listing::default() };
    assert_eq!(list(&own), None);
}

#[test]
fn a_secret_is_listed_by_its_key_only_if_its_name_is_that_of_the_keys_object() {
    let row = |object: &str, key: Option<&str>, has_own_entry: bool, expected: (&str, bool)| {
        let secret = KnownSecret { key: key.map(Into::into), has_own_entry, ..opaque() };
        let listed = keys(&own_of([(object.to_owned(), secret)]));
        assert_eq!(listed, [(expected.0.to_owned(), expected.1)], "{object} {key:?} {has_own_entry}");
    };
    row("secret-password", Some("secret-password"), false, ("secret-password", false));
    row("aws-key-4cea0ddbcf43f8cf", Some("AWS_KEY"), false, ("AWS_KEY", false));
    row("db", None, true, ("db", false));
    row("db", None, false, ("db", true));
    row("db", Some("another"), false, ("db", true));
    row("db", Some("another"), true, ("db", false));
    row("db", Some("not a key"), false, ("db", true));
    // The object of the key that it is called is another.
    row("aws-key-4cea0ddbcf43f8cf", None, true, ("aws-key-4cea0ddbcf43f8cf", true));
    row("aws-key-4cea0ddbcf43f8cf", Some("aws-key"), true, ("aws-key-4cea0ddbcf43f8cf", true));
}

#[test]
fn a_secret_is_listed_with_its_times_and_how_many_it_is_shared_with() {
    let (object, secret) = of_key("AWS_KEY");
    let times = (Some("2026-11-24T00:00:00Z".parse().unwrap()), Some(now()));
    let secret = KnownSecret { created: times.0, updated: times.1, ..secret };
    let users = |names: &[&str]| names.iter().map(|name| json!({"kind": "User", "name": name})).collect::<Value>();
    let of = |name, fields: &Value| seen("alice", name, fields);
    let expired = of("expired", &json!({"secrets": ["AWS_KEY"], "expiresAt": NOW, "subjects": users(&["erin"])}));
    let listing = Listing {
        own: vec![
            of("one", &json!({"secrets": ["AWS_KEY"], "subjects": users(&["bob", "carol"])})),
            of(
                "two",
                &json!({"secrets": ["AWS_KEY", "other"], "subjects": [
                    {"kind": "User", "name": "bob"}, {"kind": "Group", "name": "bob"},
                ]}),
            ),
            of("other", &json!({"secrets": ["other"], "subjects": users(&["dave"])})),
            expired,
        ],
        ..own_of([(object, secret), of_key("unshared")])
    };
    let status = serde_json::to_value(list(&listing)).unwrap();
    let expected = json!({"cluster": "default", "own": [
        {"key": "AWS_KEY", "created": "2026-11-24T00:00:00Z", "updated": NOW, "sharedWith": 3},
        {"key": "unshared", "sharedWith": 0},
    ]});
    assert_eq!(status, expected);
}

#[test]
fn a_grant_is_told_with_whom_it_is_for_who_granted_it_and_until_when() {
    let subjects = json!([
        {"kind": "User", "name": "oidc:bob"}, {"kind": "Group", "name": "ml-team"},
        {"kind": "ServiceAccount", "name": "trainer", "namespace": "jobs"}, {"kind": "Namespace", "name": "nightly"},
    ]);
    let fields = json!({"secrets": ["two", "AWS_KEY", "gone"], "access": "Write", "expiresAt": "2027-01-01T00:00:00Z",
        "subjects": subjects});
    let mut all = changed(&seen("alice", "all", &fields), |grant| {
        let by = "system:serviceaccount:ci:deployer".to_owned();
        grant.metadata.annotations = Some([(GRANTED_BY.to_owned(), by)].into());
    });
    all.there.remove("gone");
    let plain = changed(&seen("zoe", "plain", &json!({})), |grant| grant.metadata.annotations = None);
    let listing = Listing { shared: vec![plain, all], ..Listing::default() };
    let entry = |key: &str| {
        json!({
            "uri": format!("secret://default/alice/{key}"), "access": "Write", "by": "serviceaccount:ci/deployer",
            "expiresAt": "2027-01-01T00:00:00Z",
            "subjects": ["user:oidc:bob", "group:ml-team", "serviceaccount:jobs/trainer", "namespace:nightly"],
        })
    };
    let plain = json!({"uri": "secret://default/zoe/one", "access": "Read", "subjects": ["bob"]});
    let expected = json!({"cluster": "default", "shared": [entry("AWS_KEY"), entry("two"), plain]});
    assert_eq!(serde_json::to_value(list(&listing)).unwrap(), expected);
}

#[test]
fn a_grant_that_is_not_in_force_is_not_told() {
    let grant = seen("alice", "a", &json!({"access": "Write", "expiresAt": "2026-11-25T00:00:01Z"}));
    let told = |seen: SeenGrant, max_access: Access, now: &str| {
        let listing = Listing { shared: vec![seen], ..Listing::default() };
        listed(&listing, &terms(max_access), now.parse().unwrap()).is_some()
    };
    let status = |status: Value| changed(&grant, |grant| grant.status = serde_json::from_value(status).unwrap());
    assert!(told(grant.clone(), Access::Write, NOW));
    assert!(!told(grant.clone(), Access::Read, NOW));
    assert!(!told(grant.clone(), Access::Write, "2026-11-25T00:00:01Z"));
    assert!(!told(status(json!({"expired": "2026-11-25T00:00:01Z"})), Access::Write, NOW));
    assert!(!told(SeenGrant { stands: false, ..grant.clone() }, Access::Write, NOW));
    assert!(!told(SeenGrant { there: BTreeSet::new(), ..grant.clone() }, Access::Write, NOW));
    let going = changed(&grant, |grant| grant.metadata.deletion_timestamp = Some(Time(now())));
    assert!(!told(going, Access::Write, NOW));
    let because = |reason: &str| {
        status(json!({"conditions": [{"type": "Ready", "status": "False", "reason": reason, "message": "",
            "lastTransitionTime": NOW}]}))
    };
    assert!(told(because("SecretNotFound"), Access::Write, NOW));
    assert!(!told(because("NameConflict"), Access::Write, NOW));
}

#[test]
fn of_many_there_are_as_many_as_there_may_be_and_the_rest_is_counted() {
    let secrets = (0..1005).map(|number| of_key(&format!("key-{number:04}")));
    let many: Vec<String> = (0..50).map(|number| format!("s{number:02}")).collect();
    let grants = (0..21).map(|number| seen("alice", &format!("g{number:02}"), &json!({"secrets": many})));
    let listing = Listing { shared: grants.collect(), ..own_of(secrets) };
    let status = list(&listing).unwrap();
    assert_eq!((status.own.len(), status.shared.len(), status.truncated), (1000, 1000, Some(5 + 50)));
    assert_eq!(
        (status.own[999].key.as_str(), status.shared[999].uri.as_str()),
        ("key-0999", "secret://default/alice/s47")
    );
    let exactly = list(&own_of((0..1000).map(|number| of_key(&format!("key-{number:04}"))))).unwrap();
    assert_eq!((exactly.own.len(), exactly.truncated), (1000, None));
}

#[test]
fn what_would_be_too_much_to_store_is_left_out_and_own_secrets_come_first() {
    let long = "k".repeat(240);
    let secrets = (0..1000).map(|number| of_key(&format!("{long}{number:04}")));
    let subjects: Vec<Value> =
        (0..100).map(|number| json!({"kind": "User", "name": format!("{number:03}{}", "&".repeat(509))})).collect();
    let many: Vec<String> = (0..64).map(|number| format!("s{number:02}")).collect();
    let fields = json!({"secrets": many, "subjects": subjects});
    let bigs = (0..8).map(|number| seen(&format!("alice-{number}"), "big", &fields));
    let listing = Listing { shared: bigs.chain([seen("zoe", "small", &json!({}))]).collect(), ..own_of(secrets) };
    let status = list(&listing).unwrap();
    assert_eq!(status.own.len(), 1000);
    // Each is more than all entries of one owner may have together, so each owner has one.
    let of_one: Vec<_> = status.shared.iter().filter(|it| it.uri.contains("/alice-0/")).collect();
    assert!(of_one.len() == 1 && stored_size(of_one[0]) > Some(MOST_BYTES_OF_OWNER));
    let size = stored_size(&status).unwrap();
    assert!(size <= MOST_BYTES + 100 && size > MOST_BYTES / 2, "{size}");
    assert_eq!(status.shared.last().unwrap().uri, "secret://default/zoe/one");
    assert_eq!(status.truncated, Some(8 * 64 + 1 - i64::try_from(status.shared.len()).unwrap()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_order_in_which_it_is_known_does_not_matter(
        secrets in prop::collection::btree_map("[a-d]{1,2}", (prop::bool::ANY, prop::bool::ANY), 0..9),
        grants in prop::collection::btree_map(("[a-c]", "[a-c]{1,3}"), prop::collection::btree_set("[a-d]{1,2}", 1..4), 0..9),
    ) {
        let of = |turned: bool| {
            let secret = |is_opaque, has_own_entry| KnownSecret { is_opaque, has_own_entry, ..KnownSecret::default() };
            let secrets = secrets.iter().map(|(name, it)| (name.clone(), secret(it.0, it.1)));
            let mut shared: Vec<SeenGrant> =
                grants.iter().map(|((owner, name), keys)| seen(owner, name, &json!({"secrets": keys}))).collect();
            if turned {
                shared.reverse();
            }
            Listing { shared, ..own_of(secrets) }
        };
        let listing = of(false);
        prop_assert_eq!(list(&listing), list(&of(true)));
        let keys = keys(&listing);
        prop_assert!(keys.is_sorted());
        prop_assert_eq!(keys.len(), secrets.values().filter(|it| it.0).count());
        prop_assert!(uris(&listing).is_sorted());
        prop_assert_eq!(uris(&listing).len(), grants.values().map(BTreeSet::len).sum::<usize>());
    }

    #[test]
    fn nothing_is_lost_without_being_counted_and_it_always_fits(
        own in 0_usize..1100, shared in 0_usize..30, each in 1_usize..64, wide in 0_usize..60, long in 0_usize..500,
    ) {
        let subjects: Vec<Value> = (0..=wide)
            .map(|number| json!({"kind": "User", "name": format!("{number}{}", "<".repeat(long))})).collect();
        let many: Vec<String> = (0..each).map(|number| format!("s{number:02}")).collect();
        let one = seen("alice", "one", &json!({"secrets": many, "subjects": subjects}));
        let grants = (0..shared).map(|it| changed(&one, |grant| grant.metadata.name = Some(format!("g{it:02}"))));
        let secrets = (0..own).map(|number| (format!("o{number:04}"), opaque()));
        let listing = Listing { shared: grants.collect(), ..own_of(secrets) };
        let found = own + shared * each;
        match list(&listing) {
            None => prop_assert_eq!(found, 0),
            Some(status) => {
                let listed = status.own.len() + status.shared.len();
                let left_out = usize::try_from(status.truncated.unwrap_or(0)).unwrap();
                prop_assert_eq!(listed + left_out, found);
                prop_assert!(status.truncated != Some(0));
                prop_assert!(status.own.len() <= MOST_ENTRIES && status.shared.len() <= MOST_ENTRIES);
                prop_assert!(stored_size(&status).unwrap() <= MOST_BYTES + 200);
            }
        }
    }
}

#[test]
fn owners_who_share_many_leave_room_for_others() {
    let names = |count: usize| (0..count).map(|number| format!("k{number:04}")).collect::<Vec<_>>();
    let many = |owner: &str, grants: usize| -> Vec<SeenGrant> {
        let of = |number: usize| {
            let fields = json!({"secrets": names(60), "subjects": [{"kind": "User", "name": "bob"}]});
            seen(owner, &format!("{owner}-{number:03}"), &fields)
        };
        (0..grants).map(of).collect()
    };
    let shared = [many("aaa", 50), many("bbb", 1), vec![seen("zoe", "last", &json!({}))]].concat();
    let listing = Listing { shared, ..Listing::default() };
    let listed = uris(&listing);
    assert_eq!(listed.len(), MOST_ENTRIES);
    let of = |owner: &str| listed.iter().filter(|uri| uri.contains(&format!("/{owner}/"))).count();
    assert_eq!((of("aaa"), of("bbb"), of("zoe")), (MOST_ENTRIES - 61, 60, 1));
    assert!(listed.is_sorted());
}
