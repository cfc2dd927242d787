//! So many requests at a time.

use anyhow::Context;
use tokio::task::JoinSet;

/// How many: more make it hardly faster, and each of them much slower.
pub(crate) const WIDTH: usize = 16;

/// Does all of it, `width` at a time, each in a task of its own. The answers come in any order.
pub(crate) async fn fly<T, F>(width: usize, work: impl IntoIterator<Item = F>) -> anyhow::Result<Vec<T>>
where
    F: Future<Output = anyhow::Result<T>> + Send + 'static,
    T: Send + 'static,
{
    let mut flying = JoinSet::new();
    let mut done = Vec::new();
    for one in work {
        if flying.len() >= width {
            done.push(flying.join_next().await.context("nothing flies")???);
        }
        flying.spawn(one);
    }
    while let Some(one) = flying.join_next().await {
        done.push(one??);
    }
    Ok(done)
}
