//! The effect ledger: attempts happen at least once, effects happen once.
//!
//! The intent is durable before the call, and its key is the other side's idempotency key. A
//! repeat that finds a call whose end is not known asks the other side first. The ledger lives in
//! the domain database and is never pruned with tasks.

use std::future::Future;
use std::sync::Arc;

use database::{Db, DbError, Migration, PostgresSql, Query, SchemaRange, Tx};
use serde::Serialize;
use serde::de::DeserializeOwned;
use values::{Clock, TaskId, Timestamp};

use crate::JobError;

/// Bytes of a key at the most; payment gateways take 255.
const MAX_KEY_BYTES: usize = 200;

/// The ledger's table.
pub const EFFECTS: SchemaRange = SchemaRange {
    component: "effects",
    oldest: 1,
    migrations: &[Migration {
        version: 1,
        name: "effects",
        works_from: 1,
        postgres: PostgresSql::Translated,
        sqlite: &["CREATE TABLE effect (
           key TEXT NOT NULL PRIMARY KEY, state TEXT NOT NULL, task BLOB NOT NULL,
           calls BIGINT NOT NULL, result TEXT, error TEXT, created_at BIGINT NOT NULL,
           updated_at BIGINT NOT NULL) WITHOUT ROWID"],
    }],
};

/// The key of an effect, to be sent along with the call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(Arc<str>);

impl IdempotencyKey {
    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Does things to the outside world once.
#[derive(Debug, Clone)]
pub struct Effects {
    db: Db,
    clock: Arc<dyn Clock>,
    task: TaskId,
}

impl Effects {
    /// Opens the ledger for one task.
    pub fn new(db: Db, clock: Arc<dyn Clock>, task: TaskId) -> Self {
        Self { db, clock, task }
    }

    /// Makes `call` happen once under `key`, and returns what it returned whenever that was.
    ///
    /// States: `intent` (nothing happened), `doing` (the call is or was under way), `unknown` (it
    /// failed without telling whether it happened), `done`. A repeat that finds `doing` or
    /// `unknown` runs `reconcile` first: `Some` is the effect's result, `None` means that it did
    /// not happen, and the call is made again under the same key.
    ///
    /// # Errors
    /// Those of `call` and `reconcile`; a permanent error of the first `call` is a definite refusal
    /// and leaves `intent`, any other leaves `unknown`.
    pub async fn once<T, C, CF, R, RF>(
        &self,
        key: &str,
        call: C,
        reconcile: R,
    ) -> Result<T, JobError>
    where
        T: Serialize + DeserializeOwned,
        C: FnOnce(IdempotencyKey) -> CF,
        CF: Future<Output = Result<T, JobError>>,
        R: FnOnce(IdempotencyKey) -> RF,
        RF: Future<Output = Result<Option<T>, JobError>>,
    {
        let (result, end) = self.once_until_settled(key, call, reconcile).await?;
        if let EffectEnd(Some(query)) = end {
            self.db.execute(query).await?;
        }
        Ok(result)
    }

    /// Like [`Effects::once`], but the end of the effect is yet to be written, in the final write of
    /// the outcome: a transaction less for a call that is settled at once.
    ///
    /// Until then the effect stays `doing`: an attempt cut off in between is repeated by asking
    /// `reconcile`, and not by what is stored here.
    ///
    /// # Errors
    /// As [`Effects::once`].
    pub async fn once_until_settled<T, C, CF, R, RF>(
        &self,
        key: &str,
        call: C,
        reconcile: R,
    ) -> Result<(T, EffectEnd), JobError>
    where
        T: Serialize + DeserializeOwned,
        C: FnOnce(IdempotencyKey) -> CF,
        CF: Future<Output = Result<T, JobError>>,
        R: FnOnce(IdempotencyKey) -> RF,
        RF: Future<Output = Result<Option<T>, JobError>>,
    {
        if key.is_empty() || key.len() > MAX_KEY_BYTES {
            let message =
                format!("an effect key has 1 to {MAX_KEY_BYTES} bytes, found {}", key.len());
            return Err(JobError::permanent(message));
        }
        let given = IdempotencyKey(key.into());
        let found = self.begin(key).await?;
        let is_new = matches!(found, Found::New);
        match found {
            Found::Done(result) => return Ok((decode(key, &result)?, EffectEnd(None))),
            Found::Unfinished => {
                if let Some(result) = reconcile(given.clone()).await? {
                    return self.happened(key, result);
                }
                self.count_call(key).await?;
            }
            Found::New => {}
        }
        match call(given).await {
            Ok(result) => self.happened(key, result),
            Err(error) => {
                // A refusal says nothing of an earlier call whose end is not known.
                let state = match &error {
                    JobError::Permanent(_) if is_new => "intent",
                    _ => "unknown",
                };
                let failed = Some(error.chain());
                self.db.execute(ending(key, state, None, failed, self.clock.now())).await?;
                Err(error)
            }
        }
    }

    /// A result, with the end that stores it.
    fn happened<T: Serialize>(&self, key: &str, result: T) -> Result<(T, EffectEnd), JobError> {
        let text = serde_json::to_string(&result).map_err(|error| {
            JobError::permanent(format!("an effect's result is not JSON: {error}"))
        })?;
        let query = ending(key, "done", Some(text), None, self.clock.now());
        Ok((result, EffectEnd(Some(query))))
    }

    /// The state of an effect, for reports and tests.
    pub async fn state(&self, key: &str) -> Result<Option<String>, DbError> {
        let query = Query::new("SELECT state FROM effect WHERE key = $1").bind(key);
        self.db.first(query).await?.map(|row| row.get(0)).transpose()
    }

    /// Makes the intent durable, or finds what an earlier attempt left.
    ///
    /// Of two attempts at the same time one is first; the other finds it doing the call.
    async fn begin(&self, key: &str) -> Result<Found, DbError> {
        let now = self.clock.now();
        let query = Query::new(
            "INSERT INTO effect (key, state, task, calls, created_at, updated_at)
               VALUES ($1, 'doing', $2, 1, $3, $3)
             ON CONFLICT (key) DO UPDATE
               SET state = 'doing', calls = effect.calls + 1, updated_at = excluded.updated_at
               WHERE effect.state = 'intent'",
        );
        if self.db.execute(query.bind(key).bind(self.task).bind(now)).await? == 1 {
            return Ok(Found::New);
        }
        // What is done stays so.
        let query = Query::new("SELECT result FROM effect WHERE key = $1 AND state = 'done'");
        Ok(match self.db.first(query.bind(key)).await? {
            Some(row) => Found::Done(row.get::<Option<String>>(0)?.unwrap_or_default()),
            None => Found::Unfinished,
        })
    }

    async fn count_call(&self, key: &str) -> Result<(), DbError> {
        let query = Query::new(
            "UPDATE effect SET state = 'doing', calls = calls + 1, updated_at = $2
               WHERE key = $1 AND state <> 'done'",
        );
        self.db.execute(query.bind(key).bind(self.clock.now())).await.map(|_| ())
    }
}

/// The end of an effect, to be written with what follows from it.
#[derive(Debug, Clone)]
#[must_use = "until it is written, a repeat asks the other side how the effect ended"]
pub struct EffectEnd(
    /// `None` if it is written already.
    Option<Query>,
);

impl EffectEnd {
    /// Writes it, in the final write of an outcome.
    ///
    /// # Errors
    /// As [`Tx::defer`].
    pub async fn write(&self, tx: &mut Tx<'_>) -> Result<(), DbError> {
        match &self.0 {
            Some(query) => tx.defer(query.clone()).await,
            None => Ok(()),
        }
    }
}

/// Writes how an effect ended; what another attempt knows to be done stays so.
fn ending(
    key: &str,
    state: &str,
    result: Option<String>,
    error: Option<String>,
    at: Timestamp,
) -> Query {
    let query = Query::new(
        "UPDATE effect SET state = $2, result = $3, error = $4, updated_at = $5
           WHERE key = $1 AND state <> 'done'",
    );
    query.bind(key).bind(state).bind(result).bind(error).bind(at)
}

enum Found {
    New,
    Unfinished,
    Done(String),
}

fn decode<T: DeserializeOwned>(key: &str, text: &str) -> Result<T, JobError> {
    serde_json::from_str(text).map_err(|error| {
        JobError::permanent(format!(
            "the ledger holds another kind of result under `{key}`: {error}"
        ))
    })
}

#[cfg(test)]
mod tests;
