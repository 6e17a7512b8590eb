//! `[sources.NAME]`: who may ask for what, and the keys that prove it.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use toml::de::DeValue;
use values::{JobName, JobPattern, Rate, Source, Timestamp};

use crate::read::{Item, Reader, cut};
use crate::section::{Section, kind, list, text};

/// The sources that exist even if the file does not name them, with nothing allowed.
pub const DEFAULT_SOURCES: [&str; 7] =
    ["api", "dashboard", "main_worker", "media_host", "operator", "scheduler", "webhook"];

/// The longest id of a key, in bytes.
const LONGEST_KEY_ID: usize = 64;
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a source may ask for and how it proves itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SourceRules {
    /// The allow-list.
    pub jobs: Vec<JobPattern>,
    /// The public keys whose signatures are good; several at a time, so that keys rotate.
    pub keys: Vec<PublicKeyRow>,
    /// The most tasks of this source that run at a time, over all workers and jobs.
    pub max_concurrency: Option<u32>,
    /// The most attempts of its tasks that start in a window, over all workers and jobs.
    pub rate_limit: Option<Rate>,
    /// The most of its tasks that wait or run; further ones are refused when they are enqueued.
    pub max_waiting: Option<u64>,
}

impl SourceRules {
    /// Whether the allow-list names the job.
    pub fn allows(&self, job: &JobName) -> bool {
        self.jobs.iter().any(|pattern| pattern.matches(job))
    }
}

/// A public key that worker.toml gives a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKeyRow {
    /// What proofs call the key: 1 to 64 of `A-Z a-z 0-9 _ -`.
    pub id: String,
    /// The Ed25519 key.
    pub public_key: [u8; 32],
    /// From when on its proofs are refused.
    pub expires_at: Option<Timestamp>,
}

impl PublicKeyRow {
    /// The key as worker.toml has it: `ed25519:` and base64.
    pub fn public_key_text(&self) -> String {
        format!("ed25519:{}", BASE64.encode(self.public_key))
    }
}

/// The sources and where their allow-lists stand.
pub(crate) struct Sources {
    pub(crate) rules: BTreeMap<Source, SourceRules>,
    /// The line of each `jobs`, or of the table's head; absent if the file has no such table.
    pub(crate) lines: BTreeMap<Source, usize>,
    /// Sources whose allow-list has a problem of its own.
    pub(crate) doubtful: BTreeSet<Source>,
}

pub(crate) fn read(reader: &mut Reader, root: &mut Section<'_>, known: &[&str]) -> Sources {
    let mut sources = Sources {
        rules: DEFAULT_SOURCES
            .iter()
            .map(|name| {
                let source = name.parse().expect("the default sources are names");
                (source, SourceRules::default())
            })
            .collect(),
        lines: BTreeMap::new(),
        doubtful: BTreeSet::new(),
    };
    let table = Section::open(reader, "[sources]".to_owned(), root.item("sources"));
    for (name, offset, item) in table.entries() {
        let Ok(source) = name.parse::<Source>() else {
            let hint = "write lower-case letters, digits and underscores: media_host";
            let message = format!("`{}` is no name of a source", cut(name));
            reader.problem(offset, message, hint.to_owned());
            continue;
        };
        let mut section = Section::open(reader, format!("[sources.{source}]"), Some(item));
        let jobs_item = section.item("jobs");
        let line = jobs_item.map_or(section.offset(), |jobs| jobs.span().start);
        let (jobs, sound) = read_allow_list(reader, &mut section, known);
        let rules = SourceRules {
            jobs,
            keys: read_keys(reader, &mut section),
            max_concurrency: section.max_concurrency(reader),
            rate_limit: section.rate(reader, "rate_limit"),
            max_waiting: section.number(reader, "max_waiting", 1..=1_000_000_000),
        };
        section.close(reader);
        if !sound {
            sources.doubtful.insert(source.clone());
        }
        sources.lines.insert(source.clone(), reader.line(line));
        sources.rules.insert(source, rules);
    }
    sources
}

/// The patterns of the allow-list, and whether all of it could be read.
fn read_allow_list(
    reader: &mut Reader,
    section: &mut Section<'_>,
    known: &[&str],
) -> (Vec<JobPattern>, bool) {
    let right = "a list such as [\"logs/*\", \"usage/roll_up_usage\"]";
    let present = section.item("jobs").is_some();
    let Some(items) = section.read(reader, "jobs", right, list) else {
        return (Vec::new(), !present);
    };
    let title = section.title();
    let mut patterns = Vec::new();
    for item in items {
        let read = text(item.get_ref())
            .map_err(|what| {
                let message = format!("an entry of `jobs` in {title} {what}");
                (message, Some(format!("write {right}")))
            })
            .and_then(|text| read_pattern(reader, title, text, known));
        match read {
            Ok(pattern) => patterns.push(pattern),
            Err((message, hint)) => reader.problem(item.span().start, message, hint),
        }
    }
    let sound = patterns.len() == items.len();
    (patterns, sound)
}

fn read_pattern(
    reader: &Reader,
    title: &str,
    text: &str,
    known: &[&str],
) -> Result<JobPattern, (String, Option<String>)> {
    let right = "write an exact name, a domain such as \"logs/*\", or \"*\"";
    let pattern: JobPattern = text.parse().map_err(|_| {
        let message = format!("`{}` in {title} is no pattern", cut(text));
        (message, Some(right.to_owned()))
    })?;
    match &pattern {
        JobPattern::All => Ok(pattern),
        JobPattern::Exact(name) if known.contains(&name.as_str()) => Ok(pattern),
        JobPattern::Exact(name) => Err((
            format!("{title} names the unknown job `{name}`"),
            reader
                .suggest(name.as_str(), known.iter().copied())
                .or_else(|| Some("remove it, or add the job to the contract".to_owned())),
        )),
        JobPattern::Domain(domain) if domains(known).any(|name| name == domain) => Ok(pattern),
        JobPattern::Domain(domain) => Err((
            format!("{title} names `{domain}/*`, a domain without jobs"),
            reader.suggest(domain, domains(known)).or_else(|| Some(right.to_owned())),
        )),
    }
}

/// The domains that have jobs, with repetitions.
pub(crate) fn domains<'a>(known: &'a [&'a str]) -> impl Iterator<Item = &'a str> {
    known.iter().filter_map(|name| name.split_once('/')).map(|(domain, _)| domain)
}

fn read_keys(reader: &mut Reader, section: &mut Section<'_>) -> Vec<PublicKeyRow> {
    let right = "a list such as [{ id = \"2026-10\", public_key = \"ed25519:...\" }]";
    let items = section.read(reader, "keys", right, list).unwrap_or_default();
    let mut rows: Vec<PublicKeyRow> = Vec::new();
    for item in items {
        let Some(row) = read_key(reader, section.title(), item) else {
            continue;
        };
        if rows.iter().any(|other| other.id == row.id) {
            let message = format!("{} has two keys with the id `{}`", section.title(), row.id);
            let hint = "give each key an id of its own, such as the month it was made in";
            reader.problem(item.span().start, message, hint.to_owned());
        }
        rows.push(row);
    }
    rows
}

fn read_key<'t>(reader: &mut Reader, title: &str, item: &'t Item<'t>) -> Option<PublicKeyRow> {
    if !item.get_ref().is_table() {
        let message = format!("a key of {title} {}", kind(item.get_ref()));
        let hint = "write { id = \"2026-10\", public_key = \"ed25519:...\" }";
        reader.problem(item.span().start, message, hint.to_owned());
        return None;
    }
    let title = format!("a key of {title}");
    let mut section = Section::open(reader, title, Some(item));
    let given = (section.item("id").is_some(), section.item("public_key").is_some());
    let right = "1 to 64 letters, digits, dashes or underscores";
    let id = section.read(reader, "id", right, |value| {
        let id = text(value)?;
        let is_sound = (1..=LONGEST_KEY_ID).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
        is_sound.then(|| id.to_owned()).ok_or_else(|| format!("is \"{}\"", cut(id)))
    });
    let right = "\"ed25519:\" and the base64 of the key's 32 bytes, as `main-worker keys` shows it";
    let public_key = section.read(reader, "public_key", right, |value| {
        decode_key(text(value)?).ok_or_else(|| "is no public key".to_owned())
    });
    let right = "an instant such as \"2026-12-31T00:00:00Z\"";
    let expires_at = section.read(reader, "expires_at", right, instant);
    if !given.0 {
        section.missing(reader, "id", "name it, such as id = \"2026-10\"");
    }
    if !given.1 {
        section.missing(reader, "public_key", &format!("add {right}"));
    }
    section.close(reader);
    Some(PublicKeyRow { id: id?, public_key: public_key?, expires_at })
}

fn decode_key(text: &str) -> Option<[u8; 32]> {
    let text = text.strip_prefix("ed25519:")?.trim();
    let standard = text.replace('-', "+").replace('_', "/");
    BASE64.decode(standard).ok()?.try_into().ok()
}

/// An instant in quotes or as TOML writes it.
fn instant(value: &DeValue<'_>) -> Result<Timestamp, String> {
    let found = match value {
        DeValue::Datetime(at) => at.to_string(),
        DeValue::String(text) => text.to_string(),
        _ => return Err(kind(value).to_owned()),
    };
    found.parse().map_err(|_| format!("is \"{}\"", cut(&found)))
}
