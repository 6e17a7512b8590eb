//! What can go wrong between here and the mailbox, and what is known about the letter then.

use std::time::Duration;

use mail::{Delivery, SmtpSecurity, SmtpSettings};
use testkit::{SmtpSecurity as Speaks, SmtpServer};
use tokio::io::AsyncWriteExt;
use values::Secret;

use crate::delivery::{encrypted, mailer, settings};
use crate::support::{letter_to, templates};

async fn deliver(settings: SmtpSettings, to: &str) -> Delivery {
    mailer(settings).deliver(&letter_to(&templates(), to)).await
}

fn is_later(delivery: &Delivery, expected: Option<u16>, words: &str) {
    match delivery {
        Delivery::Later { code, message } if *code == expected && message.contains(words) => {}
        other => panic!("not later with {expected:?} and `{words}`: {other:?}"),
    }
}

fn is_refused(delivery: &Delivery, expected: u16, words: &str) {
    match delivery {
        Delivery::Refused { code: Some(code), message }
            if *code == expected && message.contains(words) => {}
        other => panic!("not refused with {expected} and `{words}`: {other:?}"),
    }
}

fn is_unknown(delivery: &Delivery, words: &str) {
    match delivery {
        Delivery::Unknown { message } if message.contains(words) => {}
        other => panic!("not unknown with `{words}`: {other:?}"),
    }
}

#[tokio::test]
async fn a_greylisted_letter_is_taken_the_second_time_under_the_same_id() {
    let server = SmtpServer::start(Speaks::Plain).await.unwrap();
    let mailer = mailer(settings(&server));
    let letter = letter_to(&templates(), "grey@example.org");
    let first = mailer.deliver(&letter).await;
    is_later(&first, Some(451), "naming the recipient: 451 4.7.1 greylisted");
    let second = mailer.deliver(&letter).await;
    assert!(matches!(second, Delivery::Sent { .. }), "{second:?}");
    assert_eq!(server.mails().unwrap()[0].header("message-id"), [letter.message_id()]);
}

#[tokio::test]
async fn every_refusal_is_told_by_its_code() {
    let server = SmtpServer::start(Speaks::Plain).await.unwrap();
    let to = async |to| deliver(settings(&server), to).await;
    is_later(&to("tmp@example.org").await, Some(451), "4.3.0 not now");
    is_later(&to("busy@example.org").await, Some(421), "going down");
    is_later(&to("later@example.org").await, Some(452), "handing over the letter");
    is_refused(
        &to("perm@example.org").await,
        550,
        "naming the recipient: 550 5.1.1 no such mailbox",
    );
    is_refused(&to("full@example.org").await, 552, "handing over the letter");
    assert_eq!(server.mails().unwrap().len(), 0);
}

#[tokio::test]
async fn one_bad_letter_spoils_no_other_on_its_connection() {
    let server = SmtpServer::start(Speaks::Plain).await.unwrap();
    let mailer = mailer(SmtpSettings { connections_max: 1, ..settings(&server) });
    let templates = templates();
    for to in ["ann@", "perm@", "ann@", "full@", "ann@", "busy@", "ann@", "cut@", "ann@"] {
        let delivery = mailer.deliver(&letter_to(&templates, &format!("{to}example.org"))).await;
        assert_eq!(matches!(delivery, Delivery::Sent { .. }), to == "ann@", "{to}: {delivery:?}");
    }
    let mails = server.mails().unwrap();
    let connections: Vec<u16> = mails.iter().map(|mail| mail.connection).collect();
    assert_eq!(mails.len(), 5);
    // Refusals keep the connection, what breaks it does not.
    assert!(
        connections[0] == connections[1] && connections[1] == connections[2],
        "{connections:?}"
    );
    assert!(
        connections[2] != connections[3] && connections[3] != connections[4],
        "{connections:?}"
    );
}

#[tokio::test]
async fn a_letter_that_breaks_off_may_have_been_accepted() {
    let server = SmtpServer::start(Speaks::Plain).await.unwrap();
    let patience = SmtpSettings { content_seconds_max: 3, ..settings(&server) };
    let to = async |to| deliver(patience.clone(), to).await;
    is_unknown(&to("cut@example.org").await, "handing over the letter");
    assert_eq!(server.mails().unwrap().len(), 0);
    is_unknown(&to("lost@example.org").await, "handing over the letter");
    assert_eq!(server.mails().unwrap().len(), 1, "this one was accepted");
    is_unknown(&to("mute@example.org").await, "no answer within 3 s");
    assert_eq!(server.mails().unwrap().len(), 2, "and this one");
}

#[tokio::test]
async fn silence_before_the_letter_means_later() {
    let server = SmtpServer::start(Speaks::Plain).await.unwrap();
    let patience = SmtpSettings { answer_seconds_max: 3, ..settings(&server) };
    let slow = deliver(patience, "slow@example.org").await;
    is_later(&slow, None, "naming the recipient: no answer within 3 s");
    let hasty = SmtpSettings { connect_seconds_max: 1, ..settings(&server) };
    server.pause();
    is_later(&deliver(hasty, "ann@example.org").await, None, "connecting: no answer within 1 s");
    server.resume();
    server.kill();
    is_later(&deliver(settings(&server), "ann@example.org").await, None, "connecting");
}

#[tokio::test]
async fn an_answer_without_end_is_not_listened_to() {
    for (speaks, security) in [
        (Speaks::Plain, SmtpSecurity::Plain),
        (Speaks::StartTls, SmtpSecurity::StartTls),
        (Speaks::Tls, SmtpSecurity::Tls),
    ] {
        let server = SmtpServer::start(speaks).await.unwrap();
        let settings = match speaks {
            Speaks::Plain => settings(&server),
            _ => encrypted(&server, security),
        };
        let mailer = mailer(settings);
        let templates = templates();
        let flooded = mailer.deliver(&letter_to(&templates, "flood@example.org")).await;
        is_later(&flooded, None, "naming the recipient: an answer without end");
        let next = mailer.deliver(&letter_to(&templates, "ann@example.org")).await;
        assert!(matches!(next, Delivery::Sent { .. }), "{next:?}");
    }
}

/// One that never lets anybody say a word, and offers far more than the system itself holds.
#[tokio::test]
async fn a_greeting_without_end_takes_little_memory() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = Some(listener.local_addr().unwrap().port());
    let flood = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let (mut taken, block) = (0_usize, vec![b'a'; 65_536]);
        stream.write_all(b"220-").await.unwrap();
        while taken < 1 << 30 && stream.write_all(&block).await.is_ok() {
            taken += block.len();
        }
        taken
    });
    let settings =
        SmtpSettings { port, security: SmtpSecurity::Plain, ..SmtpSettings::new("127.0.0.1") };
    let told = mailer(settings).check().await.unwrap_err();
    assert_eq!(told, "connecting: an answer without end");
    let taken = flood.await.unwrap();
    assert!(taken < 32 << 20, "{taken} bytes were taken");
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_costs_no_letter() {
    let server = SmtpServer::start(Speaks::Plain).await.unwrap();
    let proxy = testkit::Proxy::start(server.address()).await.unwrap();
    let mailer = mailer(SmtpSettings { port: Some(proxy.address().port()), ..settings(&server) });
    let templates = templates();
    let letter = letter_to(&templates, "ann@example.org");
    assert!(matches!(mailer.deliver(&letter).await, Delivery::Sent { .. }));
    proxy.cut().await;
    proxy.restore().await;
    let again = mailer.deliver(&letter).await;
    assert!(matches!(again, Delivery::Sent { .. }), "{again:?}");
    let mails = server.mails().unwrap();
    assert_ne!(mails[0].connection, mails[1].connection);
}

#[tokio::test]
async fn wrong_credentials_are_nobodys_letters_fault() {
    let server = SmtpServer::start(Speaks::StartTls).await.unwrap();
    let wrong = SmtpSettings {
        password: Some(Secret::new("wr0ng".to_owned())),
        ..encrypted(&server, SmtpSecurity::StartTls)
    };
    is_later(&deliver(wrong.clone(), "ann@example.org").await, Some(535), "signing in: 535");
    let told = mailer(wrong).check().await.unwrap_err();
    assert!(told.contains("535") && !told.contains("wr0ng"), "{told}");
}

#[tokio::test]
async fn nothing_is_sent_in_the_clear_or_to_a_stranger() {
    // A server without STARTTLS.
    let plain = SmtpServer::start(Speaks::Plain).await.unwrap();
    let insists = SmtpSettings { security: SmtpSecurity::StartTls, ..settings(&plain) };
    is_later(&deliver(insists, "ann@example.org").await, None, "encrypting the connection");
    // A server whose authority nobody has vouched for.
    for (speaks, security) in
        [(Speaks::StartTls, SmtpSecurity::StartTls), (Speaks::Tls, SmtpSecurity::Tls)]
    {
        let server = SmtpServer::start(speaks).await.unwrap();
        let unknown = SmtpSettings { authority_file: None, ..encrypted(&server, security) };
        let delivery = deliver(unknown, "ann@example.org").await;
        is_later(&delivery, None, "certificate");
        assert_eq!(server.mails().unwrap().len(), 0);
    }
    assert_eq!(plain.mails().unwrap().len(), 0);
}

#[tokio::test]
async fn an_address_beyond_ascii_is_offered_to_servers_that_take_it() {
    let server = SmtpServer::start(Speaks::Plain).await.unwrap();
    let sent = deliver(settings(&server), "žofie@example.org").await;
    assert!(matches!(sent, Delivery::Sent { .. }), "{sent:?}");
    assert_eq!(server.mails().unwrap()[0].recipients, ["žofie@example.org"]);
}

#[tokio::test]
async fn a_sender_that_may_not_send_is_refused() {
    let server = SmtpServer::start(Speaks::Plain).await.unwrap();
    let brand =
        mail::Brand { from: "nobody@example.com".parse().unwrap(), ..mail::Brand::example() };
    let letter = letter_to(&crate::support::load(brand), "ann@example.org");
    let delivery = mailer(settings(&server)).deliver(&letter).await;
    is_refused(&delivery, 550, "naming the sender");
    // Waiting for a slot does not outlast the letters before it.
    tokio::time::timeout(Duration::from_secs(5), mailer(settings(&server)).check())
        .await
        .unwrap()
        .unwrap();
}
