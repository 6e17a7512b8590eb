//! The table of orders: a transaction of the API's own, with the task in it.

use anyhow::Result;
use contract::usage::RollUpUsage;
use database::Tx;
use scheduling::{Producer, Scope, Stored, TaskOptions, Unique};
use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};

use crate::{Accepted, Order, Place, Refusal};

/// Database connections of this API's own at the most.
const MAX_CONNECTIONS: u32 = 4;
/// The orders; an order is known by what its customer calls it.
const TABLE: &str = "CREATE TABLE IF NOT EXISTS statement_order (
  request_id TEXT NOT NULL PRIMARY KEY, account_id TEXT NOT NULL, month TEXT NOT NULL,
  task_id TEXT NOT NULL)";
const INSERT: &str = "INSERT INTO statement_order (request_id, account_id, month, task_id)
  VALUES ($1, $2, $3, $4)";

/// The API's own connections to the database that holds the tasks too.
#[derive(Debug, Clone)]
pub(crate) enum Orders {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

impl Orders {
    pub(crate) async fn open(place: &Place<'_>) -> Result<Self> {
        match place {
            Place::Folder(home) => {
                let options = SqliteConnectOptions::new().filename(home.join("main.db"));
                let pool = SqlitePoolOptions::new().max_connections(MAX_CONNECTIONS);
                let pool = pool.connect_with(options).await?;
                sqlx::query(TABLE).execute(&pool).await?;
                Ok(Self::Sqlite(pool))
            }
            Place::Server(url) => {
                let pool = PgPoolOptions::new().max_connections(MAX_CONNECTIONS);
                let pool = pool.connect(url.expose()).await?;
                sqlx::query(TABLE).execute(&pool).await?;
                Ok(Self::Postgres(pool))
            }
        }
    }

    /// Notes an order and asks for its roll-up, both in one transaction.
    pub(crate) async fn note(
        &self,
        producer: &Producer,
        order: &Order,
    ) -> Result<Accepted, Refusal> {
        let stored = match self {
            Self::Sqlite(pool) => {
                let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
                let stored = ask(producer, Tx::sqlite(&mut transaction), order).await?;
                let [request, account, month, task] = columns(order, &stored);
                let insert = sqlx::query(INSERT).bind(request).bind(account).bind(month).bind(task);
                insert.execute(&mut *transaction).await?;
                transaction.commit().await?;
                stored
            }
            Self::Postgres(pool) => {
                let mut transaction = pool.begin().await?;
                // Through a pooler in transaction mode it would be `false`.
                let stored = ask(producer, Tx::postgres(&mut transaction, true), order).await?;
                let [request, account, month, task] = columns(order, &stored);
                let insert = sqlx::query(INSERT).bind(request).bind(account).bind(month).bind(task);
                insert.execute(&mut *transaction).await?;
                transaction.commit().await?;
                stored
            }
        };
        let task_id = stored.task_id();
        stored.wake();
        Ok(Accepted { task_id })
    }
}

/// Asks for the roll-up within a transaction that is open on either engine.
async fn ask(producer: &Producer, mut tx: Tx<'_>, order: &Order) -> Result<Stored, Refusal> {
    let payload = RollUpUsage { month: Some(order.month) };
    // However many customers order at once, the month is rolled up once.
    let unique = Some(Unique { scope: Scope::Payload, period: None });
    let options =
        TaskOptions { unique, labels: vec!["statement".to_owned()], ..TaskOptions::default() };
    Ok(producer.enqueue_in(&mut tx, &payload, options).await?)
}

fn columns(order: &Order, stored: &Stored) -> [String; 4] {
    let Order { request_id, account_id, month } = order;
    let task_id = stored.task_id().to_string();
    [request_id.clone(), account_id.to_string(), month.to_string(), task_id]
}
