//! What customers are told about their usage.

use std::collections::BTreeMap;

use billing::{BillingError, LimitDecision, LimitFacts, Metric, Product};
use job::JobError;
use mail::{
    Message, Metered, NearLimit, NextPlan, PlanPrice, PlanUpgraded, ProductChange,
    ThrottledOverLimit,
};
use models::Account;
use values::Month;

use super::account::titles;
use super::settings::Settings;

/// Usage comes near a limit; the plans named would follow.
pub(super) fn near_limit(
    account: &Account,
    facts: &LimitFacts<'_>,
    decision: &LimitDecision,
    next: &BTreeMap<Product, String>,
    month: Month,
) -> Result<Message, JobError> {
    let next = next.iter().map(|(product, name)| {
        Ok(NextPlan { product: in_mail(*product), plan: price(facts, *product, name)? })
    });
    Ok(Message::NearLimit(NearLimit {
        account: account.name.clone(),
        month,
        metered: metered(facts, decision, &decision.near),
        next: next.collect::<Result<_, JobError>>()?,
    }))
}

/// Plans were replaced: every product that changed is named.
pub(super) fn plan_upgraded(
    account: &Account,
    facts: &LimitFacts<'_>,
    to: &BTreeMap<Product, String>,
    month: Month,
) -> Result<Message, JobError> {
    let changes = to.iter().map(|(product, name)| {
        Ok(ProductChange {
            product: in_mail(*product),
            from: titles(facts.holding, *product),
            to: price(facts, *product, name)?,
        })
    });
    let changes = changes.collect::<Result<_, JobError>>()?;
    Ok(Message::PlanUpgraded(PlanUpgraded { account: account.name.clone(), month, changes }))
}

/// The account is stopped.
pub(super) fn throttled(
    account: &Account,
    facts: &LimitFacts<'_>,
    decision: &LimitDecision,
    settings: &Settings,
) -> Message {
    let marketplace = settings.marketplaces.get(account.billing_provider.as_str());
    let card_missing = match facts.holding.billed_by() {
        billing::BilledBy::Company => !facts.has_card,
        billing::BilledBy::Provider => false,
    };
    Message::ThrottledOverLimit(ThrottledOverLimit {
        account: account.name.clone(),
        at: facts.now,
        metered: metered(facts, decision, &decision.over),
        card_missing,
        marketplace: marketplace.cloned(),
    })
}

/// A word for admins that says why limits cannot be told.
pub(super) const fn code(error: &BillingError) -> &'static str {
    match error {
        BillingError::UnknownPlan { .. } => "unknown_plan",
        BillingError::UnknownProvider { .. } => "unknown_provider",
        BillingError::TooManyPlans { .. } => "too_many_plans",
        BillingError::NoPrice { .. } => "no_price",
        BillingError::AbsurdUsage { .. } => "absurd_usage",
        _ => "limits_unclear",
    }
}

fn metered(facts: &LimitFacts<'_>, decision: &LimitDecision, metrics: &[Metric]) -> Vec<Metered> {
    let limits = decision.limits.unwrap_or_default();
    let one = |metric: &Metric| {
        let (used, limit) = (facts.usage.of(*metric), limits.of(*metric));
        match metric {
            Metric::Bandwidth => Metered::Bandwidth { used, limit },
            Metric::Storage => Metered::Storage { used, limit },
            Metric::PeerTime => Metered::Peer { used, limit },
        }
    };
    metrics.iter().map(one).collect()
}

fn price(facts: &LimitFacts<'_>, product: Product, name: &str) -> Result<PlanPrice, JobError> {
    let holding = facts.holding;
    let provider = &holding.provider().name;
    let plan = holding.catalogue().plan(provider, product, name, holding.month());
    let plan = plan.map_err(|error| JobError::permanent(error.to_string()))?;
    let price = plan.price(facts.currency);
    let price = price.map_err(|error| JobError::permanent(error.to_string()))?;
    Ok(PlanPrice { name: plan.title.clone(), price })
}

const fn in_mail(product: Product) -> mail::Product {
    match product {
        Product::Broadcast => mail::Product::Broadcast,
        Product::Peer => mail::Product::Peer,
    }
}
