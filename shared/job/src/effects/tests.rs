use std::sync::atomic::{AtomicU32, Ordering};

use database::EngineKind;
use testkit::TestDb;
use values::{FixedClock, Timestamp};

use super::*;

struct Outside {
    calls: AtomicU32,
    happened: AtomicU32,
}

async fn ledger(engine: EngineKind) -> (TestDb, Effects) {
    let database = TestDb::new(engine, "effects", &[EFFECTS]).await;
    let clock = Arc::new(FixedClock(Timestamp::from_seconds(1)));
    let task = TaskId::new(Timestamp::EPOCH, [0; 10]);
    let effects = Effects::new(database.db.clone(), clock, task);
    (database, effects)
}

/// Runs an effect whose call goes wrong in a given way.
async fn run(
    effects: &Effects,
    outside: &Outside,
    happens: bool,
    fails: Option<JobError>,
) -> Result<u32, JobError> {
    let call = |_| async {
        outside.calls.fetch_add(1, Ordering::SeqCst);
        if happens {
            outside.happened.fetch_add(1, Ordering::SeqCst);
        }
        fails.map_or(Ok(7), Err)
    };
    let reconcile = |_| async { Ok((outside.happened.load(Ordering::SeqCst) > 0).then_some(7)) };
    effects.once("charge acct_1 2026-10 1", call, reconcile).await
}

async fn happens_once_wherever_the_call_is_cut_off(engine: EngineKind) {
    for (happens, expected_calls) in [(true, 1), (false, 2)] {
        let (_database, effects) = ledger(engine).await;
        let outside = Outside { calls: AtomicU32::new(0), happened: AtomicU32::new(0) };
        let lost = Some(JobError::retryable("the line went dead"));
        run(&effects, &outside, happens, lost).await.unwrap_err();
        let state = effects.state("charge acct_1 2026-10 1").await.unwrap();
        assert_eq!(state.as_deref(), Some("unknown"));
        for _ in 0..3 {
            assert_eq!(run(&effects, &outside, true, None).await.unwrap(), 7);
        }
        assert_eq!(outside.happened.load(Ordering::SeqCst), 1, "happens: {happens}");
        assert_eq!(outside.calls.load(Ordering::SeqCst), expected_calls);
    }
}

async fn a_call_that_never_returned_is_reconciled(engine: EngineKind) {
    let (_database, effects) = ledger(engine).await;
    let key = "mail out_1";
    let hung =
        effects.once::<u32, _, _, _, _>(key, |_| std::future::pending(), |_| async { Ok(None) });
    tokio::time::timeout(std::time::Duration::from_millis(200), hung).await.unwrap_err();
    assert_eq!(effects.state(key).await.unwrap().as_deref(), Some("doing"));
    let found: u32 = effects
        .once(key, |_| async { panic!("the call is not repeated") }, |_| async { Ok(Some(9)) })
        .await
        .unwrap();
    assert_eq!(found, 9);
}

async fn a_definite_refusal_may_be_tried_anew(engine: EngineKind) {
    let (_database, effects) = ledger(engine).await;
    let outside = Outside { calls: AtomicU32::new(0), happened: AtomicU32::new(0) };
    let refused = Some(JobError::permanent("card declined"));
    run(&effects, &outside, false, refused).await.unwrap_err();
    assert_eq!(run(&effects, &outside, true, None).await.unwrap(), 7);
    assert_eq!(outside.calls.load(Ordering::SeqCst), 2);
}

async fn of_two_attempts_at_once_one_makes_the_call(engine: EngineKind) {
    let (_database, effects) = ledger(engine).await;
    let calls = AtomicU32::new(0);
    let attempt = || {
        effects.once::<u32, _, _, _, _>(
            "charge once",
            |_| async {
                calls.fetch_add(1, Ordering::SeqCst);
                Ok(7)
            },
            |_| async { Ok(Some(7)) },
        )
    };
    let (one, two, three) = tokio::join!(attempt(), attempt(), attempt());
    assert_eq!([one.unwrap(), two.unwrap(), three.unwrap()], [7; 3]);
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

async fn an_error_may_hold_any_character(engine: EngineKind) {
    let (_database, effects) = ledger(engine).await;
    let outside = Outside { calls: AtomicU32::new(0), happened: AtomicU32::new(0) };
    let lost = Some(JobError::retryable("answered \0 and \u{1f980}"));
    run(&effects, &outside, false, lost).await.unwrap_err();
    let state = effects.state("charge acct_1 2026-10 1").await.unwrap();
    assert_eq!(state.as_deref(), Some("unknown"));
}

/// Its end is stored with what follows from it: until then a repeat asks the other side, and
/// afterwards nobody.
async fn an_end_may_wait_for_the_outcome(engine: EngineKind) {
    let (database, effects) = ledger(engine).await;
    let asked = AtomicU32::new(0);
    let key = "charge acct_1 2026-10 1";
    let attempt = |happens: bool| {
        let asked = &asked;
        effects.once_until_settled::<u32, _, _, _, _>(
            key,
            async move |_| if happens { Ok(7) } else { panic!("the call is not repeated") },
            async move |_| {
                asked.fetch_add(1, Ordering::SeqCst);
                Ok(Some(7))
            },
        )
    };
    let state = async || effects.state(key).await.unwrap().unwrap();
    let (result, end) = attempt(true).await.unwrap();
    assert_eq!((result, &*state().await), (7, "doing"));
    // The worker dies, or what follows cannot be stored.
    let mut lost = database.db.begin().await.unwrap();
    end.write(&mut lost.tx()).await.unwrap();
    lost.rollback().await.unwrap();
    let (result, end) = attempt(false).await.unwrap();
    assert_eq!((result, &*state().await, asked.load(Ordering::SeqCst)), (7, "doing", 1));
    let mut settled = database.db.begin().await.unwrap();
    end.write(&mut settled.tx()).await.unwrap();
    settled.commit().await.unwrap();
    assert_eq!(state().await, "done");
    let (result, end) = attempt(false).await.unwrap();
    assert_eq!((result, asked.load(Ordering::SeqCst)), (7, 1));
    let mut again = database.db.begin().await.unwrap();
    end.write(&mut again.tx()).await.unwrap();
    again.commit().await.unwrap();
    // Whoever reads it in the other way finds the same.
    let unasked = async |_| panic!("it is known");
    let call = async |_| panic!("the call is not repeated");
    assert_eq!(effects.once::<u32, _, _, _, _>(key, call, unasked).await.unwrap(), 7);
}

/// A call that happened and whose answer was lost is asked about, whatever a later call says.
async fn a_refusal_does_not_undo_an_earlier_call(engine: EngineKind) {
    let (_database, effects) = ledger(engine).await;
    let key = "charge acct_1 2026-10 1";
    let happens = async |_| Ok(7_u32);
    let (_, end) = effects.once_until_settled(key, happens, async |_| Ok(None)).await.unwrap();
    drop(end); // what follows could not be stored
    let refused = async |_| Err::<u32, _>(JobError::permanent("the key was revoked"));
    effects.once(key, refused, async |_| Ok(None)).await.unwrap_err();
    assert_eq!(effects.state(key).await.unwrap().as_deref(), Some("unknown"));
    let call = async |_| panic!("the call is not repeated");
    let found = effects.once::<u32, _, _, _, _>(key, call, async |_| Ok(Some(7))).await;
    assert_eq!(found.unwrap(), 7);
}

testkit::on_each_engine!(
    happens_once_wherever_the_call_is_cut_off,
    a_call_that_never_returned_is_reconciled,
    a_definite_refusal_may_be_tried_anew,
    of_two_attempts_at_once_one_makes_the_call,
    an_error_may_hold_any_character,
    an_end_may_wait_for_the_outcome,
    a_refusal_does_not_undo_an_earlier_call,
);
