use proptest::prelude::*;

use super::*;

const NOW: Timestamp = Timestamp::from_seconds(1_793_500_000);
const BODY: &str = r#"{
  "id": "evt_1", "object": "event", "api_version": "2025-09-30.clover", "created": 1793499990,
  "livemode": false, "type": "payment_intent.succeeded", "pending_webhooks": 1,
  "data": { "object": { "id": "pi_1", "object": "payment_intent", "amount": 2000,
    "customer": "cus_1", "metadata": { "key": "charge/acct_1/2026-10/1", "month": "2026-10" } } }
}"#;

fn secret() -> Secret<String> {
    "whsec_current".to_owned().into()
}

fn opened(header: &str, body: &[u8]) -> Result<Event, WebhookError> {
    open(&[secret()], header, body, NOW)
}

#[test]
fn reads_a_genuine_event() {
    let event = opened(&sign(&secret(), BODY.as_bytes(), NOW), BODY.as_bytes()).unwrap();
    assert_eq!(
        event,
        Event {
            id: "evt_1".to_owned(),
            kind: EventKind::PaymentSucceeded,
            name: "payment_intent.succeeded".to_owned(),
            created: Timestamp::from_seconds(1_793_499_990),
            live: false,
            payment: Some("pi_1".parse().unwrap()),
            refund: None,
            customer: Some("cus_1".parse().unwrap()),
            key: Some("charge/acct_1/2026-10/1".to_owned()),
        }
    );
}

#[test]
fn signs_as_documented() {
    // Made with: printf '1492774577.{}' | openssl dgst -sha256 -hmac whsec_current
    let expected =
        "t=1492774577,v1=15da3e0895916fd8cdf0bf8a7445c32a84279a7be8ce0dca84acc7ff7445419a";
    assert_eq!(sign(&secret(), b"{}", Timestamp::from_seconds(1_492_774_577)), expected);
}

#[test]
fn knows_what_an_event_is_about() {
    let about = |name: &str, object: &str| {
        let body = format!(
            r#"{{"id":"evt_2","object":"event","created":1,"livemode":true,"type":"{name}",
                "data":{{"object":{object}}}}}"#
        );
        opened(&sign(&secret(), body.as_bytes(), NOW), body.as_bytes()).unwrap()
    };
    let refund =
        about("refund.failed", r#"{"object":"refund","id":"re_1","payment_intent":"pi_2"}"#);
    assert_eq!(refund.kind, EventKind::Refund);
    assert_eq!(refund.refund.unwrap().as_str(), "re_1");
    assert_eq!(refund.payment.unwrap().as_str(), "pi_2");

    let dispute = r#"{"object":"dispute","id":"du_1","payment_intent":"pi_3"}"#;
    let dispute = about("charge.dispute.created", dispute);
    assert_eq!((dispute.kind, dispute.live), (EventKind::Dispute, true));
    assert_eq!(dispute.payment.unwrap().as_str(), "pi_3");

    let card = r#"{"object":"payment_method","id":"pm_1","customer":"cus_2"}"#;
    let card = about("payment_method.automatically_updated", card);
    assert_eq!(card.kind, EventKind::Card);
    assert_eq!(card.customer.unwrap().as_str(), "cus_2");
    assert_eq!(card.payment, None);

    let other = about("something.new", "{}");
    assert_eq!((other.kind, other.key), (EventKind::Other, None));
}

#[test]
fn takes_either_secret_while_one_is_being_replaced() {
    let old: Secret<String> = "whsec_old".to_owned().into();
    let body = BODY.as_bytes();
    let theirs = sign(&old, body, NOW);
    assert_eq!(opened(&theirs, body), Err(WebhookError::BadSignature));
    assert!(open(&[secret(), old.clone()], &theirs, body, NOW).is_ok());
    // Stripe signs with both for a day.
    let ours = sign(&secret(), body, NOW);
    let both = format!("{theirs},{}", ours.split_once(',').unwrap().1);
    assert!(opened(&both, body).is_ok());
}

#[test]
fn refuses_replays_and_clocks_that_are_wrong() {
    let body = BODY.as_bytes();
    let signed_at = |at| opened(&sign(&secret(), body, at), body).map(drop);
    let second = Span::from_seconds(1);
    assert_eq!(signed_at(NOW.before(TOLERANCE)), Ok(()));
    assert_eq!(signed_at(NOW.before(TOLERANCE).before(second)), Err(WebhookError::OutOfTime));
    assert_eq!(signed_at(NOW.after(TOLERANCE)), Ok(()));
    assert_eq!(signed_at(NOW.after(TOLERANCE).after(second)), Err(WebhookError::OutOfTime));
    // A fresh time on an old signature.
    let old = sign(&secret(), body, NOW.before(Span::from_hours(1)));
    let fresh = format!("t={},{}", NOW.as_seconds(), old.split_once(',').unwrap().1);
    assert_eq!(opened(&fresh, body), Err(WebhookError::BadSignature));
}

#[test]
fn refuses_what_is_huge_or_no_header() {
    let huge = vec![b' '; MAX_BODY_BYTES + 1];
    assert_eq!(opened(&sign(&secret(), &huge, NOW), &huge), Err(WebhookError::TooLarge));
    let body = BODY.as_bytes();
    let good = sign(&secret(), body, NOW);
    let tag = good.split_once("v1=").unwrap().1;
    let time = NOW.as_seconds();
    assert_eq!(opened(&"v".repeat(MAX_HEADER_BYTES + 1), body), Err(WebhookError::TooLarge));
    for bad in [
        String::new(),
        "t=,v1=".to_owned(),
        format!("t={time}"),
        format!("v1={tag}"),
        format!("t={time},v1=zz"),
        format!("t={time},v1=abc"),
        format!("t=-{time},v1={tag}"),
        format!("t={time},t={time},v1={tag}"),
        format!("t={time},v0={tag}"),
        format!("t={time}{}", format!(",v1={tag}").repeat(MAX_SIGNATURES + 1)),
        "t=99999999999999999999999999,v1=ää".to_owned(),
    ] {
        assert_eq!(opened(&bad, body), Err(WebhookError::BadHeader), "{bad}");
    }
    let endless = "9".repeat(30);
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret().expose().as_bytes());
    let tag = hex(hmac::sign(&key, &signed_bytes(&endless, body)).as_ref());
    assert_eq!(opened(&format!("t={endless},v1={tag}"), body), Err(WebhookError::BadHeader));
}

#[test]
fn an_empty_secret_lets_nobody_in() {
    let empty: Secret<String> = String::new().into();
    let body = BODY.as_bytes();
    let header = sign(&empty, body, NOW);
    assert_eq!(open(&[empty], &header, body, NOW), Err(WebhookError::NoSecret));
    assert_eq!(open(&[], &header, body, NOW), Err(WebhookError::NoSecret));
}

#[test]
fn a_signature_does_not_make_an_event_of_anything() {
    let changed = |from: &str, to: &str| BODY.replace(from, to).into_bytes();
    for body in [
        Vec::new(),
        b"null".to_vec(),
        b"\xff\xfe{}".to_vec(),
        BODY.as_bytes()[..40].to_vec(),
        changed("\"event\"", "\"payment_intent\""),
        changed("\"evt_1\"", "\"../evt\""),
        changed("payment_intent.succeeded", "<script>"),
        changed("1793499990", "\"yesterday\""),
    ] {
        let header = sign(&secret(), &body, NOW);
        let text = String::from_utf8_lossy(&body);
        assert_eq!(opened(&header, &body), Err(WebhookError::Malformed), "{text}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_refused_and_never_panic(header in ".{0,200}", body: Vec<u8>) {
        prop_assert!(opened(&header, &body).is_err());
    }

    #[test]
    fn a_header_of_the_right_form_proves_nothing(
        time in 1_793_499_900_i64..1_793_500_100, tags in prop::collection::vec("[0-9a-f]{64}", 1..5),
    ) {
        let tags = tags.join(",v1=");
        let refused = opened(&format!("t={time},v1={tags}"), BODY.as_bytes());
        prop_assert_eq!(refused, Err(WebhookError::BadSignature));
    }

    #[test]
    fn one_changed_byte_breaks_the_signature(at in 0..BODY.len(), by in 1_u8..) {
        let header = sign(&secret(), BODY.as_bytes(), NOW);
        let mut body = BODY.as_bytes().to_vec();
        body[at] = body[at].wrapping_add(by);
        prop_assert_eq!(opened(&header, &body), Err(WebhookError::BadSignature));
    }

    #[test]
    fn another_secret_signs_nothing(other in "whsec_[a-z]{1,40}") {
        prop_assume!(other != *secret().expose());
        let header = sign(&other.into(), BODY.as_bytes(), NOW);
        prop_assert_eq!(opened(&header, BODY.as_bytes()), Err(WebhookError::BadSignature));
    }
}
