//! `check --conservation`: whether every task that was ever stored is accounted for.

use anyhow::Result;
use tasks::{Conservation, LaneCount, Reconciled};

use crate::accounts;
use crate::cli::{Exit, Invocation, exit};

/// Calls that reconcile at the most; each handles a bounded number of tasks.
const MAX_CALLS: u32 = 1_000;

pub(super) async fn execute(invocation: &Invocation, reconcile: bool) -> Result<Exit> {
    let app = invocation.open().await?;
    let output = invocation.output;
    let mut done = Reconciled::default();
    if reconcile {
        for _ in 0..MAX_CALLS {
            let step = app.store.reconcile().await.map_err(exit::of_store)?;
            if step == Reconciled::default() {
                break;
            }
            done.discarded += step.discarded;
            done.removed += step.removed;
            done.moved += step.moved;
            done.lanes += step.lanes;
        }
    }
    let found = app.store.conservation().await.map_err(exit::of_store)?;
    let problems = accounts::problems(&found);
    if output.is_json() {
        let done = reconcile.then_some(done);
        output.json(&serde_json::json!({
            "ok": found.holds(), "problems": problems, "conservation": found, "reconciled": done,
        }));
    } else {
        if reconcile {
            let Reconciled { discarded, removed, moved, lanes } = done;
            output.line(&format!(
                "{discarded} tasks without a sound row are dead letters, {removed} rows without an \
                 envelope or of ended tasks were deleted, {moved} tasks are back in their lane, \
                 counts of {lanes} lanes were set anew"
            ));
        }
        show(invocation, &found);
        for problem in &problems {
            output.line(&format!("FAILED  {}", crate::cli::output::printable(problem)));
        }
        if problems.is_empty() {
            output.line("ok      every task is accounted for");
        } else {
            output.line(&format!("        {}", accounts::REMEDY));
        }
    }
    Ok(if problems.is_empty() { Exit::Completed } else { Exit::Failed })
}

fn show(invocation: &Invocation, found: &Conservation) {
    let head = [
        "job",
        "source",
        "host",
        "entered",
        "ended",
        "revived",
        "pruned",
        "live",
        "finished",
        "difference",
    ];
    let rows: Vec<Vec<String>> = found.lanes.iter().map(row).collect();
    if !rows.is_empty() {
        invocation.output.table(&head, &rows);
    }
}

fn row(lane: &LaneCount) -> Vec<String> {
    let LaneCount { job_name, source, host, counts, live, finished } = lane;
    let mut cells = vec![job_name.clone(), source.clone(), host.clone().unwrap_or_default()];
    let tasks::Counts { entered, ended, revived, pruned } = counts;
    cells.extend([entered, ended, revived, pruned, live, finished].map(i64::to_string));
    cells.push(lane.difference().to_string());
    cells
}
