//! Workers killed at random moments lose nothing and do nothing twice.

use std::process::Command;

use serde_json::Value;

use crate::site::PROGRAM;

#[test]
fn killed_workers_lose_nothing_and_double_nothing() {
    let output = Command::new(PROGRAM)
        .args(["--output", "json", "bench", "faults"])
        .args(["--tasks", "2000", "--workers", "2", "--kills", "8", "--seed", "3"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["completed"], 2_000, "{report}");
    assert!(report["kills"].as_u64().unwrap() > 0, "{report}");
    for promise in
        ["lost", "other", "effectsMissing", "effectsDoubled", "rowsMissing", "rowsDoubled"]
    {
        assert_eq!(report[promise], 0, "{report}");
    }
}
