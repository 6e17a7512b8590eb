//! A worker's own pulse: whether others may believe that it is dead.

use values::Span;

use crate::Moment;

/// How often a worker says that it lives.
pub const BEAT: Span = Span::from_seconds(1);
/// How long one beat may take before it counts as failed.
pub const BEAT_LIMIT: Span = Span::from_seconds(3);
/// A worker whose latest answered beat was *sent* so long ago gives its leases up.
///
/// Others count [`crate::SILENCE`] from when they saw that beat, which is never before it was sent.
pub const CUT_OFF: Span = Span::from_seconds(6);
/// How long an attempt whose lease was lost may take to end before it is dropped; with
/// [`CUT_OFF`] it stays below [`crate::SILENCE`].
pub const LOST_GRACE: Span = Span::from_seconds(1);

/// When a worker beats, and when it must assume that its leases are lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pulse {
    /// When the latest call that the store answered was sent.
    good: Moment,
    next: Moment,
    lost: bool,
}

impl Pulse {
    /// Begins for a worker whose registration was *sent* at `registered` and has been answered.
    pub const fn new(registered: Moment) -> Self {
        Self { good: registered, next: registered, lost: false }
    }

    /// Whether the leases are lost; it stays so until the worker registers anew.
    ///
    /// The work loop asks before it begins anything: a process that was stopped for long may wake
    /// up with tasks in its hands that others have begun meanwhile.
    pub fn is_lost(&mut self, now: Moment) -> bool {
        self.lost |= now.since(self.good) >= CUT_OFF;
        self.lost
    }

    /// When to look at it again: for the next beat, or because time runs out.
    pub fn wake_at(&self) -> Moment {
        if self.lost { self.next } else { self.next.min(self.good.after(CUT_OFF)) }
    }

    /// Asks whether to beat now; `Some` is how long to wait for the answer.
    ///
    /// A process that was stopped for too long learns here that it lost its leases.
    pub fn beat(&mut self, now: Moment) -> Option<Span> {
        if self.is_lost(now) || now < self.next {
            return None;
        }
        self.next = now.after(BEAT);
        Some(self.good.after(CUT_OFF).since(now).min(BEAT_LIMIT))
    }

    /// Takes the answer to the beat that was sent at `sent`; `dead` is what the store says.
    pub fn answered(&mut self, sent: Moment, now: Moment, dead: bool) {
        // An answer that comes too late proves nothing: the leases may have been lost meanwhile.
        if self.is_lost(now) || dead {
            self.lost = true;
        } else {
            self.good = self.good.max(sent);
        }
        self.next = now.after(BEAT);
    }

    /// Takes that a beat failed or was not answered in time.
    pub fn failed(&mut self, now: Moment) {
        self.is_lost(now);
        self.next = now.after(BEAT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SILENCE;

    fn at(millis: u32) -> Moment {
        Moment::default().after(Span::from_millis(millis))
    }

    #[test]
    fn beats_every_second_while_it_is_answered() {
        let mut pulse = Pulse::new(at(0));
        for second in 0..60 {
            let now = at(second * 1_000);
            assert_eq!(pulse.beat(now), Some(BEAT_LIMIT));
            assert_eq!(pulse.beat(now), None, "one beat at a time");
            pulse.answered(now, now, false);
            assert_eq!(pulse.wake_at(), now.after(BEAT));
        }
        assert!(!pulse.is_lost(at(60_000)));
    }

    #[test]
    fn counts_from_when_the_answered_beat_was_sent() {
        let mut pulse = Pulse::new(at(0));
        pulse.beat(at(0));
        pulse.answered(at(0), at(2_900), false);
        assert_eq!(pulse.beat(at(3_900)), Some(Span::from_millis(2_100)), "no longer than is left");
        pulse.failed(at(5_999));
        assert!(!pulse.is_lost(at(5_999)));
        assert_eq!(pulse.wake_at(), at(6_000));
        assert_eq!(pulse.beat(at(6_000)), None);
        assert!(pulse.is_lost(at(6_000)));
    }

    #[test]
    fn a_registration_that_was_answered_late_is_old_already() {
        let mut pulse = Pulse::new(at(0));
        assert_eq!(pulse.beat(at(6_000)), None);
        assert!(pulse.is_lost(at(6_000)));
    }

    #[test]
    fn an_answer_after_the_cut_off_changes_nothing() {
        let mut pulse = Pulse::new(at(0));
        pulse.beat(at(1_000));
        pulse.answered(at(1_000), at(6_000), false);
        assert!(pulse.is_lost(at(6_000)));
    }

    #[test]
    fn a_process_that_was_stopped_knows_before_its_next_beat() {
        let mut pulse = Pulse::new(at(0));
        pulse.beat(at(0));
        pulse.answered(at(0), at(1), false);
        assert!(!pulse.is_lost(at(5_999)));
        assert!(pulse.is_lost(at(9_000)));
    }

    #[test]
    fn believes_the_store_that_it_is_dead() {
        let mut pulse = Pulse::new(at(0));
        pulse.beat(at(0));
        pulse.answered(at(0), at(1), true);
        assert!(pulse.is_lost(at(1)));
        assert_eq!(pulse.beat(at(1_001)), None, "a dead worker is silent");
    }

    #[test]
    fn attempts_end_before_others_may_take_their_tasks() {
        assert!(CUT_OFF.as_micros() + LOST_GRACE.as_micros() < SILENCE.as_micros());
    }
}
