//! A job's contract as data, for admission, `jobs show` and start-up checks.

use std::fmt;

use serde::de::{DeserializeSeed, IgnoredAny};
use serde_json::Value;
use values::{JobName, did_you_mean};

use crate::{Configuration, Payload, Section};

/// Why a payload is not what the job expects.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", if field == "." { "jobPayload".to_owned() } else { format!("jobPayload.{field}") })]
pub struct PayloadProblem {
    /// Path of the field below `jobPayload`; `.` for the payload as a whole.
    pub field: String,
    /// What was expected, and what was found.
    pub message: String,
}

/// The contract of one job.
#[derive(Clone)]
pub struct Descriptor {
    /// The job's name.
    pub job: JobName,
    /// What the job does, in one line.
    pub description: &'static str,
    /// The configuration sections it declares.
    pub sections: &'static [Section],
    check: fn(&str) -> Result<Option<String>, PayloadProblem>,
    schema: fn() -> Value,
    example: fn() -> Value,
}

impl Descriptor {
    /// Describes the job of a payload type.
    ///
    /// # Panics
    /// If the type's name is not a job name; a test of this crate looks at each.
    pub fn of<P: Payload>() -> Self {
        Self {
            job: P::JOB.parse().expect("a payload type names its job as domain/verb_object"),
            description: P::DESCRIPTION,
            sections: P::Config::SECTIONS,
            check: |text| decode::<P>(text).map(|payload| payload.host().map(str::to_owned)),
            schema: || schemars::schema_for!(P).to_value(),
            example: || serde_json::to_value(P::example()).unwrap_or(Value::Null),
        }
    }

    /// Decodes `jobPayload` to see whether the job accepts it; returns the host it is bound to.
    pub fn check(&self, payload: &str) -> Result<Option<String>, PayloadProblem> {
        (self.check)(payload)
    }

    /// The payload's JSON Schema (draft 2020-12).
    pub fn schema(&self) -> Value {
        (self.schema)()
    }

    /// A payload that is accepted.
    pub fn example(&self) -> Value {
        (self.example)()
    }

    /// Finds a declared section by its name.
    pub fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.name == name)
    }
}

impl fmt::Debug for Descriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Descriptor").field("job", &self.job).finish_non_exhaustive()
    }
}

/// Decodes a payload, naming the field that is wrong.
pub(crate) fn decode<P: Payload>(text: &str) -> Result<P, PayloadProblem> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let payload = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let field = error.path().to_string();
        let inner = error.into_inner().to_string();
        let message = inner.split(" at line ").next().unwrap_or(&inner).to_owned();
        PayloadProblem { field, message }
    })?;
    let rest = std::marker::PhantomData::<IgnoredAny>.deserialize(&mut deserializer);
    if rest.is_ok() {
        let message = "more than one JSON value".to_owned();
        return Err(PayloadProblem { field: ".".to_owned(), message });
    }
    Ok(payload)
}

/// The jobs that may be asked for, by name.
#[derive(Debug, Clone)]
pub struct Contract {
    jobs: Vec<Descriptor>,
}

impl Contract {
    /// Takes the descriptors, in any order.
    ///
    /// # Panics
    /// If two have the same name.
    pub fn new(mut jobs: Vec<Descriptor>) -> Self {
        jobs.sort_by(|a, b| a.job.cmp(&b.job));
        let twice = jobs.windows(2).find(|pair| pair[0].job == pair[1].job);
        assert!(twice.is_none(), "two payload types name the job {:?}", twice.map(|p| &p[0].job));
        Self { jobs }
    }

    /// Every job, sorted by name.
    pub fn jobs(&self) -> &[Descriptor] {
        &self.jobs
    }

    /// The job of that name.
    pub fn get(&self, job: &str) -> Option<&Descriptor> {
        let at = self.jobs.binary_search_by(|descriptor| descriptor.job.as_str().cmp(job)).ok()?;
        Some(&self.jobs[at])
    }

    /// The names of all jobs, sorted.
    pub fn names(&self) -> Vec<&str> {
        self.jobs.iter().map(|descriptor| descriptor.job.as_str()).collect()
    }

    /// The name most like `job`, for an error message.
    pub fn suggest(&self, job: &str) -> Option<&str> {
        did_you_mean(job, self.names())
    }
}

#[cfg(test)]
mod tests {
    use crate::contract;

    #[test]
    fn accepts_the_example_of_every_job_and_names_wrong_fields() {
        for job in contract().jobs() {
            let example = job.example();
            let host = example["host"].as_str().map(str::to_owned);
            assert_eq!(job.check(&example.to_string()), Ok(host), "{}", job.job);
            assert!(job.schema().is_object());
            let problem = job.check(r#"{"surplus":1}"#).unwrap_err();
            assert!(problem.message.contains("surplus"), "{}: {problem}", job.job);
        }
    }

    #[test]
    fn says_which_field_is_wrong() {
        let check = |job: &str, payload: &str, expected: &str| {
            let problem = contract().get(job).unwrap().check(payload).unwrap_err();
            assert_eq!(problem.to_string(), expected);
        };
        check(
            "usage/roll_up_usage",
            r#"{"month":"2026-13"}"#,
            "jobPayload.month: `2026-13` is not a month; write it as 2026-10",
        );
        check("logs/process_log", r#"{"logSource":"cdn"}"#, "jobPayload: missing field `key`");
        check(
            "logs/process_log",
            r#"{"logSource":"cdn","key":7}"#,
            "jobPayload.key: invalid type: integer `7`, expected a string",
        );
    }

    #[test]
    fn suggests_the_nearest_name() {
        assert_eq!(contract().suggest("logs/proces_log"), Some("logs/process_log"));
    }
}
