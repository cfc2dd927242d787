//! The launcher of a Pod: who asks.

use crate::pod::Pod;
use crate::subject::Subject;

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
    fn a_pod_of_a_controller_is_decided_for_its_service_account() {
        let pod = |text| serde_json::from_str::<Pod<'_>>(text).unwrap();
        let bare = pod(r#"{"metadata":{"ownerReferences":[{"kind":"Node"}]},"spec":{}}"#);
        assert_eq!(launcher("bob", &bare, "jobs"), Subject::User("bob".into()));
        let made = pod(r#"{"metadata":{"ownerReferences":[{"kind":"Job","controller":true}]},"spec":{}}"#);
        let controller = "system:serviceaccount:kube-system:job-controller";
        assert_eq!(launcher(controller, &made, "jobs").to_string(), "serviceaccount:jobs/default");
    }
}
