//! The monotonic clock of this process.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use values::Span;
use work_loop::Moment;

static BEGINNING: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The current moment; it does not move with the wall clock.
pub(super) fn now() -> Moment {
    Moment::new(Span::from_std(BEGINNING.elapsed()))
}

/// How long it is until a moment; zero if it has passed.
pub(super) fn until(moment: Moment) -> Duration {
    moment.since(now()).to_std()
}
