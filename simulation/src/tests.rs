use super::*;
use Plant::{EffectAfterCommit, SettleWithoutFencing, TickWithoutRow};

/// Seeds within which each planted mistake must be found.
const SEEDS: u64 = 100;
const STEPS: u64 = 500;

#[test]
fn the_same_seed_gives_the_same_history() {
    for seed in 0..10 {
        let plan = Plan::new(STEPS);
        let (one, two) = (run_once(seed, plan, 0), run_once(seed, plan, 60));
        assert_eq!(one.history.hash(), two.history.hash(), "seed {seed}");
        assert_eq!((one.steps, one.violation), (two.steps, two.violation));
        assert_ne!(one.history.hash(), run_once(seed + 1, plan, 0).history.hash());
    }
}

#[test]
fn finds_each_planted_mistake_and_nothing_without_it() {
    let find =
        |plant| (0..SEEDS).find_map(|seed| run(seed, Plan::new(STEPS).with(plant)).violation);
    assert_eq!(find(None), None);
    for (plant, words) in [
        (SettleWithoutFencing, "was taken after lease"),
        (TickWithoutRow, "was enqueued twice"),
        (EffectAfterCommit, "happened 0 times"),
    ] {
        let found = find(Some(plant)).unwrap_or_else(|| panic!("{plant:?} was not found"));
        assert!(found.contains(words), "{plant:?}: {found}");
    }
}

#[test]
fn every_command_and_every_fault_occurs() {
    let mut counts = vec![0; Mark::ALL.len()];
    for seed in 0..200 {
        let report = run(seed, Plan::new(STEPS));
        for (count, mark) in counts.iter_mut().zip(Mark::ALL) {
            *count += report.history.count(*mark);
        }
    }
    let never: Vec<&Mark> =
        Mark::ALL.iter().zip(&counts).filter(|(_, count)| **count == 0).map(|(m, _)| m).collect();
    assert!(never.is_empty(), "never happened: {never:?}");
}
