//! Events on their way: signed by the gateway, opened by the door.

use payments::scripted::TestCard;
use payments::webhook::{EventKind, WebhookError, open, sign};
use payments::{ChargeOutcome, Refund};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use values::{Clock, Secret, Span};

use crate::harness::{Harness, usd};

/// Takes one request per status, answers with it, and returns the signature and the body of each.
pub(crate) async fn receive(listener: TcpListener, statuses: Vec<u16>) -> Vec<(String, Vec<u8>)> {
    let mut received = Vec::new();
    for status in statuses {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut bytes = Vec::new();
        let (head, body_at) = loop {
            let mut chunk = [0; 4096];
            let read = stream.read(&mut chunk).await.expect("a request");
            bytes.extend_from_slice(&chunk[..read]);
            if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break (String::from_utf8(bytes[..at].to_vec()).expect("headers are text"), at + 4);
            }
        };
        let header = |name: &str| {
            let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let length: usize =
            header("content-length").and_then(|length| length.parse().ok()).expect("a length");
        while bytes.len() < body_at + length {
            let mut chunk = [0; 4096];
            let read = stream.read(&mut chunk).await.expect("a request");
            bytes.extend_from_slice(&chunk[..read]);
        }
        let answer =
            format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.expect("a connection");
        received
            .push((header("stripe-signature").expect("a signature"), bytes[body_at..].to_vec()));
    }
    received
}

#[tokio::test]
async fn every_outcome_sends_an_event_that_names_payment_and_key() {
    let harness = Harness::start().await;
    let secret: Secret<String> = "whsec_scripted".to_owned().into();
    let ChargeOutcome::Accepted { id } =
        harness.gateway.charge(&harness.charge("good")).await.unwrap()
    else {
        panic!("a good card is charged")
    };
    let declined = harness.charge_from("bad", TestCard::Declined);
    harness.gateway.charge(&declined).await.unwrap();
    let account = declined.account;
    let refund = Refund { key: "back".to_owned(), payment: id.clone(), amount: usd(5), account };
    harness.gateway.refund(&refund).await.unwrap();

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/webhooks", listener.local_addr().unwrap());
    // The second is refused at first and comes again.
    let door = tokio::spawn(receive(listener, vec![200, 500, 200, 200]));
    let statuses = harness.scripted.deliver_events(&url, &secret).await.unwrap();
    assert_eq!(statuses, [200, 500, 200]);
    assert_eq!(harness.scripted.deliver_events(&url, &secret).await.unwrap(), [200]);
    let received = door.await.unwrap();
    assert_eq!(received[1].1, received[3].1, "the same event, delivered again");

    let now = harness.clock.now();
    let secrets = [secret];
    let events: Vec<_> =
        received.iter().map(|(header, body)| open(&secrets, header, body, now).unwrap()).collect();
    let kinds: Vec<_> = events.iter().map(|event| event.kind).collect();
    assert_eq!(
        kinds[..3],
        [EventKind::PaymentSucceeded, EventKind::PaymentFailed, EventKind::Refund]
    );
    let keys: Vec<_> = events.iter().filter_map(|event| event.key.as_deref()).collect();
    assert_eq!(keys, ["good", "bad", "back", "bad"]);
    assert_eq!(events[0].payment, Some(id.clone()));
    assert_eq!(events[2].payment, Some(id));
    assert!(events[2].refund.is_some());
    assert_eq!(events[1].id, events[3].id, "one row in an inbox of unique ids");

    let later = now.after(Span::from_minutes(6));
    assert_eq!(open(&secrets, &received[0].0, &received[0].1, later), Err(WebhookError::OutOfTime));
    let crossed = open(&secrets, &received[0].0, &received[1].1, now);
    assert_eq!(crossed, Err(WebhookError::BadSignature));
    let forged = sign(&"whsec_guess".to_owned().into(), &received[0].1, now);
    assert_eq!(open(&secrets, &forged, &received[0].1, now), Err(WebhookError::BadSignature));
}
