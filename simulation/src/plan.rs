//! How one seed is run.

/// A mistake that can be put in, to see that it is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "planted", derive(clap::ValueEnum))]
pub enum Plant {
    /// The store takes settlements without comparing the lease's token.
    SettleWithoutFencing,
    /// A tick is enqueued without its row.
    TickWithoutRow,
    /// A handler calls the outside world only after its outcome was committed.
    EffectAfterCommit,
}

/// Lines of a history that are kept if nobody says how many.
const LINES: usize = 60;

/// How one seed is run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Plan {
    /// Steps with faults; the quiet end comes on top.
    pub steps: u64,
    /// Lines of the history that are kept of a seed that fails.
    pub lines: usize,
    #[cfg(any(test, feature = "planted"))]
    planted: Option<Plant>,
}

impl Plan {
    /// So many steps, nothing planted.
    pub fn new(steps: u64) -> Self {
        Self {
            steps,
            lines: LINES,
            #[cfg(any(test, feature = "planted"))]
            planted: None,
        }
    }

    /// The same with so many lines of history.
    #[must_use]
    pub fn with_lines(self, lines: usize) -> Self {
        Self { lines, ..self }
    }

    /// The same with a mistake put in.
    #[cfg(any(test, feature = "planted"))]
    #[must_use]
    pub fn with(self, plant: Option<Plant>) -> Self {
        Self { planted: plant, ..self }
    }

    #[cfg(any(test, feature = "planted"))]
    pub(crate) fn plants(self, plant: Plant) -> bool {
        self.planted == Some(plant)
    }

    #[cfg(not(any(test, feature = "planted")))]
    #[expect(clippy::unused_self, reason = "nothing can be planted in a build without the feature")]
    pub(crate) fn plants(self, _: Plant) -> bool {
        false
    }
}
