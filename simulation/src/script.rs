//! What handlers do: scripts of writes, effects and outcomes.

use values::Span;

use crate::random::{Random, mix};

/// One step of a handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Work(Span),
    /// A call to the outside world that must happen once: its key.
    Effect(u64),
}

/// How a handler ends if nothing comes between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum End {
    #[default]
    Complete,
    Retry(Span),
    Snooze(Span),
    Panic(Span),
    Permanent,
}

/// What one run of a handler does.
#[derive(Debug, Clone, Default)]
pub(crate) struct Script {
    pub(crate) actions: Vec<Action>,
    pub(crate) end: End,
    /// Whether its outcome has a final write.
    pub(crate) write: bool,
    pub(crate) follow_ups: usize,
}

impl Script {
    /// The script of a task's `run`-th run; a later one fails less.
    pub(crate) fn of(seed: u64, id: u64, run: u32, random: &mut Random) -> Self {
        let mut actions = vec![Action::Work(random.millis(0, 400))];
        for key in effects(seed, id) {
            actions.push(Action::Effect(key));
            actions.push(Action::Work(random.millis(0, 600)));
        }
        if random.chance(20) {
            actions.push(Action::Work(random.millis(1_000, 15_000)));
        }
        let character = mix(seed ^ mix(id));
        let failures = [0, 0, 0, 1, 1, 2, 3, 0][usize::try_from(character % 8).unwrap_or(0)];
        let end = if run < failures {
            let wait = random.millis(50, 2_500);
            [End::Retry(wait), End::Snooze(wait), End::Panic(wait)][random.below(3)]
        } else if character.is_multiple_of(37) {
            End::Permanent
        } else {
            End::Complete
        };
        let follow_ups =
            usize::from(character.is_multiple_of(5)) + usize::from(character.is_multiple_of(15));
        Self { actions, end, write: character.is_multiple_of(3), follow_ups }
    }
}

/// The keys of the effects of a task.
pub(crate) fn effects(seed: u64, id: u64) -> impl Iterator<Item = u64> {
    let count = [0, 0, 1, 2][usize::try_from(mix(seed ^ mix(id + 1)) % 4).unwrap_or(0)];
    (0..count).map(move |at| id * 4 + at)
}
