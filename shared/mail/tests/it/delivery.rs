//! Letters over SMTP to a real server, read back by another mail library.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use mail::{
    Attachment, Brand, Delivery, Mailer, Message, Outlet, Reach, Recipient, SmtpSecurity,
    SmtpSettings, samples,
};
use testkit::{SmtpSecurity as Speaks, SmtpServer};
use values::Secret;

use crate::support::{address, letter, letter_to, load, pixel, templates, welcome, with_logo};

pub(crate) fn settings(server: &SmtpServer) -> SmtpSettings {
    SmtpSettings {
        port: Some(server.address().port()),
        security: SmtpSecurity::Plain,
        letters_per_second_max: 1000,
        ..SmtpSettings::new("127.0.0.1")
    }
}

pub(crate) fn encrypted(server: &SmtpServer, security: SmtpSecurity) -> SmtpSettings {
    SmtpSettings {
        security,
        user: Some(server.user().to_owned()),
        password: Some(Secret::new(server.password().to_owned())),
        authority_file: Some(server.authority().to_owned()),
        ..settings(server)
    }
}

pub(crate) fn mailer(settings: SmtpSettings) -> Mailer {
    Mailer::open(Outlet::Smtp(settings), Reach::Everyone).expect("good settings")
}

#[tokio::test]
async fn an_invoice_arrives_whole() {
    let server = SmtpServer::start(Speaks::Plain).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let templates = with_logo(&folder);
    let invoice = samples().into_iter().find(|m| matches!(m, Message::MonthlyInvoice(_))).unwrap();
    // Bytes that a careless way of sending would change: line ends, dots, everything above ASCII.
    let pdf: Vec<u8> =
        b"%PDF-1.7\n.\r\n..\r".iter().copied().chain(0..=255).cycle().take(70_000).collect();
    let attachment = Attachment::pdf("Rechnung Žofie.pdf", pdf.clone());
    let to = Recipient::new(address("ann@example.org"), Some("Žofie \"Z\" Lee, 会社"));
    let letter = letter(&templates, "mail_01j", &to, &invoice, &[attachment]);
    let sent = mailer(settings(&server)).deliver(&letter).await;
    assert!(matches!(&sent, Delivery::Sent { message } if message.starts_with("250 ")), "{sent:?}");

    let mails = server.mails().unwrap();
    let [mail] = mails.as_slice() else { panic!("{mails:?}") };
    assert_eq!(mail.defects, [] as [&str; 0]);
    assert_eq!(mail.header("message-id"), ["<mail_01j@example.com>"]);
    assert_eq!(mail.header("subject"), ["Your Example Streaming invoice for October 2026"]);
    assert_eq!(mail.header("from"), ["Example Streaming <mail@example.com>"]);
    assert_eq!(mail.header("reply-to"), ["Example Streaming <support@example.com>"]);
    assert_eq!(mail.header("to"), ["\"Žofie \\\"Z\\\" Lee, 会社\" <ann@example.org>"]);
    assert_eq!(mail.header("date"), ["Mon, 02 Nov 2026 14:05:06 +0000"]);
    assert_eq!(mail.header("auto-submitted"), ["auto-generated"]);
    assert_eq!(
        (mail.sender.as_str(), mail.recipients.as_slice()),
        ("mail@example.com", &["ann@example.org".to_owned()][..])
    );
    assert_eq!(
        mail.structure,
        [
            "multipart/mixed",
            "multipart/alternative",
            "text/plain",
            "multipart/related",
            "text/html",
            "image/gif",
            "application/pdf"
        ]
    );
    let rendered = templates.render(&invoice).unwrap();
    assert_eq!(mail.text.as_deref().unwrap().trim_end(), rendered.text.trim_end());
    assert_eq!(mail.html.as_deref().unwrap().trim_end(), rendered.html.trim_end());
    assert!(rendered.html.contains("src=\"cid:logo\""));
    let [image, file] = mail.parts.as_slice() else { panic!("{:?}", mail.parts) };
    assert_eq!((image.content_id.as_str(), image.disposition.as_str()), ("<logo>", "inline"));
    assert_eq!((image.name.as_str(), &image.bytes), ("logo.gif", &pixel()));
    assert_eq!(
        (file.name.as_str(), file.disposition.as_str()),
        ("Rechnung Žofie.pdf", "attachment")
    );
    assert_eq!(file.bytes, pdf);
    assert!(mail.longest_line_bytes <= 998, "{} bytes in a line", mail.longest_line_bytes);
}

#[tokio::test]
async fn any_words_arrive_as_they_were() {
    let server = SmtpServer::start(Speaks::Plain).await.unwrap();
    let templates = load(Brand { company: "Überträger 放送".to_owned(), ..Brand::example() });
    let mailer = mailer(settings(&server));
    let long = "long ".repeat(1_000);
    for (at, name) in
        [".", "..", ". dots\u{a0}.", &long, "会社 🎬", "a=b =3D =\tb"].into_iter().enumerate()
    {
        let to = Recipient::new(address("ann@example.org"), None);
        let letter = letter(&templates, &format!("mail_{at}"), &to, &welcome(name), &[]);
        assert!(matches!(mailer.deliver(&letter).await, Delivery::Sent { .. }));
        let mail = server.mails().unwrap().pop().unwrap();
        let expected = templates.render(&welcome(name)).unwrap();
        assert_eq!(mail.text.unwrap().trim_end(), expected.text.trim_end());
        assert_eq!(mail.html.unwrap().trim_end(), expected.html.trim_end());
        assert_eq!(mail.defects, [] as [&str; 0], "{name}");
        assert!(mail.longest_line_bytes <= 998, "{} bytes in a line", mail.longest_line_bytes);
        let subject = mail.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("subject"));
        assert_eq!(subject.unwrap().1, "Welcome to Überträger 放送");
    }
}

#[tokio::test]
async fn speaks_encrypted_and_signs_in() {
    for (speaks, security) in
        [(Speaks::StartTls, SmtpSecurity::StartTls), (Speaks::Tls, SmtpSecurity::Tls)]
    {
        let server = SmtpServer::start(speaks).await.unwrap();
        let mailer = mailer(encrypted(&server, security));
        mailer.check().await.unwrap();
        let sent = mailer.deliver(&letter_to(&templates(), "ann@example.org")).await;
        assert!(matches!(sent, Delivery::Sent { .. }), "{sent:?}\n{}", server.log());
        let mails = server.mails().unwrap();
        assert!(mails[0].encrypted && mails[0].signed_in, "{mails:?}");
    }
}

#[tokio::test]
async fn keeps_connections_and_never_more_than_it_may() {
    let server = SmtpServer::start(Speaks::Plain).await.unwrap();
    let mailer = mailer(SmtpSettings { connections_max: 2, ..settings(&server) });
    let templates = templates();
    let letters: Vec<_> =
        (0..12).map(|at| letter_to(&templates, &format!("ann{at}@example.org"))).collect();
    let all = futures_util::future::join_all(letters.iter().map(|letter| mailer.deliver(letter)));
    assert!(all.await.iter().all(|sent| matches!(sent, Delivery::Sent { .. })));
    let connections: BTreeSet<u16> =
        server.mails().unwrap().iter().map(|mail| mail.connection).collect();
    assert!(connections.len() <= 2, "{connections:?}");
}

#[tokio::test]
async fn offers_no_more_letters_than_the_rate() {
    let server = SmtpServer::start(Speaks::Plain).await.unwrap();
    let mailer = mailer(SmtpSettings { letters_per_second_max: 20, ..settings(&server) });
    let letter = letter_to(&templates(), "ann@example.org");
    let started = Instant::now();
    for _ in 0..11 {
        assert!(matches!(mailer.deliver(&letter).await, Delivery::Sent { .. }));
    }
    assert!(started.elapsed() >= Duration::from_millis(500), "{:?}", started.elapsed());
}

#[tokio::test]
async fn outside_production_only_listed_domains_are_written_to() {
    let server = SmtpServer::start(Speaks::Plain).await.unwrap();
    let reach = Reach::of("staging", &["Example.ORG".to_owned()]);
    let mailer = Mailer::open(Outlet::Smtp(settings(&server)), reach).unwrap();
    let templates = templates();
    let sent = mailer.deliver(&letter_to(&templates, "ann@example.org")).await;
    assert!(matches!(sent, Delivery::Sent { .. }), "{sent:?}");
    for to in ["ann@customer.example", "ann@sub.example.org", "ann@notexample.org"] {
        let withheld = mailer.deliver(&letter_to(&templates, to)).await;
        let domain = to.split_once('@').unwrap().1.to_owned();
        assert_eq!(withheld, Delivery::Withheld { domain });
    }
    assert_eq!(server.mails().unwrap().len(), 1);
    assert_eq!(Reach::of("production", &[]), Reach::Everyone);
}
