//! What the documents say, held against what is there.

use admission::{Rules, Voucher};
use envelope::Limits;
use manifest::Manifest;

use crate::tree::read::{blocks, links, text_files};

#[test]
fn link_to_what_is_there() {
    let mut found = 0;
    let mut broken = Vec::new();
    for file in text_files("md") {
        for target in links(&file.text) {
            found += 1;
            if !file.folder().join(target).exists() {
                broken.push(format!("{}: {target}", file.path));
            }
        }
    }
    assert!(broken.is_empty(), "these are not there:\n{}", broken.join("\n"));
    assert!(found > 0, "the documents link to each other");
}

#[test]
fn show_envelopes_that_the_built_in_rules_know() {
    let contract = contract::contract();
    let manifest = Manifest::parse(main_worker::app::BUILT_IN_MANIFEST, &contract.names()).unwrap();
    let rules =
        Rules { manifest: &manifest, contract, keys: None, sealing: None, worker_sections: None };
    let mut found = 0;
    for file in text_files("md") {
        for block in blocks(&file.text, "json").filter(|block| block.contains("\"jobName\"")) {
            let envelope = admission::read(block.as_bytes(), &Limits::default());
            let envelope =
                envelope.unwrap_or_else(|error| panic!("{}: {error}\n{block}", file.path));
            let admitted = admission::admit(&rules, &envelope, &Voucher::Local);
            admitted.unwrap_or_else(|error| panic!("{}: {error}\n{block}", file.path));
            found += 1;
        }
    }
    assert!(found > 0, "some document shows an envelope");
}

#[test]
fn name_tests_that_exist() {
    let found = tests_named("docs/reliability.md").len();
    assert!(found >= 30, "only {found} tests are named");
    let sources = text_files("rs");
    for pain in 1..=15 {
        let start = format!("fn pain_{pain:02}_");
        assert!(sources.iter().any(|file| file.text.contains(&start)), "no test of pain {pain}");
    }
}

#[test]
fn show_each_fault_by_tests_that_say_so() {
    let named = tests_named("docs/faults.md");
    for fault in 1..=28 {
        let row = format!("| {fault} |");
        let mut tests = named.iter().filter(|test| test.line.starts_with(&row)).peekable();
        assert!(tests.peek().is_some(), "no test of fault {fault}");
        let number = fault.to_string();
        for NamedTest { name, comment, line: _ } in tests {
            let mut numbers = comment.split(|letter: char| !letter.is_ascii_digit());
            let says_so = comment.contains("Fault") && numbers.any(|found| found == number);
            assert!(says_so, "the comment of {name} does not say that it is about fault {fault}");
        }
    }
}

/// A test that a document names.
struct NamedTest {
    name: String,
    /// The line of the document.
    line: String,
    /// What stands above the test.
    comment: String,
}

/// Finds the tests that a document names as `path.rs::name`; each must be there.
fn tests_named(document: &str) -> Vec<NamedTest> {
    let sources = text_files("rs");
    let files = text_files("md");
    let page = files.iter().find(|file| file.path == document).expect("the page");
    let mut found = Vec::new();
    for line in page.text.lines() {
        for (path, name) in line.split('`').filter_map(|part| part.split_once(".rs::")) {
            let places = [format!("{path}.rs"), format!("tests/it/{path}.rs")];
            let source = sources.iter().find(|file| places.contains(&file.path));
            let source = source.unwrap_or_else(|| panic!("there is no {path}.rs"));
            let before = source.text.split_once(&format!("fn {name}("));
            let (before, _) = before.unwrap_or_else(|| panic!("{path}.rs has no test {name}"));
            let (name, line) = (name.to_owned(), line.to_owned());
            found.push(NamedTest { name, line, comment: comment_above(before) });
        }
    }
    found
}

/// The comment above the line in which a source is cut off, without the attributes between.
fn comment_above(before: &str) -> String {
    let (above, _) = before.rsplit_once('\n').unwrap_or_default();
    let lines = above.lines().rev().map(str::trim_start);
    let lines = lines.take_while(|line| line.starts_with("///") || line.starts_with("#["));
    lines.filter(|line| line.starts_with("///")).collect()
}
