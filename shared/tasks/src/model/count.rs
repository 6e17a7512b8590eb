//! Conservation: what has come and gone, counted apart from the rows and compared with them.

use serde::Serialize;
use values::TaskId;

/// The most lost tasks that [`Conservation::lost`] names.
pub const MAX_LOST: u32 = 100;

/// What has become of the tasks of a lane, counted as it happened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Tasks that were stored.
    pub entered: i64,
    /// Ends, of whatever kind; a task that was retried by hand may end several times.
    pub ended: i64,
    /// Ended tasks that were made to run again.
    pub revived: i64,
    /// Ended tasks that were deleted after their retention.
    pub pruned: i64,
}

impl Counts {
    /// How many tasks should be waiting or running.
    pub fn live(&self) -> i64 {
        self.entered + self.revived - self.ended
    }

    /// How many ended tasks should be kept.
    pub fn finished(&self) -> i64 {
        self.ended - self.revived - self.pruned
    }
}

/// The counts of a lane beside the rows that were found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LaneCount {
    /// The job; empty if the lane itself has vanished.
    pub job_name: String,
    /// Who asked.
    pub source: String,
    /// The only host that may run them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// What was counted.
    pub counts: Counts,
    /// Rows of tasks that wait or run.
    pub live: i64,
    /// Rows of tasks that have ended.
    pub finished: i64,
}

impl LaneCount {
    /// Tasks that should be waiting or running and are not there; negative if there are too many.
    pub fn missing_live(&self) -> i64 {
        self.counts.live() - self.live
    }

    /// Ended tasks that should be kept and are not there; negative if there are too many.
    pub fn missing_finished(&self) -> i64 {
        self.counts.finished() - self.finished
    }

    /// By how many tasks counts and rows differ.
    pub fn difference(&self) -> u64 {
        self.missing_live().unsigned_abs() + self.missing_finished().unsigned_abs()
    }
}

/// A task whose envelope is there while its row is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LostTask {
    /// The task.
    pub task_id: TaskId,
    /// Its job.
    pub job_name: String,
    /// Who asked.
    pub source: String,
}

/// Whether every task that was stored is still accounted for, all seen at one moment.
///
/// Per lane, `entered + revived - ended` is the number of tasks that wait or run, and
/// `ended - revived - pruned` is the number of ended ones; each row of either kind has an envelope,
/// and each envelope that was not pruned has a row.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Conservation {
    /// Every lane, by job, source and host.
    pub lanes: Vec<LaneCount>,
    /// Envelopes without a row.
    pub without_row: u64,
    /// The oldest of them, [`MAX_LOST`] at the most.
    pub lost: Vec<LostTask>,
    /// Rows without an envelope.
    pub without_envelope: u64,
    /// Tasks with a row among those that wait or run, and another among the ended ones.
    pub twice: u64,
    /// Tasks that wait or run in a state or a lane that nobody looks at.
    pub misplaced: u64,
}

impl Conservation {
    /// Whether nothing has vanished and nothing is there that never came.
    pub fn holds(&self) -> bool {
        self.elsewhere() == 0 && self.broken().next().is_none()
    }

    /// Tasks that are wrong in a way that no count of a lane need show.
    pub fn elsewhere(&self) -> u64 {
        let worse = self.without_row.max(self.without_envelope);
        worse.max(self.twice).max(self.misplaced)
    }

    /// The lanes whose rows are not what was counted.
    pub fn broken(&self) -> impl Iterator<Item = &LaneCount> {
        self.lanes.iter().filter(|lane| lane.difference() > 0)
    }
}

/// What [`crate::TaskStore::reconcile`] changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reconciled {
    /// Lost tasks that are among the dead letters now.
    pub discarded: u64,
    /// Rows that were deleted: those without an envelope, with nothing left to run or to show, and
    /// those of tasks that have ended.
    pub removed: u64,
    /// Tasks that are back in their lane.
    pub moved: u64,
    /// Lanes whose counts were set to what their rows say.
    pub lanes: u64,
}
