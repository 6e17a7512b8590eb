//! The door at which a mail server hands over mails that came back.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use testkit::{PostgresServer, Profile};

use crate::cli_shell::Shell;
use crate::site::PATIENCE;

const TOKEN: &str = "canary-bounce-token";
const DOOR: &str = "/hooks/bounces?token=canary-bounce-token";
const ACCOUNT: &str = r#"{"kind":"account","id":"acct_01jd0c4x5ve4zrh1k5yq4q8g7m","name":"Otter Lane","billingProvider":"cine.io","billingEmail":"ann@example.org"}"#;
const WELCOME: &str = r#"{"accountId":"acct_01jd0c4x5ve4zrh1k5yq4q8g7m"}"#;

/// A worker that listens, and an outbox with one mail that was sent.
struct Company {
    shell: Shell,
    worker: Child,
    address: String,
    mail: Value,
}

impl Company {
    fn at(url: Option<&str>) -> Self {
        let mut shell = Shell::with_manifest("");
        if let Some(url) = url {
            shell.set("DATABASE_URL", url);
            shell.ok(&["keys", "init", "--force"]);
            shell.ok(&["migrate"]);
        }
        shell.write("account.jsonl", ACCOUNT.as_bytes());
        shell.ok(&["import", "account.jsonl"]);
        shell.ok(&["enqueue", "emails/welcome_account", WELCOME]);
        shell.ok(&["work", "--until-empty", "--no-schedules"]);
        let mail = shell.json(&["emails", "list"])[0].clone();
        assert_eq!(mail["state"], "sent", "{mail}");
        shell.ok(&["keys", "make", "--source", "webhook"]);
        shell.set("MAIN_WORKER_BOUNCE_TOKEN", TOKEN);
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let address = port.to_string();
        let log = std::fs::File::create(shell.path("log")).unwrap();
        let mut command = shell.command(&["work", "--no-schedules", "--listen", &address]);
        let worker = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let company = Self { shell, worker, address, mail };
        company.until("the worker listens", || TcpStream::connect(&company.address).is_ok());
        company
    }

    fn until(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let began = Instant::now();
        while !is_so() {
            assert!(began.elapsed() < PATIENCE, "not so: {what}\n{}", self.shell.read("log"));
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }

    /// Posts a body as `curl --data-binary @-` does; returns status and answer.
    fn post(&self, path: &str, header: &str, body: &[u8]) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: worker\r\nconnection: close\r\n{header}content-type: \
             message/rfc822\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        // A door that refuses a body may close before all of it is sent.
        stream.write_all(body).ok();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.trim().to_owned())
    }

    /// A report about the mail, as Postfix writes it.
    fn report(&self, fields: &str) -> String {
        let id = self.mail["id"].as_str().unwrap();
        format!(
            "Return-Path: <>\r\nFrom: MAILER-DAEMON@mx.example.org\r\nSubject: Undelivered Mail\r\n\
             MIME-Version: 1.0\r\nMessage-Id: <1@mx.example.org>\r\n\
             Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n\
             --b\r\nContent-Type: text/plain\r\n\r\nI'm sorry.\r\n--b\r\n\
             Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example.org\r\n\r\n\
             Final-Recipient: rfc822; ann@example.org\r\n{fields}\r\n--b\r\n\
             Content-Type: message/rfc822\r\n\r\nMessage-ID: <{id}@example.com>\r\n\r\n--b--\r\n"
        )
    }

    /// How many bounces are noted once every task is done.
    fn noted(&self) -> usize {
        let tasks = || self.shell.json(&["tasks", "list", "--job", "emails/apply_bounce"]);
        self.until("every report is applied", || {
            let tasks = tasks();
            tasks.as_array().unwrap().iter().all(|task| task["state"] == "completed")
        });
        self.shell.json(&["emails", "bounces"]).as_array().unwrap().len()
    }

    fn suppressed(&self) -> usize {
        self.shell.json(&["emails", "suppressed"]).as_array().unwrap().len()
    }
}

impl Drop for Company {
    fn drop(&mut self) {
        kill_process(Pid::from_child(&self.worker), Signal::TERM).ok();
        self.worker.wait().ok();
    }
}

const SOFT: &str = "Action: delayed\r\nStatus: 4.2.2\r\n";
const HARD: &str = "Action: failed\r\nStatus: 5.1.1\r\nDiagnostic-Code: smtp; 550 no such user\r\n";

#[test]
fn a_mail_server_hands_over_what_came_back() {
    let company = Company::at(None);
    let (soft, hard) = (company.report(SOFT), company.report(HARD));
    for (door, header) in [
        ("/hooks/bounces", ""),
        ("/hooks/bounces?token=canary", ""),
        ("/hooks/bounces", "authorization: Bearer canary\r\n"),
    ] {
        let (status, told) = company.post(door, header, hard.as_bytes());
        assert_eq!((status, &*told), (401, "give the token of MAIN_WORKER_BOUNCE_TOKEN"));
    }
    assert_eq!(company.noted(), 0);
    assert_eq!(company.post(DOOR, "", soft.as_bytes()), (200, "stored".to_owned()));
    assert_eq!((company.noted(), company.suppressed()), (1, 0));

    let bearer = format!("authorization: Bearer {TOKEN}\r\n");
    for _ in 0..3 {
        let stored = company.post("/hooks/bounces", &bearer, hard.as_bytes());
        assert_eq!(stored, (200, "stored".to_owned()));
        assert_eq!((company.noted(), company.suppressed()), (2, 1));
    }
    let listed = company.shell.json(&["emails", "list", "--state", "bounced"]);
    assert_eq!(listed[0]["id"], company.mail["id"]);
    assert_eq!(listed[0]["message"], "550 no such user");
    let table = company.shell.ok(&["emails", "bounces", "--limit", "1"]);
    for words in ["ann@example.org  permanent", "5.1.1", "550 no such user"] {
        assert!(table.contains(words), "{table}");
    }
    // Once a person has allowed the address, the same report changes nothing.
    company.shell.ok(&["emails", "allow", "ann@example.org"]);
    assert_eq!(company.post(DOOR, "", hard.as_bytes()).0, 200);
    assert_eq!((company.noted(), company.suppressed()), (2, 0));
    let log = company.shell.read("log");
    assert!(!log.contains(TOKEN) && !log.contains("ann@example.org"), "{log}");
}

#[test]
fn what_is_no_report_of_ours_changes_nothing() {
    let company = Company::at(None);
    let hard = company.report(HARD);
    let holiday = "From: ann@example.org\r\nSubject: I am away\r\n\r\nBye.\r\n";
    let relayed = company.report("Action: relayed\r\nStatus: 2.0.0\r\n");
    let foreign = hard.replace(company.mail["id"].as_str().unwrap(), "4711");
    for (body, why) in [
        (holiday, "this is no report of a delivery"),
        (&relayed, "the report tells of no failure"),
        (&foreign, "the report names no mail of ours by its Message-ID"),
    ] {
        let (status, told) = company.post(DOOR, "", body.as_bytes());
        assert_eq!((status, told), (200, format!("nothing to do: {why}")));
    }
    let broken = hard.replace("message/delivery-status", "text/plain");
    for (body, status) in
        [(broken.into_bytes(), 400), (Vec::new(), 400), (vec![b'x'; 12 * 1024 * 1024], 413)]
    {
        assert_eq!(company.post(DOOR, "", &body).0, status);
    }
    let tasks = company.shell.json(&["tasks", "list", "--job", "emails/apply_bounce"]);
    assert_eq!(tasks.as_array().unwrap().len(), 0, "{tasks}");
}

#[tokio::test]
async fn the_door_for_bounces_says_no_while_the_database_is_away() {
    let server = PostgresServer::start(Profile::Fast).await.unwrap();
    let url = server.fresh_database().await.unwrap();
    let company = Company::at(Some(&url));
    let hard = company.report(HARD);
    server.kill();
    assert_eq!(company.post(DOOR, "", hard.as_bytes()).0, 503);
    server.start_again().await.unwrap();
    company.until("the door takes it", || company.post(DOOR, "", hard.as_bytes()).0 == 200);
    assert_eq!((company.noted(), company.suppressed()), (1, 1));
}
