//! Who asks: subjects, as the CLI writes them, and the launcher of a Pod.

use std::fmt;

use crate::pod::Pod;

/// What the user name of every service account begins with.
///
/// Source: <https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/>
const SERVICE_ACCOUNT: &str = "system:serviceaccount:";

/// Somebody to whom a secret can be granted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A user, by name.
    User(String),
    /// A service account.
    ServiceAccount {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
}

impl Subject {
    /// The subject that a request's user name stands for.
    #[must_use]
    pub fn of_user_name(user_name: &str) -> Self {
        match user_name.strip_prefix(SERVICE_ACCOUNT).and_then(|rest| rest.split_once(':')) {
            Some((namespace, name)) => Self::ServiceAccount { namespace: namespace.to_owned(), name: name.to_owned() },
            None => Self::User(user_name.to_owned()),
        }
    }
}

/// As the CLI takes it: `bob`, `user:a:b` where a bare name would be read otherwise, `serviceaccount:jobs/trainer`.
impl fmt::Display for Subject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(name) if name.contains(':') => write!(formatter, "user:{name}"),
            Self::User(name) => formatter.write_str(name),
            Self::ServiceAccount { namespace, name } => write!(formatter, "serviceaccount:{namespace}/{name}"),
        }
    }
}

/// Says for whom a Pod is decided: whoever submitted it, or, where a controller made it, the Pod's own service account.
///
/// A controller lends nothing to those whose workloads it runs; and to share with its account would be to share with
/// everybody.
#[must_use]
pub fn launcher(user_name: &str, pod: &Pod<'_>, namespace: &str) -> Subject {
    if !pod.metadata.is_controlled() {
        return Subject::of_user_name(user_name);
    }
    let name = pod.spec.service_account_name.as_deref().filter(|name| !name.is_empty()).unwrap_or("default");
    Subject::ServiceAccount { namespace: namespace.to_owned(), name: name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_reads_as_the_cli_takes_it() {
        for (user_name, subject) in [
            ("bob", "bob"),
            ("bob@example.com", "bob@example.com"),
            ("oidc:bob", "user:oidc:bob"),
            ("system:admin", "user:system:admin"),
            ("system:serviceaccount:jobs:trainer", "serviceaccount:jobs/trainer"),
        ] {
            assert_eq!(Subject::of_user_name(user_name).to_string(), subject);
        }
    }

    #[test]
    fn a_pod_of_a_controller_is_decided_for_its_service_account() {
        let pod = |text| serde_json::from_str::<Pod<'_>>(text).unwrap();
        let bare = pod(r#"{"metadata":{"ownerReferences":[{"kind":"Node"}]},"spec":{}}"#);
        assert_eq!(launcher("bob", &bare, "jobs"), Subject::User("bob".into()));
        let made = pod(r#"{"metadata":{"ownerReferences":[{"kind":"Job","controller":true}]},"spec":{}}"#);
        let controller = "system:serviceaccount:kube-system:job-controller";
        assert_eq!(launcher(controller, &made, "jobs").to_string(), "serviceaccount:jobs/default");
    }
}
