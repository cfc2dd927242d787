//! One request: header and stream in, answer out, within its time, whatever the handler does.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse;
use futures_util::FutureExt;
use http::header::{CONNECTION, HeaderValue, RETRY_AFTER};
use http::{Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use tower::Service;

use super::answers::Answers;
use super::connection::Connection;
use super::metrics::ServerMetrics;
use crate::body::{self, Budget};
use crate::status;

/// What all requests of a server share.
#[derive(Debug)]
pub(super) struct Requests {
    pub(super) router: Router,
    pub(super) budget: Budget,
    pub(super) answers: Answers,
    /// For those whose body is there: to wait for a place, and to be worked for.
    pub(super) hall: Semaphore,
    pub(super) places: Semaphore,
    pub(super) timeout: Duration,
    pub(super) draining: AtomicBool,
    pub(super) metrics: ServerMetrics,
}

impl Requests {
    /// The answer to `request`, counted and timed.
    pub(super) async fn answer(&self, connection: &Arc<Connection>, request: Request<Incoming>) -> Response<Body> {
        let begun = Instant::now();
        let _in_flight = self.metrics.request();
        let durations = self.metrics.durations(request.uri().path());
        let version = request.version();
        let mut response = self.work(connection, request, begun).await;
        if version < Version::HTTP_2 && self.draining.load(Ordering::Relaxed) {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if let Some(durations) = durations {
            durations.observe(begun.elapsed().as_secs_f64());
        }
        self.answers.count(connection, response).await
    }

    /// From now on connections of HTTP/1.1 end after their next answer.
    pub(super) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Body first, then a place, then room for an answer: who sends slowly takes nobody's place. A place that comes after half of the time comes
    /// too late.
    async fn work(&self, connection: &Connection, request: Request<Incoming>, begun: Instant) -> Response<Body> {
        let deadline = begun + self.timeout;
        let (head, body) = request.into_parts();
        let reading = connection.reading();
        let whole = match body::read(body, &self.budget, deadline).await {
            Ok(whole) => whole,
            Err(error) => {
                connection.leave_unread();
                return error.into_response();
            }
        };
        let _working = connection.working();
        drop(reading);
        let Ok(_seat) = self.hall.try_acquire() else { return busy() };
        let place = async {
            let place = self.places.acquire().await.ok()?;
            self.answers.room().await;
            Some(place)
        };
        let Ok(Some(_place)) = timeout_at(begun + self.timeout / 2, place).await else { return busy() };
        let request = Request::from_parts(head, Body::from(whole.bytes.clone()));
        let handling = AssertUnwindSafe(self.router.clone().call(request)).catch_unwind();
        match timeout_at(deadline, handling).await {
            Ok(Ok(Ok(response))) => response,
            Ok(Ok(Err(never))) => match never {},
            Ok(Err(_panic)) => {
                let message = "the request met a defect of Apolo Secrets; its log says more";
                status::response(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", message)
            }
            Err(_) => {
                let message = format!("the request was not answered within {:?}", self.timeout);
                status::response(StatusCode::GATEWAY_TIMEOUT, "Timeout", &message)
            }
        }
    }
}

fn busy() -> Response<Body> {
    let message = "too many requests at once; try again";
    let mut response = status::response(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", message);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}
