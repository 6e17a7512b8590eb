//! Operations, and how they are played on both sides.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use tasks::{
    JobLimits, LeaseRequest, NewTask, Settle, Settled, SourceLimits, StoreError, TaskFilter,
    TaskState,
};
use values::{Rate, Source, Span, Timestamp};

use super::plain::{At, End, Kind, Limits, Plain, best};
use crate::world::{World, completed};

/// Operations of a history at the most.
const LONGEST: usize = 40;
/// Histories after each step of which the counts are compared with the rows; of others at the end.
const COUNTED: u32 = 60;

/// The window of all rates; time passes in whole seconds, so that the store sums up nothing.
const WINDOW: Span = Span::from_seconds(2);

#[derive(Debug, Clone)]
pub(super) enum Step {
    Enqueue {
        job: usize,
        foreign: bool,
        priority: u8,
        delay: u32,
        key: Option<u8>,
        max_attempts: u32,
    },
    Replay(Index),
    Lease {
        worker: usize,
        start: usize,
        hold: usize,
        limits: Limits,
    },
    Start(Index),
    Settle(Index, End),
    Cancel(Index),
    Retry(Index),
    Discard(Index),
    Pause(usize),
    Resume(usize),
    Review,
    Advance(u32),
    Die(usize),
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![
        3 => Just(End::Complete),
        2 => (0_u32..3).prop_map(End::Retry),
        1 => (0_u32..3).prop_map(End::Snooze),
        1 => Just(End::Discard),
        1 => Just(End::Cancel),
        1 => Just(End::Hold),
        1 => Just(End::GiveBack),
    ]
}

fn enqueue() -> impl Strategy<Value = Step> {
    let key = proptest::option::weighted(0.3, 0_u8..2);
    (0_usize..2, any::<bool>(), 0_u8..3, 0_u32..3, key, 1_u32..3).prop_map(
        |(job, foreign, priority, delay, key, max_attempts)| Step::Enqueue {
            job,
            foreign,
            priority,
            delay,
            key,
            max_attempts,
        },
    )
}

pub(super) fn history() -> impl Strategy<Value = Vec<Step>> {
    let any = any::<Index>;
    let limit = || proptest::option::weighted(0.3, 0_u32..3);
    let rate = proptest::option::weighted(0.3, 1_u32..4);
    let limits =
        (limit(), limit(), rate).prop_map(|(job, source, rate)| Limits { job, source, rate });
    let lease = (0_usize..2, 0_usize..3, 0_usize..3, limits)
        .prop_map(|(worker, start, hold, limits)| Step::Lease { worker, start, hold, limits });
    let step = prop_oneof![
        8 => enqueue(),
        1 => any().prop_map(Step::Replay),
        6 => lease,
        2 => any().prop_map(Step::Start),
        6 => (any(), end()).prop_map(|(at, end)| Step::Settle(at, end)),
        1 => any().prop_map(Step::Cancel),
        1 => any().prop_map(Step::Retry),
        1 => any().prop_map(Step::Discard),
        1 => (0_usize..2).prop_map(Step::Pause),
        1 => (0_usize..2).prop_map(Step::Resume),
        1 => Just(Step::Review),
        3 => (1_u32..3).prop_map(Step::Advance),
        1 => (0_usize..2).prop_map(Step::Die),
    ];
    vec(step, 1..LONGEST)
}

/// Both sides of a history.
struct Play<'w> {
    world: &'w World,
    case: u32,
    jobs: [String; 2],
    paused: [bool; 2],
    workers: [i64; 2],
    tasks: Vec<Plain>,
    /// When tasks of the second job were started under a rate.
    starts: Vec<Timestamp>,
}

pub(super) async fn play(world: &World, case: u32, history: Vec<Step>) {
    // Jobs of its own keep a case apart from the others on the same file.
    let jobs = ["one", "two"].map(|name| format!("case{case}/{name}"));
    let workers = [world.worker().await, world.worker().await];
    let (tasks, starts) = (Vec::new(), Vec::new());
    let mut play = Play { world, case, jobs, paused: [false; 2], workers, tasks, starts };
    for step in history {
        play.step(step).await;
        if case <= COUNTED {
            play.count().await;
        }
    }
    play.compare().await;
    play.count().await;
}

impl Play<'_> {
    fn job_of(&self, task: &Plain) -> usize {
        usize::from(task.task.job.as_str() == self.jobs[1])
    }

    /// A source of this case alone.
    fn source(&self) -> Source {
        format!("case{}", self.case).parse().unwrap()
    }

    fn pick(&self, at: Index) -> Option<usize> {
        (!self.tasks.is_empty()).then(|| at.index(self.tasks.len()))
    }

    async fn step(&mut self, step: Step) {
        let store = &self.world.store;
        match step {
            Step::Enqueue { job, foreign, priority, delay, key, max_attempts } => {
                let mut task = self.world.task(&self.jobs[job]);
                if foreign {
                    task.source = self.source();
                }
                task.stamp.priority = priority;
                task.stamp.max_attempts = max_attempts;
                task.stamp.unique_key = key.map(|key| format!("{}:{key}", self.case));
                let run_at = self.world.now().after(Span::from_seconds(delay));
                task.stamp.run_at = (delay > 0).then_some(run_at);
                self.enqueue(task).await;
            }
            Step::Lease { worker, start, hold, limits } => {
                self.lease(self.workers[worker], start, hold, limits).await;
            }
            Step::Pause(job) => {
                store.pause(Some(self.jobs[job].clone())).await.unwrap();
                self.paused[job] = true;
            }
            Step::Resume(job) => {
                let was = store.resume(Some(self.jobs[job].clone())).await.unwrap();
                assert_eq!(was, self.paused[job]);
                self.paused[job] = false;
            }
            Step::Review => {
                let since = self.world.now().before(Span::from_days(1));
                store.review_held("green".to_owned(), since).await.unwrap();
                for task in self.tasks.iter_mut().filter(|task| task.at == At::Held) {
                    task.at = At::Waiting;
                }
            }
            Step::Advance(seconds) => self.world.clock.advance(Span::from_seconds(seconds)),
            Step::Die(worker) => {
                let dead = self.workers[worker];
                assert_eq!(store.rescue(vec![(dead, 0)]).await.unwrap().workers, 1);
                self.tasks.iter_mut().for_each(|task| task.rescue(dead));
                self.workers[worker] = self.world.worker().await;
            }
            Step::Replay(at) => {
                if let Some(at) = self.pick(at) {
                    let again = self.world.put(self.tasks[at].task.clone()).await;
                    assert!(again.existing, "{again:?}");
                }
            }
            Step::Start(at) => self.start(at).await,
            Step::Settle(at, end) => self.settle(at, end).await,
            Step::Cancel(at) => self.cancel(at).await,
            Step::Retry(at) => self.retry(at).await,
            Step::Discard(at) => self.discard(at).await,
        }
    }

    /// The live task that holds the key of `task`.
    fn holder(&self, task: &NewTask) -> Option<&Plain> {
        let key = task.stamp.unique_key.as_ref()?;
        let same = |other: &&Plain| other.task.stamp.unique_key.as_ref() == Some(key);
        self.tasks.iter().filter(|other| other.is_live()).find(same)
    }

    async fn enqueue(&mut self, task: NewTask) {
        let expected = self.holder(&task).map(Plain::id);
        let answer = self.world.put(task.clone()).await;
        assert_eq!(answer.existing, expected.is_some());
        assert_eq!(answer.task_id, expected.unwrap_or(task.stamp.task_id));
        if expected.is_none() {
            self.tasks.push(Plain::new(task, self.world.now()));
        }
    }

    async fn lease(&mut self, worker: i64, start: usize, hold: usize, limits: Limits) {
        let [mut one, mut two] =
            self.jobs.each_ref().map(|job| JobLimits::none(job.parse().unwrap()));
        one.max_concurrency = limits.job;
        two.rate = limits.rate.map(|tasks| Rate::new(tasks, WINDOW).unwrap());
        let jobs = Arc::from([one, two]);
        let (source, max_concurrency) = (self.source(), limits.source);
        let sources = Arc::from([SourceLimits { source, max_concurrency, rate: None }]);
        let request = LeaseRequest { jobs, sources, start, hold, ..self.world.request(worker) };
        let leased = self.world.store.lease(request).await.unwrap();
        let now = self.world.now();
        self.starts.retain(|at| *at > now.before(WINDOW));
        let foreign = self.source();
        let kind_of = |task: &Plain| {
            let second = self.job_of(task) == 1;
            Kind { second, foreign: task.task.source == foreign }
        };
        let mut room = limits.room(&self.tasks, self.starts.len(), kind_of);
        let expected = best(&self.tasks, now, |task, taken| {
            let asked = !self.paused[self.job_of(task)] && taken < start + hold;
            asked && room.take(kind_of(task), taken < start)
        });
        if limits.rate.is_some() {
            let of_second = |at: &&usize| self.job_of(&self.tasks[**at]) == 1;
            let started = expected.iter().filter(of_second).count();
            self.starts.extend(std::iter::repeat_n(now, started));
        }
        let ids: Vec<_> = expected.iter().map(|at| self.tasks[*at].id()).collect();
        assert_eq!(crate::world::ids(&leased), ids);
        for (place, (at, lease)) in expected.into_iter().zip(leased).enumerate() {
            let started = place < start;
            let task = &mut self.tasks[at];
            task.attempt += u32::from(started);
            task.at = At::Running { worker, started, cancel: false };
            task.lease = Some((lease.row, lease.token));
            assert_eq!((lease.started, lease.attempt), (started, task.attempt));
            assert_eq!((lease.max_attempts, lease.run_at), (task.max_attempts, task.run_at));
        }
    }

    async fn start(&mut self, at: Index) {
        let Some(at) = self.pick(at) else { return };
        let task = &mut self.tasks[at];
        let Some(lease) = task.lease else { return };
        let worker = if let At::Running { worker, .. } = task.at { worker } else { 0 };
        let started = self.world.store.start(worker, vec![lease]).await.unwrap();
        if let At::Running { started: false, cancel: false, .. } = task.at {
            assert_eq!(started, [lease.0]);
            task.attempt += 1;
            task.at = At::Running { worker, started: true, cancel: false };
        } else {
            assert!(started.is_empty());
        }
    }

    async fn settle(&mut self, at: Index, end: End) {
        let Some(at) = self.pick(at) else { return };
        let now = self.world.now();
        let Some((row, token)) = self.tasks[at].lease else { return };
        let settle = match end {
            End::Complete => completed(),
            End::Retry(after) => Settle::Retry { after: Span::from_seconds(after) },
            End::Snooze(after) => Settle::Snooze { after: Span::from_seconds(after) },
            End::Discard => Settle::Discard,
            End::Cancel => Settle::Cancel,
            End::Hold => Settle::Hold { code: "code".to_owned(), release: "blue".to_owned() },
            End::GiveBack => Settle::GiveBack,
        };
        let report = tasks::AttemptReport::default();
        let settlement = tasks::Settlement { row, token, settle, report };
        let settled = self.world.store.settle(vec![settlement]).await.unwrap().remove(0);
        let held = self.tasks[at].settle(end, now);
        assert_eq!(settled != Settled::LeaseLost, held, "{settled:?}");
    }

    async fn cancel(&mut self, at: Index) {
        let Some(at) = self.pick(at) else { return };
        let task = &mut self.tasks[at];
        let answer = self.world.store.cancel(task.id()).await;
        match &mut task.at {
            At::Ended(_) => assert!(matches!(answer, Err(StoreError::WrongState { .. }))),
            At::Running { cancel, .. } => {
                assert_eq!(answer.unwrap(), TaskState::Running);
                *cancel = true;
            }
            At::Waiting | At::Held => {
                answer.unwrap();
                task.at = At::Ended(TaskState::Cancelled);
            }
        }
    }

    async fn retry(&mut self, at: Index) {
        let Some(at) = self.pick(at) else { return };
        let now = self.world.now();
        let blocked = self.holder(&self.tasks[at].task).is_some();
        let task = &mut self.tasks[at];
        let answer = self.world.store.retry(task.id()).await;
        match task.at {
            At::Running { .. } => {
                assert!(matches!(answer, Err(StoreError::WrongState { .. })));
                return;
            }
            At::Ended(_) if blocked => {
                assert!(matches!(answer, Err(StoreError::WrongState { .. })));
                return;
            }
            At::Ended(_) => task.run_at = now,
            At::Waiting | At::Held => task.run_at = task.run_at.min(now),
        }
        answer.unwrap();
        task.at = At::Waiting;
        task.max_attempts = task.max_attempts.max(task.attempt + 1);
    }

    async fn discard(&mut self, at: Index) {
        let Some(at) = self.pick(at) else { return };
        let task = &mut self.tasks[at];
        let answer = self.world.store.discard(task.id(), "by hand".to_owned()).await;
        if matches!(task.at, At::Waiting | At::Held) {
            answer.unwrap();
            task.at = At::Ended(TaskState::Discarded);
        } else {
            assert!(matches!(answer, Err(StoreError::WrongState { .. })));
        }
    }

    /// Nothing has vanished.
    async fn count(&self) {
        let found = self.world.store.conservation().await.unwrap();
        assert!(found.holds(), "{:?}", found.broken().collect::<Vec<_>>());
    }

    /// Everything as it stands in the end.
    async fn compare(&self) {
        let now = self.world.now();
        let mut rows = Vec::new();
        for job in &self.jobs {
            let filter =
                TaskFilter { job: Some(job.clone()), limit: 1_000, ..TaskFilter::default() };
            rows.extend(self.world.store.search(filter).await.unwrap());
        }
        rows.sort_by_key(|summary| summary.row);
        let shown: Vec<_> = rows
            .iter()
            .map(|row| {
                let due = row.state == TaskState::Scheduled && row.run_at <= now;
                let state = if due { TaskState::Available } else { row.state };
                (row.task_id, state, row.attempt, row.max_attempts, row.held.is_some())
            })
            .collect();
        let expected: Vec<_> = self
            .tasks
            .iter()
            .map(|task| {
                let held = task.at == At::Held;
                (task.id(), task.state(now), task.attempt, task.max_attempts, held)
            })
            .collect();
        assert_eq!(shown, expected);
    }
}
