//! The bill of one account and month: list price, proration, what was carried, tax and credit.

use serde::{Deserialize, Serialize};
use values::{Currency, Money, MoneyError, Month, Timestamp, words};

use crate::{BasisPoints, BillingError, Holding, Product, Usage};

/// Microseconds of a day.
const DAY_MICROS: i64 = 86_400_000_000;

/// What a bill is made from.
#[derive(Debug, Clone, Copy)]
pub struct BillFacts<'a> {
    /// When the account was made.
    pub created_at: Timestamp,
    /// The plans held at the month's last instant; knows the month.
    pub holding: &'a Holding<'a>,
    /// What the month used.
    pub usage: Usage,
    /// The account's one currency.
    pub currency: Currency,
    /// The tax of the account's country.
    pub tax: BasisPoints,
    /// Net amounts of earlier months that were too small to charge.
    pub carried: &'a [Carried],
    /// What the customer has to its credit, tax included; zero or more minor units.
    pub credit_minor: i64,
}

/// A net amount of an earlier month that was below the smallest charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carried {
    /// The month it is from.
    pub month: Month,
    /// That month's [`Bill::amount`] in minor units, zero or more; without what it took on itself.
    pub minor: i64,
}

/// A month's bill, frozen at the first attempt to settle it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bill {
    /// The month.
    pub month: Month,
    /// The sum of the plans' prices, net.
    pub list_price: Money,
    /// Whether only the days from the account's creation on are billed.
    pub prorated: bool,
    /// What the month itself costs, net.
    pub amount: Money,
    /// What the invoice shows; adds up to `total`.
    pub lines: Vec<LineItem>,
    /// The tax on the month and what was carried into it.
    pub tax: Money,
    /// What the customer's credit paid, tax included.
    pub credit: Money,
    /// What is left to pay.
    pub total: Money,
    /// What happens to it.
    pub due: Due,
}

words! {
    /// What happens to the total of a bill.
    Due, "what a bill is due for":
    /// It is charged.
    Charge = "charge",
    /// It is below the smallest charge; no invoice is made, the next one takes it on, untaxed yet.
    CarryOver = "carry_over",
    /// Nothing is left to pay.
    Nothing = "nothing",
}

/// One line of an invoice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineItem {
    /// What it is for.
    #[serde(flatten)]
    pub kind: LineKind,
    /// Its amount; negative if it lowers the total.
    pub amount: Money,
}

/// What a line of an invoice is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum LineKind {
    /// A plan's price of a month; a plan held twice is two lines.
    Plan {
        /// Its product.
        product: Product,
        /// The name accounts hold it by.
        plan: String,
        /// The name customers read.
        title: String,
    },
    /// The days before the account existed, taken off.
    Proration {
        /// Days billed, from 1.
        days: u32,
        /// Days of the month, 28 to 31.
        days_in_month: u32,
    },
    /// A small amount of an earlier month.
    CarriedOver {
        /// The month it is from.
        month: Month,
    },
    /// Tax on all of the above.
    Tax {
        /// Its rate.
        basis_points: BasisPoints,
    },
    /// What the customer's credit pays.
    Credit,
}

/// Writes the bill of the month the plans were looked up for.
///
/// The list price is the sum of all plans; usage never adds to it. An account made within the
/// month whose usage is below the free allowance in every metric pays for the days from its
/// creation on, that day included: `list price * days / days in month`, rounded down to the minor
/// unit. Tax is taken once, of the sum with what was carried, rounded half up. Credit pays what it
/// can without leaving a rest below the smallest charge.
///
/// # Errors
/// [`BillingError::NotActive`] for an account made later, [`BillingError::NoPrice`] and
/// [`BillingError::NoMinimum`] for a currency in which a plan is not sold,
/// [`BillingError::Negative`] for negative carried amounts and credit, [`BillingError::Money`]
/// beyond 63 bits.
pub fn bill_of_month(facts: &BillFacts<'_>) -> Result<Bill, BillingError> {
    let BillFacts { created_at, holding, usage, currency, tax: rate, carried, credit_minor } =
        *facts;
    let month = holding.month();
    let money = |minor| Money { minor, currency };
    let mut lines = Vec::new();
    let mut net = money(0);
    for plan in holding.plans() {
        let amount = plan.price(currency)?;
        let (product, title) = (plan.product, plan.title.clone());
        let kind = LineKind::Plan { product, plan: plan.name.clone(), title };
        push(&mut lines, &mut net, kind, amount)?;
    }
    let list_price = net;
    let days = days_to_bill(created_at, month)?;
    let light = usage.below(holding.catalogue().free_allowance());
    let first_days = days.filter(|_| light && list_price.minor > 0);
    if let Some(days) = first_days {
        let off = prorated(list_price.minor, days, month.days()) - list_price.minor;
        if off < 0 {
            let kind = LineKind::Proration { days, days_in_month: month.days() };
            push(&mut lines, &mut net, kind, money(off))?;
        }
    }
    let amount = net;
    for &Carried { month, minor } in carried {
        let amount = money(not_negative("a carried amount", minor)?);
        push(&mut lines, &mut net, LineKind::CarriedOver { month }, amount)?;
    }
    let tax = rate.of(net)?;
    let gross = net.checked_add(tax)?;
    let minimum = holding.catalogue().minimum_charge(currency)?.minor;
    let credit_minor = not_negative("the credit", credit_minor)?;
    let mut bill = Bill {
        month,
        list_price,
        prorated: first_days.is_some(),
        amount,
        lines,
        tax: money(0),
        credit: money(0),
        total: net,
        due: Due::CarryOver,
    };
    let credit = usable_credit(credit_minor, gross.minor, minimum);
    if gross.minor > 0 && gross.minor - credit > 0 && gross.minor < minimum {
        return Ok(bill); // nothing is taxed that is not invoiced
    }
    if tax.minor > 0 {
        push(&mut bill.lines, &mut bill.total, LineKind::Tax { basis_points: rate }, tax)?;
    }
    if credit > 0 {
        push(&mut bill.lines, &mut bill.total, LineKind::Credit, money(-credit))?;
    }
    bill.due = if bill.total.minor == 0 { Due::Nothing } else { Due::Charge };
    Ok(Bill { tax, credit: money(credit), ..bill })
}

fn push(
    lines: &mut Vec<LineItem>,
    sum: &mut Money,
    kind: LineKind,
    amount: Money,
) -> Result<(), MoneyError> {
    *sum = sum.checked_add(amount)?;
    lines.push(LineItem { kind, amount });
    Ok(())
}

/// The days from the creation to the end of the month, if it was in the month; `None` if before.
fn days_to_bill(created_at: Timestamp, month: Month) -> Result<Option<u32>, BillingError> {
    if created_at >= month.end() {
        return Err(BillingError::NotActive { month });
    }
    let micros = created_at.as_micros() - month.start().as_micros();
    let days_before = u32::try_from(micros.div_euclid(DAY_MICROS)).ok();
    Ok(days_before.map(|before| month.days() - before))
}

/// The share of the days, rounded down; `days` is 1 to `days_in_month`.
fn prorated(minor: i64, days: u32, days_in_month: u32) -> i64 {
    let share = i128::from(minor) * i128::from(days) / i128::from(days_in_month);
    i64::try_from(share).expect("a share is not above its whole")
}

/// How much of the credit pays: all of the bill, or as much as leaves a chargeable rest.
fn usable_credit(credit: i64, gross: i64, minimum: i64) -> i64 {
    if credit >= gross { gross } else { credit.min((gross - minimum).max(0)) }
}

pub(crate) fn not_negative(what: &'static str, minor: i64) -> Result<i64, BillingError> {
    if minor < 0 { Err(BillingError::Negative { what, minor }) } else { Ok(minor) }
}
