//! What can be wrong with an API server, as who asks it through a proxy sees it.

use std::{io, sync::Arc, time::Duration};

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use axum_server::Handle;
use http::StatusCode;
use serde_json::json;
use tokio::net::TcpListener;

use super::{Proxy, Serving, listen};
use crate::eventually::{NotYet, eventually};

/// What is wrong with each request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// It is passed on only so much later.
    Late(Duration),
    /// It is not passed on but answered with this code.
    Refused(StatusCode),
}

impl Proxy {
    /// From now on this is wrong with each request, or nothing.
    pub fn trouble(&self, trouble: Option<Trouble>) {
        self.site.plan.trouble(trouble);
    }

    /// The next request whose query has this part is answered with this code.
    pub fn refuse_once(&self, part: &'static str, status: StatusCode) {
        self.site.plan.refuse_once(part, status);
    }

    /// Whether that request has come.
    pub fn has_refused(&self) -> bool {
        self.site.plan.has_refused()
    }

    /// Cuts all connections: watches end in the midst of it. New ones are taken.
    ///
    /// # Errors
    /// When its port is not free again by the deadline.
    pub async fn cut(&self) -> Result<(), NotYet> {
        self.go().await;
        self.come_back().await
    }

    /// Cuts all connections, and each new one as soon as it is made, until [`Proxy::come_back`].
    ///
    /// # Errors
    /// When its port is not free again by the deadline.
    pub async fn leave(&self) -> Result<(), NotYet> {
        self.go().await;
        eventually("the port is free", async || self.keep_place()).await
    }

    /// Serves again after [`Proxy::leave`].
    ///
    /// # Errors
    /// When its port is not free by the deadline.
    pub async fn come_back(&self) -> Result<(), NotYet> {
        self.go().await;
        eventually("the port is free", async || self.serve(listen(self.address)?)).await
    }

    async fn go(&self) {
        if let Some(Serving { handle, task }) = self.replace(None) {
            handle.shutdown();
            task.abort();
            let _aborted = task.await;
        }
    }

    fn keep_place(&self) -> io::Result<()> {
        let listener = TcpListener::from_std(listen(self.address)?)?;
        let site = Arc::clone(&self.site);
        let task = tokio::spawn(async move {
            while listener.accept().await.is_ok() {
                site.plan.tried_in_vain();
            }
        });
        self.replace(Some(Serving { handle: Handle::new(), task }));
        Ok(())
    }
}

/// A refusal as the API server sends it.
pub(super) fn refusal(status: StatusCode) -> Response {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status.as_u16(),
        "reason": status.canonical_reason().unwrap_or_default().replace(' ', ""),
        "message": "the proxy refuses",
    });
    (status, [("Retry-After", "1")], Json(body)).into_response()
}
