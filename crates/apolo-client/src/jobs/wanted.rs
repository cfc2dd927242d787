//! What somebody asks for, and the Job that it becomes. Pure.

use std::collections::BTreeMap;

use apolo_core::mistake::{Mistakes, Place};
use apolo_core::names;
use apolo_core::pod::Pod;
use apolo_core::reference::{ReferenceError, Scope};
use apolo_core::targets::Targets;
use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{Container, EnvVar, PodSpec, PodTemplateSpec, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::CONTAINER;

/// The label of all Jobs that are made here, and its value.
///
/// Source: <https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/>
pub const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "apolo");

/// How long a Job stays after its end, in seconds: a day.
const STAYS: i32 = 86_400;
/// How long what the API server makes of an image's name may be, so that there is room for what it adds.
const LONGEST_PREFIX: usize = 50;

/// What somebody asks for.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// The image.
    pub image: String,
    /// What takes the place of the image's command; none: the image's own. Its entrypoint stays.
    pub command: Vec<String>,
    /// Files, as the annotation has them: `REFERENCE:/PATH`.
    pub files: Vec<String>,
    /// Variables whose values are secrets: name and reference.
    pub secret_variables: Vec<(String, String)>,
    /// Other variables: name and value.
    pub variables: Vec<(String, String)>,
    /// The name of the Job; otherwise one that begins with that of the image.
    pub name: Option<String>,
    /// For how long it may be there before it is stopped, in seconds.
    pub timeout: Option<i64>,
    /// What the container gets of the node.
    pub resources: Resources,
    /// The service account of the Pod.
    pub service_account: Option<String>,
    /// The folder in which the container begins.
    pub workdir: Option<String>,
    /// When the image is pulled: `Always`, `IfNotPresent` or `Never`.
    pub pull_policy: Option<String>,
}

/// What a container gets of its node: all of it reserved, and no more.
#[derive(Clone, Debug, Default)]
pub struct Resources {
    /// Processors, as Kubernetes writes quantities.
    pub cpu: Option<String>,
    /// Memory, in the same way.
    pub memory: Option<String>,
    /// GPUs of NVIDIA.
    pub gpu: Option<u32>,
}

impl Wanted {
    /// What in it has to be mended before it can be sent, by the hooks' own rules.
    ///
    /// # Errors
    /// Every mistake: items are numbered as they stand in [`files`](Self::files) and [`secret_variables`](Self::secret_variables).
    pub fn check(&self, scope: Scope<'_>) -> Result<(), Mistakes> {
        self.check_separators()?;
        let template = serde_json::to_string(&self.template()).unwrap_or_default();
        let pod: Pod<'_> = serde_json::from_str(&template).unwrap_or_default();
        Targets::read(&pod, scope).map(drop)
    }

    /// The annotation takes what stands between commas and line ends for an item of its own, and somebody who gives one has not meant two.
    fn check_separators(&self) -> Result<(), Mistakes> {
        let mut mistakes = Mistakes::default();
        let is_several = |text: &str| text.contains([',', '\n']);
        for (number, file) in (1..).zip(&self.files).filter(|(_, file)| is_several(file)) {
            let place = Place::VolumeItem(number, file.starts_with("secret:").then(|| file.clone()));
            mistakes.add(place, ReferenceError::Key(apolo_core::key::KeyError::BadKey));
        }
        for (number, (name, reference)) in (1..).zip(&self.secret_variables) {
            if is_several(name) || is_several(reference) {
                let place = Place::EnvItem(number, (!is_several(name)).then(|| name.clone()));
                mistakes.add(place, ReferenceError::Key(apolo_core::key::KeyError::BadKey));
            }
        }
        mistakes.or(())
    }

    /// The Job in a namespace.
    #[must_use]
    pub fn job(&self, namespace: &str) -> Job {
        let generated = self.name.is_none().then(|| format!("{}-", name_of_image(&self.image)));
        Job {
            metadata: ObjectMeta {
                name: self.name.clone(),
                generate_name: generated,
                namespace: Some(namespace.to_owned()),
                labels: Some(labels()),
                ..ObjectMeta::default()
            },
            spec: Some(JobSpec {
                backoff_limit: Some(0),
                active_deadline_seconds: self.timeout,
                ttl_seconds_after_finished: Some(STAYS),
                template: self.template(),
                ..JobSpec::default()
            }),
            status: None,
        }
    }

    fn template(&self) -> PodTemplateSpec {
        let annotations = self.annotations();
        PodTemplateSpec {
            metadata: Some(ObjectMeta {
                labels: Some(labels()),
                annotations: (!annotations.is_empty()).then_some(annotations),
                ..ObjectMeta::default()
            }),
            spec: Some(PodSpec {
                containers: vec![self.container()],
                restart_policy: Some("Never".to_owned()),
                service_account_name: self.service_account.clone(),
                ..PodSpec::default()
            }),
        }
    }

    fn annotations(&self) -> BTreeMap<String, String> {
        let items: Vec<String> =
            self.secret_variables.iter().map(|(name, reference)| format!("{name}={reference}")).collect();
        [(names::VOLUME, &self.files), (names::ENV, &items)]
            .into_iter()
            .filter(|(_, items)| !items.is_empty())
            .map(|(name, items)| (name.to_owned(), items.join("\n")))
            .collect()
    }

    fn container(&self) -> Container {
        let variable = |(name, value): &(String, String)| EnvVar {
            name: name.clone(),
            value: Some(value.clone()),
            ..EnvVar::default()
        };
        let variables: Vec<EnvVar> = self.variables.iter().map(variable).collect();
        Container {
            name: CONTAINER.to_owned(),
            image: Some(self.image.clone()),
            args: (!self.command.is_empty()).then(|| self.command.clone()),
            env: (!variables.is_empty()).then_some(variables),
            resources: self.resources.required(),
            working_dir: self.workdir.clone(),
            image_pull_policy: self.pull_policy.clone(),
            ..Container::default()
        }
    }
}

impl Resources {
    fn required(&self) -> Option<ResourceRequirements> {
        let gpu = self.gpu.map(|count| count.to_string());
        let quantities: BTreeMap<String, Quantity> =
            [("cpu", &self.cpu), ("memory", &self.memory), ("nvidia.com/gpu", &gpu)]
                .into_iter()
                .filter_map(|(name, quantity)| Some((name.to_owned(), Quantity(quantity.clone()?))))
                .collect();
        (!quantities.is_empty()).then(|| ResourceRequirements {
            requests: Some(quantities.clone()),
            limits: Some(quantities),
            ..ResourceRequirements::default()
        })
    }
}

fn labels() -> BTreeMap<String, String> {
    BTreeMap::from([(MANAGED_BY.0.to_owned(), MANAGED_BY.1.to_owned())])
}

/// What a Job is called after its image: the last word of its name, without tag and digest; `run` where that is no name.
fn name_of_image(image: &str) -> String {
    let last = image.rsplit('/').next().unwrap_or_default();
    let word = last.split(['@', ':']).next().unwrap_or_default().to_lowercase();
    let plain: String = word.chars().map(|it| if it.is_ascii_alphanumeric() { it } else { '-' }).collect();
    let cut: String = plain.trim_start_matches('-').chars().take(LONGEST_PREFIX).collect();
    let name = cut.trim_end_matches('-');
    if name.is_empty() { "run".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const HERE: Scope<'_> = Scope { cluster: "default", namespace: Some("bob") };

    fn wanted() -> Wanted {
        Wanted { image: "ubuntu:24.04".into(), ..Wanted::default() }
    }

    #[test]
    fn a_job_is_named_after_its_image() {
        for (image, name) in [
            ("ubuntu:24.04", "ubuntu"),
            ("ghcr.io/Team/My_Train.er@sha256:0a", "my-train-er"),
            ("localhost:5000/a/b", "b"),
            ("_", "run"),
            ("x/9to5:1", "9to5"),
        ] {
            assert_eq!(name_of_image(image), name, "{image}");
        }
        assert_eq!(name_of_image(&"a".repeat(300)).len(), LONGEST_PREFIX);
    }

    #[test]
    fn a_job_runs_once_and_asks_by_annotation() {
        let wanted = Wanted {
            command: vec!["sh".into(), "-c".into(), "echo $mypass".into()],
            files: vec!["secret:a:/a".into(), "secret:/alice/b:/b/".into()],
            secret_variables: vec![("mypass".into(), "secret:a".into())],
            variables: vec![("LEVEL".into(), "a,b".into())],
            timeout: Some(60),
            resources: Resources { cpu: Some("500m".into()), memory: Some("4Gi".into()), gpu: Some(1) },
            ..wanted()
        };
        let quantities = json!({"cpu": "500m", "memory": "4Gi", "nvidia.com/gpu": "1"});
        let expected = json!({
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"generateName": "ubuntu-", "namespace": "bob", "labels": {"app.kubernetes.io/managed-by": "apolo"}},
            "spec": {
                "backoffLimit": 0,
                "activeDeadlineSeconds": 60,
                "ttlSecondsAfterFinished": 86400,
                "template": {
                    "metadata": {
                        "labels": {"app.kubernetes.io/managed-by": "apolo"},
                        "annotations": {
                            "secrets.apolo.us/volume": "secret:a:/a\nsecret:/alice/b:/b/",
                            "secrets.apolo.us/env": "mypass=secret:a",
                        },
                    },
                    "spec": {
                        "restartPolicy": "Never",
                        "containers": [{
                            "name": "main",
                            "image": "ubuntu:24.04",
                            "args": ["sh", "-c", "echo $mypass"],
                            "env": [{"name": "LEVEL", "value": "a,b"}],
                            "resources": {"requests": quantities, "limits": quantities},
                        }],
                    },
                },
            },
        });
        assert_eq!(serde_json::to_value(wanted.job("bob")).unwrap(), expected);
        assert!(wanted.check(HERE).is_ok());
    }

    #[test]
    fn every_mistake_is_found_before_anything_is_sent_and_no_value_is_told() {
        let wanted = Wanted {
            files: vec!["secret:a:a".into(), "storage:x:/x".into(), "secret:b:/b".into()],
            secret_variables: vec![("A".into(), "secret:a:/x".into()), ("L".into(), "secret:/alice/B!".into())],
            variables: vec![("A".into(), "other".into())],
            ..wanted()
        };
        let told = wanted.check(HERE).unwrap_err().to_string();
        assert_eq!(told.lines().count(), 5, "{told}");
        let two = Wanted { secret_variables: vec![("A".into(), "secret:a,hunter2".into())], ..self::wanted() };
        let told = two.check(HERE).unwrap_err().to_string();
        assert!(!told.contains("hunter2") && told.contains("(\"A\")"), "{told}");
    }
}
