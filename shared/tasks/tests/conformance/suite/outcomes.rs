//! Final writes and follow-ups: with the outcome, or not at all.

use database::{DbError, EngineKind, Query};
use tasks::{FinalWrite, LeasedTask, Settle, Settled, Settlement, TaskState};

use crate::world::{JOBS, World, completed, settlement};

/// A final write step that inserts a row; it fails if the row is there.
fn insert(id: i64) -> FinalWrite {
    Box::new(move |tx| {
        Box::pin(async move {
            tx.execute(Query::new("INSERT INTO domain (id) VALUES ($1)").bind(id)).await?;
            Ok(())
        })
    })
}

fn with(write: FinalWrite, follow_ups: Vec<tasks::NewTask>) -> Settle {
    Settle::Completed { result: None, write: Some(write), follow_ups }
}

async fn leased(world: &World, count: usize) -> Vec<LeasedTask> {
    let worker = world.worker().await;
    for _ in 0..count {
        world.add(JOBS[0]).await;
    }
    let leased = world.lease(worker).await;
    assert_eq!(leased.len(), count);
    leased
}

pub(crate) async fn store_the_final_write_and_follow_ups_together(world: &World) {
    world.domain_table().await;
    let leases = leased(world, 2).await;
    let follow_ups = vec![world.task(JOBS[1]), world.task(JOBS[1])];
    let expected: Vec<_> = follow_ups.iter().map(|task| task.stamp.task_id).collect();
    let settled = world.settle(&leases[0], with(insert(1), follow_ups.clone())).await;
    let Settled::Done { follow_ups: stored } = settled else { panic!("{settled:?}") };
    assert_eq!(stored.iter().map(|enqueued| enqueued.task_id).collect::<Vec<_>>(), expected);
    assert_eq!(world.domain_rows().await, 1);
    for id in expected {
        assert_eq!(world.state(id).await, TaskState::Available);
    }
    // A lease that is lost writes nothing at all.
    let late = world.settle(&leases[0], with(insert(2), vec![world.task(JOBS[1])])).await;
    assert_eq!(late, Settled::LeaseLost);
    assert_eq!(world.domain_rows().await, 1);
    assert_eq!(world.search(tasks::TaskFilter::default()).await.len(), 4);
}

pub(crate) async fn undo_a_failing_write_alone(world: &World) {
    world.domain_table().await;
    let leases = leased(world, 3).await;
    let follow_up = world.task(JOBS[1]);
    let id = follow_up.stamp.task_id;
    let refusing: FinalWrite = Box::new(|tx| {
        Box::pin(async move {
            tx.execute(Query::new("INSERT INTO domain (id) VALUES (7)")).await?;
            Err(DbError::Refused("the month is closed".to_owned()))
        })
    });
    let batch: Vec<Settlement> = vec![
        settlement(&leases[0], with(insert(1), Vec::new())),
        settlement(&leases[1], with(refusing, vec![follow_up.clone()])),
        settlement(&leases[2], with(insert(1), vec![follow_up.clone()])),
    ];
    let settled = world.store.settle(batch).await.unwrap();
    assert_eq!(settled[0], Settled::Done { follow_ups: Vec::new() });
    let Settled::WriteFailed { error, transient: false } = &settled[1] else {
        panic!("{settled:?}")
    };
    assert!(error.contains("the month is closed"), "{error}");
    assert!(matches!(&settled[2], Settled::WriteFailed { transient: false, .. }), "{settled:?}");
    assert_eq!(world.domain_rows().await, 1);
    assert!(world.store.get(id).await.is_err());
    // The leases of the others still hold.
    world.end(&leases[1], with(insert(2), vec![follow_up])).await;
    world.end(&leases[2], Settle::Discard).await;
    assert_eq!(world.state(id).await, TaskState::Available);
}

pub(crate) async fn take_back_the_follow_ups_of_a_failing_write_alone(world: &World) {
    world.domain_table().await;
    let leases = leased(world, 3).await;
    let mut follow_ups: Vec<_> = (0..3).map(|_| world.task(JOBS[1])).collect();
    for task in &mut follow_ups {
        task.labels = vec!["month-2026-10".to_owned()];
    }
    let ids: Vec<_> = follow_ups.iter().map(|task| task.stamp.task_id).collect();
    let known = world.task(JOBS[1]);
    world.put(known.clone()).await;
    let of_second = vec![follow_ups[1].clone(), known.clone()];
    let batch = vec![
        settlement(&leases[0], with(insert(1), vec![follow_ups[0].clone()])),
        settlement(&leases[1], with(insert(1), of_second.clone())),
        settlement(&leases[2], with(insert(2), vec![follow_ups[2].clone()])),
    ];
    let settled = world.store.settle(batch).await.unwrap();
    let done = |id| {
        let follow_ups = vec![tasks::Enqueued { task_id: id, existing: false }];
        Settled::Done { follow_ups }
    };
    assert_eq!((&settled[0], &settled[2]), (&done(ids[0]), &done(ids[2])));
    assert!(matches!(settled[1], Settled::WriteFailed { .. }), "{settled:?}");
    assert!(world.store.get(ids[1]).await.is_err());
    assert_eq!(world.state(known.stamp.task_id).await, TaskState::Available, "it was there before");
    let labelled = || async {
        let label = Some("month-2026-10".to_owned());
        world.search(tasks::TaskFilter { label, ..tasks::TaskFilter::default() }).await.len()
    };
    assert_eq!(labelled().await, 2);
    let found = world.store.conservation().await.unwrap();
    assert!(found.holds(), "{:?}", found.broken().collect::<Vec<_>>());
    // Asked for once more, it is stored.
    world.end(&leases[1], with(insert(3), of_second)).await;
    assert_eq!(labelled().await, 3);
    assert_eq!(world.domain_rows().await, 3);
}

/// A server runs nothing more after a statement that failed; the embedded engine does.
pub(crate) async fn fail_a_write_alone_that_swallows_an_error(world: &World) {
    world.domain_table().await;
    let leases = leased(world, 3).await;
    let swallowing: FinalWrite = Box::new(|tx| {
        Box::pin(async move {
            tx.execute(Query::new("INSERT INTO no_such_table (id) VALUES (7)")).await.ok();
            Ok(())
        })
    });
    let undoing: FinalWrite = Box::new(|tx| {
        Box::pin(async move {
            let tried = tx
                .savepoint(|tx| {
                    Box::pin(async move {
                        tx.execute(Query::new("INSERT INTO no_such_table (id) VALUES (7)")).await
                    })
                })
                .await?;
            assert!(tried.is_err());
            Ok(())
        })
    });
    let batch = vec![
        settlement(&leases[0], with(swallowing, vec![world.task(JOBS[1])])),
        settlement(&leases[1], with(undoing, Vec::new())),
        settlement(&leases[2], with(insert(1), Vec::new())),
    ];
    let settled = world.store.settle(batch).await.unwrap();
    match (world.db.kind(), &settled[0]) {
        (EngineKind::Sqlite, Settled::Done { .. }) => {}
        (EngineKind::Postgres, Settled::WriteFailed { error, transient: false }) => {
            assert!(error.contains("savepoint"), "{error}");
        }
        _ => panic!("{settled:?}"),
    }
    assert!(matches!(settled[1..], [Settled::Done { .. }, Settled::Done { .. }]), "{settled:?}");
    assert_eq!(world.domain_rows().await, 1);
}

/// What a final write defers fails with it, or goes with it, and with no other of its group.
pub(crate) async fn fail_a_write_alone_of_what_it_deferred(world: &World) {
    world.domain_table().await;
    let leases = leased(world, 4).await;
    let row = |id: i64| Query::new("INSERT INTO domain (id) VALUES ($1)").bind(id);
    let deferring = |id: i64| -> FinalWrite {
        Box::new(move |tx| Box::pin(async move { tx.defer(row(id)).await }))
    };
    let refusing: FinalWrite = Box::new(move |tx| {
        Box::pin(async move {
            tx.defer(row(7)).await?;
            Err(DbError::Refused("the month is closed".to_owned()))
        })
    });
    let batch = vec![
        settlement(&leases[0], with(deferring(1), Vec::new())),
        settlement(&leases[1], with(deferring(1), vec![world.task(JOBS[1])])),
        settlement(&leases[2], with(refusing, Vec::new())),
        settlement(&leases[3], with(deferring(2), Vec::new())),
    ];
    let settled = world.store.settle(batch).await.unwrap();
    for (at, is_stored) in [true, false, false, true].into_iter().enumerate() {
        match &settled[at] {
            Settled::Done { .. } if is_stored => {}
            Settled::WriteFailed { .. } if !is_stored => {}
            other => panic!("{at}: {other:?}"),
        }
    }
    assert_eq!(world.domain_rows().await, 2);
}

pub(crate) async fn undo_the_write_if_a_follow_up_fails(world: &World) {
    world.domain_table().await;
    let leases = leased(world, 3).await;
    world.refuse_lowest_priority().await;
    let (good, mut bad) = (world.task(JOBS[1]), world.task(JOBS[1]));
    bad.stamp.priority = 0;
    let ids = [good.stamp.task_id, bad.stamp.task_id];
    let without_write = Settle::Completed {
        result: None,
        write: None,
        follow_ups: vec![good.clone(), bad.clone()],
    };
    let batch = vec![
        settlement(&leases[0], with(insert(1), vec![good, bad])),
        settlement(&leases[1], without_write),
        settlement(&leases[2], with(insert(2), Vec::new())),
    ];
    let settled = world.store.settle(batch).await.unwrap();
    assert!(matches!(settled[0], Settled::WriteFailed { .. }), "{settled:?}");
    assert!(matches!(settled[1], Settled::WriteFailed { .. }), "{settled:?}");
    assert!(matches!(settled[2], Settled::Done { .. }), "{settled:?}");
    assert_eq!(world.domain_rows().await, 1);
    for id in ids {
        assert!(world.store.get(id).await.is_err());
    }
    assert_eq!(world.state(leases[0].task.task_id).await, TaskState::Running);
}

pub(crate) async fn survive_a_panicking_write(world: &World) {
    world.domain_table().await;
    let leases = leased(world, 2).await;
    let panicking: FinalWrite = Box::new(|tx| {
        Box::pin(async move {
            tx.execute(Query::new("INSERT INTO domain (id) VALUES (7)")).await?;
            panic!("no such month")
        })
    });
    let batch = vec![
        settlement(&leases[0], with(panicking, Vec::new())),
        settlement(&leases[1], completed()),
    ];
    let settled = world.store.settle(batch).await.unwrap();
    let Settled::WriteFailed { error, transient: false } = &settled[0] else {
        panic!("{settled:?}")
    };
    assert!(error.contains("panicked: no such month"), "{error}");
    assert!(matches!(settled[1], Settled::Done { .. }));
    assert_eq!(world.domain_rows().await, 0);
    world.end(&leases[0], with(insert(1), Vec::new())).await;
}

pub(crate) async fn link_follow_ups_to_their_parent(world: &World) {
    let leases = leased(world, 1).await;
    let parent = leases[0].task.task_id;
    let mut follow_ups = vec![world.task(JOBS[1]), world.task(JOBS[0])];
    for task in &mut follow_ups {
        task.parent = Some(parent);
    }
    let expected: Vec<_> = follow_ups.iter().map(|task| task.stamp.task_id).collect();
    world.end(&leases[0], Settle::Completed { result: None, write: None, follow_ups }).await;
    assert_eq!(world.store.get(parent).await.unwrap().children, expected);
    assert_eq!(world.store.get(expected[0]).await.unwrap().task.parent, Some(parent));
}
