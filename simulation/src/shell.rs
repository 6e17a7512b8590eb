//! The shell of a simulated worker: does what the work loop commands and tells it what happened.

use values::Span;
use work_loop::{
    CALL_LIMIT, Command, Event as LoopEvent, LOST_GRACE, Lease, Moment, Pulse, Stop, Taken,
};

use crate::history::Mark;
use crate::network::{Answer, Request};
use crate::process::{Known, Who};
use crate::store::{Asked, Settle, Settled};
use crate::world::{Event, World};

/// The longest time between two turns of the loop.
pub(crate) const TURN: Span = Span::from_millis(500);
/// How long a handler that was told to stop may take, in milliseconds.
const STOP_GRACE_MS: usize = 5_000;
/// The wait after a final write that was refused.
const WRITE_PAUSE: Span = Span::from_seconds(1);

impl World {
    /// Gives events to a worker's loop and does what it commands.
    pub(crate) fn drive(&mut self, who: Who, mut events: Vec<LoopEvent>) {
        let process = &mut self.processes[who.process];
        if process.number > 0 && process.pulse.is_lost(self.now) && !process.told_lost {
            process.told_lost = true;
            events.insert(0, LoopEvent::LeasesLost);
            self.tell(Mark::WorkerLost, [who.process.cast_signed() as i64, 0], || {
                format!("process {} gives its leases up", who.process)
            });
        }
        let commands = self.processes[who.process].core.step(self.now, events);
        for command in commands {
            if !self.quiet && self.random.chance(self.deadly) {
                self.tell(Mark::KillBetween, [who.process.cast_signed() as i64, 0], || {
                    format!("process {} before {command:?}", who.process)
                });
                return self.kill(who.process);
            }
            self.obey(who, command);
        }
        let process = &mut self.processes[who.process];
        if process.core.is_draining()
            && let Some(call) = process.lease_call.take()
        {
            // What it brings is given back when the worker signs off.
            process.waiting.remove(&call);
            self.parked.retain(|parked| *parked != call);
            self.drive(who, vec![LoopEvent::Leased(Vec::new())]);
        }
    }

    fn obey(&mut self, who: Who, command: Command) {
        self.note(who, &command);
        match command {
            Command::Lease { start, hold, above, wait } => {
                let process = &mut self.processes[who.process];
                process.requests += 1;
                let (worker, request) = (process.number, process.requests);
                let asked = Asked { worker, request, release: process.release, start, hold, above };
                let unanswered = process.unanswered.clone();
                process.unanswered.push(request);
                let until = self.now.after(wait);
                let limit = Span::from_micros(wait.as_micros() + CALL_LIMIT.as_micros());
                let call = self.send(who, Request::Lease { asked, unanswered, until }, limit);
                self.processes[who.process].lease_call = Some(call);
            }
            Command::Start(leases) => {
                self.check_start_order(who, &leases);
                for lease in &leases {
                    if let Some(known) = self.processes[who.process].known.get_mut(lease) {
                        known.begun = true;
                    }
                }
                let worker = self.processes[who.process].number;
                self.send(who, Request::Start(worker, leases), CALL_LIMIT);
            }
            Command::Run(lease) => self.run(who, lease),
            Command::Settle(leases) => {
                let known = &mut self.processes[who.process].known;
                let ended = |lease: Lease| Some((lease, known.get_mut(&lease)?.ended.take()?));
                let batch = leases.into_iter().filter_map(ended).collect();
                self.settle(who, batch);
            }
            Command::GiveBack(leases) => {
                let known = &mut self.processes[who.process].known;
                for lease in &leases {
                    if let Some(known) = known.get_mut(lease) {
                        known.abandoned = true;
                    }
                }
                let batch = leases.into_iter().map(|lease| (lease, Settle::GiveBack)).collect();
                self.settle(who, batch);
            }
            Command::Stop(lease, why) => self.stop(who, lease, why),
            Command::Forget(lease) => {
                self.processes[who.process].known.remove(&lease);
            }
            Command::Register => self.register(who),
            Command::CheckEmpty => self.drive(who, vec![LoopEvent::Emptiness(false)]),
            Command::Exit => {
                let number = self.processes[who.process].number;
                self.send(who, Request::SignOff(number), CALL_LIMIT);
            }
        }
    }

    fn note(&mut self, who: Who, command: &Command) {
        let mark = match command {
            Command::Lease { above: None, .. } => Mark::Lease,
            Command::Lease { above: Some(_), .. } => Mark::LeaseAbove,
            Command::Start(_) => Mark::Start,
            Command::Run(_) => Mark::Run,
            Command::Settle(_) => Mark::Settle,
            Command::GiveBack(_) => Mark::GiveBack,
            Command::Stop(_, Stop::Cancelled) => Mark::StopCancelled,
            Command::Stop(_, Stop::Draining) => Mark::StopDraining,
            Command::Stop(_, Stop::LeaseLost) => Mark::StopLost,
            Command::Forget(_) => Mark::Forget,
            Command::Register => Mark::Register,
            Command::CheckEmpty => return,
            Command::Exit => Mark::Exit,
        };
        let process = who.process.cast_signed() as i64;
        self.tell(mark, [process, i64::from(who.life)], || {
            format!("process {process}: {command:?}")
        });
    }

    pub(crate) fn register(&mut self, who: Who) {
        self.send(who, Request::Register, CALL_LIMIT);
    }

    fn stop(&mut self, who: Who, lease: Lease, why: Stop) {
        let Some(known) = self.processes[who.process].known.get_mut(&lease) else { return };
        known.stopped = Some(why);
        let most = match why {
            Stop::LeaseLost => usize::try_from(LOST_GRACE.as_micros() / 1_000).unwrap_or(0),
            Stop::Cancelled | Stop::Draining => STOP_GRACE_MS,
        };
        let grace = self.random.millis(0, most);
        self.at(grace, Event::Grace(who, lease));
    }

    fn settle(&mut self, who: Who, batch: Vec<(Lease, Settle)>) {
        if !batch.is_empty() {
            self.send(who, Request::Settle(batch), CALL_LIMIT);
        }
    }

    /// Takes what concerns the work loop; `None` is an error.
    pub(crate) fn hear_loop(
        &mut self,
        who: Who,
        request: Request,
        sent: Moment,
        answer: Option<Answer>,
    ) {
        match (request, answer) {
            (Request::Lease { asked, .. }, Some(Answer::Leased(granted))) => {
                let process = &mut self.processes[who.process];
                process.lease_call = None;
                process.unanswered.retain(|request| *request != asked.request);
                let mut taken = Vec::with_capacity(granted.len());
                for granted in granted {
                    taken.push(Taken {
                        lease: granted.lease,
                        started: granted.started,
                        priority: granted.priority,
                        run_at: granted.run_at,
                    });
                    process.known.insert(granted.lease, Known::new(granted));
                }
                self.drive(who, vec![LoopEvent::Leased(taken)]);
            }
            (Request::Lease { .. }, _) => {
                self.processes[who.process].lease_call = None;
                self.drive(who, vec![LoopEvent::LeaseFailed]);
            }
            (Request::Start(_, asked), Some(Answer::Started(counted))) => {
                self.drive(who, vec![LoopEvent::Started { asked, counted }]);
            }
            (Request::Start(_, leases), _) => self.drive(who, vec![LoopEvent::StartFailed(leases)]),
            (Request::Settle(batch), Some(Answer::Settled(settled))) => {
                self.settled(who, batch, settled);
            }
            (Request::Settle(batch), _) => {
                let known = &mut self.processes[who.process].known;
                let leases = batch.iter().map(|(lease, _)| *lease).collect();
                for (lease, settle) in batch {
                    if let Some(known) = known.get_mut(&lease) {
                        known.ended = Some(fallback(settle));
                    }
                }
                self.drive(who, vec![LoopEvent::SettleFailed(leases)]);
            }
            (Request::Register, Some(Answer::Registered(number))) => {
                self.registered(who, number, sent);
            }
            (Request::Register, _) => self.at(TURN, Event::Register(who)),
            _ => {}
        }
    }

    fn registered(&mut self, who: Who, number: i64, sent: Moment) {
        let process = &mut self.processes[who.process];
        let first = process.number == 0;
        process.number = number;
        process.reached = sent;
        process.pulse = Pulse::new(sent);
        process.told_lost = false;
        process.unanswered.clear();
        if let Some(call) = process.beat_call.take() {
            process.waiting.remove(&call);
        }
        self.beat_later(who, Span::ZERO);
        if first {
            self.at(Span::ZERO, Event::Turn(who));
        } else {
            self.drive(who, vec![LoopEvent::Registered]);
        }
    }

    fn settled(&mut self, who: Who, batch: Vec<(Lease, Settle)>, settled: Vec<Settled>) {
        let (mut over, mut again) = (Vec::new(), Vec::new());
        for ((lease, settle), settled) in batch.into_iter().zip(settled) {
            match settled {
                Settled::WriteFailed => {
                    let task = self.processes[who.process].known.get(&lease);
                    let spent = task.is_none_or(Known::is_last);
                    let settle = if spent { Settle::Discard } else { Settle::Retry(WRITE_PAUSE) };
                    again.push((lease, settle));
                    continue;
                }
                Settled::Done { follow_ups: _ } => self.after_commit(who, lease, &settle),
                Settled::LeaseLost => {}
            }
            self.processes[who.process].known.remove(&lease);
            over.push(lease);
        }
        self.settle(who, again);
        self.drive(who, vec![LoopEvent::Settled(over)]);
    }
}

/// What to settle if the store does not answer: the same, or, where a final write went with the
/// first try, another attempt in place of this one.
fn fallback(settle: Settle) -> Settle {
    match settle {
        Settle::Completed { write: true, follow_ups: _ } => Settle::Snooze(WRITE_PAUSE),
        other => other,
    }
}
