//! Everything that can go wrong on the way, and that money is taken once whatever happens.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use payments::scripted::{Fault, TestCard, When};
use payments::{ChargeOutcome, PaymentError, Refund, RefundOutcome, UnknownReason};
use testkit::Proxy;
use values::{Classify, Retry, Span};

use crate::harness::{Harness, adapter, hasty, usd};

/// More than the adapter ever tries.
const ALWAYS: u32 = 100;

fn unknown(reason: UnknownReason) -> ChargeOutcome {
    ChargeOutcome::Unknown { reason }
}

fn is_accepted(outcome: &ChargeOutcome) -> bool {
    matches!(outcome, ChargeOutcome::Accepted { id: _ })
}

#[tokio::test]
async fn whatever_happens_to_one_try_the_next_finds_the_one_charge() {
    for fault in [
        Fault::TooManyRequests { retry_after: None },
        Fault::LockTimeout,
        Fault::BadGateway,
        Fault::HangBefore,
        Fault::HangAfter,
        Fault::BreakAfter,
        Fault::TruncateAfter,
        Fault::MalformedAfter,
        Fault::WrongShapeAfter,
        Fault::OversizedAfter,
    ] {
        let harness = Harness::start().await;
        let (outcome, times) = harness.charge_under(fault.clone(), 1).await;
        assert!(is_accepted(&outcome), "{fault:?}: {outcome:?}");
        assert_eq!(times, 1, "{fault:?}");
        let keys: Vec<_> = harness.scripted.requests().into_iter().map(|seen| seen.key).collect();
        assert_eq!(keys, [Some("k".to_owned()), Some("k".to_owned())], "{fault:?}");
    }
}

#[tokio::test]
async fn what_never_answers_stays_unknown_and_is_settled_under_the_same_key() {
    for (fault, reason, charged) in [
        (Fault::HangBefore, UnknownReason::Timeout, 0),
        (Fault::HangAfter, UnknownReason::Timeout, 1),
        (Fault::BadGateway, UnknownReason::ServerError { status: 502 }, 0),
    ] {
        let harness = Harness::start().await;
        // One try: a second one would meet the stored answer.
        let mut settings = hasty(harness.scripted.settings());
        settings.waits.call = Duration::ZERO;
        harness.scripted.script(When::Charge, fault.clone(), ALWAYS);
        let outcome = adapter(&settings).charge(&harness.charge("k")).await.unwrap();
        assert_eq!(outcome, unknown(reason), "{fault:?}");
        assert_eq!(harness.scripted.times_charged("k"), charged, "{fault:?}");

        harness.scripted.clear_script();
        let outcome = harness.gateway.charge(&harness.charge("k")).await.unwrap();
        assert!(is_accepted(&outcome), "{fault:?}: {outcome:?}");
        assert_eq!(harness.scripted.times_charged("k"), 1, "{fault:?}");
    }
}

#[tokio::test]
async fn a_stored_500_is_repeated_for_a_day_so_asking_on_is_useless() {
    for (fault, charged) in [(Fault::ErrorBefore, 0), (Fault::ErrorAfter, 1)] {
        let harness = Harness::start().await;
        let (outcome, times) = harness.charge_under(fault.clone(), 1).await;
        assert_eq!(outcome, unknown(UnknownReason::ServerError { status: 500 }), "{fault:?}");
        assert_eq!(times, charged, "{fault:?}");
        assert_eq!(harness.scripted.requests().len(), 2, "the replay ends it: {fault:?}");
    }
}

#[tokio::test]
async fn a_storm_of_429_ends_as_rate_limited_with_nothing_taken() {
    let harness = Harness::start().await;
    harness.scripted.script(When::Any, Fault::TooManyRequests { retry_after: None }, ALWAYS);
    let error = harness.gateway.charge(&harness.charge("k")).await.unwrap_err();
    assert!(matches!(error, PaymentError::RateLimited { after: _ }), "{error}");
    assert_eq!(error.retry(), Retry::After(Span::from_seconds(1)));
    assert_eq!(harness.scripted.requests().len(), 5);
    assert_eq!(harness.scripted.charges(), []);
}

#[tokio::test]
async fn a_storm_that_ends_in_time_is_weathered() {
    let harness = Harness::start().await;
    let (outcome, times) =
        harness.charge_under(Fault::TooManyRequests { retry_after: None }, 4).await;
    assert!(is_accepted(&outcome), "{outcome:?}");
    assert_eq!(times, 1);
}

#[tokio::test]
async fn waits_as_long_as_it_is_asked_to() {
    let harness = Harness::start().await;
    let started = Instant::now();
    let (outcome, _) =
        harness.charge_under(Fault::TooManyRequests { retry_after: Some(1) }, 1).await;
    assert!(is_accepted(&outcome), "{outcome:?}");
    assert!(started.elapsed() >= Duration::from_secs(1), "{:?}", started.elapsed());

    // Longer than a call may last: the caller waits, not the call.
    harness.scripted.script(When::Any, Fault::TooManyRequests { retry_after: Some(600) }, 1);
    let error = harness.gateway.charge(&harness.charge("k2")).await.unwrap_err();
    assert_eq!(error.retry(), Retry::After(Span::from_minutes(10)));
}

#[tokio::test]
async fn a_limit_after_a_timeout_does_not_make_the_timeout_certain() {
    for last in [Fault::TooManyRequests { retry_after: None }, Fault::KeyRolled] {
        let harness = Harness::start().await;
        harness.scripted.script(When::Charge, Fault::HangAfter, 1);
        harness.scripted.script(When::Charge, last.clone(), ALWAYS);
        let outcome = harness.gateway.charge(&harness.charge("k")).await.unwrap();
        assert_eq!(outcome, unknown(UnknownReason::Timeout), "{last:?}");
        assert_eq!(harness.scripted.times_charged("k"), 1);
    }
}

#[tokio::test]
async fn a_wrong_key_or_a_missing_permission_is_for_a_person_to_mend() {
    let harness = Harness::start().await;
    harness.scripted.script(When::Charge, Fault::KeyRolled, 1);
    let error = harness.gateway.charge(&harness.charge("k")).await.unwrap_err();
    assert!(matches!(error, PaymentError::WrongKey), "{error}");
    assert_eq!(error.retry(), Retry::Never);

    harness.scripted.script(When::Charge, Fault::NoPermission, 1);
    let error = harness.gateway.charge(&harness.charge("k")).await.unwrap_err();
    assert_eq!(error.to_string(), "the secret key may not charge a card; give it that permission");

    let mut settings = harness.scripted.settings();
    settings.secret_key = "sk_test_someone_elses".to_owned().into();
    let stranger = adapter(&settings);
    let error = stranger.charge(&harness.charge("k")).await.unwrap_err();
    assert!(matches!(error, PaymentError::WrongKey), "{error}");
    for shown in [format!("{error} {error:?}"), format!("{stranger:?} {settings:?}")] {
        assert!(!shown.contains("someone_elses"), "{shown}");
    }
    assert_eq!(harness.scripted.charges(), []);
}

#[tokio::test]
async fn a_key_used_with_other_parameters_is_in_doubt() {
    let harness = Harness::start().await;
    harness.gateway.charge(&harness.charge("k")).await.unwrap();
    let other = payments::Charge { amount: usd(2_001), ..harness.charge("k") };
    let outcome = harness.gateway.charge(&other).await.unwrap();
    assert_eq!(outcome, unknown(UnknownReason::KeyReused));
    assert_eq!(harness.scripted.times_charged("k"), 1);
}

#[tokio::test]
async fn two_at_once_under_one_key_charge_once() {
    let harness = Harness::start().await;
    harness.scripted.script(When::Charge, Fault::Slow(Duration::from_millis(100)), 1);
    let charge = harness.charge("k");
    let (one, two) = tokio::join!(harness.gateway.charge(&charge), harness.gateway.charge(&charge));
    let (one, two) = (one.unwrap(), two.unwrap());
    for outcome in [&one, &two] {
        // The second may give up while the first is still busy; it never charges again.
        let good = is_accepted(outcome) || *outcome == unknown(UnknownReason::Busy);
        assert!(good, "{outcome:?}");
    }
    assert!(is_accepted(&one) || is_accepted(&two));
    assert_eq!(harness.scripted.times_charged("k"), 1);
}

#[tokio::test]
async fn many_at_once_under_faults_charge_each_customer_once() {
    let harness = Harness::start().await;
    for fault in [
        Fault::HangAfter,
        Fault::BreakAfter,
        Fault::TruncateAfter,
        Fault::MalformedAfter,
        Fault::TooManyRequests { retry_after: None },
        Fault::BadGateway,
    ] {
        harness.scripted.script(When::Charge, fault, 5);
    }
    let charges: Vec<_> = (0..60).map(|n| harness.charge(&format!("k{n}"))).collect();
    // Each is asked for twice, as after a crash.
    for _ in 0..2 {
        let all = charges.iter().map(|charge| harness.gateway.charge(charge));
        for outcome in join_all(all).await {
            outcome.unwrap();
        }
    }
    for charge in &charges {
        assert_eq!(harness.scripted.times_charged(&charge.key), 1, "{}", charge.key);
    }
    assert_eq!(harness.scripted.charges().len(), charges.len());
}

#[tokio::test]
async fn nobody_at_the_other_end_is_no_refusal() {
    let harness = Harness::start().await;
    let proxy = Proxy::start(harness.scripted.address()).await.unwrap();
    let mut settings = hasty(harness.scripted.settings());
    settings.endpoint = proxy.http();
    let gateway = adapter(&settings);
    proxy.cut().await;
    let outcome = gateway.charge(&harness.charge("k")).await.unwrap();
    assert_eq!(outcome, unknown(UnknownReason::Unreachable));
    let error = gateway.cards(&harness.customer).await.unwrap_err();
    assert!(matches!(error, PaymentError::Unreachable { .. }), "{error}");
    assert_eq!(error.retry(), Retry::Backoff);
    proxy.restore().await;
    assert!(is_accepted(&gateway.charge(&harness.charge("k")).await.unwrap()));
    assert_eq!(harness.scripted.times_charged("k"), 1);
}

#[tokio::test]
async fn faults_can_be_about_one_customer_or_amount() {
    let harness = Harness::start().await;
    let other = harness.scripted.add_customer();
    let card = harness.scripted.add_card(&other, TestCard::Good);
    harness.scripted.script(When::Customer(other.clone()), Fault::KeyRolled, 1);
    harness.scripted.script(When::Amount(777), Fault::KeyRolled, 1);
    harness.scripted.script(When::Key("special".to_owned()), Fault::KeyRolled, 1);
    harness.scripted.script(When::Path("/v1/refunds"), Fault::KeyRolled, 1);
    assert!(is_accepted(&harness.gateway.charge(&harness.charge("k1")).await.unwrap()));
    let theirs = payments::Charge { customer: other, payment_method: card, ..harness.charge("k2") };
    assert!(harness.gateway.charge(&theirs).await.is_err());
    let odd = payments::Charge { amount: usd(777), ..harness.charge("k3") };
    assert!(harness.gateway.charge(&odd).await.is_err());
    assert!(harness.gateway.charge(&harness.charge("special")).await.is_err());
    let refund = Refund {
        key: "r".to_owned(),
        payment: harness.scripted.charges()[0].id.clone(),
        amount: usd(1),
        account: harness.charge("k1").account,
    };
    assert!(harness.gateway.refund(&refund).await.is_err());
}

#[tokio::test]
async fn a_refund_is_made_once_whatever_happens_on_the_way() {
    for fault in [Fault::HangAfter, Fault::BreakAfter, Fault::MalformedAfter] {
        let harness = Harness::start().await;
        harness.gateway.charge(&harness.charge("k")).await.unwrap();
        let payment = harness.scripted.charges()[0].id.clone();
        let account = harness.charge("k").account;
        let refund = Refund { key: "r".to_owned(), payment, amount: usd(300), account };
        harness.scripted.script(When::Path("/v1/refunds"), fault.clone(), 1);
        let outcome = harness.gateway.refund(&refund).await.unwrap();
        assert!(matches!(outcome, RefundOutcome::Accepted { id: _ }), "{fault:?}: {outcome:?}");
        assert_eq!(harness.scripted.charges()[0].refunded_minor, 300, "{fault:?}");
    }
}
