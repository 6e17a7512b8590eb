//! The customers: fifty accounts, ten of whom show what can happen in a month.

use models::BillingProvider;
use payments::scripted::TestCard;

/// Accounts of the company.
pub const ACCOUNTS: usize = 50;

/// How an account pays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payer {
    /// With a card that behaves like this.
    Card(TestCard),
    /// It gave none.
    NoCard,
    /// A marketplace bills it.
    Heroku,
}

/// A customer.
#[derive(Debug, Clone)]
pub struct Customer {
    /// Its name.
    pub name: String,
    /// The broadcast plan it has at the beginning of the month.
    pub plan: &'static str,
    /// The traffic of the month in thousandths of what the plan gives.
    pub per_mille: u64,
    /// How it pays.
    pub payer: Payer,
    /// The day of the month on which it came; before the month when absent.
    pub came_on: Option<u32>,
    /// Where it is: decides the tax.
    pub country: &'static str,
    /// What it shows; empty for those to whom nothing happens.
    pub shows: &'static str,
}

impl Customer {
    /// Who bills it.
    pub fn provider(&self) -> BillingProvider {
        match self.payer {
            Payer::Heroku => BillingProvider::Heroku,
            Payer::Card(_) | Payer::NoCard => BillingProvider::Cine,
        }
    }
}

type Shown = (&'static str, &'static str, u64, Payer, Option<u32>, &'static str, &'static str);

const GOOD: Payer = Payer::Card(TestCard::Good);
const SHOWN: [Shown; 10] = [
    (
        "Otter Lane Studios",
        "solo",
        930,
        GOOD,
        None,
        "US",
        "is warned: nearly all of its plan is used",
    ),
    (
        "Birch Harbor TV",
        "solo",
        1_400,
        GOOD,
        None,
        "US",
        "is upgraded: used more than its plan gives",
    ),
    (
        "Granite Choir",
        "starter",
        1_600,
        Payer::Heroku,
        None,
        "US",
        "is throttled: its marketplace bills it",
    ),
    (
        "Quiet Mile Running",
        "free",
        1_500,
        Payer::NoCard,
        None,
        "US",
        "is throttled: left the free allowance, no card",
    ),
    (
        "Paper Kite Workshop",
        "basic",
        400,
        Payer::Card(TestCard::Declined),
        None,
        "US",
        "its card is declined: four days of grace",
    ),
    (
        "Lantern Yard",
        "premium",
        300,
        Payer::Card(TestCard::AuthenticationRequired),
        None,
        "FR",
        "its bank wants the owner to confirm",
    ),
    ("Slow River Yoga", "solo", 20, Payer::NoCard, None, "US", "has no card: the month stays open"),
    (
        "Żuraw & Söhne Übertragungsgesellschaft für Regattasegeln mbH",
        "business",
        420,
        GOOD,
        None,
        "DE",
        "a long name, and tax",
    ),
    (
        "Copper Finch",
        "premium",
        1,
        GOOD,
        Some(15),
        "US",
        "came on the 15th: pays for half the month",
    ),
    ("Tin Observatory", "startup", 610, GOOD, None, "FR", "a large bill with tax"),
];
const FIRST: [&str; 8] = ["Blue", "Maple", "Silver", "Open", "Harbor", "Cedar", "Lunar", "Amber"];
const SECOND: [&str; 5] = ["Ferry", "Radio", "Barn", "Cinema", "Chess Club"];
const PLANS: [&str; 6] = ["free", "solo", "solo", "basic", "premium", "pro"];
const COUNTRIES: [&str; 4] = ["US", "DE", "US", "JP"];

/// Invents the customers, always the same.
pub(super) fn cast() -> Vec<Customer> {
    let shown = SHOWN.into_iter().map(|(name, plan, per_mille, payer, came_on, country, shows)| {
        Customer { name: name.to_owned(), plan, per_mille, payer, came_on, country, shows }
    });
    let others = (0..ACCOUNTS - SHOWN.len()).map(|number| {
        let name = format!("{} {}", FIRST[number % 8], SECOND[number / 8]);
        let plan = PLANS[number % PLANS.len()];
        let payer = if plan == "free" { Payer::NoCard } else { GOOD };
        let per_mille = 150 + u64::try_from(number).expect("small") * 37 % 600;
        let country = COUNTRIES[number % COUNTRIES.len()];
        Customer { name, plan, per_mille, payer, came_on: None, country, shows: "" }
    });
    shown.chain(others).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn there_are_fifty_with_names_of_their_own() {
        let cast = cast();
        let names: BTreeSet<&str> = cast.iter().map(|customer| customer.name.as_str()).collect();
        assert_eq!((cast.len(), names.len()), (ACCOUNTS, ACCOUNTS));
    }
}
