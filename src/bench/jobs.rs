//! The jobs that are measured.

use std::collections::HashMap;
use std::io::Write;
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

use contract::{NoConfiguration, Payload};
use database::{Migration, PostgresSql, Query, SchemaRange};
use job::{Context, Job, JobError, NoSettings, Outcome, RegistryBuilder, Services};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use values::{Clock, Timestamp};

use crate::clock::SystemClock;

/// The table of [`WriteRow`]; it takes duplicates, so that they can be counted.
pub const BENCH_TABLES: SchemaRange = SchemaRange {
    component: "bench",
    oldest: 1,
    migrations: &[Migration {
        version: 1,
        name: "bench",
        works_from: 1,
        postgres: PostgresSql::Translated,
        sqlite: &["CREATE TABLE bench_row (number BIGINT NOT NULL)"],
    }],
};

/// Makes a payload with its job's name, description and example.
macro_rules! payloads {
    ($($(#[$doc:meta])* $name:ident $job:literal { $($(#[$field_doc:meta])* $field:ident: $type:ty = $example:expr),* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
        }

        impl Payload for $name {
            const JOB: &'static str = $job;
            const DESCRIPTION: &'static str = concat!("Measures: ", $job);
            type Config = NoConfiguration;

            fn example() -> Self {
                Self { $($field: $example),* }
            }
        }
    )*};
}

payloads! {
    /// Does nothing.
    NoOp "bench/no_op" {
        /// Which one.
        number: u64 = 1
    }
    /// Notes when its handler starts, for `bench latency` in the same process.
    NoteStart "bench/note_start" {
        /// Which one.
        number: u64 = 1
    }
    /// Writes a row in its final write step.
    WriteRow "bench/write_row" {
        /// Which one.
        number: u64 = 1
    }
    /// Appends a line to a file, as an effect that happens once.
    CountEffect "bench/count_effect" {
        /// Which one.
        number: u64 = 1,
        /// The file outside.
        file: String = "effects".to_owned()
    }
    /// Computes without a pause, deaf to everything.
    Compute "bench/compute" {
        /// How long.
        millis: u64 = 10
    }
    /// Takes a while, notes in a file when it begins and ends, and writes a row in the end.
    Occupy "bench/occupy" {
        /// Which one.
        number: u64 = 1,
        /// How long.
        millis: u64 = 10,
        /// The file outside: process, number, microseconds of begin and end a line.
        file: String = "occupied".to_owned()
    }
    /// Takes a while, and stops when it is told to.
    Sleep "bench/sleep" {
        /// How long.
        millis: u64 = 10
    }
    /// Fails, to be tried again.
    Fail "bench/fail" {
        /// For good at once.
        permanent: bool = false
    }
    /// Panics.
    Panic "bench/panic" {
        /// With these words.
        words: String = "as asked".to_owned()
    }
    /// Returns so many bytes.
    Fill "bench/fill" {
        /// How many.
        bytes: u32 = 100
    }
}

/// Registers every measured job.
pub(super) fn register(jobs: &mut RegistryBuilder<'_>) {
    jobs.add::<Measured<Compute>>();
    jobs.add::<Measured<CountEffect>>();
    jobs.add::<Measured<Fail>>();
    jobs.add::<Measured<Fill>>();
    jobs.add::<Measured<NoOp>>();
    jobs.add::<Measured<NoteStart>>();
    jobs.add::<Measured<Occupy>>();
    jobs.add::<Measured<Panic>>();
    jobs.add::<Measured<Sleep>>();
    jobs.add::<Measured<WriteRow>>();
}

/// When the handlers of [`NoteStart`] started, by number.
static STARTS: LazyLock<Mutex<HashMap<u64, Started>>> = LazyLock::new(Mutex::default);

/// An instant, for this process and for others on this machine.
#[derive(Debug, Clone, Copy)]
pub(super) struct Started {
    pub(super) here: Instant,
    pub(super) clock: Timestamp,
}

/// Takes the noted start of a task, once there is one.
pub(super) fn take_start(number: u64) -> Option<Started> {
    STARTS.lock().expect("no one panics while holding it").remove(&number)
}

/// What a payload asks for.
trait Measure: Payload {
    /// Does it.
    fn measure(self, cx: &Context) -> impl Future<Output = Result<Outcome, JobError>> + Send;
}

/// The handler of a payload that measures itself.
struct Measured<P>(std::marker::PhantomData<fn() -> P>);

impl<P: Measure> Job for Measured<P> {
    type Payload = P;
    type Settings = NoSettings;

    fn new(_: &Services, _: NoSettings) -> Self {
        Self(std::marker::PhantomData)
    }

    async fn run(&self, cx: &Context, payload: P, _: P::Config) -> Result<Outcome, JobError> {
        payload.measure(cx).await
    }
}

impl Measure for NoOp {
    async fn measure(self, _: &Context) -> Result<Outcome, JobError> {
        Ok(Outcome::completed(()))
    }
}

impl Measure for NoteStart {
    async fn measure(self, _: &Context) -> Result<Outcome, JobError> {
        let started = Started { here: Instant::now(), clock: SystemClock.now() };
        STARTS.lock().expect("no one panics while holding it").insert(self.number, started);
        Ok(Outcome::completed(()))
    }
}

impl Measure for WriteRow {
    async fn measure(self, _: &Context) -> Result<Outcome, JobError> {
        Ok(Outcome::completed(()).commit(move |tx| {
            Box::pin(async move {
                let query = Query::new("INSERT INTO bench_row (number) VALUES ($1)");
                tx.execute(query.bind(self.number.cast_signed())).await.map(|_| ())
            })
        }))
    }
}

impl Measure for CountEffect {
    async fn measure(self, cx: &Context) -> Result<Outcome, JobError> {
        let Self { number, file } = self;
        let line = format!("{number}\n");
        let call = |_| async { append(&file, &line) };
        let happened = |_| async {
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            Ok(text.lines().any(|line| line.parse() == Ok(number)).then_some(()))
        };
        cx.effects().once(&format!("bench {number}"), call, happened).await?;
        Ok(Outcome::completed(()))
    }
}

/// Rows of [`Occupy`] have numbers from here on.
pub const OCCUPIED: u64 = 1 << 40;
/// How often an [`Occupy`] notes that it still runs.
const STILL: Duration = Duration::from_millis(20);

impl Measure for Occupy {
    async fn measure(self, cx: &Context) -> Result<Outcome, JobError> {
        let Self { number, millis, file } = self;
        let (began, pid) = (SystemClock.now(), std::process::id());
        let until = Instant::now() + Duration::from_millis(millis);
        while Instant::now() < until {
            let now = SystemClock.now();
            append(&file, &format!("{pid} {number} {} {}\n", began.as_micros(), now.as_micros()))?;
            tokio::select! {
                () = cx.cancelled() => return Err(JobError::Cancelled),
                () = tokio::time::sleep(STILL) => {}
            }
        }
        WriteRow { number: OCCUPIED + number }.measure(cx).await
    }
}

/// Appends a line: one small write, which is there as a whole or not at all, whenever the process
/// dies.
fn append(file: &str, line: &str) -> Result<(), JobError> {
    let mut outside = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(file)
        .map_err(|error| JobError::retryable(format!("cannot open {file}: {error}")))?;
    outside
        .write_all(line.as_bytes())
        .map_err(|error| JobError::retryable(format!("cannot write {file}: {error}")))
}

impl Measure for Compute {
    async fn measure(self, _: &Context) -> Result<Outcome, JobError> {
        let until = Instant::now() + Duration::from_millis(self.millis);
        while Instant::now() < until {
            std::hint::spin_loop();
        }
        Ok(Outcome::completed(self.millis))
    }
}

impl Measure for Sleep {
    async fn measure(self, cx: &Context) -> Result<Outcome, JobError> {
        tokio::select! {
            () = cx.cancelled() => Err(JobError::Cancelled),
            () = tokio::time::sleep(Duration::from_millis(self.millis)) => {
                Ok(Outcome::completed(self.millis))
            }
        }
    }
}

impl Measure for Fail {
    async fn measure(self, _: &Context) -> Result<Outcome, JobError> {
        if self.permanent {
            Err(JobError::permanent("failed for good, as asked"))
        } else {
            Err(JobError::retryable("failed, as asked"))
        }
    }
}

impl Measure for Panic {
    async fn measure(self, _: &Context) -> Result<Outcome, JobError> {
        panic!("{}", self.words)
    }
}

impl Measure for Fill {
    async fn measure(self, _: &Context) -> Result<Outcome, JobError> {
        let bytes = usize::try_from(self.bytes).unwrap_or(0);
        Ok(Outcome::completed("x".repeat(bytes)))
    }
}
