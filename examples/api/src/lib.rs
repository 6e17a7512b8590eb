//! A small API that asks for background work inside its own transaction.
//!
//! A customer orders a usage statement. The API notes the order in a table of its own and asks for
//! `usage/roll_up_usage` of that month; both are stored by one commit, or neither is. It depends on
//! `scheduling` and links no handler.
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

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{Context, Result};
use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::routing::post;
use axum::{Json, Router};
use contract::usage::RollUpUsage;
use database::{Db, Tx};
use key::ProducerKey;
use manifest::Manifest;
use scheduling::{Producer, ProducerParts, Scope, TaskOptions, Unique};
use serde::Deserialize;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};
use tasks::SqliteStore;
use tokio::net::TcpListener;
use values::{AccountId, Clock, Month, Timestamp};

pub use answer::{Accepted, Refusal};

/// The largest order that is read.
const MAX_BODY_BYTES: usize = 16 * 1024;
/// Database connections of this API at the most.
const MAX_CONNECTIONS: u32 = 4;
/// The orders; an order is known by what its customer calls it.
const TABLE: &str = "CREATE TABLE IF NOT EXISTS statement_order (
  request_id TEXT NOT NULL PRIMARY KEY, account_id TEXT NOT NULL, month TEXT NOT NULL,
  task_id TEXT NOT NULL) STRICT, WITHOUT ROWID";

/// Everything that answering needs.
#[derive(Debug, Clone)]
pub struct Api {
    pool: SqlitePool,
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
    /// Opens the database in the worker's folder `home`; `manifest` is the text of worker.toml.
    ///
    /// # Errors
    /// What is missing or wrong, and the command that would help.
    pub async fn open(home: &Path, key_file: &Path, manifest: &str) -> Result<Self> {
        let contract = Arc::new(contract::contract().clone());
        let manifest = Manifest::parse(manifest, &contract.names()).context("worker.toml")?;
        let key = ProducerKey::read(key_file)?;
        let path = home.join("main.db");
        let store = SqliteStore::open(Db::open_sqlite(&path).await?, Arc::new(SystemClock)).await?;
        let options = SqliteConnectOptions::new().filename(&path);
        let pool = SqlitePoolOptions::new().max_connections(MAX_CONNECTIONS);
        let pool = pool.connect_with(options).await?;
        sqlx::query(TABLE).execute(&pool).await?;
        let producer = Producer::new(ProducerParts {
            store: Arc::new(store),
            manifest: Arc::new(manifest),
            contract,
            key: Arc::new(key.proof),
            keys: None,
            sealing: key.sealing,
            configuration: Arc::default(),
            on_rejection: None,
        });
        Ok(Self { pool, producer })
    }

    /// Notes an order and asks for its roll-up, both in one transaction.
    async fn order(&self, order: &Order) -> Result<Accepted, Refusal> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let payload = RollUpUsage { month: Some(order.month) };
        // However many customers order at once, the month is rolled up once.
        let unique = Some(Unique { scope: Scope::Payload, period: None });
        let options =
            TaskOptions { unique, labels: vec!["statement".to_owned()], ..TaskOptions::default() };
        let mut tx = Tx::sqlite(&mut transaction);
        let stored = self.producer.enqueue_in(&mut tx, &payload, options).await?;
        let task_id = stored.task_id();
        sqlx::query("INSERT INTO statement_order (request_id, account_id, month, task_id) VALUES ($1, $2, $3, $4)")
            .bind(&order.request_id)
            .bind(order.account_id.to_string())
            .bind(order.month.to_string())
            .bind(task_id.to_string())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        stored.wake();
        Ok(Accepted { task_id })
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
    api.order(&order).await
}
