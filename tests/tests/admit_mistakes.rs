//! The table of mistakes through a real API server: each row is refused as 422 Invalid, to the letter, as a Pod and as the Pod
//! template of every kind of workload; and the objects that are not there tell that it was.

use anyhow::Context;
use apolo_tests::{
    kinds,
    mistakes::{self, Row},
    namespace::{self, Namespace, with_namespace},
};
use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use kube::api::ListParams;
use serde_json::Value;

/// Creates an object that has to be refused by a hook, in these words.
async fn assert_refused(ns: &Namespace, name: &str, object: &Value, hook: &str, says: &str) -> anyhow::Result<()> {
    let error = ns.create(object).await.err().with_context(|| format!("{name}: allowed"))?;
    let namespace::Error::Create { source: kube::Error::Api(status), .. } = error else {
        return Err(error.into());
    };
    assert_eq!(status.message, format!("admission webhook \"{hook}\" denied the request: {says}"), "{name}");
    assert_eq!((status.code, &*status.reason), (422, "Invalid"), "{name}");
    Ok(())
}

fn hook_of(row: &Row, object: &Value) -> anyhow::Result<String> {
    if row.object.is_none() {
        return Ok("pods.secrets.apolo.us".into());
    }
    let kind = kinds::all()?.into_iter().find(|kind| object["kind"] == *kind.kind);
    Ok(kind.with_context(|| format!("{}: no such kind", row.name))?.hook())
}

#[tokio::test]
async fn every_mistake_is_refused_in_its_words() -> anyhow::Result<()> {
    let rows = mistakes::rows()?;
    assert!(rows.len() > 30, "{} rows", rows.len());
    with_namespace(async |ns| {
        ns.add_presets().await?;
        for row in &rows {
            let object = row.object();
            assert_refused(&ns, &row.name, &object, &hook_of(row, &object)?, row.says()).await?;
        }
        assert_eq!(ns.api::<Pod>().list(&ListParams::default()).await?.items.len(), 0);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn every_mistake_is_refused_in_the_templates_of_every_kind() -> anyhow::Result<()> {
    let rows = mistakes::rows()?;
    with_namespace(async |ns| {
        ns.add_presets().await?;
        let mut refused = 0;
        for kind in kinds::all()? {
            for column in &kind.templates {
                for row in &rows {
                    let Some((placed, says)) = row.within(&kind, column) else { continue };
                    let name = format!("{} at {} of {}", row.name, column.path, kind.kind);
                    assert_refused(&ns, &name, &placed.object, &kind.hook(), &says).await?;
                    refused += 1;
                }
            }
        }
        assert!(refused > 700, "{refused} templates");
        assert_eq!(ns.api::<Job>().list(&ListParams::default()).await?.items.len(), 0);
        Ok(())
    })
    .await
}
