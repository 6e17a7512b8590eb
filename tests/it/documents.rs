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
    let sources = text_files("rs");
    let files = text_files("md");
    let page = files.iter().find(|file| file.path == "docs/reliability.md").expect("the page");
    let names = page.text.split('`').filter_map(|part| part.split_once(".rs::"));
    let mut found = 0;
    for (path, name) in names {
        let places = [format!("{path}.rs"), format!("tests/it/{path}.rs")];
        let source = sources.iter().find(|file| places.contains(&file.path));
        let source = source.unwrap_or_else(|| panic!("there is no {path}.rs"));
        assert!(source.text.contains(&format!("fn {name}(")), "{path}.rs has no test {name}");
        found += 1;
    }
    assert!(found >= 30, "only {found} tests are named");
    for pain in 1..=15 {
        let start = format!("fn pain_{pain:02}_");
        assert!(sources.iter().any(|file| file.text.contains(&start)), "no test of pain {pain}");
    }
}
