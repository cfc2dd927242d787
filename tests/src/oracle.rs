//! What access there should be in a namespace, by its grants as the API server has them, and what access there is, by its own
//! authorizers. Nothing here knows of the controller.
#![allow(clippy::indexing_slicing, reason = "what a JSON object does not have is null")]

pub mod bindings;
pub mod deliveries;

use std::{collections::BTreeSet, time::Duration};

use futures_util::future::try_join_all;
use k8s_openapi::{
    api::{
        authorization::v1::SubjectAccessReview,
        core::v1::Secret,
        rbac::v1::{Role, RoleBinding},
    },
    jiff::Timestamp,
};
use kube::{
    Api, ResourceExt,
    api::{DynamicObject, ListParams, PostParams},
};
use serde_json::{Value, json};

use crate::{
    eventually::{NotYet, within},
    namespace::Namespace,
};

/// The verbs of each access, from the least on.
const LEVELS: [(&str, &[&str]); 4] = [
    ("Use", &["use"]),
    ("Read", &["use", "get"]),
    ("Write", &["use", "get", "update", "patch"]),
    ("Manage", &["use", "get", "update", "patch", "delete", "share"]),
];
/// The label of all that the controller makes.
const LABEL: &str = "secrets.apolo.us/grant-uid";

/// Who may do what with which Secret: users, verbs and names.
pub type Access = BTreeSet<(String, String, String)>;

/// Somebody, as RBAC knows him.
#[derive(Debug, Clone)]
pub struct Identity {
    /// His name.
    pub user: String,
    /// His groups.
    pub groups: Vec<String>,
}

/// What there should be.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// Who should have which access.
    pub access: Access,
    /// The names of the Roles and RoleBindings that there should be.
    pub objects: BTreeSet<String>,
}

impl Namespace {
    /// What there should be now, by the grants to users that are there: one is in force until it expires, and one that came from
    /// others for as long as one of these is.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn due(&self) -> Result<Due, kube::Error> {
        let name = |subject: &Value| subject["name"].as_str().map(String::from);
        self.due_by(|spec| list(spec, "subjects").iter().filter_map(name).collect()).await
    }

    /// The same by all grants, for these.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn due_to(&self, who: &[Identity]) -> Result<Due, kube::Error> {
        let is_one = |spec: &Value, it: &Identity| {
            let groups: Vec<&str> = it.groups.iter().map(String::as_str).collect();
            list(spec, "subjects").iter().any(|subject| is(subject, &it.user, &groups))
        };
        self.due_by(|spec| who.iter().filter(|it| is_one(spec, it)).map(|it| it.user.clone()).collect()).await
    }

    async fn due_by(&self, whom: impl Fn(&Value) -> Vec<String>) -> Result<Due, kube::Error> {
        let secrets: Api<Secret> = self.api();
        let secrets: BTreeSet<String> =
            secrets.list(&ListParams::default()).await?.iter().map(ResourceExt::name_any).collect();
        let grants = self.grants().list(&ListParams::default()).await?.items;
        let mut due = Due::default();
        for grant in grants.iter().filter(|grant| is_in_force(grant, &grants)) {
            due.objects.insert(format!("secretgrant:{}", grant.name_any()));
            let spec = &grant.data["spec"];
            let level = spec["access"].as_str().unwrap_or("Read");
            let verbs = LEVELS.iter().find(|(name, _)| *name == level).map(|(_, verbs)| *verbs).unwrap_or_default();
            let named: Vec<&str> = list(spec, "secrets").iter().filter_map(Value::as_str).collect();
            for user in whom(spec) {
                for secret in named.iter().filter(|secret| secrets.contains(**secret)) {
                    due.access.extend(verbs.iter().map(|verb| (user.clone(), (*verb).into(), (*secret).into())));
                }
            }
        }
        Ok(due)
    }

    /// Which access these users have to these Secrets, each verb asked of the API server.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn access(&self, users: &[&str], secrets: &[&str]) -> Result<Access, kube::Error> {
        self.access_of(&identities(users), secrets).await
    }

    async fn access_of(&self, who: &[Identity], secrets: &[&str]) -> Result<Access, kube::Error> {
        let reviews: Api<SubjectAccessReview> = Api::all(self.client.clone());
        let verbs = LEVELS[3].1;
        let all = who
            .iter()
            .flat_map(|who| secrets.iter().flat_map(move |secret| verbs.iter().map(move |verb| (who, *verb, *secret))));
        let asked = all.map(async |(Identity { user, groups }, verb, secret)| {
            let attributes = json!({"namespace": self.name, "verb": verb, "resource": "secrets", "name": secret});
            let review = json!({"spec": {"user": user, "groups": groups, "resourceAttributes": attributes}});
            let review = serde_json::from_value(review).map_err(kube::Error::SerdeError)?;
            let answer = reviews.create(&PostParams::default(), &review).await?;
            let allowed = answer.status.is_some_and(|status| status.allowed);
            Ok::<_, kube::Error>(allowed.then(|| (user.to_owned(), verb.to_owned(), secret.to_owned())))
        });
        Ok(try_join_all(asked).await?.into_iter().flatten().collect())
    }

    /// Waits until there is exactly what should be: the access of these users to these Secrets, Roles, RoleBindings, and each
    /// grant's status of its present generation; and no grant will expire.
    ///
    /// # Errors
    /// When it is not so by the deadline.
    pub async fn rests(&self, deadline: Duration, users: &[&str], secrets: &[&str]) -> Result<(), NotYet> {
        self.rests_for(deadline, &identities(users), secrets).await
    }

    /// The same by all grants, for these.
    ///
    /// # Errors
    /// When it is not so by the deadline.
    pub async fn rests_for(&self, deadline: Duration, who: &[Identity], secrets: &[&str]) -> Result<(), NotYet> {
        within(deadline, "there is exactly what should be", async || match self.unrest(who, secrets).await {
            Ok(None) => Ok(()),
            Ok(Some(unrest)) => Err(unrest),
            Err(error) => Err(error.to_string()),
        })
        .await
    }

    /// What is not as it should be.
    async fn unrest(&self, who: &[Identity], secrets: &[&str]) -> Result<Option<String>, kube::Error> {
        for grant in self.grants().list(&ListParams::default()).await? {
            let status = &grant.data["status"];
            let expires = grant.data["spec"]["expiresAt"].is_string();
            let is_seen = status["observedGeneration"].as_i64() == grant.metadata.generation;
            if !is_seen || (expires && status["conditions"][0]["reason"] != "Expired") {
                return Ok(Some(format!("{} is {status}", grant.name_any())));
            }
        }
        let due = self.due_to(who).await?;
        let objects = self.owned().await?;
        if objects.iter().any(|objects| *objects != due.objects) {
            return Ok(Some(format!("{objects:?} instead of {:?}", due.objects)));
        }
        let access = self.access_of(who, secrets).await?;
        Ok((access != due.access).then(|| format!("{access:?} instead of {:?}", due.access)))
    }

    /// The names of the Roles, and of the RoleBindings, that bear the label of the controller.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn owned(&self) -> Result<[BTreeSet<String>; 2], kube::Error> {
        let ours = ListParams::default().labels(LABEL);
        let (roles, bindings): (Api<Role>, Api<RoleBinding>) = (self.api(), self.api());
        let (roles, bindings) = (roles.list(&ours).await?, bindings.list(&ours).await?);
        Ok([roles.iter().map(ResourceExt::name_any).collect(), bindings.iter().map(ResourceExt::name_any).collect()])
    }
}

fn list<'a>(spec: &'a Value, field: &str) -> &'a [Value] {
    spec[field].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Users who are in no group.
fn identities(users: &[&str]) -> Vec<Identity> {
    users.iter().map(|user| Identity { user: (*user).into(), groups: Vec::new() }).collect()
}

fn is_in_force(grant: &DynamicObject, all: &[DynamicObject]) -> bool {
    let expiry = grant.data["spec"]["expiresAt"].as_str().and_then(|expiry| expiry.parse::<Timestamp>().ok());
    let via = grant.annotations().get("secrets.apolo.us/granted-via").map(String::as_str).unwrap_or_default();
    let mut parents = via.lines().filter_map(|line| line.split_once(' ')).filter_map(|(uid, _)| {
        all.iter().find(|parent| parent.uid().as_deref() == Some(uid) && parent.data["spec"]["access"] == "Manage")
    });
    grant.metadata.deletion_timestamp.is_none()
        && expiry.is_none_or(|expiry| expiry > Timestamp::now())
        && (via.is_empty() || parents.any(|parent| is_in_force(parent, all)))
}

/// Whether a subject is this user, who is in these groups.
fn is(subject: &Value, user: &str, groups: &[&str]) -> bool {
    let text = |field: &str| subject[field].as_str().unwrap_or_default();
    match text("kind") {
        "User" => text("name") == user,
        "Group" => groups.contains(&text("name")),
        "ServiceAccount" => user == format!("system:serviceaccount:{}:{}", text("namespace"), text("name")),
        "Namespace" => user.starts_with(&format!("system:serviceaccount:{}:", text("name"))),
        _ => false,
    }
}
