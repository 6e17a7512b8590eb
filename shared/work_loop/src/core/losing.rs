//! Letting go of tasks: cancelled, aborted, lost.

use super::{Command, Core, Lease, State, Stop};

impl Core {
    /// Stops what runs of these rows; what is only held ends as cancelled when it is given back.
    pub(super) fn cancel(&mut self, rows: &[i64], commands: &mut Vec<Command>) {
        for (lease, state) in &mut self.active {
            if rows.contains(&lease.0) && *state == State::Running {
                *state = State::Stopping;
                commands.push(Command::Stop(*lease, Stop::Cancelled));
            }
        }
        let held: Vec<Lease> =
            self.held.values().copied().filter(|lease| rows.contains(&lease.0)).collect();
        self.held.retain(|_, lease| !held.contains(lease));
        self.give_back(held, commands);
    }

    /// Gives back what runs without waiting for it; what it still does is not settled.
    pub(super) fn abort(&mut self, commands: &mut Vec<Command>) {
        let mut running = Vec::new();
        for (lease, state) in &mut self.active {
            if matches!(state, State::Running | State::Stopping) {
                *state = State::Settling;
                running.push(*lease);
            }
        }
        for lease in &running {
            commands.push(Command::Stop(*lease, Stop::Draining));
        }
        self.give_back(running, commands);
    }

    /// Everything leased belongs to others now.
    pub(super) fn lose(&mut self, commands: &mut Vec<Command>) {
        for (lease, state) in &mut self.active {
            match state {
                State::Running | State::Stopping => {
                    *state = State::Lost;
                    commands.push(Command::Stop(*lease, Stop::LeaseLost));
                }
                State::Settling | State::Lost => {}
            }
        }
        // The store refuses what is late by itself; it is not tried again.
        let settling =
            |(lease, state): (&Lease, &State)| (*state == State::Settling).then_some(*lease);
        for lease in self.active.iter().filter_map(settling).collect::<Vec<_>>() {
            self.active.remove(&lease);
            commands.push(Command::Forget(lease));
        }
        self.resettle.clear();
        self.returning.clear();
        self.lease_is_stale = self.leasing;
        let gone = std::mem::take(&mut self.held).into_values();
        commands.extend(gone.chain(std::mem::take(&mut self.starting)).map(Command::Forget));
        if self.registering {
            self.lost_again = true;
        } else {
            self.register(commands);
        }
    }

    pub(super) fn register(&mut self, commands: &mut Vec<Command>) {
        self.registering = true;
        commands.push(Command::Register);
    }
}
