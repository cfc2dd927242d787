//! Certificates over many lives, on a clock that is made up, with real keys: whatever happens to the Secrets, and however late webhooks
//! and API servers hear of it, no API server comes not to believe a webhook, and none has to trust more than two authorities.

use super::*;
use crate::certificates::issue::{self, Issued};

use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration};
use proptest::prelude::*;
use secrecy::SecretString;
use serde_json::{Value, json};

fn terms() -> Terms {
    Terms { names: ["hook.ours.svc".to_owned()].into(), life: Duration::from_secs(1800) }
}

fn bundle(which: Which, text: &str) -> Bundle {
    let text = k8s_openapi::ByteString(text.as_bytes().to_vec());
    let hook = |name: &str| json!({"name": name, "clientConfig": {"caBundle": text}, "sideEffects": "None", "admissionReviewVersions": ["v1"]});
    let configuration: Value = json!({"metadata": {"name": "ours"}, "webhooks": [hook("a"), hook("b")]});
    match which {
        Which::Mutating => {
            Bundle::mutating(serde_json::from_value::<MutatingWebhookConfiguration>(configuration).unwrap())
        }
        Which::Validating => {
            Bundle::validating(serde_json::from_value::<ValidatingWebhookConfiguration>(configuration).unwrap())
        }
    }
}

fn certificate(issued: &Issued) -> Certificate {
    Certificate::read(issued.certificate.as_bytes()).unwrap()
}

/// What there is, and who has heard of it.
struct World {
    now: SystemTime,
    authority: Found<(Authority, SecretString)>,
    serving: Found<Certificate>,
    bundles: [String; 2],
    /// What the API server knows of them, and what it will hear of when.
    known: [String; 2],
    news: Vec<(SystemTime, usize, String)>,
    /// What two webhooks serve, and will load when.
    served: [Option<Certificate>; 2],
    loads: Vec<(SystemTime, usize, Certificate)>,
    heard: Option<(Certificate, SystemTime)>,
    /// Every serving certificate.
    signed: Vec<Certificate>,
    made: [usize; 2],
}

impl World {
    fn new() -> Self {
        Self {
            now: SystemTime::now(),
            authority: Found::Missing,
            serving: Found::Missing,
            bundles: Default::default(),
            known: Default::default(),
            news: Vec::new(),
            served: [None, None],
            loads: Vec::new(),
            heard: None,
            signed: Vec::new(),
            made: [0, 0],
        }
    }

    fn seen(&mut self) -> Seen {
        let authority = match &self.authority {
            Found::There((authority, _)) => Found::There(authority.clone()),
            Found::Unusable(why) => Found::Unusable(why),
            Found::Missing => Found::Missing,
        };
        let bundles = vec![bundle(Which::Mutating, &self.bundles[0]), bundle(Which::Validating, &self.bundles[1])];
        let heard = match &authority {
            Found::There(it) if bundles.iter().all(|bundle| bundle.trusts(&it.certificate)) => {
                let known = self.heard.take().filter(|(certificate, _)| *certificate == it.certificate);
                let (certificate, since) = known.unwrap_or((it.certificate.clone(), self.now));
                self.heard = Some((certificate, since));
                self.now.duration_since(since).ok()
            }
            _ => {
                self.heard = None;
                None
            }
        };
        Seen { authority, serving: self.serving.clone(), bundles, heard }
    }

    /// The controller does what is to be done now.
    fn work(&mut self, lateness: &mut impl FnMut(u64) -> Duration) {
        let acts = (0..20).take_while(|_| self.act(lateness)).count();
        assert!(acts < 20, "it never rests");
    }

    /// The controller does one thing; whether there was one.
    fn act(&mut self, lateness: &mut impl FnMut(u64) -> Duration) -> bool {
        let terms = terms();
        match next(&self.seen(), &terms, self.now) {
            Step::Wait(until) => {
                assert!(until >= self.now, "it would be looked at without a pause");
                return false;
            }
            Step::Authority { previous, .. } => {
                let issued = issue::authority(&terms, self.now).unwrap();
                let authority = Authority { certificate: certificate(&issued), previous };
                self.authority = Found::There((authority, issued.key));
                self.made[0] += 1;
            }
            Step::Trust { which, bundle } => {
                let at = usize::from(which == Which::Validating);
                self.news.push((self.now + lateness(4), at, bundle.clone()));
                self.bundles[at] = bundle;
            }
            Step::Disown(_) => panic!("nobody owns anything here"),
            Step::Serving { .. } => {
                let Found::There((authority, key)) = &self.authority else { panic!("by whom?") };
                let issued = issue::serving(&terms, &authority.certificate.pem(), key, self.now).unwrap();
                let serving = certificate(&issued);
                for webhook in 0..2 {
                    // Some webhooks load it at once, before an API server has heard of anything.
                    let late = if lateness(1).is_zero() { Duration::ZERO } else { lateness(120) };
                    self.loads.push((self.now + late, webhook, serving.clone()));
                }
                self.signed.push(serving.clone());
                self.serving = Found::There(serving);
                self.made[1] += 1;
            }
        }
        true
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        let now = self.now;
        // Who hears of one thing late does not hear of what was before it later still.
        for at in 0..2 {
            let news = self.news.iter().rposition(|(when, of, _)| *of == at && *when <= now);
            if let Some(newest) = news {
                self.known[at] = self.news[newest].2.clone();
                let mut index = 0..=newest;
                self.news.retain(|(_, of, _)| index.next().is_none() || *of != at);
            }
            let loads = self.loads.iter().rposition(|(when, of, _)| *of == at && *when <= now);
            if let Some(newest) = loads {
                self.served[at] = Some(self.loads[newest].2.clone());
                let mut index = 0..=newest;
                self.loads.retain(|(_, of, _)| index.next().is_none() || *of != at);
            }
        }
    }

    fn check(&self) {
        self.check_believed(None);
    }

    /// The same where this is believed by itself.
    fn check_believed(&self, itself: Option<&Certificate>) {
        for text in self.known.iter().chain(&self.bundles) {
            assert!(Certificate::read_all(text.as_bytes()).len() <= 2);
        }
        for text in &self.known {
            let trusted = Certificate::read_all(text.as_bytes());
            for served in self.served.iter().flatten() {
                assert!(served.is_valid(self.now), "what is served has ended");
                let is_by = |it: &&Certificate| served.is_signed_by(it) || (itself == Some(*it) && served == *it);
                let by = trusted.iter().find(is_by);
                assert!(by.is_some_and(|authority| authority.is_valid(self.now)), "what is served is not believed");
            }
        }
    }
}

/// What somebody does to the Secrets.
#[derive(Clone, Copy, Debug)]
enum Harm {
    DeleteAuthority,
    SpoilAuthority,
    DeleteServing,
    SpoilServing,
    DeleteBoth,
    Restart,
    Away(u64),
}

fn harm() -> impl Strategy<Value = Harm> {
    prop_oneof![
        3 => Just(Harm::DeleteAuthority),
        1 => Just(Harm::SpoilAuthority),
        1 => Just(Harm::DeleteServing),
        1 => Just(Harm::SpoilServing),
        1 => Just(Harm::DeleteBoth),
        1 => Just(Harm::Restart),
        1 => (1..250_u64).prop_map(Harm::Away),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

    #[test]
    fn whatever_becomes_of_the_secrets_no_webhook_is_ever_not_believed(
        harms in prop::collection::vec((1..40_u64, 0..900_u64, harm()), 1..14),
        seed: u64,
    ) {
        let mut random = seed | 1;
        let mut lateness = move |most: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            Duration::from_secs((random >> 33) % (most + 1))
        };
        let mut world = World::new();
        // At a first start nobody has been believed before: only then all have loaded the first certificate and heard of its authority.
        for _ in 0..10 {
            world.work(&mut lateness);
            world.pass(Duration::from_secs(20));
        }
        for (times, tick, harm) in harms {
            // Sometimes soon after the one before.
            let tick = if tick > 300 { 20 } else { 1 + tick % 3 };
            for _ in 0..times {
                world.work(&mut lateness);
                world.pass(Duration::from_secs(tick));
                world.check();
            }
            // Were neither there while two authorities are in use, nothing would tell whose certificate is served.
            let is_alone = Certificate::read_all(world.bundles[0].as_bytes()).len() == 1;
            let is_told = is_alone
                || match harm {
                    Harm::DeleteAuthority | Harm::SpoilAuthority => matches!(world.serving, Found::There(_)),
                    Harm::DeleteServing | Harm::SpoilServing => matches!(world.authority, Found::There(_)),
                    Harm::DeleteBoth => false,
                    Harm::Restart | Harm::Away(_) => true,
                };
            match harm {
                _ if !is_told => {}
                Harm::DeleteAuthority => world.authority = Found::Missing,
                Harm::SpoilAuthority => world.authority = Found::Unusable("spoilt"),
                Harm::DeleteServing => world.serving = Found::Missing,
                Harm::SpoilServing => world.serving = Found::Unusable("spoilt"),
                Harm::DeleteBoth => (world.authority, world.serving) = (Found::Missing, Found::Missing),
                Harm::Restart => world.heard = None,
                Harm::Away(seconds) => {
                    world.heard = None;
                    for _ in 0..seconds / 10 {
                        world.pass(Duration::from_secs(10));
                        world.check();
                    }
                }
            }
        }
    }
}

#[test]
fn left_alone_an_authority_signs_for_ten_lives_and_then_another_follows_it() {
    let (mut world, began) = (World::new(), SystemTime::now());
    while world.made[0] < 3 {
        world.work(&mut |_| Duration::from_secs(30));
        world.pass(Duration::from_secs(30));
        world.check();
        // Also what no webhook should serve any more.
        let trusted = Certificate::read_all(world.bundles[0].as_bytes());
        let alive = world.signed.iter().filter(|serving| serving.is_valid(world.now));
        assert!(alive.into_iter().all(|serving| trusted.iter().any(|authority| serving.is_signed_by(authority))));
    }
    let lives = world.now.duration_since(began).unwrap().as_secs() / terms().life.as_secs();
    assert_eq!(lives, 20);
    // A certificate serves for two thirds of its life, and the first of each authority for as long as the last of the one before.
    assert!((30..=33).contains(&world.made[1]), "{:?}", world.made);
}

#[test]
fn a_first_start_makes_all_of_it_at_once() {
    let mut world = World::new();
    let mut none = |_| Duration::ZERO;
    for _ in 0..4 {
        world.act(&mut none);
    }
    assert_eq!(world.made, [1, 1]);
    assert!(matches!(next(&world.seen(), &terms(), world.now), Step::Wait(_)));
}

#[test]
fn an_authority_in_the_place_of_one_that_was_deleted_is_told_otherwise_than_the_first() {
    let mut world = World::new();
    let why = |world: &mut World| match next(&world.seen(), &terms(), world.now) {
        Step::Authority { why, .. } => why,
        other => panic!("{other:?}"),
    };
    assert_eq!(why(&mut world), FIRST);
    world.work(&mut |_| Duration::ZERO);
    world.authority = Found::Missing;
    assert_eq!(why(&mut world), GONE);
}

#[test]
fn what_is_wrong_with_a_serving_certificate_is_told() {
    let mut world = World::new();
    let mut none = |_| Duration::ZERO;
    for _ in 0..4 {
        world.act(&mut none);
    }
    world.pass(Duration::from_secs(60));
    let Found::There((authority, key)) = &world.authority else { panic!() };
    let (signer, key, now) = (authority.certificate.pem(), key.clone(), world.now);
    let other = issue::authority(&terms(), now).unwrap();
    let renamed = Terms { names: ["hook.others.svc".to_owned()].into(), ..terms() };
    let of = |issued: Issued| Found::There(certificate(&issued));
    for (serving, expected) in [
        (Found::Unusable("spoilt"), "spoilt"),
        (of(issue::serving(&renamed, &signer, &key, now).unwrap()), "the one before is for other names"),
        (
            of(issue::serving(&terms(), &other.certificate, &other.key, now).unwrap()),
            "the one before was signed by another authority",
        ),
        (
            of(issue::serving(&terms(), &signer, &key, now - terms().life * 2).unwrap()),
            "the one before is not valid now",
        ),
        (of(issue::serving(&terms(), &signer, &key, now - terms().life * 2 / 3).unwrap()), RENEWED),
    ] {
        world.serving = serving;
        // The authority has been in caBundle for a minute, as the controller has seen it.
        assert_eq!(next(&world.seen(), &terms(), now), Step::Serving { why: expected });
    }
}

/// An authority that somebody else has made.
fn theirs() -> Issued {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    (params.not_before, params.not_after) = (
        (SystemTime::now() - Duration::from_secs(3600)).into(),
        (SystemTime::now() + Duration::from_secs(360_000)).into(),
    );
    Issued { certificate: params.self_signed(&key).unwrap().pem(), key: key.serialize_pem().into() }
}

#[test]
fn what_others_have_made_is_believed_until_each_webhook_has_ours() {
    let theirs = theirs();
    let served = certificate(&issue::serving(&terms(), &theirs.certificate, &theirs.key, SystemTime::now()).unwrap());
    for (is_stale, is_served_itself) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut world = World::new();
        if is_stale {
            // We have made some at an earlier time.
            world.work(&mut |_| Duration::ZERO);
            world.pass(Duration::from_secs(60));
            (world.heard, world.loads) = (None, Vec::new());
        }
        let told = if is_served_itself { served.pem() } else { theirs.certificate.clone() };
        (world.bundles, world.known) = ([told.clone(), told.clone()], [told.clone(), told]);
        let by_theirs = [Some(served.clone()), Some(served.clone())];
        world.served = by_theirs;
        world.work(&mut |most| Duration::from_secs(most));
        // Pods that serve ours come one after the other.
        for second in 0..400 {
            world.work(&mut |most| Duration::from_secs(most));
            world.pass(Duration::from_secs(1));
            if let (60 | 120, Found::There(serving)) = (second, &world.serving) {
                world.served[usize::from(second == 120)] = Some(serving.clone());
            }
            world.check_believed(is_served_itself.then_some(&served));
        }
        world.pass(terms().handed_over());
        world.work(&mut |_| Duration::ZERO);
        let Found::There((authority, _)) = &world.authority else { panic!("no authority") };
        assert_eq!(world.bundles, [authority.certificate.pem(), authority.certificate.pem()]);
    }
}

/// Both webhooks serve, and both API servers believe, only what somebody else has made; then we begin again with what we had.
fn handed_over_from(mut world: World, theirs: &Issued) -> World {
    let served = certificate(&issue::serving(&terms(), &theirs.certificate, &theirs.key, world.now).unwrap());
    let told = [theirs.certificate.clone(), theirs.certificate.clone()];
    (world.heard, world.loads, world.news) = (None, Vec::new(), Vec::new());
    (world.bundles, world.known, world.served) = (told.clone(), told, [Some(served.clone()), Some(served)]);
    for second in 0..400 {
        world.work(&mut |most| Duration::from_secs(most));
        world.pass(Duration::from_secs(1));
        if let (60 | 120, Found::There(serving)) = (second, &world.serving) {
            world.served[usize::from(second == 120)] = Some(serving.clone());
        }
        world.check();
    }
    world
}

#[test]
fn what_others_have_made_is_believed_also_while_an_authority_of_ours_was_followed_by_another() {
    let mut world = World::new();
    world.work(&mut |_| Duration::ZERO);
    world.pass(Duration::from_secs(60));
    world.authority = Found::Missing;
    for _ in 0..10 {
        world.work(&mut |_| Duration::ZERO);
        world.pass(Duration::from_secs(60));
    }
    let Found::There((Authority { previous: Some(_), .. }, _)) = &world.authority else { panic!("none before it") };
    handed_over_from(world, &theirs());
}

#[test]
fn what_others_have_made_is_believed_also_when_our_authority_is_to_be_followed() {
    let mut world = World::new();
    world.work(&mut |_| Duration::ZERO);
    world.now += terms().authority_life() - terms().authority_rest();
    let made = world.made[0];
    let mut world = handed_over_from(world, &theirs());
    assert_eq!(world.made[0], made);
    world.pass(terms().handed_over());
    world.work(&mut |_| Duration::ZERO);
    assert_eq!(world.made[0], made + 1);
}

/// What somebody writes into a caBundle, of what is there, what others have made and what is none.
fn written(what: u8, there: &str, theirs: &[Issued; 2]) -> String {
    let [first, second] = [&theirs[0].certificate, &theirs[1].certificate];
    match what {
        0 => String::new(),
        1 => "garbage".to_owned(),
        2 => first.clone(),
        3 => second.clone(),
        4 => format!("{second}{first}"),
        5 => format!("{there}{first}"),
        6 => format!("{second}{there}"),
        7 => format!("{first}garbage{there}"),
        _ => there.to_owned(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn whatever_others_write_two_are_trusted_at_most_and_in_the_end_only_ours(
        acts in prop::collection::vec((0..9_u8, 0..9_u8, 0..4_u8, 1..900_u64), 1..20),
    ) {
        let theirs = [theirs(), theirs()];
        let mut world = World::new();
        for (mutating, validating, secrets, seconds) in acts {
            world.bundles =
                [written(mutating, &world.bundles[0], &theirs), written(validating, &world.bundles[1], &theirs)];
            match secrets {
                0 => world.authority = Found::Missing,
                1 => world.serving = Found::Unusable("spoilt"),
                2 => world.heard = None,
                _ => {}
            }
            for _ in 0..3 {
                world.work(&mut |_| Duration::ZERO);
                // One that is gone is followed when all webhooks serve what it has signed; until then nothing is written.
                if let Found::There(_) = world.authority {
                    assert!((1..=2).contains(&Certificate::read_all(world.bundles[0].as_bytes()).len()));
                    assert_eq!(world.bundles[0], world.bundles[1]);
                }
                world.pass(Duration::from_secs(seconds) / 3);
            }
        }
        for rest in [terms().loaded(), terms().handed_over(), Duration::ZERO] {
            world.work(&mut |_| Duration::ZERO);
            world.pass(rest);
        }
        let trusted = Certificate::read_all(world.bundles[0].as_bytes());
        assert!(trusted.iter().all(|it| it.is_ours(AUTHORITY)));
    }
}

#[test]
fn what_somebody_else_writes_into_a_ca_bundle_is_made_right_whatever_it_is() {
    let mut world = World::new();
    for _ in 0..4 {
        world.act(&mut |_| Duration::ZERO);
    }
    let (right, other) = (world.bundles[1].clone(), issue::authority(&terms(), world.now).unwrap().certificate);
    for wrong in [String::new(), "garbage".to_owned(), other.clone(), format!("{right}{other}"), format!("{right}\n")] {
        world.bundles[1] = wrong;
        let trust = Step::Trust { which: Which::Validating, bundle: right.clone() };
        assert_eq!(next(&world.seen(), &terms(), world.now), trust);
    }
}
