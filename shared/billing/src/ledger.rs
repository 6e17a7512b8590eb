//! Double entry: what every event of an invoice posts, so that each currency always sums to zero.

mod invoice;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use values::{Currency, Money, MoneyError, words};

pub use self::invoice::{InvoiceBalance, Split};
use crate::BillingError;
use crate::bill::not_negative;

words! {
    /// An account of the ledger.
    LedgerAccount, "an account of the ledger":
    /// What customers owe; negative for what is owed to them.
    Receivable = "receivable",
    /// What was earned, net; a credit balance is negative.
    Revenue = "revenue",
    /// Tax owed to the state; a credit balance is negative.
    Tax = "tax",
    /// What the gateway and the bank hold for the company.
    Cash = "cash",
    /// What the gateway kept.
    Fees = "fees",
    /// What was given up.
    WriteOff = "write_off",
}

/// What happens to money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum LedgerEvent {
    /// An invoice is issued: the customer owes net and tax.
    InvoiceIssued {
        /// Without tax.
        net: Money,
        /// The tax.
        tax: Money,
    },
    /// A customer paid.
    PaymentReceived {
        /// Tax included.
        amount: Money,
    },
    /// The gateway kept its fee.
    FeeCharged {
        /// The fee.
        amount: Money,
    },
    /// Money went back to a customer.
    Refunded {
        /// Tax included.
        amount: Money,
    },
    /// An invoice, or a part of it, is taken back; also how an issued month is waived.
    CreditNoteIssued {
        /// Without tax.
        net: Money,
        /// The tax.
        tax: Money,
    },
    /// What a customer owes is given up; revenue and tax stay as invoiced.
    WrittenOff {
        /// Tax included.
        amount: Money,
    },
}

/// An amount on one account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Posting {
    /// The account.
    pub account: LedgerAccount,
    /// A debit if positive, a credit if negative, never zero.
    pub amount: Money,
}

/// The postings of one event; they sum to zero.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    postings: Vec<Posting>,
}

impl Entry {
    /// The postings: at most three, in one currency, without zeros; none for an event about nothing.
    pub fn postings(&self) -> &[Posting] {
        &self.postings
    }
}

impl LedgerEvent {
    /// Posts the event.
    ///
    /// # Errors
    /// [`BillingError::Negative`] for a negative amount, [`BillingError::Money`] for two currencies
    /// and sums beyond 63 bits.
    pub fn entry(&self) -> Result<Entry, BillingError> {
        use LedgerAccount::{Cash, Fees, Receivable, Revenue, Tax, WriteOff};
        let amounts = match *self {
            Self::InvoiceIssued { net, tax } => {
                [(Receivable, gross(net, tax)?), (Revenue, minus(net)?), (Tax, minus(tax)?)]
                    .to_vec()
            }
            Self::CreditNoteIssued { net, tax } => {
                [(Receivable, minus(gross(net, tax)?)?), (Revenue, net), (Tax, tax)].to_vec()
            }
            Self::PaymentReceived { amount } => {
                [(Cash, amount), (Receivable, minus(amount)?)].to_vec()
            }
            Self::Refunded { amount } => [(Receivable, amount), (Cash, minus(amount)?)].to_vec(),
            Self::FeeCharged { amount } => [(Fees, amount), (Cash, minus(amount)?)].to_vec(),
            Self::WrittenOff { amount } => {
                [(WriteOff, amount), (Receivable, minus(amount)?)].to_vec()
            }
        };
        let postings = amounts.into_iter().filter(|(_, amount)| amount.minor != 0);
        let postings = postings.map(|(account, amount)| Posting { account, amount });
        Ok(Entry { postings: postings.collect() })
    }
}

/// What an invoice asks for, tax included; both parts zero or more.
fn gross(net: Money, tax: Money) -> Result<Money, BillingError> {
    not_negative("a net amount", net.minor)?;
    not_negative("a tax", tax.minor)?;
    Ok(net.checked_add(tax)?)
}

/// The same amount on the other side; refuses a negative one.
fn minus(amount: Money) -> Result<Money, BillingError> {
    let minor = -not_negative("an amount of the ledger", amount.minor)?;
    Ok(Money { minor, currency: amount.currency })
}

/// The balance of every account in every currency.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Balances(BTreeMap<(Currency, LedgerAccount), i128>);

impl Balances {
    /// Adds an entry.
    pub fn add(&mut self, entry: &Entry) {
        for Posting { account, amount } in entry.postings() {
            self.add_total(*account, amount.currency, i128::from(amount.minor));
        }
    }

    /// Adds the sum of an account, as a database has computed it; saturates beyond 127 bits.
    pub fn add_total(&mut self, account: LedgerAccount, currency: Currency, minor: i128) {
        let balance = self.0.entry((currency, account)).or_default();
        *balance = balance.saturating_add(minor);
    }

    /// The balance of an account in minor units, positive for a debit.
    pub fn of(&self, account: LedgerAccount, currency: Currency) -> i128 {
        self.0.get(&(currency, account)).copied().unwrap_or(0)
    }

    /// The currencies that occur, in alphabetical order.
    pub fn currencies(&self) -> Vec<Currency> {
        let mut currencies: Vec<Currency> = self.0.keys().map(|(currency, _)| *currency).collect();
        currencies.dedup();
        currencies
    }

    /// The sum over all accounts of a currency in minor units; anything but zero is a fault.
    pub fn difference(&self, currency: Currency) -> i128 {
        LedgerAccount::ALL.iter().map(|&account| self.of(account, currency)).sum()
    }
}

/// The currency's zero.
fn zero(currency: Currency) -> Money {
    Money { minor: 0, currency }
}

/// Takes one amount from another of the same currency.
fn less(from: Money, amount: Money) -> Result<Money, MoneyError> {
    let minor = amount.minor.checked_neg().ok_or(MoneyError::Overflow)?;
    from.checked_add(Money { minor, currency: amount.currency })
}
