use std::net::TcpListener;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use ::sentry::{Envelope, Transport};
use serde_json::{Value, json};
use values::{JobName, Source, TaskId};

use super::*;
use crate::event::TaskTags;

const DSN: &str = "https://public@sentry.example/1";

/// Keeps what would be sent.
#[derive(Default)]
struct Kept(Mutex<Vec<Envelope>>);

impl Transport for Kept {
    fn send_envelope(&self, envelope: Envelope) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(envelope);
    }
}

fn connect(dsn: &str) -> Result<Sentry, SentryError> {
    Sentry::connect(Some(&Secret::new(dsn.to_owned())), "test", "1.0.0", Scrubber::new())
}

/// Reports one event of each kind, each with the text `message`.
fn report_all(sentry: &Sentry, message: &str) {
    let job_name: JobName = "logs/process_log".parse().unwrap();
    let source: Source = "scheduler".parse().unwrap();
    let task_id = TaskId::from_bytes([0; 16]);
    let task = TaskTags { job_name: &job_name, source: &source, task_id, attempt: 2 };
    sentry.report(&Event::Panic { task, message, location: Some("src/lib.rs:1:1") });
    sentry.report(&Event::PermanentFailure { task, code: "permanent", message });
    sentry.report(&Event::Rejection {
        code: "bad_proof",
        job_name: Some("logs/process_log"),
        source: Some("api"),
        task_id: None,
        message,
    });
    sentry.report(&Event::Alert { code: "store_unavailable", job_name: None, message });
}

#[test]
fn sends_what_the_event_holds_and_nothing_else() {
    let kept = Arc::new(Kept::default());
    let dsn = Secret::new(DSN.to_owned());
    let client = Client::with_transport(&dsn, "test", "1.0.0", Arc::clone(&kept)).unwrap();
    let scrubber = Scrubber::new();
    let _guard = scrubber.guard(vec!["canary-4f9a".to_owned()]);
    let sentry = Sentry { client: Some(Arc::new(client)), scrubber };
    report_all(&sentry, "boom canary-4f9a");
    assert!(sentry.flush(Duration::from_secs(10)));

    let envelopes = std::mem::take(&mut *kept.0.lock().unwrap());
    let events: Vec<Value> =
        envelopes.iter().map(|e| serde_json::to_value(e.event().unwrap()).unwrap()).collect();
    assert_eq!(events.len(), 4);
    let mut panic = events[0].clone();
    for differs in ["event_id", "timestamp", "sdk"] {
        assert!(panic.as_object_mut().unwrap().remove(differs).is_some(), "{differs}");
    }
    assert_eq!(
        panic,
        json!({
            "platform": "native", "logger": "main_worker",
            "culprit": "logs/process_log", "environment": "test", "release": "1.0.0",
            "fingerprint": ["panic", "-", "logs/process_log"],
            "exception": { "values": [{ "type": "Panic", "value": "boom [redacted]" }] },
            "tags": {
                "kind": "panic", "job_name": "logs/process_log", "source": "scheduler",
                "task_id": "task_00000000000000000000000000", "attempt": "2",
                "location": "src/lib.rs:1:1",
            },
        })
    );
    // An error is what an event without a level is.
    assert_eq!(events[2]["level"], "warning");
    assert!(!json!(events).to_string().contains("canary"));
}

#[test]
fn an_address_that_is_none_is_an_error_that_does_not_show_it() {
    let check = |dsn: &str, part: &str| {
        let message = connect(dsn).unwrap_err().to_string();
        assert!(message.contains(part) && message.contains("PUBLIC_KEY@HOST"), "{message}");
        assert!(!message.contains("hunter"), "{message}");
    };
    check("hunter", "no valid url");
    check("https://sentry.example/hunter", "username");
    check("https://hunter@sentry.example", "path");
    check("ftp://hunter@sentry.example/1", "scheme");
    check("", "url");
    assert!(connect(DSN).is_ok());
}

#[test]
fn without_an_address_reports_go_nowhere() {
    let sentry = Sentry::connect(None, "test", "1.0.0", Scrubber::new()).unwrap();
    report_all(&sentry, "boom");
    assert!(sentry.flush(Duration::ZERO));
}

#[test]
fn a_server_that_never_answers_holds_nobody_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let sentry = connect(&format!("http://public@{}/1", listener.local_addr().unwrap())).unwrap();
    let begun = Instant::now();
    for _ in 0..200 {
        report_all(&sentry, "boom");
    }
    assert!(!sentry.flush(Duration::from_millis(100)));
    drop(sentry);
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
}

#[test]
fn a_server_that_is_not_there_holds_nobody_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let sentry = connect(&format!("http://public@{address}/1")).unwrap();
    report_all(&sentry, "boom");
    assert!(sentry.flush(Duration::from_secs(10)));
}
