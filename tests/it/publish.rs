//! The door at which an RTMP server asks whether someone may publish.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use database::{Db, EngineKind, Tx};
use models::{
    Account, BillingProvider, Project, Stream, ThrottledReason, accounts, projects, publishing,
    streams, throttles,
};
use testkit::{PostgresServer, Profile};
use values::{AccountId, ProjectId, Span, StreamId, Timestamp};

use crate::site::{PATIENCE, Site, migrate};
use crate::work_health::address;

const TOKEN: &str = "canary-media-host-token";
const DOOR: &str = "/hooks/publish";

fn account(number: u8, now: Timestamp) -> Account {
    Account {
        id: AccountId::from_bytes([number; 16]),
        name: format!("Account {number}"),
        billing_email: None,
        billing_provider: BillingProvider::Cine,
        unthrottleable: false,
        throttled_at: None,
        throttled_reason: None,
        created_at: now,
        updated_at: now,
        deleted_at: None,
    }
}

fn project(number: u8, now: Timestamp) -> Project {
    Project {
        id: ProjectId::from_bytes([number; 16]),
        account_id: AccountId::from_bytes([number; 16]),
        name: format!("Project {number}"),
        public_key: format!("key{number}"),
        created_at: now,
        updated_at: now,
        deleted_at: None,
    }
}

/// A stream whose key is `key-of-NAME`.
async fn store(tx: &mut Tx<'_>, number: u8, name: &str, change: impl FnOnce(&mut Stream)) {
    let now = Timestamp::EPOCH;
    let mut stream = Stream {
        id: StreamId::from_bytes([number; 16]),
        project_id: Some(ProjectId::from_bytes([1; 16])),
        name: name.to_owned(),
        instance_name: "cines".to_owned(),
        record: false,
        assigned_at: Some(now),
        created_at: now,
        updated_at: now,
        deleted_at: None,
    };
    change(&mut stream);
    streams::upsert_many(tx, std::slice::from_ref(&stream)).await.unwrap();
    let key = digest(&SHA256, format!("key-of-{name}").as_bytes());
    publishing::set_key(tx, stream.id, key.as_ref().try_into().unwrap(), now).await.unwrap();
}

/// Accounts in good standing (1), throttled (2), in grace (3), deleted (4), with a deleted project
/// (5), and their streams.
async fn company(db: &Db, now: Timestamp) {
    let mut work = db.begin().await.unwrap();
    let tx = &mut work.tx();
    let mut rows: Vec<Account> = (1..=5).map(|number| account(number, now)).collect();
    rows[3].deleted_at = Some(now);
    accounts::upsert_many(tx, &rows).await.unwrap();
    let mut rows: Vec<Project> = (1..=5).map(|number| project(number, now)).collect();
    rows[4].deleted_at = Some(now);
    // Made by the account that is throttled, to go on as if it were not.
    let fresh = Project { account_id: AccountId::from_bytes([2; 16]), ..project(8, now) };
    rows.push(fresh);
    projects::upsert_many(tx, &rows).await.unwrap();
    store(tx, 1, "cam", |_| ()).await;
    for (number, name) in [(2, "throttled"), (3, "grace"), (4, "closed"), (5, "gone"), (8, "fresh")]
    {
        let owner = ProjectId::from_bytes([number; 16]);
        store(tx, number, name, |stream| stream.project_id = Some(owner)).await;
    }
    store(tx, 6, "pooled", |stream| stream.project_id = None).await;
    store(tx, 7, "deleted", |stream| stream.deleted_at = Some(now)).await;
    for (number, from) in [(2, now), (3, now.after(Span::from_days(4)))] {
        let throttle = (from, ThrottledReason::CardDeclined);
        let account = AccountId::from_bytes([number; 16]);
        assert!(throttles::throttle(tx, account, throttle, now).await.unwrap().is_some());
    }
    work.commit().await.unwrap();
}

/// Posts a form; returns status and body.
fn post(address: &str, path: &str, header: &str, form: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = form.len();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nhost: worker\r\nconnection: close\r\n{header}content-length: \
         {length}\r\n\r\n{form}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

fn status(address: &str, form: &str) -> u16 {
    post(address, DOOR, "", form).0
}

/// Faults 10 and 11: publishing goes on in the time of grace, and a throttle counts for projects
/// that are made after it.
async fn answers_by_stream_key_and_standing(engine: EngineKind) {
    let site = Site::on(engine).await;
    company(&site.app.db, site.app.clock.now()).await;
    let worker = site.worker(&["--listen", "127.0.0.1:0"]);
    let address = address(&worker);
    let ask = |form: &str, expected: u16| assert_eq!(status(&address, form), expected, "{form}");
    let rest = "call=publish&addr=10.0.0.7&app=live";
    ask(&format!("{rest}&name=cam&type=live&key=key-of-cam"), 200);
    ask("name=c%61m&key=key%2Dof%2Dcam", 200);
    ask("name=grace&key=key-of-grace", 200);
    for form in ["name=cam&key=key-of-grace", "name=cam&key=", "name=cam", "name=throttled&key=x"] {
        ask(form, 401);
    }
    for name in ["throttled", "fresh"] {
        ask(&format!("name={name}&key=key-of-{name}"), 402);
    }
    for name in ["closed", "gone", "pooled", "deleted", "nobody", "", "cam%00", "cam%0A", "CAM"] {
        ask(&format!("name={name}&key=key-of-{name}"), 404);
    }
    ask("", 404);
    ask(&format!("name={}&key=x", "n".repeat(1_000)), 404);
    // What a publisher writes behind the name is appended: it replaces nothing and skips nothing.
    ask("name=throttled&key=key-of-cam&name=cam", 404);
    for relay in ["relay=1", "relay=true", "call=relay", "internal=1", "type=relay"] {
        ask(&format!("name=cam&{relay}"), 401);
        ask(&format!("{relay}&name=throttled&key=key-of-throttled"), 402);
    }
    assert_eq!(post(&address, "/hooks/publish?relay=1", "", "name=cam").0, 401);
    ask(&format!("name=cam&key={}", "k".repeat(20_000)), 413);
    // A throttle that ends is known with the next request.
    let mut work = site.app.db.begin().await.unwrap();
    let account = AccountId::from_bytes([2; 16]);
    let now = site.app.clock.now();
    assert!(throttles::lift(&mut work.tx(), account, None, now).await.unwrap().is_some());
    work.commit().await.unwrap();
    ask("name=throttled&key=key-of-throttled", 200);
    assert!(!worker.log().contains("key-of"), "{}", worker.log());
}

#[tokio::test]
async fn a_token_that_is_set_is_needed() {
    let site = Site::new().await;
    company(&site.app.db, site.app.clock.now()).await;
    // The door of recorders beside it speaks for them.
    let mut keys = site.start(&["keys", "make", "--source", "media_host"], &[]);
    assert!(keys.ended().success(), "{}", keys.log());
    let variables = [("MAIN_WORKER_MEDIA_HOST_TOKEN", TOKEN)];
    let worker = site.worker_with(&["--listen", "127.0.0.1:0"], &variables);
    let address = address(&worker);
    let form = "name=cam&key=key-of-cam";
    let (status, told) = post(&address, DOOR, "", form);
    assert!(status == 403 && told.contains("MAIN_WORKER_MEDIA_HOST_TOKEN"), "{status} {told}");
    let check = |path: &str, header: &str, expected: u16| {
        assert_eq!(post(&address, path, header, form).0, expected, "{path} {header}");
    };
    check("/hooks/publish?token=canary", "", 403);
    check(&format!("/hooks/publish?token={TOKEN}"), "", 200);
    check(DOOR, &format!("authorization: Bearer {TOKEN}\r\n"), 200);
    check(DOOR, "authorization: Bearer canary\r\n", 403);
    assert!(!worker.log().contains("canary"), "{}", worker.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_found_answers_while_the_database_is_away() {
    let server = PostgresServer::start(Profile::Fast).await.unwrap();
    let url = server.fresh_database().await.unwrap();
    migrate(url.clone()).await.unwrap();
    let site = Site::at(&url).await;
    company(&site.app.db, site.app.clock.now()).await;
    let worker = site.worker(&["--listen", "127.0.0.1:0"]);
    let address = address(&worker);
    let (known, throttled) = ("name=cam&key=key-of-cam", "name=throttled&key=key-of-throttled");
    assert_eq!((status(&address, known), status(&address, throttled)), (200, 402));
    assert_eq!(status(&address, "name=nobody&key=x"), 404);
    server.stop_fast().await.unwrap();
    for _ in 0..20 {
        assert_eq!((status(&address, known), status(&address, throttled)), (200, 402));
        assert_eq!(status(&address, "name=cam&key=wrong"), 401);
        // Nobody asked for these before: whether they exist cannot be told.
        assert_eq!(status(&address, "name=grace&key=key-of-grace"), 503);
        assert_eq!(status(&address, "name=nobody&key=x"), 503);
    }
    worker.says("publishers are answered from memory");
    server.start_again().await.unwrap();
    let began = Instant::now();
    while status(&address, "name=grace&key=key-of-grace") != 200 {
        assert!(began.elapsed() < PATIENCE, "{}", worker.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

testkit::on_each_engine!(answers_by_stream_key_and_standing);
