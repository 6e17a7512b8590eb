//! Lists, details and depths.

use tasks::{Progress, QueueDepth, Settle, TaskFilter, TaskState};
use values::Span;

use crate::world::{JOBS, World, completed};

pub(crate) async fn finds_by_each_filter(world: &World) {
    let worker = world.worker().await;
    let done = world.add(JOBS[0]).await;
    let lease = world.lease_one(worker).await;
    world.end(&lease, completed()).await;
    world.clock.advance(Span::from_seconds(10));
    let middle = world.now();
    let mut labelled = world.task(JOBS[1]);
    labelled.labels = vec!["red".to_owned(), "blue".to_owned(), "red".to_owned()];
    labelled.source = "scheduler".parse().unwrap();
    let labelled = world.put(labelled).await.task_id;
    world.clock.advance(Span::from_seconds(10));
    let late = world.put(world.in_future(Span::from_hours(1))).await.task_id;
    let none = TaskFilter::default;
    let text = |text: &str| Some(text.to_owned());
    let check = async |name: &str, filter: TaskFilter, expected: &[values::TaskId]| {
        assert_eq!(world.search(filter).await, expected, "{name}");
    };
    check("all, newest first", none(), &[late, labelled, done]).await;
    check("job", TaskFilter { job: text(JOBS[0]), ..none() }, &[late, done]).await;
    check("source", TaskFilter { source: text("scheduler"), ..none() }, &[labelled]).await;
    check("label", TaskFilter { label: text("red"), ..none() }, &[labelled]).await;
    check("no label", TaskFilter { label: text("re"), ..none() }, &[]).await;
    check("from", TaskFilter { from: Some(middle), ..none() }, &[late, labelled]).await;
    check("to", TaskFilter { to: Some(middle), ..none() }, &[done]).await;
    let states = |states: &[TaskState]| TaskFilter { states: states.to_vec(), ..none() };
    check("live", states(&[TaskState::Scheduled, TaskState::Available]), &[late, labelled]).await;
    check("ended", states(&[TaskState::Completed, TaskState::Discarded]), &[done]).await;
    check("mixed", states(&[TaskState::Completed, TaskState::Scheduled]), &[late, done]).await;
    check("running", states(&[TaskState::Running]), &[]).await;
    let both = TaskFilter { job: text(JOBS[0]), from: Some(middle), ..none() };
    check("both", both, &[late]).await;
}

pub(crate) async fn pages_from_new_to_old(world: &World) {
    let mut expected = Vec::new();
    for _ in 0..7 {
        expected.insert(0, world.add(JOBS[0]).await);
    }
    let mut found = Vec::new();
    let mut before_row = None;
    loop {
        let filter = TaskFilter { limit: 3, before_row, ..TaskFilter::default() };
        let page = world.store.search(filter).await.unwrap();
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 3);
        before_row = Some(last.row);
        found.extend(page.iter().map(|summary| summary.task_id));
    }
    assert_eq!(found, expected);
}

pub(crate) async fn goes_through_what_waits(world: &World) {
    let worker = world.worker().await;
    let (ended, held) = (world.add(JOBS[0]).await, world.add(JOBS[1]).await);
    for lease in world.lease(worker).await {
        let is_held = lease.task.task_id == held;
        let (code, release) = ("bad_proof".to_owned(), "blue".to_owned());
        let settle = if is_held { Settle::Hold { code, release } } else { completed() };
        world.end(&lease, settle).await;
    }
    let retried = world.add(JOBS[0]).await;
    world.end(&world.lease_one(worker).await, Settle::Retry { after: Span::from_hours(1) }).await;
    let running = world.add(JOBS[0]).await;
    world.lease_one(worker).await;
    let mut urgent = world.task(JOBS[1]);
    (urgent.stamp.priority, urgent.stamp.max_attempts) = (2, 9);
    let urgent = world.put(urgent).await.task_id;
    let mut found = Vec::new();
    let mut after = 0;
    loop {
        let page = world.store.waiting(after, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 2);
        after = last.row;
        found.extend(page);
    }
    let ids: Vec<_> = found.iter().map(|waiting| waiting.task.task_id).collect();
    assert_eq!(ids, [held, retried, urgent], "neither {ended} nor {running}");
    let numbers = |at: usize| (found[at].attempt, found[at].max_attempts, found[at].priority);
    assert_eq!((numbers(0), numbers(1), numbers(2)), ((0, 3, 1), (1, 3, 1), (0, 9, 2)));
    assert_eq!(found[2].task.job, JOBS[1]);
    assert_eq!(found[2].task.payload, format!("\"{}\"", JOBS[1]).into_bytes());
}

pub(crate) async fn tells_key_ids_apart(world: &World) {
    let mut stored = Vec::new();
    for key in ["key_1", "keyx1", "KEY_1"] {
        let mut task = world.task(JOBS[0]);
        task.proof = format!("v1.mac.{key}.{}", "A".repeat(43)).parse().ok();
        assert!(task.proof.is_some());
        stored.push(world.put(task).await.task_id);
    }
    world.add(JOBS[0]).await;
    let filter = TaskFilter { key_id: Some("key_1".to_owned()), ..TaskFilter::default() };
    assert_eq!(world.search(filter).await, stored[..1]);
}

pub(crate) async fn counts_depths(world: &World) {
    let worker = world.worker().await;
    let begin = world.now();
    for _ in 0..2 {
        world.add(JOBS[0]).await;
        world.clock.advance(Span::from_seconds(1));
    }
    let leased = world.lease(worker).await;
    let held = Settle::Hold { code: "unknown_job".to_owned(), release: "blue".to_owned() };
    world.end(&leased[0], held).await;
    world.add(JOBS[0]).await;
    world.put(world.in_future(Span::from_hours(1))).await;
    let depth = |state, count, oldest| QueueDepth {
        job_name: JOBS[0].to_owned(),
        source: "api".to_owned(),
        state,
        count,
        oldest: Some(oldest),
    };
    let mut depths = world.store.depths().await.unwrap();
    depths.sort_by_key(|depth| TaskState::ALL.iter().position(|state| *state == depth.state));
    let now = world.now();
    let expected = [
        depth(TaskState::Scheduled, 1, now.after(Span::from_hours(1))),
        depth(TaskState::Available, 2, begin),
        depth(TaskState::Running, 1, now),
    ];
    assert_eq!(depths, expected, "held ones count as available");
}

pub(crate) async fn shows_progress(world: &World) {
    let worker = world.worker().await;
    let id = world.add(JOBS[0]).await;
    let lease = world.lease_one(worker).await;
    let report = |token, fraction, text: &str| {
        let progress = Progress { fraction, text: text.to_owned() };
        world.store.progress(vec![(lease.row, token, progress)])
    };
    report(lease.token, 0.25, "reading").await.unwrap();
    report(lease.token, 0.5, "writing").await.unwrap();
    report(lease.token ^ 1, 0.9, "of another lease").await.unwrap();
    let shown = world.summary(id).await.progress.unwrap();
    assert_eq!(shown, Progress { fraction: 0.5, text: "writing".to_owned() });
    for (told, kept) in [(f64::NAN, 0.0), (f64::INFINITY, 1.0), (-3.0, 0.0)] {
        report(lease.token, told, "odd").await.unwrap();
        let shown = world.summary(id).await.progress.unwrap();
        assert!((shown.fraction - kept).abs() < f64::EPSILON, "{told} {shown:?}");
    }
    world.end(&lease, completed()).await;
    assert!(world.summary(id).await.progress.is_some());
    world.store.retry(id).await.unwrap();
    assert_eq!(world.summary(id).await.progress, None);
}

pub(crate) async fn shows_workers(world: &World) {
    let (one, two) = (world.worker().await, world.worker().await);
    assert_ne!(one, two);
    let beat = world.store.heartbeat(two).await.unwrap();
    assert!(!beat.dead);
    assert_eq!(world.store.beats().await.unwrap(), [(one, 0), (two, 1)]);
    assert!(world.store.heartbeat(two + 100).await.unwrap().dead, "nobody knows it");
}
