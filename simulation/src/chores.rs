//! What a worker does beside running tasks: heartbeat, rescue, held tasks, schedules.

use std::collections::VecDeque;

use values::Span;
use work_loop::{BEAT, CALL_LIMIT, Event as LoopEvent, LOOK_LIMIT, Moment, next_tick};

use crate::history::Mark;
use crate::network::{Answer, Request};
use crate::process::Who;
use crate::releases::{JOBS, SCHEDULER, releases};
use crate::shell::TURN;
use crate::store::New;
use crate::world::{Event, World};

/// How often held tasks are reviewed.
const HELD_EVERY: Span = Span::from_seconds(15);
/// The longest time between two looks at the schedules.
const SCHEDULES_EVERY: Span = Span::from_seconds(30);

impl World {
    /// Plans the next heartbeat.
    pub(crate) fn beat_later(&mut self, who: Who, after: Span) {
        let process = &mut self.processes[who.process];
        process.beat_timer += 1;
        let timer = process.beat_timer;
        self.at(after, Event::Beat(who, timer));
    }

    /// The heartbeat's thread looks at its clock.
    pub(crate) fn beat(&mut self, who: Who, timer: u32) {
        let process = &mut self.processes[who.process];
        if process.beat_timer != timer || process.beat_call.is_some() {
            return;
        }
        if let Some(patience) = process.pulse.beat(self.now) {
            let number = process.number;
            let call = self.send(who, Request::Beat(number), patience);
            self.processes[who.process].beat_call = Some(call);
        }
        self.after_beat(who);
    }

    fn after_beat(&mut self, who: Who) {
        let now = self.now;
        let process = &mut self.processes[who.process];
        let lost = process.pulse.is_lost(now);
        if process.beat_call.is_none() {
            let wait = process.pulse.wake_at().since(now).max(Span::from_millis(1));
            let wait = if lost { BEAT } else { wait };
            self.beat_later(who, wait);
        }
        if lost && !self.processes[who.process].told_lost {
            self.drive(who, Vec::new());
        }
    }

    fn beat_answered(&mut self, who: Who, sent: Moment, answer: Option<Answer>) {
        let process = &mut self.processes[who.process];
        process.beat_call = None;
        if let Some(Answer::Beat { dead, cancel }) = answer {
            process.pulse.answered(sent, self.now, dead);
            if !dead && !cancel.is_empty() {
                self.drive(who, vec![LoopEvent::CancelAsked(cancel)]);
            }
        } else {
            process.pulse.failed(self.now);
        }
        if self.processes[who.process].life == who.life {
            self.after_beat(who);
        }
    }

    /// A turn of the loop: time has passed, chores may be due.
    pub(crate) fn turn(&mut self, who: Who) {
        self.at(TURN, Event::Turn(who));
        self.drive(who, vec![LoopEvent::Tick]);
        let wall = self.wall();
        let process = &mut self.processes[who.process];
        if process.life != who.life || process.core.is_draining() {
            return;
        }
        let look = !std::mem::replace(&mut process.looking, true);
        let review = process.review_at <= self.now && !process.reviewing;
        if review {
            process.reviewing = true;
            process.review_at = self.now.after(HELD_EVERY);
        }
        let schedules = &releases()[process.release].schedules;
        if process.next_tick.is_none_or(|at| at <= wall) {
            process.schedules_at = self.now;
            process.next_tick = next_tick(schedules, wall);
        }
        let ticks = process.schedules_at <= self.now && !process.ticking;
        if ticks {
            process.ticking = true;
            process.schedules_at = self.now.after(SCHEDULES_EVERY);
        }
        if look {
            self.send(who, Request::Look, LOOK_LIMIT);
        }
        if review {
            self.send(who, Request::Review, CALL_LIMIT);
        }
        if ticks {
            self.begin_ticks(who);
        }
    }

    /// Asks for the latest ticks that are not known, then finds out which are due.
    fn begin_ticks(&mut self, who: Who) {
        let wall = self.wall();
        let process = &mut self.processes[who.process];
        let schedules = &releases()[process.release].schedules;
        if let Some(at) = schedules.iter().position(|schedule| !process.ticked.knows(schedule)) {
            self.send(who, Request::LastTick(at), CALL_LIMIT);
            return;
        }
        let mut due = VecDeque::new();
        for (at, schedule) in schedules.iter().enumerate() {
            due.extend(process.ticked.due(schedule, wall).into_iter().map(|tick| (at, tick)));
        }
        process.due = due;
        self.next_due(who);
    }

    fn next_due(&mut self, who: Who) {
        let process = &mut self.processes[who.process];
        let Some((at, nominal)) = process.due.pop_front() else {
            process.ticking = false;
            return;
        };
        let schedule = &releases()[process.release].schedules[at];
        let job = JOBS.iter().position(|job| *job == schedule.job.as_str()).unwrap_or(0);
        let mut new: New = self.new_task(job, SCHEDULER);
        new.tick = Some((schedule.name.clone(), nominal));
        self.send(who, Request::Tick(at, new), CALL_LIMIT);
    }

    fn ticked(&mut self, who: Who, at: usize, new: &New, stored: bool) {
        let process = &mut self.processes[who.process];
        let schedule = &releases()[process.release].schedules[at];
        if let (true, Some((_, nominal))) = (stored, &new.tick) {
            process.ticked.done(schedule, *nominal);
            let nominal = *nominal;
            self.tell(Mark::Ticked, [nominal.as_micros(), 0], || {
                format!("process {}: {} at {nominal}", who.process, schedule.name)
            });
        } else {
            // The others of this schedule must not overtake it.
            process.due.retain(|(other, _)| *other != at);
        }
        self.next_due(who);
    }

    /// Takes any answer; `None` is an error.
    pub(crate) fn hear(
        &mut self,
        who: Who,
        request: Request,
        sent: Moment,
        answer: Option<Answer>,
    ) {
        match request {
            Request::Enqueue(batch) => self.client_hears(batch, answer),
            Request::Effect(lease, phase, step, key) => {
                self.effect_answered(who, (lease, phase, step, key), answer.as_ref());
            }
            Request::Beat(_) => self.beat_answered(who, sent, answer),
            Request::Look => {
                self.processes[who.process].looking = false;
                if let Some(Answer::Beats(beats)) = answer {
                    self.looked(who, sent, &beats);
                }
            }
            Request::Review => match answer {
                Some(Answer::Over(rows)) if !rows.is_empty() => {
                    self.send(who, Request::DiscardHeld(rows), CALL_LIMIT);
                }
                _ => self.processes[who.process].reviewing = false,
            },
            Request::DiscardHeld(_) => self.processes[who.process].reviewing = false,
            Request::LastTick(at) => {
                let process = &mut self.processes[who.process];
                let schedule = &releases()[process.release].schedules[at];
                if let Some(Answer::LastTick(latest)) = answer {
                    process.ticked.begin(schedule, latest);
                    self.begin_ticks(who);
                } else {
                    process.ticking = false;
                }
            }
            Request::Tick(at, new) => self.ticked(who, at, &new, answer.is_some()),
            Request::SignOff(_) => self.left(who),
            Request::Rescue(_) => {}
            Request::Lease { .. } | Request::Start(..) | Request::Settle(_) | Request::Register => {
                self.hear_loop(who, request, sent, answer);
            }
        }
    }

    fn looked(&mut self, who: Who, sent: Moment, beats: &[(i64, i64)]) {
        let process = &mut self.processes[who.process];
        let silent = process.watch.looked(sent, self.now, process.number, beats);
        if !silent.is_empty() {
            self.tell(Mark::Silent, [silent[0].0, silent[0].1], || {
                format!("process {} finds {silent:?}", who.process)
            });
            self.send(who, Request::Rescue(silent), CALL_LIMIT);
        }
    }
}
