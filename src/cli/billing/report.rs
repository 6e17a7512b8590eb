//! `main-worker billing report`: what became of a month, held against the ledger.

use std::collections::BTreeMap;

use anyhow::Result;
use billing::LedgerAccount;
use database::Db;
use models::billing::{self as money, DocumentKind};
use serde::Serialize;
use serde_json::json;
use values::{Currency, Month, Span, Timestamp};

use super::sheet::Sheet;
use super::{Of, amount};
use crate::cli::{Exit, Invocation};

/// Rows that are read at a time.
const PAGE: u32 = 1_000;
/// Pages of one list at the most.
const PAGES_MAX: u32 = 100_000;
/// The part of what is open: of all months, as of now.
const RECEIVABLE: &str = "receivable of all months";
/// The ages of receivables: days after the due date, and what a line is called.
const AGES: [(u32, &str); 4] =
    [(0, "not due"), (30, "1-30 days"), (60, "31-60 days"), (90, "61-90 days")];

/// A sum by what it is about.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Sum {
    count: u64,
    net_minor: i64,
    tax_minor: i64,
    gross_minor: i64,
}

type Sums = BTreeMap<(Currency, String), Sum>;

/// What the report says.
#[derive(Debug, Default)]
struct Report {
    /// Months by the state of their record.
    states: Sums,
    /// Revenue and tax by country: invoices less credit notes.
    countries: Sums,
    /// What is open of all months, by age.
    receivables: Sums,
}

pub(super) async fn execute(invocation: &Invocation, of: Of) -> Result<Exit> {
    let app = invocation.open().await?;
    let report = read(&app.db, of.month, app.clock.now()).await?;
    let problems = reconcile(&app.db, of.month, &report).await?;
    let mut sheet = Sheet::new(&["PART", "OF", "CURRENCY", "COUNT", "NET", "TAX", "GROSS"]);
    let parts = [
        ("state", &report.states),
        ("country", &report.countries),
        (RECEIVABLE, &report.receivables),
    ];
    for (part, sums) in parts {
        for ((currency, of), sum) in sums {
            // What is open of an invoice is neither net nor tax.
            let split =
                |minor: i64| if part == RECEIVABLE { String::new() } else { amount(minor.into()) };
            sheet.add(vec![
                part.to_owned(),
                of.clone(),
                currency.to_string(),
                sum.count.to_string(),
                split(sum.net_minor),
                split(sum.tax_minor),
                amount(sum.gross_minor.into()),
            ]);
        }
    }
    let list = |sums: &Sums| {
        let entry = |((currency, of), sum): (&(Currency, String), &Sum)| json!({ "of": of, "currency": currency, "sum": sum });
        sums.iter().map(entry).collect::<Vec<_>>()
    };
    let json = json!({
        "month": of.month,
        "states": list(&report.states),
        "countries": list(&report.countries),
        "receivables": list(&report.receivables),
        "problems": problems,
    });
    sheet.print(invocation.output, of.csv, &json, "nothing was billed for that month");
    for problem in &problems {
        invocation.output.error(problem);
    }
    Ok(if problems.is_empty() { Exit::Completed } else { Exit::Failed })
}

async fn read(db: &Db, month: Month, now: Timestamp) -> Result<Report> {
    let mut report = Report::default();
    let mut after = None;
    for _ in 0..PAGES_MAX {
        let page = money::records_of_month(db, month, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.account);
        for record in page {
            let key = (record.bill.total.currency, record.state.to_string());
            let net = record.bill.total.minor - record.bill.tax.minor;
            report.states.entry(key).or_default().add(net, record.bill.tax.minor, 1)?;
        }
    }
    let mut after = String::new();
    for _ in 0..PAGES_MAX {
        let page = money::documents_of_month(db, month, &after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after.clone_from(&last.number);
        for document in page {
            let country = document.details.country.unwrap_or_else(|| "unknown".to_owned());
            let key = (document.balance.net.currency, country);
            let sign = if document.kind == DocumentKind::CreditNote { -1 } else { 1 };
            let (net, tax) = (document.balance.net.minor, document.balance.tax.minor);
            report.countries.entry(key).or_default().add(net, tax, sign)?;
        }
    }
    let mut after = String::new();
    for _ in 0..PAGES_MAX {
        let page = money::open_invoices(db, &after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after.clone_from(&last.number);
        for invoice in page {
            let open = invoice.balance.open()?;
            let key = (open.currency, age(invoice.due_at, open.minor, now).to_owned());
            report.receivables.entry(key).or_default().add(open.minor, 0, 1)?;
        }
    }
    Ok(report)
}

impl Sum {
    /// Adds an amount, or takes one off with a `sign` of -1.
    fn add(&mut self, net: i64, tax: i64, sign: i64) -> Result<()> {
        let sum = |sum: i64, minor: i64| sum.checked_add(minor.checked_mul(sign)?);
        let (net_minor, tax_minor) = (sum(self.net_minor, net), sum(self.tax_minor, tax));
        let gross = net.checked_add(tax).and_then(|gross| sum(self.gross_minor, gross));
        let (Some(net_minor), Some(tax_minor), Some(gross_minor)) = (net_minor, tax_minor, gross)
        else {
            anyhow::bail!("amounts add up to more than 63 bits hold; correct or delete the records")
        };
        *self = Self { count: self.count + 1, net_minor, tax_minor, gross_minor };
        Ok(())
    }
}

/// How old a receivable is; what customers have to their credit is no receivable.
fn age(due_at: Timestamp, open_minor: i64, now: Timestamp) -> &'static str {
    if open_minor < 0 {
        return "credit of customers";
    }
    let late = now.since(due_at);
    let age = AGES.iter().find(|(days, _)| late <= Span::from_days(*days));
    age.map_or("older", |(_, name)| name)
}

/// Holds the report against the ledger; every difference is a fault.
async fn reconcile(db: &Db, month: Month, report: &Report) -> Result<Vec<String>> {
    let of_month = money::balances(db, Some(month)).await?;
    let all = money::balances(db, None).await?;
    let total = |sums: &Sums, currency, part: fn(&Sum) -> i64| -> i128 {
        let of_currency = sums.iter().filter(|((of, _), _)| *of == currency);
        of_currency.map(|(_, sum)| i128::from(part(sum))).sum()
    };
    let mut problems = Vec::new();
    for currency in all.currencies() {
        let checks = [
            (
                "revenue",
                -of_month.of(LedgerAccount::Revenue, currency),
                total(&report.countries, currency, |sum| sum.net_minor),
            ),
            (
                "tax",
                -of_month.of(LedgerAccount::Tax, currency),
                total(&report.countries, currency, |sum| sum.tax_minor),
            ),
            (
                "receivables",
                all.of(LedgerAccount::Receivable, currency),
                total(&report.receivables, currency, |sum| sum.gross_minor),
            ),
            ("the sum of all accounts", all.difference(currency), 0),
        ];
        for (what, ledger, documents) in checks {
            if ledger != documents {
                problems.push(format!(
                    "{what} in {currency}: the ledger says {}, the documents say {}",
                    amount(ledger),
                    amount(documents)
                ));
            }
        }
    }
    Ok(problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_beyond_what_a_figure_holds_is_an_error() {
        let mut sum = Sum::default();
        sum.add(i64::MAX - 19, 19, 1).unwrap();
        assert_eq!((sum.count, sum.gross_minor), (1, i64::MAX));
        for (net, tax, sign) in [(1, 0, 1), (0, 1, 1), (i64::MAX, 1, -1), (i64::MIN, 0, -1)] {
            let error = sum.add(net, tax, sign).unwrap_err();
            assert!(error.to_string().contains("63 bits"), "{error}");
        }
        assert_eq!((sum.count, sum.net_minor), (1, i64::MAX - 19));
        serde_json::to_value(&sum).unwrap();
        sum.add(i64::MAX - 19, 19, -1).unwrap();
        assert_eq!((sum.count, sum.net_minor, sum.tax_minor, sum.gross_minor), (2, 0, 0, 0));
    }

    #[test]
    fn receivables_have_an_age() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let due = at("2026-11-17T00:00:00Z");
        let check = |now: &str, name| assert_eq!(age(due, 1, at(now)), name, "{now}");
        check("2026-11-16T00:00:00Z", "not due");
        check("2026-11-17T00:00:00Z", "not due");
        check("2026-11-17T00:00:01Z", "1-30 days");
        check("2026-12-17T00:00:00Z", "1-30 days");
        check("2027-01-16T00:00:00Z", "31-60 days");
        check("2027-02-15T00:00:00Z", "61-90 days");
        check("2027-02-15T00:00:01Z", "older");
        assert_eq!(age(due, -1, due), "credit of customers");
    }
}
