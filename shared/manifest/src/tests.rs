use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::json;
use values::{JobName, Source, Span};

use crate::{DEFAULT_SOURCES, JobRow, Manifest, Missed, Problems, WatchSettings, WorkerSettings};

const KNOWN: [&str; 5] = [
    "logs/discover_logs",
    "logs/process_log",
    "monitoring/prune_history",
    "monitoring/report_environment",
    "usage/roll_up_usage",
];
const DEFAULT_FILE: &str = include_str!("../../../worker.toml");
const BROKEN_FILE: &str = include_str!("broken.toml");

fn parse(text: &str) -> Result<Manifest, Problems> {
    Manifest::parse(text, &KNOWN)
}

fn source(name: &str) -> Source {
    name.parse().unwrap()
}

fn job(name: &str) -> JobName {
    name.parse().unwrap()
}

#[test]
fn an_empty_file_has_the_defaults() {
    let manifest = parse("").unwrap();
    assert_eq!(manifest.worker, WorkerSettings::default());
    let names: Vec<&str> = manifest.sources.keys().map(Source::as_str).collect();
    assert_eq!(names, DEFAULT_SOURCES);
    assert!(!manifest.allows(&source("operator"), &job("logs/process_log")));
    assert!(manifest.jobs.is_empty() && manifest.schedules.is_empty());
}

#[test]
fn the_file_of_this_repository_is_sound() {
    // Whether each job has a row is for the tests of the jobs to say.
    let row = |line: &'static str| line.strip_prefix("[jobs.\"")?.strip_suffix("\"]");
    let rows: Vec<&str> = DEFAULT_FILE.lines().filter_map(row).collect();
    let manifest = Manifest::parse(DEFAULT_FILE, &rows);
    let manifest = manifest.unwrap_or_else(|problems| panic!("{problems}"));
    assert!(KNOWN.iter().all(|name| manifest.jobs.contains_key(&job(name))));
    assert_eq!(manifest.worker, WorkerSettings { concurrency: 112, ..WorkerSettings::default() });
    let allowed = |name| {
        let source = source(name);
        KNOWN.map(|name| u8::from(manifest.allows(&source, &job(name))))
    };
    assert_eq!(allowed("operator"), [1, 1, 1, 1, 1]);
    assert_eq!(allowed("scheduler"), [1, 0, 1, 1, 1]);
    assert_eq!(allowed("main_worker"), [1, 1, 0, 0, 1]);
    assert_eq!(allowed("api"), [0, 0, 0, 1, 0]);
    assert_eq!(allowed("dashboard"), [0, 0, 0, 1, 0]);
    assert_eq!(allowed("media_host"), [0; 5]);
    assert_eq!(allowed("nobody"), [0; 5]);
    let at = "2026-11-22T02:10:00Z".parse().unwrap();
    let next = |name: &str| {
        let next = manifest.schedules[name].cron.next_after(at);
        next.unwrap().to_string()
    };
    assert_eq!(next("discover-logs"), "2026-11-22T03:05:00Z");
    assert_eq!(next("roll-up-usage"), "2026-11-22T02:35:00Z");
    assert_eq!(next("prune-history"), "2026-11-22T04:10:00Z");
}

#[test]
fn reads_every_key() {
    let manifest = parse(
        r#"
        [worker]
        name = "Worker of the north"
        concurrency = 0x10
        prefetch = 32
        max_envelope_bytes = 65_536
        max_envelope_depth = 16
        require_signatures = false
        hold_limit = "2h"
        task_lifetime = "3d"
        drain_timeout = "0s"
        retention_completed = "1h30m"
        retention_discarded = "1w"
        configuration_file = "settings.json"
        log_lines_per_attempt = 0

        [sources.operator]
        jobs = ["*"]

        [sources.partner]
        jobs = ["usage/roll_up_usage", "logs/*"]
        max_concurrency = 50
        rate_limit = "1000/60s"
        max_waiting = 100_000
        keys = [
            { id = "a", public_key = "ed25519:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=" },
            { id = "b_2", public_key = "ed25519:__________________________________________8", expires_at = 2027-01-01T00:00:00+01:00 },
        ]

        [domains.logs]
        shared = "domain"
        level = 1
        log_sources.cdn = { format = "edgecast", location = "/var/log/cdn" }

        [jobs."logs/process_log"]
        timeout = "250ms"
        max_attempts = 1
        max_concurrency = 3
        rate_limit = "5/1s"
        priority = 2
        backoff_base = "1s"
        backoff_max = "1s"
        settings = { level = 2, ratio = 0.5, at = 2026-01-01, list = [1, true] }

        [schedules.nightly_1]
        job = "logs/process_log"
        source = "partner"
        cron = "30 2 * * *"
        time_zone = "Europe/Berlin"
        missed = "run_all"
        missed_limit = 7
        payload = { logSource = "cdn", key = "k" }
        priority = 1

        [watch]
        folders = ["/var/recordings", "/srv/more"]
        endings = ["mkv"]
        stable_for = "1m"
        "#,
    )
    .unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(
        manifest.worker,
        WorkerSettings {
            name: "Worker of the north".to_owned(),
            concurrency: 16,
            prefetch: 32,
            max_envelope_bytes: 65_536,
            max_envelope_depth: 16,
            require_signatures: false,
            hold_limit: Span::from_hours(2),
            task_lifetime: Span::from_days(3),
            drain_timeout: Span::ZERO,
            retention_completed: Span::from_minutes(90),
            retention_discarded: Span::from_days(7),
            configuration_file: Some("settings.json".to_owned()),
            log_lines_per_attempt: 0,
        }
    );
    let rules = &manifest.sources[&source("partner")];
    assert_eq!(rules.keys[0].public_key, [0; 32]);
    assert_eq!(rules.keys[1].public_key, [255; 32]);
    let expires_at = rules.keys[1].expires_at.map(|at| at.to_string());
    assert_eq!(expires_at.as_deref(), Some("2026-12-31T23:00:00Z"));
    let rate = rules.rate_limit.map(|rate| rate.to_string());
    assert_eq!((rules.max_concurrency, rate.as_deref()), (Some(50), Some("1000/1m")));
    assert_eq!(rules.max_waiting, Some(100_000));
    assert!(rules.allows(&job("logs/discover_logs")));
    assert!(!rules.allows(&job("monitoring/prune_history")));
    let settings = json!({
        "at": "2026-01-01", "level": 2, "list": [1, true], "ratio": 0.5, "shared": "domain",
        "log_sources": { "cdn": { "format": "edgecast", "location": "/var/log/cdn" } },
    });
    assert_eq!(
        manifest.jobs[&job("logs/process_log")],
        JobRow {
            timeout: Span::from_millis(250),
            max_attempts: 1,
            max_concurrency: Some(3),
            rate_limit: Some("5/1s".parse().unwrap()),
            priority: 2,
            backoff_base: Span::from_seconds(1),
            backoff_max: Span::from_seconds(1),
            settings: settings.as_object().unwrap().clone(),
        }
    );
    let schedule = &manifest.schedules["nightly_1"];
    assert_eq!(schedule.source, source("partner"));
    assert_eq!(schedule.cron.zone(), chrono_tz::Europe::Berlin);
    assert_eq!((schedule.missed, schedule.missed_limit), (Missed::RunAll, 7));
    assert_eq!(json!(schedule.payload), json!({ "logSource": "cdn", "key": "k" }));
    assert_eq!(schedule.priority, 1);
    let watch = WatchSettings {
        folders: ["/var/recordings", "/srv/more"].map(str::to_owned).to_vec(),
        endings: vec!["mkv".to_owned()],
        stable_for: Span::from_minutes(1),
    };
    assert_eq!(manifest.watch, watch);
}

#[test]
fn a_schedule_takes_its_jobs_priority() {
    let text = r#"
        [sources.scheduler]
        jobs = ["*"]
        [jobs."usage/roll_up_usage"]
        priority = 2
        [schedules.a]
        job = "usage/roll_up_usage"
        cron = "@daily"
    "#;
    let schedule = &parse(text).unwrap().schedules["a"];
    assert_eq!(schedule.priority, 2);
    assert_eq!(schedule.source, source("scheduler"));
    assert_eq!(schedule.cron.zone(), chrono_tz::UTC);
    assert_eq!((schedule.missed, schedule.missed_limit), (Missed::RunOnce, 100));
    assert!(schedule.payload.is_empty());
}

#[test]
fn lists_every_problem_of_a_broken_file() {
    insta::assert_snapshot!(parse(BROKEN_FILE).unwrap_err());
}

#[test]
fn lists_syntax_errors_beside_the_others() {
    let text = "[worker]\nname = \"a\nconcurrency = 0\nprefetch = 5 5\ntimeout = \n\
        [jobs.\"logs/process_log\"\ntimeout = 5\n[worker]\nprefetch = 1\n[schedules.a]\njob = 5\n";
    insta::assert_snapshot!(parse(text).unwrap_err());
}

#[test]
fn refuses_what_is_too_large_or_too_deep() {
    let check = |text: &str, expected: &str| {
        let problems = parse(text).unwrap_err().to_string();
        assert!(problems.contains(expected), "{problems}");
    };
    check(&"#".repeat(262_145), "worker.toml:1: the file has 262145 bytes; at most 262144");
    check(&format!("\n[{}]", "a.".repeat(50_000)), "worker.toml:2: a key with more than 8 dots");
    check(&format!("x = {}", "[".repeat(100_000)), "worker.toml:1: not TOML: cannot recurse");
    let deep = format!("[domains.logs]\nx = {}1{}", "{a.a.a.a.a=".repeat(75), "}".repeat(75));
    check(&deep, "worker.toml:2: [domains.logs] nests too deep; write at most 32 levels");
    let twice = format!("x = 1\nx = {}1{}", "{a.a.a.a.a.a.a.a.a=".repeat(78), "}".repeat(78));
    check(&twice, "worker.toml:2: not TOML: the key stands here a second time");
    let many = "a = 1\n".repeat(700);
    check(&many, "further problems are not listed");
}

#[test]
fn a_problem_is_one_line_whatever_it_quotes() {
    let text = "[sources.\"a\\nb\\u0007\"]\njobs = 1\n[jobs.\"\\n\"]\n";
    let problems = parse(text).unwrap_err();
    assert_eq!(problems.to_string().lines().count(), problems.0.len());
    assert!(problems.to_string().contains("`a\\nb\\u{7}` is no name of a source"), "{problems}");
}

#[test]
fn the_canonical_text_depends_on_facts_only() {
    let canonical = |text: &str| parse(text).unwrap().canonical_text();
    let text = r#"
        # a comment
        [sources.api]
        jobs = ["usage/*", "logs/*"]
        max_concurrency = 50
        max_waiting = 700
        rate_limit = "9/60s"
        [jobs."usage/roll_up_usage"]
        rate_limit = "7/1s"
        settings = { b = 1, a = { d = 1, c = 2 } }
        timeout = "1h"
        [watch]
        folders = ["/var/recordings"]
    "#;
    let same = r#"
        worker = { concurrency = 8 }
        jobs."usage/roll_up_usage" = { timeout = "60m", settings.a = { c = 2, d = 1 }, settings.b = 1, max_attempts = 5, rate_limit = "7/1000ms" }
        sources.api.rate_limit = "9/1m"
        sources.api.max_concurrency = 50
        sources.api.max_waiting = 7_00
        sources.api.jobs = ["logs/*", "usage/*", "logs/*"]
        watch.folders = ["/var/recordings"]
    "#;
    assert_eq!(canonical(text), canonical(same));
    insta::assert_snapshot!(canonical(text));
    for (from, to) in [
        ("usage/*", "*"),
        ("b = 1", "b = 2"),
        ("d = 1", "d = \"1\""),
        ("1h", "61m"),
        ("= 50", "= 51"),
        ("= 700", "= 701"),
        ("9/60s", "9/61s"),
        ("7/1s", "8/1s"),
        ("/var/recordings", "/srv/recordings"),
        ("sources.api", "sources.other"),
    ] {
        assert_ne!(canonical(text), canonical(&text.replace(from, to)), "{from} to {to}");
    }
}

/// Pieces that a mutation puts into a sound file.
const PIECES: [&str; 24] = [
    "[",
    "]",
    "{",
    "}",
    "\"",
    "'",
    "\"\"\"",
    "=",
    ".",
    ",",
    "#",
    "\n",
    "\r",
    "\0",
    "[[jobs]]\n",
    "[worker]\n",
    "é",
    "-1",
    "99999999999999999999",
    "1e400",
    "nan",
    "2026-01-01",
    "\\u",
    "a.b.c = 1\n",
];

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,80}|[\\[\\]{}\"'=.,#\\n a-z0-9_-]{0,200}") {
        if let Err(problems) = parse(&text) {
            check_problems(&text, &problems)?;
        }
    }

    #[test]
    fn any_bytes_as_text_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let text = String::from_utf8_lossy(&bytes);
        if let Err(problems) = parse(&text) {
            check_problems(&text, &problems)?;
        }
    }

    #[test]
    fn any_change_of_a_file_is_read_or_refused(
        broken in any::<bool>(),
        changes in prop::collection::vec((any::<Index>(), 0..40_usize, any::<Index>()), 1..8),
    ) {
        let mut text: Vec<char> = if broken { BROKEN_FILE } else { DEFAULT_FILE }.chars().collect();
        for (place, removed, piece) in changes {
            let at = place.index(text.len() + 1);
            let end = (at + removed).min(text.len());
            text.splice(at..end, piece.get(&PIECES).chars());
        }
        let text: String = text.into_iter().collect();
        match parse(&text) {
            Ok(manifest) => prop_assert!(!manifest.canonical_text().is_empty()),
            Err(problems) => check_problems(&text, &problems)?,
        }
    }
}

fn check_problems(text: &str, problems: &Problems) -> Result<(), TestCaseError> {
    let lines = text.matches('\n').count() + 1;
    prop_assert!(!problems.0.is_empty());
    prop_assert!(problems.0.is_sorted());
    prop_assert!(problems.0.iter().all(|problem| (1..=lines).contains(&problem.line)));
    prop_assert_eq!(problems.to_string().matches('\n').count() + 1, problems.0.len());
    Ok(())
}

#[test]
fn settings_are_found_again_in_the_file() {
    let text = "[domains.emails]\nsmtp = { host = \"h\" }\n\n[domains.emails.brand]\ncompany = \"c\"\n\
                [jobs.\"emails/deliver_email\"]\nsettings.\"a.b\" = 1\n";
    let Manifest { lines, .. } = Manifest::parse(text, &["emails/deliver_email"]).unwrap();
    let job = "emails/deliver_email";
    assert_eq!(lines.of(&["domains", "emails"]), Some(1));
    assert_eq!(lines.of(&["domains", "emails", "smtp", "host"]), Some(2));
    assert_eq!(lines.of(&["domains", "emails", "brand"]), Some(4));
    assert_eq!(lines.of(&["domains", "emails", "brand", "company"]), Some(5));
    assert_eq!(lines.of(&["domains", "emails", "brand", "from"]), None);
    assert_eq!(lines.of(&["jobs", job]), Some(6));
    assert_eq!(lines.of(&["jobs", job, "settings", "a.b"]), Some(7));
}
