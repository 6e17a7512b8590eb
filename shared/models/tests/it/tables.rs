//! Accounts, projects and streams.

use database::{DbError, EngineKind};
use models::{BillingProvider, ThrottledReason, accounts, projects, streams};

use crate::support::{Store, account, at, now, project, project_id, stream, stream_id};

async fn stores_what_it_is_given_and_takes_on_changes(engine: EngineKind) {
    let store = Store::new(engine).await;
    let mut throttled = account(1);
    throttled.billing_provider = BillingProvider::AppDirect;
    throttled.unthrottleable = true;
    throttled.throttled_at = Some(at("2026-10-01T00:00:00.000001Z"));
    throttled.throttled_reason = Some(ThrottledReason::CardDeclined);
    throttled.deleted_at = Some(at("1969-12-31T23:59:59Z"));
    for row in [account(1), throttled] {
        let mut work = store.begin().await;
        accounts::upsert_many(&mut work.tx(), std::slice::from_ref(&row)).await.unwrap();
        assert_eq!(accounts::get(&mut work.tx(), row.id).await.unwrap().as_ref(), Some(&row));
        work.commit().await.unwrap();
        assert_eq!(accounts::get(&store.db, row.id).await.unwrap(), Some(row));
    }
}

async fn a_row_given_twice_takes_on_the_last(engine: EngineKind) {
    let store = Store::new(engine).await;
    let renamed = models::Account { name: "Renamed".to_owned(), ..account(1) };
    let mut work = store.begin().await;
    let rows = [account(1), account(2), renamed.clone()];
    accounts::upsert_many(&mut work.tx(), &rows).await.unwrap();
    work.commit().await.unwrap();
    assert_eq!(accounts::page(&store.db, None, 10).await.unwrap(), [renamed, account(2)]);
}

async fn pages_through_more_rows_than_one_statement_holds(engine: EngineKind) {
    let store = Store::new(engine).await;
    let all: Vec<_> = (1..=999).map(account).collect();
    let mut work = store.begin().await;
    accounts::upsert_many(&mut work.tx(), &all).await.unwrap();
    accounts::upsert_many(&mut work.tx(), &all).await.unwrap();
    work.commit().await.unwrap();
    let mut found = Vec::new();
    loop {
        let after = found.last().map(|row: &models::Account| row.id);
        let page = accounts::page(&store.db, after, 400).await.unwrap();
        if page.is_empty() {
            break;
        }
        found.extend(page);
    }
    assert_eq!(found, all);
    let ids: Vec<_> = all.iter().map(|row| row.id).collect();
    assert_eq!(accounts::find(&store.db, &ids).await.unwrap().len(), 999);
}

async fn a_project_keeps_its_account_and_its_key(engine: EngineKind) {
    let store = Store::new(engine).await;
    store.customer(1, 1..2).await;
    store.customer(2, 2..3).await;
    let mut moved = project(1, 2);
    moved.public_key = "other".to_owned();
    moved.name = "Renamed".to_owned();
    let mut work = store.begin().await;
    projects::upsert_many(&mut work.tx(), &[moved]).await.unwrap();
    work.commit().await.unwrap();
    let found = projects::get(&store.db, project_id(1)).await.unwrap().unwrap();
    let mut expected = project(1, 1);
    expected.name = "Renamed".to_owned();
    assert_eq!(found, expected);
    let keys = ["key1".to_owned(), "other".to_owned()];
    assert_eq!(projects::find_by_public_keys(&store.db, &keys).await.unwrap(), [expected]);
}

async fn refuses_names_that_are_taken_and_owners_that_are_not_there(engine: EngineKind) {
    let store = Store::new(engine).await;
    store.customer(1, 1..2).await;
    let mut twin = stream(9, Some(1));
    twin.name = "stream1".to_owned();
    let mut errors = Vec::new();
    for row in [twin, stream(8, Some(7))] {
        let mut work = store.begin().await;
        errors.push(streams::upsert_many(&mut work.tx(), &[row]).await.unwrap_err());
        work.rollback().await.unwrap();
    }
    let mut work = store.begin().await;
    errors.push(projects::upsert_many(&mut work.tx(), &[project(7, 7)]).await.unwrap_err());
    work.rollback().await.unwrap();
    for error in errors {
        assert!(matches!(error, DbError::Constraint { .. }), "{error:?}");
    }
}

async fn finds_streams_by_name_deleted_or_not(engine: EngineKind) {
    let store = Store::new(engine).await;
    store.customer(1, 1..600).await;
    let mut gone = stream(3, Some(1));
    gone.deleted_at = Some(now());
    let mut work = store.begin().await;
    streams::upsert_many(&mut work.tx(), &[gone]).await.unwrap();
    work.commit().await.unwrap();
    let mut names: Vec<String> = (1..=700).map(|n| format!("stream{n}")).collect();
    // What a log line may say.
    names.push("str\0eam1".to_owned());
    let found = streams::find_by_names(&store.db, &names).await.unwrap();
    assert_eq!(found.len(), 599);
    assert_eq!(found["stream3"].id, stream_id(3));
    assert_eq!(found["stream3"].instance_name, "cines");
}

async fn a_stream_is_handed_out_once(engine: EngineKind) {
    let store = Store::new(engine).await;
    store.customer(1, 1..2).await;
    store.customer(2, 2..3).await;
    let mut work = store.begin().await;
    streams::upsert_many(&mut work.tx(), &[stream(5, None)]).await.unwrap();
    let mut tx = work.tx();
    assert!(streams::assign(&mut tx, stream_id(5), project_id(2), now()).await.unwrap());
    assert!(!streams::assign(&mut tx, stream_id(5), project_id(1), now()).await.unwrap());
    streams::upsert_many(&mut tx, &[stream(5, Some(1))]).await.unwrap();
    work.commit().await.unwrap();
    let found = streams::get(&store.db, stream_id(5)).await.unwrap().unwrap();
    assert_eq!(found.project_id, Some(project_id(2)));
}

testkit::on_each_engine!(
    stores_what_it_is_given_and_takes_on_changes,
    pages_through_more_rows_than_one_statement_holds,
    a_project_keeps_its_account_and_its_key,
    refuses_names_that_are_taken_and_owners_that_are_not_there,
    finds_streams_by_name_deleted_or_not,
    a_row_given_twice_takes_on_the_last,
    a_stream_is_handed_out_once,
);
