//! An S3 server on a bad day: what is between it and its clients fails, stalls or damages requests.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use testkit::S3Server;
use tokio::net::TcpListener;

const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What becomes of a request that brings a body.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Trouble {
    /// Nothing.
    None,
    /// The server asks for patience.
    SlowDown,
    /// The server breaks.
    Breaks,
    /// A byte of the body is another one when it arrives.
    Damages,
    /// The server does what it is asked, and the answer is lost.
    AnswerLost,
}

/// A server behind a door that makes trouble with requests of the test's choice.
#[derive(Clone)]
pub(crate) struct BadDay {
    target: SocketAddr,
    address: SocketAddr,
    client: reqwest::Client,
    troubles: Arc<Mutex<VecDeque<Trouble>>>,
    arrived: Arc<Mutex<usize>>,
}

impl BadDay {
    pub(crate) async fn of(server: &S3Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let day = Self {
            target: server.address(),
            address: listener.local_addr().unwrap(),
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
            troubles: Arc::default(),
            arrived: Arc::default(),
        };
        let router = Router::new().fallback(pass).with_state(day.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        day
    }

    /// The address to give a client as its endpoint.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Says what becomes of the next requests that bring a body.
    pub(crate) fn expect(&self, troubles: &[Trouble]) {
        *self.troubles.lock().unwrap() = troubles.iter().copied().collect();
        *self.arrived.lock().unwrap() = 0;
    }

    /// How many requests with a body came since [`BadDay::expect`].
    pub(crate) fn arrived(&self) -> usize {
        *self.arrived.lock().unwrap()
    }

    fn next_trouble(&self) -> Trouble {
        *self.arrived.lock().unwrap() += 1;
        self.troubles.lock().unwrap().pop_front().unwrap_or(Trouble::None)
    }

    /// Asks the real server.
    async fn forward(
        &self,
        method: Method,
        target: &str,
        mut headers: HeaderMap,
        body: Bytes,
    ) -> Response {
        headers.remove(header::EXPECT);
        headers.remove(header::TRANSFER_ENCODING);
        let url = format!("http://{}{target}", self.target);
        let request = self.client.request(method, url).headers(headers).body(body);
        let answer = request.send().await.unwrap();
        let (status, mut headers) = (answer.status(), answer.headers().clone());
        headers.remove(header::TRANSFER_ENCODING);
        let body = answer.bytes().await.unwrap();
        (status, headers, body).into_response()
    }
}

async fn pass(State(day): State<BadDay>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let target = parts.uri.path_and_query().unwrap().as_str().to_owned();
    let body = to_bytes(body, BODY_BYTES_MAX).await.unwrap();
    let trouble = if parts.method == Method::PUT { day.next_trouble() } else { Trouble::None };
    let refuse = |status: StatusCode, code: &str| {
        let text = format!("<Error><Code>{code}</Code><Message>canary</Message></Error>");
        (status, Body::from(text)).into_response()
    };
    match trouble {
        Trouble::None => day.forward(parts.method, &target, parts.headers, body).await,
        Trouble::SlowDown => refuse(StatusCode::SERVICE_UNAVAILABLE, "SlowDown"),
        Trouble::Breaks => refuse(StatusCode::INTERNAL_SERVER_ERROR, "InternalError"),
        Trouble::Damages => {
            let mut damaged = body.to_vec();
            let middle = damaged.len() / 2;
            damaged[middle] ^= 1;
            day.forward(parts.method, &target, parts.headers, damaged.into()).await
        }
        Trouble::AnswerLost => {
            day.forward(parts.method, &target, parts.headers, body).await;
            refuse(StatusCode::BAD_GATEWAY, "InternalError")
        }
    }
}
