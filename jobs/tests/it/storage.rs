//! What is stored, month by month: every case lived through, with a roll-up as each month begins
//! and ends.

use database::EngineKind;
use models::recordings::{self, Recording};
use models::{Account, BillingProvider, Project, Stream, accounts, projects, streams, usage};
use serde_json::{Value, json};
use values::{AccountId, Month, ProjectId, RecordingId, Span, StreamId, Timestamp};

use crate::harness::Harness;

const CASES: &str = include_str!("../../../shared/billing/tests/cases/storage.json");
const JOB: &str = "usage/roll_up_usage";
/// All accounts are older than every recording.
const MADE: &str = "2013-01-01T00:00:00Z";

/// Something that happens to what is stored.
enum Event {
    Catalogued(Box<Recording>),
    Deleted(RecordingId),
    ProjectDeleted(Project),
}

/// The company of all cases, and what happens to it.
#[derive(Default)]
struct Story {
    accounts: Vec<Account>,
    projects: Vec<Project>,
    streams: Vec<Stream>,
    events: Vec<(Timestamp, Event)>,
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn time(value: &Value) -> Option<Timestamp> {
    value.as_str().map(at)
}

/// An id of a kind, the number of which follows from how many there are.
fn id(kind: u8, number: usize) -> [u8; 16] {
    let mut bytes = [kind; 16];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    bytes
}

impl Story {
    fn account(&mut self) -> AccountId {
        let number = self.accounts.len();
        let account = Account {
            id: AccountId::from_bytes(id(1, number)),
            name: format!("Account {number}"),
            billing_email: None,
            billing_provider: BillingProvider::Cine,
            unthrottleable: false,
            throttled_at: None,
            throttled_reason: None,
            created_at: at(MADE),
            updated_at: at(MADE),
            deleted_at: None,
        };
        self.accounts.push(account);
        self.accounts[number].id
    }

    fn project(&mut self, account_id: AccountId, deleted_at: Option<Timestamp>) -> ProjectId {
        let number = self.projects.len();
        let project = Project {
            id: ProjectId::from_bytes(id(2, number)),
            account_id,
            name: format!("Project {number}"),
            public_key: format!("key{number}"),
            created_at: at(MADE),
            updated_at: at(MADE),
            deleted_at: None,
        };
        if let Some(deleted_at) = deleted_at {
            let gone = Project { deleted_at: Some(deleted_at), ..project.clone() };
            self.events.push((deleted_at, Event::ProjectDeleted(gone)));
        }
        self.projects.push(project);
        self.projects[number].id
    }

    fn stream(&mut self, project: ProjectId, deleted_at: Option<Timestamp>, rows: &Value) {
        let number = self.streams.len();
        let stream_id = StreamId::from_bytes(id(3, number));
        self.streams.push(Stream {
            id: stream_id,
            project_id: Some(project),
            name: format!("stream{number}"),
            instance_name: "cines".to_owned(),
            record: true,
            assigned_at: Some(at(MADE)),
            created_at: at(MADE),
            updated_at: at(MADE),
            deleted_at,
        });
        for row in rows.as_array().unwrap() {
            let made_at = time(&row["date"]).unwrap();
            let recording = Recording {
                id: RecordingId::from_bytes(id(4, self.events.len())),
                stream_id,
                project_id: project,
                name: row["name"].as_str().unwrap().to_owned(),
                object_key: format!("cines/{number}/{}.mp4", self.events.len()),
                poster_key: None,
                source_sha256: None,
                size_bytes: row["size"].as_u64(),
                duration_ms: None,
                recorded_at: None,
                reserved_at: made_at,
                catalogued_at: Some(made_at),
                deleted_at: None,
            };
            if let Some(deleted_at) = time(&row["deletedAt"]) {
                self.events.push((deleted_at, Event::Deleted(recording.id)));
            }
            self.events.push((made_at, Event::Catalogued(Box::new(recording))));
        }
    }

    /// Adds a case with an account of its own.
    fn add(&mut self, case: &Value) -> AccountId {
        let account = self.account();
        if case["recordings"].is_array() {
            let project = self.project(account, None);
            self.stream(project, None, &case["recordings"]);
        }
        for given in case["projects"].as_array().unwrap_or(&Vec::new()) {
            let owner = if given["owned"] == false { self.account() } else { account };
            let project = self.project(owner, time(&given["deletedAt"]));
            for stream in given["streams"].as_array().unwrap() {
                self.stream(project, time(&stream["deletedAt"]), &stream["recordings"]);
            }
        }
        account
    }

    async fn begin(&mut self, harness: &Harness) {
        let mut work = harness.db.begin().await.unwrap();
        accounts::upsert_many(&mut work.tx(), &self.accounts).await.unwrap();
        projects::upsert_many(&mut work.tx(), &self.projects).await.unwrap();
        streams::upsert_many(&mut work.tx(), &self.streams).await.unwrap();
        work.commit().await.unwrap();
        self.events.sort_by_key(|(at, event)| (*at, !matches!(event, Event::Catalogued(_))));
    }
}

async fn happen(harness: &Harness, at: Timestamp, event: &Event) {
    harness.clock.set(at);
    let mut work = harness.db.begin().await.unwrap();
    let tx = &mut work.tx();
    match event {
        Event::Catalogued(recording) => assert!(recordings::adopt(tx, recording).await.unwrap()),
        Event::Deleted(recording) => recordings::delete(tx, *recording, at).await.unwrap(),
        Event::ProjectDeleted(project) => {
            projects::upsert_many(tx, std::slice::from_ref(project)).await.unwrap();
        }
    }
    work.commit().await.unwrap();
}

async fn roll_up(harness: &Harness, now: Timestamp) {
    harness.clock.set(now);
    harness.run_json(JOB, &json!({})).await.unwrap();
}

async fn every_case_stores_in_its_month_what_it_says(engine: EngineKind) {
    let harness = Harness::new(engine).await;
    let cases: Value = serde_json::from_str(CASES).unwrap();
    let cases = cases["cases"].as_array().unwrap();
    assert!(cases.len() > 10);
    let mut story = Story::default();
    let owners: Vec<AccountId> = cases.iter().map(|case| story.add(case)).collect();
    story.begin(&harness).await;
    let last = story.events.last().unwrap().0.month();
    let mut month = story.events[0].0.month();
    while month <= last {
        roll_up(&harness, month.start()).await;
        for (at, event) in story.events.iter().filter(|(at, _)| month.contains(*at)) {
            happen(&harness, *at, event).await;
        }
        roll_up(&harness, month.end().before(Span::from_seconds(1))).await;
        month = month.next().unwrap();
    }
    for (case, account) in cases.iter().zip(owners) {
        let month: Month = case["month"].as_str().unwrap().parse().unwrap();
        let found = usage::account_month(&harness.db, account, month).await.unwrap();
        let (id, expected) = (&case["id"], &case["expect"]);
        let bytes = found.map_or(0, |found| found.storage_bytes);
        assert_eq!(bytes, expected["bytes"].as_u64().unwrap(), "{id} in {month}");
        let now = recordings::stored_now(&harness.db, account).await.unwrap();
        assert_eq!(now, u128::from(expected["bytesStoredNow"].as_u64().unwrap()), "{id} now");
    }
    assert_eq!(harness.number("SELECT count(*) FROM usage_dirty").await, 0);
}

testkit::on_each_engine!(every_case_stores_in_its_month_what_it_says);
