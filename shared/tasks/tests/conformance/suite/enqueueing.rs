//! What becomes of tasks that are handed over.

use envelope::RawJson;
use tasks::{Enqueued, PruneLimits, TaskState, Tick};
use values::Span;

use crate::world::{JOBS, World, completed};

pub(crate) async fn answers_in_order_and_stores_everything(world: &World) {
    let mut batch: Vec<_> = (0..300).map(|_| world.task(JOBS[0])).collect();
    batch[3].stamp.unique_key = Some("key".to_owned());
    let full = &mut batch[100];
    full.configuration = RawJson::from_value(&["sealed"]).unwrap();
    full.timeout = Some(Span::from_seconds(9));
    full.host = Some("here".to_owned());
    full.labels = vec!["red".to_owned(), "a \"b\"".to_owned()];
    full.proof = format!("v1.mac.k1.{}", "A".repeat(43)).parse().ok();
    let expected: Vec<_> = batch.iter().map(|task| task.stamp.task_id).collect();
    let asked = batch[100].clone();
    let answers = world.store.enqueue(batch).await.unwrap();
    let told: Vec<_> = answers.iter().map(|answer| answer.task_id).collect();
    assert_eq!(told, expected);
    assert!(answers.iter().all(|answer| !answer.existing));

    let detail = world.store.get(asked.stamp.task_id).await.unwrap();
    assert_eq!(detail.summary.state, TaskState::Available);
    assert_eq!(detail.summary.enqueued_at, world.now());
    let stored = detail.task;
    assert_eq!(stored.configuration, asked.configuration.as_bytes());
    assert_eq!(stored.payload, asked.payload.as_bytes());
    assert_eq!((stored.timeout, stored.host), (asked.timeout, asked.host));
    assert_eq!(stored.labels, asked.labels);
    assert_eq!(stored.proof, asked.proof.map(|proof| proof.to_string()));
    assert!(stored.stamp.contains(&asked.stamp.task_id.to_string()));

    // Equal in priority and age, so they run in the order of the batch.
    let worker = world.worker().await;
    let mut request = world.request(worker);
    request.start = 300;
    let leased = world.store.lease(request).await.unwrap();
    assert_eq!(crate::world::ids(&leased), expected);
    assert!(world.store.enqueue(Vec::new()).await.unwrap().is_empty());
}

pub(crate) async fn takes_an_id_only_once(world: &World) {
    let (one, two) = (world.task(JOBS[0]), world.task(JOBS[1]));
    let batch = vec![one.clone(), two.clone(), one.clone()];
    let existing = |answers: &[Enqueued]| answers.iter().map(|a| a.existing).collect::<Vec<_>>();
    let answers = world.store.enqueue(batch).await.unwrap();
    assert_eq!(existing(&answers), [false, false, true]);
    let fresh = world.task(JOBS[0]);
    let again = vec![two.clone(), fresh, one.clone()];
    let answers = world.store.enqueue(again).await.unwrap();
    assert_eq!(existing(&answers), [true, false, true]);
    assert_eq!(answers[2].task_id, one.stamp.task_id);
    let worker = world.worker().await;
    assert_eq!(world.lease(worker).await.len(), 3);
}

pub(crate) async fn takes_an_id_only_once_after_its_end_and_after_pruning(world: &World) {
    let mut task = world.task(JOBS[0]);
    task.stamp.not_after = world.now().after(Span::from_days(10));
    world.put(task.clone()).await;
    let worker = world.worker().await;
    let lease = world.lease_one(worker).await;
    world.end(&lease, completed()).await;
    assert!(world.put(task.clone()).await.existing);

    world.clock.advance(Span::from_days(5));
    let now = world.now();
    let limits = PruneLimits { completed_before: now, discarded_before: now, limit: 100 };
    assert_eq!(world.store.prune(limits).await.unwrap(), 1);
    assert!(world.put(task.clone()).await.existing, "it could be replayed");
    assert!(world.lease(worker).await.is_empty());

    world.clock.advance(Span::from_days(6));
    assert_eq!(world.store.prune(limits).await.unwrap(), 0);
    assert!(!world.put(task).await.existing, "its proof has run out; admission refuses it");
}

pub(crate) async fn enqueues_each_tick_once(world: &World) {
    let tick = Tick { schedule: "close-month".to_owned(), nominal_at: world.now() };
    let ticked = || {
        let mut task = world.task(JOBS[0]);
        task.tick = Some(tick.clone());
        task
    };
    let (one, two) = (ticked(), ticked());
    let answers = world.store.enqueue(vec![one.clone(), two]).await.unwrap();
    let first = Enqueued { task_id: one.stamp.task_id, existing: false };
    assert_eq!(answers, [first, Enqueued { existing: true, ..first }]);
    let worker = world.worker().await;
    let lease = world.lease_one(worker).await;
    world.end(&lease, completed()).await;
    assert_eq!(world.put(ticked()).await, Enqueued { existing: true, ..first });

    // A tick whose task is blocked by a unique key stands for the task that blocks.
    let blocking = world.put(world.unique("key")).await;
    let later = Tick { nominal_at: world.now().after(Span::from_hours(1)), ..tick.clone() };
    for _ in 0..2 {
        let mut task = world.unique("key");
        task.tick = Some(later.clone());
        assert_eq!(world.put(task).await, Enqueued { existing: true, ..blocking });
    }
}

pub(crate) async fn remembers_when_a_schedule_began(world: &World) {
    let begin = world.now();
    let last = |now| world.store.last_tick("hourly".to_owned(), now);
    assert_eq!(last(begin).await.unwrap(), begin);
    assert_eq!(last(begin.after(Span::from_hours(5))).await.unwrap(), begin);
    let nominal_at = begin.after(Span::from_hours(1));
    let mut task = world.task(JOBS[0]);
    task.tick = Some(Tick { schedule: "hourly".to_owned(), nominal_at });
    world.put(task).await;
    assert_eq!(last(begin).await.unwrap(), nominal_at);
    let other = world.store.last_tick("daily".to_owned(), begin).await.unwrap();
    assert_eq!(other, begin);
}

pub(crate) async fn follows_the_transaction_of_the_caller(world: &World) {
    let worker = world.worker().await;
    let (kept, undone) = (world.task("test/one"), world.task("test/two"));
    let mut transaction = world.db.begin().await.unwrap();
    let mut tx = transaction.tx();
    world.store.enqueue_in(&mut tx, vec![undone.clone()]).await.unwrap();
    transaction.rollback().await.unwrap();
    world.store.wake();
    assert!(world.lease(worker).await.is_empty());
    assert!(world.store.get(undone.stamp.task_id).await.is_err());

    let mut request = world.request(worker);
    request.wait = Span::from_seconds(20);
    let waiting = world.store.lease(request);
    let caller = async {
        let mut transaction = world.db.begin().await.unwrap();
        let mut tx = transaction.tx();
        let answers = world.store.enqueue_in(&mut tx, vec![kept.clone()]).await.unwrap();
        assert!(!answers[0].existing);
        transaction.commit().await.unwrap();
        world.store.wake();
    };
    let (leased, ()) = futures_util::future::join(waiting, caller).await;
    assert_eq!(crate::world::ids(&leased.unwrap()), [kept.stamp.task_id]);
    // The lane of the task that was undone was undone too, and is made again.
    assert!(!world.put(undone).await.existing);
}
