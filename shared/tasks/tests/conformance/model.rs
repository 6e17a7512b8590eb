//! Random operations, compared with a plain model that knows no SQL.

mod plain;
mod steps;

use proptest::test_runner::{Config, TestRunner};

use crate::world::World;

/// Random histories that are tried on each engine: on a server every step crosses the network.
const CASES_EMBEDDED: u32 = 300;
const CASES_ON_A_SERVER: u32 = 60;

fn compare(world: impl Future<Output = World>, cases: u32) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let world = runtime.block_on(world);
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let case = std::cell::Cell::new(0);
    let played = TestRunner::new(config).run(&steps::history(), |history| {
        case.set(case.get() + 1);
        runtime.block_on(steps::play(&world, case.get(), history));
        Ok(())
    });
    played.unwrap();
    runtime.block_on(async { drop(world) });
}

#[test]
fn behaves_like_a_plain_model() {
    compare(crate::world::sqlite(), CASES_EMBEDDED);
}

#[test]
fn behaves_like_a_plain_model_on_a_server() {
    compare(crate::world::postgres(), CASES_ON_A_SERVER);
}
