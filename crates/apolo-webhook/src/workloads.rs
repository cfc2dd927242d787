//! The hook for workloads: their authors see the mistakes in a Pod template when they submit it, and what is not shared with
//! them; and the template is stamped with who they are. It is not changed otherwise: its Pods are, and are decided again, when
//! they come.

use apolo_core::access::{self, Question};
use apolo_core::launcher::Launcher;
use apolo_core::mistake::Mistakes;
use apolo_core::pod::Metadata;
use apolo_core::reference::Scope;
use apolo_core::request::Request;
use apolo_core::requester::Requester;
use apolo_core::stamp::Stamp;
use apolo_core::targets::Targets;
use apolo_core::text::expected;
use apolo_core::workload::{Editor, Form, FormError, StampError, Template, Workload};
use futures_util::future::try_join_all;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::Webhook;
use crate::admission::{AdmissionRequest, Answer, Verdict};
use crate::shared;
use crate::unknown::{Unknown, in_time};

/// How many refusals are told.
const MOST: usize = 100;

/// Decides a request to `/workloads`: an object of a kind of the workload table, on CREATE, or on UPDATE where a Pod template,
/// or one of our annotations above them, differs.
pub async fn check<'a>(asked: &AdmissionRequest<'a, &'a RawValue>, webhook: &Webhook) -> Answer {
    let resource = &asked.resource;
    let row = webhook.table.row_of_resource(&resource.group, &resource.version, &resource.resource);
    let namespace = asked.namespace.as_deref().filter(|namespace| !namespace.is_empty());
    let whole = asked.sub_resource.as_deref().unwrap_or_default().is_empty();
    let before = match &*asked.operation {
        "CREATE" => None,
        "UPDATE" => asked.old_object,
        _ => return misdirected(asked).into(),
    };
    match (row, asked.object, namespace) {
        (Some(row), Some(object), Some(namespace)) if whole => {
            let submission = Workload::open(row, object).map(|workload| Submission {
                // One that could not be read, perhaps for what is mended now, differs.
                before: before.and_then(|before| Workload::open(row, before).ok()),
                workload,
                requester: asked.user_info.requester(),
                is_of_controller: [Some(object), before].into_iter().flatten().all(|it| is_made(it, asked, webhook)),
                is_stamped: row.stamps,
                namespace,
                webhook,
            });
            match submission {
                Ok(submission) => submission.decide().await.unwrap_or_else(|error| unreadable(&error).into()),
                Err(error) => unreadable(&error).into(),
            }
        }
        (None, ..) => Verdict::Misdirected(format!(
            "{:?} is no kind of the webhook's workload table; give it the rows of the chart's value workloads, with --workloads FILE",
            asked.resource_name()
        ))
        .into(),
        _ => misdirected(asked).into(),
    }
}

/// Whether the controller of its owner writes an object.
fn is_made(object: &RawValue, asked: &AdmissionRequest<'_, &RawValue>, webhook: &Webhook) -> bool {
    #[derive(Deserialize)]
    #[serde(bound(deserialize = "'de: 'a"))]
    struct Bearer<'a> {
        metadata: Metadata<'a>,
    }
    let read = serde_json::from_str::<Bearer<'_>>(object.get());
    read.is_ok_and(|it| webhook.table.made(&asked.user_info.username, &it.metadata))
}

/// A workload that somebody submits.
struct Submission<'a> {
    workload: Workload<'a>,
    before: Option<Workload<'a>>,
    requester: Requester,
    is_of_controller: bool,
    /// Whether its templates say who launched its Pods.
    is_stamped: bool,
    namespace: &'a str,
    webhook: &'a Webhook,
}

impl Submission<'_> {
    async fn decide(&self) -> Result<Answer, FormError> {
        let (workload, before) = (&self.workload, self.before.as_ref());
        if before.is_some_and(|before| !workload.differs_from(before)) {
            return Ok(Verdict::Allowed.into());
        }
        let mistakes = workload.check(self.scope())?;
        if !mistakes.is_empty() {
            return Ok(Verdict::Mistaken(mistakes).into());
        }
        // Somebody else may have made what a controller changes, in its name.
        let is_neutral = self.is_of_controller || self.webhook.neutral_editors.contains(&self.requester.name);
        let is_made = self.is_of_controller && before.is_none();
        let editor = Editor { requester: &self.requester, is_neutral };
        let stamped = if self.is_stamped { workload.stamps(before, editor, is_made) } else { Ok(Vec::new()) };
        let stamps = match stamped {
            Ok(stamps) => stamps,
            Err(StampError::Form(error)) => return Err(error),
            Err(error) => return Ok(Verdict::Refused(error.to_string()).into()),
        };
        let patch = match Workload::stamp(&stamps) {
            Ok(patch) => patch,
            Err(error) => return Ok(Verdict::Refused(error.to_string()).into()),
        };
        let verdict = in_time("the workload may use secrets of other owners", async {
            let each = stamps.iter().map(|it| it.stamp.as_ref()).chain(std::iter::repeat(None));
            // Where neither the launcher nor the account is known, the Pods are decided when they come.
            let known = |template: &&Template<'_>| self.is_stamped || template.form == Form::Template;
            let templates = workload.templates.iter().zip(each).filter(|(template, _)| known(template));
            // Side by side, so that what several ask for is asked about once.
            let asked = templates.map(|(template, stamp)| self.refusals(template, stamp));
            let refusals: Vec<String> = try_join_all(asked).await?.concat();
            Ok(if !refusals.is_empty() {
                refused(refusals)
            } else if patch.is_empty() {
                Verdict::Allowed
            } else {
                Verdict::Patched { operations: patch.len(), patch: patch.into_json() }
            })
        })
        .await;
        Ok(Answer::new(verdict, || self.warnings()))
    }

    /// What whoever submits it is warned of, of all templates together. Of what a controller writes nobody reads any.
    fn warnings(&self) -> Vec<String> {
        if self.webhook.table.is_creator(&self.requester.name) {
            return Vec::new();
        }
        self.webhook.catalogs.warnings(self.namespace, |warnings| {
            // Each was read before, and had no mistake.
            for pod in self.workload.templates.iter().filter_map(|template| template.pod().ok()) {
                warnings.look_at(&Request::read(&pod, self.scope(), &mut Mistakes::default()));
            }
        })
    }

    fn scope(&self) -> Scope<'_> {
        Scope { cluster: &self.webhook.cluster_name, namespace: Some(self.namespace) }
    }

    /// What the Pods of a template may not use, a line each.
    async fn refusals(&self, template: &Template<'_>, stamp: Option<&Stamp>) -> Result<Vec<String>, Unknown> {
        // Both were read before, and had no mistake.
        let Ok(pod) = template.pod() else { return Ok(Vec::new()) };
        let Ok(targets) = Targets::read(&pod, self.scope()) else { return Ok(Vec::new()) };
        let launcher = Launcher::of(stamp, &pod, self.namespace, &self.webhook.table);
        let subject = launcher.subject();
        let questions: Vec<Question<'_>> = access::questions(&targets.request, &subject, self.namespace);
        if questions.is_empty() {
            return Ok(Vec::new());
        }
        let refused = shared::refused(&questions, &launcher, self.webhook).await?;
        Ok(refused.into_iter().map(|question| format!("{}: {question}", template.path)).collect())
    }
}

fn refused(mut refusals: Vec<String>) -> Verdict {
    if refusals.len() > MOST {
        refusals.truncate(MOST);
        refusals.push("and more".to_owned());
    }
    Verdict::Refused(refusals.join("\n"))
}

fn misdirected(asked: &AdmissionRequest<'_, &RawValue>) -> Verdict {
    asked.misdirected("/workloads takes the kinds of the workload table on CREATE and UPDATE")
}

/// The API server would refuse such an object in the end, too; but hooks come before it looks.
fn unreadable(error: &FormError) -> Verdict {
    let (line, column) = (error.source.line(), error.source.column());
    Verdict::Misdirected(format!("{error}: {} (at line {line}, column {column} of its JSON)", expected(&error.source)))
}
