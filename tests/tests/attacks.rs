//! The table of attacks: each row is an attempt that must be refused, with its words, and beside it a twin, as near to it as can
//! be, that must be allowed. All are tried on a real API server with its controllers: most with the webhook and the controller
//! there, some with the webhook away, and some without any hook.
#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "it says how many rows there are")]

use apolo_tests::{
    attempts::{Row, hold},
    cluster::Cluster,
    controller,
};

use self::attacks::{
    alone, away, copies, edits, either, fixed, launchers, naming, others, port, revisions,
    scene::{Scene, with_scene},
    stamps, toys,
};

mod attacks {
    pub(crate) mod alone;
    pub(crate) mod away;
    pub(crate) mod copies;
    pub(crate) mod edits;
    pub(crate) mod either;
    pub(crate) mod fixed;
    pub(crate) mod launchers;
    pub(crate) mod naming;
    pub(crate) mod others;
    pub(crate) mod port;
    pub(crate) mod revisions;
    pub(crate) mod scene;
    pub(crate) mod stamps;
    pub(crate) mod toys;
}

/// The fewest rows that there may be.
const FEWEST: usize = 60;

/// The rows of each part of the table: how many, or what was not as it must be.
#[derive(Default)]
struct Held(Vec<(&'static str, anyhow::Result<usize>)>);

impl Held {
    async fn hold(&mut self, part: &'static str, rows: anyhow::Result<Vec<Row>>) {
        let held = match rows {
            Ok(rows) => hold(part, rows).await,
            Err(error) => Err(error.context(part)),
        };
        self.0.push((part, held));
    }
}

/// With the webhook and the controller that all tests share.
async fn with_the_hooks(scene: Scene) -> anyhow::Result<Held> {
    let mut held = Held::default();
    held.hold("stamps", stamps::rows(&scene).await).await;
    held.hold("edits", edits::rows(&scene).await).await;
    held.hold("fixed", fixed::rows(&scene).await).await;
    held.hold("naming", naming::rows(&scene).await).await;
    held.hold("copies", copies::rows(&scene).await).await;
    held.hold("revisions", revisions::rows(&scene).await).await;
    held.hold("launchers", launchers::rows(&scene).await).await;
    held.hold("others", others::rows(&scene).await).await;
    held.hold("port", port::rows(&scene).await).await;
    Ok(held)
}

/// On a cluster of its own, whose webhook knows toys. First the controller goes, then the webhook, and then its hooks.
async fn apart() -> anyhow::Result<Held> {
    let cluster = Cluster::start().await?;
    let mut webhook = cluster.install_with_workloads(toys::ROWS).await?;
    let mut controller = cluster.start_controller(controller::ACCOUNT, &[]).await?;
    controller.leads().await?;
    toys::define(&cluster).await?;
    with_scene(&cluster, async |scene| {
        let mut held = Held::default();
        held.hold("toys", toys::rows(&scene).await).await;
        controller.stop().await?;
        held.hold("either", either::rows(&scene).await).await;
        away::prepare(&scene).await?;
        webhook.stop().await?;
        held.hold("the webhook away", Ok(away::while_it_is_away(&scene))).await;
        alone::without_hooks(&scene).await?;
        held.hold("without hooks", Ok(alone::rows(&scene))).await;
        Ok(held)
    })
    .await
}

#[tokio::test]
async fn each_attack_is_refused_and_its_twin_is_allowed() -> anyhow::Result<()> {
    let shared = Cluster::shared()?;
    let (with_the_hooks, apart) = tokio::join!(with_scene(&shared, with_the_hooks), apart());
    let parts: Vec<_> = with_the_hooks?.0.into_iter().chain(apart?.0).collect();
    let mut rows = 0;
    let mut faults = Vec::new();
    for (part, held) in parts {
        match held {
            Ok(count) => {
                println!("{count:4} rows: {part}");
                rows += count;
            }
            Err(error) => faults.push(format!("{error:#}")),
        }
    }
    println!("{rows:4} rows, each with a twin");
    anyhow::ensure!(faults.is_empty(), "{}", faults.join("\n"));
    anyhow::ensure!(rows >= FEWEST, "{rows} rows");
    Ok(())
}
