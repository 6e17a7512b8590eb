//! `POST /hooks/publish`: an RTMP server asks whether someone may publish a stream.
//!
//! What nginx-rtmp's `on_publish` sends is taken as it is: a form with `name`, the stream's, and
//! `key`. The answer is a status: 200 they may, 401 the key is wrong, 402 the account is throttled,
//! 404 there is no such stream. No parameter skips the check: relays give the key too. While the
//! database is away, what was found in the last five minutes answers, else 503.

mod cache;

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, DefaultBodyLimit, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use billing::{Publication, PublishAnswer, publish_check};
use database::Db;
use models::publishing::{self, Publishable};
use tokio::sync::Semaphore;
use values::{Clock, Secret};

use self::cache::Cache;
use super::token::{field, is_proven};
use crate::app::App;

/// Bytes of a request at the most.
const BODY_BYTES_MAX: usize = 16 * 1024;
/// Bytes of a stream's name at the most; no longer one is looked for.
const NAME_BYTES_MAX: usize = 200;
/// How long the database may take.
const DATABASE_PATIENCE: Duration = Duration::from_millis(500);
/// Questions to the database at a time, so that publishers leave connections to the jobs.
const QUESTIONS_AT_ONCE: usize = 4;

#[derive(Clone)]
struct Door {
    db: Db,
    clock: Arc<dyn Clock>,
    token: Option<Secret<String>>,
    cache: Arc<Mutex<Cache>>,
    places: Arc<Semaphore>,
}

/// The database does not answer, and nothing is remembered.
struct Away;

/// The route; without a token in the environment it answers this machine only.
pub(crate) fn route(app: &App) -> Router {
    let door = Door {
        db: app.db.clone(),
        clock: Arc::clone(&app.clock),
        token: app.settings.media_host_token.clone(),
        cache: Arc::default(),
        places: Arc::new(Semaphore::new(QUESTIONS_AT_ONCE)),
    };
    Router::new()
        .route("/hooks/publish", post(publish))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(door)
}

async fn publish(
    State(door): State<Door>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> (StatusCode, &'static str) {
    if !door.may_ask(peer.ip(), &headers, query.as_deref().unwrap_or_default()) {
        return (StatusCode::FORBIDDEN, "give the token of MAIN_WORKER_MEDIA_HOST_TOKEN\n");
    }
    let key = field(&body, "key").unwrap_or_default();
    let answer = match field(&body, "name").filter(|name| can_be_a_name(name)) {
        None => PublishAnswer::NotFound,
        Some(name) => match door.look_up(&name).await {
            Ok(found) => decide(found.as_ref(), &key, door.clock.as_ref()),
            Err(Away) => {
                return (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n");
            }
        },
    };
    let status = StatusCode::from_u16(answer.status()).expect("every answer has a status");
    (status, answer.as_str())
}

fn decide(found: Option<&Publishable>, key: &str, clock: &dyn Clock) -> PublishAnswer {
    let known = found.map(|found| Publication {
        stream_key: &found.key_sha256,
        gone: found.gone,
        throttled_at: found.throttled_at,
    });
    let given = digest(&SHA256, key.as_bytes());
    publish_check(known.as_ref(), given.as_ref(), clock.now())
}

fn can_be_a_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && !name.contains(char::is_control)
}

impl Door {
    fn may_ask(&self, peer: IpAddr, headers: &HeaderMap, query: &str) -> bool {
        match &self.token {
            Some(token) => is_proven(token, headers, query),
            None => peer.to_canonical().is_loopback(),
        }
    }

    /// What a name leads to: now, or at most five minutes ago while the database is away.
    async fn look_up(&self, name: &str) -> Result<Option<Publishable>, Away> {
        if !self.cache().rests(Instant::now()) {
            match self.ask(name).await {
                Ok(found) => {
                    self.cache().keep(name, found.clone(), Instant::now());
                    return Ok(found);
                }
                Err(why) => {
                    if self.cache().note_away(Instant::now()) {
                        tracing::warn!(error = why, "publishers are answered from memory");
                    }
                }
            }
        }
        self.cache().get(name, Instant::now()).map(Some).ok_or(Away)
    }

    async fn ask(&self, name: &str) -> Result<Option<Publishable>, String> {
        let asked = async {
            let _place = self.places.acquire().await.expect("it is never closed");
            publishing::find(&self.db, name).await
        };
        match tokio::time::timeout(DATABASE_PATIENCE, asked).await {
            Ok(found) => found.map_err(|error| error.to_string()),
            Err(_) => Err(format!("no answer within {DATABASE_PATIENCE:?}")),
        }
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().expect("no one panics while holding it")
    }
}
