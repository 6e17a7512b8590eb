//! Leasing: the best tasks first, locked so that several processes never wait for each other.

use std::collections::{HashMap, HashSet};

use database::{DbError, Query, Row, Tx};
use values::{Span, TaskId, Timestamp};

use super::candidates::{Candidate, Floors, Found, Served, candidates};
use super::changes::finish;
use super::lanes::LaneNames;
use super::limits;
use super::workers::finish_cancelled;
use crate::limits::{Place, Room};
use crate::sqlite::state;
use crate::{LeaseRequest, LeasedTask, StoredTask};

/// The most tasks one request is given.
const MAX_LEASE: usize = 5_000;

/// What limits keep back that will move.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeptBack {
    #[default]
    Nothing,
    /// Tasks of some lanes, or more of them.
    Something,
    /// No lane has room, so that there is nothing to look for.
    Everything,
}

impl KeptBack {
    fn of(is_limited: bool, is_full: bool) -> Self {
        match (is_limited, is_full) {
            (false, _) => Self::Nothing,
            (true, false) => Self::Something,
            (true, true) => Self::Everything,
        }
    }

    /// What is kept back from all who ask.
    pub(super) fn of_all(all: &[Self]) -> Self {
        match all {
            [] => Self::Nothing,
            all if all.iter().all(|kept| *kept == Self::Everything) => Self::Everything,
            all if all.iter().all(|kept| *kept == Self::Nothing) => Self::Nothing,
            _ => Self::Something,
        }
    }
}

/// What a lease request was given.
#[derive(Default)]
pub(super) struct Leased {
    pub(super) tasks: Vec<LeasedTask>,
    /// When a used up rate lets a task start.
    pub(super) next_start: Option<Timestamp>,
    pub(super) kept_back: KeptBack,
    /// Whether other processes hold just now what might have been leased.
    pub(super) again: bool,
    /// Whether tasks that were found did not fit beside the others.
    refused: bool,
}

/// Leases for one request; returns nothing if nothing fits, and `None` if the worker is none, or was
/// declared dead: it gets nothing, however long it waits.
///
/// Lanes share limits, so what is best of each may not fit together; then there is more to find.
pub(super) async fn lease(
    tx: &mut Tx<'_>,
    request: &LeaseRequest,
    now: Timestamp,
    lanes: &[LaneNames],
    floors: &mut Floors,
) -> Result<Option<Leased>, DbError> {
    let Some(mut all) = lease_once(tx, request, now, lanes, floors).await? else {
        return Ok(None);
    };
    let mut more = all.refused && !all.tasks.is_empty();
    while more && all.tasks.len() < request.start + request.hold {
        let start = request.start.saturating_sub(all.tasks.len());
        let hold = request.start + request.hold - all.tasks.len() - start;
        let rest = LeaseRequest { start, hold, ..request.clone() };
        let Some(next) = lease_once(tx, &rest, now, lanes, floors).await? else { break };
        more = next.refused && !next.tasks.is_empty();
        all.tasks.extend(next.tasks);
    }
    Ok(Some(all))
}

/// Leases the best of each lane that fit together.
async fn lease_once(
    tx: &mut Tx<'_>,
    request: &LeaseRequest,
    now: Timestamp,
    lanes: &[LaneNames],
    floors: &mut Floors,
) -> Result<Option<Leased>, DbError> {
    let wanted = (request.start + request.hold).min(MAX_LEASE);
    let own = |lane: &&LaneNames| lane.host.is_empty() || lane.host == request.host;
    let served: Vec<(&LaneNames, Place)> = lanes
        .iter()
        .filter(own)
        .filter_map(|lane| Some((lane, request.place(&lane.job, &lane.source)?)))
        .collect();
    let places: Vec<Place> = served.iter().map(|(_, place)| *place).collect();
    let mut room = Room::new(request, now, &places);
    limits::look(tx, &mut room).await?;
    let next_start = room.next_start();
    let limited = places.iter().any(|place| room.limits(*place));
    let served =
        served.into_iter().map(|(lane, place)| Served { lane, place, most: room.most(place) });
    let served: Vec<Served<'_>> = served.filter(|served| served.most > 0).collect();
    let kept_back = KeptBack::of(limited, served.is_empty());
    let above = request.above.map_or(-1, i64::from);
    let found = candidates(tx, now, floors, &served, (above, wanted)).await?;
    let Found { candidates: found, ends, mut left, busy: again } = found;
    if found.is_empty() {
        if !room.counted().is_empty() {
            // A window that follows a clock which was set back.
            limits::lock(tx, &mut room, &[]).await?;
            limits::look(tx, &mut room).await?;
            limits::keep(tx, &room).await?;
        }
        floors.raise(ends, left.into_iter());
        return Ok(Some(Leased { next_start, kept_back, again, ..Leased::default() }));
    }
    let mut counted: Vec<usize> = found.iter().map(|candidate| candidate.served).collect();
    counted.sort_unstable();
    counted.dedup();
    counted.retain(|at| room.limits(served[*at].place));
    let places: Vec<Place> = counted.iter().map(|at| served[*at].place).collect();
    let mut room = Room::new(request, now, &places);
    let mut busy = HashSet::new();
    if !counted.is_empty() {
        let lanes: Vec<&LaneNames> = counted.iter().map(|at| served[*at].lane).collect();
        busy = limits::lock(tx, &mut room, &lanes).await?;
        limits::look(tx, &mut room).await?;
    }
    let mut best = Vec::with_capacity(wanted.min(found.len()));
    let mut refused = false;
    for candidate in found {
        let Served { lane, place, most: _ } = served[candidate.served];
        let free = best.len() < wanted && !busy.contains(&lane.number);
        if free && room.take(place, best.len() < request.start) {
            best.push(candidate);
        } else {
            refused |= free;
            left.push(((lane.number, candidate.priority), candidate.run_at));
        }
    }
    limits::keep(tx, &room).await?;
    let Some(tasks) = take(tx, request, now, &served, best).await? else {
        floors.forget();
        return Ok(None);
    };
    if tasks.is_empty() {
        // Whatever is there is for others, or for us after others.
        floors.forget();
    } else {
        floors.raise(ends, left.into_iter());
    }
    let again = tasks.is_empty() && !busy.is_empty();
    Ok(Some(Leased { tasks, next_start: None, kept_back, again, refused }))
}

/// Leases the tasks and reads what they are, in the order they are to run; `None` if the worker is
/// gone.
async fn take(
    tx: &mut Tx<'_>,
    request: &LeaseRequest,
    now: Timestamp,
    served: &[Served<'_>],
    best: Vec<Candidate>,
) -> Result<Option<Vec<LeasedTask>>, DbError> {
    if best.is_empty() {
        return Ok(Some(Vec::new()));
    }
    // The worker's row is locked, so that nobody declares it dead without seeing what it holds.
    let query = Query::new(
        "WITH w AS MATERIALIZED (SELECT id FROM mw_worker WHERE id = $1 AND dead = 0 FOR SHARE)
         UPDATE mw_task t SET state = 2, worker = w.id, token = $2, attempt = t.attempt + i.started,
           started_at = CASE WHEN i.started = 1 THEN $3::bigint END
           FROM w, unnest($4::bigint[], $5::bigint[]) AS i (seq, started)
             LEFT JOIN mw_envelope e ON e.seq = i.seq
          WHERE t.seq = i.seq
         RETURNING t.seq, e.id, e.configuration, e.payload, e.stamp, e.proof, e.timeout, e.labels,
           e.parent, e.enqueued_at",
    );
    let token = i64::from_be_bytes(crate::random_bytes()) & i64::MAX;
    let seqs: Vec<i64> = best.iter().map(|candidate| candidate.seq).collect();
    let started: Vec<i64> = (0..best.len()).map(|at| (at < request.start).into()).collect();
    let query = query.bind(request.worker).bind(token).bind(now);
    let rows = tx.all(query.bind(seqs).bind(started)).await?;
    if rows.is_empty() {
        return Ok(None); // the tasks are locked, so that nobody else has them
    }
    let mut by_seq: HashMap<i64, Row> = HashMap::with_capacity(rows.len());
    for row in rows {
        by_seq.insert(row.get(0)?, row);
    }
    let mut leased = Vec::with_capacity(by_seq.len());
    for (at, candidate) in best.into_iter().enumerate() {
        let Some(row) = by_seq.get(&candidate.seq) else { continue };
        let lane = served[candidate.served].lane;
        match leased_task(row, lane, &candidate, (token, now, at < request.start)) {
            Ok(task) => leased.push(task),
            Err(error) => set_aside(tx, now, candidate.seq, row, &error).await?,
        }
    }
    Ok(Some(leased))
}

fn leased_task(
    row: &Row,
    lane: &LaneNames,
    candidate: &Candidate,
    (token, now, started): (i64, Timestamp, bool),
) -> Result<LeasedTask, DbError> {
    let labels: Option<String> = row.get(7)?;
    let small = |number: i64| {
        u32::try_from(number).map_err(|_| DbError::Column { column: 0, expected: "a count" })
    };
    Ok(LeasedTask {
        row: candidate.seq,
        token,
        started,
        attempt: small(candidate.attempt + i64::from(started))?,
        max_attempts: small(candidate.max_attempts)?,
        priority: u8::try_from(candidate.priority).expect("asked for as 0, 1 or 2"),
        run_at: Timestamp::from_micros(candidate.run_at),
        leased_at: now,
        task: StoredTask {
            task_id: row.get::<TaskId>(1)?,
            job: lane.job.clone(),
            source: lane.source.clone(),
            host: Some(lane.host.clone()).filter(|host| !host.is_empty()),
            configuration: row.get(2)?,
            payload: row.get(3)?,
            stamp: row.get(4)?,
            proof: row.get(5)?,
            timeout: row.get::<Option<i64>>(6)?.map(Span::from_micros),
            labels: labels.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default(),
            parent: row.get(8)?,
            enqueued_at: row.get(9)?,
        },
    })
}

/// Ends a task whose row was damaged, so that it does not keep others from running; without an
/// envelope there is nothing left to run and nothing to show.
async fn set_aside(
    tx: &mut Tx<'_>,
    now: Timestamp,
    seq: i64,
    row: &Row,
    error: &DbError,
) -> Result<(), DbError> {
    if row.get::<Option<Vec<u8>>>(1)?.is_none() {
        tracing::error!(row = seq, "a task whose envelope is gone was removed");
        let query = Query::new("DELETE FROM mw_task WHERE seq = $1").bind(seq);
        return tx.execute(query).await.map(|_| ());
    }
    tracing::error!(row = seq, error = %error, "a damaged task was discarded");
    let text = format!("the stored row cannot be read: {error}");
    finish(tx, now, seq, state::DISCARDED, &text).await
}

/// Two columns of numbers.
fn columns(pairs: &[(i64, i64)]) -> (Vec<i64>, Vec<i64>) {
    let mut sorted = pairs.to_vec();
    sorted.sort_unstable();
    sorted.into_iter().unzip()
}

/// Counts an attempt for held tasks; returns the rows that are still held under their token.
pub(super) async fn start(
    tx: &mut Tx<'_>,
    worker: i64,
    leases: &[(i64, i64)],
    now: Timestamp,
) -> Result<Vec<i64>, DbError> {
    let query = Query::new(
        "UPDATE mw_task t SET attempt = attempt + 1, started_at = $1
           FROM unnest($3::bigint[], $4::bigint[]) AS i (seq, token)
          WHERE t.seq = i.seq AND t.token = i.token AND t.state = 2 AND t.worker = $2
            AND t.started_at IS NULL AND t.cancel = 0 RETURNING t.seq",
    );
    let (seqs, tokens) = columns(leases);
    let rows = tx.all(query.bind(now).bind(worker).bind(seqs).bind(tokens)).await?;
    rows.iter().map(|row| row.get(0)).collect()
}

/// Undoes leases nobody received; their attempts do not count.
pub(super) async fn unlease(
    tx: &mut Tx<'_>,
    now: Timestamp,
    leases: &[(i64, i64)],
) -> Result<(), DbError> {
    let query = Query::new(
        "UPDATE mw_task t SET state = 1, worker = NULL, token = NULL, started_at = NULL,
           attempt = attempt - CASE WHEN started_at IS NULL THEN 0 ELSE 1 END
           FROM unnest($1::bigint[], $2::bigint[]) AS i (seq, token)
          WHERE t.seq = i.seq AND t.token = i.token AND t.state = 2",
    );
    let (seqs, tokens) = columns(leases);
    tx.execute(query.bind(seqs).bind(tokens)).await?;
    finish_cancelled(tx, now).await
}
