//! Connections to the worker's HTTP doors: bounded in number, and each request in time.
//!
//! Whoever reaches the address may connect, so nobody may keep a connection by saying nothing: a
//! request has to come to its end, and where every place is taken the connection that came first
//! and has no whole request gives its place to the next.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::ConnectInfo;
use axum::http::{Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustix::process::{Resource, getrlimit};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

/// Connections at a time, where the process may open enough files.
const CONNECTIONS_MAX: u64 = 256;
/// Connections at a time, however few files the process may open.
const CONNECTIONS_MIN: u64 = 8;
/// The part of the files a process may open that connections take: the rest is for the jobs.
const PART_OF_FILES: u64 = 4;
/// Pause between two looks for a place while everybody who has one is being answered.
const LOOK: Duration = Duration::from_millis(100);
/// Pause after the system refused to accept a connection.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// What a connection may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// From the connection, or the last answer on it, to the end of a request's head.
    pub(super) head: Duration,
    /// From the moment its door reads it to the end of its body.
    pub(super) body: Duration,
    /// Connections at a time.
    pub(super) connections: usize,
}

impl Bounds {
    /// The bounds of a worker, by the files that this process may open.
    pub(super) fn of_this_process() -> Self {
        let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let connections = (files / PART_OF_FILES).clamp(CONNECTIONS_MIN, CONNECTIONS_MAX);
        Self {
            head: Duration::from_secs(10),
            body: Duration::from_secs(10),
            connections: usize::try_from(connections).unwrap_or(usize::MAX),
        }
    }
}

/// Answers requests until `stop`; those that are being answered then go on.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    bounds: Bounds,
    stop: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(bounds.connections));
    let waiting = Arc::new(Waiting::default());
    for number in 0.. {
        let accepted = async {
            let (stream, peer) = accept(&listener, &waiting).await;
            (stream, peer, place(&places, &waiting).await)
        };
        let (stream, peer, place) = tokio::select! {
            accepted = accepted => accepted,
            () = stop.cancelled() => return,
        };
        let guest =
            Guest { number, waiting: Arc::clone(&waiting), close: CancellationToken::new() };
        guest.waits();
        let router = router.clone();
        tokio::spawn(attend((stream, peer), place, router, bounds, guest, stop.clone()));
    }
}

async fn accept(listener: &TcpListener, waiting: &Waiting) -> (TcpStream, SocketAddr) {
    loop {
        let error = match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) => error,
        };
        // The caller left before it was received.
        if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset) {
            continue;
        }
        tracing::warn!(error = %error, "connections cannot be accepted");
        waiting.close_oldest();
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}

/// Finds a place; who came first and has not asked yet makes room.
async fn place(places: &Arc<Semaphore>, waiting: &Waiting) -> OwnedSemaphorePermit {
    loop {
        if let Ok(place) = Arc::clone(places).try_acquire_owned() {
            return place;
        }
        let next = Arc::clone(places).acquire_owned();
        // Who is told to leave does, but others are being answered as long as that takes.
        let next = if waiting.close_oldest() { Ok(next.await) } else { timeout(LOOK, next).await };
        if let Ok(place) = next {
            return place.expect("it is never closed");
        }
    }
}

/// Answers what comes over one connection.
async fn attend(
    (stream, peer): (TcpStream, SocketAddr),
    _place: OwnedSemaphorePermit,
    router: Router,
    bounds: Bounds,
    guest: Guest,
    stop: CancellationToken,
) {
    let service = service_fn(|mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        answer(router.clone(), request, bounds.body, guest.clone())
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(bounds.head);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    // An error is the caller's: what it sent is no request, or it left.
    tokio::select! {
        _ = connection.as_mut() => {}
        () = guest.close.cancelled() => {}
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                _ = connection => {}
                () = guest.close.cancelled() => {}
            }
        }
    }
    guest.waiting.lock().remove(&guest.number);
}

/// Answers a request whose body comes in time, and tells who is too slow.
async fn answer(
    router: Router,
    request: Request<Incoming>,
    within: Duration,
    guest: Guest,
) -> Result<Response, Infallible> {
    let late = Arc::new(AtomicBool::new(false));
    let request = request.map(|body| in_time(body, within, guest.clone(), Arc::clone(&late)));
    let answered = TowerToHyperService::new(router).call(request).await?;
    guest.waits();
    if late.load(Ordering::Relaxed) {
        let why = format!("the body did not come to its end within {within:?}\n");
        let closing = [(header::CONNECTION, "close")];
        return Ok((StatusCode::REQUEST_TIMEOUT, closing, why).into_response());
    }
    Ok(answered)
}

/// The same body, which fails if it does not come to its end in time.
fn in_time(body: Incoming, within: Duration, guest: Guest, late: Arc<AtomicBool>) -> Body {
    if body.is_end_stream() {
        guest.has_asked();
        return Body::empty();
    }
    let parts = Body::new(body).into_data_stream();
    // A door may let others go first; the time begins when it reads.
    let parts = stream::unfold(Some((parts, guest, late, None)), move |state| async move {
        let (mut parts, guest, late, deadline) = state?;
        let deadline = deadline.unwrap_or_else(|| Instant::now() + within);
        match timeout_at(deadline, parts.next()).await {
            Ok(Some(part)) => Some((part, Some((parts, guest, late, Some(deadline))))),
            Ok(None) => {
                guest.has_asked();
                None
            }
            Err(elapsed) => {
                late.store(true, Ordering::Relaxed);
                Some((Err(axum::Error::new(elapsed)), None))
            }
        }
    });
    Body::from_stream(parts)
}

/// Connections without a whole request, in the order in which they came.
#[derive(Debug, Default)]
struct Waiting(Mutex<BTreeMap<u64, CancellationToken>>);

impl Waiting {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, CancellationToken>> {
        self.0.lock().expect("no one panics while holding it")
    }

    /// `false` if there is none.
    fn close_oldest(&self) -> bool {
        let oldest = self.lock().pop_first();
        oldest.map(|(_, close)| close.cancel()).is_some()
    }
}

/// One connection among them.
#[derive(Debug, Clone)]
struct Guest {
    number: u64,
    waiting: Arc<Waiting>,
    close: CancellationToken,
}

impl Guest {
    /// It waits for a request, or for its answer to be taken.
    fn waits(&self) {
        self.waiting.lock().insert(self.number, self.close.clone());
    }

    /// Its request is whole: nobody closes it until it is answered.
    fn has_asked(&self) {
        self.waiting.lock().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Bytes;
    use axum::extract::DefaultBodyLimit;
    use axum::routing::{get, post};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Nothing that a test waits for takes so long.
    const PATIENCE: Duration = Duration::from_secs(20);
    /// A bound that no test comes to.
    const LONG: Duration = Duration::from_mins(10);

    /// Doors: `/livez`, `/echo`, and `/hold`, which says that it was asked and waits to be told.
    struct Doors {
        address: SocketAddr,
        asked: Arc<Semaphore>,
        told: Arc<Semaphore>,
        stop: CancellationToken,
    }

    async fn doors(head: Duration, body: Duration, connections: usize) -> Doors {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (asked, told) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let signs = (Arc::clone(&asked), Arc::clone(&told));
        let hold = move || async move {
            signs.0.add_permits(1);
            signs.1.acquire().await.unwrap().forget();
            "held\n"
        };
        let router = Router::new()
            .route("/livez", get(|| async { "ok\n" }))
            .route("/echo", post(|body: Bytes| async { body }))
            .route("/hold", get(hold))
            .layer(DefaultBodyLimit::max(1_000));
        let stop = CancellationToken::new();
        let bounds = Bounds { head, body, connections };
        tokio::spawn(serve(listener, router, bounds, stop.clone()));
        Doors { address, asked, told, stop }
    }

    async fn say(address: SocketAddr, words: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(words.as_bytes()).await.unwrap();
        stream
    }

    /// What comes until the other side closes, however it does.
    async fn rest(mut stream: TcpStream) -> String {
        let mut bytes = Vec::new();
        timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("it is closed").ok();
        String::from_utf8(bytes).unwrap()
    }

    async fn asks(address: SocketAddr, words: &str) -> String {
        rest(say(address, words).await).await
    }

    const LIVEZ: &str = "GET /livez HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    const HALF_A_HEAD: &str = "POST /echo HTTP/1.1\r\nhost: a\r\n";
    const HALF_A_BODY: &str =
        "POST /echo HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 9\r\n\r\nabc";

    #[tokio::test]
    async fn a_request_that_does_not_come_to_its_end_is_cut_off() {
        let short = Duration::from_millis(300);
        let head = doors(short, LONG, 9).await.address;
        assert_eq!(asks(head, "").await, "", "nothing was said");
        let kept = asks(head, &LIVEZ.replace("close", "keep-alive")).await;
        assert!(kept.ends_with("ok\n"), "an idle one is closed after its answer: {kept}");
        // Each byte is soon enough after the last, the whole is not.
        let (mut said, mut slow) = (0_u32, say(head, HALF_A_HEAD).await);
        while slow.write_all(b"a").await.is_ok() {
            said += 1;
            assert!(said < 1_000, "a head that never ends is listened to");
            tokio::time::sleep(short / 10).await;
        }
        let body = doors(LONG, short, 9).await.address;
        let told = asks(body, HALF_A_BODY).await;
        assert!(told.starts_with("HTTP/1.1 408 ") && told.contains("connection: close"), "{told}");
        assert!(told.ends_with("did not come to its end within 300ms\n"), "{told}");
        let whole = HALF_A_BODY.replace(": 9", ": 3");
        assert!(asks(body, &whole).await.ends_with("\r\n\r\nabc"));
        let huge = format!("{}{}", HALF_A_BODY.replace(": 9", ": 2000"), "x".repeat(1_997));
        assert!(asks(body, &huge).await.starts_with("HTTP/1.1 413 "));
    }

    #[tokio::test]
    async fn who_holds_many_connections_shuts_nobody_out() {
        let address = doors(LONG, LONG, 8).await.address;
        let mut held = Vec::new();
        for number in 0..50 {
            held.push(say(address, [HALF_A_HEAD, HALF_A_BODY][number % 2]).await);
            assert!(asks(address, LIVEZ).await.ends_with("\r\n\r\nok\n"), "{number}");
        }
        // The first were closed for the last, who still may come to its end.
        for stream in held.drain(..42) {
            assert_eq!(rest(stream).await, "");
        }
        let mut last = held.pop().unwrap();
        last.write_all(b"defghi").await.unwrap();
        assert!(rest(last).await.ends_with("\r\n\r\nabcdefghi"));
    }

    #[tokio::test]
    async fn whoever_is_being_answered_keeps_its_place() {
        let Doors { address, asked, told, stop } = doors(LONG, LONG, 2).await;
        let hold = async || {
            let held = say(address, &LIVEZ.replace("/livez", "/hold")).await;
            asked.acquire().await.unwrap().forget();
            held
        };
        let first = hold().await;
        for _ in 0..20 {
            assert!(asks(address, LIVEZ).await.ends_with("ok\n"));
            drop(say(address, HALF_A_HEAD).await);
        }
        // With every place taken by such, the next one waits for the first that becomes free.
        let second = hold().await;
        let next = tokio::spawn(asks(address, LIVEZ));
        tokio::time::sleep(LOOK * 3).await;
        assert!(!next.is_finished());
        told.add_permits(1);
        assert!(rest(first).await.ends_with("held\n"));
        assert!(next.await.unwrap().ends_with("ok\n"));
        // What is being answered goes on after the end.
        stop.cancel();
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        told.add_permits(1);
        assert!(rest(second).await.ends_with("held\n"));
    }
}
