//! `[jobs."domain/name"]` and `[domains.NAME]`: how each job runs.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use values::{JobName, Rate, Span};

use crate::json;
use crate::lines::Lines;
use crate::read::{Reader, cut};
use crate::section::{Section, kind};
use crate::sources::domains;

const MILLISECOND: Span = Span::from_millis(1);
const FOUR_WEEKS: Span = Span::from_days(28);

/// How a job runs.
#[derive(Debug, Clone, PartialEq)]
pub struct JobRow {
    /// How long one attempt may take.
    pub timeout: Span,
    /// After how many attempts a task becomes a dead letter, 1 to 1,000.
    pub max_attempts: u32,
    /// The most attempts of this job that run at a time, over all workers.
    pub max_concurrency: Option<u32>,
    /// The most attempts of this job that start in a window, over all workers.
    pub rate_limit: Option<Rate>,
    /// 0, 1 or 2; the highest goes first.
    pub priority: u8,
    /// The upper end of the first retry's delay; it doubles with each attempt.
    pub backoff_base: Span,
    /// The upper end that no delay exceeds.
    pub backoff_max: Span,
    /// What the handler reads: `[domains.NAME]`, overlaid by the job's own `settings`.
    pub settings: Map<String, Value>,
}

impl Default for JobRow {
    fn default() -> Self {
        Self {
            timeout: Span::from_minutes(10),
            max_attempts: 5,
            max_concurrency: None,
            rate_limit: None,
            priority: 0,
            backoff_base: Span::from_seconds(10),
            backoff_max: Span::from_hours(1),
            settings: Map::new(),
        }
    }
}

pub(crate) fn read(
    reader: &mut Reader,
    root: &mut Section<'_>,
    known: &[&str],
    lines: &mut Lines,
) -> BTreeMap<JobName, JobRow> {
    let shared = read_domains(reader, root, known, lines);
    let table = Section::open(reader, "[jobs]".to_owned(), root.item("jobs"));
    let mut jobs = BTreeMap::new();
    for (name, offset, item) in table.entries() {
        let title = format!("[jobs.\"{}\"]", cut(name));
        let Ok(job) = name.parse::<JobName>() else {
            let hint = "write domain/name in quotes, such as [jobs.\"logs/process_log\"]";
            reader.problem(offset, format!("{title} is no job"), hint.to_owned());
            continue;
        };
        if !known.contains(&name) {
            let hint = reader
                .suggest(name, known.iter().copied())
                .unwrap_or_else(|| "remove it, or add the job to the contract".to_owned());
            reader.problem(offset, format!("{title} is for an unknown job"), hint);
        }
        let mut section = Section::open(reader, title, Some(item));
        lines.note(reader, &["jobs", name], offset, None);
        if let Some(own) = section.item("settings") {
            let at = own.span().start;
            lines.note(reader, &["jobs", name, "settings"], at, own.get_ref().as_table());
        }
        let mut row = read_row(reader, &mut section);
        section.close(reader);
        let mut settings = shared.get(job.domain()).cloned().unwrap_or_default();
        settings.append(&mut row.settings);
        row.settings = settings;
        jobs.insert(job, row);
    }
    jobs
}

fn read_domains(
    reader: &mut Reader,
    root: &mut Section<'_>,
    known: &[&str],
    lines: &mut Lines,
) -> BTreeMap<String, Map<String, Value>> {
    let table = Section::open(reader, "[domains]".to_owned(), root.item("domains"));
    let mut shared = BTreeMap::new();
    for (name, offset, item) in table.entries() {
        let title = format!("[domains.{}]", cut(name));
        if !domains(known).any(|domain| domain == name) {
            let hint = reader
                .suggest(name, domains(known))
                .unwrap_or_else(|| "name a domain that has jobs".to_owned());
            reader.problem(offset, format!("{title} is for a domain without jobs"), hint);
        }
        lines.note(reader, &["domains", name], offset, item.get_ref().as_table());
        if let Some(table) = item.get_ref().as_table() {
            shared.insert(name.to_owned(), json::object(reader, &title, table));
        } else {
            let message = format!("{title} {}", kind(item.get_ref()));
            reader.problem(offset, message, format!("write a table, {title}"));
        }
    }
    shared
}

fn read_row(reader: &mut Reader, section: &mut Section<'_>) -> JobRow {
    let default = JobRow::default();
    let row = JobRow {
        timeout: section
            .span(reader, "timeout", MILLISECOND..=FOUR_WEEKS)
            .unwrap_or(default.timeout),
        max_attempts: section
            .number(reader, "max_attempts", 1..=1_000)
            .unwrap_or(default.max_attempts),
        max_concurrency: section.max_concurrency(reader),
        rate_limit: section.rate(reader, "rate_limit"),
        priority: section.number(reader, "priority", 0..=2).unwrap_or(default.priority),
        backoff_base: section
            .span(reader, "backoff_base", MILLISECOND..=FOUR_WEEKS)
            .unwrap_or(default.backoff_base),
        backoff_max: section
            .span(reader, "backoff_max", MILLISECOND..=FOUR_WEEKS)
            .unwrap_or(default.backoff_max),
        settings: read_object(reader, section, "settings"),
    };
    if row.backoff_base > row.backoff_max {
        let message = format!(
            "`backoff_base` in {} is {}, more than `backoff_max`, which is {}",
            section.title(),
            row.backoff_base,
            row.backoff_max
        );
        let hint = format!("write backoff_max = \"{}\" or more", row.backoff_base);
        let at = section.item("backoff_base").or(section.item("backoff_max"));
        let offset = at.map_or(section.offset(), |item| item.span().start);
        reader.problem(offset, message, hint);
    }
    row
}

/// Reads a table of free keys as a JSON object; empty when it is absent.
pub(crate) fn read_object(
    reader: &mut Reader,
    section: &mut Section<'_>,
    key: &'static str,
) -> Map<String, Value> {
    let right = format!("a table such as {key} = {{ name = 1 }}");
    let table = section
        .read(reader, key, right, |value| value.as_table().ok_or_else(|| kind(value).to_owned()));
    let title = format!("`{key}` in {}", section.title());
    table.map_or_else(Map::new, |table| json::object(reader, &title, table))
}
