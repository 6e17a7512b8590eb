//! `main-worker billing invoices`: the PDFs of a month, as files.

use std::path::Path;

use anyhow::{Context, Result};
use models::billing as money;
use serde_json::json;
use values::Month;

use crate::cli::{Exit, Invocation};

/// Documents that are read at a time.
const PAGE: u32 = 200;
/// Pages at the most.
const PAGES_MAX: u32 = 100_000;

pub(super) async fn execute(invocation: &Invocation, month: Month, folder: &Path) -> Result<Exit> {
    let app = invocation.open().await?;
    let cannot = || format!("cannot write to {}", folder.display());
    std::fs::create_dir_all(folder).with_context(cannot).map_err(|e| e.context(Exit::Usage))?;
    let (mut written, mut missing, mut after) = (0_u64, 0_u64, String::new());
    for _ in 0..PAGES_MAX {
        let page = money::documents_of_month(&app.db, month, &after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after.clone_from(&last.number);
        for document in page {
            let Some(pdf) = money::file(&app.db, &document.number).await? else {
                missing += 1;
                continue;
            };
            let name: String = document
                .number
                .chars()
                .map(|c| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '_' })
                .collect();
            std::fs::write(folder.join(format!("{name}.pdf")), pdf).with_context(cannot)?;
            written += 1;
        }
    }
    if invocation.output.is_json() {
        let folder = folder.display().to_string();
        invocation
            .output
            .json(&json!({ "written": written, "missing": missing, "folder": folder }));
    } else {
        let told = format!("{written} PDFs written to {}", folder.display());
        invocation.output.line(&match missing {
            0 => told,
            _ => format!("{told}; {missing} are not made yet"),
        });
    }
    Ok(Exit::Completed)
}
