//! `main-worker billing import`: to whom bills go, what pays them, and what was paid elsewhere.

use std::path::Path;

use anyhow::Result;
use billing::{AccountPlans, Bill, Catalogue, Due, RecordState};
use database::{DbError, Tx};
use models::billing::{self as money, BillingDetails, BillingRecord, PaymentCard};
use models::transfer::{Fault, LineProblem, object};
use models::{Account, accounts};
use payments::{CustomerId, PaymentMethodId};
use serde::Deserialize;
use serde_json::json;
use values::{AccountId, Currency, Money, Month, Timestamp};

use super::{lines, of_job, shown};
use crate::cli::{Exit, Invocation, Output};

/// Bad lines that are told one by one.
const PROBLEMS_MAX: usize = 100;
/// Characters of a card's brand at the most.
const BRAND_CHARS_MAX: usize = 40;
/// What a month cost elsewhere at the most, so that sums of months have room.
const TOTAL_MINOR_MAX: i64 = 1_000_000_000_000;

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
        customer: CustomerId,
        card: PaymentMethodId,
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

/// Why a line cannot be stored.
enum Wrong {
    /// The line: the key, if it is about one, and what was expected.
    Line(Fault),
    /// The database.
    Database(DbError),
}

impl From<DbError> for Wrong {
    fn from(error: DbError) -> Self {
        Self::Database(error)
    }
}

fn wrong<T>(key: &str, message: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong::Line((Some(key.to_owned()), message.into())))
}

pub(super) async fn execute(invocation: &Invocation, file: &Path) -> Result<Exit> {
    let lines = lines(file)?;
    let app = invocation.open().await?;
    let catalogue = jobs::catalogue(&app.manifest).map_err(|error| of_job(&error))?;
    let now = app.clock.now();
    let mut transaction = app.db.begin().await?;
    let (mut stored, mut known, mut problems) = (0_u64, 0_u64, Vec::new());
    for (number, line) in lines {
        match store(&mut transaction.tx(), &catalogue, &line, now).await {
            Ok(true) => stored += 1,
            Ok(false) => known += 1,
            Err(Wrong::Line((field, message))) => {
                problems.push(LineProblem { line: number as u64, field, message });
            }
            Err(Wrong::Database(error)) => {
                let exit = if error.is_transient() { Exit::TryAgain } else { Exit::Failed };
                let told = format!("line {number} of {}; nothing is stored", file.display());
                return Err(anyhow::Error::from(error).context(told).context(exit));
            }
        }
    }
    if !problems.is_empty() {
        return Ok(refuse(invocation.output, file, &problems));
    }
    transaction.commit().await?;
    if invocation.output.is_json() {
        invocation.output.json(&json!({ "stored": stored, "known": known, "rejected": [] }));
    } else {
        invocation.output.line(&format!("{stored} lines stored, {known} known already"));
    }
    Ok(Exit::Completed)
}

/// Tells every line that is wrong.
fn refuse(output: Output, file: &Path, problems: &[LineProblem]) -> Exit {
    if output.is_json() {
        let rejected = problems.iter().take(PROBLEMS_MAX);
        let rejected = rejected
            .map(|p| json!({ "line": p.line, "field": p.field, "message": p.message }))
            .collect::<Vec<_>>();
        output.json(&json!({ "stored": 0, "known": 0, "rejected": rejected }));
        return Exit::Rejected;
    }
    for problem in problems.iter().take(PROBLEMS_MAX) {
        output.error(&problem.to_string());
    }
    let count = problems.len();
    output.error(&format!("{count} bad lines in {}; nothing is stored", file.display()));
    Exit::Rejected
}

/// Stores a line; `false` for one that says what is known.
async fn store(
    tx: &mut Tx<'_>,
    catalogue: &Catalogue,
    line: &str,
    now: Timestamp,
) -> Result<bool, Wrong> {
    if !line.starts_with('{') {
        let told = "expected a JSON object, which begins with `{`".to_owned();
        return Err(Wrong::Line((None, told)));
    }
    let line: Line = object(line).map_err(Wrong::Line)?;
    let (Line::Details { account_id, .. }
    | Line::Card { account_id, .. }
    | Line::Month { account_id, .. }) = &line;
    let Some(account) = accounts::get(&mut *tx, *account_id).await? else {
        return wrong(
            "accountId",
            format!("there is no account {account_id}; import accounts first"),
        );
    };
    match line {
        Line::Details { account_id, details } => {
            if let Err((key, message)) = details.check() {
                return wrong(key, message);
            }
            if let Err(error) = catalogue.minimum_charge(details.currency) {
                return wrong("currency", format!("nothing is sold in it: {error}"));
            }
            if money::details(&mut *tx, account_id).await? == details {
                return Ok(false);
            }
            money::set_details(tx, account_id, &details, now).await?;
        }
        Line::Card { account_id, customer, card, brand, last4, valid_through, deleted_at } => {
            let card = PaymentCard {
                id: card.to_string(),
                brand,
                last4,
                valid_through,
                created_at: now,
                deleted_at,
            };
            check_card(tx, account_id, customer.as_str(), &card).await?;
            money::set_customer(tx, account_id, customer.as_str(), now).await?;
            money::set_card(tx, account_id, &card).await?;
        }
        Line::Month { account_id, month, state, total_minor, currency } => {
            let total = Money { minor: total_minor, currency };
            check_month(&account, month, total, now)?;
            let record = settled(account_id, month, state, total, now);
            if let Some(known) = money::record(&mut *tx, account_id, month).await? {
                if (known.state, known.bill.total) == (record.state, total) {
                    return Ok(false);
                }
                let told = format!(
                    "{month} is settled here already: {}, {}",
                    known.state,
                    shown(known.bill.total)
                );
                return wrong("month", told);
            }
            money::insert_record(tx, &record).await?;
            tx.flush().await?; // so that an error is told with its line
        }
    }
    Ok(true)
}

/// Refuses what no card has, and what belongs to another account.
async fn check_card(
    tx: &mut Tx<'_>,
    account: AccountId,
    customer: &str,
    card: &PaymentCard,
) -> Result<(), Wrong> {
    let PaymentCard { id, brand, last4, valid_through: _, created_at: _, deleted_at: _ } = card;
    if last4.len() != 4 || !last4.bytes().all(|digit| digit.is_ascii_digit()) {
        return wrong("last4", "expected the last four digits of the card");
    }
    let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ' ');
    if !(1..=BRAND_CHARS_MAX).contains(&brand.len()) || !brand.chars().all(letter) {
        return wrong("brand", "expected a name such as `visa`");
    }
    let owners = [
        ("customer", customer, money::owner_of_customer(&mut *tx, customer).await?),
        ("card", id.as_str(), money::owner_of_card(&mut *tx, id).await?),
    ];
    for (key, name, owner) in owners {
        if let Some(owner) = owner.filter(|owner| *owner != account) {
            return wrong(key, format!("`{name}` is of {owner}"));
        }
    }
    Ok(())
}

/// Refuses a month that another system cannot have settled.
fn check_month(account: &Account, month: Month, total: Money, now: Timestamp) -> Result<(), Wrong> {
    if now < month.end() {
        return wrong("month", format!("{month} has not ended; nobody can have settled it"));
    }
    if month.end() <= account.created_at {
        let told = format!(
            "the account was made at {}, after {month}; import it with its createdAt",
            account.created_at
        );
        return wrong("month", told);
    }
    if !(0..=TOTAL_MINOR_MAX).contains(&total.minor) {
        let told = format!("{} is not within 0 to {TOTAL_MINOR_MAX}", total.minor);
        return wrong("totalMinor", told);
    }
    Ok(())
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
