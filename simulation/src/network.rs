//! Calls between processes and the store: what is asked, what comes back, and what gets lost.

use values::{Span, Timestamp};
use work_loop::{Lease, Moment};

use crate::history::Mark;
use crate::process::Who;
use crate::store::{Asked, Effect, Granted, New, Settle, Settled, Stored};
use crate::world::{Event, World};

/// What is asked of the store, or of the world outside.
#[derive(Debug, Clone)]
pub(crate) enum Request {
    Enqueue(Vec<New>),
    Lease {
        asked: Asked,
        unanswered: Vec<u64>,
        until: Moment,
    },
    Start(i64, Vec<Lease>),
    Settle(Vec<(Lease, Settle)>),
    Register,
    Beat(i64),
    Look,
    Rescue(Vec<(i64, i64)>),
    SignOff(i64),
    Review,
    DiscardHeld(Vec<i64>),
    LastTick(usize),
    Tick(usize, New),
    /// A step of an effect, on behalf of a lease in a phase of its handler.
    Effect(Lease, u32, Step, u64),
}

/// The steps of an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Makes the intent durable, or finds what an earlier attempt left.
    Begin,
    /// Asks the outside world whether it happened.
    Ask,
    /// Calls the outside world.
    Call,
    /// Remembers that it is done.
    End,
}

/// What comes back.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Done,
    Stored(Vec<Stored>),
    Leased(Vec<Granted>),
    Started(Vec<Lease>),
    Settled(Vec<Settled>),
    Registered(i64),
    Beat {
        dead: bool,
        cancel: Vec<i64>,
    },
    Beats(Vec<(i64, i64)>),
    Over(Vec<i64>),
    LastTick(Timestamp),
    /// What the ledger said before, or whether the outside world knows of it.
    Effect(Option<Effect>),
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Fine,
    ErrorBefore,
    ErrorAfter,
    AnswerLost,
    RequestLost,
}

/// A call on its way.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) who: Who,
    pub(crate) request: Request,
    pub(crate) sent: Moment,
    limit: Moment,
    pub(crate) fate: Fate,
    back: Span,
    pub(crate) answer: Option<Answer>,
}

impl Request {
    /// Whether it is sent all the time, so that it does not count as a step.
    pub(crate) fn is_routine(&self) -> bool {
        matches!(self, Self::Beat(_) | Self::Look)
    }
}

impl World {
    /// Sends a call; its answer is heard within `limit`, or it counts as failed.
    pub(crate) fn send(&mut self, who: Who, request: Request, limit: Span) -> u64 {
        let id = self.next_call;
        self.next_call += 1;
        let (mut go, mut back) = (self.random.millis(0, 3), self.random.millis(0, 3));
        let fate = self.fate(who, &mut go, &mut back);
        let may_wait = matches!(request, Request::Lease { .. });
        let call = Call {
            who,
            request,
            sent: self.now,
            limit: self.now.after(limit),
            fate,
            back,
            answer: None,
        };
        match self.processes.get_mut(who.process) {
            Some(process) => process.waiting.insert(id),
            None => self.clients.insert(id),
        };
        match fate {
            Fate::ErrorBefore => self.at(go, Event::Answer(id)),
            Fate::RequestLost => {}
            Fate::Fine | Fate::ErrorAfter | Fate::AnswerLost => self.at(go, Event::Arrive(id)),
        }
        let total = go.as_micros() + back.as_micros();
        let lost = matches!(fate, Fate::RequestLost | Fate::AnswerLost);
        if lost || may_wait || total >= limit.as_micros() {
            self.at(limit, Event::Timeout(id));
        }
        self.calls.insert(id, call);
        id
    }

    fn fate(&mut self, who: Who, go: &mut Span, back: &mut Span) -> Fate {
        if self.processes.get(who.process).is_some_and(|process| process.cut_until > self.now) {
            return Fate::RequestLost;
        }
        if self.quiet || !self.random.chance(self.trouble) {
            return Fate::Fine;
        }
        let (mark, fate) = match self.random.below(7) {
            0 => (Mark::ErrorBefore, Fate::ErrorBefore),
            1 | 2 => (Mark::ErrorAfter, Fate::ErrorAfter),
            3 => (Mark::AnswerLost, Fate::AnswerLost),
            4 => (Mark::RequestLost, Fate::RequestLost),
            which => {
                let delay = self.random.millis(50, 9_000);
                *(if which == 5 { go } else { back }) = delay;
                (Mark::Delay, Fate::Fine)
            }
        };
        self.tell(mark, [who.process.cast_signed() as i64, 0], || {
            format!("a call of process {}", who.process.cast_signed())
        });
        fate
    }

    /// A call reaches the store, unless that stands still.
    pub(crate) fn arrive(&mut self, id: u64) {
        if self.hangs_until > self.now {
            let Some(call) = self.calls.get(&id) else { return };
            let (left, limit) = (self.hangs_until.since(self.now), call.limit.since(self.now));
            let more = self.random.millis(0, 300);
            self.at(left.max(Span::from_millis(1)), Event::Late(id, more));
            self.at(limit, Event::Timeout(id));
            return;
        }
        let Some(call) = self.calls.get(&id) else { return };
        let (who, request) = (call.who, call.request.clone());
        if let Some(answer) = self.execute(who, request) {
            self.reply(id, answer);
        } else {
            self.parked.push(id);
            self.at(POLL, Event::Poll(id));
        }
    }

    /// Sends an answer back.
    pub(crate) fn reply(&mut self, id: u64, answer: Answer) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        match call.fate {
            Fate::Fine => call.answer = Some(answer),
            Fate::ErrorAfter => {}
            Fate::ErrorBefore | Fate::AnswerLost | Fate::RequestLost => return,
        }
        let back = call.back;
        self.at(back, Event::Answer(id));
    }

    /// An answer, or an error, reaches whoever asked.
    pub(crate) fn answered(&mut self, id: u64) {
        let Some(call) = self.calls.get(&id) else { return };
        let who = call.who;
        if self.sleeps(who, Event::Answer(id)) {
            return;
        }
        let Some(call) = self.calls.remove(&id) else { return };
        if self.awaits(who, id) {
            self.hear(who, call.request, call.sent, call.answer);
        }
    }

    /// Nobody answered in time.
    pub(crate) fn timed_out(&mut self, id: u64) {
        let Some(call) = self.calls.get(&id) else { return };
        let who = call.who;
        if self.sleeps(who, Event::Timeout(id)) {
            return;
        }
        let Some(call) = self.calls.get(&id) else { return };
        let (request, sent) = (call.request.clone(), call.sent);
        if self.awaits(who, id) {
            // The connection is closed, and with it ends a request that waits for tasks.
            self.parked.retain(|parked| *parked != id);
            self.hear(who, request, sent, None);
        }
    }

    /// Whether somebody still waits for this answer; nobody does afterwards.
    fn awaits(&mut self, who: Who, id: u64) -> bool {
        match self.processes.get_mut(who.process) {
            Some(process) => process.life == who.life && process.waiting.remove(&id),
            None => self.clients.remove(&id),
        }
    }
}

/// How often a waiting lease request looks again by itself.
const POLL: Span = Span::from_millis(250);

impl World {
    /// A waiting request looks whether there is something for it; whether it was a waiting one.
    pub(crate) fn poll(&mut self, id: u64) {
        if !self.parked.contains(&id) {
            return;
        }
        if self.hangs_until <= self.now && self.serve(id) {
            return;
        }
        self.at(POLL, Event::Poll(id));
    }

    /// Wakes every request that waits.
    pub(crate) fn wake(&mut self) {
        for id in self.parked.clone() {
            if self.hangs_until <= self.now {
                self.serve(id);
            }
        }
    }

    /// Answers a waiting request if it can be; whether it could.
    fn serve(&mut self, id: u64) -> bool {
        let Some(Call { request: Request::Lease { asked, until, unanswered: _ }, .. }) =
            self.calls.get(&id)
        else {
            self.parked.retain(|parked| *parked != id);
            return true;
        };
        let (asked, until) = (asked.clone(), *until);
        let granted = self.lease_now(&asked);
        if granted.is_empty() && until > self.now {
            return false;
        }
        self.parked.retain(|parked| *parked != id);
        self.reply(id, Answer::Leased(granted));
        true
    }
}
