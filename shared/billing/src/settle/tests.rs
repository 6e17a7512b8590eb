use values::Currency;

use super::*;
use crate::throttle::{Throttle, ThrottledReason};
use crate::{BasisPoints, BillFacts, Catalogue, Product, Usage, bill_of_month};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn december() -> Month {
    "2014-12".parse().unwrap()
}

fn standing() -> Standing {
    Standing {
        account: AccountId::new(Timestamp::EPOCH, [1; 10]),
        billed_by: BilledBy::Company,
        created_at: at("2014-10-20T09:30:00Z"),
        deleted: false,
        throttled_at: None,
        has_card: true,
    }
}

fn record(state: RecordState) -> Record {
    let total = Money { minor: 10_000, currency: Currency::USD };
    Record { state, total, refusals: 0, attempted_at: None, grace_until: None }
}

fn bill(plan: &str, credit_minor: i64) -> Result<Bill, BillingError> {
    let catalogue = Catalogue::built_in();
    let plans = crate::AccountPlans::default().with(Product::Broadcast, plan);
    bill_of_month(&BillFacts {
        created_at: at("2014-10-20T09:30:00Z"),
        holding: &catalogue.hold("cine.io", &plans, december())?,
        usage: Usage::default(),
        currency: Currency::USD,
        tax: BasisPoints::ZERO,
        carried: &[],
        credit_minor,
    })
}

fn settle(standing: &Standing, trigger: Trigger, now: &str, record: Option<&Record>) -> Step {
    settle_month(standing, december(), trigger, at(now), record, || bill("basic", 0)).unwrap()
}

const RUN: &str = "2015-01-03T06:00:00Z";

#[test]
fn the_first_reason_of_the_order_is_given() {
    let mut standing = Standing {
        deleted: true,
        billed_by: BilledBy::Provider,
        created_at: at("2015-01-01T00:00:00Z"),
        throttled_at: Some(at(RUN)),
        has_card: false,
        ..standing()
    };
    let mut paid = record(RecordState::Paid);
    let check = |standing: &Standing, record: &Record, reason| {
        let step = settle(standing, Trigger::MonthlyRun, RUN, Some(record));
        assert_eq!(step, Step::Skip(reason));
    };
    check(&standing, &paid, Reason::AccountDeleted);
    standing.deleted = false;
    check(&standing, &paid, Reason::BilledByProvider);
    standing.billed_by = BilledBy::Company;
    check(&standing, &paid, Reason::NotActiveInMonth);
    standing.created_at = at("2014-12-31T23:59:59Z");
    check(&standing, &paid, Reason::AlreadyPaid);
    paid.state = RecordState::Waived;
    check(&standing, &paid, Reason::Waived);
    paid.state = RecordState::CarriedOver;
    check(&standing, &paid, Reason::CarriedOver);
    paid.state = RecordState::NoCard;
    check(&standing, &paid, Reason::AccountThrottled);
    standing.throttled_at = Some(at("2015-01-03T06:00:01Z"));
    check(&standing, &paid, Reason::NoCard);
    let free =
        settle_month(&standing, december(), Trigger::MonthlyRun, at(RUN), None, || bill("free", 0));
    assert_eq!(free, Ok(Step::Skip(Reason::FreePlan)));
}

#[test]
fn a_month_that_has_not_ended_is_an_error_and_a_plan_nobody_knows_stops() {
    let early = at("2014-12-31T23:59:59.999999Z");
    let asked =
        settle_month(&standing(), december(), Trigger::Operator, early, None, || bill("basic", 0));
    assert_eq!(asked, Err(BillingError::MonthNotEnded { month: december() }));
    let step =
        settle_month(&standing(), december(), Trigger::Operator, at(RUN), None, || bill("gold", 0));
    assert_eq!(step.unwrap().reason(), Some(Reason::UnknownPlan));
}

#[test]
fn an_operator_may_bill_a_throttled_account_and_credit_may_pay_it_all() {
    let throttled = Standing { throttled_at: Some(at("2014-12-20T00:00:00Z")), ..standing() };
    let step = settle(&throttled, Trigger::Operator, RUN, None);
    let Step::Charge(Charge { key, amount, bill: Some(_), manner }) = step else {
        panic!("{step:?}")
    };
    assert_eq!((key.attempt, amount.minor, manner), (1, 10_000, Manner::Call));
    let paid = settle_month(&standing(), december(), Trigger::Operator, at(RUN), None, || {
        bill("basic", 20_000)
    });
    assert_eq!(paid.unwrap().reason(), Some(Reason::PaidByCredit));
}

#[test]
fn an_unknown_end_keeps_its_key_and_is_looked_up_after_a_day() {
    let mut pending = Record { refusals: 2, ..record(RecordState::Pending) };
    let check = |standing: &Standing, pending: &Record, expected| {
        let step = settle(standing, Trigger::MonthlyRun, RUN, Some(pending));
        let Step::Charge(Charge { key, bill: None, manner, .. }) = step else { panic!("{step:?}") };
        assert_eq!((key.attempt, manner), (3, expected));
    };
    check(&standing(), &pending, Manner::LookUpFirst);
    pending.attempted_at = Some(at("2015-01-02T07:00:01Z"));
    check(&standing(), &pending, Manner::Call);
    check(&Standing { has_card: false, ..standing() }, &pending, Manner::LookUpOnly);
    pending.attempted_at = Some(at("2015-01-02T07:00:00Z"));
    check(&standing(), &pending, Manner::LookUpFirst);
}

#[test]
fn a_refused_month_waits_for_its_retry_and_gets_a_key_of_its_own() {
    let failed = Record {
        refusals: 1,
        attempted_at: Some(at("2015-01-03T06:00:00Z")),
        grace_until: Some(at("2015-01-07T06:00:00Z")),
        ..record(RecordState::Failed)
    };
    let step = |trigger, now| settle(&standing(), trigger, now, Some(&failed));
    let early = "2015-01-04T05:59:59Z";
    assert_eq!(step(Trigger::MonthlyRun, early), Step::Skip(Reason::RetryNotDue));
    for (trigger, now) in [
        (Trigger::MonthlyRun, "2015-01-04T06:00:00Z"),
        (Trigger::Operator, early),
        (Trigger::CardAdded, early),
    ] {
        let step = step(trigger, now);
        let Step::Charge(charge) = step else { panic!("{step:?}") };
        assert_eq!((charge.key.attempt, charge.manner), (2, Manner::Call));
    }
    let worn = Record { refusals: MAX_REFUSALS, ..failed };
    let result =
        settle_month(&standing(), december(), Trigger::Operator, at(RUN), Some(&worn), || {
            bill("basic", 0)
        });
    assert!(matches!(result, Err(BillingError::TooManyAttempts { .. })));
}

#[test]
fn a_month_without_card_is_charged_when_the_customer_agrees_not_by_the_run() {
    let open = record(RecordState::NoCard);
    let step = |trigger| settle(&standing(), trigger, RUN, Some(&open));
    assert_eq!(step(Trigger::MonthlyRun), Step::Skip(Reason::NoCard));
    assert!(matches!(step(Trigger::CardAdded), Step::Charge(_)));
    assert!(matches!(step(Trigger::Operator), Step::Charge(_)));
}

fn answered() -> Answered {
    let now = at("2015-01-03T06:00:00Z");
    Answered { now, exempt: false, throttle: None, grace_until: None, others_failed: false }
}

fn declined() -> GatewayAnswer {
    GatewayAnswer::Declined { code: "card_declined".to_owned() }
}

#[test]
fn the_first_decline_fixes_the_grace_once() {
    let first = declined().consequence(&answered());
    let grace = at("2015-01-07T06:00:00Z");
    let throttle = Throttle { at: grace, reason: ThrottledReason::CardDeclined };
    assert_eq!(
        (first.state, first.refused, first.reason),
        (RecordState::Failed, true, Reason::CardDeclined,)
    );
    assert_eq!((first.grace_until, first.throttle), (Some(grace), Some(throttle)));
    let later = at("2015-01-06T06:00:00Z");
    let again =
        Answered { now: later, grace_until: Some(grace), throttle: Some(throttle), ..answered() };
    let second = declined().consequence(&again);
    assert_eq!((second.grace_until, second.throttle), (Some(grace), None));
    assert_eq!(second.notices, [Notice::AdminCardDeclined]);
}

#[test]
fn an_earlier_throttle_stays_and_an_exempt_account_gets_none() {
    let early = Throttle { at: at("2015-01-02T00:00:00Z"), reason: ThrottledReason::OverLimit };
    let late = Throttle { at: at("2015-02-02T00:00:00Z"), ..early };
    let throttle = |throttle| {
        declined().consequence(&Answered { throttle: Some(throttle), ..answered() }).throttle
    };
    assert_eq!(throttle(early), None);
    assert!(throttle(late).is_some());
    let exempt = declined().consequence(&Answered { exempt: true, ..answered() });
    assert_eq!((exempt.throttle, exempt.grace_until.is_some()), (None, true));
    assert_eq!(exempt.notices, [Notice::AdminCardDeclined]);
}

#[test]
fn every_other_answer_is_told_from_a_decline() {
    let strong = GatewayAnswer::AuthenticationRequired.consequence(&answered());
    assert_eq!((strong.state, strong.refused), (RecordState::Failed, true));
    assert_eq!(strong.notices[0], Notice::AuthenticationRequired);
    let refused = GatewayAnswer::Refused { code: "parameter_missing".to_owned() };
    let refused = refused.consequence(&answered());
    assert_eq!(
        (refused.state, refused.refused, refused.throttle),
        (RecordState::Failed, true, None)
    );
    assert_eq!((refused.grace_until, refused.reason), (None, Reason::GatewayError));
    let unknown = GatewayAnswer::Unknown.consequence(&answered());
    assert_eq!((unknown.state, unknown.refused), (RecordState::Pending, false));
    assert!(unknown.notices.is_empty());
}

#[test]
fn a_payment_ends_the_throttle_of_a_declined_card_only() {
    let lifts = |reason, others_failed| {
        let throttle = Some(Throttle { at: at("2015-01-01T00:00:00Z"), reason });
        let facts = Answered { throttle, others_failed, ..answered() };
        GatewayAnswer::Accepted.consequence(&facts).lifts_throttle
    };
    assert!(lifts(ThrottledReason::CardDeclined, false));
    assert!(!lifts(ThrottledReason::CardDeclined, true));
    assert!(!lifts(ThrottledReason::OverLimit, false));
}
