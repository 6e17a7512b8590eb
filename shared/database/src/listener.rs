//! Being told of notifications, and noticing when nobody can tell any more.

use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgListener, PgPool, PgPoolOptions};

use crate::postgres::greet;
use crate::{DbError, pooler};

/// How often a silent connection is asked whether it still answers.
const CHECK_EVERY: Duration = Duration::from_secs(2);
/// How long it may take to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);
/// How long connecting may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(4);

/// A connection of its own that hears the notifications of one channel.
///
/// It never reconnects by itself: after an error make a new one, and look around before waiting
/// again, because what was told in between is lost.
#[derive(Debug)]
pub struct Listener {
    pool: Closing,
    listener: PgListener,
}

/// Closed before the listener is dropped, which would else give its connection back to the pool,
/// and the pool would complain if the program ends just then.
#[derive(Debug)]
struct Closing(PgPool);

impl Drop for Closing {
    fn drop(&mut self) {
        drop(self.0.close());
    }
}

impl Listener {
    pub(crate) async fn connect(
        options: &PgConnectOptions,
        past_pooler: bool,
        channel: &str,
    ) -> Result<Self, DbError> {
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .acquire_timeout(CONNECT_LIMIT)
            .after_connect(|connection, _| Box::pin(greet(connection)))
            .connect_lazy_with(options.clone());
        // The pool tries again in silence; a first try by hand says why it fails.
        let first = tokio::time::timeout(CONNECT_LIMIT, pooler::detect(options)).await;
        // Whoever had the session afterwards would be told, and would not know what of.
        if first.map_err(|_| DbError::no_answer())?? && past_pooler {
            return Err(DbError::Pooled);
        }
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.eager_reconnect(false);
        let listening = tokio::time::timeout(ANSWER_LIMIT, listener.listen(channel)).await;
        listening.map_err(|_| DbError::no_answer())??;
        Ok(Self { pool: Closing(pool), listener })
    }

    /// Waits for a notification, for at most `at_most`; tells whether there was one.
    ///
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`DbError::Unreachable`] within 4 s of the connection's death, however silent it was.
    pub async fn wait(&mut self, at_most: Duration) -> Result<bool, DbError> {
        let began = Instant::now();
        loop {
            let left = at_most.saturating_sub(began.elapsed());
            match tokio::time::timeout(left.min(CHECK_EVERY), self.listener.try_recv()).await {
                Ok(Ok(Some(_))) => {
                    // One look serves all that was told until now.
                    while self.listener.next_buffered().is_some() {}
                    return Ok(true);
                }
                Ok(Ok(None)) => return Err(DbError::no_answer()),
                Ok(Err(error)) => return Err(error.into()),
                Err(_) if left <= CHECK_EVERY => return Ok(false),
                Err(_) => self.check().await?,
            }
        }
    }

    async fn check(&mut self) -> Result<(), DbError> {
        let answer = sqlx::raw_sql("SELECT 1").execute(&mut self.listener);
        match tokio::time::timeout(ANSWER_LIMIT, answer).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(DbError::no_answer()),
        }
    }

    /// Ends the connection.
    pub async fn close(self) {
        let Self { pool, listener } = self;
        drop(listener);
        pool.0.close().await;
    }
}
