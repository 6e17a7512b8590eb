//! `main-worker billing preview`.

use std::collections::BTreeSet;

use anyhow::Result;
use billing::Totals;
use jobs::{Preview, PreviewRow};
use serde_json::{Value, json};
use values::{Currency, Month};

use super::sheet::Sheet;
use super::{Of, amount, of_job};
use crate::app::App;
use crate::cli::{Exit, Invocation, Output};

/// The section without which customers pay by transfer.
const SECTION: &str = "payments";

pub(super) async fn execute(invocation: &Invocation, of: Of) -> Result<Exit> {
    let app = invocation.open().await?;
    let preview = read(&app, of.month).await?;
    let mut sheet = Sheet::new(&[
        "ACCOUNT",
        "NAME",
        "OUTCOME",
        "CURRENCY",
        "LIST PRICE",
        "NET",
        "TAX",
        "CREDIT",
        "TOTAL",
        "CHARGE",
    ]);
    for PreviewRow { account, name, outcome, bill, charge } in &preview.rows {
        let mut row = vec![account.to_string(), name.clone(), outcome.clone()];
        match bill {
            None => row.extend(std::iter::repeat_n("-".to_owned(), 7)),
            Some(bill) => {
                row.push(bill.total.currency.to_string());
                let charge = charge.map_or(0, |charge| charge.minor);
                let figures = [bill.list_price, bill.amount, bill.tax, bill.credit, bill.total];
                let figures = figures.map(|figure| figure.minor).into_iter().chain([charge]);
                row.extend(figures.map(|minor| amount(minor.into())));
            }
        }
        sheet.add(row);
    }
    sheet.print(invocation.output, of.csv, &as_json(of.month, &preview), "nothing is to be billed");
    if !of.csv && !invocation.output.is_json() {
        tell(invocation.output, &preview);
    }
    Ok(Exit::Completed)
}

/// Works a month out as its run would.
pub(super) async fn read(app: &App, month: Month) -> Result<Preview> {
    let by_hand = !app.sections.contains_key(SECTION);
    let now = app.clock.now();
    jobs::preview_month(&app.db, &app.manifest, month, by_hand, now)
        .await
        .map_err(|error| of_job(&error))
}

fn tell(output: Output, preview: &Preview) {
    for (reason, count) in &preview.without_cost {
        output.line(&format!("{count} accounts without cost: {reason}"));
    }
    for line in difference(&preview.totals, preview.last.as_ref()) {
        output.line(&line);
    }
    for (currency, minor) in preview.charges() {
        output.line(&format!("to be charged or transferred: {} {currency}", amount(minor.into())));
    }
    output.line(&format!("the run: {}", preview.release));
}

/// What the totals are, and how far they moved from the month before.
pub(super) fn difference(totals: &Totals, last: Option<&Totals>) -> Vec<String> {
    let mut lines = Vec::new();
    let none = Totals::new();
    let last_totals = last.unwrap_or(&none);
    let currencies: BTreeSet<Currency> = totals.keys().chain(last_totals.keys()).copied().collect();
    for currency in currencies {
        let of = |totals: &Totals| i128::from(totals.get(&currency).copied().unwrap_or(0));
        let (now, before) = (of(totals), of(last_totals));
        let moved = now - before;
        let share = match before {
            0 => String::new(),
            _ => format!(", {} %", amount(moved * 10_000 / before)),
        };
        lines.push(match last {
            None => format!("net total: {} {currency}; no month before", amount(now)),
            Some(_) => format!(
                "net total: {} {currency}; month before: {}; moved by {}{share}",
                amount(now),
                amount(before),
                amount(moved)
            ),
        });
    }
    lines
}

fn as_json(month: Month, preview: &Preview) -> Value {
    let rows = preview.rows.iter().map(|row| {
        json!({ "accountId": row.account, "name": row.name, "outcome": row.outcome,
            "bill": row.bill, "charge": row.charge })
    });
    json!({
        "month": month,
        "rows": rows.collect::<Vec<_>>(),
        "withoutCost": preview.without_cost,
        "totals": preview.totals,
        "lastTotals": preview.last,
        "charges": preview.charges(),
        "release": preview.release.as_str(),
    })
}
