//! `[schedules.NAME]`: what is asked for by the clock.

use std::collections::BTreeMap;

use chrono_tz::{TZ_VARIANTS, Tz};
use serde_json::{Map, Value};
use values::{JobName, Source};

use crate::jobs::{JobRow, read_object};
use crate::read::{Reader, cut};
use crate::section::{Section, text};
use crate::sources::Sources;
use crate::{Cron, CronError};

/// The longest name of a schedule, in bytes.
const LONGEST_NAME: usize = 100;
/// How many missed ticks `run_all` makes up for when the row does not say.
const MISSED_LIMIT: u32 = 100;

/// A job asked for by the clock.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// The table's name; with the nominal time it identifies a tick.
    pub name: String,
    /// What is asked for.
    pub job: JobName,
    /// On whose behalf; `scheduler` unless the row says otherwise.
    pub source: Source,
    /// When, in the row's time zone.
    pub cron: Cron,
    /// What happens to ticks that no worker saw.
    pub missed: Missed,
    /// The most ticks `run_all` makes up for, the latest ones, 1 to 10,000.
    pub missed_limit: u32,
    /// The `jobPayload` of each task.
    pub payload: Map<String, Value>,
    /// 0, 1 or 2; the job's own unless the row says otherwise.
    pub priority: u8,
}

/// What happens to ticks that passed while no worker ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Missed {
    /// One task, for the latest of them.
    #[default]
    RunOnce,
    /// A task for each, up to the limit.
    RunAll,
    /// None.
    Skip,
}

impl Missed {
    /// The word of worker.toml.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RunOnce => "run_once",
            Self::RunAll => "run_all",
            Self::Skip => "skip",
        }
    }
}

pub(crate) fn read(
    reader: &mut Reader,
    root: &mut Section<'_>,
    known: &[&str],
    sources: &Sources,
    jobs: &BTreeMap<JobName, JobRow>,
) -> BTreeMap<String, Schedule> {
    let table = Section::open(reader, "[schedules]".to_owned(), root.item("schedules"));
    let mut schedules = BTreeMap::new();
    for (name, offset, item) in table.entries() {
        if !is_name(name) {
            let message = format!("`{}` is no name of a schedule", cut(name));
            let hint = "write lower-case letters, digits, dashes and underscores: close-month";
            reader.problem(offset, message, hint.to_owned());
        }
        let mut section = Section::open(reader, format!("[schedules.{}]", cut(name)), Some(item));
        let schedule = read_schedule(reader, &mut section, name, known, sources, jobs);
        section.close(reader);
        if let Some(schedule) = schedule {
            schedules.insert(name.to_owned(), schedule);
        }
    }
    schedules
}

fn is_name(name: &str) -> bool {
    name.len() <= LONGEST_NAME
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b))
}

fn read_schedule(
    reader: &mut Reader,
    section: &mut Section<'_>,
    name: &str,
    known: &[&str],
    sources: &Sources,
    jobs: &BTreeMap<JobName, JobRow>,
) -> Option<Schedule> {
    let job = read_job(reader, section, known, jobs);
    let source = read_source(reader, section, sources);
    if let (Some(job), Some(source)) = (&job, &source) {
        check_allowed(reader, section, job, source, sources);
    }
    let cron = read_cron(reader, section);
    let right = "\"run_once\", \"run_all\" or \"skip\"";
    let missed = section.read(reader, "missed", right, |value| {
        let word = text(value)?;
        [Missed::RunOnce, Missed::RunAll, Missed::Skip]
            .into_iter()
            .find(|missed| missed.as_str() == word)
            .ok_or_else(|| format!("is \"{}\"", cut(word)))
    });
    let missed_limit = section.number(reader, "missed_limit", 1..=10_000);
    let payload = read_object(reader, section, "payload");
    let priority = section.number(reader, "priority", 0..=2);
    let job = job?;
    Some(Schedule {
        name: name.to_owned(),
        priority: priority.or_else(|| jobs.get(&job).map(|row| row.priority)).unwrap_or_default(),
        job,
        source: source?,
        cron: cron?,
        missed: missed.unwrap_or_default(),
        missed_limit: missed_limit.unwrap_or(MISSED_LIMIT),
        payload,
    })
}

fn read_job(
    reader: &mut Reader,
    section: &mut Section<'_>,
    known: &[&str],
    jobs: &BTreeMap<JobName, JobRow>,
) -> Option<JobName> {
    let Some(item) = section.item("job") else {
        section.missing(reader, "job", "add job = \"domain/name\"");
        return None;
    };
    let right = "domain/name, such as \"logs/discover_logs\"";
    let name = section.read(reader, "job", right, text)?;
    let title = section.title();
    let offset = item.span().start;
    if !known.contains(&name) {
        let hint =
            reader.suggest(name, known.iter().copied()).unwrap_or_else(|| format!("write {right}"));
        let message = format!("{title} asks for the unknown job `{}`", cut(name));
        reader.problem(offset, message, hint);
        return None;
    }
    let job: JobName = name.parse().ok()?;
    if !jobs.contains_key(&job) && reader.is_whole() {
        let message = format!("{title} asks for `{job}`, which has no row");
        reader.problem(offset, message, format!("add a table [jobs.\"{job}\"]"));
    }
    Some(job)
}

fn read_source(
    reader: &mut Reader,
    section: &mut Section<'_>,
    sources: &Sources,
) -> Option<Source> {
    let Some(item) = section.item("source") else {
        return "scheduler".parse().ok();
    };
    let name = section.read(reader, "source", "a source, such as \"scheduler\"", text)?;
    let found = sources.rules.keys().find(|source| source.as_str() == name);
    if found.is_none() && reader.is_whole() {
        let names = || sources.rules.keys().map(Source::as_str);
        let hint = reader.suggest(name, names()).unwrap_or_else(|| {
            let all: Vec<&str> = names().collect();
            format!("known sources: {}", all.join(", "))
        });
        let message = format!("{} names the unknown source `{}`", section.title(), cut(name));
        reader.problem(item.span().start, message, hint);
    }
    found.cloned()
}

fn check_allowed(
    reader: &mut Reader,
    section: &mut Section<'_>,
    job: &JobName,
    source: &Source,
    sources: &Sources,
) {
    let allowed = sources.rules.get(source).is_some_and(|rules| rules.allows(job));
    if allowed || sources.doubtful.contains(source) || !reader.is_whole() {
        return;
    }
    let hint = match sources.lines.get(source) {
        Some(line) => format!("add \"{job}\" to `jobs` of [sources.{source}] on line {line}"),
        None => format!("add a table [sources.{source}] with jobs = [\"{job}\"]"),
    };
    let message = format!("{} asks for `{job}`, which `{source}` may not", section.title());
    let offset = section.item("job").map_or(section.offset(), |item| item.span().start);
    reader.problem(offset, message, hint);
}

fn read_cron(reader: &mut Reader, section: &mut Section<'_>) -> Option<Cron> {
    let zone = read_zone(reader, section);
    let Some(item) = section.item("cron") else {
        section.missing(reader, "cron", "add cron = \"5 * * * *\" or another time");
        return None;
    };
    let right = "minute, hour, day of month, month and weekday, such as \"5 * * * *\"";
    let expression = section.read(reader, "cron", right, text)?;
    match Cron::parse(expression, zone.unwrap_or(Tz::UTC)) {
        Ok(cron) => zone.map(|_| cron),
        Err(error) => {
            let message = format!("`cron` in {}: {error}", section.title());
            reader.problem(item.span().start, message, CronError::hint(&error));
            None
        }
    }
}

/// The row's time zone; `None` if it is (reported) wrong.
fn read_zone(reader: &mut Reader, section: &mut Section<'_>) -> Option<Tz> {
    let Some(item) = section.item("time_zone") else {
        return Some(Tz::UTC);
    };
    let right = "the name of a time zone, such as \"Europe/Berlin\"";
    let name = section.read(reader, "time_zone", right, text)?;
    let zone = name.parse().ok();
    if zone.is_none() {
        let names = || TZ_VARIANTS.iter().map(|zone| zone.name());
        let city = |zone: &&str| {
            zone.rsplit('/')
                .next()
                .is_some_and(|last| last.eq_ignore_ascii_case(&name.replace(' ', "_")))
        };
        let hint = match names().find(city) {
            Some(zone) => Some(format!("did you mean `{zone}`?")),
            None => reader.suggest(name, names()),
        };
        let message = format!("{} names the unknown time zone `{}`", section.title(), cut(name));
        let hint = hint.unwrap_or_else(|| format!("write {right}"));
        reader.problem(item.span().start, message, hint);
    }
    zone
}
