//! The floor F: reads the body of a request and answers with a constant, as many bytes as the webhook would.
//!
//! `--answers` names a folder; the answer to `POST /NAME` is the content of its file NAME. An API server wants the UID of its
//! review back: with `--with-uid` it stands in the answer where another one stood.

use std::fs;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::PathBuf;

use anyhow::Context;
use apolo_bench::plain;
use apolo_runtime::certificate::{Certificate, CertificateMetrics, Files};
use apolo_runtime::limits::Limits;
use apolo_runtime::readiness::Readiness;
use apolo_runtime::serve::{Server, ServerMetrics};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::post;
use bytes::Bytes;
use clap::Parser;
use http::header::CONTENT_TYPE;
use tokio::net::TcpListener;

/// Answers every body with a constant.
#[derive(Parser)]
struct Command {
    /// Where to listen.
    #[arg(long)]
    bind_address: SocketAddr,
    /// The folder with the answers.
    #[arg(long)]
    answers: PathBuf,
    /// Serves with our own runtime instead of the plain loop: the difference is what that costs.
    #[arg(long)]
    on_runtime: bool,
    /// Answers each review with its own UID.
    #[arg(long)]
    with_uid: bool,
    #[command(flatten)]
    files: Files,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let command = Command::parse();
    let router = router(&command.answers, command.with_uid)?;
    let listener = TcpListener::bind(command.bind_address).await.context("binding")?;
    if command.on_runtime {
        let server = Server {
            listener,
            router,
            certificate: Some(Certificate::new(command.files, CertificateMetrics::default())),
            limits: Limits::default(),
            metrics: ServerMetrics::default(),
            readiness: Readiness::new(),
        };
        return server.run(std::future::pending()).await.context("serving");
    }
    let tls = plain::tls(&fs::read(command.files.certificate)?, &fs::read(command.files.key)?)?;
    plain::serve(listener, tls, router.layer(DefaultBodyLimit::disable())).await
}

fn router(answers: &PathBuf, with_uid: bool) -> anyhow::Result<Router> {
    let mut router = Router::new();
    for file in fs::read_dir(answers).context("listing the answers")? {
        let file = file?;
        let answer = Bytes::from(fs::read(file.path())?);
        let handler = post(async move |body: Bytes| {
            let answer = if with_uid { answer_to(&body, &answer) } else { answer.clone() };
            ([(CONTENT_TYPE, "application/json")], answer)
        });
        router = router.route(&format!("/{}", file.file_name().to_string_lossy()), handler);
    }
    Ok(router)
}

/// The answer, with the first UID of the body in place of its own first one.
fn answer_to(body: &[u8], answer: &[u8]) -> Bytes {
    let mut own = answer.to_vec();
    let uid = uid_in(body).and_then(|place| body.get(place));
    let place = uid_in(answer).and_then(|place| own.get_mut(place));
    if let Some((uid, place)) = uid.zip(place) {
        place.copy_from_slice(uid);
    }
    Bytes::from(own)
}

/// Where the first UID stands.
fn uid_in(review: &[u8]) -> Option<Range<usize>> {
    const BEFORE: &[u8] = br#""uid":""#;
    const LENGTH: usize = 36;
    let begin = review.windows(BEFORE.len()).position(|window| window == BEFORE)? + BEFORE.len();
    Some(begin..begin + LENGTH)
}
