use super::*;

fn at(millis: u32) -> Moment {
    Moment::default().after(Span::from_millis(millis))
}

fn core(concurrency: usize, prefetch: usize) -> Core {
    Core::new(Settings {
        concurrency,
        prefetch,
        drain_timeout: Span::from_seconds(30),
        until_empty: false,
    })
}

fn taken(row: i64, started: bool, priority: u8) -> Taken {
    Taken { lease: (row, 7), started, priority, run_at: Timestamp::EPOCH }
}

/// Fault 14: a worker takes as many tasks as it has places.
#[test]
fn asks_for_as_many_tasks_as_it_has_slots_and_runs_them() {
    let mut core = core(2, 0);
    let ask = core.step(at(0), vec![Event::Tick]);
    assert_eq!(ask, [Command::Lease { start: 2, hold: 0, above: None, wait: LEASE_WAIT }]);
    assert_eq!(core.step(at(1), vec![Event::Tick]), []);
    let run = core.step(at(2), vec![Event::Leased(vec![taken(1, true, 0)])]);
    assert_eq!(run[0], Command::Run((1, 7)));
    assert!(matches!(run[1], Command::Lease { start: 1, .. }));
    let settle = core.step(at(3), vec![Event::Ended((1, 7))]);
    assert_eq!(settle, [Command::Settle(vec![(1, 7)])]);
    core.step(at(4), vec![Event::Settled(vec![(1, 7)])]);
    assert_eq!(core.running(), 0);
}

#[test]
fn takes_no_more_while_too_many_settlements_are_under_way() {
    let mut core = core(2, 0);
    let mut ended = Vec::new();
    let mut commands = core.step(at(0), vec![Event::Tick]);
    for round in 0..5_i64 {
        let free = match commands.last() {
            Some(Command::Lease { start, .. }) => *start,
            other => panic!("round {round}: {other:?}"),
        };
        assert_eq!(free, 2, "round {round}");
        let tasks: Vec<_> = (0..2).map(|at| taken(2 * round + at, true, 0)).collect();
        ended = tasks.iter().map(|task| task.lease).collect();
        core.step(at(1), vec![Event::Leased(tasks)]);
        commands = core.step(at(2), ended.iter().map(|lease| Event::Ended(*lease)).collect());
    }
    let leases = |commands: &[Command]| {
        commands.iter().any(|command| matches!(command, Command::Lease { .. }))
    };
    assert!(!leases(&commands), "ten settlements are under way: {commands:?}");
    assert!(leases(&core.step(at(3), vec![Event::Settled(ended)])));
}

#[test]
fn looks_for_higher_priorities_before_it_starts_what_it_holds() {
    let mut core = core(1, 3);
    core.step(at(0), vec![Event::Tick]);
    let tasks = vec![taken(1, true, 1), taken(2, false, 0), taken(3, false, 1)];
    let run = core.step(at(1), vec![Event::Leased(tasks)]);
    assert_eq!(run, [Command::Run((1, 7))]);
    core.step(at(2), vec![Event::Ended((1, 7))]);
    // The lease that brought the held tasks has just looked.
    let mut core_again = core;
    let start = core_again.step(at(3), vec![Event::Settled(vec![(1, 7)])]);
    assert_eq!(start, []);
    let run =
        core_again.step(at(4), vec![Event::Started { asked: vec![(3, 7)], counted: vec![(3, 7)] }]);
    assert_eq!(run, [Command::Run((3, 7))]);
    let look = core_again.step(at(5), vec![Event::Ended((3, 7))]);
    assert_eq!(look[1], Command::Lease { start: 1, hold: 0, above: Some(0), wait: Span::ZERO });
    let start = core_again.step(at(6), vec![Event::Leased(vec![taken(9, true, 2)])]);
    assert_eq!(start, [Command::Run((9, 7))]);
}

#[test]
fn drains_by_giving_back_what_it_holds_and_waiting_for_what_runs() {
    let mut core = core(1, 2);
    core.step(at(0), vec![Event::Tick]);
    core.step(at(1), vec![Event::Leased(vec![taken(1, true, 0), taken(2, false, 0)])]);
    let back = core.step(at(2), vec![Event::Drain]);
    assert_eq!(back, [Command::GiveBack(vec![(2, 7)])]);
    assert_eq!(core.step(at(3), vec![Event::Settled(vec![(2, 7)])]), []);
    assert_eq!(core.step(at(29_000), vec![Event::Tick]), []);
    let stop = core.step(at(30_002), vec![Event::Tick]);
    assert_eq!(stop, [Command::Stop((1, 7), Stop::Draining)]);
    core.step(at(30_003), vec![Event::Ended((1, 7))]);
    assert_eq!(core.step(at(30_004), vec![Event::Settled(vec![(1, 7)])]), [Command::Exit]);
}

#[test]
fn stops_at_once_on_the_second_signal() {
    let mut core = core(1, 0);
    core.step(at(0), vec![Event::Tick]);
    core.step(at(1), vec![Event::Leased(vec![taken(1, true, 0)])]);
    core.step(at(2), vec![Event::Drain]);
    let stop = core.step(at(3), vec![Event::Abort]);
    assert_eq!(stop, [Command::Stop((1, 7), Stop::Draining), Command::GiveBack(vec![(1, 7)])]);
    assert_eq!(core.step(at(4), vec![Event::Settled(vec![(1, 7)])]), [Command::Exit]);
}

#[test]
fn settles_again_after_a_pause_and_asks_again_after_a_failure() {
    let mut core = core(1, 0);
    core.step(at(0), vec![Event::Tick]);
    assert_eq!(core.step(at(1), vec![Event::LeaseFailed]), []);
    assert_eq!(core.wake_at(), Some(at(501)));
    assert!(matches!(core.step(at(501), vec![Event::Tick])[..], [Command::Lease { .. }]));
    core.step(at(502), vec![Event::Leased(vec![taken(1, true, 0)])]);
    core.step(at(503), vec![Event::Ended((1, 7))]);
    core.step(at(504), vec![Event::SettleFailed(vec![(1, 7)])]);
    let again = core.step(at(1_004), vec![Event::Tick]);
    assert!(again.contains(&Command::Settle(vec![(1, 7)])), "{again:?}");
}

#[test]
fn settles_nothing_of_a_lost_lease_and_registers_anew() {
    let mut core = core(1, 1);
    core.step(at(0), vec![Event::Tick]);
    core.step(at(1), vec![Event::Leased(vec![taken(1, true, 0), taken(2, false, 0)])]);
    let lost = core.step(at(2), vec![Event::LeasesLost]);
    assert_eq!(
        lost,
        [Command::Stop((1, 7), Stop::LeaseLost), Command::Forget((2, 7)), Command::Register]
    );
    assert_eq!(core.step(at(3), vec![Event::Ended((1, 7))]), [Command::Forget((1, 7))]);
    let again = core.step(at(4), vec![Event::Registered]);
    assert!(matches!(again[..], [Command::Lease { start: 1, .. }]));
}

#[test]
fn ends_when_nothing_is_left() {
    let mut core = core(1, 0);
    core.settings.until_empty = true;
    core.step(at(0), vec![Event::Tick]);
    assert_eq!(core.step(at(1), vec![Event::Leased(vec![])]), [Command::CheckEmpty]);
    assert!(matches!(core.step(at(2), vec![Event::Emptiness(false)])[..], [Command::Lease { .. }]));
    core.step(at(3), vec![Event::Leased(vec![])]);
    assert_eq!(core.step(at(4), vec![Event::Emptiness(true)]), [Command::Exit]);
}

#[test]
fn looks_again_after_a_settlement_that_may_have_brought_follow_ups() {
    let mut core = core(1, 0);
    core.settings.until_empty = true;
    core.step(at(0), vec![Event::Tick]);
    core.step(at(1), vec![Event::Leased(vec![taken(1, true, 0)])]);
    core.step(at(2), vec![Event::Ended((1, 7))]);
    let again = core.step(at(3), vec![Event::Settled(vec![(1, 7)])]);
    assert!(!again.contains(&Command::CheckEmpty), "{again:?}");
}

#[test]
fn cancels_what_it_only_holds_by_giving_it_back() {
    let mut core = core(1, 2);
    core.step(at(0), vec![Event::Tick]);
    core.step(at(1), vec![Event::Leased(vec![taken(1, true, 0), taken(2, false, 0)])]);
    let commands = core.step(at(2), vec![Event::CancelAsked(vec![1, 2])]);
    assert_eq!(commands, [Command::Stop((1, 7), Stop::Cancelled), Command::GiveBack(vec![(2, 7)])]);
}

#[test]
fn ends_even_if_the_store_never_answers_again() {
    let mut core = core(1, 0);
    core.step(at(0), vec![Event::Tick]);
    core.step(at(1), vec![Event::Leased(vec![taken(1, true, 0)])]);
    core.step(at(2), vec![Event::Ended((1, 7))]);
    core.step(at(3), vec![Event::SettleFailed(vec![(1, 7)]), Event::Leased(vec![]), Event::Drain]);
    let later = 30_003 + 10_000;
    core.step(at(20_000), vec![Event::SettleFailed(vec![(1, 7)])]);
    assert_eq!(core.wake_at(), Some(at(20_500)));
    core.step(at(later - 1), vec![Event::Tick]);
    let end = core.step(at(later), vec![Event::SettleFailed(vec![(1, 7)])]);
    assert_eq!(end, [Command::Forget((1, 7)), Command::Exit]);
    assert_eq!(core.abandoned(), 1);
}

#[test]
fn a_second_signal_waits_only_shortly_for_the_store() {
    let mut core = core(1, 0);
    core.step(at(0), vec![Event::Tick]);
    core.step(at(1), vec![Event::Leased(vec![taken(1, true, 0)])]);
    core.step(at(2), vec![Event::Drain]);
    core.step(at(3), vec![Event::Abort]);
    core.step(at(4), vec![Event::SettleFailed(vec![(1, 7)])]);
    let end = core.step(at(3_003), vec![Event::Tick]);
    assert_eq!(end.last(), Some(&Command::Exit));
}

#[test]
fn settles_nothing_again_once_its_leases_are_lost() {
    let mut core = core(1, 0);
    core.step(at(0), vec![Event::Tick]);
    core.step(at(1), vec![Event::Leased(vec![taken(1, true, 0)])]);
    core.step(at(2), vec![Event::Ended((1, 7))]);
    let lost = core.step(at(3), vec![Event::LeasesLost]);
    assert_eq!(lost, [Command::Forget((1, 7)), Command::Register]);
    core.step(at(4), vec![Event::SettleFailed(vec![(1, 7)])]);
    let after = core.step(at(600), vec![Event::Leased(vec![]), Event::Registered]);
    assert!(matches!(after[..], [Command::Lease { .. }]), "{after:?}");
}

#[test]
fn gives_back_what_was_leased_for_the_worker_it_no_longer_is() {
    let mut core = core(2, 0);
    core.step(at(0), vec![Event::Tick]);
    assert_eq!(core.step(at(1), vec![Event::LeasesLost]), [Command::Register]);
    core.step(at(2), vec![Event::Registered]);
    let late = core.step(at(3), vec![Event::Leased(vec![taken(1, true, 0)])]);
    assert_eq!(late[0], Command::GiveBack(vec![(1, 7)]));
    assert!(matches!(late[1], Command::Lease { start: 2, .. }), "{late:?}");
    let next = core.step(at(4), vec![Event::Leased(vec![taken(2, true, 0)])]);
    assert_eq!(next[0], Command::Run((2, 7)));
}

#[test]
fn a_late_answer_to_a_start_concerns_only_what_was_asked() {
    let mut core = core(1, 1);
    core.step(at(0), vec![Event::Tick]);
    let start = core.step(at(1), vec![Event::Leased(vec![taken(1, false, 0)])]);
    assert_eq!(start, [Command::Start(vec![(1, 7)])]);
    core.step(at(2), vec![Event::LeasesLost, Event::Registered]);
    let start = core.step(at(3), vec![Event::Leased(vec![taken(2, false, 0)])]);
    assert_eq!(start, [Command::Start(vec![(2, 7)])]);
    let late = Event::Started { asked: vec![(1, 7)], counted: vec![(1, 7)] };
    assert_eq!(core.step(at(4), vec![late]), []);
    let run = Event::Started { asked: vec![(2, 7)], counted: vec![(2, 7)] };
    assert_eq!(core.step(at(5), vec![run]), [Command::Run((2, 7))]);
}

#[test]
fn registers_again_if_the_registration_was_answered_too_late() {
    let mut core = core(1, 0);
    core.step(at(0), vec![Event::LeasesLost]);
    // Known to be lost before the loop has heard of it.
    let again = core.step(at(9_000), vec![Event::LeasesLost, Event::Registered]);
    assert_eq!(again, [Command::Register]);
    let lease = core.step(at(9_100), vec![Event::Registered]);
    assert!(matches!(lease[..], [Command::Lease { .. }]), "{lease:?}");
}
