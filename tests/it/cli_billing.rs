//! A company's month on the command line: preview, approval, charges, reports, and the way over
//! from another system.

mod import;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use database::{Db, Query};
use main_worker::clock::SystemClock;
use payments::scripted::{ScriptedGateway, TestCard};
use payments::webhook;
use serde_json::{Value, json};
use values::{AccountId, Clock, Month, Secret, Timestamp};

use crate::cli_shell::Shell;
use crate::site::PATIENCE;

const SECRET: &str = "whsec_canary";

/// The month that has just ended.
fn ended() -> Month {
    SystemClock.now().month().previous().unwrap()
}

fn id(number: u8) -> AccountId {
    AccountId::new(Timestamp::from_seconds(1_500_000_000), [number; 10])
}

/// A company whose customers pay by card.
struct Company {
    shell: Shell,
    gateway: ScriptedGateway,
    month: String,
}

impl Company {
    /// A company with these accounts: number, plan, card.
    async fn new(lines: &str, accounts: &[(u8, &str, Option<TestCard>)]) -> Self {
        let month = ended();
        let manifest = format!(
            "[domains.billing]\nfirst_month = \"{month}\"\nclose_after = \"1s\"\n{lines}\n\
             [domains.billing.issuer]\nlegal_name = \"Example Streaming GmbH\"\n"
        );
        let mut shell = Shell::with_manifest(&manifest);
        let gateway = ScriptedGateway::start(Arc::new(SystemClock)).await.unwrap();
        let settings = gateway.settings();
        let section = json!({ "secretKey": settings.secret_key.expose(),
            "endpoint": settings.endpoint, "webhookSecrets": [SECRET] });
        shell.set("MAIN_WORKER_SECTION_payments", &section.to_string());
        let (mut rows, mut cards) = (Vec::new(), Vec::new());
        for (number, plan, card) in accounts {
            let id = id(*number);
            rows.push(
                json!({ "kind": "account", "id": id, "name": format!("=Otter, Lane {number}"),
                "billingProvider": "cine.io", "billingEmail": "bills@customer.example",
                "createdAt": "2017-08-01T00:00:00Z",
                "plans": [{ "from": "2017-08-01T00:00:00Z", "broadcast": [plan], "peer": [] }] }),
            );
            cards.push(json!({ "kind": "details", "accountId": id,
                "details": { "currency": "USD", "country": "DE" } }));
            if let Some(behaves) = card {
                let customer = gateway.add_customer();
                let card = gateway.add_card(&customer, *behaves);
                cards.push(json!({ "kind": "card", "accountId": id, "customer": customer.as_str(),
                    "card": card.as_str(), "brand": "visa", "last4": "4242",
                    "validThrough": "2030-01" }));
            }
        }
        let company = Self { shell, gateway, month: month.to_string() };
        company.import("import", &rows);
        company.import("billing import", &cards);
        company
    }

    fn import(&self, command: &str, rows: &[Value]) -> String {
        let lines: Vec<String> = rows.iter().map(Value::to_string).collect();
        self.shell.write("rows.jsonl", lines.join("\n").as_bytes());
        let mut words: Vec<&str> = command.split(' ').collect();
        words.push("rows.jsonl");
        self.shell.ok(&words)
    }

    /// Asks for the month to be closed, and works until nothing is left to do now.
    fn close(&self) {
        let payload = json!({ "month": self.month }).to_string();
        self.shell.enqueue(&["billing/close_month", &payload]);
        self.work();
    }

    fn work(&self) {
        self.shell.ok(&["work", "--until-empty", "--no-schedules"]);
    }

    fn json(&self, command: &str) -> Value {
        self.shell.json(&["billing", command, "--month", &self.month])
    }

    fn taken(&self) -> i64 {
        self.gateway.charges().iter().map(|charged| charged.amount.minor).sum()
    }
}

/// Faults 6, 8 and 30: what is previewed, charged, invoiced, booked and reported is one amount.
#[tokio::test(flavor = "multi_thread")]
async fn a_month_is_previewed_approved_charged_and_reported() {
    let company = Company::new(
        "approve_before_charge = true\ntax_basis_points = { DE = 1900 }",
        &[
            (1, "basic", Some(TestCard::Good)),
            (2, "solo", Some(TestCard::Declined)),
            (3, "premium", None),
            (4, "free", Some(TestCard::Good)),
            (5, "gold", Some(TestCard::Good)),
        ],
    )
    .await;
    let shell = &company.shell;
    let month = company.month.as_str();
    let preview = company.json("preview");
    assert_eq!(preview["totals"], json!({ "USD": 42_000 }));
    assert_eq!(preview["grossTotals"], json!({ "USD": 49_980 }));
    assert_eq!(preview["charges"], json!({ "USD": 14_280 }));
    assert_eq!((preview["release"].as_str(), company.taken()), (Some("awaits_approval"), 0));
    let csv = shell.ok(&["billing", "preview", "--month", month, "--csv"]);
    assert!(csv.starts_with("account,name,outcome,currency,list_price,net,tax"), "{csv}");
    assert!(csv.contains("\"'=Otter, Lane 1\",charge,USD,100.00,100.00,19.00,0.00,119.00,119.00"));
    assert_eq!(
        (preview["noRun"].as_str(), preview["rows"][0]["bill"]["netMinor"].as_i64()),
        (None, Some(10_000))
    );
    shell
        .run(&["billing", "approve", "--month", month])
        .fails(65, &["enqueue billing/close_month"]);
    let before = company.month.parse::<Month>().unwrap().previous().unwrap().to_string();
    let elsewhere = format!("{before} is before first_month {month} of [domains.billing]");
    shell.run(&["billing", "approve", "--month", &before]).fails(65, &[&elsewhere]);
    let told = shell.ok(&["billing", "preview", "--month", &before]);
    assert!(told.contains(&format!("the run: none; {elsewhere}")), "{told}");

    company.close();
    assert_eq!(company.taken(), 0);
    let told = shell.ok(&["billing", "approve", "--month", month]);
    assert!(told.contains("net total: 420.00 USD") && told.contains("--by NAME"), "{told}");
    assert!(told.contains("with tax: 499.80 USD; no month before"), "{told}");
    shell.ok(&["billing", "approve", "--month", month, "--by", "ann"]);
    company.work();
    assert_eq!(company.taken(), 11_900);
    let told = shell.ok(&["billing", "approve", "--month", month]);
    assert!(told.contains("was released at"), "{told}");

    let told = shell.ok(&["billing", "preview", "--month", month]);
    assert!(told.contains("the run was released at") && told.contains("420.00 USD"), "{told}");
    let ran = company.json("preview");
    assert_eq!((&ran["totals"], &ran["charges"]), (&preview["totals"], &json!({})));
    let ends: Vec<&Value> =
        ran["rows"].as_array().unwrap().iter().map(|row| &row["outcome"]).collect();
    assert_eq!((ends[0], ends[2]), (&json!("paid"), &json!("no_card")));

    check_books(&company);
    shell.ok(&["billing", "invoices", "--month", month, "--folder", "pdf"]);
    assert_eq!(std::fs::read_dir(shell.path("pdf")).unwrap().count(), 2);
    let late = shell.ok(&["billing", "late-usage", "--month", month]);
    assert_eq!(late.trim(), "no usage arrived after the month was frozen");
}

/// What of the month is reported and booked.
fn check_books(company: &Company) {
    let (shell, month) = (&company.shell, company.month.as_str());
    let report = company.json("report");
    assert_eq!(report["problems"], json!([]));
    let of = |part: &str| -> BTreeMap<String, i64> {
        let sums = report[part].as_array().unwrap().iter();
        sums.map(|sum| {
            (sum["of"].as_str().unwrap().to_owned(), sum["sum"]["grossMinor"].as_i64().unwrap())
        })
        .collect()
    };
    let pairs = |pairs: &[(&str, i64)]| -> BTreeMap<String, i64> {
        pairs.iter().map(|(name, minor)| ((*name).to_owned(), *minor)).collect()
    };
    assert_eq!(of("states"), pairs(&[("paid", 11_900), ("failed", 2_380), ("no_card", 35_700)]));
    assert_eq!(of("countries"), pairs(&[("DE", 14_280)]));
    assert_eq!(of("receivables"), pairs(&[("not due", 2_380)]));
    let ledger = company.json("ledger");
    assert_eq!(ledger["differenceMinor"], 0);
    let entries = shell.ok(&["billing", "ledger", "--month", month, "--entries", "--csv"]);
    let mut sums: BTreeMap<&str, i64> = BTreeMap::new();
    for line in entries.lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        *sums.entry(cells[2]).or_default() += cells[4].replace('.', "").parse::<i64>().unwrap();
    }
    assert_eq!(sums.values().sum::<i64>(), 0);
    assert_eq!((sums["cash"], sums["tax"], sums["revenue"]), (11_900, -2_280, -12_000));
    for account in ledger["accounts"].as_array().unwrap() {
        let name = account["account"].as_str().unwrap();
        assert_eq!(account["minor"].as_i64().unwrap(), sums.get(name).copied().unwrap_or(0));
    }
}

/// An account whose figures cannot be costs its own row, and the command's exit code.
#[tokio::test(flavor = "multi_thread")]
async fn late_usage_that_cannot_be_is_a_row_with_its_reason() {
    let accounts = [1, 2, 3].map(|number| (number, "free", None));
    let company = Company::new("", &accounts).await;
    company.close();
    let db = Db::open_sqlite(&company.shell.home().join("main.db")).await.unwrap();
    let month: Month = company.month.parse().unwrap();
    for (number, bytes) in [(1, -5), (2, i64::MAX), (3, 7)] {
        for table in ["billing_usage", "usage_account_month"] {
            let now = if table == "billing_usage" { 0 } else { bytes };
            let columns = "account_id, month, bandwidth_bytes, storage_bytes, peer_milliseconds";
            let more = match table {
                "billing_usage" => ("frozen_at", "0"),
                _ => ("fms_bytes, hls_bytes, vod_bytes, lines, updated_at", "0, 0, 0, 0, 0"),
            };
            let sql = format!(
                "INSERT INTO {table} ({columns}, {}) VALUES ($1, $2, $3, 0, 0, {})
                   ON CONFLICT (account_id, month) DO UPDATE SET bandwidth_bytes = $3",
                more.0, more.1
            );
            db.execute(Query::built(sql).bind(id(number)).bind(month).bind(now)).await.unwrap();
        }
    }
    db.close().await;
    let shell = &company.shell;
    let ran = shell.run(&["billing", "late-usage", "--month", &company.month, "--csv"]);
    ran.fails(70, &["usage of 2 accounts cannot be; correct"]);
    let rows: Vec<&str> = ran.stdout.lines().skip(1).collect();
    for (row, number, now, problem) in [
        (rows[0], 1, "-5", "bandwidth of -5 cannot be"),
        (rows[1], 2, "9223372036854775807", "bandwidth of 9223372036854775807 cannot be"),
        (rows[2], 3, "7", ""),
    ] {
        assert!(row.starts_with(&format!("{},0,{now},0,0,0,0,", id(number))), "{row}");
        assert!(row.contains(problem), "{row}");
    }
    assert_eq!(rows.len(), 3);
    let command = ["billing", "late-usage", "--month", &company.month, "--output", "json"];
    let rows = shell.run(&command).json();
    assert_eq!(rows["accounts"][0]["now"]["bandwidthBytes"], -5);
    assert!(rows["accounts"][0]["problem"].is_string() && rows["accounts"][2]["problem"].is_null());
}

/// What is sold can be read without looking for a file.
#[tokio::test(flavor = "multi_thread")]
async fn the_plans_that_are_sold_are_shown() {
    let shell = Shell::with_manifest("");
    let table = shell.ok(&["billing", "plans"]);
    assert!(table.contains("$100") && table.contains("150.00 GiB"), "{table}");
    let plans = shell.json(&["billing", "plans"]);
    let basic = plans["plans"].as_array().unwrap().iter().find(|plan| {
        (plan["provider"].as_str(), plan["product"].as_str(), plan["plan"].as_str())
            == (Some("cine.io"), Some("broadcast"), Some("basic"))
    });
    assert_eq!(basic.unwrap()["prices"], json!([{ "minor": 10_000, "currency": "USD" }]));
}

/// The way over: what another system has settled is not billed, and a month is compared first.
#[tokio::test(flavor = "multi_thread")]
async fn a_company_changes_over_from_another_system() {
    let good = Some(TestCard::Good);
    let accounts = [(1, "basic", good), (2, "solo", good), (3, "solo", good), (4, "free", None)];
    let company = Company::new("", &accounts).await;
    let (shell, month) = (&company.shell, company.month.as_str());
    let theirs = [(1, 10_000), (2, 1_999), (4, 500)]
        .map(|(number, minor)| json!({ "accountId": id(number), "totalMinor": minor, "currency": "USD" }));
    let lines: Vec<String> = theirs.iter().map(Value::to_string).collect();
    shell.write("theirs.jsonl", lines.join("\n").as_bytes());
    let compare = ["billing", "compare", "--month", month, "theirs.jsonl", "--output", "json"];
    let ran = shell.run(&compare);
    ran.fails(70, &[]);
    let found = ran.json();
    assert_eq!(found["differences"][2]["why"], "nothing is due");
    let differences: Vec<(i64, i64)> = found["differences"]
        .as_array()
        .unwrap()
        .iter()
        .map(|of| {
            (of["theirs"]["minor"].as_i64().unwrap_or(0), of["ours"]["minor"].as_i64().unwrap_or(0))
        })
        .collect();
    assert_eq!(differences, [(1_999, 2_000), (0, 2_000), (500, 0)]);
    assert_eq!(company.gateway.requests().len(), 0, "a comparison asks nobody");

    let settled = [(1, "paid", 10_000), (2, "waived", 2_000)].map(|(number, state, minor)| {
        json!({ "kind": "month", "accountId": id(number), "month": month, "state": state,
            "totalMinor": minor, "currency": "USD" })
    });
    assert_eq!(
        company.import("billing import", &settled).trim(),
        "2 lines stored, 0 known already"
    );
    assert_eq!(
        company.import("billing import", &settled).trim(),
        "0 lines stored, 2 known already"
    );
    company.close();
    assert_eq!(company.taken(), 2_000);
    for bad in [
        json!({ "kind": "month", "accountId": id(9), "month": month, "state": "paid",
            "totalMinor": 1, "currency": "USD" }),
        json!({ "kind": "card" }),
    ] {
        shell.write("rows.jsonl", bad.to_string().as_bytes());
        shell.run(&["billing", "import", "rows.jsonl"]).fails(65, &["line 1", "nothing is stored"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kill_switch_stops_what_waits() {
    let company = Company::new("", &[(1, "basic", Some(TestCard::Good))]).await;
    let (shell, month) = (&company.shell, company.month.as_str());
    shell.ok(&["billing", "stop", "--reason", "wrong prices"]);
    let payload = json!({ "accountId": id(1), "month": month, "trigger": "operator" }).to_string();
    shell.enqueue(&["billing/invoice_account", &payload]);
    company.close();
    assert_eq!(
        (company.taken(), company.json("preview")["release"].as_str()),
        (0, Some("stopped"))
    );
    for command in
        [["billing", "preview", "--month", month], ["billing", "approve", "--month", month]]
    {
        let told = shell.ok(&command);
        assert!(told.contains("`wrong prices`; `main-worker billing resume`"), "{told}");
    }
    shell.ok(&["billing", "resume"]);
    company.close();
    assert_eq!(company.taken(), 10_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_can_be_tried_out() {
    let mut company = Company::new("", &[]).await;
    let report = company.shell.json(&["check", "--payments"]);
    assert_eq!((report["ok"].as_bool(), report["gateway"].as_str()), (Some(true), Some("stripe")));
    let key = "sk_live_canary";
    let section = json!({ "secretKey": key, "endpoint": company.gateway.settings().endpoint });
    company.shell.set("MAIN_WORKER_SECTION_payments", &section.to_string());
    let ran = company.shell.run(&["check", "--payments"]);
    ran.fails(78, &["a live key is refused"]);
    assert!(!format!("{ran:?}").contains(key));
    let by_hand = Shell::with_manifest("").ok(&["check", "--payments"]);
    assert!(by_hand.contains("customers pay their invoices"), "{by_hand}");
}

/// A worker with a door for events.
async fn door(company: &Company) -> (std::process::Child, String) {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let log = std::fs::File::create(company.shell.path("log")).unwrap();
    let mut command =
        company.shell.command(&["work", "--no-schedules", "--listen", &free.to_string()]);
    let worker = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
    until("the worker listens", || std::net::TcpStream::connect::<SocketAddr>(free).is_ok()).await;
    (worker, format!("http://{free}/hooks/payments"))
}

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "not so: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_the_gateway_are_kept_once_and_forged_ones_never() {
    let company = Company::new("", &[(1, "basic", Some(TestCard::Good))]).await;
    company.close();
    let secret = Secret::new(SECRET.to_owned());
    company.shell.ok(&["keys", "make", "--source", "webhook"]);
    let (mut worker, url) = door(&company).await;
    let http = reqwest::Client::new();
    let post = async |body: String, signature: String| {
        let request = http.post(&url).header(webhook::SIGNATURE_HEADER, signature).body(body);
        request.send().await.unwrap().status().as_u16()
    };
    let body = company.gateway.events()[0].clone();
    let now = SystemClock.now();
    let forged = webhook::sign(&Secret::new("whsec_other".to_owned()), body.as_bytes(), now);
    let replayed = webhook::sign(&secret, body.as_bytes(), now.before(values::Span::from_hours(1)));
    for signature in [forged, replayed, "t=1,v1=00".to_owned(), String::new()] {
        assert_eq!(post(body.clone(), signature).await, 400);
    }
    let signed = webhook::sign(&secret, b"{}", now);
    assert_eq!(post("{}".to_owned(), signed).await, 400);
    assert_eq!(post("x".repeat(300_000), String::new()).await, 413);
    let asked = || {
        let tasks = company.shell.json(&["tasks", "list", "--job", "billing/apply_gateway_event"]);
        tasks.as_array().unwrap().clone()
    };
    assert_eq!(asked().len(), 0);

    // Real money is no concern of a test key: the event is kept, and nothing is asked for.
    let live = body.replace("\"livemode\":false", "\"livemode\":true").replace("evt_", "evt_live_");
    assert!(live.contains("\"livemode\":true") && live.contains("evt_live_"), "{live}");
    for _ in 0..2 {
        let signed = webhook::sign(&secret, live.as_bytes(), now);
        assert_eq!(post(live.clone(), signed).await, 200);
    }
    assert_eq!(asked().len(), 0);
    let db = Db::open_sqlite(&company.shell.home().join("main.db")).await.unwrap();
    let kept = db.all(Query::new("SELECT result FROM gateway_event")).await.unwrap();
    assert_eq!((kept.len(), kept[0].get::<String>(0).unwrap().as_str()), (1, "other_mode"));
    db.close().await;

    let events = company.gateway.events().len();
    let answers = company.gateway.deliver_events(&url, &secret).await.unwrap();
    assert_eq!(answers, vec![200; events]);
    let again = webhook::sign(&secret, body.as_bytes(), now);
    assert_eq!(post(body, again).await, 200);
    until("every event is applied", || {
        let asked = asked();
        asked.len() == events && asked.iter().all(|task| task["state"] == "completed")
    })
    .await;
    assert!(asked().iter().all(|task| task["source"] == "webhook"));
    assert_eq!(company.taken(), 10_000);
    assert!(!company.shell.read("log").contains(SECRET));
    worker.kill().unwrap();
    worker.wait().unwrap();
}
