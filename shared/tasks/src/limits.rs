//! Limits as every engine keeps them: what they leave room for while one lease is put together.
//!
//! An engine tells what runs and what the rates have counted, asks about each task in order, and
//! stores what the rates have counted then. Where no limit is set nothing is asked and nothing kept.

use std::collections::BTreeMap;

use values::{Rate, Timestamp};

use crate::LeaseRequest;
use crate::window::Window;

/// What a lane belongs to, as positions in the request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    job: usize,
    source: Option<usize>,
}

impl LeaseRequest {
    /// The place of a lane; none if its job is not asked for.
    pub(crate) fn place(&self, job: &str, source: &str) -> Option<Place> {
        Some(Place {
            job: self.jobs.iter().position(|limits| limits.job.as_str() == job)?,
            source: self.sources.iter().position(|limits| limits.source.as_str() == source),
        })
    }
}

/// Who has a limit: the key in `mw_rate` is "job:domain/name" or "source:name".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Owner {
    Job(usize),
    Source(usize),
}

/// What is left of the limits of one owner.
#[derive(Debug)]
struct Left {
    /// How many more may run.
    running: Option<u32>,
    /// How many more may start.
    starts: Option<Starts>,
}

/// What is left of a rate.
#[derive(Debug)]
struct Starts {
    rate: Rate,
    left: u32,
    /// What was counted before this lease.
    window: Window,
    /// Whether the window has to be stored even if nothing starts.
    changed: bool,
}

/// What all limits leave of one lease request.
#[derive(Debug)]
pub(crate) struct Room<'r> {
    request: &'r LeaseRequest,
    now: Timestamp,
    left: BTreeMap<Owner, Left>,
}

impl<'r> Room<'r> {
    /// Begins with nothing running and nothing counted.
    pub(crate) fn new(request: &'r LeaseRequest, now: Timestamp, places: &[Place]) -> Self {
        let mut room = Self { request, now, left: BTreeMap::new() };
        for owner in places.iter().copied().flat_map(owners) {
            let (running, rate) = match owner {
                Owner::Job(at) => (request.jobs[at].max_concurrency, request.jobs[at].rate),
                Owner::Source(at) => {
                    (request.sources[at].max_concurrency, request.sources[at].rate)
                }
            };
            if running.is_some() || rate.is_some() {
                let window = Window::default();
                let starts =
                    rate.map(|rate| Starts { rate, left: rate.tasks(), window, changed: false });
                room.left.insert(owner, Left { running, starts });
            }
        }
        room
    }

    /// Whether [`Room::running`] needs to be told anything.
    pub(crate) fn counts_running(&self) -> bool {
        self.left.values().any(|left| left.running.is_some())
    }

    /// The keys of everyone who has a limit, as in `mw_rate` and in their order.
    pub(crate) fn keys(&self) -> Vec<String> {
        let mut keys: Vec<String> = self.left.keys().map(|owner| self.key(*owner)).collect();
        keys.sort_unstable();
        keys
    }

    /// Leaves nothing to the owner of a key, whose limits another lease is counting just now.
    pub(crate) fn block(&mut self, key: &str) {
        let owner = self.left.keys().copied().find(|owner| self.key(*owner) == key);
        if let Some(left) = owner.and_then(|owner| self.left.get_mut(&owner)) {
            *left = Left { running: Some(0), starts: None };
        }
    }

    /// The jobs and the sources whose leases [`Room::running`] needs to be told of.
    pub(crate) fn counted_for(&self) -> (Vec<String>, Vec<String>) {
        let (mut jobs, mut sources) = (Vec::new(), Vec::new());
        for (owner, _) in self.left.iter().filter(|(_, left)| left.running.is_some()) {
            match *owner {
                Owner::Job(at) => jobs.push(self.request.jobs[at].job.to_string()),
                Owner::Source(at) => sources.push(self.request.sources[at].source.to_string()),
            }
        }
        (jobs, sources)
    }

    /// Whether any limit applies to a lane.
    pub(crate) fn limits(&self, place: Place) -> bool {
        owners(place).any(|owner| self.left.contains_key(&owner))
    }

    /// Tells of leases of a job from a source that any worker holds.
    pub(crate) fn running(&mut self, job: &str, source: &str, leases: i64) {
        let leases = u32::try_from(leases).unwrap_or(u32::MAX);
        let jobs = self.request.jobs.iter().position(|limits| limits.job.as_str() == job);
        let sources =
            self.request.sources.iter().position(|limits| limits.source.as_str() == source);
        for owner in jobs.map(Owner::Job).into_iter().chain(sources.map(Owner::Source)) {
            if let Some(running) = self.left.get_mut(&owner).and_then(|l| l.running.as_mut()) {
                *running = running.saturating_sub(leases);
            }
        }
    }

    /// The keys of the rates in `mw_rate`, sorted so that engines with row locks take them in order.
    pub(crate) fn rate_keys(&self) -> Vec<String> {
        let rated = self.left.iter().filter(|(_, left)| left.starts.is_some());
        let mut keys: Vec<String> = rated.map(|(owner, _)| self.key(*owner)).collect();
        keys.sort_unstable();
        keys
    }

    /// Tells what the rate of a key has counted, as [`Room::counted`] wrote it.
    pub(crate) fn started(&mut self, key: &str, text: &str) {
        let owner = self.left.keys().copied().find(|owner| self.key(*owner) == key);
        let left = owner.and_then(|owner| self.left.get_mut(&owner));
        if let Some(starts) = left.and_then(|left| left.starts.as_mut()) {
            starts.window = Window::read(text);
            // Unless it is stored, a window would block until the clock is where it once was.
            starts.changed = starts.window.follow(self.now);
            starts.left = starts.window.left(starts.rate, self.now);
        }
    }

    /// The most tasks of a lane that could be taken now.
    pub(crate) fn most(&self, place: Place) -> usize {
        let most = owners(place).filter_map(|owner| self.left.get(&owner)).map(|left| {
            let count = |left: u32| usize::try_from(left).unwrap_or(usize::MAX);
            let starts = left.starts.as_ref().map(|s| count(s.left).min(self.request.start));
            starts.unwrap_or(usize::MAX).min(left.running.map_or(usize::MAX, count))
        });
        most.min().unwrap_or(usize::MAX)
    }

    /// Takes room for a task of a lane if every limit leaves some.
    ///
    /// A task with a rate is only taken to be started at once, never to be held ready: a start is
    /// counted here, and it stays counted if the task is given back or its worker dies.
    pub(crate) fn take(&mut self, place: Place, start: bool) -> bool {
        let fits = owners(place).filter_map(|owner| self.left.get(&owner)).all(|left| {
            left.running != Some(0)
                && left.starts.as_ref().is_none_or(|starts| start && starts.left > 0)
        });
        if fits {
            for owner in owners(place) {
                let Some(left) = self.left.get_mut(&owner) else { continue };
                left.running = left.running.map(|running| running - 1);
                if let Some(starts) = &mut left.starts {
                    starts.left -= 1;
                }
            }
        }
        fits
    }

    /// What the rates have counted with this lease: keys and texts to be stored.
    pub(crate) fn counted(&self) -> Vec<(String, String)> {
        let mut rows = Vec::new();
        for (owner, left) in &self.left {
            let Some(Starts { rate, left, window, changed }) = &left.starts else { continue };
            let taken = window.left(*rate, self.now) - left;
            if taken > 0 || *changed {
                rows.push((self.key(*owner), window.with(*rate, self.now, taken).to_text()));
            }
        }
        rows
    }

    /// When a rate that is used up next lets a task start.
    pub(crate) fn next_start(&self) -> Option<Timestamp> {
        let rates = self.left.values().filter_map(|left| left.starts.as_ref());
        rates.filter_map(|starts| starts.window.next(starts.rate, self.now)).min()
    }

    fn key(&self, owner: Owner) -> String {
        match owner {
            Owner::Job(at) => format!("job:{}", self.request.jobs[at].job),
            Owner::Source(at) => format!("source:{}", self.request.sources[at].source),
        }
    }
}

fn owners(place: Place) -> impl Iterator<Item = Owner> {
    let Place { job, source } = place;
    std::iter::once(Owner::Job(job)).chain(source.map(Owner::Source))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use values::Span;

    use super::*;
    use crate::{JobLimits, SourceLimits};

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn request() -> LeaseRequest {
        let job = |job: &str| JobLimits::none(job.parse().unwrap());
        let rated = JobLimits { rate: Some("5/1m".parse().unwrap()), ..job("test/rated") };
        let limited = JobLimits { max_concurrency: Some(4), ..job("test/limited") };
        let source = "api".parse().unwrap();
        let api = SourceLimits { source, max_concurrency: None, rate: "7/1m".parse().ok() };
        LeaseRequest {
            worker: 1,
            host: "here".to_owned(),
            jobs: Arc::from([job("test/free"), rated, limited]),
            sources: Arc::from([api]),
            start: 6,
            hold: 10,
            above: None,
            wait: Span::ZERO,
        }
    }

    #[test]
    fn where_no_limit_applies_nothing_is_asked_and_nothing_kept() {
        let request = request();
        let place = request.place("test/free", "operator").unwrap();
        let mut room = Room::new(&request, NOW, &[place]);
        assert!(!room.counts_running() && room.rate_keys().is_empty());
        assert_eq!(room.most(place), usize::MAX);
        assert!((0..1_000).all(|_| room.take(place, false)));
        assert!(room.counted().is_empty());
        assert_eq!(room.next_start(), None);
        assert!(request.place("test/strange", "operator").is_none());
    }

    #[test]
    fn only_the_limits_of_waiting_lanes_are_asked_for() {
        let request = request();
        let lanes = |lanes: &[(&str, &str)]| {
            lanes.iter().map(|(j, s)| request.place(j, s).unwrap()).collect::<Vec<_>>()
        };
        let room = Room::new(&request, NOW, &lanes(&[("test/limited", "operator")]));
        assert!(room.counts_running() && room.rate_keys().is_empty());
        let rated = [("test/rated", "api"), ("test/free", "api"), ("test/rated", "operator")];
        let room = Room::new(&request, NOW, &lanes(&rated));
        assert!(!room.counts_running());
        assert_eq!(room.rate_keys(), ["job:test/rated", "source:api"]);
    }

    #[test]
    fn every_limit_of_a_task_has_to_leave_room() {
        let request = request();
        let place = |job| request.place(job, "api").unwrap();
        let (free, rated, limited) =
            (place("test/free"), place("test/rated"), place("test/limited"));
        let mut room = Room::new(&request, NOW, &[free, rated, limited]);
        room.running("test/limited", "operator", 3);
        let used = Window::default().with("7/1m".parse().unwrap(), NOW, 2);
        room.started("source:api", &used.to_text());
        room.started("source:unknown", &used.to_text());
        assert_eq!((room.most(free), room.most(rated), room.most(limited)), (5, 5, 1));
        assert!(!room.take(free, false), "the source has a rate, so nothing is held ready");
        assert!(room.take(limited, true) && !room.take(limited, true));
        assert!((0..3).all(|_| room.take(rated, true)));
        assert!(room.take(free, true) && !room.take(free, true) && !room.take(rated, true));
        let counted: Vec<_> = room.counted();
        let micros = NOW.as_micros();
        let row = |key: &str, starts| (key.to_owned(), format!("[[{micros},{starts}]]"));
        assert_eq!(counted, [row("job:test/rated", 3), row("source:api", 7)]);
    }
}
