//! A small API that asks for background work inside its own transaction.
//!
//! A customer orders a usage statement. The API notes the order in a table of its own and asks for
//! `usage/roll_up_usage` of that month; both are stored by one commit, or neither is. It depends on
//! `scheduling` and links no handler.
//!
//! The worker's database is the API's: the file in `.main-worker/`, or a PostgreSQL server.
//!
//! ```text
//! main-worker keys make --source api               # once: the API proves that it is the API
//! # in worker.toml, add "usage/roll_up_usage" to `jobs` of [sources.api]
//! cargo run -p api
//! curl -i 127.0.0.1:8080/statements -H 'content-type: application/json' -d \
//!   '{"requestId":"r-1","accountId":"acct_01jd0c4x5ve4zrh1k5yq4q8g7m","month":"2026-10"}'
//! ```

mod answer;
mod key;
mod orders;

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{Context, Result};
use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::routing::post;
use axum::{Json, Router};
use database::{Db, PostgresSettings};
use key::ProducerKey;
use manifest::Manifest;
use orders::Orders;
use scheduling::{Producer, ProducerParts};
use serde::Deserialize;
use tasks::{PostgresStore, ServerClock, SqliteStore, TaskStore};
use tokio::net::TcpListener;
use values::{AccountId, Clock, Month, Secret, Timestamp};

pub use answer::{Accepted, Refusal};

/// The largest order that is read.
const MAX_BODY_BYTES: usize = 16 * 1024;

/// Where the worker keeps its tasks.
#[derive(Debug, Clone, Copy)]
pub enum Place<'a> {
    /// In the file of the worker's folder.
    Folder(&'a Path),
    /// On a PostgreSQL server: `postgres://user:password@host:5432/database`.
    Server(&'a Secret<String>),
}

/// Everything that answering needs.
#[derive(Debug, Clone)]
pub struct Api {
    orders: Orders,
    producer: Producer,
}

/// What a customer sends.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Order {
    /// The customer's own name for the order; a second order of that name is refused.
    pub request_id: String,
    /// Whose usage.
    pub account_id: AccountId,
    /// Of which month.
    pub month: Month,
}

#[derive(Debug, Clone, Copy)]
struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }
}

impl Api {
    /// Opens the worker's database; `manifest` is the text of worker.toml.
    ///
    /// # Errors
    /// What is missing or wrong, and the command that would help.
    pub async fn open(place: Place<'_>, key_file: &Path, manifest: &str) -> Result<Self> {
        let contract = Arc::new(contract::contract().clone());
        let manifest = Manifest::parse(manifest, &contract.names()).context("worker.toml")?;
        let key = ProducerKey::read(key_file)?;
        let store = open_store(&place).await?;
        let orders = Orders::open(&place).await?;
        let producer = Producer::new(ProducerParts {
            store,
            manifest: Arc::new(manifest),
            contract,
            key: Arc::new(key.proof),
            keys: None,
            sealing: key.sealing,
            configuration: Arc::default(),
            on_rejection: None,
        });
        Ok(Self { orders, producer })
    }
}

async fn open_store(place: &Place<'_>) -> Result<Arc<dyn TaskStore>> {
    match place {
        Place::Folder(home) => {
            let db = Db::open_sqlite(&home.join("main.db")).await?;
            Ok(Arc::new(SqliteStore::open(db, Arc::new(SystemClock)).await?))
        }
        Place::Server(url) => {
            let db = Db::open_postgres(&PostgresSettings::new((*url).clone())).await?;
            // Everyone on one server goes by its clock.
            let clock = ServerClock::start(db.clone()).await?;
            Ok(Arc::new(PostgresStore::open(db, clock).await?))
        }
    }
}

/// Answers requests until the listener fails.
///
/// # Errors
/// Those of the listener.
pub async fn serve(listener: TcpListener, api: Api) -> Result<()> {
    let router = Router::new()
        .route("/statements", post(order_statement))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(api);
    Ok(axum::serve(listener, router).await?)
}

async fn order_statement(
    State(api): State<Api>,
    order: Result<Json<Order>, JsonRejection>,
) -> Result<Accepted, Refusal> {
    let Json(order) = order?;
    api.orders.note(&api.producer, &order).await
}
