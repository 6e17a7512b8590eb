use contract::usage::RollUpUsage;
use database::EngineKind;
use serde_json::json;
use tasks::TaskState;
use values::TaskId;

use crate::server::{Server, manifest};

const ALLOWED: &str = "\"usage/roll_up_usage\"";

fn order(request: &str, month: &str) -> String {
    let account = "acct_01jd0c4x5ve4zrh1k5yq4q8g7m";
    json!({"requestId": request, "accountId": account, "month": month}).to_string()
}

async fn an_order_and_its_task_are_stored_together(engine: EngineKind) {
    let server = Server::start(engine, &manifest(ALLOWED)).await;
    let (status, body) = server.order(&order("r-1", "2026-10")).await;
    assert_eq!(status, 202, "{body}");
    let task: TaskId = body["taskId"].as_str().unwrap().parse().unwrap();
    let tasks = server.inbox.tasks(None).await;
    let [detail] = tasks.as_slice() else { panic!("one order, one task") };
    assert_eq!(detail.summary.task_id, task);
    assert_eq!(detail.summary.state, TaskState::Available);
    assert_eq!(detail.summary.job_name, "usage/roll_up_usage");
    assert_eq!(detail.summary.source, "api");
    server.inbox.assert_enqueued(&RollUpUsage { month: "2026-10".parse().ok() }).await;
    assert!(detail.task.proof.is_some(), "a worker asks for a proof");
    let noted = ("r-1".to_owned(), "2026-10".to_owned(), task.to_string());
    assert_eq!(server.orders().await, [noted]);
}

async fn what_is_rolled_back_leaves_no_task(engine: EngineKind) {
    let server = Server::start(engine, &manifest(ALLOWED)).await;
    let (status, _) = server.order(&order("r-1", "2026-10")).await;
    assert_eq!(status, 202);
    // The task of this one is enqueued before the order turns out to be taken.
    let (status, body) = server.order(&order("r-1", "2026-09")).await;
    assert_eq!((status, &body["code"]), (409, &json!("request_id_taken")), "{body}");
    assert_eq!(server.inbox.tasks(None).await.len(), 1);
    assert_eq!(server.orders().await.len(), 1);
}

async fn two_orders_of_a_month_share_a_task(engine: EngineKind) {
    let server = Server::start(engine, &manifest(ALLOWED)).await;
    let (_, first) = server.order(&order("r-1", "2026-10")).await;
    let (_, second) = server.order(&order("r-2", "2026-10")).await;
    assert_eq!(first["taskId"], second["taskId"]);
    assert_eq!(server.inbox.tasks(None).await.len(), 1);
    assert_eq!(server.orders().await.len(), 2);
}

async fn what_the_allow_list_does_not_name_is_refused_with_its_code(engine: EngineKind) {
    let server = Server::start(engine, &manifest("")).await;
    let (status, body) = server.order(&order("r-1", "2026-10")).await;
    assert_eq!(status, 403, "{body}");
    assert_eq!(body["code"], "source_not_allowed");
    assert_eq!(body["field"], "source");
    assert!(body["message"].as_str().unwrap().contains("[sources.api] in worker.toml"), "{body}");
    server.inbox.assert_nothing_enqueued().await;
    assert!(server.orders().await.is_empty());
}

async fn a_wrong_order_is_refused_before_anything_is_begun(engine: EngineKind) {
    let server = Server::start(engine, &manifest(ALLOWED)).await;
    for body in ["{", "{}", &order("r-1", "2026-13"), &format!("\"{}\"", "x".repeat(20_000))] {
        let (status, answer) = server.order(body).await;
        assert!((400..500).contains(&status), "{status} {answer}");
        assert_eq!(answer["code"], "invalid_order", "{answer}");
        assert_ne!(answer["message"], "", "{answer}");
    }
    server.inbox.assert_nothing_enqueued().await;
    assert!(server.orders().await.is_empty());
}

#[tokio::test]
async fn a_missing_key_is_told_with_the_command_that_makes_it() {
    let home = tempfile::tempdir().unwrap();
    let key_file = home.path().join("api-1.json");
    let manifest = manifest(ALLOWED);
    let error =
        api::Api::open(api::Place::Folder(home.path()), &key_file, &manifest).await.unwrap_err();
    assert!(error.to_string().contains("main-worker keys make --source api"), "{error}");
}

testkit::on_each_engine!(
    an_order_and_its_task_are_stored_together,
    what_is_rolled_back_leaves_no_task,
    two_orders_of_a_month_share_a_task,
    what_the_allow_list_does_not_name_is_refused_with_its_code,
    a_wrong_order_is_refused_before_anything_is_begun,
);
