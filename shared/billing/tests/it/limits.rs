//! Every case of the usage check, and what the cases leave open.

use std::collections::BTreeMap;

use billing::{
    AccountPlans, Action, Catalogue, LimitDecision, LimitFacts, LimitReason, Limits, Metric,
    Product, Streams, Usage, check_limits,
};
use serde::Deserialize;
use values::{Currency, Month, Timestamp};

use crate::{Plans, UsageRow};

const CASES: &str = include_str!("../cases/throttle.json");

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Case {
    id: String,
    #[serde(rename = "why")]
    _why: String,
    #[serde(rename = "origin")]
    _origin: String,
    #[serde(rename = "firm")]
    _firm: bool,
    #[serde(rename = "reference")]
    _reference: Option<String>,
    account: Account,
    usage: UsageRow,
    month: Month,
    now: Timestamp,
    warned_this_month: bool,
    expect: Expected,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Account {
    #[serde(rename = "id")]
    _id: String,
    #[serde(rename = "name")]
    _name: String,
    #[serde(rename = "billingEmail")]
    _billing_email: Option<String>,
    billing_provider: String,
    product_plans: Plans,
    card: String,
    deleted_at: Option<Timestamp>,
    throttled_at: Option<Timestamp>,
    unthrottleable: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Expected {
    action: String,
    reason: String,
    over: Vec<Metric>,
    near: Vec<Metric>,
    limits: Option<ExpectedLimits>,
    next_plan: Option<BTreeMap<Product, String>>,
    upgrade_to: Option<BTreeMap<Product, String>>,
    new_product_plans: Option<Plans>,
    throttled_reason: Option<String>,
    #[serde(default)]
    alert_admins: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ExpectedLimits {
    bandwidth: u64,
    storage: u64,
    peer_milliseconds: u64,
}

#[test]
fn every_case_is_decided_as_it_says() {
    let catalogue = Catalogue::built_in();
    for case in crate::cases::<Case>(CASES) {
        let Case { id, account, expect, .. } = case;
        let plans = account.product_plans.held();
        let holding = catalogue.hold(&account.billing_provider, &plans, case.month).unwrap();
        let decision = check_limits(&LimitFacts {
            holding: &holding,
            currency: Currency::USD,
            usage: case.usage.usage(),
            deleted: account.deleted_at.is_some(),
            exempt: account.unthrottleable,
            throttled_at: account.throttled_at,
            has_card: account.card == "valid",
            warned_this_month: case.warned_this_month,
            now: case.now,
        })
        .unwrap();
        assert_eq!(decision.action.as_str(), expect.action, "{id}");
        assert_eq!(decision.reason.as_str(), expect.reason, "{id}");
        assert_eq!((&decision.over, &decision.near), (&expect.over, &expect.near), "{id}");
        assert_eq!(decision.alert_admins, expect.alert_admins, "{id}");
        if let Some(ExpectedLimits { bandwidth, storage, peer_milliseconds }) = expect.limits {
            let (bandwidth_bytes, storage_bytes) = (bandwidth, storage);
            let limits = Limits { bandwidth_bytes, storage_bytes, peer_milliseconds };
            assert_eq!(holding.plan_limits(), Ok(limits), "{id}");
        }
        let (mut next, mut upgrade, mut after) = (None, None, None);
        match decision.action {
            Action::Nothing => {}
            Action::Throttle => assert_eq!(expect.throttled_reason.as_deref(), Some("overLimit")),
            Action::Warn { next: plans } => next = Some(plans),
            Action::Upgrade { to, plans } => (upgrade, after) = (Some(to), Some(plans)),
        }
        assert_eq!((next, upgrade), (expect.next_plan, expect.upgrade_to), "{id}");
        assert_eq!(after, expect.new_product_plans.map(|plans| plans.held()), "{id}");
    }
}

/// Fault 1: every plan that is shipped has the figures it is sold with.
#[test]
fn the_shipped_catalogue_is_the_table_of_the_cases() {
    #[derive(Deserialize)]
    struct File {
        plans: BTreeMap<String, BTreeMap<Product, BTreeMap<String, Row>>>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Row {
        price_usd: i64,
        #[serde(default)]
        bandwidth_bytes: u64,
        #[serde(default)]
        storage_bytes: u64,
        #[serde(default)]
        peer_milliseconds: u64,
        order: Option<u32>,
        streams: Option<serde_json::Value>,
        #[serde(rename = "minutes")]
        _minutes: Option<u64>,
    }
    let catalogue = Catalogue::built_in();
    let month = "2015-02".parse().unwrap();
    let file: File = serde_json::from_str(CASES).unwrap();
    let mut rows = 0;
    for (provider, product, name, row) in file.plans.iter().flat_map(|(provider, products)| {
        products.iter().flat_map(move |(product, plans)| {
            plans.iter().map(move |(name, row)| (provider, *product, name, row))
        })
    }) {
        let plan = catalogue.plan(provider, product, name, month).unwrap();
        let limits = Limits {
            bandwidth_bytes: row.bandwidth_bytes,
            storage_bytes: row.storage_bytes,
            peer_milliseconds: row.peer_milliseconds,
        };
        assert_eq!(plan.limits, limits, "{provider} {name}");
        assert_eq!(plan.price(Currency::USD).unwrap().minor, row.price_usd * 100);
        assert!(row.order.is_none_or(|order| order == plan.order), "{provider} {name}");
        if let Some(streams) = &row.streams {
            let streams = match streams.as_u64() {
                Some(number) => Streams::UpTo(number.try_into().unwrap()),
                None => Streams::Unlimited,
            };
            assert_eq!(plan.streams, streams, "{provider} {name}");
        }
        rows += 1;
    }
    let shipped: usize = catalogue
        .providers()
        .iter()
        .flat_map(|provider| Product::ALL.iter().map(|product| (&provider.name, *product)))
        .map(|(provider, product)| catalogue.plans(provider, product, month).count())
        .sum();
    assert_eq!(shipped, rows);
}

const GIB: u64 = 1 << 30;

/// Broadcast plans, peer plans, GiB sent, GiB stored, minutes; the rest is an account with a card.
fn decide(
    broadcast: &[&str],
    peer: &[&str],
    used: (u64, u64, u64),
    change: impl FnOnce(&mut LimitFacts<'_>),
) -> LimitDecision {
    decide_at("cine.io", broadcast, peer, used, change)
}

/// The same of an account that another provider may bill.
fn decide_at(
    provider: &str,
    broadcast: &[&str],
    peer: &[&str],
    (sent, stored, minutes): (u64, u64, u64),
    change: impl FnOnce(&mut LimitFacts<'_>),
) -> LimitDecision {
    let catalogue = Catalogue::built_in();
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    let plans = AccountPlans { broadcast: names(broadcast), peer: names(peer) };
    let holding = catalogue.hold(provider, &plans, "2015-02".parse().unwrap()).unwrap();
    let mut facts = LimitFacts {
        holding: &holding,
        currency: Currency::USD,
        usage: Usage {
            bandwidth_bytes: sent * GIB,
            storage_bytes: stored * GIB,
            peer_milliseconds: minutes * 60_000,
        },
        deleted: false,
        exempt: false,
        throttled_at: None,
        has_card: true,
        warned_this_month: false,
        now: "2015-02-20T10:00:00Z".parse().unwrap(),
    };
    change(&mut facts);
    check_limits(&facts).unwrap()
}

fn to(decision: &LimitDecision) -> Vec<(Product, &str)> {
    match &decision.action {
        Action::Upgrade { to, .. } => to.iter().map(|(k, v)| (*k, v.as_str())).collect(),
        Action::Warn { next } => next.iter().map(|(k, v)| (*k, v.as_str())).collect(),
        Action::Nothing | Action::Throttle => Vec::new(),
    }
}

/// Fault 1: the largest plan of a marketplace has a limit, and so has one that stores nothing.
#[test]
fn a_marketplace_stops_whoever_used_more_than_any_of_its_plans() {
    for provider in ["heroku", "engineyard", "appdirect"] {
        let used = |bytes| {
            let of = |facts: &mut LimitFacts<'_>| facts.usage.bandwidth_bytes = bytes;
            decide_at(provider, &["pro"], &[], (0, 75, 0), of).action
        };
        assert_eq!(used(750 * GIB), Action::Nothing, "{provider}");
        assert_eq!(used(750 * GIB + 1), Action::Throttle, "{provider}");
        let stored = decide_at(provider, &["pro"], &[], (750, 76, 0), |_| ());
        assert_eq!(stored.over, [Metric::Storage], "{provider}");
    }
    let stored = decide_at("appdirect", &["sample-addon"], &[], (0, 2, 0), |_| ());
    assert_eq!((stored.action, stored.over), (Action::Throttle, vec![Metric::Storage]));
}

/// Fault 11: an account whose throttle is to come is still checked.
#[test]
fn deleted_exempt_and_throttled_accounts_are_left_alone_but_not_those_in_grace() {
    let over = (30, 1, 0);
    let check = |change: &dyn Fn(&mut LimitFacts<'_>), reason| {
        assert_eq!(decide(&["solo"], &[], over, change).reason, reason);
    };
    check(&|facts| facts.deleted = true, LimitReason::AccountDeleted);
    check(&|facts| facts.exempt = true, LimitReason::Exempt);
    check(&|facts| facts.throttled_at = Some(facts.now), LimitReason::AlreadyThrottled);
    let grace = "2015-02-20T10:00:01Z".parse().unwrap();
    check(&|facts| facts.throttled_at = Some(grace), LimitReason::OverLimit);
}

/// Fault 3: a warning names each product that is near its limit, with the plan that follows.
#[test]
fn a_customer_is_warned_once_and_of_the_right_products() {
    let near = (19, 1, 1_900);
    let first = decide(&["solo"], &["solo"], near, |_| ());
    assert_eq!(to(&first), [(Product::Broadcast, "basic"), (Product::Peer, "basic")]);
    let second = decide(&["solo"], &["solo"], near, |facts| facts.warned_this_month = true);
    assert_eq!((second.action.as_str(), second.reason), ("none", LimitReason::AlreadyWarned));
}

/// Fault 2: the free plan of a product that needs no other stays free.
#[test]
fn an_upgrade_holds_the_usage_and_leaves_the_other_product_alone() {
    let both = decide(&["solo"], &["basic"], (250, 1_000, 13_000), |_| ());
    assert_eq!(to(&both), [(Product::Broadcast, "enterprise"), (Product::Peer, "premium")]);
    let stored = decide(&["basic"], &["solo"], (1, 151, 0), |_| ());
    assert_eq!(to(&stored), [(Product::Broadcast, "business")]);
    let one = decide(&["solo"], &["free"], (21, 1, 0), |_| ());
    let Action::Upgrade { plans, .. } = &one.action else { panic!("{one:?}") };
    assert_eq!(plans.peer, ["free"]);
}

/// Fault 3: an upgrade is compared with all that it replaces.
#[test]
fn an_upgrade_is_dearer_than_the_sum_of_what_it_replaces() {
    // Four at 300 are dearer than the cheapest plan that holds their usage: a person has to look.
    let stuck = decide(&["premium"; 4], &[], (2_010, 1, 0), |_| ());
    assert_eq!((stuck.reason, stuck.alert_admins), (LimitReason::OverTopPlan, true));
    let dearer = decide(&["premium"; 3], &[], (1_600, 1, 0), |_| ());
    assert_eq!(to(&dearer), [(Product::Broadcast, "startup")]);
    let next = decide(&["solo"; 6], &[], (115, 1, 0), |_| ());
    assert_eq!((next.action.as_str(), to(&next)), ("warn", vec![(Product::Broadcast, "premium")]));
}

#[test]
fn a_product_without_plan_has_the_free_allowance_and_nothing_more() {
    let decision = decide(&[], &["solo"], (2, 0, 100), |_| ());
    assert_eq!(to(&decision), [(Product::Broadcast, "solo")]);
    assert_eq!(decision.limits.unwrap().bandwidth_bytes, GIB);
    let within = decide(&["solo"], &[], (10, 1, 54), |_| ());
    assert_eq!(within.reason, LimitReason::WithinLimits);
}

/// Fault 3: above the largest plan a person is told.
#[test]
fn what_cannot_be_upgraded_is_told_even_if_the_rest_is() {
    let mixed = decide(&["enterprise"], &["solo"], (16_000, 1, 3_000), |_| ());
    assert_eq!((to(&mixed), mixed.alert_admins), (vec![(Product::Peer, "basic")], true));
}

#[test]
fn absurd_usage_never_overflows() {
    for used in [u64::MAX, u64::MAX / 10, Usage::MAX] {
        let decision = decide(&["solo"], &["solo"], (0, 0, 0), |facts| {
            facts.usage =
                Usage { bandwidth_bytes: used, storage_bytes: used, peer_milliseconds: used };
        });
        assert_eq!(
            to(&decision),
            [(Product::Broadcast, "enterprise"), (Product::Peer, "enterprise")]
        );
    }
}
