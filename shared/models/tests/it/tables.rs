//! Accounts, projects and streams.

use database::DbError;
use models::{BillingProvider, ThrottledReason, accounts, projects, streams};

use crate::support::{Store, account, at, now, project, project_id, stream, stream_id};

#[tokio::test]
async fn stores_what_it_is_given_and_takes_on_changes() {
    let store = Store::new().await;
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

#[tokio::test]
async fn pages_through_more_rows_than_one_statement_holds() {
    let store = Store::new().await;
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

#[tokio::test]
async fn a_project_keeps_its_account_and_its_key() {
    let store = Store::new().await;
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

#[tokio::test]
async fn refuses_names_that_are_taken_and_owners_that_are_not_there() {
    let store = Store::new().await;
    store.customer(1, 1..2).await;
    let mut work = store.begin().await;
    let mut twin = stream(9, Some(1));
    twin.name = "stream1".to_owned();
    let errors = [
        streams::upsert_many(&mut work.tx(), &[twin]).await.unwrap_err(),
        streams::upsert_many(&mut work.tx(), &[stream(8, Some(7))]).await.unwrap_err(),
        projects::upsert_many(&mut work.tx(), &[project(7, 7)]).await.unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, DbError::Constraint { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn finds_streams_by_name_deleted_or_not() {
    let store = Store::new().await;
    store.customer(1, 1..600).await;
    let mut gone = stream(3, Some(1));
    gone.deleted_at = Some(now());
    let mut work = store.begin().await;
    streams::upsert_many(&mut work.tx(), &[gone]).await.unwrap();
    work.commit().await.unwrap();
    let names: Vec<String> = (1..=700).map(|n| format!("stream{n}")).collect();
    let found = streams::find_by_names(&store.db, &names).await.unwrap();
    assert_eq!(found.len(), 599);
    assert_eq!(found["stream3"].id, stream_id(3));
    assert_eq!(found["stream3"].instance_name, "cines");
}

#[tokio::test]
async fn a_stream_is_handed_out_once() {
    let store = Store::new().await;
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
