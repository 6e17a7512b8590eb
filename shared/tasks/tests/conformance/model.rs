//! Random operations, compared with a plain model that knows no SQL.

mod plain;
mod steps;

use proptest::test_runner::{Config, TestRunner};

/// Random histories that are tried.
const CASES: u32 = 300;

#[test]
fn behaves_like_a_plain_model() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let world = runtime.block_on(crate::world::sqlite());
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let case = std::cell::Cell::new(0);
    let played = TestRunner::new(config).run(&steps::history(), |history| {
        case.set(case.get() + 1);
        runtime.block_on(steps::play(&world, case.get(), history));
        Ok(())
    });
    played.unwrap();
}
