//! What the adapter asks for, and what it makes of good answers and of refusals.

use payments::scripted::TestCard;
use payments::{API_VERSION, Charge, ChargeOutcome, PaymentError, Refund, RefundOutcome};

use crate::harness::{Harness, usd};

#[tokio::test]
async fn charges_once_and_finds_the_payment_again() {
    let harness = Harness::start().await;
    let charge = harness.charge("charge/1");
    let ChargeOutcome::Accepted { id } = harness.gateway.charge(&charge).await.unwrap() else {
        panic!("a good card is charged")
    };
    let again = harness.gateway.charge(&charge).await.unwrap();
    assert_eq!(again, ChargeOutcome::Accepted { id: id.clone() });
    assert_eq!(harness.scripted.times_charged("charge/1"), 1);

    let payment = harness.gateway.retrieve(&id).await.unwrap().unwrap();
    assert_eq!(payment.key.as_deref(), Some("charge/1"));
    assert_eq!(payment.amount, usd(2_000));
    assert_eq!(payment.customer, Some(harness.customer.clone()));
    assert_eq!(payment.outcome, again);
    assert!(!payment.live);
    let nobody = "pi_nobody".parse().unwrap();
    assert_eq!(harness.gateway.retrieve(&nobody).await.unwrap(), None);
}

#[tokio::test]
async fn says_under_which_key_and_version_it_asks_and_what_for() {
    let harness = Harness::start().await;
    harness.gateway.charge(&harness.charge("charge/1")).await.unwrap();
    let requests = harness.scripted.requests();
    let [request] = requests.as_slice() else { panic!("one call: {requests:?}") };
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/v1/payment_intents"));
    assert_eq!(request.key.as_deref(), Some("charge/1"));
    assert_eq!(request.version.as_deref(), Some(API_VERSION));
    let event = &harness.scripted.events()[0];
    for part in [
        r#""month":"2026-10""#,
        r#""attempt":"1""#,
        r#""invoice":"INV-000123""#,
        r#""key":"charge/1""#,
        r#""account":"acct_"#,
    ] {
        assert!(event.contains(part), "{part} in {event}");
    }
}

#[tokio::test]
async fn a_refused_card_is_told_by_its_code() {
    let harness = Harness::start().await;
    for (card, expected) in [
        (TestCard::Declined, "generic_decline"),
        (TestCard::InsufficientFunds, "insufficient_funds"),
        (TestCard::Expired, "expired_card"),
    ] {
        let charge = harness.charge_from(expected, card);
        let outcome = harness.gateway.charge(&charge).await.unwrap();
        let ChargeOutcome::Declined { id: Some(id), code } = &outcome else {
            panic!("{card:?}: {outcome:?}")
        };
        assert_eq!(code, expected);
        assert!(outcome.customer_message().is_some());
        let payment = harness.gateway.retrieve(id).await.unwrap().unwrap();
        assert_eq!(payment.outcome, outcome, "the payment that failed says the same");

        // The card gets better: the same key repeats the refusal, a new one charges.
        harness.scripted.set_card(&charge.payment_method, TestCard::Good);
        assert_eq!(harness.gateway.charge(&charge).await.unwrap(), outcome);
        let next = Charge { key: format!("{expected}/2"), attempt: 2, ..charge };
        let outcome = harness.gateway.charge(&next).await.unwrap();
        assert!(matches!(outcome, ChargeOutcome::Accepted { id: _ }), "{outcome:?}");
        assert_eq!(harness.scripted.times_charged(expected), 0);
        assert_eq!(harness.scripted.times_charged(&next.key), 1);
    }
}

#[tokio::test]
async fn a_demand_for_authentication_is_not_a_decline() {
    let harness = Harness::start().await;
    let charge = harness.charge_from("strict", TestCard::AuthenticationRequired);
    let outcome = harness.gateway.charge(&charge).await.unwrap();
    assert!(
        matches!(outcome, ChargeOutcome::AuthenticationRequired { id: Some(_) }),
        "{outcome:?}"
    );
    assert!(outcome.customer_message().unwrap().contains("confirm"));
    assert_eq!(harness.scripted.charges(), []);
}

#[tokio::test]
async fn what_is_wrong_with_the_request_is_refused_with_its_code() {
    let harness = Harness::start().await;
    let good = harness.charge("k");
    for (charge, expected) in [
        (Charge { customer: "cus_gone".parse().unwrap(), ..good.clone() }, "resource_missing"),
        (Charge { payment_method: "pm_gone".parse().unwrap(), ..good.clone() }, "resource_missing"),
        (Charge { amount: usd(49), ..good.clone() }, "amount_too_small"),
        (Charge { amount: usd(100_000_000), ..good.clone() }, "amount_too_large"),
    ] {
        let refused = ChargeOutcome::Refused { code: expected.to_owned() };
        assert_eq!(harness.gateway.charge(&charge).await.unwrap(), refused);
    }
    // What fails validation is not stored: the same key charges once the mistake is mended.
    let outcome = harness.gateway.charge(&good).await.unwrap();
    assert!(matches!(outcome, ChargeOutcome::Accepted { id: _ }), "{outcome:?}");

    let nothing = Charge { amount: usd(0), ..good.clone() };
    let error = harness.gateway.charge(&nothing).await.unwrap_err();
    assert!(matches!(error, PaymentError::Invalid { problem: _ }), "{error}");
    let no_key = Charge { key: String::new(), ..good };
    assert!(harness.gateway.charge(&no_key).await.is_err());
}

#[tokio::test]
async fn gives_money_back_in_parts_and_once_per_key() {
    let harness = Harness::start().await;
    let ChargeOutcome::Accepted { id } =
        harness.gateway.charge(&harness.charge("k")).await.unwrap()
    else {
        panic!("a good card is charged")
    };
    let account = harness.charge("k").account;
    let part = Refund { key: "refund/1".to_owned(), payment: id, amount: usd(500), account };
    let first = harness.gateway.refund(&part).await.unwrap();
    assert!(matches!(first, RefundOutcome::Accepted { id: _ }), "{first:?}");
    assert_eq!(harness.gateway.refund(&part).await.unwrap(), first);
    let rest = Refund { key: "refund/2".to_owned(), amount: usd(1_500), ..part.clone() };
    assert!(matches!(harness.gateway.refund(&rest).await.unwrap(), RefundOutcome::Accepted { .. }));
    assert_eq!(harness.scripted.charges()[0].refunded_minor, 2_000);

    let refused = |code: &str| RefundOutcome::Refused { code: code.to_owned() };
    let more = Refund { key: "refund/3".to_owned(), ..part.clone() };
    assert_eq!(harness.gateway.refund(&more).await.unwrap(), refused("charge_already_refunded"));
    let unknown = Refund { key: "refund/4".to_owned(), payment: "pi_no".parse().unwrap(), ..part };
    assert_eq!(harness.gateway.refund(&unknown).await.unwrap(), refused("resource_missing"));
}

#[tokio::test]
async fn reads_the_cards_of_a_customer_and_when_they_expire() {
    let harness = Harness::start().await;
    let second = harness.scripted.add_card(&harness.customer, TestCard::Good);
    harness.scripted.set_expiry(&second, "2026-12".parse().unwrap());
    let cards = harness.gateway.cards(&harness.customer).await.unwrap();
    let ids: Vec<_> = cards.iter().map(|card| card.id.clone()).collect();
    assert_eq!(ids, [second.clone(), harness.card.clone()]);
    assert!(cards[0].expires_in("2026-12".parse().unwrap()));
    assert_eq!((cards[0].brand.as_str(), cards[0].last4.as_str()), ("visa", "4242"));

    let card = harness.gateway.card(&second).await.unwrap().unwrap();
    assert_eq!(card, cards[0]);
    assert_eq!(harness.gateway.card(&"pm_gone".parse().unwrap()).await.unwrap(), None);
    let error = harness.gateway.cards(&"cus_gone".parse().unwrap()).await.unwrap_err();
    assert!(matches!(error, PaymentError::Refused { .. }), "{error}");

    // More cards than a page holds.
    for _ in 0..150 {
        harness.scripted.add_card(&harness.customer, TestCard::Good);
    }
    assert_eq!(harness.gateway.cards(&harness.customer).await.unwrap().len(), 152);
}
