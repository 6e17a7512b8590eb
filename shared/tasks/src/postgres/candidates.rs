//! Finding the best waiting tasks of several lanes, and locking them.

use std::collections::HashMap;

use database::{DbError, Query, Tx};
use values::{Span, Timestamp};

use super::lanes::LaneNames;
use crate::limits::Place;

/// How often lanes that hold more than their share of the best tasks are asked for more.
const ROUNDS: u32 = 5;
/// The fewest tasks that a lane is asked for, and how many times more in each further round.
const SMALLEST_SHARE: usize = 4;
const GROWTH: usize = 8;
/// Tasks may be committed so much later than others that were enqueued after them.
const GRACE: Span = Span::from_seconds(3);
/// As if nothing had been looked at.
const BEGINNING: i64 = i64::MIN;

/// From where each lane and priority has to be looked at, as `run_at`.
///
/// Entries of an index stay behind as long as any snapshot might see them, a dump that lasts for
/// minutes for instance. Who walks over all of them again at each look is soon busy with nothing
/// else; so most looks begin where the one before ended. What comes back to an earlier place is
/// found by the looks from the beginning that are taken now and then.
#[derive(Debug, Default)]
pub(super) struct Floors {
    from: HashMap<(i64, i64), i64>,
}

impl Floors {
    pub(super) fn forget(&mut self) {
        self.from.clear();
    }

    fn of(&self, lane: i64, priority: i64) -> i64 {
        self.from.get(&(lane, priority)).copied().unwrap_or(BEGINNING)
    }

    /// Goes on from the ends given, but not beyond tasks that were found and not taken.
    pub(super) fn raise(&mut self, ends: Vec<End>, left: impl Iterator<Item = End>) {
        for ((lane, priority), end) in ends {
            self.from.insert((lane, priority), end);
        }
        for (owner, run_at) in left {
            self.from.entry(owner).and_modify(|from| *from = run_at.min(*from));
        }
    }
}

/// A lane and priority, and a `run_at` of it.
pub(super) type End = ((i64, i64), i64);

/// A lane that may be served, the most tasks of it, and whose it is.
pub(super) struct Served<'l> {
    pub(super) lane: &'l LaneNames,
    pub(super) place: Place,
    pub(super) most: usize,
}

/// A waiting task, locked until the end of the transaction.
pub(super) struct Candidate {
    pub(super) seq: i64,
    pub(super) priority: i64,
    pub(super) run_at: i64,
    pub(super) attempt: i64,
    pub(super) max_attempts: i64,
    /// Position among the lanes served.
    pub(super) served: usize,
}

/// Lower is better: priority, age, row.
type Rank = (i64, i64, i64);

impl Candidate {
    fn rank(&self) -> Rank {
        (-self.priority, self.run_at, self.seq)
    }
}

/// What was found and locked.
#[derive(Default)]
pub(super) struct Found {
    /// Best first; maybe more than were wanted.
    pub(super) candidates: Vec<Candidate>,
    /// How far was looked.
    pub(super) ends: Vec<End>,
    /// What was seen and not locked.
    pub(super) left: Vec<End>,
    /// Whether other processes hold everything that is there.
    pub(super) busy: bool,
}

/// One priority of one lane.
struct Probe {
    served: usize,
    priority: i64,
    from: (i64, i64),
    most: usize,
    /// The rank of the last one found.
    last: Option<Rank>,
    /// Whether there may be more.
    more: bool,
}

/// Finds and locks the best tasks of the lanes.
///
/// One lane is locked at once. Of several, the best are found first, and then as many are locked in
/// each lane: those, or the next ones if another process was quicker.
pub(super) async fn candidates(
    tx: &mut Tx<'_>,
    now: Timestamp,
    floors: &Floors,
    served: &[Served<'_>],
    (above, wanted): (i64, usize),
) -> Result<Found, DbError> {
    if served.is_empty() {
        return Ok(Found::default());
    }
    let mut probes: Vec<Probe> = Vec::with_capacity(served.len() * 3);
    for (at, Served { lane, place: _, most }) in served.iter().enumerate() {
        for priority in (above + 1..=2).rev() {
            let from = (floors.of(lane.number, priority), BEGINNING);
            let most = (*most).min(wanted);
            probes.push(Probe { served: at, priority, from, most, last: None, more: true });
        }
    }
    let mut found = Vec::new();
    if served.len() == 1 {
        ask(tx, now, served, probes.iter_mut().collect(), (LOCKED, wanted), &mut found).await?;
        found.sort_unstable_by_key(Candidate::rank);
        let ends = ends(now, served, &probes);
        return Ok(Found { candidates: found, ends, left: Vec::new(), busy: false });
    }
    best(tx, now, served, &mut probes, wanted, &mut found).await?;
    let ends = ends(now, served, &probes);
    let (mut chosen, mut left) = (HashMap::<(usize, i64), usize>::new(), Vec::new());
    for (at, candidate) in found.drain(..).enumerate() {
        if at < wanted {
            *chosen.entry((candidate.served, candidate.priority)).or_default() += 1;
        } else {
            let lane = served[candidate.served].lane.number;
            left.push(((lane, candidate.priority), candidate.run_at));
        }
    }
    for probe in &mut probes {
        probe.most = chosen.get(&(probe.served, probe.priority)).copied().unwrap_or(0);
        let lane = served[probe.served].lane.number;
        probe.from = (floors.of(lane, probe.priority), BEGINNING);
    }
    let chosen: Vec<&mut Probe> = probes.iter_mut().filter(|probe| probe.most > 0).collect();
    let mut busy = false;
    if !chosen.is_empty() {
        ask(tx, now, served, chosen, (LOCKED, wanted), &mut found).await?;
        found.sort_unstable_by_key(Candidate::rank);
        busy = found.is_empty();
    }
    Ok(Found { candidates: found, ends, left, busy })
}

/// Finds the best tasks without locking them, best first.
async fn best(
    tx: &mut Tx<'_>,
    now: Timestamp,
    served: &[Served<'_>],
    probes: &mut [Probe],
    wanted: usize,
    found: &mut Vec<Candidate>,
) -> Result<(), DbError> {
    let mut share = (2 * wanted / probes.len().max(1)).max(SMALLEST_SHARE);
    let mut cut = None;
    for _ in 0..ROUNDS {
        let may_hold_more = |probe: &&mut Probe| {
            let last: Option<Rank> = probe.last;
            let before = |cut: Rank| last.is_none_or(|last| last < cut);
            probe.more && probe.most > 0 && cut.is_none_or(before)
        };
        let open: Vec<&mut Probe> = probes.iter_mut().filter(may_hold_more).collect();
        if open.is_empty() {
            break;
        }
        ask(tx, now, served, open, (UNLOCKED, share), found).await?;
        found.sort_unstable_by_key(Candidate::rank);
        cut = found.get(wanted.saturating_sub(1)).map(Candidate::rank);
        share *= GROWTH;
    }
    Ok(())
}

/// How far each probe has looked.
fn ends(now: Timestamp, served: &[Served<'_>], probes: &[Probe]) -> Vec<End> {
    let settled = now.before(GRACE).as_micros();
    let end = |probe: &Probe| {
        let last = probe.last.filter(|_| probe.more).map_or(settled, |(_, run_at, _)| run_at);
        ((served[probe.served].lane.number, probe.priority), last.min(settled))
    };
    probes.iter().map(end).collect()
}

macro_rules! ask {
    ($lock:literal) => {
        concat!(
            "SELECT i.at, t.seq, t.run_at, t.attempt, t.max_attempts
               FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[],
                 $6::bigint[]) WITH ORDINALITY AS i (lane, job, priority, run_at, seq, wanted, at)
               CROSS JOIN LATERAL (
                 SELECT m.seq, m.run_at, m.attempt, m.max_attempts FROM mw_task m
                  WHERE m.state = 1 AND m.lane = i.lane AND m.priority = i.priority
                    AND (m.run_at, m.seq) > (i.run_at, i.seq) AND m.run_at <= $7
                  ORDER BY m.run_at, m.seq LIMIT i.wanted ",
            $lock,
            ") t
              WHERE i.job <> ALL (ARRAY(SELECT p.job FROM mw_pause p))
                AND '*' <> ALL (ARRAY(SELECT p.job FROM mw_pause p))"
        )
    };
}
const UNLOCKED: &str = ask!("");
const LOCKED: &str = ask!("FOR UPDATE SKIP LOCKED");

/// Asks some probes for up to `share` tasks each, and notes where each goes on.
async fn ask(
    tx: &mut Tx<'_>,
    now: Timestamp,
    served: &[Served<'_>],
    mut open: Vec<&mut Probe>,
    (sql, share): (&'static str, usize),
    found: &mut Vec<Candidate>,
) -> Result<(), DbError> {
    let column = |read: &dyn Fn(&Probe) -> i64| -> Vec<i64> {
        open.iter().map(|probe| read(probe)).collect()
    };
    let most = |probe: &Probe| i64::try_from(share.min(probe.most)).unwrap_or(i64::MAX);
    let jobs: Vec<String> =
        open.iter().map(|probe| served[probe.served].lane.job.clone()).collect();
    let query = Query::new(sql)
        .bind(column(&|probe| served[probe.served].lane.number))
        .bind(jobs)
        .bind(column(&|probe| probe.priority))
        .bind(column(&|probe| probe.from.0))
        .bind(column(&|probe| probe.from.1))
        .bind(column(&most))
        .bind(now);
    let mut counts = vec![0_usize; open.len()];
    for row in tx.all(query).await? {
        let at = usize::try_from(row.get::<i64>(0)? - 1).unwrap_or_default();
        let probe = &mut *open[at];
        let candidate = Candidate {
            seq: row.get(1)?,
            priority: probe.priority,
            run_at: row.get(2)?,
            attempt: row.get(3)?,
            max_attempts: row.get(4)?,
            served: probe.served,
        };
        counts[at] += 1;
        probe.from = (candidate.run_at, candidate.seq);
        probe.last = Some(candidate.rank());
        found.push(candidate);
    }
    for (probe, count) in open.iter_mut().zip(counts) {
        probe.more = count == share.min(probe.most);
        probe.most -= count;
    }
    Ok(())
}

/// When the next task of these lanes that waits for its time may run.
pub(super) async fn next_due(
    tx: &mut Tx<'_>,
    now: Timestamp,
    lanes: Vec<i64>,
) -> Result<Option<Timestamp>, DbError> {
    let query = Query::new(
        "SELECT min(t.run_at) FROM unnest($1::bigint[]) AS i (lane)
           CROSS JOIN (VALUES (0), (1), (2)) AS p (priority)
           CROSS JOIN LATERAL (
             SELECT m.run_at FROM mw_task m
              WHERE m.state = 1 AND m.lane = i.lane AND m.priority = p.priority AND m.run_at > $2
              ORDER BY m.run_at LIMIT 1) t",
    );
    let row = tx.first(query.bind(lanes).bind(now)).await?;
    row.map_or(Ok(None), |row| row.get(0))
}
