//! A template of Argo Workflows, which holds a Pod's parts in fields of its own.
//!
//! Source: <https://argo-workflows.readthedocs.io/en/latest/fields/#template>

use serde::Deserialize;

use super::descend::End;
use super::path::Step;
use super::{Above, FormError};
use crate::pod::{Container, List, Metadata, Notes, Pod, Spec, Volume};
use crate::text::Text;

/// What Argo calls the container of a template.
const MAIN: &str = "main";

/// What a part begins with that Argo replaces when it makes the Pod: `{{inputs.parameters.key}}`.
const PLACEHOLDER: &str = "{{";

/// The metadata of Argo's Pods, without the annotations that are not what they will be.
pub(super) fn known(mut metadata: Metadata<'_>) -> Metadata<'_> {
    metadata.annotations.keep(|value| !value.contains(PLACEHOLDER));
    metadata
}

/// What a template bears beside its metadata: annotations of its own, which no Pod gets.
pub(super) fn beside<'a>(template: &End<'a>, pattern: &'a [Step]) -> Result<Option<Above<'a>>, FormError> {
    #[derive(Default, Deserialize)]
    #[serde(default, bound(deserialize = "'de: 'a"))]
    struct Beside<'a> {
        annotations: Notes<'a>,
    }
    let (path, pointer) = (template.path.clone(), template.pointer.clone());
    match serde_json::from_str::<Beside<'a>>(template.text) {
        Ok(Beside { annotations }) if annotations.exist => {
            let metadata = Metadata { annotations, ..Metadata::default() };
            Ok(Some(Above { path, pointer: format!("{pointer}/annotations"), pattern, metadata }))
        }
        Ok(_) => Ok(None),
        Err(source) => Err(FormError { path, pointer, source }),
    }
}

/// What is read of a template.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub(super) struct Template<'a> {
    metadata: Metadata<'a>,
    container: Option<Container<'a>>,
    script: Option<Container<'a>>,
    container_set: Option<ContainerSet<'a>>,
    init_containers: List<Container<'a>>,
    sidecars: List<Container<'a>>,
    volumes: List<Volume<'a>>,
    automount_service_account_token: Option<bool>,
    service_account_name: Option<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct ContainerSet<'a> {
    containers: List<Container<'a>>,
}

impl<'a> Template<'a> {
    /// The Pod that Argo makes of it. One that runs no container itself, such as a DAG, is taken for a partial Pod.
    pub(super) fn into_pod(self) -> Pod<'a> {
        let named_main = |container: Container<'a>| Container { name: Text::from(MAIN), ..container };
        let mut containers: Vec<Container<'a>> =
            self.container.into_iter().chain(self.script).map(named_main).collect();
        containers.extend(self.container_set.unwrap_or_default().containers.0);
        let is_partial = containers.is_empty();
        containers.extend(self.sidecars.0);
        Pod {
            metadata: known(self.metadata),
            spec: Spec {
                containers: List(containers),
                init_containers: self.init_containers,
                volumes: self.volumes,
                automount_service_account_token: self.automount_service_account_token,
                service_account_name: self.service_account_name,
                ..Spec::default()
            },
            is_partial,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_argo_will_replace_is_judged_when_it_has() {
        let template: Template<'_> = serde_json::from_str(
            r#"{"metadata":{"annotations":{"secrets.apolo.us/volume":"secret:{{item}}:/a","secrets.apolo.us/env":"A"}}}"#,
        )
        .unwrap();
        let names: Vec<String> = template.into_pod().metadata.annotations.ours().map(str::to_owned).collect();
        assert_eq!(names, ["secrets.apolo.us/env"]);
    }

    #[test]
    fn the_container_of_a_template_is_main() {
        let template: Template<'_> =
            serde_json::from_str(r#"{"container":{"image":"a"},"sidecars":[{"name":"s"}],"initContainers":null}"#)
                .unwrap();
        let pod = template.into_pod();
        let names: Vec<&str> = pod.spec.containers.0.iter().map(|container| &*container.name).collect();
        assert_eq!(names, ["main", "s"]);
        assert!(!pod.is_partial);
    }
}
