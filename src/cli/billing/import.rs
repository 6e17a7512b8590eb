//! `main-worker billing import`: to whom bills go, what pays them, and what was paid elsewhere.

use std::path::Path;

use anyhow::{Context, Result};
use billing::{AccountPlans, Bill, Due, RecordState};
use database::Tx;
use models::accounts;
use models::billing::{self as money, BillingDetails, BillingRecord, PaymentCard};
use serde::Deserialize;
use serde_json::json;
use values::{AccountId, Currency, Money, Month, Timestamp};

use super::lines;
use crate::cli::{Exit, Invocation};

/// One line of the file.
#[derive(Debug, Deserialize)]
#[serde(
    tag = "kind",
    rename_all = "camelCase",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
enum Line {
    /// To whom its bills are made out.
    Details { account_id: AccountId, details: BillingDetails },
    /// A card, as the gateway knows it.
    Card {
        account_id: AccountId,
        customer: String,
        card: String,
        brand: String,
        last4: String,
        valid_through: Month,
        #[serde(default)]
        deleted_at: Option<Timestamp>,
    },
    /// A month that another system has settled: it is never billed here.
    Month {
        account_id: AccountId,
        month: Month,
        state: Settled,
        total_minor: i64,
        currency: Currency,
    },
}

/// How a month was settled elsewhere.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Settled {
    Paid,
    Waived,
}

pub(super) async fn execute(invocation: &Invocation, file: &Path) -> Result<Exit> {
    let lines = lines(file)?;
    let app = invocation.open().await?;
    let now = app.clock.now();
    let mut transaction = app.db.begin().await?;
    let (mut stored, mut known) = (0_u64, 0_u64);
    for (number, line) in lines {
        let told = || format!("line {number} of {}; nothing is stored", file.display());
        let line: Line = serde_json::from_str(&line)
            .with_context(told)
            .map_err(|error| error.context(Exit::Rejected))?;
        let is_new = store(&mut transaction.tx(), line, now).await.with_context(told)?;
        if is_new {
            stored += 1;
        } else {
            known += 1;
        }
    }
    transaction.commit().await?;
    if invocation.output.is_json() {
        invocation.output.json(&json!({ "stored": stored, "known": known }));
    } else {
        invocation.output.line(&format!("{stored} lines stored, {known} known already"));
    }
    Ok(Exit::Completed)
}

/// Stores a line; `false` for a month that has a record.
async fn store(tx: &mut Tx<'_>, line: Line, now: Timestamp) -> Result<bool> {
    let (Line::Details { account_id, .. }
    | Line::Card { account_id, .. }
    | Line::Month { account_id, .. }) = &line;
    let account = accounts::get(&mut *tx, *account_id).await?;
    anyhow::ensure!(
        account.is_some(),
        anyhow::anyhow!("there is no account {account_id}; import accounts first")
            .context(Exit::Rejected)
    );
    match line {
        Line::Details { account_id, details } => {
            money::set_details(tx, account_id, &details, now).await?;
        }
        Line::Card { account_id, customer, card, brand, last4, valid_through, deleted_at } => {
            money::set_customer(tx, account_id, &customer, now).await?;
            let card =
                PaymentCard { id: card, brand, last4, valid_through, created_at: now, deleted_at };
            money::set_card(tx, account_id, &card).await?;
        }
        Line::Month { account_id, month, state, total_minor, currency } => {
            let total = Money { minor: total_minor, currency };
            anyhow::ensure!(total_minor >= 0, "totalMinor is below zero");
            if money::record(&mut *tx, account_id, month).await?.is_some() {
                return Ok(false);
            }
            money::insert_record(tx, &settled(account_id, month, state, total, now)).await?;
        }
    }
    Ok(true)
}

fn settled(
    account: AccountId,
    month: Month,
    state: Settled,
    total: Money,
    now: Timestamp,
) -> BillingRecord {
    let nothing = Money { minor: 0, ..total };
    BillingRecord {
        account,
        month,
        state: match state {
            Settled::Paid => RecordState::Paid,
            Settled::Waived => RecordState::Waived,
        },
        refusals: 0,
        attempted_at: None,
        grace_until: None,
        carried_into: None,
        reason: "settled_elsewhere".to_owned(),
        bill: Bill {
            month,
            list_price: total,
            prorated: false,
            amount: total,
            lines: Vec::new(),
            tax: nothing,
            credit: nothing,
            total,
            due: Due::Nothing,
        },
        plans: AccountPlans::default(),
        created_at: now,
    }
}
