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
