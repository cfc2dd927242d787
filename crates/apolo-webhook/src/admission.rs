//! Bytes to an [`AdmissionRequest`], and an [`Answer`] back to bytes. Whatever arrives is answered in words.
//!
//! The form is AdmissionReview of admission.k8s.io/v1
//! (<https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/>).

mod reply;
mod shape;

use std::collections::{BTreeMap, BTreeSet};
use std::str;

use apolo_core::delivery;
use apolo_core::names::DELIVERY_PREFIX;
use apolo_core::pod::Pod;
use apolo_core::requester::Requester;
use apolo_core::text::{Text, expected, quoted};
use memchr::memmem;
use serde::Deserialize;
use serde_json::error::Category;
use serde_json::value::RawValue;
use thiserror::Error;

pub use reply::{Answer, Verdict, reply, unreadable};

/// The one version of AdmissionReview that is understood.
const API_VERSION: &str = "admission.k8s.io/v1";
/// Its kind.
const KIND: &str = "AdmissionReview";
/// The longest uid, namespace or name of a resource, in bytes: Kubernetes' own limit for names.
const LONGEST_NAME: usize = 253;

/// What the API server asks about an object `O`, as far as it matters here. Strings are borrowed from the bytes.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "'de: 'a, O: Deserialize<'de>"))]
pub struct AdmissionRequest<'a, O> {
    /// `uid`, to be repeated in the answer
    pub uid: Text<'a>,
    /// `resource`
    #[serde(default)]
    pub resource: Resource<'a>,
    /// `subResource`
    pub sub_resource: Option<Text<'a>>,
    /// `name` of the object, where it has one already
    pub name: Option<Text<'a>>,
    /// `namespace` of the object
    pub namespace: Option<Text<'a>>,
    /// `operation`: `CREATE`, `UPDATE`, …
    #[serde(default)]
    pub operation: Text<'a>,
    /// `userInfo`
    #[serde(default)]
    pub user_info: UserInfo<'a>,
    /// `dryRun`
    pub dry_run: Option<bool>,
    /// `object`: as it will be
    pub object: Option<O>,
    /// `oldObject`: as it is
    pub old_object: Option<O>,
}

/// An object that is asked about.
pub trait Object {
    /// How many objects and lists may stand in the lists of a review of it, all together.
    const MOST_ELEMENTS: usize;

    /// Its name, or what its name will begin with, as far as it tells.
    fn name(&self) -> Option<&str>;
}

impl Object for Pod<'_> {
    const MOST_ELEMENTS: usize = 10_000;

    fn name(&self) -> Option<&str> {
        self.metadata.name.as_deref().or(self.metadata.generate_name.as_deref())
    }
}

impl Object for &RawValue {
    /// A workload may have thousands of steps, which are skipped unread, and comes with what it was.
    const MOST_ELEMENTS: usize = 30_000;

    fn name(&self) -> Option<&str> {
        None
    }
}

/// A resource by group, version and plural.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub struct Resource<'a> {
    /// `group`
    pub group: Text<'a>,
    /// `version`
    pub version: Text<'a>,
    /// `resource`
    pub resource: Text<'a>,
}

/// Who asked the API server.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub struct UserInfo<'a> {
    /// `username`
    pub username: Text<'a>,
    /// `uid`
    pub uid: Option<Text<'a>>,
    /// `groups`
    pub groups: Option<Vec<Text<'a>>>,
    /// `extra`
    pub extra: Option<BTreeMap<Text<'a>, Vec<Text<'a>>>>,
}

impl UserInfo<'_> {
    /// The same on its own.
    #[must_use]
    pub fn requester(&self) -> Requester {
        let owned = |texts: &Vec<Text<'_>>| texts.iter().map(|text| text.as_str().to_owned()).collect();
        let extra = self.extra.iter().flatten().map(|(key, values)| (key.to_string(), owned(values)));
        Requester {
            name: self.username.to_string(),
            uid: self.uid.as_deref().unwrap_or_default().to_owned(),
            groups: self.groups.as_ref().map(owned).unwrap_or_default(),
            extra: extra.collect(),
        }
    }
}

/// Why bytes are no request. None of these texts quotes what may be a value.
#[derive(Debug, Error)]
pub enum ReviewError {
    /// They are not UTF-8 (RFC 8259, section 8.1).
    #[error("the body is not UTF-8 (at byte {at})")]
    NotUtf8 {
        /// Where, from 0.
        at: usize,
    },
    /// They are not JSON.
    #[error("the body is not JSON (at line {line}, column {column})")]
    NotJson {
        /// The line, from 1.
        line: usize,
        /// The column in bytes, from 1.
        column: usize,
    },
    /// They are nested more deeply than anything that the API server takes.
    #[error("the body is nested more than {most} levels deep")]
    TooDeep {
        /// How deep it may be.
        most: usize,
    },
    /// There is more in their lists than in those of any such object.
    #[error("the body has more than {most} objects in its lists")]
    TooMany {
        /// How many there may be.
        most: usize,
    },
    /// They are JSON, but not of the form that a review has.
    #[error("the body is not in the form of an AdmissionReview: {what} (at line {line}, column {column})")]
    BadForm {
        /// What was expected, or which field stands there twice.
        what: String,
        /// The line, from 1.
        line: usize,
        /// The column in bytes, from 1.
        column: usize,
    },
    /// Another kind or version.
    #[error("the body must be an AdmissionReview of admission.k8s.io/v1, not {} of {}", quoted(kind), quoted(version))]
    WrongKind {
        /// Its kind.
        kind: String,
        /// Its apiVersion.
        version: String,
    },
    /// An AdmissionReview that asks nothing.
    #[error("the AdmissionReview has no request")]
    NoRequest,
    /// A name in the request that no object of Kubernetes can have.
    #[error("request.{field} is longer than {most} bytes")]
    LongName {
        /// The field with the name.
        field: &'static str,
        /// How long it may be.
        most: usize,
    },
}

/// The envelope, around a request of which more or less is read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "'de: 'a, R: Deserialize<'de>"))]
struct Review<'a, R> {
    #[serde(default)]
    api_version: Text<'a>,
    #[serde(default)]
    kind: Text<'a>,
    request: Option<R>,
}

impl<'a, O: Object + Deserialize<'a>> AdmissionRequest<'a, O> {
    /// Reads a request out of a body.
    ///
    /// # Errors
    /// Whatever is wrong with the body; see [`uid_of`] for whether it can still be answered as a review.
    pub fn read(body: &'a [u8]) -> Result<Self, ReviewError> {
        let text = str::from_utf8(body).map_err(|error| ReviewError::NotUtf8 { at: error.valid_up_to() })?;
        shape::hold(body, O::MOST_ELEMENTS)?;
        let review: Review<'a, Self> = serde_json::from_str(text).map_err(|error| bad_form(&error))?;
        if review.kind.as_str() != KIND || review.api_version.as_str() != API_VERSION {
            return Err(ReviewError::WrongKind {
                kind: review.kind.to_string(),
                version: review.api_version.to_string(),
            });
        }
        let request = review.request.ok_or(ReviewError::NoRequest)?;
        request.hold_names()?;
        Ok(request)
    }

    /// What is repeated in answers, refusals and lines of the log must be short, so that they are.
    fn hold_names(&self) -> Result<(), ReviewError> {
        let names = [
            ("uid", &*self.uid),
            ("resource", &*self.resource.resource),
            ("resource", &*self.resource.group),
            ("subResource", self.sub_resource.as_deref().unwrap_or_default()),
            ("namespace", self.namespace.as_deref().unwrap_or_default()),
            ("operation", &*self.operation),
        ];
        match names.iter().find(|(_, name)| name.len() > LONGEST_NAME) {
            Some((field, _)) => Err(ReviewError::LongName { field, most: LONGEST_NAME }),
            None => Ok(()),
        }
    }
}

impl<O: Object> AdmissionRequest<'_, O> {
    /// The name of the object, or what its name will begin with.
    #[must_use]
    pub fn object_name(&self) -> &str {
        let name = self.name.as_deref().filter(|name| !name.is_empty());
        name.or_else(|| self.object.as_ref()?.name()).unwrap_or_default()
    }
}

impl<O> AdmissionRequest<'_, O> {
    /// The resource as people write it: `pods`, `pods/ephemeralcontainers`, `deployments.apps`.
    #[must_use]
    pub fn resource_name(&self) -> String {
        let Resource { group, resource, .. } = &self.resource;
        let dot = if group.is_empty() { "" } else { "." };
        let sub_resource = self.sub_resource.as_deref().unwrap_or_default();
        let slash = if sub_resource.is_empty() { "" } else { "/" };
        format!("{}{dot}{}{slash}{sub_resource}", resource.as_str(), group.as_str())
    }

    /// The answer to a request that was not to be asked here, with what is taken here.
    #[must_use]
    pub fn misdirected(&self, takes: &str) -> Verdict {
        let (resource, operation) = (self.resource_name(), &*self.operation);
        let lacks = match (&self.object, self.namespace.as_deref()) {
            (None, _) => " without an object",
            (_, None | Some("")) => " without a namespace",
            _ => "",
        };
        Verdict::Misdirected(format!("{takes}, not {resource:?} on {operation:?}{lacks}"))
    }
}

/// The uid of a review that is otherwise unreadable, if it is one of this version that has one.
#[must_use]
pub fn uid_of(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(bound(deserialize = "'de: 'a"))]
    struct Uid<'a> {
        uid: Text<'a>,
    }
    let review: Review<'_, Uid<'_>> = serde_json::from_slice(body).ok()?;
    let right = review.kind.as_str() == KIND && review.api_version.as_str() == API_VERSION;
    let uid = review.request.filter(|_| right)?.uid;
    (uid.len() <= LONGEST_NAME).then(|| uid.to_string())
}

/// The deliveries that the object of a review names, if it is a Pod. Nearly all name none, and are not looked at again.
#[must_use]
pub fn deliveries(body: &[u8]) -> BTreeSet<String> {
    #[derive(Deserialize)]
    struct Asked {
        object: Option<Object>,
    }
    #[derive(Deserialize)]
    struct Object {
        spec: Option<serde_json::Value>,
    }
    if memmem::find(body, DELIVERY_PREFIX.as_bytes()).is_none() {
        return BTreeSet::new();
    }
    let review = serde_json::from_slice::<Review<'_, Asked>>(body);
    let spec = review.ok().and_then(|review| review.request?.object?.spec).unwrap_or_default();
    delivery::named(&spec).into_iter().map(str::to_owned).collect()
}

/// Tells where and what was expected, but not what was found: serde would quote it, and it may be a value.
fn bad_form(error: &serde_json::Error) -> ReviewError {
    let (line, column) = (error.line(), error.column());
    if error.classify() != Category::Data {
        return ReviewError::NotJson { line, column };
    }
    ReviewError::BadForm { what: expected(error), line, column }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Request<'a> = AdmissionRequest<'a, Pod<'a>>;

    fn error(body: &str) -> String {
        Request::read(body.as_bytes()).unwrap_err().to_string()
    }

    fn review(rest: &str) -> String {
        format!(r#"{{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1",{rest}}}"#)
    }

    #[test]
    fn reads_who_asks_for_what() {
        let body = review(
            r#""request":{"uid":"7","resource":{"group":"","version":"v1","resource":"pods"},"operation":"CREATE",
            "namespace":"bob","userInfo":{"username":"bob","groups":["a"]},"object":{"spec":{}},"oldObject":null}"#,
        );
        let request = Request::read(body.as_bytes()).unwrap();
        assert_eq!((request.uid.as_str(), request.resource_name().as_str()), ("7", "pods"));
        let bob = Requester { name: "bob".into(), groups: vec!["a".into()], ..Requester::default() };
        assert_eq!(request.user_info.requester(), bob);
        assert!(request.object.is_some());
    }

    #[test]
    fn names_a_resource_as_people_write_it() {
        let body = review(
            r#""request":{"uid":"7","resource":{"group":"apps","resource":"deployments"},"subResource":"scale"}"#,
        );
        assert_eq!(Request::read(body.as_bytes()).unwrap().resource_name(), "deployments.apps/scale");
    }

    #[test]
    fn says_what_is_wrong_with_a_body() {
        assert_eq!(error(""), "the body is not JSON (at line 1, column 0)");
        assert_eq!(error("{\n!"), "the body is not JSON (at line 2, column 1)");
        assert_eq!(error("{}trailing"), "the body is not JSON (at line 1, column 3)");
        assert_eq!(
            error(r#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1beta1"}"#),
            r#"the body must be an AdmissionReview of admission.k8s.io/v1, not "AdmissionReview" of "admission.k8s.io/v1beta1""#
        );
        assert_eq!(error(&review(r#""request":null"#)), "the AdmissionReview has no request");
        let not_utf8 = Request::read(b"{\"kind\":\"\xff\"}").unwrap_err().to_string();
        assert_eq!(not_utf8, "the body is not UTF-8 (at byte 9)");
    }

    #[test]
    fn never_quotes_what_it_found() {
        let body = review(r#""request":{"uid":"7","object":{"spec":{"containers":[{"env":"hunter2, expected "}]}}}"#);
        let told = error(&body);
        assert!(told.contains("expected an array"), "{told}");
        assert!(!told.contains("hunter2"), "{told}");
    }

    #[test]
    fn refuses_a_field_that_stands_there_twice() {
        let told = error(&review(r#""request":{"uid":"7","uid":"8"}"#));
        assert!(told.contains("duplicate field `uid`"), "{told}");
    }

    #[test]
    fn skips_what_is_unknown_however_deep_and_refuses_what_is_absurdly_deep() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        let body = review(&format!(r#""unknown":{},"request":{{"uid":"7"}}"#, nested(1000)));
        assert!(Request::read(body.as_bytes()).is_ok());
        for body in [nested(1_000_000), review(&format!(r#""unknown":{}"#, nested(10_000)))] {
            assert_eq!(error(&body), "the body is nested more than 4096 levels deep");
        }
        assert!(error(&nested(200)).contains("form of an AdmissionReview"), "{}", error(&nested(200)));
    }

    #[test]
    fn refuses_a_name_that_it_would_have_to_repeat_and_cannot_be_one() {
        let long = "x".repeat(254);
        let body = review(&format!(r#""request":{{"uid":"7","namespace":"{long}"}}"#));
        assert_eq!(error(&body), "request.namespace is longer than 253 bytes");
        assert_eq!(uid_of(body.as_bytes()), Some("7".into()));
        let body = review(&format!(r#""request":{{"uid":"{long}"}}"#));
        assert_eq!(error(&body), "request.uid is longer than 253 bytes");
        assert_eq!(uid_of(body.as_bytes()), None);
    }

    #[test]
    fn finds_the_uid_of_a_review_that_is_out_of_form() {
        assert_eq!(uid_of(review(r#""request":{"uid":"7","object":3}"#).as_bytes()), Some("7".into()));
        assert_eq!(uid_of(br#"{"request":{"uid":"7"}}"#), None);
        assert_eq!(uid_of(b"not json"), None);
    }

    proptest! {
        #[test]
        fn whatever_arrives_is_read_or_answered_in_words(body in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Err(error) = Request::read(&body) {
                prop_assert!(error.to_string().starts_with("the "));
            }
        }

        #[test]
        fn a_review_broken_anywhere_is_answered_in_words(at in 0usize..220, with in any::<u8>()) {
            let mut body = review(r#""request":{"uid":"7","resource":{"group":"","version":"v1","resource":"pods"},
                "operation":"CREATE","object":{"metadata":{"annotations":{"secrets.apolo.us/env":"A=secret:a"}}}}"#).into_bytes();
            if let Some(byte) = body.get_mut(at) {
                *byte = with;
            }
            if let Err(error) = Request::read(&body) {
                prop_assert!(!error.to_string().is_empty());
            }
        }
    }
}
