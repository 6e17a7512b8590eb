use envelope::{RawJson, Stamp};
use tasks::*;
use values::*;
use crate::harness::{Harness, now};
fn task(job: &str, key: Option<&str>) -> NewTask {
    NewTask { stamp: Stamp { task_id: TaskId::new(now(), tasks::random_bytes()), issued_at: now(), not_after: now().after(Span::from_days(1)), run_at: None, priority: 0, max_attempts: 1, unique_key: key.map(str::to_owned) },
        job: job.parse().unwrap(), source: "operator".parse().unwrap(), configuration: RawJson::empty_object(), payload: RawJson::empty_object(), proof: None, host: None, timeout: None, labels: Vec::new(), unique_for: None, parent: None, tick: None }
}
#[tokio::test]
async fn batch() {
    let h = Harness::new().await;
    h.tasks.enqueue(vec![task("usage/roll_up_usage", Some("k")), task("logs/process_log", None)]).await.unwrap();
    let w = h.tasks.register(WorkerRecord { name: "w".into(), host: "h".into(), pid: 1, version: "v".into(), release: "r".into() }).await.unwrap();
    let jobs: std::sync::Arc<[(JobName, Option<u32>)]> = vec![("usage/roll_up_usage".parse().unwrap(), None), ("logs/process_log".parse().unwrap(), None)].into();
    let leased = h.tasks.lease(LeaseRequest { worker: w, host: "h".into(), jobs, start: 2, hold: 0, above: None, wait: Span::ZERO }).await.unwrap();
    assert_eq!(leased.len(), 2);
    let mut batch = Vec::new();
    for l in &leased {
        let follow_ups = if l.task.job == "logs/process_log" { vec![task("usage/roll_up_usage", Some("k"))] } else { vec![] };
        batch.push(Settlement { row: l.row, token: l.token, settle: Settle::Completed { result: None, write: None, follow_ups }, report: AttemptReport::default() });
    }
    println!("{:?}", leased.iter().map(|l| l.task.job.clone()).collect::<Vec<_>>());
    println!("{:?}", h.tasks.settle(batch).await.unwrap());
    let n = h.number("SELECT count(*) FROM mw_task").await;
    println!("waiting afterwards: {n}");
}
