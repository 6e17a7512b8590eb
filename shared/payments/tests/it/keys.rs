//! The scripted gateway keeps keys as the documentation says: seen without the adapter.

use std::time::Duration;

use payments::scripted::{Fault, TestCard, When};
use reqwest::{Client, Response};

use crate::harness::Harness;

struct Raw {
    http: Client,
    endpoint: String,
    harness: Harness,
}

impl Raw {
    async fn start() -> Self {
        let harness = Harness::start().await;
        let endpoint = harness.scripted.settings().endpoint;
        Self { http: Client::new(), endpoint, harness }
    }

    async fn post(&self, path: &str, key: &str, body: String) -> Response {
        self.http
            .post(format!("{}{path}", self.endpoint))
            .header("authorization", "Bearer sk_test_scripted")
            .header("content-type", "application/x-www-form-urlencoded")
            .header("idempotency-key", key)
            .body(body)
            .send()
            .await
            .expect("an answer")
    }

    async fn charge(&self, key: &str, amount: i64) -> Response {
        let Harness { customer, card, .. } = &self.harness;
        let body = format!(
            "amount={amount}&currency=usd&customer={customer}&payment_method={card}\
             &payment_method_types%5B%5D=card&confirm=true&off_session=true"
        );
        self.post("/v1/payment_intents", key, body).await
    }
}

fn is_replay(response: &Response) -> bool {
    response.headers().get("idempotent-replayed").is_some_and(|value| value == "true")
}

async fn text(response: Response) -> (u16, String) {
    (response.status().as_u16(), response.text().await.expect("a whole answer"))
}

#[tokio::test]
async fn the_same_request_gets_the_stored_answer() {
    let raw = Raw::start().await;
    let first = raw.charge("k", 500).await;
    assert!(!is_replay(&first));
    let first = text(first).await;
    let second = raw.charge("k", 500).await;
    assert!(is_replay(&second));
    assert_eq!(text(second).await, first);
    assert_eq!(raw.harness.scripted.times_charged("k"), 1);
}

#[tokio::test]
async fn another_request_under_the_key_is_an_idempotency_error() {
    let raw = Raw::start().await;
    raw.charge("k", 500).await;
    let (status, body) = text(raw.charge("k", 501).await).await;
    assert_eq!(status, 400);
    assert!(body.contains(r#""type":"idempotency_error""#), "{body}");
}

#[tokio::test]
async fn a_request_under_way_is_a_conflict() {
    let raw = Raw::start().await;
    raw.harness.scripted.script(When::Charge, Fault::Slow(Duration::from_millis(1_500)), 1);
    let late = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        raw.charge("k", 500).await.status().as_u16()
    };
    let (first, second) = tokio::join!(raw.charge("k", 500), late);
    assert_eq!((first.status().as_u16(), second), (200, 409));
    assert_eq!(raw.charge("k", 500).await.status().as_u16(), 200);
    assert_eq!(raw.harness.scripted.times_charged("k"), 1);
}

#[tokio::test]
async fn failures_and_declines_are_stored_and_what_fails_validation_is_not() {
    let raw = Raw::start().await;
    raw.harness.scripted.script(When::Charge, Fault::ErrorBefore, 1);
    for replayed in [false, true] {
        let response = raw.charge("k500", 500).await;
        assert_eq!((response.status().as_u16(), is_replay(&response)), (500, replayed));
    }
    raw.harness.scripted.set_card(&raw.harness.card, TestCard::Declined);
    for replayed in [false, true] {
        let response = raw.charge("k402", 500).await;
        assert_eq!((response.status().as_u16(), is_replay(&response)), (402, replayed));
    }
    for _ in 0..2 {
        let response = raw.charge("k400", 1).await;
        assert_eq!((response.status().as_u16(), is_replay(&response)), (400, false));
    }
    assert_eq!(raw.harness.scripted.charges(), []);
}

#[tokio::test]
async fn a_forgotten_key_charges_again() {
    let raw = Raw::start().await;
    raw.charge("k", 500).await;
    raw.harness.scripted.forget_keys();
    raw.charge("k", 500).await;
    assert_eq!(raw.harness.scripted.times_charged("k"), 2, "this is what reconciling is for");
}

#[tokio::test]
async fn a_payment_can_be_made_confirmed_and_called_off_in_steps() {
    let raw = Raw::start().await;
    let Harness { customer, card, .. } = &raw.harness;
    let body = |more: &str| format!("amount=500&currency=usd&customer={customer}{more}");
    let id = |body: &str| {
        let at = body.find("\"pi_").unwrap() + 1;
        body[at..].split('"').next().unwrap().to_owned()
    };
    let made = text(raw.post("/v1/payment_intents", "1", body("")).await).await.1;
    assert!(made.contains(r#""status":"requires_payment_method""#), "{made}");
    let path = format!("/v1/payment_intents/{}/confirm", id(&made));
    let done = text(raw.post(&path, "2", format!("payment_method={card}")).await).await.1;
    assert!(done.contains(r#""status":"succeeded""#), "{done}");
    assert_eq!(raw.post(&path, "3", String::new()).await.status().as_u16(), 400);

    let more = format!("&payment_method={card}");
    let made = text(raw.post("/v1/payment_intents", "4", body(&more)).await).await.1;
    assert!(made.contains(r#""status":"requires_confirmation""#), "{made}");
    let path = format!("/v1/payment_intents/{}/cancel", id(&made));
    let done = text(raw.post(&path, "5", String::new()).await).await.1;
    assert!(done.contains(r#""status":"canceled""#), "{done}");

    // With the owner there, a demand for authentication is a step and no refusal.
    raw.harness.scripted.set_card(card, TestCard::AuthenticationRequired);
    let more = format!("&payment_method={card}&payment_method_types[]=card&confirm=true");
    let there = text(raw.post("/v1/payment_intents", "6", body(&more)).await).await.1;
    assert!(there.contains(r#""status":"requires_action""#), "{there}");
    assert_eq!(raw.harness.scripted.charges().len(), 1);
}

#[tokio::test]
async fn refuses_what_the_documentation_does_not_know() {
    let raw = Raw::start().await;
    let customer = &raw.harness.customer;
    let body = format!("amount=500&currency=usd&customer={customer}&colour=red");
    let (status, body) = text(raw.post("/v1/payment_intents", "1", body).await).await;
    assert_eq!(status, 400);
    assert!(body.contains("parameter_unknown"), "{body}");
    assert_eq!(raw.post("/v1/nothing", "2", String::new()).await.status().as_u16(), 404);
    let json = raw.http.post(format!("{}/v1/payment_intents", raw.endpoint)).body("{}");
    assert_eq!(json.send().await.unwrap().status().as_u16(), 400);
    let bare = raw.http.get(format!("{}/v1/payment_intents", raw.endpoint));
    assert_eq!(bare.send().await.unwrap().status().as_u16(), 401);
}

#[tokio::test]
async fn finds_payments_by_their_metadata() {
    let raw = Raw::start().await;
    raw.harness.gateway.charge(&raw.harness.charge("k1")).await.unwrap();
    raw.harness.gateway.charge(&raw.harness.charge("k2")).await.unwrap();
    let query = "query=metadata%5B%27key%27%5D%3A%27k2%27";
    let url = format!("{}/v1/payment_intents/search?{query}", raw.endpoint);
    let found = raw.http.get(url).header("authorization", "Bearer sk_test_scripted");
    let (status, body) = text(found.send().await.unwrap()).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(body.matches(r#""object":"payment_intent""#).count(), 1, "{body}");
    assert!(body.contains(r#""key":"k2""#), "{body}");
}
