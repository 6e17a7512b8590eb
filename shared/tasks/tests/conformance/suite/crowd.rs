//! Many at once.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::join_all;
use tasks::{LeaseRequest, Settled, TaskState, TaskStore};
use values::{Span, TaskId};

use crate::world::{JOBS, World, completed, settlement};

/// Crowd: half of them enqueue, half lease and settle, spread over two stores.
const MEMBERS: usize = 8;
const TASKS: usize = 20_000;
const BATCH: usize = 100;
/// Processes that ask for a new job in the same moment, and how many new jobs there are.
const PROCESSES: usize = 6;
const NEW_JOBS: usize = 150;

/// Leases and settles until nothing has come for a while; returns what ran.
async fn work(store: Arc<dyn TaskStore>, request: LeaseRequest) -> Vec<TaskId> {
    let mut ran = Vec::new();
    loop {
        let leased = store.lease(request.clone()).await.unwrap();
        if leased.is_empty() {
            return ran;
        }
        let batch = leased.iter().map(|lease| settlement(lease, completed())).collect();
        for (settled, lease) in store.settle(batch).await.unwrap().into_iter().zip(&leased) {
            assert!(matches!(settled, Settled::Done { .. }), "{settled:?}");
            ran.push(lease.task.task_id);
        }
    }
}

pub(crate) async fn runs_each_task_exactly_once(world: &World) {
    let stores = [Arc::clone(&world.store), (world.another)().await];
    let (mut producers, mut workers) = (Vec::new(), Vec::new());
    for member in 0..MEMBERS / 2 {
        let store = Arc::clone(&stores[member % 2]);
        let batches: Vec<Vec<_>> = (0..TASKS / (MEMBERS / 2) / BATCH)
            .map(|_| (0..BATCH).map(|_| world.task(JOBS[member % 2])).collect())
            .collect();
        producers.push(tokio::spawn(async move {
            let mut answers = Vec::new();
            for batch in batches {
                answers.extend(store.enqueue(batch).await.unwrap());
            }
            answers
        }));
        let wait = Span::from_seconds(3);
        let request = LeaseRequest { wait, start: 60, ..world.request(world.worker().await) };
        workers.push(tokio::spawn(work(Arc::clone(&stores[(member + 1) % 2]), request)));
    }
    let mut runs: HashMap<TaskId, usize> = HashMap::new();
    for producer in producers {
        for enqueued in producer.await.unwrap() {
            assert!(!enqueued.existing);
            runs.insert(enqueued.task_id, 0);
        }
    }
    for worker in workers {
        for id in worker.await.unwrap() {
            *runs.get_mut(&id).unwrap() += 1;
        }
    }
    assert_eq!(runs.len(), TASKS);
    assert!(runs.values().all(|count| *count == 1));
    assert!(world.store.depths().await.unwrap().is_empty());
    let one = *runs.keys().next().unwrap();
    assert_eq!(world.state(one).await, TaskState::Completed);
}

pub(crate) async fn may_ask_for_a_new_job_in_the_same_moment(world: &World) {
    let mut stores = vec![Arc::clone(&world.store)];
    while stores.len() < PROCESSES {
        stores.push((world.another)().await);
    }
    for number in 0..NEW_JOBS {
        let job = format!("new/job{number}");
        let calls = stores.iter().map(|store| store.enqueue(vec![world.task(&job)]));
        for answers in join_all(calls).await {
            assert!(!answers.unwrap()[0].existing);
        }
    }
    let depths = world.store.depths().await.unwrap();
    assert_eq!(depths.len(), NEW_JOBS);
    assert!(depths.iter().all(|depth| depth.count == PROCESSES as u64), "{depths:?}");
}
