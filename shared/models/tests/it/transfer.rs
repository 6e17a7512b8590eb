//! Import and export.

use billing::{AccountPlans, Catalogue};
use database::{EngineKind, Query};
use models::transfer::{
    Counts, ImportOptions, ImportReport, Importer, Kind, TransferError, export,
};
use models::{ThrottledReason, accounts, plans, projects, publishing, streams};
use values::UsageKind;

use crate::support::{Store, account, account_id, at, now, project, stream, stream_id, usage};

const ALL_OR_NOTHING: ImportOptions = ImportOptions { keep_going: false, batch: 3 };
const KEEP_GOING: ImportOptions = ImportOptions { keep_going: true, batch: 3 };

async fn import(
    store: &Store,
    options: ImportOptions,
    text: &str,
) -> Result<ImportReport, TransferError> {
    let mut importer = Importer::new(store.db.clone(), options, now());
    for (number, line) in (1..).zip(text.lines()) {
        importer.push_line(number, line.as_bytes()).await?;
    }
    importer.finish().await
}

async fn exported(store: &Store, kind: Kind) -> String {
    let mut text = Vec::new();
    let count = export(&store.db, kind, &mut text).await.unwrap();
    let text = String::from_utf8(text).unwrap();
    assert_eq!(count, text.lines().count() as u64);
    text
}

async fn everything(store: &Store) -> String {
    let mut text = String::new();
    for kind in [Kind::Account, Kind::Project, Kind::Stream] {
        text.push_str(&exported(store, kind).await);
    }
    text
}

fn line(kind: &str, number: u128, rest: &str) -> String {
    let id = match kind {
        "account" => account_id(number).to_string(),
        "project" => crate::support::project_id(number).to_string(),
        _ => stream_id(number).to_string(),
    };
    format!(r#"{{"kind":"{kind}","id":"{id}",{rest}}}"#)
}

fn account_line(number: u128) -> String {
    line("account", number, r#""name":"Otter Lane","billingProvider":"cine.io""#)
}

fn project_line(number: u128, owner: u128) -> String {
    let rest =
        format!(r#""accountId":"{}","name":"Web","publicKey":"key{number}""#, account_id(owner));
    line("project", number, &rest)
}

fn stream_line(number: u128, name: &str) -> String {
    let rest = format!(r#""projectId":"{}","name":"{name}""#, crate::support::project_id(1));
    line("stream", number, &rest)
}

fn small_company() -> String {
    let lines = [
        account_line(1),
        project_line(1, 1),
        stream_line(1, "one"),
        String::new(),
        stream_line(2, "two"),
    ];
    lines.join("\n")
}

async fn the_same_file_twice_changes_nothing(engine: EngineKind) {
    for options in [ALL_OR_NOTHING, KEEP_GOING, ImportOptions::default()] {
        let store = Store::new(engine).await;
        let report = import(&store, options, &small_company()).await.unwrap();
        assert_eq!(report.accepted, Counts { accounts: 1, projects: 1, streams: 2 });
        assert_eq!((report.lines, report.rejected_count), (5, 0));
        let before = everything(&store).await;
        let again = import(&store, options, &small_company()).await.unwrap();
        assert_eq!((again.accepted.total(), again.unchanged), (0, report.accepted));
        assert_eq!(everything(&store).await, before);
    }
}

async fn what_was_exported_comes_back_as_it_was(engine: EngineKind) {
    let store = Store::new(engine).await;
    let mut odd = account(1);
    odd.name = "Größe \"7\" \\ 東京 \u{1f9a6}".to_owned();
    odd.throttled_at = Some(at("2026-10-01T00:00:00.000001Z"));
    odd.throttled_reason = Some(ThrottledReason::OverLimit);
    odd.unthrottleable = true;
    odd.deleted_at = Some(at("2026-10-02T00:00:00Z"));
    let mut work = store.begin().await;
    let mut tx = work.tx();
    let rest: Vec<_> = (2..=1_200).map(account).collect();
    accounts::upsert_many(&mut tx, &[odd]).await.unwrap();
    accounts::upsert_many(&mut tx, &rest).await.unwrap();
    projects::upsert_many(&mut tx, &[project(1, 1), project(2, 900)]).await.unwrap();
    let mut pooled = stream(2, None);
    pooled.record = true;
    pooled.instance_name = "elsewhere".to_owned();
    pooled.updated_at = at("2026-10-21T00:00:00Z");
    streams::upsert_many(&mut tx, &[stream(1, Some(1)), pooled]).await.unwrap();
    publishing::set_key(&mut tx, stream_id(1), [0xa7; 32], now()).await.unwrap();
    for (from, name) in [("2026-01-01T00:00:00Z", "free"), ("2026-03-05T00:00:00Z", "solo")] {
        let held = AccountPlans { broadcast: vec![name.to_owned()], peer: Vec::new() };
        plans::change(&mut tx, account_id(7), at(from), &held, "customer").await.unwrap();
    }
    work.commit().await.unwrap();

    let before = everything(&store).await;
    let other = Store::new(engine).await;
    let report = import(&other, ImportOptions::default(), &before).await.unwrap();
    assert_eq!(report.accepted, Counts { accounts: 1_200, projects: 2, streams: 2 });
    assert_eq!(everything(&other).await, before);
    let again = import(&other, ImportOptions::default(), &before).await.unwrap();
    assert_eq!(again.accepted, Counts::default());
}

async fn the_first_bad_line_ends_an_import_and_nothing_is_stored(engine: EngineKind) {
    let store = Store::new(engine).await;
    let text = format!("{}\n{}\nnonsense\n", small_company(), project_line(9, 77));
    let error = import(&store, ALL_OR_NOTHING, &text).await.unwrap_err().to_string();
    assert!(error.starts_with("line 6, `accountId`: there is no account acct_"), "{error}");
    assert!(error.ends_with("import it before; nothing was stored"), "{error}");
    assert_eq!(everything(&store).await, "");
    let mut importer = Importer::new(store.db.clone(), ALL_OR_NOTHING, now());
    importer.push_line(1, b"nonsense").await.unwrap_err();
    let ended = importer.push_line(2, account_line(1).as_bytes()).await.unwrap_err();
    assert!(matches!(ended, TransferError::Ended));
    assert!(matches!(importer.finish().await, Err(TransferError::Ended)));
    assert_eq!(everything(&store).await, "");
}

async fn going_on_stores_the_good_lines_and_names_the_bad_ones(engine: EngineKind) {
    let text = [
        "{\"kind\":\"acount\"}".to_owned(),
        project_line(1, 1), // its account comes one line too late
        account_line(1),
        project_line(1, 1),
        project_line(2, 1).replace("key2", "key1"),
        stream_line(1, "one"),
        stream_line(2, "one"),
        stream_line(3, "three").replace("proj_0", "proj_1"),
        stream_line(1, "renamed"),
    ]
    .join("\n");
    let expected = [
        (1, "kind"),
        (2, "accountId"),
        (5, "publicKey"),
        (7, "name"),
        (8, "projectId"),
        (9, "name"),
    ]
    .map(|(line, field)| (line, Some(field.to_owned())));
    for batch in [1, 3, 1_000] {
        let store = Store::new(engine).await;
        let options = ImportOptions { keep_going: true, batch };
        let report = import(&store, options, &text).await.unwrap();
        assert_eq!(report.accepted, Counts { accounts: 1, projects: 1, streams: 1 });
        let found: Vec<_> = report.rejected.into_iter().map(|p| (p.line, p.field)).collect();
        assert_eq!(found, expected, "{batch} lines at a time");
        assert_eq!(report.rejected_count, 6);
        assert_eq!(everything(&store).await.lines().count(), 3);
    }
}

async fn keeps_the_first_hundred_bad_lines_and_counts_all(engine: EngineKind) {
    let store = Store::new(engine).await;
    let report = import(&store, KEEP_GOING, &"nonsense\n".repeat(250)).await.unwrap();
    assert_eq!((report.rejected_count, report.rejected.len()), (250, ImportReport::MAX_KEPT));
    assert_eq!(report.rejected[99].line, 100);
}

async fn a_database_that_fails_tells_what_is_stored(engine: EngineKind) {
    let store = Store::new(engine).await;
    let mut importer = Importer::new(store.db.clone(), KEEP_GOING, now());
    for number in 1..=4 {
        importer.push_line(number, account_line(number.into()).as_bytes()).await.unwrap();
    }
    store.db.execute(Query::new("ALTER TABLE stream RENAME TO moved")).await.unwrap();
    importer.push_line(5, b"nonsense").await.unwrap();
    let line = line("stream", 1, "\"name\":\"one\"");
    let error = importer.push_line(6, line.as_bytes()).await.unwrap_err();
    assert!(matches!(error, TransferError::Import { stored_lines: 3, .. }), "{error}");
    assert!(matches!(importer.finish().await, Err(TransferError::Ended)));
    assert_eq!(exported(&store, Kind::Account).await.lines().count(), 3);
}

async fn the_example_of_the_documentation_is_right(engine: EngineKind) {
    let text = include_str!("../../../../docs/import_export.md");
    let example = text.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
    let store = Store::new(engine).await;
    let report = import(&store, ALL_OR_NOTHING, example).await.unwrap();
    assert_eq!(report.accepted, Counts { accounts: 1, projects: 1, streams: 2 });
    assert_eq!(everything(&store).await.lines().count(), 4);
}

async fn what_a_row_is_bound_to_stays(engine: EngineKind) {
    let store = Store::new(engine).await;
    import(&store, ALL_OR_NOTHING, &small_company()).await.unwrap();
    let lines = [
        (account_line(2) + "\n" + &project_line(1, 2), "this project is of acct_"),
        (project_line(1, 1).replace("key1", "key9"), "keeps its key `key1`"),
        (stream_line(1, "one").replace("projectId", "projectid"), "did you mean `projectId`?"),
        (line("stream", 1, "\"name\":\"one\""), "this stream is of proj_"),
    ];
    for (text, expected) in lines {
        let error = import(&store, ALL_OR_NOTHING, &text).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

async fn a_change_moves_the_time_of_the_change_only(engine: EngineKind) {
    let store = Store::new(engine).await;
    import(&store, ALL_OR_NOTHING, &account_line(1)).await.unwrap();
    let later = at("2026-10-21T00:00:00Z");
    let mut importer = Importer::new(store.db.clone(), ALL_OR_NOTHING, later);
    let renamed = account_line(1).replace("Otter", "Beaver");
    importer.push_line(1, renamed.as_bytes()).await.unwrap();
    importer.finish().await.unwrap();
    let found = accounts::get(&store.db, account_id(1)).await.unwrap().unwrap();
    assert_eq!((found.name.as_str(), found.created_at), ("Beaver Lane", now()));
    assert_eq!(found.updated_at, later);

    let dated = account_line(2).replace('}', ",\"createdAt\":\"2026-01-01T00:00:00Z\"}");
    import(&store, ALL_OR_NOTHING, &dated).await.unwrap();
    let found = accounts::get(&store.db, account_id(2)).await.unwrap().unwrap();
    assert_eq!(found.updated_at, at("2026-01-01T00:00:00Z"), "when it was made");
}

async fn exports_usage_that_no_import_takes(engine: EngineKind) {
    let store = Store::new(engine).await;
    store.customer(1, 1..2).await;
    let rows = [usage(1, "2026-10-05T10:00:00Z", UsageKind::Hls, 5)];
    store.complete("a", &rows).await.unwrap();
    store.roll_up(None, 10).await;
    let text = exported(&store, Kind::Usage).await;
    let expected = format!(
        concat!(
            r#"{{"kind":"usage","accountId":"{}","month":"2026-10","bandwidthBytes":5,"#,
            r#""fmsBytes":0,"hlsBytes":5,"vodBytes":0,"lines":1,"storageBytes":0,"#,
            r#""peerMilliseconds":0,"#,
            r#""updatedAt":"2026-10-20T12:00:00Z"}}"#,
            "\n"
        ),
        account_id(1)
    );
    assert_eq!(text, expected);
    let error = import(&store, ALL_OR_NOTHING, &text).await.unwrap_err().to_string();
    assert!(error.contains("usage is exported only"), "{error}");
}

async fn plans_and_stream_keys_left_out_stay_as_they_are(engine: EngineKind) {
    let store = Store::new(engine).await;
    let plans_of = r#","plans":[{"broadcast":["solo"]},{"from":"2026-11-01T00:00:00Z","peer":["free","free"]}]}"#;
    let key = "0F".repeat(32);
    let with_plans = account_line(1).replace('}', plans_of);
    let with_key = stream_line(1, "one").replace('}', &format!(r#","streamKeySha256":"{key}"}}"#));
    let text = [with_plans.clone(), project_line(1, 1), with_key.clone()].join("\n");
    for accepted in [3, 0] {
        let report = import(&store, ALL_OR_NOTHING, &text).await.unwrap();
        assert_eq!(report.accepted.total(), accepted);
        import(&store, ALL_OR_NOTHING, &small_company()).await.unwrap();
    }
    let history = plans::history(&store.db, account_id(1)).await.unwrap();
    let from: Vec<_> = history.iter().map(|change| change.at).collect();
    assert_eq!(from, [now(), at("2026-11-01T00:00:00Z")], "the first counts from the making on");
    assert_eq!(history[1].plans.peer, ["free", "free"]);
    let keys = publishing::keys(&store.db, &[stream_id(1), stream_id(2)]).await.unwrap();
    assert_eq!(keys, [(stream_id(1), [15; 32])]);
    let changed = with_plans.replace("solo", "basic") + "\n" + &with_key.replace("0F", "0e");
    let report = import(&store, ALL_OR_NOTHING, &changed).await.unwrap();
    assert_eq!(report.accepted, Counts { accounts: 1, projects: 0, streams: 1 });
    let history = plans::history(&store.db, account_id(1)).await.unwrap();
    assert_eq!(
        (history.len(), history[0].plans.broadcast.as_slice()),
        (2, &["basic".to_owned()][..])
    );
}

/// An account that is older than its createdAt would be billed as a new one.
async fn plans_begin_with_their_account_or_later(engine: EngineKind) {
    let store = Store::new(engine).await;
    let plans = r#","plans":[{"from":"2026-09-01T00:00:00Z","broadcast":["solo"]}]}"#;
    let without = account_line(1).replace('}', plans);
    let error = import(&store, ALL_OR_NOTHING, &without).await.unwrap_err().to_string();
    assert!(
        error.contains("`plans`: they begin at 2026-09-01T00:00:00Z, before the account"),
        "{error}"
    );
    assert!(error.contains("give its createdAt"), "{error}");
    assert_eq!(accounts::get(&store.db, account_id(1)).await.unwrap(), None);
    let dated = without.replace(",\"plans", ",\"createdAt\":\"2026-09-01T00:00:00Z\",\"plans");
    let report = import(&store, ALL_OR_NOTHING, &dated).await.unwrap();
    assert_eq!(report.accepted.accounts, 1);
    // What is there already knows its making.
    let report = import(&store, ALL_OR_NOTHING, &without).await.unwrap();
    assert_eq!(report.rejected_count, 0);
}

/// What is held now and later has to be sold then; what was held before is history.
async fn plans_that_are_not_sold_are_stored_and_told(engine: EngineKind) {
    let store = Store::new(engine).await;
    let plans = r#","createdAt":"2024-01-01T00:00:00Z","plans":[{"broadcast":["bygone"]},{"from":"2026-01-01T00:00:00Z","broadcast":["sole","free"]},{"from":"2027-03-01T00:00:00Z","peer":["gratis"]}]}"#;
    let lines = [
        account_line(1).replace('}', r#","plans":[{"broadcast":["solo"],"peer":["free"]}]}"#),
        account_line(2).replace('}', plans),
        account_line(3).replace('}', r#","plans":[{"peer":["sole"]}]"#), // no object
        account_line(4)
            .replace("cine.io", "heroku")
            .replace('}', r#","plans":[{"peer":["solo"]}]}"#),
    ];
    let importer = Importer::new(store.db.clone(), KEEP_GOING, now());
    let mut importer = importer.with_catalogue(Catalogue::built_in());
    for (number, line) in (1..).zip(&lines) {
        importer.push_line(number, line.as_bytes()).await.unwrap();
    }
    let report = importer.finish().await.unwrap();
    assert_eq!((report.accepted.accounts, report.rejected_count), (3, 1));
    let told: Vec<String> = report.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(report.warning_count, told.len() as u64);
    let expected = [
        "line 2, `plans`: `cine.io` sells no broadcast plan `sole` in 2026-10; correct the account or add the plan (did you mean `solo`?)",
        "line 2, `plans`: `cine.io` sells no peer plan `gratis` in 2027-03; correct the account or add the plan",
        "line 4, `plans`: `heroku` sells no peer plan `solo` in 2026-10; correct the account or add the plan",
    ];
    assert_eq!(told, expected);
    assert_eq!(plans::history(&store.db, account_id(2)).await.unwrap().len(), 3);
}

async fn a_target_that_fails_ends_the_export(engine: EngineKind) {
    struct Full;
    impl std::io::Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let store = Store::new(engine).await;
    store.customer(1, 1..2).await;
    let error = export(&store.db, Kind::Account, &mut Full).await.unwrap_err();
    assert!(matches!(error, TransferError::Write(_)), "{error}");
}

testkit::on_each_engine!(
    the_same_file_twice_changes_nothing,
    what_was_exported_comes_back_as_it_was,
    the_first_bad_line_ends_an_import_and_nothing_is_stored,
    going_on_stores_the_good_lines_and_names_the_bad_ones,
    keeps_the_first_hundred_bad_lines_and_counts_all,
    a_database_that_fails_tells_what_is_stored,
    the_example_of_the_documentation_is_right,
    what_a_row_is_bound_to_stays,
    a_change_moves_the_time_of_the_change_only,
    exports_usage_that_no_import_takes,
    plans_and_stream_keys_left_out_stay_as_they_are,
    plans_begin_with_their_account_or_later,
    plans_that_are_not_sold_are_stored_and_told,
    a_target_that_fails_ends_the_export,
);
