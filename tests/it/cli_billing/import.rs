//! `billing import`: what would cost money later is refused where it comes in.

use database::{Db, Query};
use main_worker::clock::SystemClock;
use payments::scripted::TestCard;
use serde_json::{Value, json};
use values::Clock;

use super::{Company, id};

fn details(details: &Value) -> Value {
    json!({ "kind": "details", "accountId": id(2), "details": details })
}

fn settled(month: &str, minor: i64) -> Value {
    json!({ "kind": "month", "accountId": id(2), "month": month, "state": "paid",
        "totalMinor": minor, "currency": "USD" })
}

/// Lines that are wrong, and what is told of each; card and customer are those of account 1.
fn bad_lines(month: &str, known_card: &str, known_customer: &str) -> Vec<(Value, String)> {
    let with = |key: &str, value: Value| {
        let mut given = json!({ "currency": "USD" });
        given[key] = value;
        details(&given)
    };
    let card = |key: &str, value: &str| {
        let mut given = json!({ "kind": "card", "accountId": id(2), "customer": "cus_2",
            "card": "pm_2", "brand": "visa", "last4": "4242", "validThrough": "2030-01" });
        given[key] = value.into();
        given
    };
    let running = SystemClock.now().month().to_string();
    let of_other = |key: &str, name: &str| format!("`{key}`: `{name}` is of {}", id(1));
    let cases = [
        (with("country", json!("UK")), "`country`: `UK` is not a country; write its two ISO 3166"),
        (with("country", json!("de")), "`country`: `de` is not a country"),
        (with("country", json!("Germany")), "`country`: `Germany` is not a country"),
        (with("currency", json!("XXX")), "`currency`: nothing is sold in it"),
        (with("legalName", json!("a\u{1b}[31m")), "`legalName`: expected 1 to 200 characters"),
        (
            with("legalName", json!("x".repeat(900_000))),
            "`legalName`: expected 1 to 200 characters",
        ),
        (with("taxId", json!("a\u{202e}b")), "`taxId`: expected"),
        (with("address", json!("1\n".repeat(10_000))), "`address`: has 10001 lines, at most 19"),
        (with("copyAddresses", json!(["nonsense"])), "`copyAddresses`: expected an address"),
        (with("copyAddresses", json!(["a@b.example\nBcc: x@evil.example"])), "`copyAddresses`"),
        (with("copyAddresses", json!(vec!["a@b.example"; 20])), "`copyAddresses`: 20 addresses"),
        (with("poNr", json!("1")), "`poNr`: no line of this kind has such a key"),
        (card("card", ""), "a payment method id of the gateway has 1 to 255"),
        (card("customer", "c&amount=1"), "a customer id of the gateway has 1 to 255"),
        (card("last4", "42424242"), "`last4`: expected the last four digits"),
        (card("brand", "<b>\n"), "`brand`: expected a name such as `visa`"),
        (card("card", known_card), &of_other("card", known_card)),
        (card("customer", known_customer), &of_other("customer", known_customer)),
        (settled(&running, 1), "has not ended; nobody can have settled it"),
        (settled("2016-01", 1), "the account was made at 2017-08-01T00:00:00Z, after 2016-01"),
        (settled(month, -1), "`totalMinor`: -1 is not within 0 to"),
        (settled(month, i64::MAX), "`totalMinor`"),
        (json!("no object"), "expected a JSON object"),
    ];
    cases.map(|(line, told): (Value, &str)| (line, told.to_owned())).into()
}

/// What would cost money later is refused with its line and key, and nothing of the file is stored.
#[tokio::test(flavor = "multi_thread")]
async fn every_bad_line_of_an_import_is_told_and_nothing_is_stored() {
    let company = Company::new("", &[(1, "free", Some(TestCard::Good)), (2, "free", None)]).await;
    let shell = &company.shell;
    let db = Db::open_sqlite(&shell.home().join("main.db")).await.unwrap();
    let known = db.first(Query::new("SELECT c.id, u.customer FROM payment_card c JOIN payment_customer u ON u.account_id = c.account_id"));
    let known = known.await.unwrap().unwrap();
    let (known_card, known_customer) =
        (known.get::<String>(0).unwrap(), known.get::<String>(1).unwrap());
    let cases = bad_lines(&company.month, &known_card, &known_customer);
    let good = details(&json!({ "currency": "USD", "legalName": "Otter Lane Ltd",
        "address": "1 Lane\nLeeds", "country": "GB", "poNumber": "PO 7",
        "copyAddresses": ["books@customer.example"] }));
    let mut lines = vec![good.to_string()];
    lines.extend(cases.iter().map(|(line, _)| line.to_string()));
    shell.write("rows.jsonl", lines.join("\n").as_bytes());
    let refused = shell.run(&["billing", "import", "rows.jsonl"]);
    let count = format!("{} bad lines in rows.jsonl; nothing is stored", cases.len());
    refused.fails(65, &[&count]);
    for (at, (_, told)) in cases.iter().enumerate() {
        let line = format!("line {}", at + 2);
        let is_told = |text: &&str| text.contains(&line) && text.contains(told);
        assert!(
            refused.stderr.lines().any(|text| is_told(&text)),
            "{line}: {told}\n{}",
            refused.stderr
        );
    }
    let stored =
        db.all(Query::new("SELECT legal_name FROM billing_details WHERE legal_name <> ''"));
    assert_eq!(stored.await.unwrap().len(), 0);
    db.close().await;

    let month = [settled(&company.month, 10_000)];
    let both = [good, month[0].clone()];
    assert_eq!(company.import("billing import", &both).trim(), "2 lines stored, 0 known already");
    assert_eq!(company.import("billing import", &both).trim(), "0 lines stored, 2 known already");
    shell.write("rows.jsonl", settled(&company.month, 10_001).to_string().as_bytes());
    let told = format!("`month`: {} is settled here already: paid, 100.00 USD", company.month);
    shell.run(&["billing", "import", "rows.jsonl"]).fails(65, &[&told]);
}
