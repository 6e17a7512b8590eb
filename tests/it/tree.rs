//! The tree of this repository, held to its own rules: which crate may know which, and what no
//! file may contain.

pub(crate) mod read;

use std::collections::BTreeSet;

use read::{Member, code, members};

/// The crates from the ground up; each knows crates of lower layers only.
const LAYERS: [&[&str]; 8] = [
    &["values"],
    &[
        "billing",
        "contract",
        "database",
        "edge_logs",
        "envelope",
        "manifest",
        "objects",
        "reporting",
    ],
    &["admission", "invoices", "mail", "models", "payments", "tasks", "work_loop"],
    &["scheduling"],
    &["job"],
    &["jobs"],
    &["main-worker"],
    &["api", "simulation"],
];
/// Crates without clock, network, environment or runtime.
const PURE: [&str; 8] = [
    "admission",
    "billing",
    "contract",
    "edge_logs",
    "envelope",
    "manifest",
    "values",
    "work_loop",
];
/// What pure crates may use beside each other: libraries that compute and nothing else.
const PURE_LIBRARIES: [&str; 17] = [
    "aws-lc-rs",
    "base64",
    "chrono",
    "chrono-tz",
    "cron",
    "memchr",
    "rust_iso3166",
    "rustls", // for HPKE; no connection is made
    "schemars",
    "serde",
    "serde_json",
    "serde_path_to_error",
    "simdutf8",
    "thiserror",
    "toml",
    "toml_parser",
    "uuid",
];
/// Also pure, but only where secrets are held.
const ZEROIZE: &str = "zeroize";
/// How code gets at a clock, the network, the environment or files.
const IMPURE: [&str; 8] = [
    "SystemTime::now",
    "Instant::now",
    "Utc::now",
    "std::env::",
    "std::fs",
    "std::net",
    "std::process",
    "std::thread::sleep",
];
/// Who asks for work, and must not know how it is done.
const CALLERS: [&str; 2] = ["scheduling", "api"];
/// Who does the work.
const HANDLERS: [&str; 3] = ["job", "jobs", "main-worker"];
/// Only tests start servers.
const TEST_ONLY: &str = "testkit";
/// Letters and digits behind the prefix of a key that somebody gave out; examples have fewer.
const LETTERS_OF_A_KEY: usize = 14;
/// Lines of a file without its tests; it is long before that.
const MAX_LINES: usize = 500;

fn layer(name: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&name))
}

fn member<'a>(members: &'a [Member], name: &str) -> &'a Member {
    members.iter().find(|member| member.name == name).unwrap_or_else(|| panic!("no crate `{name}`"))
}

/// All crates of this repository that `name` links, directly or not.
fn linked(members: &[Member], name: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![name.to_owned()];
    while let Some(name) = open.pop() {
        for dependency in member(members, &name).dependencies("dependencies") {
            let ours = members.iter().any(|member| member.name == dependency);
            if ours && found.insert(dependency.clone()) {
                open.push(dependency);
            }
        }
    }
    found
}

#[test]
fn dependencies_point_one_way() {
    let members = members();
    for member in members.iter().filter(|member| member.name != TEST_ONLY) {
        let name = &member.name;
        let own = layer(name).unwrap_or_else(|| {
            panic!("give `{name}` a layer in tests/it/tree.rs and a line in docs/architecture.md")
        });
        for dependency in member.dependencies("dependencies") {
            assert_ne!(dependency, TEST_ONLY, "`{name}` is not a test");
            if let Some(below) = layer(&dependency) {
                assert!(below < own, "`{name}` may not know `{dependency}`");
            }
        }
    }
}

#[test]
fn every_layer_names_crates_that_exist() {
    let members = members();
    for name in LAYERS.iter().flat_map(|layer| layer.iter()).chain([&TEST_ONLY]) {
        assert!(members.iter().any(|member| member.name == **name), "there is no crate `{name}`");
    }
}

#[test]
fn pure_crates_compute_and_nothing_else() {
    let members = members();
    for name in PURE {
        let member = member(&members, name);
        for dependency in member.dependencies("dependencies") {
            let dependency = dependency.as_str();
            let allowed = PURE.contains(&dependency)
                || PURE_LIBRARIES.contains(&dependency)
                || (dependency == ZEROIZE && name == "values");
            assert!(allowed, "`{name}` is pure and may not use `{dependency}`");
        }
        let sources = member.sources(&["src"]);
        for file in sources.iter().filter(|file| !file.path.ends_with("tests.rs")) {
            let code = code(&file.text);
            for impure in IMPURE {
                assert!(!code.contains(impure), "{} is pure: {impure}", file.path);
            }
        }
    }
}

#[test]
fn who_asks_for_work_links_no_handler() {
    let members = members();
    for caller in CALLERS {
        let linked = linked(&members, caller);
        for handler in HANDLERS {
            assert!(!linked.contains(handler), "`{caller}` links `{handler}`: {linked:?}");
        }
    }
    assert!(linked(&members, "main-worker").contains("jobs"), "the closure follows dependencies");
}

#[test]
fn every_dependency_is_used() {
    let mut unused = Vec::new();
    for member in members() {
        for (table, folders) in [
            ("dependencies", &["src"] as &[&str]),
            ("dev-dependencies", &["src", "tests", "benches", "examples"]),
        ] {
            let sources = member.sources(folders);
            for dependency in member.dependencies(table) {
                let name = dependency.replace('-', "_");
                if !sources.iter().any(|file| read::names(&file.text, &name)) {
                    unused.push(format!("{}: [{table}] {dependency}", member.name));
                }
            }
        }
    }
    assert!(unused.is_empty(), "not used:\n{}", unused.join("\n"));
}

#[test]
fn every_crate_keeps_the_rules_of_the_workspace() {
    for member in members() {
        let name = &member.name;
        let inherits = |table: &str, key: &str| member.inherits(table, key);
        assert!(member.lints_of_the_workspace(), "`{name}` needs [lints] workspace = true");
        for key in ["version", "edition", "rust-version", "license", "publish"] {
            assert!(inherits("package", key), "`{name}` needs {key}.workspace = true");
        }
        for table in ["dependencies", "dev-dependencies"] {
            for dependency in member.dependencies(table) {
                assert!(
                    inherits(table, &dependency),
                    "`{name}`: `{dependency}` gets its version from [workspace.dependencies]"
                );
            }
        }
    }
}

#[test]
fn files_hold_one_idea() {
    for member in members() {
        for file in member.sources(&["src"]) {
            let lines = code(&file.text).lines().count();
            assert!(lines <= MAX_LINES, "{} has {lines} lines of code", file.path);
        }
    }
}

#[test]
fn a_job_is_named_as_its_file() {
    let members = members();
    let sources = member(&members, "jobs").sources(&["src"]);
    for descriptor in contract::contract().jobs() {
        let path = format!("jobs/src/{}.rs", descriptor.job);
        assert!(sources.iter().any(|file| file.path == path), "there is no {path}");
    }
}

#[test]
fn nothing_is_left_for_later() {
    // Put together here, so that this file does not contain them.
    let forbidden = [
        ["#[ig", "nore"].concat(),
        ["to", "do!("].concat(),
        ["unimple", "mented!("].concat(),
        ["#[al", "low("].concat(),
        ["#![al", "low("].concat(),
    ];
    for member in members() {
        for file in member.sources(&["src", "tests", "benches", "examples"]) {
            for word in &forbidden {
                assert!(!file.text.contains(word.as_str()), "{}: {word}", file.path);
            }
        }
    }
}

/// Fault 6: no amount is ever a floating point number.
#[test]
fn money_is_counted_in_integers() {
    let members = members();
    for (name, folder) in [("billing", "src"), ("models", "src/billing"), ("jobs", "src/billing")] {
        let sources = member(&members, name).sources(&[folder]);
        assert!(sources.len() > 5, "{name}/{folder} has moved");
        for file in sources {
            for float in ["f32", "f64"] {
                assert!(!code(&file.text).contains(float), "{}: {float}", file.path);
            }
        }
    }
}

/// Fault 19: addresses come from settings; only the gateway's has one that is built in.
#[test]
fn no_service_is_asked_that_nobody_named() {
    let own = |name: &str| name == TEST_ONLY || layer(name) == Some(LAYERS.len() - 1);
    let members = members();
    let mut hosts = BTreeSet::new();
    for member in members.iter().filter(|member| !own(&member.name)) {
        for file in member.sources(&["src"]).iter().filter(|f| !f.path.ends_with("tests.rs")) {
            let code = code(&file.text);
            for address in code.split("http").skip(1) {
                let rest = address.strip_prefix("s").unwrap_or(address);
                let Some(rest) = rest.strip_prefix("://") else { continue };
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !"-.[:]".contains(c));
                let host = &rest[..end.unwrap_or(rest.len())];
                let is_name = host.contains(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
                if is_name && !host.contains("example") {
                    hosts.insert(host.trim_end_matches(':').to_owned());
                }
            }
        }
    }
    let expected = ["127.0.0.1", "[::1]", "api.stripe.com", "localhost"];
    assert_eq!(hosts.iter().collect::<Vec<_>>(), expected);
}

/// Fault 21: keys are made where they are used.
#[test]
fn no_key_is_in_the_repository() {
    // Put together here, so that this file does not contain them.
    let private = ["PRIVATE", " KEY---"].concat();
    let prefixes = ["sk_live_", "rk_live_", "sk_test_", "whsec_", "AKIA", "ghp_", "xoxb-"];
    let is_long = |rest: &str| {
        rest.chars().take_while(char::is_ascii_alphanumeric).count() >= LETTERS_OF_A_KEY
    };
    let kinds = ["rs", "md", "toml", "json", "jsonl", "yml", "sh", "env", "pem", "key", "mail"];
    let files: Vec<_> = kinds.iter().flat_map(|kind| read::text_files(kind)).collect();
    assert!(files.len() > 500, "only {} files were found", files.len());
    for file in files {
        assert!(!file.text.contains(&private), "{}: a private key", file.path);
        for prefix in prefixes {
            let mut found = file.text.split(prefix).skip(1);
            assert!(!found.any(is_long), "{}: {prefix}...", file.path);
        }
    }
}
