//! What a document costs, and how a month's frozen bill becomes that.

use billing::{Bill, LineItem, LineKind, Product, format};
use values::Currency;

use crate::{Credit, InvoiceError, Line, Tax};

/// What a document costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figures {
    /// The one currency of all amounts.
    pub currency: Currency,
    /// Net amounts, in the order to be printed.
    pub lines: Vec<Line>,
    /// Tax by rate.
    pub taxes: Vec<Tax>,
    /// What lowers the total, tax included.
    pub credits: Vec<Credit>,
    /// Lines, taxes and credits together, in minor units; a document with another total is refused.
    pub total_minor: i64,
}

impl Figures {
    /// Takes over a frozen bill: each plan, what proration takes off, carried amounts, tax, credit.
    ///
    /// `tax_name` is what the tax is called where the customer is, such as `VAT`.
    ///
    /// # Errors
    /// [`InvoiceError::Currencies`] for a bill in two currencies.
    pub fn of_bill(bill: &Bill, tax_name: &str) -> Result<Self, InvoiceError> {
        let currency = bill.total.currency;
        let mut figures = Self {
            currency,
            lines: Vec::new(),
            taxes: Vec::new(),
            credits: Vec::new(),
            total_minor: bill.total.minor,
        };
        for item in &bill.lines {
            if item.amount.currency != currency {
                return Err(InvoiceError::Currencies);
            }
            figures.add(item, bill, tax_name);
        }
        Ok(figures)
    }

    fn add(&mut self, item: &LineItem, bill: &Bill, tax_name: &str) {
        let amount_minor = item.amount.minor;
        let month = format::month(bill.month);
        match &item.kind {
            LineKind::Plan { product, plan: _, title } => {
                let product = match product {
                    Product::Broadcast => "broadcast",
                    Product::Peer => "peer",
                };
                self.lines.push(Line {
                    title: format!("{title}, {product}"),
                    detail: Some(format!("Monthly plan, {month}")),
                    quantity: Some((1, amount_minor)),
                    amount_minor,
                });
            }
            LineKind::Proration { days, days_in_month } => self.lines.push(Line {
                title: "Proration".to_owned(),
                detail: Some(format!("{days} of {days_in_month} days of {month} are billed")),
                quantity: None,
                amount_minor,
            }),
            LineKind::CarriedOver { month } => self.lines.push(Line {
                title: format!("Carried over from {}", format::month(*month)),
                detail: Some("Too small to be charged alone".to_owned()),
                quantity: None,
                amount_minor,
            }),
            LineKind::Tax { basis_points } => self.taxes.push(Tax {
                name: tax_name.to_owned(),
                rate: *basis_points,
                base_minor: self
                    .lines
                    .iter()
                    .fold(0, |net, line| net.saturating_add(line.amount_minor)),
                amount_minor,
            }),
            LineKind::Credit => {
                self.credits.push(Credit { title: "Credit".to_owned(), amount_minor });
            }
        }
    }
}
