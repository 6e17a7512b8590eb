//! The HTTP side: sends answers, late, in part, or not at all.

use std::future::pending;
use std::io;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use axum::http::response::Builder;
use axum::http::{Request as HttpRequest, Response};
use futures_util::stream;
use tokio::net::TcpListener;

use super::Shared;
use super::answer::Answer;
use super::book::Plan;
use super::request::Request;
use super::script::Fault;

/// Bytes of a request's body.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// Bytes of an answer that is too large for anybody.
const OVERSIZED_BYTES: usize = 2 * 1024 * 1024;

pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>) -> io::Result<()> {
    axum::serve(listener, Router::new().fallback(answer).with_state(shared)).await
}

async fn answer(State(shared): State<Arc<Shared>>, request: HttpRequest<Body>) -> Response<Body> {
    let request = match read(request).await {
        Ok(request) => request,
        Err(refused) => return send(refused),
    };
    let plan = shared.book().begin(&request);
    match plan {
        Plan::Answer(answer) => send(answer),
        Plan::Hang => pending().await,
        Plan::Run(fault) => {
            // The request is carried out to its end even if the caller goes away meanwhile.
            let run = tokio::spawn(async move {
                let mut delay = *shared.delay();
                if let Some(Fault::Slow(slow)) = &fault {
                    delay = *slow;
                }
                if !delay.is_zero() {
                    tokio::time::sleep(delay).await;
                }
                let answer = shared.book().run(&request, fault.as_ref());
                (answer, fault)
            });
            let (answer, fault) = run.await.expect("an endpoint does not panic");
            spoil(answer, fault.as_ref()).await
        }
    }
}

async fn read(request: HttpRequest<Body>) -> Result<Request, Answer> {
    let (head, body) = request.into_parts();
    let header = |name: &str| Some(head.headers.get(name)?.to_str().ok()?.to_owned());
    let refused = || Answer::error(400, "invalid_request_error", None);
    let body = to_bytes(body, MAX_BODY_BYTES).await.map_err(|_| refused())?;
    let body = String::from_utf8(body.into()).map_err(|_| refused())?;
    let is_form =
        header("content-type").is_some_and(|kind| kind == "application/x-www-form-urlencoded");
    if !body.is_empty() && !is_form {
        return Err(refused());
    }
    let method = head.method.as_str();
    let form = if method == "GET" { head.uri.query().unwrap_or_default() } else { &body };
    Ok(Request::new(method, head.uri.path(), form, header))
}

fn send(answer: Answer) -> Response<Body> {
    let head = head(&answer);
    head.body(Body::from(answer.body)).expect("own headers are good")
}

fn head(answer: &Answer) -> Builder {
    let kind = if answer.json { "application/json" } else { "text/html" };
    let mut head = Response::builder()
        .status(answer.status)
        .header(CONTENT_TYPE, kind)
        .header("request-id", "req_scripted");
    if answer.replayed {
        head = head.header("idempotent-replayed", "true");
    }
    if let Some(seconds) = answer.retry_after {
        head = head.header(RETRY_AFTER, seconds);
    }
    head
}

/// Sends what the fault makes of an answer.
async fn spoil(answer: Answer, fault: Option<&Fault>) -> Response<Body> {
    let cut = |bytes: usize| {
        let length = answer.body.len();
        let part = answer.body[..bytes].to_owned();
        let parts = [Ok(part), Err(io::Error::from(io::ErrorKind::ConnectionReset))];
        let body = Body::from_stream(stream::iter(parts));
        head(&answer).header(CONTENT_LENGTH, length).body(body).expect("own headers are good")
    };
    let instead = |body: String| send(Answer { body, ..answer.clone() });
    match fault {
        Some(Fault::HangAfter) => pending().await,
        Some(Fault::BreakAfter) => cut(0),
        Some(Fault::TruncateAfter) => cut(answer.body.len() / 2),
        Some(Fault::MalformedAfter) => instead("{\"id\": \"pi_".to_owned()),
        Some(Fault::WrongShapeAfter) => instead("[{\"object\": \"payment_intent\"}]".to_owned()),
        Some(Fault::OversizedAfter) => instead(" ".repeat(OVERSIZED_BYTES)),
        _ => send(answer),
    }
}
