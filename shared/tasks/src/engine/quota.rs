//! Quotas: what is asked of each source's, and whether it fits.

use std::collections::BTreeMap;

use values::Source;

use crate::{NewTask, StoreError};

/// Whether tasks that are asked about are counted already.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    Before,
    After,
}

/// The tasks that sources with a quota ask for: its limit and their number.
pub(crate) struct Asks(BTreeMap<Source, (u64, u64)>);

impl Asks {
    /// Counts them; none if no task has a quota.
    pub(crate) fn of<'t>(tasks: impl Iterator<Item = &'t NewTask>) -> Self {
        let mut asks: BTreeMap<Source, (u64, u64)> = BTreeMap::new();
        for task in tasks {
            let Some(limit) = task.max_waiting else { continue };
            let ask = asks.entry(task.source.clone()).or_insert((limit, 0));
            *ask = (ask.0.min(limit), ask.1 + 1);
        }
        Self(asks)
    }

    /// The sources that are to be counted.
    pub(crate) fn sources(&self) -> impl Iterator<Item = &Source> {
        self.0.keys()
    }

    /// The refusal of what a source asks for when so many tasks of it were counted, if it is one.
    pub(crate) fn refusal(
        &self,
        source: &Source,
        counted: u64,
        asked: Asked,
    ) -> Option<StoreError> {
        let (limit, tasks) = *self.0.get(source)?;
        let (waiting, after) = match asked {
            Asked::Before => (counted, counted + tasks),
            Asked::After => (counted.saturating_sub(tasks), counted),
        };
        let from = source.clone();
        (after > limit).then_some(StoreError::QuotaExceeded { from, limit, waiting })
    }
}
