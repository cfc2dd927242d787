//! The table of mistakes, `tests/tables/mistakes.yaml`, through a real API server: each row is refused as 422 Invalid, to
//! the letter, and the Pods that are not there tell that it was.

use anyhow::Context;
use apolo_tests::namespace::{self, with_namespace};
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use serde::Deserialize;
use serde_json::{Map, Value, json};

const TABLE: &str = include_str!("../tables/mistakes.yaml");

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Row {
    name: String,
    volume: Option<String>,
    env: Option<String>,
    containers: Option<String>,
    file_mode: Option<String>,
    #[serde(default)]
    annotations: Map<String, Value>,
    #[serde(default)]
    spec: Map<String, Value>,
    object: Option<Value>,
    says: String,
}

impl Row {
    fn pod(&self) -> Value {
        let ours = [
            ("volume", &self.volume),
            ("env", &self.env),
            ("containers", &self.containers),
            ("file-mode", &self.file_mode),
        ];
        let mut annotations = self.annotations.clone();
        for (name, value) in ours {
            annotations.extend(value.iter().map(|value| (format!("secrets.apolo.us/{name}"), json!(value))));
        }
        let mut spec = Map::from_iter([("containers".to_owned(), json!([{"name": "main", "image": "busybox"}]))]);
        spec.extend(self.spec.clone());
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "row-", "annotations": annotations}, "spec": spec})
    }
}

#[tokio::test]
async fn every_mistake_is_refused_in_its_words() -> anyhow::Result<()> {
    let rows: Vec<Row> = serde_saphyr::from_str(TABLE)?;
    assert!(rows.len() > 30, "{} rows", rows.len());
    with_namespace(async |ns| {
        for row in &rows {
            let error = ns.create(&row.pod()).await.err().with_context(|| format!("{}: allowed", row.name))?;
            let namespace::Error::Create { source: kube::Error::Api(status), .. } = error else {
                return Err(error.into());
            };
            let said =
                format!("admission webhook \"pods.secrets.apolo.us\" denied the request: {}", row.says.trim_end());
            assert_eq!(status.message, said, "{}", row.name);
            assert_eq!((status.code, &*status.reason), (422, "Invalid"), "{}", row.name);
        }
        assert_eq!(ns.api::<Pod>().list(&ListParams::default()).await?.items.len(), 0);
        Ok(())
    })
    .await
}
