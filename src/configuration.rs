//! The worker's own configuration: sections from a file and from the environment.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use contract::Contract;
use contract::billing::{PaymentConfiguration, Payments};
use serde_json::Value;
use values::Secret;

/// Sections by name, each a JSON object.
pub type Sections = BTreeMap<String, Secret<String>>;

/// Reads the file, then lets the environment's sections win over it.
pub fn read(file: Option<&Path>, environment: &[(String, Secret<String>)]) -> Result<Sections> {
    let mut sections = Sections::new();
    if let Some(path) = file {
        let shown = path.display();
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the configuration file {shown}"))?;
        let text = Secret::new(text);
        sections = parse(&text).with_context(|| format!("in the configuration file {shown}"))?;
    }
    for (name, value) in environment {
        let parsed: Result<Value, _> = serde_json::from_str(value.expose());
        // The parser's own message may quote the value.
        if !parsed.is_ok_and(|value| value.is_object()) {
            bail!(
                "MAIN_WORKER_SECTION_{name} is not a JSON object, such as {{\"accessKeyId\":\"...\"}}"
            );
        }
        sections.insert(name.clone(), value.clone());
    }
    Ok(sections)
}

/// Holds the worker's own sections against the jobs that read them; others may lie there too.
///
/// # Errors
/// Every field that is wrong, never its value.
pub fn check(sections: &Sections, contract: &Contract) -> Result<()> {
    let mut problems = Vec::new();
    let declared = contract.jobs().iter().flat_map(|job| job.sections);
    for section in declared.filter(|section| section.origin.allows_worker()) {
        if let Some(value) = sections.get(section.name)
            && let Err(problem) = section.check(value.expose())
        {
            problems.push(format!("{problem}, in the worker's own configuration"));
        }
    }
    problems.dedup();
    anyhow::ensure!(problems.is_empty(), problems.join("\n"));
    Ok(())
}

/// The section with the payment gateway's key.
pub const PAYMENTS: &str = "payments";

/// Reads the section [`PAYMENTS`]; `None` without it: customers pay by transfer then.
///
/// # Errors
/// That it is none, without its values.
pub fn payments(sections: &Sections) -> Result<Option<Payments>> {
    let read = sections.get(PAYMENTS).map(|section| {
        // The parser's own message may quote the value.
        serde_json::from_str(section.expose()).ok().with_context(|| {
            format!("the section `{PAYMENTS}` is not secretKey and webhookSecrets")
        })
    });
    read.transpose()
}

/// Refuses a section [`PAYMENTS`] with which no charge could be made in this environment.
///
/// # Errors
/// What is wrong with it.
pub fn check_payments(sections: &Sections, environment: &str) -> Result<Option<Payments>> {
    let payments = payments(sections)?;
    let configuration = PaymentConfiguration { payments: payments.clone() };
    jobs::open_gateway(&configuration, environment)
        .with_context(|| format!("the section `{PAYMENTS}` cannot work"))?;
    Ok(payments)
}

/// Reads sections from text: JSON if it begins with a brace, TOML otherwise.
pub fn parse(text: &Secret<String>) -> Result<Sections> {
    let value: Option<Value> = if text.expose().trim_start().starts_with('{') {
        serde_json::from_str(text.expose()).ok()
    } else {
        toml::from_str(text.expose()).ok()
    };
    let Some(Value::Object(members)) = value else {
        bail!("it is neither a JSON object nor TOML; write one table per section");
    };
    let mut sections = Sections::new();
    for (name, value) in members {
        if !value.is_object() {
            bail!("`{name}` is not a section; write [{name}] with its keys below");
        }
        sections.insert(name, Secret::new(value.to_string()));
    }
    Ok(sections)
}

/// All texts inside a section, to be kept out of every log.
pub fn texts(section: &Secret<String>) -> Vec<String> {
    fn collect(value: Value, found: &mut Vec<String>) {
        match value {
            Value::String(text) => found.push(text),
            Value::Array(items) => items.into_iter().for_each(|item| collect(item, found)),
            Value::Object(members) => members.into_iter().for_each(|(_, v)| collect(v, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    let mut found = Vec::new();
    if let Ok(value) = serde_json::from_str(section.expose()) {
        collect(value, &mut found);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_toml_and_json_and_lets_the_environment_win() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("configuration.toml");
        std::fs::write(&path, "[objectStorage]\naccessKeyId = \"from-file\"\n[other]\na = 1\n")
            .unwrap();
        let own = Secret::new(r#"{"accessKeyId":"from-environment"}"#.to_owned());
        let sections = read(Some(&path), &[("objectStorage".to_owned(), own)]).unwrap();
        assert_eq!(texts(&sections["objectStorage"]), ["from-environment"]);
        assert!(sections.contains_key("other"));
        let json = Secret::new(r#"{"a":{"b":"c"}}"#.to_owned());
        assert_eq!(texts(&parse(&json).unwrap()["a"]), ["c"]);
    }

    #[test]
    fn a_payments_section_that_cannot_work_is_refused_without_its_key() {
        let check = |section: &str, environment| {
            let text = format!("[payments]\n{section}");
            check_payments(&parse(&Secret::new(text)).unwrap(), environment)
                .map_err(|error| format!("{error:#}"))
        };
        assert!(check_payments(&Sections::new(), "production").unwrap().is_none());
        assert!(check("secretKey = 'sk_test_canary'\n", "staging").unwrap().is_some());
        assert!(check("secretKey = 'sk_live_canary'\n", "production").unwrap().is_some());
        for (section, told) in [
            ("", "is not secretKey"),
            ("secretKey = 7\n", "is not secretKey"),
            ("secretKey = 'canary'\n", "a secret key begins with sk_test_"),
            (
                "secretKey = 'sk_live_canary'\n",
                "a live key is refused in the environment `staging`",
            ),
            ("secretKey = 'sk_test_canary'\nendpoint = 'http://evil.example'\n", "needs https"),
        ] {
            let error = check(section, "staging").unwrap_err();
            assert!(error.contains(told) && !error.contains("canary"), "{error}");
        }
    }

    #[test]
    fn names_wrong_fields_of_its_own_sections_once() {
        let text = r#"{"objectStorage":{"accessKeyId":["canary"]},"other":{"any":1}}"#;
        let sections = parse(&Secret::new(text.to_owned())).unwrap();
        let error = check(&sections, contract::contract()).unwrap_err().to_string();
        assert_eq!(
            error,
            "configuration.objectStorage.accessKeyId: wrong value, expected a string, in the worker's own configuration"
        );
    }

    #[test]
    fn quotes_no_value_in_an_error() {
        for text in ["canary", "{\"canary\"", "a = \"canary", "a = 1"] {
            let error = format!("{:#}", parse(&Secret::new(text.to_owned())).unwrap_err());
            assert!(!error.contains("canary"), "{error}");
        }
        let broken = Secret::new("canary".to_owned());
        let error = format!("{:#}", read(None, &[("x".to_owned(), broken)]).unwrap_err());
        assert!(error.contains("MAIN_WORKER_SECTION_x") && !error.contains("canary"), "{error}");
    }
}
