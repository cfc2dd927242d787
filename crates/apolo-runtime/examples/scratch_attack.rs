//! scratch: args: what
use axum::body::Body;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{io::AsyncWriteExt, net::TcpStream};
use tokio_rustls::TlsConnector;
async fn connect(alpn: &[u8]) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file("/tmp/rt/tls.crt").unwrap()).unwrap();
    let mut c = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    c.alpn_protocols = vec![alpn.to_vec()];
    let s = TcpStream::connect("127.0.0.1:18443").await?;
    s.set_nodelay(true)?;
    TlsConnector::from(Arc::new(c)).connect(ServerName::try_from("localhost").unwrap(), s).await
}
async fn h2() -> http2::SendRequest<Body> {
    let (s, c) = http2::handshake(TokioExecutor::new(), TokioIo::new(connect(b"h2").await.unwrap())).await.unwrap();
    tokio::spawn(c);
    s
}
async fn honest(secs: u64) {
    let mut s = h2().await;
    let mut lat = vec![];
    let mut bad = 0;
    let t = Instant::now();
    while t.elapsed() < Duration::from_secs(secs) {
        let b = Instant::now();
        if s.ready().await.is_err() {
            bad += 1;
            s = h2().await;
            continue;
        }
        match s
            .send_request(
                http::Request::post("https://localhost/pods/mutate").body(Body::from(vec![b'a'; 9400])).unwrap(),
            )
            .await
        {
            Ok(r) if r.status() == 200 => {}
            Ok(r) => {
                eprintln!("{}", r.status());
                bad += 1
            }
            Err(e) => {
                eprintln!("{e:?}");
                bad += 1
            }
        }
        lat.push(b.elapsed());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    lat.sort();
    println!(
        "honest: {} requests, {bad} bad, p50 {:?} p99 {:?} max {:?}",
        lat.len(),
        lat[lat.len() / 2],
        lat[lat.len() * 99 / 100],
        lat[lat.len() - 1]
    );
}
#[tokio::main]
async fn main() {
    let what = std::env::args().nth(1).unwrap_or_default();
    let secs = 8;
    let h = tokio::spawn(async move { honest(secs).await });
    match what.as_str() {
        "idle" => {
            for n in 0..4 {
                tokio::spawn(async move {
                    let mut all = vec![];
                    for i in 0..5000 {
                        if let Ok(s) = connect(if (i + n) % 2 == 0 { b"h2" } else { b"http/1.1" }).await {
                            all.push(s);
                            if all.len() > 250 {
                                all.remove(0);
                            }
                        }
                    }
                });
            }
        }
        "syn" => {
            for _ in 0..4 {
                tokio::spawn(async move {
                    let mut all = vec![];
                    for _ in 0..100000 {
                        if let Ok(s) = TcpStream::connect("127.0.0.1:18443").await {
                            all.push(s);
                            if all.len() > 250 {
                                all.remove(0);
                            }
                        }
                    }
                });
            }
        }
        "big" => {
            for _ in 0..16 {
                tokio::spawn(async move {
                    loop {
                        let mut s = h2().await;
                        for _ in 0..20 {
                            let chunk = bytes::Bytes::from(vec![b'x'; 16 << 10]);
                            let body = Body::new(http_body_util::StreamBody::new(
                                futures_util::stream::repeat_with(move || {
                                    Ok::<_, std::convert::Infallible>(http_body::Frame::data(chunk.clone()))
                                })
                                .into_stream_take(),
                            ));
                            if s.ready().await.is_err() {
                                break;
                            }
                            let _ = s
                                .send_request(http::Request::post("https://localhost/pods/mutate").body(body).unwrap())
                                .await;
                        }
                    }
                });
            }
        }
        "slow" => {
            for _ in 0..100 {
                tokio::spawn(async move {
                    loop {
                        let s = h2().await;
                        let mut v = vec![];
                        for _ in 0..100 {
                            let mut s = s.clone();
                            v.push(tokio::spawn(async move {
                                let first = bytes::Bytes::from(vec![b'x'; 1000]);
                                let body = Body::new(http_body_util::StreamBody::new(futures_util::StreamExt::chain(
                                    futures_util::stream::iter([Ok::<_, std::convert::Infallible>(
                                        http_body::Frame::data(first),
                                    )]),
                                    futures_util::stream::pending(),
                                )));
                                if s.ready().await.is_err() {
                                    return;
                                }
                                let _ = s
                                    .send_request(
                                        http::Request::post("https://localhost/pods/mutate").body(body).unwrap(),
                                    )
                                    .await;
                            }));
                        }
                        for x in v {
                            let _ = x.await;
                        }
                    }
                });
            }
        }
        "reset" => {
            for _ in 0..8 {
                tokio::spawn(async move {
                    loop {
                        let s = h2().await;
                        loop {
                            let mut s = s.clone();
                            if s.ready().await.is_err() {
                                break;
                            }
                            let f = s.send_request(
                                http::Request::post("https://localhost/pods/mutate").body(Body::from("x")).unwrap(),
                            );
                            let _ = tokio::time::timeout(Duration::from_micros(1), f).await;
                            tokio::task::yield_now().await;
                        }
                    }
                });
            }
        }
        "header" => {
            for _ in 0..600 {
                tokio::spawn(async move {
                    loop {
                        let Ok(mut s) = connect(b"http/1.1").await else { continue };
                        for b in b"POST /pods/mutate HTTP/1.1\r\nhost: localhost\r\nx: " {
                            if s.write_all(&[*b]).await.is_err() {
                                break;
                            }
                            tokio::time::sleep(Duration::from_millis(300)).await;
                        }
                    }
                });
            }
        }
        _ => {}
    }
    h.await.unwrap();
}
trait T: Sized {
    fn into_stream_take(self) -> futures_util::stream::Take<Self>;
}
impl<S: futures_util::Stream> T for S {
    fn into_stream_take(self) -> futures_util::stream::Take<Self> {
        futures_util::StreamExt::take(self, 65536)
    }
}
