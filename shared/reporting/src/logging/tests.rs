use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};
use tracing::{debug, error, info, info_span, trace, warn};
use values::{FixedClock, TaskId, Timestamp};

use super::*;
use crate::{AttemptLog, LogLine, task_span};

/// Runs `logged` and gives back the lines that were written.
fn written(filter: &str, format: LogFormat, scrubber: &Scrubber, logged: impl FnOnce()) -> String {
    let buffer = Arc::new(Mutex::new(Vec::new()));
    let target = Arc::clone(&buffer);
    let options = LoggingOptions {
        format,
        filter: filter.to_owned(),
        no_color: true,
        clock: Arc::new(FixedClock(Timestamp::from_micros(7_000))),
        scrubber: scrubber.clone(),
    };
    let sink: Sink = Box::new(move |line| {
        target.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(line);
    });
    tracing::subscriber::with_default(subscriber(options, sink).unwrap(), logged);
    let bytes = buffer.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

fn json_lines(filter: &str, logged: impl FnOnce()) -> Vec<Value> {
    let text = written(filter, LogFormat::Json, &Scrubber::new(), logged);
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn span_of(log: &AttemptLog) -> tracing::Span {
    let job = "logs/process_log".parse().unwrap();
    task_span(&job, &"scheduler".parse().unwrap(), TaskId::from_bytes([0; 16]), 3, log)
}

#[test]
fn a_line_carries_the_attempt_it_belongs_to() {
    let log = AttemptLog::new(10);
    let lines = json_lines("info", || {
        info!("before");
        span_of(&log).in_scope(|| info!(lines = 12, skipped = true, "log folded"));
        info!("after");
    });
    assert_eq!(
        lines[1],
        json!({
            "timestamp": "1970-01-01T00:00:00.007Z", "level": "info",
            "target": "reporting::logging::tests", "message": "log folded",
            "job_name": "logs/process_log", "source": "scheduler",
            "task_id": "task_00000000000000000000000000", "attempt": 3,
            "lines": 12, "skipped": true,
        })
    );
    assert!(lines[0].get("job_name").is_none() && lines[2].get("job_name").is_none());
    let kept = log.take();
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert_eq!(
        serde_json::to_value(&kept[0]).unwrap(),
        json!({
            "at_micros": 7_000, "level": "info", "message": "log folded",
            "fields": { "lines": 12, "skipped": true },
        })
    );
}

#[test]
fn attempts_that_run_at_the_same_time_keep_their_own_lines() {
    let (first, second) = (AttemptLog::new(10), AttemptLog::new(10));
    json_lines("info", || {
        let (one, two) = (span_of(&first), span_of(&second));
        one.in_scope(|| info!("one"));
        two.in_scope(|| info!("two"));
        one.in_scope(|| info_span!("step", part = 1).in_scope(|| warn!("one again")));
    });
    let messages =
        |log: &AttemptLog| log.take().into_iter().map(|line| line.message).collect::<Vec<_>>();
    assert_eq!(messages(&first), ["one", "one again"]);
    assert_eq!(messages(&second), ["two"]);
}

#[test]
fn what_is_kept_does_not_depend_on_what_is_written() {
    let check = |filter: &str, written: &[&str], expected: &[&str]| {
        let log = AttemptLog::new(10);
        let lines = json_lines(filter, || {
            span_of(&log).in_scope(|| {
                error!("e");
                info!("i");
                debug!("d");
                trace!("t");
            });
        });
        let kept: Vec<LogLine> = log.take();
        assert_eq!(
            lines.iter().map(|l| l["message"].as_str().unwrap()).collect::<Vec<_>>(),
            written
        );
        assert!(lines.iter().all(|line| line["attempt"] == 3), "{filter}");
        assert_eq!(kept.iter().map(|l| l.message.as_str()).collect::<Vec<_>>(), expected);
    };
    check("info", &["e", "i"], &["e", "i"]);
    check("off", &[], &["e", "i"]);
    check("error", &["e"], &["e", "i"]);
    check("warn,reporting=debug", &["e", "i", "d"], &["e", "i", "d"]);
    check("elsewhere=trace", &[], &["e", "i"]);
}

#[test]
fn inner_values_win_over_outer_ones() {
    let lines = json_lines("info", || {
        let outer = info_span!("outer", file = "a", part = 1, late = tracing::field::Empty);
        outer.record("late", 5);
        outer.in_scope(|| info_span!("inner", part = 2).in_scope(|| info!(file = "b", "read")));
    });
    let Value::Object(line) = &lines[0] else { panic!("{lines:?}") };
    assert_eq!((&line["file"], &line["part"], &line["late"]), (&json!("b"), &json!(2), &json!(5)));
}

#[test]
fn no_secret_is_written_or_kept() {
    const CANARY: &str = "canary-\"4f\\9a\"";
    #[derive(Debug)]
    struct Carrier(#[expect(dead_code, reason = "read by the derived Debug")] &'static str);

    let scrubber = Scrubber::new();
    let guard = scrubber.guard(vec![CANARY.to_owned()]);
    for format in [LogFormat::Json, LogFormat::Pretty] {
        let log = AttemptLog::new(10);
        let text = written("trace", format, &scrubber, || {
            span_of(&log).in_scope(|| {
                let carrier = Carrier(CANARY);
                let failure = io::Error::other(CANARY);
                let failure: &(dyn std::error::Error + 'static) = &failure;
                info!(key = CANARY, ?carrier, error = failure, "with {CANARY}");
                // Cut where the secret stands, the line must not show its beginning.
                info!("{}{CANARY}", "x".repeat(crate::MAX_LINE_BYTES - 12));
                info_span!("step", key = %CANARY).in_scope(|| info!("inside"));
            });
        });
        let kept = serde_json::to_string(&log.take()).unwrap();
        for shown in [&text, &kept] {
            assert!(!shown.contains("canary") && !shown.contains("4f"), "{shown}");
            assert!(shown.matches(crate::REDACTED).count() >= 5, "{shown}");
        }
    }
    drop(guard);
}

#[test]
fn a_panic_is_a_line_of_its_attempt_without_the_secret() {
    let scrubber = Scrubber::new();
    let _guard = scrubber.guard(vec!["canary-4f9a".to_owned()]);
    let log = AttemptLog::new(10);
    crate::log_panics();
    let text = written("info", LogFormat::Json, &scrubber, || {
        let caught = std::panic::catch_unwind(|| {
            span_of(&log).in_scope(|| panic!("no {}", "canary-4f9a"));
        });
        assert!(caught.is_err());
    });
    drop(std::panic::take_hook());
    let line: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(line["message"], "panicked: no [redacted]");
    assert_eq!((&line["level"], &line["attempt"]), (&json!("error"), &json!(3)));
    assert_eq!(log.take()[0].message, "panicked: no [redacted]");
    let report = crate::take_panic().unwrap();
    assert_eq!(report.message, "no canary-4f9a");
    assert!(report.location.unwrap().contains("tests.rs:"));
    assert!(crate::take_panic().is_none());
}

#[test]
fn the_format_follows_the_terminal_unless_it_is_given() {
    let check = |format, terminal, no_color, expected| {
        assert_eq!(style_of(format, terminal, no_color), expected);
    };
    check(LogFormat::Auto, true, false, Style::Pretty { colour: true });
    check(LogFormat::Auto, true, true, Style::Pretty { colour: false });
    check(LogFormat::Auto, false, false, Style::Json);
    check(LogFormat::Pretty, false, false, Style::Pretty { colour: false });
    check(LogFormat::Json, true, false, Style::Json);
}

#[test]
fn a_second_set_up_is_an_error() {
    let options = || LoggingOptions {
        format: LogFormat::Json,
        filter: "off".to_owned(),
        no_color: false,
        clock: Arc::new(FixedClock(Timestamp::EPOCH)),
        scrubber: Scrubber::new(),
    };
    init(options()).unwrap();
    assert!(matches!(init(options()), Err(LoggingError::Twice)));
}
