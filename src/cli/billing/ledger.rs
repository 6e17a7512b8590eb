//! `main-worker billing ledger`: sums, and the export for the accounts department.

use anyhow::Result;
use billing::LedgerAccount;
use models::billing::{self as money, BookLine};
use serde_json::json;

use super::sheet::Sheet;
use super::{Of, amount};
use crate::cli::{Exit, Invocation};

/// Postings that are read at a time.
const PAGE: u32 = 1_000;
/// Pages at the most: ten million postings.
const PAGES_MAX: u32 = 10_000;

/// Prints what the accounts of the ledger come to; each currency sums to zero.
pub(super) async fn sums(invocation: &Invocation, of: Of) -> Result<Exit> {
    let app = invocation.open().await?;
    let books = money::balances(&app.db, Some(of.month)).await?;
    let unbalanced = money::unbalanced(&app.db, 100).await?;
    let mut sheet = Sheet::new(&["CURRENCY", "ACCOUNT", "DEBIT", "CREDIT"]);
    let mut list = Vec::new();
    let mut difference = 0;
    for currency in books.currencies() {
        for account in LedgerAccount::ALL {
            let sum = books.of(*account, currency);
            let (debit, credit) = (sum.max(0), (-sum).max(0));
            let columns =
                [currency.to_string(), account.to_string(), amount(debit), amount(credit)];
            sheet.add(columns.to_vec());
            list.push(json!({ "currency": currency, "account": account.as_str(), "minor": sum }));
        }
        let off = books.difference(currency);
        difference = off.abs().max(difference);
        sheet.add(vec![currency.to_string(), "difference".to_owned(), amount(off), amount(0)]);
    }
    let json = json!({ "month": of.month, "accounts": list, "differenceMinor": difference,
        "unbalancedEvents": unbalanced });
    sheet.print(invocation.output, of.csv, &json, "nothing is in the books of that month");
    if difference == 0 && unbalanced.is_empty() {
        return Ok(Exit::Completed);
    }
    invocation
        .output
        .error("the ledger does not sum to zero; nothing may be charged until it does");
    Ok(Exit::Failed)
}

/// Prints every posting about the month's documents.
pub(super) async fn entries(invocation: &Invocation, of: Of) -> Result<Exit> {
    let app = invocation.open().await?;
    let mut sheet = Sheet::new(&[
        "AT", "EVENT", "ACCOUNT", "CURRENCY", "AMOUNT", "CUSTOMER", "DOCUMENT", "MONTH",
    ]);
    let mut postings = Vec::new();
    let mut last: Option<BookLine> = None;
    for _ in 0..PAGES_MAX {
        let page = money::entries_of_month(&app.db, of.month, last.as_ref(), PAGE).await?;
        let Some(end) = page.last() else { break };
        last = Some(end.clone());
        for line in page {
            let BookLine { event, ledger_account, amount: sum, account, number, month, at } = line;
            // A credit note is booked on its invoice, and named by its own number.
            let number = if event.starts_with("credit_note/") {
                money::document_of_event(&app.db, &event).await?.unwrap_or(number)
            } else {
                number
            };
            postings.push(json!({ "at": at, "event": event, "account": ledger_account.as_str(),
                "amount": sum, "customer": account, "document": number, "month": month }));
            sheet.add(vec![
                at.to_string(),
                event,
                ledger_account.to_string(),
                sum.currency.to_string(),
                amount(sum.minor.into()),
                account.to_string(),
                number,
                month.to_string(),
            ]);
        }
    }
    let json = json!({ "month": of.month, "entries": postings });
    sheet.print(invocation.output, of.csv, &json, "nothing is in the books of that month");
    Ok(Exit::Completed)
}
