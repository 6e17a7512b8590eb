use values::Currency;

use super::*;

fn charge_error(error: &str) -> String {
    let answer: ErrorAnswer = serde_json::from_str(&format!("{{\"error\":{error}}}")).unwrap();
    match answer.error.outcome() {
        ChargeOutcome::Declined { id: _, code } => format!("declined {code}"),
        ChargeOutcome::AuthenticationRequired { id: _ } => "authentication".to_owned(),
        ChargeOutcome::Refused { code } => format!("refused {code}"),
        other => format!("{other:?}"),
    }
}

/// Fault 7: every decline is one, whatever its message says.
#[test]
fn type_and_code_decide_and_the_message_does_not() {
    for (error, expected) in [
        (
            r#"{"type":"card_error","code":"card_declined","decline_code":"insufficient_funds"}"#,
            "declined insufficient_funds",
        ),
        (r#"{"type":"card_error","code":"expired_card"}"#, "declined expired_card"),
        (r#"{"type":"card_error"}"#, "declined card_error"),
        (r#"{"type":"card_error","code":"authentication_required"}"#, "authentication"),
        (
            r#"{"type":"card_error","code":"card_declined","decline_code":"authentication_required"}"#,
            "authentication",
        ),
        (
            r#"{"type":"invalid_request_error","code":"payment_intent_authentication_failure"}"#,
            "authentication",
        ),
        (
            r#"{"type":"invalid_request_error","code":"resource_missing","message":"Your card was declined."}"#,
            "refused resource_missing",
        ),
        (r#"{"type":"invalid_request_error","param":"amount"}"#, "refused invalid_request_error"),
        (r#"{"type":"card_error","code":"<b>Evil\n</b>"}"#, "declined unreadable"),
    ] {
        assert_eq!(charge_error(error), expected, "{error}");
    }
}

fn intent(status: &str, rest: &str) -> Intent {
    let text = format!(
        r#"{{"id":"pi_1","object":"payment_intent","amount":2000,"currency":"usd","created":1790000000,
            "livemode":false,"status":"{status}"{rest}}}"#
    );
    serde_json::from_str(&text).unwrap()
}

#[test]
fn every_status_has_one_meaning() {
    let id = || Some("pi_1".parse::<PaymentId>().unwrap());
    let declined = r#","last_payment_error":{"type":"card_error","code":"expired_card"}"#;
    let refused = |code: &str| ChargeOutcome::Refused { code: code.to_owned() };
    let unknown = |reason| ChargeOutcome::Unknown { reason };
    for (status, rest, expected) in [
        ("succeeded", "", ChargeOutcome::Accepted { id: id().unwrap() }),
        // An earlier error of a payment that then succeeded.
        ("succeeded", declined, ChargeOutcome::Accepted { id: id().unwrap() }),
        (
            "requires_payment_method",
            declined,
            ChargeOutcome::Declined { id: id(), code: "expired_card".to_owned() },
        ),
        ("requires_payment_method", "", refused("requires_payment_method")),
        ("requires_confirmation", "", refused("requires_confirmation")),
        ("requires_action", "", ChargeOutcome::AuthenticationRequired { id: id() }),
        ("canceled", "", refused("canceled")),
        ("processing", "", unknown(UnknownReason::Processing)),
        ("requires_capture", "", unknown(UnknownReason::Malformed)),
        ("something_new", "", unknown(UnknownReason::Malformed)),
    ] {
        let amount = Money { minor: 2000, currency: Currency::USD };
        assert_eq!(intent(status, rest).outcome_for(amount), expected, "{status}");
        assert_eq!(intent(status, rest).into_payment().outcome, expected, "{status}");
    }
}

#[test]
fn an_answer_about_another_amount_is_none() {
    let euros = Money { minor: 2000, currency: "EUR".parse().unwrap() };
    let less = Money { minor: 1999, currency: Currency::USD };
    for amount in [euros, less] {
        let unknown = ChargeOutcome::Unknown { reason: UnknownReason::Malformed };
        assert_eq!(intent("succeeded", "").outcome_for(amount), unknown);
    }
}

#[test]
fn a_refund_is_what_its_status_says() {
    let outcome = |status: &str| {
        let text =
            format!(r#"{{"id":"re_1","status":{status},"failure_reason":"lost_or_stolen_card"}}"#);
        serde_json::from_str::<RefundRecord>(&text).unwrap().outcome()
    };
    let id: RefundId = "re_1".parse().unwrap();
    assert_eq!(outcome("\"succeeded\""), RefundOutcome::Accepted { id: id.clone() });
    assert_eq!(outcome("\"pending\""), RefundOutcome::Pending { id: id.clone() });
    assert_eq!(outcome("\"requires_action\""), RefundOutcome::Pending { id });
    let refused = RefundOutcome::Refused { code: "lost_or_stolen_card".to_owned() };
    assert_eq!(outcome("\"failed\""), refused);
    assert_eq!(outcome("null"), RefundOutcome::Unknown { reason: UnknownReason::Malformed });
}

#[test]
fn a_card_that_says_nonsense_is_none() {
    let card = |fields: &str| {
        let text = format!(r#"{{"id":"pm_1","card":{fields}}}"#);
        serde_json::from_str::<Method>(&text).unwrap().into_card()
    };
    let good = card(r#"{"brand":"visa","last4":"4242","exp_month":12,"exp_year":2030}"#).unwrap();
    assert_eq!(good.valid_through.to_string(), "2030-12");
    assert!(card("null").is_none());
    assert!(card(r#"{"brand":"visa","last4":"4242","exp_month":13,"exp_year":2030}"#).is_none());
    assert!(card(r#"{"brand":"visa","last4":"<b>1","exp_month":1,"exp_year":2030}"#).is_none());
}
