//! Where a storm takes place: owners with their secrets, destinations, and people.

#![allow(clippy::indexing_slicing, reason = "to set an index of a JSON object adds what is not there")]

use fastrand::Rng;
use k8s_openapi::api::core::v1::Secret;
use kube::{Client, api::DeleteParams};
use serde_json::{Value, json};

use crate::{attempts::Somebody, delivered::ENV, namespace::Namespace, objects, oracle::Identity};

/// How many owners, and how many destinations.
pub const OWNERS: usize = 3;
/// The secrets of each owner.
pub const SECRETS: [&str; 3] = ["a", "b", "db"];
/// The accounts of each destination.
const ACCOUNTS: [&str; 2] = ["default", "trainer"];
/// What can be asked for: secrets and entries.
const ENTRIES: [(&str, &str); 4] = [("a", "a"), ("b", "b"), ("db", "user"), ("db", "password")];
/// People, and their groups.
const PEOPLE: [(&str, &[&str]); 3] = [("bob", &["ml-team"]), ("carol", &[]), ("dan", &["ml-team", "operators"])];
const VOLUME: &str = "secrets.apolo.us/volume";

/// All of them.
pub struct Town<'a> {
    /// Who keeps secrets.
    pub owners: &'a [Namespace],
    /// Where they are used.
    pub destinations: &'a [Namespace],
    /// Their names, and those of the owners.
    pub names: Vec<&'a str>,
    /// A client that may do everything.
    pub client: Client,
}

/// To whom a grant is given.
#[derive(Clone, Copy)]
pub enum Subject<'a> {
    /// A user.
    User(&'static str),
    /// A group.
    Group(&'static str),
    /// A service account of a destination.
    Account(&'a Namespace, &'static str),
    /// All of a destination.
    Namespace(&'a Namespace),
}

/// A grant, as it was made or changed last.
#[derive(Clone)]
pub struct Given<'a> {
    /// Whose it is.
    pub owner: &'a Namespace,
    /// Its name.
    pub name: String,
    /// What it gives.
    pub secrets: Vec<&'static str>,
    /// To whom.
    pub subjects: Vec<Subject<'a>>,
    /// For where.
    pub opens: Vec<&'a Namespace>,
    /// Use, or more.
    pub access: &'static str,
}

/// What a Pod asks for, where, and who creates it.
pub struct Ask<'a> {
    /// Where.
    pub destination: &'a Namespace,
    person: (&'static str, &'static [&'static str]),
    account: &'static str,
    items: Vec<(&'a Namespace, (&'static str, &'static str))>,
}

impl<'a> Town<'a> {
    /// Makes the secrets and the accounts.
    ///
    /// # Errors
    /// When there are no namespaces, or the API server refuses something.
    pub async fn new(namespaces: &'a [Namespace]) -> anyhow::Result<Self> {
        let (owners, destinations) = namespaces.split_at(OWNERS.min(namespaces.len()));
        let client = namespaces.first().map(|it| it.client.clone());
        let client = client.ok_or_else(|| anyhow::anyhow!("no namespaces"))?;
        let names = namespaces.iter().map(|it| it.name.as_str()).collect();
        let town = Self { owners, destinations, names, client };
        for owner in owners {
            for secret in SECRETS {
                make(owner, secret).await?;
            }
        }
        for destination in destinations {
            let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "trainer"}});
            destination.create(&account).await?;
        }
        Ok(town)
    }

    /// Everybody whom a grant can mean.
    pub fn identities(&self) -> Vec<Identity> {
        let owned = |groups: &[&str]| groups.iter().map(|&group| group.to_owned()).collect();
        let people = PEOPLE.iter().map(|(user, groups)| Identity { user: (*user).into(), groups: owned(groups) });
        let accounts = self.destinations.iter().flat_map(|it| {
            ACCOUNTS.iter().map(move |account| Identity {
                user: format!("system:serviceaccount:{}:{account}", it.name),
                groups: owned(&["system:serviceaccounts", &format!("system:serviceaccounts:{}", it.name)]),
            })
        });
        people.chain(accounts).collect()
    }

    /// Some grant.
    pub fn grant(&self, random: &mut Rng, name: String) -> Option<Given<'a>> {
        let owner = random.choice(self.owners)?;
        let count = random.usize(1..=2);
        let secrets = random.choose_multiple(SECRETS, count);
        let mut subjects = Vec::new();
        for _ in 0..random.usize(1..=2) {
            let subject = self.subject(random)?;
            if !subjects.iter().any(|other: &Subject| other.object() == subject.object()) {
                subjects.push(subject);
            }
        }
        let opens = if random.u8(..5) == 0 { 2 } else { 1 };
        let opens = random.choose_multiple(self.destinations, opens);
        let access = random.choice(["Use", "Read"])?;
        Some(Given { owner, name, secrets, subjects, opens, access })
    }

    fn subject(&self, random: &mut Rng) -> Option<Subject<'a>> {
        let destination = random.choice(self.destinations)?;
        let account = random.choice(ACCOUNTS)?;
        let (user, groups) = random.choice(PEOPLE)?;
        Some(match (random.u8(..4), random.choice(groups)) {
            (0, _) => Subject::Account(destination, account),
            (1, _) => Subject::Namespace(destination),
            (2, Some(group)) => Subject::Group(group),
            _ => Subject::User(user),
        })
    }

    /// What nobody may have said that it may be had.
    pub fn any_ask(&self, random: &mut Rng) -> Option<Ask<'a>> {
        let item = (random.choice(self.owners)?, random.choice(ENTRIES)?);
        Some(Ask {
            destination: random.choice(self.destinations)?,
            person: random.choice(PEOPLE)?,
            account: random.choice(ACCOUNTS)?,
            items: vec![item],
        })
    }

    /// What a grant gives.
    pub fn ask_by(&self, random: &mut Rng, given: &Given<'a>) -> Option<Ask<'a>> {
        let mut ask = self.any_ask(random)?;
        let opened = random.choice(given.opens.iter().copied());
        match random.choice(&given.subjects)? {
            Subject::User(user) => {
                ask.person = PEOPLE.into_iter().find(|(name, _)| name == user)?;
                ask.destination = opened?;
            }
            Subject::Group(group) => {
                ask.person = PEOPLE.into_iter().find(|(_, groups)| groups.contains(group))?;
                ask.destination = opened?;
            }
            Subject::Account(destination, account) => (ask.destination, ask.account) = (destination, account),
            Subject::Namespace(destination) => ask.destination = destination,
        }
        let entries = ENTRIES.into_iter().filter(|(secret, _)| given.secrets.contains(secret));
        let count = random.usize(1..=2);
        ask.items = random.choose_multiple(entries, count).into_iter().map(|entry| (given.owner, entry)).collect();
        Some(ask)
    }
}

impl Ask<'_> {
    /// Who creates the Pod.
    pub fn somebody(&self) -> Somebody {
        let (name, groups) = self.person;
        Somebody::with_all_rights(&self.destination.client, name, groups)
    }

    /// The Pod; the first that it asks for comes as a file, if so wished, all else in variables.
    pub fn pod(&self, name: &str, by_file: bool) -> Value {
        let references = self.items.iter().map(|(owner, (secret, entry))| {
            let entry = if secret == entry { String::new() } else { format!("#{entry}") };
            format!("secret:/{}/{secret}{entry}", owner.name)
        });
        let (files, variables): (Vec<_>, Vec<_>) =
            references.enumerate().partition(|(number, _)| by_file && *number == 0);
        let files: Vec<String> = files.iter().map(|(number, it)| format!("{it}:/secrets/{number}")).collect();
        let variables: Vec<String> = variables.iter().map(|(number, it)| format!("S{number}={it}")).collect();
        let annotations = [(VOLUME, files.join("\n")), (ENV, variables.join("\n"))];
        let annotations: Vec<(&str, &str)> =
            annotations.iter().filter(|(_, items)| !items.is_empty()).map(|(name, it)| (*name, it.as_str())).collect();
        let mut template = objects::template(&annotations);
        template["spec"]["serviceAccountName"] = json!(self.account);
        objects::pod(name, &template)
    }
}

impl Given<'_> {
    /// Its spec.
    pub fn spec(&self) -> Value {
        let opens: Vec<&str> = self.opens.iter().map(|it| it.name.as_str()).collect();
        let subjects: Vec<Value> = self.subjects.iter().map(Subject::object).collect();
        json!({"secrets": self.secrets, "access": self.access, "subjects": subjects, "namespaces": opens})
    }

    /// Takes away a part of what it gives, if more is left.
    pub fn narrow(&mut self) -> bool {
        let Self { secrets, subjects, opens, .. } = self;
        if secrets.len() > 1 {
            secrets.pop().is_some()
        } else if subjects.len() > 1 {
            subjects.pop().is_some()
        } else {
            opens.len() > 1 && opens.pop().is_some()
        }
    }
}

impl Subject<'_> {
    fn object(&self) -> Value {
        match self {
            Self::User(name) => json!({"kind": "User", "name": name}),
            Self::Group(name) => json!({"kind": "Group", "name": name}),
            Self::Account(of, name) => json!({"kind": "ServiceAccount", "name": name, "namespace": of.name}),
            Self::Namespace(it) => json!({"kind": "Namespace", "name": it.name}),
        }
    }
}

/// Makes a secret of an owner's.
///
/// # Errors
/// When the API server refuses it.
pub async fn make(owner: &Namespace, secret: &str) -> anyhow::Result<()> {
    let entries: Vec<(&str, &str)> =
        ENTRIES.into_iter().filter(|(of, _)| *of == secret).map(|(_, entry)| (entry, "hunter2")).collect();
    Ok(owner.secret_of(secret, &entries).await?)
}

/// Gives an entry of a secret another value.
///
/// # Errors
/// When the API server refuses it.
pub async fn rotate(owner: &Namespace, random: &mut Rng, secret: &str) -> anyhow::Result<()> {
    let entries: Vec<_> = ENTRIES.into_iter().filter(|(of, _)| *of == secret).collect();
    let Some((_, entry)) = random.choice(entries) else { return Ok(()) };
    Ok(owner.rotate(secret, entry, &random.u64(..).to_string()).await?)
}

/// Deletes one.
///
/// # Errors
/// When the API server refuses it.
pub async fn lose(owner: &Namespace, secret: &str) -> anyhow::Result<()> {
    owner.api::<Secret>().delete(secret, &DeleteParams::default()).await?;
    Ok(())
}
