//! How leases end, and who may end them.

use tasks::{AttemptReport, Settle, Settled, Settlement, TaskState};
use values::Span;

use crate::world::{JOBS, World, completed, settlement};

pub(crate) async fn fences_a_worker_that_was_declared_dead(world: &World) {
    let (slow, quick) = (world.worker().await, world.worker().await);
    let id = world.add(JOBS[0]).await;
    let lost = world.lease_one(slow).await;
    world.store.rescue(vec![(slow, 0)]).await.unwrap();
    assert_eq!(world.settle(&lost, completed()).await, Settled::LeaseLost);
    let lease = world.lease_one(quick).await;
    assert_ne!(lease.token, lost.token);
    assert_eq!(world.settle(&lost, Settle::Discard).await, Settled::LeaseLost);
    assert_eq!(world.state(id).await, TaskState::Running);
    world.end(&lease, completed()).await;
    assert_eq!(world.settle(&lost, Settle::GiveBack).await, Settled::LeaseLost);
    assert_eq!(world.state(id).await, TaskState::Completed);
}

/// Fault 14: an attempt ends once.
pub(crate) async fn takes_each_lease_once(world: &World) {
    let worker = world.worker().await;
    let id = world.add(JOBS[0]).await;
    let lease = world.lease_one(worker).await;
    let twice = vec![settlement(&lease, completed()), settlement(&lease, Settle::Discard)];
    let done = Settled::Done { follow_ups: Vec::new() };
    let settled = world.store.settle(twice).await.unwrap();
    assert_eq!(settled, [done, Settled::LeaseLost], "also in one batch");
    assert_eq!(world.settle(&lease, completed()).await, Settled::LeaseLost);
    assert_eq!(world.state(id).await, TaskState::Completed);
    assert!(world.store.settle(Vec::new()).await.unwrap().is_empty());
}

pub(crate) async fn refuses_a_wrong_token(world: &World) {
    let worker = world.worker().await;
    let id = world.add(JOBS[0]).await;
    let lease = world.lease_one(worker).await;
    let mut wrong = settlement(&lease, Settle::Discard);
    wrong.token = lease.token.wrapping_add(1) & i64::MAX;
    let batch = vec![wrong, settlement(&lease, completed())];
    let settled = world.store.settle(batch).await.unwrap();
    assert_eq!(settled, [Settled::LeaseLost, Settled::Done { follow_ups: Vec::new() }]);
    assert_eq!(world.state(id).await, TaskState::Completed);
}

pub(crate) async fn stores_result_reports_and_errors(world: &World) {
    let worker = world.worker().await;
    let id = world.add(JOBS[0]).await;
    let report = |error: &str| AttemptReport {
        code: Some("timeout".to_owned()),
        error: Some(error.to_owned()),
        log: Some("[\"one \\\"line\\\"\"]".to_owned()),
    };
    let lease = world.lease_one(worker).await;
    let settle = Settle::Retry { after: Span::from_seconds(1) };
    let (row, token) = (lease.row, lease.token);
    let failed = Settlement { row, token, settle, report: report("it took 'too' long\n") };
    world.store.settle(vec![failed]).await.unwrap();
    assert_eq!(world.summary(id).await.error.as_deref(), Some("it took 'too' long\n"));

    world.clock.advance(Span::from_seconds(1));
    let lease = world.lease_one(worker).await;
    let result = Some("{\"rows\":[1,null],\"text\":\"\\u00e9\"}".to_owned());
    let settle = Settle::Completed { result: result.clone(), write: None, follow_ups: Vec::new() };
    world.clock.advance(Span::from_seconds(2));
    world.end(&lease, settle).await;
    let detail = world.store.get(id).await.unwrap();
    assert_eq!(detail.result, result);
    assert_eq!(detail.summary.started_at, Some(lease.leased_at));
    assert_eq!(detail.summary.finished_at, Some(world.now()));
    assert_eq!(detail.attempts.len(), 1, "an attempt without a report leaves no trace");
    let attempt = &detail.attempts[0];
    assert_eq!((attempt.attempt, attempt.outcome.as_str()), (1, "retried"));
    assert_eq!(attempt.log, report("").log);
    assert_eq!(attempt.worker.as_deref(), Some("Tester@here:7"));
    assert_eq!(attempt.release.as_deref(), Some("blue"));

    let other = world.add(JOBS[0]).await;
    let lease = world.lease_one(worker).await;
    let (row, token) = (lease.row, lease.token);
    let dead = Settlement { row, token, settle: Settle::Discard, report: report("for good") };
    world.store.settle(vec![dead]).await.unwrap();
    let summary = world.summary(other).await;
    assert_eq!((summary.state, summary.error.as_deref()), (TaskState::Discarded, Some("for good")));
}

pub(crate) async fn counts_no_attempt_of_what_admission_refuses(world: &World) {
    let worker = world.worker().await;
    for (settle, state) in [
        (Settle::Reject, TaskState::Discarded),
        (Settle::Discard, TaskState::Discarded),
        (Settle::Hold { code: "x".to_owned(), release: "blue".to_owned() }, TaskState::Available),
    ] {
        let counted = u32::from(matches!(settle, Settle::Discard));
        let id = world.add(JOBS[0]).await;
        let lease = world.lease_one(worker).await;
        world.end(&lease, settle).await;
        let summary = world.summary(id).await;
        assert_eq!((summary.state, summary.attempt), (state, counted));
    }
}

pub(crate) async fn waits_before_the_next_attempt(world: &World) {
    let worker = world.worker().await;
    let id = world.add(JOBS[0]).await;
    let lease = world.lease_one(worker).await;
    world.end(&lease, Settle::Retry { after: Span::from_seconds(10) }).await;
    let summary = world.summary(id).await;
    assert_eq!((summary.state, summary.attempt), (TaskState::Scheduled, 1));
    assert_eq!(summary.run_at, world.now().after(Span::from_seconds(10)));
    assert!(world.lease(worker).await.is_empty());
    world.clock.advance(Span::from_seconds(10));
    let lease = world.lease_one(worker).await;
    assert_eq!((lease.attempt, lease.max_attempts), (2, 3));
    world.end(&lease, Settle::Retry { after: Span::ZERO }).await;
    assert_eq!(world.lease_one(worker).await.attempt, 3);
}

pub(crate) async fn ends_as_cancelled_what_was_asked_to_stop(world: &World) {
    let worker = world.worker().await;
    let hold = || Settle::Hold { code: "unknown_job".to_owned(), release: "blue".to_owned() };
    let cases = [
        (Settle::Retry { after: Span::ZERO }, TaskState::Cancelled),
        (Settle::Snooze { after: Span::ZERO }, TaskState::Cancelled),
        (Settle::GiveBack, TaskState::Cancelled),
        (hold(), TaskState::Cancelled),
        (Settle::Cancel, TaskState::Cancelled),
        (Settle::Discard, TaskState::Discarded),
        (completed(), TaskState::Completed),
    ];
    for (settle, expected) in cases {
        let id = world.add(JOBS[0]).await;
        let lease = world.lease_one(worker).await;
        assert_eq!(world.store.cancel(id).await.unwrap(), TaskState::Running);
        let name = format!("{settle:?}");
        world.end(&lease, settle).await;
        assert_eq!(world.state(id).await, expected, "{name}");
    }
}
