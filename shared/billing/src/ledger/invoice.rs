//! What has happened to one invoice, and what may still happen to it.

use serde::{Deserialize, Serialize};
use values::{Money, MoneyError};

use super::{LedgerEvent, gross, less, zero};
use crate::BillingError;
use crate::bill::not_negative;

/// The sums of an invoice; all in one currency, all zero or more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvoiceBalance {
    /// What it asks for without tax.
    pub net: Money,
    /// Its tax.
    pub tax: Money,
    /// What was paid, tax included.
    pub paid: Money,
    /// What of that went back.
    pub refunded: Money,
    /// What was taken back by credit notes, tax included.
    pub credited: Money,
    /// What was given up, tax included.
    pub written_off: Money,
}

/// A part of an invoice, without tax and its tax.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Split {
    /// Without tax.
    pub net: Money,
    /// The tax.
    pub tax: Money,
}

impl InvoiceBalance {
    /// Issues an invoice.
    ///
    /// # Errors
    /// [`BillingError::Negative`], [`BillingError::Money`] for two currencies and beyond 63 bits.
    pub fn issued(net: Money, tax: Money) -> Result<Self, BillingError> {
        gross(net, tax)?;
        let zero = zero(net.currency);
        Ok(Self { net, tax, paid: zero, refunded: zero, credited: zero, written_off: zero })
    }

    /// What it asks for, tax included.
    ///
    /// # Errors
    /// [`BillingError::Money`] beyond 63 bits.
    pub fn gross(&self) -> Result<Money, BillingError> {
        gross(self.net, self.tax)
    }

    /// What the customer still owes; negative for what is owed to them.
    ///
    /// # Errors
    /// [`BillingError::Money`] beyond 63 bits.
    pub fn open(&self) -> Result<Money, BillingError> {
        let asked = self.gross()?.checked_add(self.refunded)?;
        Ok(less(less(less(asked, self.paid)?, self.credited)?, self.written_off)?)
    }

    /// Splits a part of the invoice that is to be credited; `amount` includes tax.
    ///
    /// The tax is that of all credited so far less that of what was credited before, each rounded
    /// half up, so that credit notes over the whole invoice take back exactly its tax.
    ///
    /// # Errors
    /// [`BillingError::TooMuch`] above what was not yet credited or written off.
    pub fn split_credit(&self, amount: Money) -> Result<Split, BillingError> {
        let gross = self.gross()?;
        let left = less(less(gross, self.credited)?, self.written_off)?;
        at_most("a credit", amount, left)?;
        let after = self.credited.checked_add(amount)?;
        let tax_of = |credited: Money| {
            let whole = i128::from(gross.minor).max(1);
            let tax =
                (i128::from(credited.minor) * i128::from(self.tax.minor) * 2 + whole) / (whole * 2);
            i64::try_from(tax).map_err(|_| MoneyError::Overflow)
        };
        let tax = Money { minor: tax_of(after)? - tax_of(self.credited)?, ..amount };
        Ok(Split { net: less(amount, tax)?, tax })
    }

    /// The invoice after an event.
    ///
    /// # Errors
    /// [`BillingError::TooMuch`] for a payment or write-off above what is open, a refund above what
    /// is held, a credit above what was not yet credited or written off, and a second issue.
    pub fn after(mut self, event: &LedgerEvent) -> Result<Self, BillingError> {
        match *event {
            LedgerEvent::InvoiceIssued { net, tax } => {
                at_most("a second issue", gross(net, tax)?, zero(self.net.currency))?;
            }
            LedgerEvent::PaymentReceived { amount } => {
                at_most("a payment", amount, self.open()?)?;
                self.paid = self.paid.checked_add(amount)?;
            }
            LedgerEvent::Refunded { amount } => {
                at_most("a refund", amount, less(self.paid, self.refunded)?)?;
                self.refunded = self.refunded.checked_add(amount)?;
            }
            LedgerEvent::CreditNoteIssued { net, tax } => {
                let amount = gross(net, tax)?;
                let left = less(less(self.gross()?, self.credited)?, self.written_off)?;
                at_most("a credit", amount, left)?;
                self.credited = self.credited.checked_add(amount)?;
            }
            LedgerEvent::WrittenOff { amount } => {
                at_most("a write-off", amount, self.open()?)?;
                self.written_off = self.written_off.checked_add(amount)?;
            }
            LedgerEvent::FeeCharged { amount } => {
                not_negative("a fee", amount.minor)?;
            }
        }
        Ok(self)
    }

    /// Moves what is owed to the customer to another invoice: gives both as they are afterwards.
    ///
    /// Nothing is posted, since what customers owe in sum stays as it is. Here it counts as
    /// refunded, there as paid.
    ///
    /// # Errors
    /// [`BillingError::TooMuch`] above what is owed to the customer here or by the customer there.
    pub fn move_credit(
        mut self,
        mut to: Self,
        amount: Money,
    ) -> Result<(Self, Self), BillingError> {
        at_most("a credit moved", amount, less(zero(self.net.currency), self.open()?)?)?;
        at_most("a credit moved", amount, to.open()?)?;
        self.refunded = self.refunded.checked_add(amount)?;
        to.paid = to.paid.checked_add(amount)?;
        Ok((self, to))
    }
}

fn at_most(what: &'static str, asked: Money, left: Money) -> Result<(), BillingError> {
    not_negative(what, asked.minor)?;
    less(left, asked)?; // one currency
    if asked.minor > left.minor.max(0) {
        return Err(BillingError::TooMuch { what, asked: asked.minor, left: left.minor.max(0) });
    }
    Ok(())
}
