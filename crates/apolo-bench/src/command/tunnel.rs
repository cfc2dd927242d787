//! A tunnel to the API server that counts the bytes which come back, as they are on the wire: TLS goes through untouched.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A tunnel on this machine's loopback.
pub(super) struct Tunnel {
    from: String,
    to: String,
    received: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Tunnel {
    /// Starts one to the server at this URL.
    pub(super) async fn start(url: &str) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let to = format!("https://{}", listener.local_addr()?);
        let server = url.trim_start_matches("https://").trim_end_matches('/').to_owned();
        let received = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&received);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (server, counted) = (server.clone(), Arc::clone(&counted));
                tokio::spawn(async move { carry(client, &server, &counted).await });
            }
        });
        Ok(Self { from: url.to_owned(), to, received, task })
    }

    /// How many bytes have come back until now.
    pub(super) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// A kubeconfig like this one that leads through the tunnel, beside it.
    pub(super) fn kubeconfig(&self, file: &Path) -> anyhow::Result<PathBuf> {
        let content = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
        let through = file.with_extension("through");
        std::fs::write(&through, content.replace(self.from.trim_end_matches('/'), &self.to))?;
        Ok(through)
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Carries bytes both ways until either side ends.
async fn carry(client: TcpStream, server: &str, counted: &AtomicU64) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let up = async { tokio::io::copy(&mut from_client, &mut to_server).await.map(drop) };
    let down = async {
        let mut bytes = vec![0; 65_536];
        loop {
            let count = from_server.read(&mut bytes).await?;
            if count == 0 {
                return std::io::Result::Ok(());
            }
            counted.fetch_add(count as u64, Ordering::Relaxed);
            to_client.write_all(bytes.get(..count).unwrap_or_default()).await?;
        }
    };
    tokio::select! { _ = up => {}, _ = down => {} }
}
