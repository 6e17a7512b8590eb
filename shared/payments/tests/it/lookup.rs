//! After 23 hours a key may be forgotten: the payment is looked up before it is used again.

use payments::scripted::{Fault, TestCard, When};
use payments::{Charge, ChargeOutcome, LOOK_UP_AFTER, PaymentError, Refund};
use values::{Clock, Span};

use crate::harness::{Harness, usd};

/// What a job does with a charge whose end it does not know.
async fn settle(
    harness: &Harness,
    charge: &Charge,
    first_tried: values::Timestamp,
) -> ChargeOutcome {
    let now = harness.clock.now();
    match harness.gateway.reconcile(charge, first_tried, now).await.expect("a look") {
        Some(outcome) => outcome,
        None => harness.gateway.charge(charge).await.expect("an outcome"),
    }
}

#[tokio::test]
async fn a_young_key_needs_no_look() {
    let harness = Harness::start().await;
    let tried = harness.clock.now();
    harness.clock.pass(Span::from_hours(22));
    let charge = harness.charge("k");
    let found = harness.gateway.reconcile(&charge, tried, harness.clock.now()).await.unwrap();
    assert_eq!(found, None);
    assert_eq!(harness.scripted.requests(), []);
}

#[tokio::test]
async fn a_charge_in_doubt_is_found_after_its_key_is_forgotten() {
    for fault in [Fault::ErrorAfter, Fault::ErrorBefore] {
        let harness = Harness::start().await;
        let charge = harness.charge("k");
        let tried = harness.clock.now();
        harness.scripted.script(When::Charge, fault.clone(), 1);
        let outcome = harness.gateway.charge(&charge).await.unwrap();
        assert!(matches!(outcome, ChargeOutcome::Unknown { reason: _ }), "{outcome:?}");

        harness.clock.pass(LOOK_UP_AFTER);
        harness.clock.pass(Span::from_hours(2));
        harness.scripted.forget_keys();
        let outcome = settle(&harness, &charge, tried).await;
        assert!(matches!(outcome, ChargeOutcome::Accepted { id: _ }), "{fault:?}: {outcome:?}");
        assert_eq!(harness.scripted.times_charged("k"), 1, "{fault:?}");
    }
}

#[tokio::test]
async fn a_refusal_is_found_as_a_refusal() {
    let harness = Harness::start().await;
    let charge = harness.charge_from("k", TestCard::InsufficientFunds);
    let tried = harness.clock.now();
    let declined = harness.gateway.charge(&charge).await.unwrap();
    harness.clock.pass(Span::from_hours(30));
    harness.scripted.set_card(&charge.payment_method, TestCard::Good);
    harness.scripted.forget_keys();
    assert_eq!(settle(&harness, &charge, tried).await, declined);
    assert_eq!(harness.scripted.charges(), []);
}

#[tokio::test]
async fn the_right_payment_is_found_among_many() {
    let harness = Harness::start().await;
    let tried = harness.clock.now();
    for n in 0..250 {
        harness.gateway.charge(&harness.charge(&format!("k{n}"))).await.unwrap();
    }
    let stranger = harness.scripted.add_customer();
    for n in [0, 120, 249] {
        let key = format!("k{n}");
        let payment = harness.gateway.find(&harness.customer, &key, tried).await.unwrap().unwrap();
        assert_eq!(payment.key, Some(key.clone()));
        assert_eq!(payment.amount, usd(2_000));
        assert_eq!(harness.gateway.find(&stranger, &key, tried).await.unwrap(), None);
    }
    assert_eq!(harness.gateway.find(&harness.customer, "other", tried).await.unwrap(), None);
    let later = tried.after(Span::from_hours(2));
    assert_eq!(harness.gateway.find(&harness.customer, "k0", later).await.unwrap(), None);
}

#[tokio::test]
async fn no_answer_to_the_look_is_no_leave_to_charge() {
    let harness = Harness::start().await;
    let tried = harness.clock.now();
    harness.clock.pass(Span::from_days(2));
    harness.scripted.script(When::Any, Fault::BadGateway, 100);
    let now = harness.clock.now();
    let error = harness.gateway.reconcile(&harness.charge("k"), tried, now).await.unwrap_err();
    assert!(matches!(error, PaymentError::Unreachable { .. }), "{error}");
    assert_eq!(harness.scripted.charges(), []);
}

#[tokio::test]
async fn a_list_without_end_is_an_error_and_no_leave_to_charge() {
    let harness = Harness::start().await;
    let tried = harness.clock.now();
    for n in 0..2_001 {
        harness.gateway.charge(&harness.charge(&format!("k{n}"))).await.unwrap();
    }
    let error = harness.gateway.find(&harness.customer, "other", tried).await.unwrap_err();
    assert_eq!(error.to_string(), "cannot list payments: more than 20 pages");
}

#[tokio::test]
async fn a_refund_is_looked_up_by_its_key() {
    let harness = Harness::start().await;
    harness.gateway.charge(&harness.charge("k")).await.unwrap();
    let payment = harness.scripted.charges()[0].id.clone();
    let account = harness.charge("k").account;
    let refund = Refund { key: "r".to_owned(), payment, amount: usd(300), account };
    let tried = harness.clock.now();
    let made = harness.gateway.refund(&refund).await.unwrap();
    let again =
        harness.gateway.reconcile_refund(&refund, tried, harness.clock.now()).await.unwrap();
    assert_eq!(again, None, "the key is young");

    harness.clock.pass(Span::from_days(2));
    harness.scripted.forget_keys();
    let now = harness.clock.now();
    assert_eq!(harness.gateway.reconcile_refund(&refund, tried, now).await.unwrap(), Some(made));
    let other = Refund { key: "other".to_owned(), ..refund };
    assert_eq!(harness.gateway.reconcile_refund(&other, tried, now).await.unwrap(), None);
}
