//! `main-worker billing approve`, `stop` and `resume`.

use anyhow::{Context, Result, anyhow};
use contract::billing::CloseMonth;
use models::billing as money;
use scheduling::TaskOptions;
use serde_json::json;
use values::Month;

use super::{of_job, preview};
use crate::cli::{Exit, Invocation};

/// Shows the totals of a run that waits, and with a name approves them and lets the run go on.
pub(super) async fn approve(
    invocation: &Invocation,
    month: Month,
    by: Option<&str>,
) -> Result<Exit> {
    let app = invocation.open().await?;
    let output = invocation.output;
    let Some(run) = money::run(&app.db, month).await? else {
        let now = app.clock.now();
        let no_run = jobs::no_run(&app.manifest, month, now).map_err(|error| of_job(&error))?;
        if let Some(why) = no_run {
            return Err(anyhow!("no run of {month} comes: {why}").context(Exit::Rejected));
        }
        if let Some(reason) = money::charges_stopped(&app.db).await? {
            output.note(&format!("all charges are stopped: {}", preview::stopped(&reason)));
        }
        let told = format!(
            "no run of {month} waits; it comes with the next billing/close_month, or at once: \
             main-worker enqueue billing/close_month '{{\"month\":\"{month}\"}}'"
        );
        return Err(anyhow!(told).context(Exit::Rejected));
    };
    let last = match month.previous() {
        Some(last) => money::run(&app.db, last).await?.filter(|run| run.released_at.is_some()),
        None => None,
    };
    let last = last.map(|run| run.totals);
    let stopped = money::charges_stopped(&app.db).await?;
    if !output.is_json() {
        for line in preview::difference(&run.totals, last.as_ref()) {
            output.line(&line);
        }
        if let Some(reason) = &stopped {
            output.line(&format!("all charges are stopped: {}", preview::stopped(reason)));
        }
    }
    let mut answer = json!({ "month": month,
        "totals": preview::net(&run.totals), "grossTotals": preview::gross(&run.totals),
        "lastTotals": last.as_ref().map(preview::net),
        "lastGrossTotals": last.as_ref().map(preview::gross),
        "release": run.release.as_str(), "releasedAt": run.released_at, "stopped": stopped });
    let told = match (run.released_at, by) {
        (Some(at), _) => format!("the run of {month} was released at {at}"),
        (None, None) => format!(
            "the run of {month} waits: {}; approve these totals with --by NAME",
            run.release
        ),
        (None, Some(by)) => {
            let mut transaction = app.db.begin().await?;
            let tx = &mut transaction.tx();
            money::approve(tx, month, &run.totals, by, app.clock.now()).await?;
            transaction.commit().await?;
            let producer = app.producer("operator").map_err(|e| e.context(Exit::Settings))?;
            let close = CloseMonth { month: Some(month), after: None };
            let task = producer.enqueue(&close, TaskOptions::default()).await;
            let task = task.context("the totals are approved; the run goes on by its schedule")?;
            answer["approvedBy"] = by.into();
            answer["taskId"] = json!(task.task_id);
            format!("approved by {by}; the run goes on as {}", task.task_id)
        }
    };
    if output.is_json() {
        output.json(&answer);
    } else {
        output.line(&told);
    }
    Ok(Exit::Completed)
}

/// Pulls the kill switch, or lets it go.
pub(super) async fn stop(invocation: &Invocation, reason: Option<&str>) -> Result<Exit> {
    let app = invocation.open().await?;
    let mut transaction = app.db.begin().await?;
    money::stop_charges(&mut transaction.tx(), reason, app.clock.now()).await?;
    transaction.commit().await?;
    if invocation.output.is_json() {
        invocation.output.json(&json!({ "stopped": reason.is_some(), "reason": reason }));
    } else {
        invocation.output.line(match reason {
            Some(_) => "all charges are stopped; those the gateway has begun come to their end",
            None => "charges go on; months that waited are taken up within a quarter of an hour",
        });
    }
    Ok(Exit::Completed)
}
