//! The CustomResourceDefinitions as YAML, a document each: what manifests/crds.yaml and the chart are made of.

use std::io::Write;

/// Writes all of them.
///
/// # Errors
/// Where `out` cannot be written to.
pub(crate) fn print(out: &mut impl Write) -> anyhow::Result<()> {
    for definition in apolo_api::definitions() {
        writeln!(out, "---\n{}", serde_saphyr::to_string(&definition)?.trim_end())?;
    }
    Ok(())
}
