//! The releases of the program that are deployed in turn: each knows other jobs, lets other
//! sources ask, has other limits and schedules.

use std::sync::LazyLock;

use contract::{Contract, Descriptor, NoConfiguration, Payload};
use manifest::{JobRow, Manifest, Schedule, SourceRules};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use values::{JobName, Source};

/// The names of all jobs there ever were.
pub(crate) const JOBS: [&str; 6] = [
    "billing/charge_account",
    "logs/count_file",
    "mail/send_letter",
    "media/encode_stream",
    "usage/sum_month",
    "videos/retire_tape",
];
/// Who asks.
pub(crate) const SOURCES: [&str; 4] = ["api", "dashboard", "scheduler", "main_worker"];
/// The source of schedules.
pub(crate) const SCHEDULER: usize = 2;
/// The source of follow-ups.
pub(crate) const WORKER: usize = 3;
/// The schedules of which every tick is wanted, in every release.
pub(crate) const EVERY_TICK: &str = "every-five-minutes";

macro_rules! payload {
    ($name:ident, $job:expr, $($field:ident),*) => {
        #[derive(Debug, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        struct $name { $($field: Option<u64>),* }

        impl Payload for $name {
            const JOB: &'static str = $job;
            const DESCRIPTION: &'static str = "Does what its script says";
            type Config = NoConfiguration;

            fn example() -> Self {
                Self { $($field: Some(1)),* }
            }
        }
    };
}

payload!(Charge, JOBS[0], number);
payload!(Count, JOBS[1], number);
payload!(Letter, JOBS[2], number);
payload!(Encode, JOBS[3], number, quality);
payload!(EncodeOld, JOBS[3], number);
payload!(Sum, JOBS[4], number);
payload!(Retire, JOBS[5], number);

/// One release.
#[derive(Debug)]
pub(crate) struct Release {
    pub(crate) manifest: Manifest,
    pub(crate) contract: Contract,
    /// Its row of each job of [`JOBS`] that it knows.
    pub(crate) rows: Vec<Option<JobRow>>,
    pub(crate) schedules: Vec<Schedule>,
    rules: Vec<(usize, SourceRules)>,
}

impl Release {
    /// Whether it leases tasks of a job.
    pub(crate) fn knows(&self, job: usize) -> bool {
        self.rows[job].is_some()
    }

    /// What holds for each source, by its place in [`SOURCES`].
    pub(crate) fn sources(&self) -> &[(usize, SourceRules)] {
        &self.rules
    }
}

/// All releases, oldest first.
pub(crate) fn releases() -> &'static [Release] {
    static RELEASES: LazyLock<Vec<Release>> = LazyLock::new(|| {
        let common = [Descriptor::of::<Charge>(), Descriptor::of::<Count>()];
        let make = |text: &str, others: Vec<Descriptor>| {
            let contract = Contract::new(common.iter().cloned().chain(others).collect());
            release(text, contract)
        };
        vec![
            make(FIRST, vec![Descriptor::of::<EncodeOld>(), Descriptor::of::<Retire>()]),
            make(
                SECOND,
                vec![
                    Descriptor::of::<Letter>(),
                    Descriptor::of::<EncodeOld>(),
                    Descriptor::of::<Retire>(),
                ],
            ),
            make(
                THIRD,
                vec![
                    Descriptor::of::<Letter>(),
                    Descriptor::of::<Encode>(),
                    Descriptor::of::<Sum>(),
                ],
            ),
        ]
    });
    &RELEASES
}

fn release(text: &str, contract: Contract) -> Release {
    let manifest = Manifest::parse(text, &contract.names()).expect("the releases are well-formed");
    let row = |name: &&str| {
        let name: JobName = name.parse().expect("a job name");
        contract.get(name.as_str()).and_then(|_| manifest.jobs.get(&name)).cloned()
    };
    let rows = JOBS.iter().map(row).collect();
    let schedules = manifest.schedules.values().cloned().collect();
    let rules = SOURCES.iter().enumerate().filter_map(|(at, name)| {
        let rules = manifest.sources.get(&name.parse::<Source>().ok()?)?;
        Some((at, rules.clone()))
    });
    Release { rules: rules.collect(), manifest, contract, rows, schedules }
}

const FIRST: &str = r#"
[worker]
concurrency = 2
prefetch = 2
drain_timeout = "3s"
hold_limit = "90s"
[sources.api]
jobs = ["*"]
[sources.dashboard]
jobs = ["logs/*", "media/*", "videos/*"]
max_concurrency = 3
[sources.scheduler]
jobs = ["logs/count_file"]
[sources.main_worker]
jobs = ["logs/*", "billing/*"]
[jobs."billing/charge_account"]
max_attempts = 4
max_concurrency = 2
timeout = "8s"
[jobs."logs/count_file"]
max_attempts = 3
[jobs."media/encode_stream"]
max_attempts = 2
priority = 1
[jobs."videos/retire_tape"]
max_attempts = 3
[schedules.every-five-minutes]
job = "logs/count_file"
cron = "0 */5 * * * *"
missed = "run_all"
missed_limit = 1000
[schedules.often]
job = "logs/count_file"
cron = "*/15 * * * * *"
missed = "run_once"
"#;

const SECOND: &str = r#"
[worker]
concurrency = 3
prefetch = 0
drain_timeout = "5s"
hold_limit = "90s"
[sources.api]
jobs = ["*"]
[sources.dashboard]
jobs = ["logs/*", "mail/*"]
[sources.scheduler]
jobs = ["logs/count_file", "mail/send_letter"]
[sources.main_worker]
jobs = ["*"]
[jobs."billing/charge_account"]
max_attempts = 3
max_concurrency = 1
timeout = "8s"
[jobs."logs/count_file"]
max_attempts = 3
rate_limit = "4/5s"
[jobs."mail/send_letter"]
max_attempts = 5
[jobs."media/encode_stream"]
max_attempts = 2
priority = 1
[jobs."videos/retire_tape"]
max_attempts = 3
[schedules.every-five-minutes]
job = "logs/count_file"
cron = "0 */5 * * * *"
missed = "run_all"
missed_limit = 1000
[schedules.seldom]
job = "mail/send_letter"
cron = "*/20 * * * * *"
missed = "skip"
"#;

const THIRD: &str = r#"
[worker]
concurrency = 4
prefetch = 3
drain_timeout = "2s"
hold_limit = "90s"
[sources.api]
jobs = ["billing/*", "logs/*", "mail/*", "media/*", "usage/*"]
rate_limit = "6/4s"
[sources.dashboard]
jobs = ["logs/*"]
max_concurrency = 2
[sources.scheduler]
jobs = ["logs/count_file", "usage/sum_month"]
[sources.main_worker]
jobs = ["*"]
[jobs."billing/charge_account"]
max_attempts = 4
timeout = "8s"
rate_limit = "3/6s"
[jobs."logs/count_file"]
max_attempts = 3
max_concurrency = 2
[jobs."mail/send_letter"]
max_attempts = 5
[jobs."media/encode_stream"]
max_attempts = 2
priority = 2
[jobs."usage/sum_month"]
max_attempts = 1
max_concurrency = 1
[schedules.every-five-minutes]
job = "logs/count_file"
cron = "0 */5 * * * *"
missed = "run_all"
missed_limit = 1000
[schedules.often]
job = "usage/sum_month"
cron = "*/10 * * * * *"
missed = "run_once"
"#;
