//! Taking tasks: free slots are filled with the best there are.

use values::Span;

use super::{Command, Core, HIGHEST, LEASE_WAIT, SHORT_WAIT, State, Stop};
use crate::Moment;

/// Settlements that may be under way for each slot before it counts as taken.
const SETTLING_PER_SLOT: usize = 4;

impl Core {
    /// Gives held tasks back and stops what runs for too long, once draining.
    pub(super) fn drain(&mut self, now: Moment, commands: &mut Vec<Command>) {
        let Some(until) = self.drain_until else { return };
        let held = std::mem::take(&mut self.held).into_values().collect();
        self.give_back(held, commands);
        if until <= now {
            for (lease, state) in &mut self.active {
                if *state == State::Running {
                    *state = State::Stopping;
                    commands.push(Command::Stop(*lease, Stop::Draining));
                }
            }
        }
    }

    /// Fills free slots: first with tasks above the held ones, then with the best held ones.
    pub(super) fn fill(&mut self, now: Moment, commands: &mut Vec<Command>) {
        if self.drain_until.is_some() || self.leasing || self.registering {
            return;
        }
        if self.lease_not_before.is_some_and(|at| at > now) {
            return;
        }
        self.lease_not_before = None;
        let busy = self.running() + self.starting.len() + self.settling_too_many();
        let free = self.settings.concurrency.saturating_sub(busy);
        if free == 0 {
            return;
        }
        let best = self.held.first_key_value().map(|((rank, _, _), _)| HIGHEST - rank);
        match best {
            None => {
                let idle = self.active.is_empty() && self.starting.is_empty();
                if self.settings.until_empty && self.may_be_empty && idle {
                    self.check_empty(commands);
                    return;
                }
                let wait = match (self.settings.until_empty, idle) {
                    (false, _) => LEASE_WAIT,
                    (true, true) => Span::ZERO,
                    (true, false) => SHORT_WAIT,
                };
                self.leasing = true;
                let hold = self.settings.prefetch;
                commands.push(Command::Lease { start: free, hold, above: None, wait });
            }
            Some(best) if best < HIGHEST && !self.looked_above => {
                self.leasing = true;
                let (above, wait) = (Some(best), Span::ZERO);
                commands.push(Command::Lease { start: free, hold: 0, above, wait });
            }
            Some(_) => {
                self.looked_above = false;
                let mut leases = Vec::new();
                while leases.len() < free {
                    let Some((_, lease)) = self.held.pop_first() else { break };
                    leases.push(lease);
                }
                self.starting.extend(&leases);
                commands.push(Command::Start(leases));
            }
        }
    }

    /// Settlements under way beyond those that new attempts need not wait for.
    ///
    /// A store that settles more slowly than attempts end would else be asked for ever more tasks,
    /// which nobody else could run.
    fn settling_too_many(&self) -> usize {
        let settling = self.active.values().filter(|state| **state == State::Settling).count();
        settling.saturating_sub(self.settings.concurrency.saturating_mul(SETTLING_PER_SLOT))
    }

    fn check_empty(&mut self, commands: &mut Vec<Command>) {
        if !self.checking {
            self.checking = true;
            self.may_be_empty = false;
            commands.push(Command::CheckEmpty);
        }
    }
}
