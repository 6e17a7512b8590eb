//! What an account holds, resolved in the catalogue of a month.

use serde::{Deserialize, Serialize};
use values::{Currency, Money, Month, Timestamp};

use super::{BilledBy, Catalogue, Plan, Provider, Streams};
use crate::{BillingError, Limits, Metric, Product};

/// Most plans of one account that are summed.
pub const MAX_PLANS_HELD: usize = 200;

/// The names of the plans an account holds, by product; a plan bought twice is there twice.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountPlans {
    /// Its broadcast plans, in the order they were taken.
    #[serde(default)]
    pub broadcast: Vec<String>,
    /// Its peer plans, in the order they were taken.
    #[serde(default)]
    pub peer: Vec<String>,
}

impl AccountPlans {
    /// The plans of one product.
    pub fn of(&self, product: Product) -> &[String] {
        match product {
            Product::Broadcast => &self.broadcast,
            Product::Peer => &self.peer,
        }
    }

    /// The same plans, but those of one product replaced by a single one.
    #[must_use]
    pub fn with(mut self, product: Product, plan: &str) -> Self {
        match product {
            Product::Broadcast => self.broadcast = vec![plan.to_owned()],
            Product::Peer => self.peer = vec![plan.to_owned()],
        }
        self
    }
}

/// A row of an account's plan history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanChange {
    /// From when on.
    pub at: Timestamp,
    /// What it held from then on.
    pub plans: AccountPlans,
}

/// Finds the plans held at the last instant of a month: those the month is billed by.
///
/// `history` may be in any order; of two changes at one instant the later one in it counts. `None`
/// if nothing was held by then. Taking the last instant makes the bill independent of the day on
/// which it is written.
pub fn plans_at_end(history: &[PlanChange], month: Month) -> Option<&AccountPlans> {
    let before = history.iter().filter(|change| change.at < month.end());
    before.max_by_key(|change| change.at).map(|change| &change.plans)
}

/// The plans of an account, found in the catalogue of one month; sums run over all of them.
#[derive(Debug, Clone)]
pub struct Holding<'a> {
    catalogue: &'a Catalogue,
    provider: &'a Provider,
    month: Month,
    plans: Vec<&'a Plan>,
}

impl Catalogue {
    /// Finds what an account holds in a month.
    ///
    /// # Errors
    /// [`BillingError::UnknownProvider`], [`BillingError::UnknownPlan`] for the first plan that is
    /// not in the catalogue, [`BillingError::TooManyPlans`] beyond [`MAX_PLANS_HELD`].
    pub fn hold<'a>(
        &'a self,
        provider: &str,
        plans: &AccountPlans,
        month: Month,
    ) -> Result<Holding<'a>, BillingError> {
        let provider = self.provider(provider)?;
        let found = plans.broadcast.len().saturating_add(plans.peer.len());
        if found > MAX_PLANS_HELD {
            return Err(BillingError::TooManyPlans { found, limit: MAX_PLANS_HELD });
        }
        let mut held = Vec::with_capacity(found);
        for &product in Product::ALL {
            for name in plans.of(product) {
                held.push(self.plan(&provider.name, product, name, month)?);
            }
        }
        Ok(Holding { catalogue: self, provider, month, plans: held })
    }
}

impl<'a> Holding<'a> {
    /// The catalogue it was found in.
    pub const fn catalogue(&self) -> &'a Catalogue {
        self.catalogue
    }

    /// The provider it is held through.
    pub const fn provider(&self) -> &'a Provider {
        self.provider
    }

    /// Who sends the bill.
    pub const fn billed_by(&self) -> BilledBy {
        self.provider.billed_by
    }

    /// The month whose version of the catalogue counts.
    pub const fn month(&self) -> Month {
        self.month
    }

    /// Every plan held: broadcast before peer, else in the order they were taken.
    pub fn plans(&self) -> &[&'a Plan] {
        &self.plans
    }

    /// The names of the plans, as the account holds them.
    pub fn names(&self) -> AccountPlans {
        let of = |product| self.of(product).map(|plan| plan.name.clone()).collect();
        AccountPlans { broadcast: of(Product::Broadcast), peer: of(Product::Peer) }
    }

    /// The plans of one product.
    pub fn of(&self, product: Product) -> impl Iterator<Item = &'a Plan> {
        self.plans.iter().copied().filter(move |plan| plan.product == product)
    }

    /// The sum of all list prices, net, for a month.
    ///
    /// # Errors
    /// [`BillingError::NoPrice`] for a plan not sold in that currency.
    pub fn price(&self, currency: Currency) -> Result<Money, BillingError> {
        sum_of_prices(self.plans.iter().copied(), currency)
    }

    /// The sum of the list prices of one product.
    ///
    /// # Errors
    /// As [`Holding::price`].
    pub fn price_of(&self, product: Product, currency: Currency) -> Result<Money, BillingError> {
        sum_of_prices(self.of(product), currency)
    }

    /// The sum of what the plans themselves allow; zero for a product without plan.
    ///
    /// # Errors
    /// [`BillingError::TooLarge`] beyond 64 bits.
    pub fn plan_limits(&self) -> Result<Limits, BillingError> {
        let sum = |sum: Limits, plan: &&Plan| sum.checked_add(&plan.limits);
        let sum = self.plans.iter().try_fold(Limits::default(), sum);
        sum.ok_or(BillingError::TooLarge { what: "the plans' limits" })
    }

    /// What the account may use: the sum of its plans, and the free allowance of a product without.
    ///
    /// # Errors
    /// As [`Holding::plan_limits`].
    pub fn limits(&self) -> Result<Limits, BillingError> {
        let sum = self.plan_limits()?;
        let limit = |metric: Metric| match self.of(metric.product()).next() {
            Some(_) => sum.of(metric),
            None => self.catalogue.free_allowance.of(metric),
        };
        Ok(Limits {
            bandwidth_bytes: limit(Metric::Bandwidth),
            storage_bytes: limit(Metric::Storage),
            peer_milliseconds: limit(Metric::PeerTime),
        })
    }

    /// How many streams may exist at once: the sum over the broadcast plans, none without one.
    pub fn streams(&self) -> Streams {
        self.of(Product::Broadcast).fold(Streams::UpTo(0), |sum, plan| match (sum, plan.streams) {
            (Streams::UpTo(sum), Streams::UpTo(more)) => Streams::UpTo(sum.saturating_add(more)),
            _ => Streams::Unlimited,
        })
    }
}

fn sum_of_prices<'p>(
    mut plans: impl Iterator<Item = &'p Plan>,
    currency: Currency,
) -> Result<Money, BillingError> {
    plans.try_fold(Money { minor: 0, currency }, |sum, plan| {
        Ok(sum.checked_add(plan.price(currency)?)?)
    })
}
