//! The hourly check of an account's usage: nothing, a warning, an upgrade or a throttle.

mod target;

use std::collections::BTreeMap;

use values::{Currency, Timestamp, words};

use self::target::Target;
use crate::{AccountPlans, BilledBy, BillingError, Holding, Limits, Metric, Product, Usage};

/// What is known of an account when its usage is checked.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, as it is stored")]
pub struct LimitFacts<'a> {
    /// Its plans, in the catalogue of the month that is checked.
    pub holding: &'a Holding<'a>,
    /// Its currency, in which plans are compared.
    pub currency: Currency,
    /// What it used in the month so far.
    pub usage: Usage,
    /// Whether it is deleted.
    pub deleted: bool,
    /// Whether it is never throttled.
    pub exempt: bool,
    /// From when on it is throttled; one in grace is checked like any other.
    pub throttled_at: Option<Timestamp>,
    /// Whether the gateway knows it and a card of it is not deleted.
    pub has_card: bool,
    /// Whether it was warned in this calendar month.
    pub warned_this_month: bool,
    /// Now.
    pub now: Timestamp,
}

/// What is done about an account's usage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitDecision {
    /// What is done.
    pub action: Action,
    /// Why.
    pub reason: LimitReason,
    /// The metrics above their limit.
    pub over: Vec<Metric>,
    /// The metrics above nine tenths of their limit, but not above it.
    pub near: Vec<Metric>,
    /// What the account may use; `None` if it was not looked at.
    pub limits: Option<Limits>,
    /// Whether a person has to look: there is no plan left to move to.
    pub alert_admins: bool,
}

/// What is done about an account's usage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Nothing.
    Nothing,
    /// The customer is told which plan would follow.
    Warn {
        /// By product that is near its limit: the plan that would follow.
        next: BTreeMap<Product, String>,
    },
    /// The account gets larger plans, from now on and for the whole month.
    Upgrade {
        /// By product that is over its limit: the one plan that replaces all of its plans.
        to: BTreeMap<Product, String>,
        /// Everything the account holds afterwards; other products keep their plans.
        plans: AccountPlans,
    },
    /// The account is throttled at once, for too much usage.
    Throttle,
}

impl Action {
    /// Its word: `none`, `warn`, `upgrade` or `throttle`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Nothing => "none",
            Self::Warn { next: _ } => "warn",
            Self::Upgrade { to: _, plans: _ } => "upgrade",
            Self::Throttle => "throttle",
        }
    }
}

words! {
    /// Why an account's usage led to what was done.
    LimitReason, "a reason of a limit check":
    /// The account is deleted.
    AccountDeleted = "account_deleted",
    /// The account is never throttled.
    Exempt = "exempt",
    /// The account's throttle is in force.
    AlreadyThrottled = "already_throttled",
    /// Every metric is within the free allowance, whatever the plans.
    WithinFreeAllowance = "within_free_allowance",
    /// Nothing is near its limit.
    WithinLimits = "within_limits",
    /// A metric is near its limit.
    NearLimit = "near_limit",
    /// A metric is near its limit and the customer knows.
    AlreadyWarned = "already_warned",
    /// A metric is near its limit and no larger plan exists.
    NearLimitOfTopPlan = "near_limit_of_top_plan",
    /// A metric is over its limit.
    OverLimit = "over_limit",
    /// A metric is over its limit and no dearer plan fits.
    OverTopPlan = "over_top_plan",
    /// More than the free allowance, and no card to charge a plan to.
    OverFreeAllowanceWithoutCard = "over_free_allowance_without_card",
    /// A metric is over its limit and the provider bills, who cannot bill more.
    OverLimitCannotBill = "over_limit_cannot_bill",
}

/// Decides what is done about an account's usage of the month so far.
///
/// In this order: deleted, exempt and throttled accounts are left alone; usage within the free
/// allowance is fine, whatever the plans; without a card, where the company bills, the account is
/// throttled; a metric over its limit upgrades its product (throttles where a provider bills); a
/// metric above nine tenths warns, once a month, where the company bills. Limits are summed over
/// the plans of a product; a product without a plan has the free allowance. An upgrade replaces
/// all plans of a product by the cheapest plan that holds the usage, above every plan by the
/// dearest, and only if that is dearer than what it replaces; otherwise the admins are told.
///
/// # Errors
/// [`BillingError::NoPrice`] and [`BillingError::TooLarge`].
pub fn check_limits(facts: &LimitFacts<'_>) -> Result<LimitDecision, BillingError> {
    let holding = facts.holding;
    let leave = |reason| LimitDecision {
        action: Action::Nothing,
        reason,
        over: Vec::new(),
        near: Vec::new(),
        limits: None,
        alert_admins: false,
    };
    if facts.deleted {
        return Ok(leave(LimitReason::AccountDeleted));
    }
    if facts.exempt {
        return Ok(leave(LimitReason::Exempt));
    }
    if facts.throttled_at.is_some_and(|at| at <= facts.now) {
        return Ok(leave(LimitReason::AlreadyThrottled));
    }
    if facts.usage.within(holding.catalogue().free_allowance()) {
        return Ok(leave(LimitReason::WithinFreeAllowance));
    }
    let limits = holding.limits()?;
    let over = metrics(|metric| is_over(facts.usage.of(metric), limits.of(metric)));
    let near = metrics(|metric| is_near(facts.usage.of(metric), limits.of(metric)));
    let (action, reason, alert_admins) = match holding.billed_by() {
        BilledBy::Company if !facts.has_card => {
            (Action::Throttle, LimitReason::OverFreeAllowanceWithoutCard, false)
        }
        BilledBy::Provider if !over.is_empty() => {
            (Action::Throttle, LimitReason::OverLimitCannotBill, false)
        }
        BilledBy::Company if !over.is_empty() => upgrade(facts, &over)?,
        BilledBy::Company if !near.is_empty() => warn(facts, &near, &limits)?,
        BilledBy::Company | BilledBy::Provider => {
            (Action::Nothing, LimitReason::WithinLimits, false)
        }
    };
    Ok(LimitDecision { action, reason, over, near, limits: Some(limits), alert_admins })
}

type Decided = (Action, LimitReason, bool);

fn upgrade(facts: &LimitFacts<'_>, over: &[Metric]) -> Result<Decided, BillingError> {
    let mut to = BTreeMap::new();
    let mut plans = facts.holding.names();
    let mut stuck = false;
    for product in products(over) {
        match Target::of(facts, product)?.for_usage() {
            Some(plan) => {
                plans = plans.with(product, &plan.name);
                to.insert(product, plan.name.clone());
            }
            None => stuck = true,
        }
    }
    if to.is_empty() {
        return Ok((Action::Nothing, LimitReason::OverTopPlan, true));
    }
    Ok((Action::Upgrade { to, plans }, LimitReason::OverLimit, stuck))
}

fn warn(facts: &LimitFacts<'_>, near: &[Metric], limits: &Limits) -> Result<Decided, BillingError> {
    let mut next = BTreeMap::new();
    let mut stuck = false;
    for product in products(near) {
        match Target::of(facts, product)?.beyond(near, limits) {
            Some(plan) => drop(next.insert(product, plan.name.clone())),
            None => stuck = true,
        }
    }
    Ok(match (next.is_empty(), facts.warned_this_month) {
        (true, _) => (Action::Nothing, LimitReason::NearLimitOfTopPlan, true),
        (false, true) => (Action::Nothing, LimitReason::AlreadyWarned, stuck),
        (false, false) => (Action::Warn { next }, LimitReason::NearLimit, stuck),
    })
}

fn metrics(is: impl Fn(Metric) -> bool) -> Vec<Metric> {
    Metric::ALL.iter().copied().filter(|&metric| is(metric)).collect()
}

/// The products of some metrics, each once.
fn products(metrics: &[Metric]) -> impl Iterator<Item = Product> {
    let of = |product: &Product| metrics.iter().any(|metric| metric.product() == *product);
    Product::ALL.iter().copied().filter(of)
}

/// Strictly above the limit; a limit of zero is passed by the first unit.
const fn is_over(used: u64, limit: u64) -> bool {
    used > limit
}

/// Strictly above nine tenths of the limit, and not above the limit.
fn is_near(used: u64, limit: u64) -> bool {
    !is_over(used, limit) && u128::from(used) * 10 > u128::from(limit) * 9
}
