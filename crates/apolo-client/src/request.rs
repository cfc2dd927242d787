//! Requests to the API server that did not succeed, in words.

use kube::core::Status;
use thiserror::Error;

use crate::connection;
use crate::explained::{Explained, Kind};
use crate::value::SecretValue;

/// The field manager of all that people write.
pub(crate) const FIELD_MANAGER: &str = "apolo";

/// A request that did not succeed.
#[derive(Clone, Debug, Error)]
#[error("{doing}: {why}")]
pub struct RequestError {
    /// What was to be done, to which object: `reading secret "aws-key" of namespace alice`.
    pub doing: String,
    /// Why it was not.
    pub why: Why,
}

/// Why a request did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Why {
    /// The API server does not know who asks.
    #[error("the API server does not know who you are")]
    Unknown,
    /// Who asks may not.
    #[error("{0}")]
    NotAllowed(String),
    /// A hook or a policy of the cluster refuses it, in these words.
    #[error("{0}")]
    Refused(String),
    /// The object is not there.
    #[error("it is not there")]
    NotThere,
    /// The API server does not know objects of this kind.
    #[error("this cluster has no such objects")]
    NoSuchKind,
    /// There is one of that name.
    #[error("it is there already")]
    IsThere,
    /// It has been changed meanwhile, or deleted and made again.
    #[error("it has been changed meanwhile")]
    Changed,
    /// What was sent is not as it should be.
    #[error("{0}")]
    Invalid(String),
    /// It is too large for the API server.
    #[error("it is too large for the API server: {0}")]
    TooLarge(String),
    /// The namespace is going.
    #[error("the namespace is being deleted")]
    Leaving,
    /// The API server has no time, or is not well.
    #[error("the API server cannot answer now: {0}")]
    Busy(String),
    /// It did not answer in time.
    #[error("the API server did not answer in time")]
    NoAnswer,
    /// It cannot be reached.
    #[error("the API server cannot be reached: {0}")]
    Unreachable(String),
    /// A plugin of the kubeconfig did not log in.
    #[error("logging in: {0}")]
    Login(String),
    /// Something else.
    #[error("{0}")]
    Other(String),
}

impl RequestError {
    /// What was to be done, and what came of it.
    #[must_use]
    pub fn new(doing: impl Into<String>, error: &kube::Error) -> Self {
        Self { doing: doing.into(), why: Why::of(error) }
    }

    /// Without a value that was sent: hooks and policies of the cluster may tell what they have seen.
    #[must_use]
    pub(crate) fn without(mut self, value: &SecretValue) -> Self {
        if let Some(text) = self.why.text() {
            *text = value.left_out_of(text);
        }
        self
    }
}

/// What was to be done, for the errors of a request: `.map_err(doing(|| format!("reading …")))`.
pub(crate) fn doing<T: Into<String>>(doing: impl FnOnce() -> T) -> impl FnOnce(kube::Error) -> RequestError {
    move |error| RequestError::new(doing(), &error)
}

impl Why {
    /// Why a request of the client did not succeed.
    #[must_use]
    pub fn of(error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::of_status(status),
            kube::Error::Auth(error) => Self::Login(connection::login(error)),
            kube::Error::Service(error) => Self::of_service(error.as_ref()),
            // What could not be read is not told: it may hold a value.
            kube::Error::SerdeError(_) => Self::Other("the answer cannot be read".to_owned()),
            kube::Error::HyperError(error) if error.is_timeout() => Self::NoAnswer,
            error => Self::Other(error.to_string()),
        }
    }

    /// Whether RBAC refuses it; a quota, or what others have installed, does so in other words. That somebody may not act as
    /// another is no matter of what he asks for.
    pub(crate) fn is_of_rbac(&self) -> bool {
        let is = |message: &String| {
            message.contains("is forbidden: User ")
                && message.contains(" cannot ")
                && !message.contains(" cannot impersonate")
        };
        matches!(self, Self::NotAllowed(message) if is(message))
    }

    /// What somebody else says.
    fn text(&mut self) -> Option<&mut String> {
        match self {
            Self::NotAllowed(text)
            | Self::Refused(text)
            | Self::Invalid(text)
            | Self::TooLarge(text)
            | Self::Busy(text)
            | Self::Unreachable(text)
            | Self::Login(text)
            | Self::Other(text) => Some(text),
            _ => None,
        }
    }

    fn of_status(status: &Status) -> Self {
        let message = || told(&status.message);
        let details = status.details.as_ref();
        match (status.code, status.reason.as_str()) {
            (401, _) => Self::Unknown,
            (403, _) if status.message.contains(NOBODY) => Self::Unknown,
            (403, _) if is_leaving(status) => Self::Leaving,
            (403, _) if is_of_a_hook(&status.message) => Self::Refused(message()),
            (403, _) => Self::NotAllowed(message()),
            (404, _) if details.is_none_or(|details| details.name.is_empty()) => Self::NoSuchKind,
            (404, _) => Self::NotThere,
            (409, "AlreadyExists") => Self::IsThere,
            (409, _) => Self::Changed,
            (413, _) => Self::TooLarge(message()),
            (422, _) if status.message.contains("Too long") => Self::TooLarge(message()),
            (_, _) if is_of_a_hook(&status.message) => Self::Refused(message()),
            (400 | 422, _) => Self::Invalid(message()),
            (408 | 504, _) => Self::NoAnswer,
            (429 | 500..=599, _) => Self::Busy(message()),
            _ => Self::Other(message()),
        }
    }

    fn of_service(error: &(dyn std::error::Error + 'static)) -> Self {
        let chain: Vec<_> = std::iter::successors(Some(error), |error| error.source()).collect();
        if let Some(error) = chain.iter().find_map(|error| error.downcast_ref::<kube::client::AuthError>()) {
            return Self::Login(connection::login(error));
        }
        let timed_out = |error: &&&(dyn std::error::Error + 'static)| {
            error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::TimedOut)
        };
        if chain.iter().any(|error| timed_out(&error)) {
            return Self::NoAnswer;
        }
        Self::Unreachable(chain.last().map_or_else(|| error.to_string(), ToString::to_string))
    }
}

/// What stands in a refusal of who did not say who he is.
const NOBODY: &str = "User \"system:anonymous\"";

/// What stands before the words of a hook.
const HOOK: &str = "admission webhook \"";
/// And before those of a policy.
const POLICY: &str = "ValidatingAdmissionPolicy";
/// And between the name of a hook and them.
const DENIED: &str = "denied the request: ";
/// And between that of a policy and them.
const POLICY_DENIED: &str = "denied request: ";

fn is_of_a_hook(message: &str) -> bool {
    message.contains(HOOK) || message.contains(POLICY)
}

/// What the API server says, without what it says of the hook or policy whose words it passes on.
pub(crate) fn told(message: &str) -> String {
    let words = |(begin, end)| message.split_once(begin).and_then(|(_, rest): (_, &str)| rest.split_once(end));
    let words = [(HOOK, DENIED), (POLICY, POLICY_DENIED)].into_iter().find_map(words);
    words.map_or(message, |(_, words)| words).trim().to_owned()
}

/// Whether a namespace takes nothing new because it is being deleted.
fn is_leaving(status: &Status) -> bool {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes.into_iter().any(|cause| cause.reason == "NamespaceTerminating")
}

impl Explained for RequestError {
    fn kind(&self) -> Kind {
        match &self.why {
            Why::Unknown | Why::NotAllowed(_) | Why::Refused(_) | Why::Login(_) => Kind::NotAllowed,
            Why::NotThere => Kind::NotFound,
            Why::IsThere | Why::Changed | Why::Leaving => Kind::Conflict,
            Why::NoAnswer => Kind::TimedOut,
            _ => Kind::Failed,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match &self.why {
            Why::Unknown | Why::Login(_) => {
                "log in again as you do for kubectl; kubectl auth whoami tells whether it worked".to_owned()
            }
            Why::Changed => "try again".to_owned(),
            Why::Busy(_) | Why::NoAnswer => {
                "try again later; kubectl get --raw /readyz tells how the API server is".to_owned()
            }
            Why::Unreachable(_) => {
                "kubectl cluster-info tells where kubectl looks for it; --context NAME chooses another".to_owned()
            }
            Why::NoSuchKind => {
                "Apolo Secrets is not installed in this cluster: its admin can run helm install (docs/INSTALL.md)"
                    .to_owned()
            }
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn why(status: serde_json::Value) -> Why {
        Why::of(&kube::Error::Api(Box::new(serde_json::from_value(status).unwrap())))
    }

    #[test]
    fn what_the_api_server_says_is_told_apart() {
        for (status, expected) in [
            (json!({"code": 401, "reason": "Unauthorized"}), Why::Unknown),
            (json!({"code": 403, "message": "User \"system:anonymous\" cannot list"}), Why::Unknown),
            (json!({"code": 403, "message": "secrets is forbidden"}), Why::NotAllowed("secrets is forbidden".into())),
            (
                json!({"code": 403, "message": "admission webhook \"pods.secrets.apolo.us\" denied the request: bob may not"}),
                Why::Refused("bob may not".into()),
            ),
            (
                json!({"code": 422, "message": "secretgrants \"a\" is forbidden: ValidatingAdmissionPolicy 'x' with binding 'x' \
                    denied request: of this namespace nothing"}),
                Why::Refused("of this namespace nothing".into()),
            ),
            (json!({"code": 404, "details": {"name": "db", "kind": "secrets"}}), Why::NotThere),
            (json!({"code": 404, "message": "the server could not find the requested resource"}), Why::NoSuchKind),
            (json!({"code": 409, "reason": "AlreadyExists"}), Why::IsThere),
            (json!({"code": 409, "reason": "Conflict"}), Why::Changed),
            (json!({"code": 503, "message": "etcd"}), Why::Busy("etcd".into())),
            (json!({"code": 504}), Why::NoAnswer),
            (json!({"code": 403, "details": {"causes": [{"reason": "NamespaceTerminating"}]}}), Why::Leaving),
        ] {
            assert_eq!(why(status), expected);
        }
    }

    #[test]
    fn what_rbac_refuses_is_told_apart() {
        for (message, expected) in [
            ("secrets is forbidden: User \"bob\" cannot create resource \"secrets\"", true),
            ("secrets \"db\" is forbidden: exceeded quota: few", false),
            ("users \"carol\" is forbidden: User \"bob\" cannot impersonate resource \"users\"", false),
            ("secrets is forbidden: User \"bob\" cannot impersonate-on:user-info:list resource \"secrets\"", false),
        ] {
            assert_eq!(Why::NotAllowed(message.to_owned()).is_of_rbac(), expected, "{message}");
        }
    }

    #[test]
    fn what_a_login_plugin_printed_is_not_told() {
        let out = std::process::Output {
            status: std::process::ExitStatus::default(),
            stdout: b"t0ken".to_vec(),
            stderr: b"expired\n".to_vec(),
        };
        let error = kube::client::AuthError::AuthExecRun { cmd: "login t0ken".into(), out: Box::new(out) };
        let error = RequestError::new("listing secrets", &kube::Error::Auth(error));
        assert_eq!(
            error.to_string(),
            "listing secrets: logging in: the program that the kubeconfig names ended with exit status: 0: expired"
        );
    }
}
