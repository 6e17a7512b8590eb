//! Lanes by their number, and whose they are.
//!
//! A lane is made on a connection of its own and committed at once, never in a caller's transaction,
//! so that nobody waits for a transaction that stays open.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use database::{Db, DbError, Durability, Query, Row};

use tokio::time::Instant;

use crate::NewTask;

/// How long lanes that others make may be unknown.
const OLD: Duration = Duration::from_millis(40);

/// Whose tasks stand in a lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LaneNames {
    pub(super) number: i64,
    pub(super) job: String,
    pub(super) source: String,
    /// Empty for any host.
    pub(super) host: String,
}

/// The lanes that are known to be committed; shared by everything of a store.
#[derive(Debug)]
pub(super) struct Lanes {
    db: Db,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    all: Arc<[LaneNames]>,
    read_at: Option<Instant>,
    /// By job; nested so that a look-up needs no new text.
    by_job: HashMap<String, Vec<LaneNames>>,
}

impl Lanes {
    pub(super) async fn read(db: Db) -> Result<Self, DbError> {
        let lanes = Self { db, known: Mutex::default() };
        lanes.refresh().await?;
        Ok(lanes)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All lanes known, in the order of their numbers.
    pub(super) fn all(&self) -> Arc<[LaneNames]> {
        Arc::clone(&self.known().all)
    }

    /// Whether others may have made lanes since they were read.
    pub(super) fn are_old(&self) -> bool {
        self.known().read_at.is_none_or(|at| at.elapsed() >= OLD)
    }

    /// Learns of lanes that others have made; what a failover to an older state took away is
    /// made again, because tasks that others still enqueue there would stand in no lane. Tells whether
    /// anything has changed.
    pub(super) async fn refresh(&self) -> Result<bool, DbError> {
        let query = Query::new("SELECT id, job, source, host FROM mw_lane ORDER BY id");
        let read: Vec<LaneNames> =
            self.db.all(query).await?.iter().map(lane).collect::<Result<_, _>>()?;
        let gone: Vec<LaneNames> =
            self.all().iter().filter(|known| !read.contains(known)).cloned().collect();
        let changed = self.learn(read);
        if !gone.is_empty() {
            let names = gone.iter().map(|l| [l.job.as_str(), l.source.as_str(), l.host.as_str()]);
            self.make(names.collect()).await?;
        }
        Ok(changed)
    }

    fn learn(&self, lanes: Vec<LaneNames>) -> bool {
        let mut known = self.known();
        known.read_at = Some(Instant::now());
        if *known.all == *lanes {
            return false;
        }
        known.by_job.clear();
        for lane in &lanes {
            known.by_job.entry(lane.job.clone()).or_default().push(lane.clone());
        }
        known.all = lanes.into();
        true
    }

    /// The numbers of the tasks' lanes, in order; lanes that are the first of their kind are made.
    pub(super) async fn numbers(&self, tasks: &[NewTask]) -> Result<Vec<i64>, DbError> {
        if let Some(numbers) = self.look_up(tasks) {
            return Ok(numbers);
        }
        let mut names: Vec<[&str; 3]> = tasks.iter().map(names).collect();
        names.sort_unstable();
        names.dedup();
        self.make(names).await?;
        self.look_up(tasks).ok_or(DbError::Column { column: 0, expected: "a lane just made" })
    }

    fn look_up(&self, tasks: &[NewTask]) -> Option<Vec<i64>> {
        let known = self.known();
        let number = |task: &NewTask| {
            let [job, source, host] = names(task);
            let lanes = known.by_job.get(job)?;
            lanes.iter().find(|lane| lane.source == source && lane.host == host).map(|l| l.number)
        };
        tasks.iter().map(number).collect()
    }

    async fn make(&self, names: Vec<[&str; 3]>) -> Result<(), DbError> {
        let column =
            |at: usize| -> Vec<String> { names.iter().map(|n| n[at].to_owned()).collect() };
        // Names or number: who makes the same lane in the same moment may be met at either.
        let query = Query::new(
            "INSERT INTO mw_lane (id, job, source, host)
             SELECT hashtextextended(job || '|' || source || '|' || host, 0), job, source, host
               FROM unnest($1::text[], $2::text[], $3::text[]) AS i (job, source, host)
             ON CONFLICT DO NOTHING",
        );
        // Whatever stands in the lane is committed later, and survives with it.
        let mut transaction = self.db.begin_with(Durability::Relaxed).await?;
        transaction.tx().execute(query.bind(column(0)).bind(column(1)).bind(column(2))).await?;
        let query = Query::new("SELECT id, job, source, host FROM mw_lane ORDER BY id");
        let rows = transaction.tx().all(query).await?;
        transaction.commit().await?;
        self.learn(rows.iter().map(lane).collect::<Result<_, _>>()?);
        Ok(())
    }
}

fn names(task: &NewTask) -> [&str; 3] {
    [task.job.as_str(), task.source.as_str(), task.host.as_deref().unwrap_or_default()]
}

fn lane(row: &Row) -> Result<LaneNames, DbError> {
    Ok(LaneNames { number: row.get(0)?, job: row.get(1)?, source: row.get(2)?, host: row.get(3)? })
}
