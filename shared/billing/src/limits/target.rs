//! The plan a product moves to.

use values::Currency;

use super::LimitFacts;
use crate::{BillingError, Limits, Metric, Plan, Product, Usage};

/// The search for a product's next plan.
pub(super) struct Target<'a> {
    /// What is offered for money, cheapest first.
    offered: Vec<(i64, &'a Plan)>,
    product: Product,
    usage: Usage,
    /// What the account pays for the product now, in minor units.
    paid_minor: i64,
}

impl<'a> Target<'a> {
    pub(super) fn of(facts: &LimitFacts<'a>, product: Product) -> Result<Self, BillingError> {
        let LimitFacts { holding, currency, usage, .. } = *facts;
        let provider = &holding.provider().name;
        let plans = holding.catalogue().plans(provider, product, holding.month());
        let offered = paid(plans.filter(|plan| plan.offered), currency);
        let paid_minor = holding.price_of(product, currency)?.minor;
        Ok(Self { offered, product, usage, paid_minor })
    }

    /// The cheapest plan that holds the usage, else the dearest; only if dearer than what is paid.
    pub(super) fn for_usage(&self) -> Option<&'a Plan> {
        let holds = |(_, plan): &&(i64, &Plan)| self.holds(plan);
        let found = self.offered.iter().find(holds).or(self.offered.last());
        found.filter(|(price, _)| *price > self.paid_minor).map(|(_, plan)| *plan)
    }

    /// The cheapest dearer plan that holds the usage and has more of what is near its limit.
    pub(super) fn beyond(&self, near: &[Metric], limits: &Limits) -> Option<&'a Plan> {
        let larger = |plan: &Plan| {
            let mut near = near.iter().filter(|metric| metric.product() == self.product);
            near.all(|&metric| plan.limits.of(metric) > limits.of(metric))
        };
        let found = self
            .offered
            .iter()
            .find(|(price, plan)| *price > self.paid_minor && self.holds(plan) && larger(plan));
        found.map(|(_, plan)| *plan)
    }

    fn holds(&self, plan: &Plan) -> bool {
        self.usage.product_within(&plan.limits, self.product)
    }
}

/// Those that cost something in the currency, cheapest first; not sold in it is not for sale.
fn paid<'a>(plans: impl Iterator<Item = &'a Plan>, currency: Currency) -> Vec<(i64, &'a Plan)> {
    let price = |plan: &'a Plan| plan.price(currency).ok().map(|price| (price.minor, plan));
    let mut paid: Vec<_> = plans.filter_map(price).filter(|(minor, _)| *minor > 0).collect();
    paid.sort_by_key(|(minor, _)| *minor);
    paid
}
