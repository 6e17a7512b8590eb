//! `monitoring/prune_history`: deletes finished tasks beyond their retention.
//!
//! Ledgers, invoices and effects are not the task store's and stay.

use std::sync::Arc;

use contract::NoConfiguration;
use contract::monitoring::PruneHistory as Payload;
use job::{Context, Job, JobError, NoSettings, Outcome, Services};
use serde::Serialize;
use tasks::{PruneLimits, TaskStore};
use values::Span;

/// Tasks that one transaction deletes.
const TASKS_PER_BATCH: u32 = 500;
/// Transactions of one attempt at the most; the next day's task goes on.
const BATCHES_PER_ATTEMPT: u32 = 20_000;

/// Deletes finished tasks.
pub(crate) struct PruneHistory {
    tasks: Arc<dyn TaskStore>,
    retention_completed: Span,
    retention_discarded: Span,
}

/// What one attempt did.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    /// Tasks deleted.
    deleted: u64,
    /// Whether some are left for the next time.
    more: bool,
}

impl Job for PruneHistory {
    type Payload = Payload;
    type Settings = NoSettings;

    fn new(services: &Services, _: NoSettings) -> Self {
        Self {
            tasks: Arc::clone(&services.tasks),
            retention_completed: services.manifest.worker.retention_completed,
            retention_discarded: services.manifest.worker.retention_discarded,
        }
    }

    async fn run(&self, cx: &Context, _: Payload, _: NoConfiguration) -> Result<Outcome, JobError> {
        let limits = PruneLimits {
            completed_before: cx.now().before(self.retention_completed),
            discarded_before: cx.now().before(self.retention_discarded),
            limit: TASKS_PER_BATCH,
        };
        let mut report = Report { deleted: 0, more: true };
        for _ in 0..BATCHES_PER_ATTEMPT {
            cx.check_cancelled()?;
            let deleted = self.tasks.prune(limits).await?;
            report.deleted += deleted;
            if deleted == 0 {
                report.more = false;
                break;
            }
        }
        tracing::info!(deleted = report.deleted, more = report.more, "history pruned");
        Ok(Outcome::completed(report))
    }
}
