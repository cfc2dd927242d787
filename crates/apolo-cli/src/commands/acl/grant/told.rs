//! What is told of a grant: what was done, what may not be as it was meant, and what the other side has to type.

use std::fmt::Write;

use apolo_client::grants::{Access, Done, Given, Outlook, Reason, SecretGrant, SecretSeen, Standing, Subject, Wish};
use apolo_client::namespaces::Seen;
use apolo_core::access::{for_shell, shown};

use crate::exit::{CONFLICT, FAILED, Failure, NOT_ALLOWED, TIMED_OUT};

/// What there is to tell.
pub(super) struct Told<'a> {
    pub(super) wish: &'a Wish,
    pub(super) given: &'a Given,
    /// The namespaces in which jobs may use the secret.
    pub(super) opened: &'a [String],
    pub(super) outlook: &'a Outlook,
    pub(super) cluster: &'a str,
}

impl Told<'_> {
    /// A line: `secret-password shared with bob (read), for jobs in namespace bob`.
    pub(super) fn what_was_done(&self) -> String {
        let (key, subject, spec) = (&self.wish.target.key, shown(&self.wish.subject), &self.given.grant.spec);
        let (is, again) = match self.given.done {
            Done::Created => ("", ""),
            Done::Changed => ("", "; changed"),
            Done::Unchanged => (" is", " already"),
            Done::Replaced => ("", " anew"),
        };
        let places = match self.opened {
            [] => "with kubectl and apolo only".to_owned(),
            [one] => format!("for jobs in namespace {one}"),
            several => format!("for jobs in namespaces {}", several.join(", ")),
        };
        let until = spec.expires_at.as_ref().map(|at| format!(", until {}", at.0)).unwrap_or_default();
        let (already, changed) = if again.starts_with(';') { ("", again) } else { (again, "") };
        format!("{key}{is} shared with {subject}{already} ({}), {places}{until}{changed}", spec.access.word())
    }

    /// What may not be as it was meant.
    pub(super) fn warnings(&self) -> Vec<String> {
        let (target, subject) = (&self.wish.target, shown(&self.wish.subject));
        let mut warnings = Vec::new();
        if let SecretSeen::NotThere { nearest } = &self.outlook.secret {
            let nearest = nearest.as_ref().map(|key| format!("; nearest: {key}")).unwrap_or_default();
            warnings.push(format!("secret {:?} is not in namespace {} yet{nearest}", target.key, target.owner));
        }
        if let Some(access) = self.given.kept_access {
            let revoke = for_shell(&self.wish.subject)
                .map(|subject| format!(": apolo acl revoke {} {subject}", target.reference()));
            warnings.push(format!(
                "{subject} keeps {}, which is more than {}; to lower it, revoke it first{}",
                access.word(),
                self.wish.access.word(),
                revoke.unwrap_or_default()
            ));
        }
        if !self.given.kept_namespaces.is_empty() {
            let kept = self.given.kept_namespaces.join(", ");
            warnings.push(format!("jobs may use it as before in {kept}; to end that, revoke it first"));
        }
        let missing = self.outlook.namespaces.iter().filter(|(_, seen)| *seen == Seen::NotThere);
        warnings.extend(missing.map(|(name, _)| format!("there is no namespace {name} yet")));
        warnings
    }

    /// What cannot be known, and what is of no use.
    pub(super) fn notes(&self) -> Vec<String> {
        let unseen = self.outlook.namespaces.iter().filter(|(_, seen)| *seen == Seen::Unseen);
        let unseen: Vec<&str> = unseen.map(|(name, _)| name.as_str()).collect();
        let mut notes = Vec::new();
        match unseen.as_slice() {
            [] => {}
            [one] => notes.push(format!("whether there is a namespace {one} cannot be seen by you")),
            several => {
                notes.push(format!("whether there are namespaces {} cannot be seen by you", several.join(", ")));
            }
        }
        if self.wish.names_owner() {
            notes.push(format!("jobs in namespace {} need no grant: the secret is there", self.wish.target.owner));
        }
        notes
    }

    /// What the other side has to type, with an example of each way.
    pub(super) fn what_to_type(&self) -> String {
        let (target, access) = (&self.wish.target, self.given.grant.spec.access);
        let whole = target.uri(self.cluster);
        let entry = match &self.outlook.secret {
            SecretSeen::There { entries } => entries.first(),
            SecretSeen::NotThere { .. } | SecretSeen::Unseen => None,
        };
        let asked = entry.map_or_else(|| whole.clone(), |entry| format!("{whole}#{entry}"));
        let name = entry.unwrap_or(&target.key);
        let mut text = format!("{} can now type:\n", who(&self.wish.subject));
        if access >= Access::Read {
            let _ = writeln!(text, "  apolo secret get {asked}");
        }
        if let Some(namespace) = self.opened.first() {
            let account = match &self.wish.subject {
                Subject::ServiceAccount { name, .. } => format!(" --service-account {name}"),
                _ => String::new(),
            };
            let rest = format!("-n {namespace}{account} IMAGE");
            let _ = writeln!(text, "  apolo run --volume {asked}:/var/secrets/{name} {rest}");
            let _ = writeln!(text, "  apolo run --env {}={asked} {rest}", variable(name));
        }
        if access == Access::Manage {
            let _ = writeln!(text, "  apolo share {whole} SUBJECT");
        }
        if text.lines().count() == 1 {
            let _ = writeln!(text, "  apolo acl can {whole}");
        }
        text.trim_end().to_owned()
    }
}

fn who(subject: &Subject) -> String {
    match subject {
        Subject::User(_) => shown(subject),
        Subject::Group(_) => format!("whoever is in {}", shown(subject)),
        Subject::ServiceAccount { .. } => format!("whoever may run jobs as {}", shown(subject)),
        Subject::Namespace(namespace) => format!("whoever may run jobs in namespace {namespace}"),
    }
}

/// A key as the name of an environment variable: `aws-key` is `AWS_KEY`.
fn variable(key: &str) -> String {
    let letter = |character: char| if character.is_ascii_alphanumeric() { character.to_ascii_uppercase() } else { '_' };
    let name: String = key.chars().map(letter).collect();
    if name.starts_with(|first: char| first.is_ascii_digit()) { format!("_{name}") } else { name }
}

/// That a grant was made and gives nothing yet, or not at all.
pub(super) fn not_in_force(grant: &SecretGrant, standing: &Standing) -> Failure {
    let name = grant.metadata.name.as_deref().unwrap_or_default();
    let namespace = grant.metadata.namespace.as_deref().unwrap_or_default();
    let describe = format!("kubectl describe secretgrant {name} -n {namespace}");
    match standing {
        Standing::Not { reason, message } => {
            let code = match reason {
                Some(Reason::NameConflict) => CONFLICT,
                Some(Reason::AccessNotAllowed | Reason::Withdrawn) => NOT_ALLOWED,
                _ => FAILED,
            };
            let what = format!("grant {name:?} of namespace {namespace} is there, and is not in force: {message}");
            Failure::new(what).code(code).hint(describe)
        }
        _ => {
            let what = format!(
                "grant {name:?} of namespace {namespace} is there, and is not in force after 5 s: nothing has looked at it"
            );
            Failure::new(what)
                .code(TIMED_OUT)
                .hint(format!("apolo check tells whether the controller runs; {describe} tells when it is in force"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_makes_a_name_that_a_shell_takes() {
        for (key, name) in [("aws-key", "AWS_KEY"), ("tls.crt", "TLS_CRT"), ("2fa", "_2FA"), ("A_b", "A_B")] {
            assert_eq!(variable(key), name);
        }
    }
}
