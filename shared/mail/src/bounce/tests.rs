use super::*;

/// A report as Postfix writes it, with these fields of its recipients.
fn report(recipients: &str) -> String {
    format!(
        "Return-Path: <>\r\nDate: Sun, 1 Nov 2026 12:00:00 +0000\r\nFrom: MAILER-DAEMON@mx.example.org\r\n\
         Subject: Undelivered Mail Returned to Sender\r\nTo: mail@example.com\r\n\
         MIME-Version: 1.0\r\nMessage-Id: <20261101120000.ABC@mx.example.org>\r\n\
         Content-Type: multipart/report; report-type=delivery-status; boundary=\"b/1\"\r\n\r\n\
         This is a MIME-encapsulated message.\r\n\r\n--b/1\r\nContent-Type: text/plain\r\n\r\n\
         I'm sorry.\r\n\r\n--b/1\r\nContent-Description: Delivery report\r\n\
         Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example.org\r\n\
         Arrival-Date: Sun, 1 Nov 2026 11:59:59 +0000\r\n\r\n{recipients}\r\n--b/1\r\n\
         Content-Type: message/rfc822\r\n\r\nSubject: Welcome\r\n\
         Message-ID: <mail_01jd0c4x5ve4zrh1k5yq4q8g7m@example.com>\r\n\r\nHello.\r\n\r\n--b/1--\r\n"
    )
}

fn read(text: &str) -> DeliveryReport {
    DeliveryReport::read(text.as_bytes()).unwrap().expect("a report")
}

fn check(fields: &str, expected: &[(&str, bool, Option<&str>)]) {
    let found = read(&report(fields)).recipients;
    let found: Vec<_> = found
        .iter()
        .map(|to| (to.address.as_str(), to.is_permanent, to.status.as_deref()))
        .collect();
    assert_eq!(found, expected, "{fields}");
}

#[test]
fn tells_who_did_not_get_a_mail_and_whether_for_good() {
    let to = "Final-Recipient: rfc822; ann@example.org\r\n";
    let cases = [
        ("Action: failed\r\nStatus: 5.1.1\r\n", true, Some("5.1.1")),
        ("Action: FAILED\r\nStatus: 5.7.26 (policy)\r\n", true, Some("5.7.26")),
        // Given up, but not because of the address.
        ("Action: failed\r\nStatus: 4.4.7\r\n", false, Some("4.4.7")),
        ("Action: delayed\r\nStatus: 4.4.1\r\n", false, Some("4.4.1")),
        ("Action: delayed\r\nStatus: 5.0.0\r\n", false, Some("5.0.0")),
        ("Action: failed\r\nDiagnostic-Code: smtp; 550 no such user\r\n", true, None),
        ("Action: failed\r\nStatus: odd\r\nDiagnostic-Code: smtp; 452 full\r\n", false, None),
        ("Action: failed\r\n", false, None),
    ];
    for (fields, is_permanent, status) in cases {
        check(&format!("{to}{fields}"), &[("ann@example.org", is_permanent, status)]);
    }
    for action in ["delivered", "relayed", "expanded"] {
        check(&format!("{to}Action: {action}\r\nStatus: 2.0.0\r\n"), &[]);
    }
    check("Final-Recipient: x400; /c=de/\r\nAction: failed\r\nStatus: 5.1.1\r\n", &[]);
    let two = "Original-Recipient: rfc822;ann@example.org\r\nFinal-Recipient: rfc822;a@b.example\r\n\
        Action: failed\r\nStatus: 5.1.1\r\n\r\n\r\nFinal-Recipient: rfc822; <bob@example.org>\r\n\
        Action: delayed\r\nStatus: 4.0.0\r\n";
    check(
        two,
        &[("ann@example.org", true, Some("5.1.1")), ("bob@example.org", false, Some("4.0.0"))],
    );
}

#[test]
fn names_our_mail_and_what_the_server_said_on_one_line() {
    let fields = "Final-Recipient: rfc822; ann@example.org\r\nAction: failed\r\nStatus: 5.1.1\r\n\
        Diagnostic-Code: smtp; 550 5.1.1 <ann@example.org>:\r\n    no such user\r\n";
    let text = report(fields);
    let found = read(&text);
    assert_eq!(found.mail_id.as_deref(), Some("mail_01jd0c4x5ve4zrh1k5yq4q8g7m"));
    let answer = found.recipients[0].answer.as_deref().unwrap();
    assert_eq!(answer, "550 5.1.1 <ann@example.org>: no such user");
    // Many servers return the head alone.
    let head = text.replace("message/rfc822", "text/rfc822-headers").replace("Hello.\r\n", "");
    assert_eq!(read(&head).mail_id, found.mail_id);
    let none = text.replace("message/rfc822", "text/plain");
    assert_eq!(read(&none).mail_id, None);
    let long = fields.replace("no such user", &"no ".repeat(10_000));
    assert_eq!(read(&report(&long)).recipients[0].answer.as_ref().unwrap().len(), 500);
}

#[test]
fn a_report_that_is_sent_again_is_the_same_one() {
    let fields = |status: &str| {
        format!("Final-Recipient: rfc822; a@b.example\r\nAction: failed\r\nStatus: {status}\r\n")
    };
    let (first, second) = (report(&fields("5.1.1")), report(&fields("5.1.2")));
    let again = format!("From MAILER-DAEMON  Sun Nov  1 12:00:00 2026\r\nReceived: from mx\r\n by us; today\r\n{first}").replace("\r\n", "\n");
    let identity = |text: &str| read(text).identity;
    assert_eq!(identity(&first), identity(&again));
    assert_ne!(identity(&first), identity(&second));
}

#[test]
fn other_mails_are_none_and_broken_ones_are_refused() {
    let holiday = "From: ann@example.org\r\nSubject: I am away\r\nAuto-Submitted: auto-replied\r\n\r\nBye.\r\n";
    assert_eq!(DeliveryReport::read(holiday.as_bytes()).unwrap(), None);
    let receipt =
        report("").replace("report-type=delivery-status", "report-type=disposition-notification");
    let receipt = receipt.replace("message/delivery-status", "message/disposition-notification");
    assert_eq!(DeliveryReport::read(receipt.as_bytes()).unwrap(), None);
    for broken in
        [String::new(), report(""), report("").replace("message/delivery-status", "text/x")]
    {
        assert!(DeliveryReport::read(broken.as_bytes()).is_err(), "{broken}");
    }
}

#[test]
fn no_bytes_break_the_reader() {
    let whole =
        report("Final-Recipient: rfc822; a@b.example\r\nAction: failed\r\nStatus: 5.1.1\r\n");
    for end in 0..whole.len() {
        DeliveryReport::read(&whole.as_bytes()[..end]).ok();
        let mut bytes = whole.clone().into_bytes();
        bytes[end] = 0xff;
        DeliveryReport::read(&bytes).ok();
        bytes[end] = b'\n';
        DeliveryReport::read(&bytes).ok();
    }
    let nested = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n".repeat(10_000);
    DeliveryReport::read(nested.as_bytes()).ok();
    let many = "Final-Recipient: rfc822; a@b.example\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n";
    assert_eq!(read(&report(&many.repeat(10_000))).recipients.len(), RECIPIENTS_MAX);
}
