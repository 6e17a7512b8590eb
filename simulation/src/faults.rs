//! What goes wrong: processes are killed, stopped and replaced, the store stands still, the
//! network breaks, clocks jump.

use values::Span;
use work_loop::{Event as LoopEvent, Moment};

use crate::history::Mark;
use crate::process::Who;
use crate::releases::releases;
use crate::world::{Event, World};

/// An hour in microseconds.
const HOUR: i64 = 3_600_000_000;
/// The longest pause between two faults, in milliseconds.
const FAULT_EVERY_MS: usize = 4_000;

impl World {
    /// Starts a process with some release.
    pub(crate) fn boot(&mut self, process: usize) {
        if self.processes[process].up {
            return;
        }
        let release = self.random.below(releases().len());
        self.processes[process].start(release, &releases()[release]);
        let who = Who { process, life: self.processes[process].life };
        self.tell(
            Mark::Deploy,
            [process.cast_signed() as i64, release.cast_signed() as i64],
            || format!("process {process} starts with release {release}"),
        );
        self.register(who);
    }

    /// Ends a process at once, as kill -9 does; another is started in its place.
    pub(crate) fn kill(&mut self, process: usize) {
        let life = self.processes[process].life;
        self.processes[process].kill();
        // The store may or may not notice that nobody waits any more.
        if self.random.chance(500) {
            let calls = &self.calls;
            let dead = Who { process, life };
            self.parked.retain(|id| calls.get(id).is_some_and(|call| call.who != dead));
        }
        let after = self.random.millis(200, 6_000);
        self.at(after, Event::Boot(process));
    }

    /// A process has signed off and ends by itself.
    pub(crate) fn left(&mut self, who: Who) {
        self.processes[who.process].kill();
        if !self.checks.closing {
            let after = self.random.millis(50, 2_000);
            self.at(after, Event::Boot(who.process));
        }
    }

    /// Something goes wrong, of the kinds that do in this seed.
    pub(crate) fn fault(&mut self) {
        if self.quiet {
            return;
        }
        let after = self.random.millis(100, FAULT_EVERY_MS);
        self.at(after, Event::Fault);
        let kind = self.random.below(10);
        if self.faults & (1 << kind) == 0 {
            return;
        }
        let process = self.random.below(self.processes.len());
        let about = [process.cast_signed() as i64, 0];
        let name = move || format!("process {process}");
        match kind {
            0 if self.processes[process].up => {
                self.tell(Mark::Kill, about, name);
                self.kill(process);
            }
            1 if self.processes[process].up => {
                let span = self.random.millis(500, 20_000);
                self.tell(Mark::Pause, about, || format!("process {process} for {span}"));
                let until = self.now.after(span).max(self.processes[process].paused_until);
                self.processes[process].paused_until = until;
            }
            2 => {
                let span = self.random.millis(200, 12_000);
                self.tell(Mark::StoreHangs, [0, 0], || format!("for {span}"));
                self.hangs_until = self.now.after(span);
            }
            3 => self.restart_store(),
            4 => {
                let span = self.random.millis(1_000, 15_000);
                self.tell(Mark::CutOff, about, || format!("process {process} for {span}"));
                self.processes[process].cut_until = self.now.after(span);
            }
            5 => self.set_store_clock(),
            6 => {
                let hours = [-3, -1, 0, 1, 5][self.random.below(5)];
                self.tell(Mark::WorkerClock, about, || format!("process {process}: {hours} h"));
                self.processes[process].wall = hours * HOUR;
            }
            7 => self.signal(process, false),
            8 => self.signal(process, true),
            _ => {}
        }
    }

    /// SIGTERM, twice if it is to end at once.
    fn signal(&mut self, process: usize, at_once: bool) {
        let target = &self.processes[process];
        if !target.up || target.number == 0 || target.paused_until > self.now {
            return;
        }
        let who = Who { process, life: target.life };
        self.drive(who, vec![LoopEvent::Drain]);
        if at_once && self.processes[process].life == who.life {
            self.tell(Mark::Abort, [process.cast_signed() as i64, 0], || {
                format!("process {process} is told to stop at once")
            });
            self.drive(who, vec![LoopEvent::Abort]);
        }
    }

    /// Whoever waits for tasks gets an error.
    fn restart_store(&mut self) {
        self.tell(Mark::StoreRestarts, [0, 0], || "the store restarts".to_owned());
        for id in std::mem::take(&mut self.parked) {
            self.at(Span::from_millis(1), Event::Answer(id));
        }
    }

    fn set_store_clock(&mut self) {
        let before = self.off;
        self.off = [0, 0, HOUR, -HOUR, 3 * HOUR][self.random.below(5)];
        let mark = if self.off >= before { Mark::StoreClockAhead } else { Mark::StoreClockBack };
        let off = self.off;
        self.tell(mark, [off, 0], || format!("the store's clock is {} h off", off / HOUR));
        self.checks.clock_was_set();
    }

    /// Nothing goes wrong any more.
    pub(crate) fn calm_down(&mut self) {
        self.quiet = true;
        self.hangs_until = Moment::default();
        for process in &mut self.processes {
            process.cut_until = Moment::default();
            process.wall = 0;
        }
        self.off = 0;
        self.checks.clock_was_set();
        self.store.paused.clear();
        self.store.woken = true;
    }

    /// Tells every process to drain; whether there is one that is up.
    pub(crate) fn drain_all(&mut self) {
        self.checks.closing = true;
        for process in 0..self.processes.len() {
            self.signal(process, false);
        }
    }
}
