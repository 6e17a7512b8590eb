//! The adapter holds itself back.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use crate::harness::{Harness, adapter, hasty};

#[tokio::test]
async fn calls_no_faster_than_it_may() {
    let harness = Harness::start().await;
    let mut settings = hasty(harness.scripted.settings());
    settings.rate_per_second = NonZeroU32::new(20).unwrap();
    let gateway = adapter(&settings);
    let started = Instant::now();
    for n in 0..13 {
        gateway.charge(&harness.charge(&format!("k{n}"))).await.unwrap();
    }
    // Three at once, then ten at 50 ms each.
    assert!(started.elapsed() >= Duration::from_millis(490), "{:?}", started.elapsed());
    assert_eq!(harness.scripted.charges().len(), 13);
}

#[test]
fn the_default_is_twenty_per_second() {
    let settings = payments::StripeSettings::new("sk_test_x".to_owned().into());
    assert_eq!(settings.rate_per_second.get(), 20);
}
