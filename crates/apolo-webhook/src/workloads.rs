//! The hook for workloads: their authors see the mistakes in a Pod template when they submit it. Templates are never
//! rewritten; their Pods are, and are decided, when they come.

use apolo_core::reference::Scope;
use apolo_core::text::expected;
use apolo_core::workload::{FormError, Workload};
use serde_json::value::RawValue;

use crate::Webhook;
use crate::admission::{AdmissionRequest, Verdict};

/// Decides a request to `/workloads`: an object of a kind of the workload table, on CREATE, or on UPDATE where a Pod template,
/// or one of our annotations above them, differs.
#[must_use]
pub fn check<'a>(asked: &AdmissionRequest<'a, &'a RawValue>, webhook: &Webhook) -> Verdict {
    let resource = &asked.resource;
    let row = webhook.table.row_of_resource(&resource.group, &resource.version, &resource.resource);
    let namespace = asked.namespace.as_deref().filter(|namespace| !namespace.is_empty());
    let whole = asked.sub_resource.as_deref().unwrap_or_default().is_empty();
    let before = match &*asked.operation {
        "CREATE" => None,
        "UPDATE" => asked.old_object,
        _ => return misdirected(asked),
    };
    match (row, asked.object, namespace) {
        (Some(row), Some(object), Some(namespace)) if whole => {
            let scope = Scope { cluster: &webhook.cluster_name, namespace: Some(namespace) };
            let verdict = Workload::open(row, object).and_then(|workload| {
                // One that could not be read, perhaps for what is mended now, differs.
                let before = before.and_then(|before| Workload::open(row, before).ok());
                decide(&workload, before.as_ref(), scope)
            });
            verdict.unwrap_or_else(|error| unreadable(&error))
        }
        (None, ..) => Verdict::Misdirected(format!(
            "{:?} is no kind of the webhook's workload table; give it the rows of the chart's value workloads, with --workloads FILE",
            asked.resource_name()
        )),
        _ => misdirected(asked),
    }
}

fn decide(workload: &Workload<'_>, before: Option<&Workload<'_>>, scope: Scope<'_>) -> Result<Verdict, FormError> {
    if before.is_some_and(|before| !workload.differs_from(before)) {
        return Ok(Verdict::Allowed);
    }
    let mistakes = workload.check(scope)?;
    Ok(if mistakes.is_empty() { Verdict::Allowed } else { Verdict::Mistaken(mistakes) })
}

fn misdirected(asked: &AdmissionRequest<'_, &RawValue>) -> Verdict {
    asked.misdirected("/workloads takes the kinds of the workload table on CREATE and UPDATE")
}

/// The API server would refuse such an object in the end, too; but hooks come before it looks.
fn unreadable(error: &FormError) -> Verdict {
    let (line, column) = (error.source.line(), error.source.column());
    Verdict::Misdirected(format!("{error}: {} (at line {line}, column {column} of its JSON)", expected(&error.source)))
}
