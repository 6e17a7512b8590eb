//! `check --against`: which waiting tasks of another database this release would not run.

use std::collections::BTreeMap;

use admission::Rejection;
use anyhow::{Result, anyhow};
use serde_json::json;
use values::{Secret, TaskId};

use crate::app::{App, Opening};
use crate::cli::{Exit, Invocation, exit};
use crate::settings::DATABASE_URL;
use crate::storage::Access;
use crate::work::{Standing, admit_stored};

/// Tasks read at a time.
const PAGE: u32 = 500;
/// Pages read at the most; more tasks than these wait nowhere.
const MAX_PAGES: u32 = 1_000_000;
/// Ids shown to people for each kind; programs get all of them.
const SHOWN: usize = 100;

/// Tasks that are refused for the same reason.
#[derive(Debug)]
struct Kind {
    /// Whether another release may still run them.
    held: bool,
    /// What is wrong with the first of them, and what to change.
    message: String,
    tasks: Vec<TaskId>,
}

/// Refused tasks by code, job and source.
type Kinds = BTreeMap<(String, String, String), Kind>;

/// Looks at the database that a URL or a path names, or at the configured one, and changes nothing
/// in it.
pub(super) async fn execute(invocation: &Invocation, other: Option<&str>) -> Result<Exit> {
    let mut invocation = invocation.clone();
    if let Some(other) = other {
        let is_url = other.contains("://") || other.starts_with("sqlite:");
        if is_url && has_password(other) {
            let error = anyhow!(
                "every user of this machine can read a password on the command line; put the URL \
                 into {}, and leave the value of --against out",
                DATABASE_URL.name
            );
            return Err(error.context(Exit::Usage));
        }
        let url = if is_url { other.to_owned() } else { format!("sqlite:{other}") };
        invocation.settings.database_url = Some(Secret::new(url));
        invocation.settings.database_listen_url = None;
    }
    let location = invocation.location()?;
    let patience = std::time::Duration::ZERO;
    let app = invocation.open_at(Opening { location, access: Access::Look, patience }).await?;
    let (looked, kinds) = look(&app).await?;
    show(&invocation, &app, looked, &kinds);
    Ok(if kinds.is_empty() { Exit::Completed } else { Exit::Rejected })
}

/// Whether a URL names a password: before its host, or among its options.
fn has_password(url: &str) -> bool {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let (place, options) = rest.split_once('?').unwrap_or((rest, ""));
    let user = place.rsplit_once('@').map_or("", |(user, _)| user);
    user.contains(':') || options.split('&').any(|option| option.starts_with("password="))
}

/// Judges every waiting task as a worker of this release would, but runs none.
async fn look(app: &App) -> Result<(u64, Kinds)> {
    let (mut looked, mut kinds, mut after) = (0, Kinds::new(), 0);
    for _ in 0..MAX_PAGES {
        let page = app.store.waiting(after, PAGE).await.map_err(exit::of_store)?;
        let Some(last) = page.last() else { break };
        after = last.row;
        looked += page.len() as u64;
        for waiting in &page {
            let standing = Standing {
                priority: waiting.priority,
                attempt: waiting.attempt.saturating_add(1),
                max_attempts: waiting.max_attempts,
            };
            let Err(rejection) = admit_stored(app, &waiting.task, standing, app.clock.now()) else {
                continue;
            };
            let held = !rejection.ends_at_once();
            let Rejection { code, job_name, source, message, .. } = rejection;
            let kind = kinds.entry((code.to_string(), job_name, source));
            let kind = kind.or_insert(Kind { held, message, tasks: Vec::new() });
            kind.tasks.push(waiting.task.task_id);
        }
    }
    Ok((looked, kinds))
}

fn show(invocation: &Invocation, app: &App, looked: u64, kinds: &Kinds) {
    let (output, place) = (invocation.output, app.location.shown());
    let fate = |kind: &Kind| if kind.held { "held" } else { "rejected" };
    if output.is_json() {
        let refused: Vec<_> = kinds
            .iter()
            .map(|((code, job, source), kind)| {
                json!({
                    "code": code, "jobName": job, "source": source, "fate": fate(kind),
                    "message": kind.message, "count": kind.tasks.len(), "tasks": kind.tasks,
                })
            })
            .collect();
        output.json(&json!({
            "against": place, "release": app.release, "waiting": looked, "ok": kinds.is_empty(),
            "refused": refused,
        }));
        return;
    }
    let refused: usize = kinds.values().map(|kind| kind.tasks.len()).sum();
    if refused == 0 {
        output.line(&format!("this release would run all {looked} tasks that wait in {place}"));
        return;
    }
    output.line(&format!("of {looked} tasks that wait in {place}, {refused} would not run"));
    for ((code, job, source), kind) in kinds {
        let (count, fate) = (kind.tasks.len(), fate(kind));
        output.line(&format!("\n{count} of {job} from {source} would be {fate}: {code}"));
        output.line(&format!("  {}", kind.message));
        for task in kind.tasks.iter().take(SHOWN) {
            output.line(&format!("  {task}"));
        }
        if count > SHOWN {
            output.line(&format!("  and {} more; --output json has all", count - SHOWN));
        }
    }
}
