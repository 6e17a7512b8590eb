//! Attempts: admission again, then the script, inside its time limit and until told to stop.

use admission::{Rules, Voucher};
use envelope::{Door, Envelope, KeyRing, RawJson, Stamp};
use values::{Span, TaskId, Timestamp};
use work_loop::{CALL_LIMIT, Lease, Moment, Stop};

use crate::history::Mark;
use crate::network::{Answer, Request, Step};
use crate::process::{Known, Who};
use crate::releases::{JOBS, Release, SOURCES, WORKER, releases};
use crate::script::{Action, End, Script};
use crate::store::{Effect, New, Settle};
use crate::world::{Event, World};

/// How long a failed attempt waits if its script does not say.
const BACKOFF: Span = Span::from_seconds(1);
/// How deep tasks may ask for one another.
const DEPTH: u8 = 2;

impl Known {
    /// The number of its attempt once it runs.
    pub(crate) fn attempt(&self) -> u32 {
        self.granted.attempt + u32::from(!self.granted.started)
    }

    /// Whether no attempt is left after this one.
    pub(crate) fn is_last(&self) -> bool {
        self.attempt() >= self.granted.max_attempts
    }

    fn failed(&self, after: Span) -> Settle {
        if self.is_last() { Settle::Discard } else { Settle::Retry(after) }
    }
}

/// Whether a release accepts a task: `None` if so, else whether no release could.
pub(crate) fn refuses(release: &Release, new: &New, now: Timestamp) -> Option<bool> {
    let payload = if new.newer { r#"{"number":1,"quality":2}"# } else { r#"{"number":1}"# };
    let json = |text| RawJson::parse(text, &admission::limits(&release.manifest));
    let envelope = Envelope {
        configuration: json("{}").expect("JSON"),
        job_name: JOBS[new.job].to_owned(),
        source: SOURCES[new.source].to_owned(),
        job_payload: json(payload).expect("JSON"),
    };
    let stamp = Stamp {
        task_id: TaskId::from_bytes([7; 16]),
        issued_at: now,
        not_after: Timestamp::MAX,
        run_at: None,
        priority: new.priority,
        max_attempts: new.max_attempts,
        unique_key: None,
    };
    let ring = KeyRing::default();
    let rules = Rules {
        manifest: &release.manifest,
        contract: &release.contract,
        keys: new.forged.then_some(&ring),
        sealing: None,
        worker_sections: None,
    };
    let voucher = Voucher::Proof { door: Door::Dispatch, now, stamp: &stamp, proof: None };
    admission::admit(&rules, &envelope, &voucher).err().map(|rejection| rejection.ends_at_once())
}

impl World {
    /// Begins an attempt.
    pub(crate) fn run(&mut self, who: Who, lease: Lease) {
        self.check_run(who, lease);
        let process = &mut self.processes[who.process];
        let Some(known) = process.known.get_mut(&lease) else { return };
        known.begun = true;
        let (id, release) = (known.granted.id, process.release);
        let Some(task) = self.store.by_id(id) else { return };
        let wall = self.base + process.wall + self.now.since(Moment::default()).as_micros();
        let refused = refuses(&releases()[release], &task.new, Timestamp::from_micros(wall));
        let job = task.new.job;
        if let Some(ends) = refused {
            let settle = if ends { Settle::Reject } else { Settle::Hold { release } };
            return self.end(who, lease, settle);
        }
        let run = self.runs.entry(id).or_default();
        let script = Script::of(self.seed, id, *run, &mut self.random);
        *run += 1;
        let Some(known) = self.processes[who.process].known.get_mut(&lease) else { return };
        known.script = script;
        known.running = true;
        self.at(Span::ZERO, Event::Handler(who, lease, 0));
        let timeout = releases()[release].rows[job].as_ref().map(|row| row.timeout);
        if let Some(timeout) = timeout.filter(|timeout| *timeout < Span::from_minutes(1)) {
            self.at(timeout, Event::Limit(who, lease));
        }
    }

    fn handler(&mut self, who: Who, lease: Lease) -> Option<&mut Known> {
        let known = self.processes.get_mut(who.process)?.known.get_mut(&lease)?;
        known.running.then_some(known)
    }

    /// The next step of a handler, if it still waits in this phase.
    pub(crate) fn go_on(&mut self, who: Who, lease: Lease, phase: u32) {
        let late = self.plan.plants(crate::Plant::EffectAfterCommit);
        let Some(known) = self.handler(who, lease).filter(|known| known.phase == phase) else {
            return;
        };
        known.phase += 1;
        let phase = known.phase;
        let action = known.script.actions.get(known.at).copied();
        known.at += 1;
        match action {
            Some(Action::Work(span)) => self.at(span, Event::Handler(who, lease, phase)),
            Some(Action::Effect(_)) if late => {
                self.at(Span::ZERO, Event::Handler(who, lease, phase));
            }
            Some(Action::Effect(key)) => {
                self.send(who, Request::Effect(lease, phase, Step::Begin, key), CALL_LIMIT);
            }
            None => self.conclude(who, lease),
        }
    }

    /// Takes the answer to a step of an effect.
    pub(crate) fn effect_answered(
        &mut self,
        who: Who,
        (lease, phase, step, key): (Lease, u32, Step, u64),
        answer: Option<&Answer>,
    ) {
        let Some(known) = self.handler(who, lease).filter(|known| known.phase == phase) else {
            return;
        };
        let Some(&Answer::Effect(found)) = answer else {
            let settle = known.failed(BACKOFF);
            return self.end(who, lease, settle);
        };
        known.phase += 1;
        let phase = known.phase;
        let (mark, next) = match (step, found) {
            (Step::Begin, None) => (Mark::EffectNew, Some(Step::Call)),
            (Step::Begin, Some(Effect::Doing)) => (Mark::EffectAsked, Some(Step::Ask)),
            (Step::Ask, None) => (Mark::EffectAgain, Some(Step::Call)),
            (Step::Ask, Some(_)) => (Mark::EffectKnown, Some(Step::End)),
            (Step::Call, _) => (Mark::EffectNew, Some(Step::End)),
            (Step::Begin, Some(Effect::Done)) | (Step::End, _) => (Mark::EffectKnown, None),
        };
        self.tell(mark, [key.cast_signed(), lease.0], || format!("effect {key} of {lease:?}"));
        match next {
            Some(step) => {
                self.send(who, Request::Effect(lease, phase, step, key), CALL_LIMIT);
            }
            None => self.at(Span::ZERO, Event::Handler(who, lease, phase)),
        }
    }

    fn conclude(&mut self, who: Who, lease: Lease) {
        let Some(known) = self.handler(who, lease) else { return };
        let (id, count, write) = (known.granted.id, known.script.follow_ups, known.script.write);
        let settle = match known.script.end {
            End::Complete => Settle::Completed { write, follow_ups: Vec::new() },
            End::Retry(after) => known.failed(after),
            End::Snooze(after) => Settle::Snooze(after),
            End::Permanent => Settle::Discard,
            End::Panic(after) => {
                let settle = known.failed(after);
                self.tell(Mark::Panicked, [lease.0, 0], || format!("the handler of {lease:?}"));
                settle
            }
        };
        let settle = match settle {
            Settle::Completed { write, follow_ups: _ } => {
                Settle::Completed { write, follow_ups: self.follow_ups(id, count) }
            }
            other => other,
        };
        self.end(who, lease, settle);
    }

    fn follow_ups(&mut self, parent: u64, count: usize) -> Vec<New> {
        let depth = self.store.by_id(parent).map_or(0, |task| task.new.depth);
        if depth >= DEPTH {
            return Vec::new();
        }
        (0..count)
            .map(|_| {
                let job = self.random.below(2);
                let mut new = self.new_task(job, WORKER);
                new.depth = depth + 1;
                new
            })
            .collect()
    }

    /// Ends an attempt, as its handler says or as it was told.
    fn end(&mut self, who: Who, lease: Lease, settle: Settle) {
        let Some(known) = self.processes[who.process].known.get_mut(&lease) else { return };
        known.running = false;
        let stays =
            matches!(settle, Settle::Completed { .. } | Settle::Hold { .. } | Settle::Reject);
        known.ended = Some(match known.stopped {
            Some(Stop::Draining) if !stays => Settle::GiveBack,
            Some(Stop::Cancelled) if !stays => Settle::Cancel,
            _ => settle,
        });
        self.at(Span::ZERO, Event::Ended(who, lease));
    }

    /// A handler that was told to stop did not, and is dropped.
    pub(crate) fn drop_handler(&mut self, who: Who, lease: Lease) {
        if self.handler(who, lease).is_some() {
            self.end(who, lease, Settle::Cancel);
        }
    }

    pub(crate) fn limit_attempt(&mut self, who: Who, lease: Lease) {
        let Some(known) = self.handler(who, lease) else { return };
        let settle = known.failed(BACKOFF);
        self.tell(Mark::TimedOut, [lease.0, lease.1], || format!("the attempt of {lease:?}"));
        self.end(who, lease, settle);
    }

    /// What a handler with the planted mistake does: it acts on a commit instead of before it.
    pub(crate) fn after_commit(&mut self, who: Who, lease: Lease, settle: &Settle) {
        if !self.plan.plants(crate::Plant::EffectAfterCommit) {
            return;
        }
        let Some(known) = self.processes[who.process].known.get(&lease) else { return };
        if matches!(settle, Settle::Completed { .. }) {
            for key in crate::script::effects(self.seed, known.granted.id) {
                self.send(who, Request::Effect(lease, 0, Step::Call, key), CALL_LIMIT);
            }
        }
    }
}
