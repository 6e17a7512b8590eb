//! The fuzz corpus as a normal test: every file gets the answer its name begins with.
//!
//! A file is called `CODE-what_it_is`, with CODE either `ok` or one of `EnvelopeError::code`.
//! A new find of the fuzzer is renamed so when it is kept.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use envelope::{Envelope, Limits};

const FEWEST_FILES: usize = 30;

#[test]
fn every_corpus_file_gets_the_answer_in_its_name() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/envelope");
    let mut codes = BTreeSet::new();
    let mut files = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let bytes = fs::read(entry.path()).unwrap();
        let answer = Envelope::parse(&bytes, &Limits::default());
        let code = answer.map_or_else(|error| error.code(), |_| "ok");
        let expected = name.split_once('-').map(|(code, _)| code);
        assert_eq!(Some(code), expected, "{name}");
        codes.insert(code);
        files += 1;
    }
    assert!(files >= FEWEST_FILES, "only {files} files");
    // `too_large` is tested elsewhere: long files slow the fuzzer down.
    let all = [
        "duplicate_key",
        "missing_key",
        "not_an_object",
        "not_json",
        "not_utf8",
        "ok",
        "too_deep",
        "unknown_key",
        "wrong_type",
    ];
    assert_eq!(codes, BTreeSet::from(all));
}
