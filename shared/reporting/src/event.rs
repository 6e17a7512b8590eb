//! What people are told about, and what of it leaves the process.

use values::{JobName, Source, TaskId};

use crate::logging::line::cut;
use crate::scrub::Scrubber;

/// The most of a message that is sent, in bytes.
const MAX_MESSAGE_BYTES: usize = 8 * 1024;

/// The longest tag that Sentry takes, in bytes.
const MAX_TAG_BYTES: usize = 200;

/// The attempt something happened in.
#[derive(Debug, Clone, Copy)]
pub struct TaskTags<'a> {
    /// The job.
    pub job_name: &'a JobName,
    /// Who asked for it.
    pub source: &'a Source,
    /// The task.
    pub task_id: TaskId,
    /// The attempt, counted from 1.
    pub attempt: u32,
}

/// Something a person must hear of. There is no field for a payload or configuration, and texts
/// pass the [`Scrubber`].
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// A handler panicked.
    Panic {
        /// The attempt.
        task: TaskTags<'a>,
        /// What the panic said.
        message: &'a str,
        /// File, line and column, if known.
        location: Option<&'a str>,
    },
    /// A task failed for good.
    PermanentFailure {
        /// The last attempt.
        task: TaskTags<'a>,
        /// Why it ended here, such as `permanent` or `attempts_exhausted`.
        code: &'static str,
        /// The error and its causes, as printed.
        message: &'a str,
    },
    /// Admission refused a request. Job and source are as claimed: they may be any text.
    Rejection {
        /// The stable code, such as `bad_proof`.
        code: &'static str,
        /// The job that was asked for, as far as it could be read.
        job_name: Option<&'a str>,
        /// The source that is said to have asked.
        source: Option<&'a str>,
        /// The task, if it had an id already.
        task_id: Option<TaskId>,
        /// What to change.
        message: &'a str,
    },
    /// The worker itself is in trouble.
    Alert {
        /// A stable name, such as `store_unavailable`.
        code: &'static str,
        /// The job it is about, if it is about one.
        job_name: Option<&'a JobName>,
        /// What happened.
        message: &'a str,
    },
}

/// How urgent a report is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Urgency {
    Error,
    Warning,
}

/// An event as it leaves: bounded and without secrets.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) title: &'static str,
    pub(crate) urgency: Urgency,
    pub(crate) message: String,
    pub(crate) tags: Vec<(&'static str, String)>,
    pub(crate) fingerprint: Vec<String>,
}

impl Event<'_> {
    /// Makes what is sent. Events of one kind, code and job have one fingerprint.
    pub(crate) fn report(&self, scrubber: &Scrubber) -> Report {
        let tag = |text: &str| cut(&scrubber.scrub(text), MAX_TAG_BYTES).into_owned();
        let (kind, title, urgency, code, message) = match *self {
            Self::Panic { message, .. } => ("panic", "Panic", Urgency::Error, None, message),
            Self::PermanentFailure { code, message, .. } => {
                ("permanent_failure", "PermanentFailure", Urgency::Error, Some(code), message)
            }
            Self::Rejection { code, message, .. } => {
                ("rejection", "Rejection", Urgency::Warning, Some(code), message)
            }
            Self::Alert { code, message, .. } => {
                ("alert", "Alert", Urgency::Error, Some(code), message)
            }
        };
        let mut tags = vec![("kind", kind.to_owned())];
        tags.extend(code.map(|code| ("code", code.to_owned())));
        match *self {
            Self::Panic { task, location, .. } => {
                tags.extend(task.tags());
                tags.extend(location.map(|location| ("location", tag(location))));
            }
            Self::PermanentFailure { task, .. } => tags.extend(task.tags()),
            Self::Rejection { job_name, source, task_id, .. } => {
                tags.extend(job_name.map(|name| ("job_name", tag(name))));
                tags.extend(source.map(|source| ("source", tag(source))));
                tags.extend(task_id.map(|id| ("task_id", id.to_string())));
            }
            Self::Alert { job_name, .. } => {
                tags.extend(job_name.map(|name| ("job_name", name.to_string())));
            }
        }
        let named = |name: &str| tags.iter().find(|(tag, _)| *tag == name);
        let fingerprint = ["kind", "code", "job_name"]
            .map(|name| named(name).map_or_else(|| "-".to_owned(), |(_, value)| value.clone()));
        Report {
            title,
            urgency,
            message: cut(&scrubber.scrub(message), MAX_MESSAGE_BYTES).into_owned(),
            fingerprint: fingerprint.into(),
            tags,
        }
    }
}

impl TaskTags<'_> {
    fn tags(&self) -> [(&'static str, String); 4] {
        [
            ("job_name", self.job_name.to_string()),
            ("source", self.source.to_string()),
            ("task_id", self.task_id.to_string()),
            ("attempt", self.attempt.to_string()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TASK: &str = "task_00000000000000000000000000";

    fn check(event: Event<'_>, fingerprint: [&str; 3], tags: &[(&'static str, &str)]) {
        let report = event.report(&Scrubber::new());
        assert_eq!(report.fingerprint, fingerprint);
        let tags: Vec<_> = tags.iter().map(|&(name, value)| (name, value.to_owned())).collect();
        assert_eq!(report.tags, tags);
        assert_eq!(report.message, "boom");
    }

    #[test]
    fn tags_and_groups_by_kind_code_and_job() {
        let job_name: JobName = "logs/process_log".parse().unwrap();
        let source: Source = "scheduler".parse().unwrap();
        let task_id = TaskId::from_bytes([0; 16]);
        let task = TaskTags { job_name: &job_name, source: &source, task_id, attempt: 2 };
        let of_task = [
            ("job_name", "logs/process_log"),
            ("source", "scheduler"),
            ("task_id", TASK),
            ("attempt", "2"),
        ];
        check(
            Event::Panic { task, message: "boom", location: Some("a.rs:3:1") },
            ["panic", "-", "logs/process_log"],
            &[&[("kind", "panic")][..], &of_task, &[("location", "a.rs:3:1")]].concat(),
        );
        check(
            Event::PermanentFailure { task, code: "permanent", message: "boom" },
            ["permanent_failure", "permanent", "logs/process_log"],
            &[&[("kind", "permanent_failure"), ("code", "permanent")][..], &of_task].concat(),
        );
    }

    #[test]
    fn tags_what_has_no_attempt_as_far_as_it_is_known() {
        let task_id = Some(TaskId::from_bytes([0; 16]));
        let job_name = Some("no such job");
        let (code, message) = ("unknown_job", "boom");
        check(
            Event::Rejection { code, job_name, source: None, task_id, message },
            ["rejection", "unknown_job", "no such job"],
            &[
                ("kind", "rejection"),
                ("code", "unknown_job"),
                ("job_name", "no such job"),
                ("task_id", TASK),
            ],
        );
        check(
            Event::Alert { code: "store_unavailable", job_name: None, message },
            ["alert", "store_unavailable", "-"],
            &[("kind", "alert"), ("code", "store_unavailable")],
        );
    }

    #[test]
    fn is_bounded_and_holds_no_secret() {
        let scrubber = Scrubber::new();
        let _guard = scrubber.guard(vec!["hunter22".to_owned()]);
        let long = format!("hunter22 {}", "é".repeat(MAX_MESSAGE_BYTES));
        let event = Event::Rejection {
            code: "unknown_job",
            job_name: Some(&long),
            source: Some(&long),
            task_id: None,
            message: &long,
        };
        let report = event.report(&scrubber);
        assert!(report.message.len() <= MAX_MESSAGE_BYTES);
        assert!(report.tags.iter().all(|(_, value)| value.len() <= MAX_TAG_BYTES));
        assert!(!format!("{report:?}").contains("hunter22"));
    }
}
