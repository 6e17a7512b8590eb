//! What an operator sees who verifies the settings.

use payments::scripted::{Fault, When};
use payments::{Gateway, Stripe, verify};

use crate::harness::{Harness, adapter};

#[tokio::test]
async fn a_test_key_is_tried_out_from_customer_to_refund() {
    let harness = Harness::start().await;
    let report = verify(&harness.gateway).await;
    assert!(report.passed(), "{report}");
    let names: Vec<_> = report.steps.iter().map(|step| step.name).collect();
    assert_eq!(
        names,
        [
            "the key may read payments",
            "a customer can be made",
            "a test card can be attached",
            "a good card is charged",
            "the same key charges nothing again",
            "a test card can be attached",
            "a declined card is told apart",
            "a test card can be attached",
            "a demand for authentication is told apart",
            "the payment can be read",
            "the payment is found by its key",
            "the money is given back",
            "the customer is removed",
        ]
    );
    let charges = harness.scripted.charges();
    assert_eq!(charges.len(), 1);
    assert_eq!(charges[0].refunded_minor, charges[0].amount.minor);
    assert!(verify(&harness.gateway).await.passed(), "and again");
}

#[tokio::test]
async fn the_first_failure_ends_it_and_the_customer_is_removed() {
    let harness = Harness::start().await;
    harness.scripted.script(When::Path("/v1/refunds"), Fault::NoPermission, 1);
    let report = verify(&harness.gateway).await;
    assert!(!report.passed());
    let text = report.to_string();
    assert!(text.contains("FAILED  the money is given back: the secret key may not"), "{text}");
    assert!(text.contains("ok      the customer is removed"), "{text}");

    let mut settings = harness.scripted.settings();
    settings.secret_key = "sk_test_wrong".to_owned().into();
    let report = verify(&adapter(&settings)).await;
    assert_eq!(report.steps.len(), 1, "{report}");
    assert!(report.to_string().contains("does not accept the secret key"), "{report}");
}

#[tokio::test]
async fn a_live_key_is_only_read_with() {
    let harness = Harness::start().await;
    let mut settings = harness.scripted.settings();
    settings.secret_key = "rk_live_x".to_owned().into();
    let live = Gateway::Stripe(Stripe::new(&settings, "production").unwrap());
    let report = verify(&live).await;
    assert!(!report.passed(), "the scripted gateway knows no live key");
    let methods: Vec<_> = harness.scripted.requests().into_iter().map(|seen| seen.method).collect();
    assert_eq!(methods, ["GET"]);
    assert!(Stripe::new(&settings, "staging").is_err());
}

#[tokio::test]
async fn by_hand_there_is_nothing_to_try() {
    assert!(verify(&Gateway::Manual).await.passed());
}
