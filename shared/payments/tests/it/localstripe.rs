//! Somebody else's reading of the same documentation: are our requests understood?
//!
//! localstripe ignores idempotency keys and speaks an old shape, so that it proves no more.

use payments::webhook::{EventKind, open};
use payments::{Charge, ChargeOutcome, PaymentMethodId, Refund, RefundOutcome, StripeSettings};
use reqwest::Client;
use testkit::LocalStripe;
use tokio::net::TcpListener;
use values::{AccountId, Clock, Secret, Span, Timestamp};

use crate::harness::{adapter, usd};
use crate::webhooks::receive;

const SECRET_KEY: &str = "sk_test_localstripe";

struct Peer {
    server: LocalStripe,
    http: Client,
}

impl Peer {
    /// Sends what the adapter has no call for, and returns the answer's id.
    async fn make(&self, path: &str, form: &str) -> String {
        let request = self
            .http
            .post(format!("{}{path}", self.server.endpoint()))
            .header("authorization", format!("Bearer {SECRET_KEY}"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form.to_owned());
        let answer = request.send().await.expect("an answer").text().await.expect("a whole one");
        let answer: serde_json::Value = serde_json::from_str(&answer).expect("JSON");
        answer["id"].as_str().unwrap_or_else(|| panic!("{path}: {answer}")).to_owned()
    }

    async fn card(&self, number: &str, customer: &str) -> PaymentMethodId {
        let form = format!(
            "type=card&card[number]={number}&card[exp_month]=11&card[exp_year]=2031&card[cvc]=123"
        );
        let card = self.make("/v1/payment_methods", &form).await;
        let path = format!("/v1/payment_methods/{card}/attach");
        self.make(&path, &format!("customer={customer}")).await.parse().expect("an id")
    }
}

#[tokio::test]
async fn the_calls_it_knows_are_understood() {
    let peer = Peer { server: LocalStripe::start().await.unwrap(), http: Client::new() };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let hook = format!("{}/_config/webhooks/ours", peer.server.endpoint());
    let body = format!(
        r#"{{"url":"{url}","secret":"whsec_local","events":["payment_intent.succeeded"]}}"#
    );
    assert!(peer.http.post(hook).body(body).send().await.unwrap().status().is_success());
    let door = tokio::spawn(receive(listener, vec![200]));

    let mut settings = StripeSettings::new(SECRET_KEY.to_owned().into());
    settings.endpoint = peer.server.endpoint();
    let gateway = adapter(&settings);
    let customer = peer.make("/v1/customers", "name=Test").await;
    let good = peer.card("4242424242424242", &customer).await;
    let bad = peer.card("4000000000000341", &customer).await;
    let charge = Charge {
        key: "local/1".to_owned(),
        customer: customer.parse().unwrap(),
        payment_method: good.clone(),
        amount: usd(1_234),
        account: AccountId::new(Timestamp::EPOCH, [3; 10]),
        month: "2026-10".parse().unwrap(),
        attempt: 1,
        invoice: "INV-1 & more".to_owned(),
    };

    let outcome = gateway.charge(&charge).await.unwrap();
    let ChargeOutcome::Accepted { id } = outcome else { panic!("{outcome:?}") };
    let payment = gateway.retrieve(&id).await.unwrap().unwrap();
    assert_eq!((payment.amount, payment.key.as_deref()), (usd(1_234), Some("local/1")));
    let declined = Charge { key: "local/2".to_owned(), payment_method: bad, ..charge.clone() };
    let outcome = gateway.charge(&declined).await.unwrap();
    assert!(matches!(outcome, ChargeOutcome::Declined { id: _, code: _ }), "{outcome:?}");

    let card = gateway.card(&good).await.unwrap().unwrap();
    assert_eq!((card.last4.as_str(), card.valid_through.to_string().as_str()), ("4242", "2031-11"));
    assert_eq!(gateway.cards(&charge.customer).await.unwrap().len(), 2);

    let account = charge.account;
    let refund =
        Refund { key: "local/3".to_owned(), payment: id.clone(), amount: usd(234), account };
    let made = gateway.refund(&refund).await.unwrap();
    assert!(matches!(made, RefundOutcome::Accepted { id: _ }), "{made:?}");
    let long_ago = Timestamp::EPOCH;
    let later = payment.created.after(Span::from_days(1));
    assert_eq!(gateway.reconcile_refund(&refund, long_ago, later).await.unwrap(), Some(made));

    // Signed by somebody else's code, opened by ours.
    let (header, body) = door.await.unwrap().remove(0);
    let secret: Secret<String> = "whsec_local".to_owned().into();
    let now = values::FixedClock(payment.created).now();
    let event = open(&[secret], &header, &body, now).unwrap();
    assert_eq!((event.kind, event.payment), (EventKind::PaymentSucceeded, Some(id)));
    assert_eq!(event.key.as_deref(), Some("local/1"));
}
