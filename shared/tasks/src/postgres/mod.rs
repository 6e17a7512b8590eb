//! The task store on PostgreSQL: several processes write at once, none waits long for another.
//!
//! Plain calls are gathered into groups; what runs foreign code or waits for keys is gathered apart,
//! so that it holds up nobody else. Leases have a transaction of their own.

mod candidates;
mod changes;
mod enqueue;
mod group;
mod guarded;
mod lanes;
mod lease;
mod leaser;
mod limits;
mod operate;
mod quota;
mod record;
pub(crate) mod schema;
mod search;
mod settle;
mod steps;
mod store;
mod tally;
mod text;
mod wake;
mod workers;
mod writer;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use database::{Db, DbError, Durability, Tx};
use futures_util::future::BoxFuture;
use group::Call;
use lanes::Lanes;
use leaser::Leaser;
use tokio::sync::{mpsc, oneshot};
use values::{Clock, Timestamp};
use wake::{Bell, News, Wire};
use writer::{QUEUE, Shared, Slots};

use crate::handover::{Orphans, Reply};
use crate::{SCHEMA, StoreError};

/// Groups of plain calls under way at a time.
const QUICK: Slots = Slots { at_once: 4, full: 2_000, limit: Duration::from_secs(10) };
/// Groups of calls that may wait for others. They are small: all of a group wait for its last final
/// write step, others wait for what its first ones have locked, and a row that many of them write
/// becomes slower with each until the commit.
const SLOW: Slots = Slots { at_once: 3, full: 16, limit: Duration::from_secs(40) };
/// How long a write that is not gathered may take.
const WRITE_LIMIT: Duration = Duration::from_secs(30);
/// How often such a write is tried that was the victim of a deadlock.
const TRIES: u32 = 3;

/// The task store in a PostgreSQL database.
pub struct PostgresStore {
    shared: Shared,
    quick: mpsc::Sender<Call>,
    slow: mpsc::Sender<Call>,
    leases: mpsc::Sender<leaser::Call>,
    wire: Wire,
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").finish_non_exhaustive()
    }
}

impl PostgresStore {
    /// Opens the store in a database that was migrated before, and starts its writers.
    ///
    /// `clock` is the store's: all workers should see the same time, that of the server
    /// ([`crate::ServerClock`]).
    ///
    /// # Errors
    /// [`DbError::Schema`] before `main-worker migrate`, and those of any query. Must be called
    /// inside a tokio runtime.
    pub async fn open(db: Db, clock: Arc<dyn Clock>) -> Result<Self, DbError> {
        SCHEMA.require(&db).await?;
        let lanes = Arc::new(Lanes::read(db.clone()).await?);
        let bell = Arc::new(Bell::default());
        let wire = Wire::open(&db, &bell).await?;
        let shared = Shared { db, clock, lanes, bell };
        let (leases, asked) = mpsc::channel(QUEUE);
        let woken = Arc::clone(&shared.bell);
        let orphans =
            Orphans::new(move || woken.ring(&News { tasks: false, back: true, room: false }));
        let Shared { db, clock, lanes, bell } = shared.clone();
        tokio::spawn(Leaser::new((db, clock), (lanes, bell), asked, orphans).run());
        let (quick, slow) = (spawn(&shared, QUICK), spawn(&shared, SLOW));
        Ok(Self { shared, quick, slow, leases, wire })
    }

    /// How work of other processes is noticed: `listen`, or `polling` through a pooler.
    pub fn wake_up(&self) -> &'static str {
        if self.shared.db.can_listen() { "listen" } else { "polling" }
    }

    async fn call<C, T>(
        &self,
        to: &mpsc::Sender<C>,
        call: impl FnOnce(Reply<T>) -> C,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        to.send(call(reply)).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Writes in a transaction of its own, which nobody else waits for.
    async fn write<T, F>(&self, durability: Durability, write: F) -> Result<T, StoreError>
    where
        F: for<'t, 'c> Fn(&'t mut Tx<'c>, Timestamp) -> BoxFuture<'t, Result<T, DbError>> + Send,
    {
        let mut tries = 0;
        loop {
            tries += 1;
            let once = async {
                let mut transaction = self.shared.db.begin_steady(durability).await?;
                let value = write(&mut transaction.tx(), self.shared.clock.now()).await?;
                transaction.commit().await?;
                Ok(value)
            };
            match tokio::time::timeout(WRITE_LIMIT, once).await {
                Ok(Ok(value)) => return Ok(value),
                Ok(Err(DbError::Busy)) if tries < TRIES => {}
                Ok(Err(error)) => return Err(error.into()),
                Err(_) => return Err(DbError::no_answer().into()),
            }
        }
    }

    /// Tells everyone that tasks may have come back to an earlier place.
    fn came_back(&self) {
        self.shared.bell.ring(&News { tasks: true, back: true, room: true });
        self.shared.bell.tell();
    }
}

fn spawn(shared: &Shared, slots: Slots) -> mpsc::Sender<Call> {
    let (calls, asked) = mpsc::channel(QUEUE);
    tokio::spawn(writer::run(shared.clone(), slots, asked));
    calls
}
