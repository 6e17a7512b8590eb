//! What mails say: each sample as people read it, and whatever a customer is called.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use mail::{Message, Rendered, samples};

use crate::html::unbalanced;
use crate::support::{templates, welcome};

const HOSTILE: &str =
    "</title><script>alert(1)</script>\"'&amp; {{ brand }} [x](https://evil.example) \u{202e}";

#[test]
fn every_mail_reads_as_it_should() {
    let templates = templates();
    let mut shown: BTreeMap<&str, String> = BTreeMap::new();
    for sample in samples() {
        let Rendered { subject, text, html: _ } = templates.render(&sample).unwrap();
        let all = shown.entry(sample.name()).or_default();
        write!(all, "Subject: {subject}\n\n{text}\n==========\n").unwrap();
    }
    assert_eq!(shown.keys().collect::<Vec<_>>().len(), Message::NAMES.len());
    for (name, text) in shown {
        insta::assert_snapshot!(name, text);
    }
}

#[test]
fn every_mail_is_whole_html_that_fetches_nothing() {
    let templates = templates();
    for sample in samples() {
        let html = templates.render(&sample).unwrap().html;
        let name = sample.name();
        assert_eq!(unbalanced(&html), None, "{name}");
        assert!(html.contains("<meta name=\"viewport\""), "{name} is not made for small screens");
        for fetched in ["src=\"http", "url(http", "@import", "<script", "<link", "<mj-"] {
            assert!(!html.contains(fetched), "{name} has {fetched}");
        }
    }
}

#[test]
fn the_html_says_what_the_text_says() {
    let templates = templates();
    for sample in samples() {
        let Rendered { text, html, .. } = templates.render(&sample).unwrap();
        let words = |text: &str| -> Vec<String> {
            let plain = text.replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">");
            plain.split(|c: char| !c.is_alphanumeric()).map(str::to_owned).collect()
        };
        let html = words(&html);
        for word in words(&text) {
            assert!(html.contains(&word), "{}: `{word}` is only in the text", sample.name());
        }
    }
}

#[test]
fn a_name_stays_a_name() {
    let Rendered { subject, text, html } = templates().render(&welcome(HOSTILE)).unwrap();
    assert_eq!(unbalanced(&html), None);
    assert!(!html.contains("<script"), "{html}");
    assert!(!html.contains("href=\"https://evil.example"), "{html}");
    assert!(html.contains("&lt;/title&gt;&lt;script&gt;alert(1)"), "{html}");
    assert!(
        html.contains("&amp;amp; {{ brand }} [x]"),
        "it is neither escaped twice nor filled in"
    );
    // The text has it as it is, on its line, and without what turns the direction of reading.
    let first = text.lines().next().unwrap();
    assert!(
        first.starts_with("Hello </title><script>") && first.ends_with("evil.example)  ,"),
        "{first}"
    );
    assert_eq!(subject, "Welcome to Example Streaming");
}

#[test]
fn a_name_of_several_lines_adds_none() {
    let Rendered { text, .. } =
        templates().render(&welcome("Ann\r\n\r\nPay here: https://x")).unwrap();
    assert_eq!(text.lines().next(), Some("Hello Ann    Pay here: https://x,"));
}

#[test]
fn an_outbox_row_keeps_a_message_whole() {
    for sample in samples() {
        let json = serde_json::to_string(&sample).unwrap();
        assert_eq!(serde_json::from_str::<Message>(&json).unwrap(), sample, "{json}");
        assert!(json.contains(&format!("\"mail\":\"{}\"", sample.name())), "{json}");
    }
    assert!(serde_json::from_str::<Message>(r#"{"mail":"spam"}"#).is_err());
}

#[test]
fn private_links_are_mailed_and_never_shown() {
    for sample in samples() {
        let shown = format!("{sample:?}");
        assert!(!shown.contains("recover-password/") && !shown.contains("s3cr3t"), "{shown}");
        if let Message::AuthenticationNeeded(_) = sample {
            let Rendered { text, html, .. } = templates().render(&sample).unwrap();
            let link = "https://pay.example.com/confirm/pi_123?secret=s3cr3t";
            assert!(text.contains(link) && html.contains(&format!("href=\"{link}\"")));
        }
    }
}

#[test]
fn a_link_that_leads_elsewhere_stops_the_mail() {
    let reset = r#"{"mail":"password_reset","name":"Ann","reset_url":"javascript:alert(1)",
        "valid_until":"2026-11-02T14:05:00Z"}"#;
    let message: Message = serde_json::from_str(reset).unwrap();
    let problem = templates().render(&message).unwrap_err().to_string();
    assert!(problem.contains("`javascript:alert(1)` is not a link to the web"), "{problem}");
}

#[test]
fn only_what_waits_for_a_digest_is_routine() {
    use mail::AdminEventKind as Kind;
    let alerts: Vec<Kind> = Kind::ALL.iter().copied().filter(|kind| !kind.is_routine()).collect();
    assert!(alerts.contains(&Kind::UnknownPlan) && !alerts.contains(&Kind::CardAdded));
    let for_admins: Vec<&str> =
        samples().iter().filter(|sample| sample.is_for_admins()).map(Message::name).collect();
    assert!(for_admins.iter().all(|name| name.starts_with("admin_")) && for_admins.len() == 5);
}
