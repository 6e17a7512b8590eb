//! `main-worker billing preview`.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use billing::{Bill, RecordState, Total, Totals};
use jobs::{Preview, PreviewRow};
use models::billing::{self as money, SettledTotal};
use serde_json::{Value, json};
use values::{Currency, Month};

use super::sheet::Sheet;
use super::{Of, amount, of_job, shown};
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
    let around = Around::read(&app, of.month).await?;
    let json = as_json(of.month, &preview, &around);
    sheet.print(invocation.output, of.csv, &json, "nothing is to be billed");
    if !of.csv && !invocation.output.is_json() {
        tell(invocation.output, &preview, &around);
    }
    Ok(Exit::Completed)
}

/// What is to be known beside a month's bills.
struct Around {
    /// What is settled already, here or elsewhere, and so in no row.
    settled: Vec<SettledTotal>,
    /// Why nothing is charged at all.
    stopped: Option<String>,
}

impl Around {
    async fn read(app: &App, month: Month) -> Result<Self> {
        let settled = money::settled_of_month(&app.db, month).await?.into_iter();
        let is_over = |of: &SettledTotal| match of.state {
            RecordState::Paid
            | RecordState::Waived
            | RecordState::CarriedOver
            | RecordState::NoCard => true,
            RecordState::Pending | RecordState::Failed => false,
        };
        Ok(Self {
            settled: settled.filter(is_over).collect(),
            stopped: money::charges_stopped(&app.db).await?,
        })
    }
}

/// Works a month out as its run would.
pub(super) async fn read(app: &App, month: Month) -> Result<Preview> {
    let by_hand = !app.sections.contains_key(SECTION);
    let now = app.clock.now();
    jobs::preview_month(&app.db, &app.manifest, month, by_hand, now)
        .await
        .map_err(|error| of_job(&error))
}

fn tell(output: Output, preview: &Preview, around: &Around) {
    for SettledTotal { state, accounts, total } in &around.settled {
        output.line(&format!("{accounts} accounts have a record: {state}, {}", shown(*total)));
    }
    for (reason, count) in &preview.without_cost {
        output.line(&format!("{count} accounts without cost: {reason}"));
    }
    for line in difference(&preview.totals, preview.last.as_ref()) {
        output.line(&line);
    }
    for (currency, minor) in preview.charges() {
        output.line(&format!("to be charged or transferred: {} {currency}", amount(minor.into())));
    }
    if let Some(at) = preview.released_at {
        output.line(&format!(
            "the run was released at {at}; the rows are what was billed, and `charge` what is open"
        ));
    }
    output.line(&match (&preview.no_run, &around.stopped) {
        (Some(why), _) => format!("the run: none; {why}"),
        (None, Some(reason)) => format!("the run: stopped; {}", stopped(reason)),
        (None, None) => format!("the run: {}", preview.release),
    });
}

/// Why nothing is charged, and what ends that.
pub(super) fn stopped(reason: &str) -> String {
    format!("`{reason}`; `main-worker billing resume` lets charges go on")
}

/// What the totals are, and how far they moved from the month before.
pub(super) fn difference(totals: &Totals, last: Option<&Totals>) -> Vec<String> {
    let mut lines = Vec::new();
    let none = Totals::new();
    let last_totals = last.unwrap_or(&none);
    let currencies: BTreeSet<Currency> = totals.keys().chain(last_totals.keys()).copied().collect();
    for currency in currencies {
        let of = |totals: &Totals| totals.get(&currency).copied().unwrap_or_default();
        let (now, before) = (of(totals), of(last_totals));
        let mut figures = vec![("net total", now.net_minor.into(), before.net_minor.into())];
        if now.tax_minor != 0 || before.tax_minor != 0 {
            figures.push(("with tax", now.gross_minor(), before.gross_minor()));
        }
        for (name, now, before) in figures {
            let moved: i128 = now - before;
            let share = match before {
                0 => String::new(),
                _ => format!(", {} %", amount(moved * 10_000 / before)),
            };
            lines.push(match last {
                None => format!("{name}: {} {currency}; no month before", amount(now)),
                Some(_) => format!(
                    "{name}: {} {currency}; month before: {}; moved by {}{share}",
                    amount(now),
                    amount(before),
                    amount(moved)
                ),
            });
        }
    }
    lines
}

/// Totals without tax, as JSON shows them.
pub(super) fn net(totals: &Totals) -> BTreeMap<Currency, i64> {
    totals.iter().map(|(currency, total)| (*currency, total.net_minor)).collect()
}

/// Totals with tax, as JSON shows them; one beyond 63 bits is none of bills that were written.
pub(super) fn gross(totals: &Totals) -> BTreeMap<Currency, i64> {
    let minor = |total: &Total| i64::try_from(total.gross_minor()).unwrap_or(i64::MAX);
    totals.iter().map(|(currency, total)| (*currency, minor(total))).collect()
}

fn as_json(month: Month, preview: &Preview, around: &Around) -> Value {
    let bill = |bill: &Bill| {
        json!({ "currency": bill.total.currency, "listPriceMinor": bill.list_price.minor,
            "netMinor": bill.amount.minor, "taxMinor": bill.tax.minor,
            "creditMinor": bill.credit.minor, "totalMinor": bill.total.minor })
    };
    let rows = preview.rows.iter().map(|row| {
        json!({ "accountId": row.account, "name": row.name, "outcome": row.outcome,
            "bill": row.bill.as_ref().map(bill), "charge": row.charge })
    });
    let settled = around.settled.iter().map(|SettledTotal { state, accounts, total }| {
        json!({ "state": state.as_str(), "accounts": accounts, "total": total })
    });
    json!({
        "month": month,
        "rows": rows.collect::<Vec<_>>(),
        "withoutCost": preview.without_cost,
        "totals": net(&preview.totals),
        "grossTotals": gross(&preview.totals),
        "lastTotals": preview.last.as_ref().map(net),
        "lastGrossTotals": preview.last.as_ref().map(gross),
        "releasedAt": preview.released_at,
        "charges": preview.charges(),
        "settled": settled.collect::<Vec<_>>(),
        "release": preview.release.as_str(),
        "noRun": preview.no_run,
        "stopped": around.stopped,
    })
}
