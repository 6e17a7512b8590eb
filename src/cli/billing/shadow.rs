//! `main-worker billing compare`: a month beside the invoices of another system.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use models::billing as money;
use serde::Deserialize;
use serde_json::json;
use values::{AccountId, Currency, Money};

use super::sheet::Sheet;
use super::{Of, lines, preview, shown};
use crate::cli::{Exit, Invocation};

/// Records that are read at a time.
const PAGE: u32 = 1_000;
/// Pages at the most.
const PAGES_MAX: u32 = 100_000;

/// Why an account has no row: a free plan, no account, one that a marketplace bills, and the like.
const NOTHING_DUE: &str = "nothing is due";

/// An invoice of the other system.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Theirs {
    account_id: AccountId,
    total_minor: i64,
    currency: Currency,
}

pub(super) async fn execute(invocation: &Invocation, of: Of, file: &Path) -> Result<Exit> {
    let mut theirs: BTreeMap<AccountId, Money> = BTreeMap::new();
    for (number, line) in lines(file)? {
        let Theirs { account_id, total_minor, currency } = serde_json::from_str(&line)
            .with_context(|| format!("line {number} of {}", file.display()))
            .map_err(|error| error.context(Exit::Rejected))?;
        let total = Money { minor: total_minor, currency };
        anyhow::ensure!(
            theirs.insert(account_id, total).is_none(),
            anyhow::anyhow!("line {number}: {account_id} is there twice").context(Exit::Rejected)
        );
    }
    let app = invocation.open().await?;
    let mut ours: BTreeMap<AccountId, Money> = BTreeMap::new();
    let mut why: BTreeMap<AccountId, String> = BTreeMap::new();
    for row in preview::read(&app, of.month).await?.rows {
        ours.extend(row.bill.filter(|bill| bill.total.minor > 0).map(|b| (row.account, b.total)));
        why.insert(row.account, row.outcome);
    }
    // Months that are settled already are in no preview.
    let mut after = None;
    for _ in 0..PAGES_MAX {
        let page = money::records_of_month(&app.db, of.month, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.account);
        why.extend(page.iter().map(|record| (record.account, record.state.to_string())));
        let billed = page.into_iter().filter(|record| record.bill.total.minor > 0);
        ours.extend(billed.map(|record| (record.account, record.bill.total)));
    }
    let mut accounts: Vec<AccountId> = ours.keys().chain(theirs.keys()).copied().collect();
    accounts.sort_unstable();
    accounts.dedup();
    let mut sheet = Sheet::new(&["ACCOUNT", "THEIRS", "OURS", "WHY OURS"]);
    let mut differences = Vec::new();
    for account in &accounts {
        let (old, new) = (theirs.get(account), ours.get(account));
        if old != new {
            let cell = |money: Option<&Money>| money.map_or("-".to_owned(), |money| shown(*money));
            let why = why.get(account).map_or(NOTHING_DUE, String::as_str);
            sheet.add(vec![account.to_string(), cell(old), cell(new), why.to_owned()]);
            differences
                .push(json!({ "accountId": account, "theirs": old, "ours": new, "why": why }));
        }
    }
    let count = differences.len();
    let json = json!({ "month": of.month, "accounts": accounts.len(), "differences": differences });
    sheet.print(invocation.output, of.csv, &json, "no differences");
    if !of.csv && !invocation.output.is_json() {
        let told =
            format!("{} accounts compared, {count} differ; nothing was charged", accounts.len());
        invocation.output.line(&told);
    }
    Ok(if count == 0 { Exit::Completed } else { Exit::Failed })
}
