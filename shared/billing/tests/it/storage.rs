//! Every case of stored bytes.

use billing::{StoredRecording, bytes_stored_now, stored_bytes};
use serde::Deserialize;
use values::{Month, Timestamp};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Case {
    id: String,
    #[serde(rename = "why")]
    _why: String,
    #[serde(rename = "origin")]
    _origin: String,
    #[serde(rename = "firm")]
    _firm: bool,
    #[serde(rename = "reference")]
    _reference: Option<String>,
    month: Month,
    #[serde(default)]
    recordings: Vec<Recording>,
    #[serde(default)]
    projects: Vec<Project>,
    expect: Expected,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Project {
    #[serde(rename = "id")]
    _id: String,
    #[serde(default = "yes")]
    owned: bool,
    deleted_at: Option<Timestamp>,
    streams: Vec<Stream>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Stream {
    #[serde(rename = "id")]
    _id: String,
    #[serde(rename = "deletedAt")]
    _deleted_at: Option<Timestamp>,
    recordings: Vec<Recording>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Recording {
    #[serde(rename = "name")]
    _name: String,
    size: Option<u64>,
    date: Timestamp,
    deleted_at: Option<Timestamp>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Expected {
    bytes: u64,
    bytes_stored_now: u64,
}

fn yes() -> bool {
    true
}

impl Recording {
    fn stored(&self, project_deleted_at: Option<Timestamp>) -> StoredRecording {
        let Self { _name, size, date, deleted_at } = self;
        let (size_bytes, made_at, deleted_at) = (*size, *date, *deleted_at);
        StoredRecording { size_bytes, made_at, deleted_at, project_deleted_at }
    }
}

#[test]
fn every_case_counts_the_bytes_it_says() {
    for case in crate::cases::<Case>(include_str!("../cases/storage.json")) {
        let mut stored: Vec<StoredRecording> =
            case.recordings.iter().map(|recording| recording.stored(None)).collect();
        for project in case.projects.iter().filter(|project| project.owned) {
            let recordings = project.streams.iter().flat_map(|stream| &stream.recordings);
            stored.extend(recordings.map(|recording| recording.stored(project.deleted_at)));
        }
        let bytes = stored_bytes(case.month, stored.iter().copied()).unwrap();
        assert_eq!(bytes, case.expect.bytes, "{}", case.id);
        let now = bytes_stored_now(stored).unwrap();
        assert_eq!(now, case.expect.bytes_stored_now, "{}", case.id);
    }
}

/// Fault 18: a deletion takes effect in its own month.
#[test]
fn a_project_deleted_later_keeps_its_past_months() {
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let recording = StoredRecording {
        size_bytes: Some(7_000),
        made_at: at("2015-01-05T00:00:00Z"),
        deleted_at: Some(at("2015-06-01T00:00:00Z")),
        project_deleted_at: Some(at("2015-03-20T01:00:00Z")),
    };
    let check = |month: &str, bytes| {
        assert_eq!(stored_bytes(month.parse().unwrap(), [recording]), Ok(bytes), "{month}");
    };
    check("2014-12", 0);
    check("2015-01", 7_000);
    check("2015-02", 7_000);
    check("2015-03", 0);
    check("2015-04", 0);
}

#[test]
fn a_sum_beyond_all_disks_is_an_error() {
    let made_at = "2015-01-05T00:00:00Z".parse().unwrap();
    let (deleted_at, project_deleted_at) = (None, None);
    let huge =
        StoredRecording { size_bytes: Some(u64::MAX), made_at, deleted_at, project_deleted_at };
    assert!(stored_bytes("2015-01".parse().unwrap(), [huge, huge]).is_err());
}
