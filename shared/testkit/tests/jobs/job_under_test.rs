//! `streams/count_viewers`, as docs/adding_a_job.md makes it, and a job that follows from it.

use contract::{Contract, Descriptor, NoConfiguration, Payload};
use database::{Db, Migration, PostgresSql, Query, SchemaRange};
use job::{Context, Job, JobError, NoSettings, Outcome, RegistryBuilder, Services};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use testkit::Workbench;
use values::StreamId;

/// Who watches, and how many were counted.
pub(crate) const VIEWER: SchemaRange = SchemaRange {
    component: "viewers",
    oldest: 1,
    migrations: &[Migration {
        version: 1,
        name: "viewers",
        works_from: 1,
        postgres: PostgresSql::Translated,
        sqlite: &[
            "CREATE TABLE viewer (stream_id BLOB NOT NULL)",
            "CREATE TABLE viewer_count (stream_id BLOB PRIMARY KEY, viewers BIGINT NOT NULL)",
        ],
    }],
};

/// Asks for the viewers of a stream to be counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct CountViewers {
    pub(crate) stream_id: StreamId,
}

impl Payload for CountViewers {
    const JOB: &'static str = "streams/count_viewers";
    const DESCRIPTION: &'static str = "Counts who watches a stream right now";
    type Config = NoConfiguration;

    fn example() -> Self {
        Self { stream_id: stream() }
    }
}

/// Asks for a crowd to be announced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct AnnounceCrowd {
    pub(crate) stream_id: StreamId,
    pub(crate) viewers: i64,
}

impl Payload for AnnounceCrowd {
    const JOB: &'static str = "streams/announce_crowd";
    const DESCRIPTION: &'static str = "Announces that a stream has many viewers";
    type Config = NoConfiguration;

    fn example() -> Self {
        Self { stream_id: stream(), viewers: 1_000 }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    #[serde(default)]
    crowd: i64,
}

struct Count {
    db: Db,
    settings: Settings,
}

impl Job for Count {
    type Payload = CountViewers;
    type Settings = Settings;

    fn new(services: &Services, settings: Settings) -> Self {
        Self { db: services.db.clone(), settings }
    }

    async fn run(
        &self,
        cx: &Context,
        payload: CountViewers,
        _: NoConfiguration,
    ) -> Result<Outcome, JobError> {
        let stream_id = payload.stream_id;
        let query = Query::new("SELECT count(*) FROM viewer WHERE stream_id = $1").bind(stream_id);
        let viewers: i64 = self.db.first(query).await?.expect("a count is a row").get(0)?;
        cx.progress(0.5, "counted");
        cx.check_cancelled()?;
        let outcome = Outcome::completed(viewers).commit(move |tx| {
            Box::pin(async move {
                let query = Query::new(
                    "INSERT INTO viewer_count (stream_id, viewers) VALUES ($1, $2)
                     ON CONFLICT (stream_id) DO UPDATE SET viewers = excluded.viewers",
                );
                tx.execute(query.bind(stream_id).bind(viewers)).await.map(|_| ())
            })
        });
        if viewers < self.settings.crowd {
            return Ok(outcome);
        }
        Ok(outcome.follow_up(&AnnounceCrowd { stream_id, viewers }))
    }
}

struct Announce;

impl Job for Announce {
    type Payload = AnnounceCrowd;
    type Settings = NoSettings;

    fn new(_: &Services, _: NoSettings) -> Self {
        Self
    }

    async fn run(
        &self,
        _: &Context,
        payload: AnnounceCrowd,
        _: NoConfiguration,
    ) -> Result<Outcome, JobError> {
        Ok(Outcome::completed(payload.viewers))
    }
}

pub(crate) fn contract() -> Contract {
    Contract::new(vec![Descriptor::of::<CountViewers>(), Descriptor::of::<AnnounceCrowd>()])
}

pub(crate) fn register(jobs: &mut RegistryBuilder<'_>) {
    jobs.add::<Count>();
    jobs.add::<Announce>();
}

pub(crate) fn stream() -> StreamId {
    StreamId::from_bytes([5; 16])
}

/// The counts that are stored.
pub(crate) async fn counts(bench: &Workbench) -> Vec<i64> {
    let rows = bench.db.all(Query::new("SELECT viewers FROM viewer_count")).await.unwrap();
    rows.iter().map(|row| row.get(0).unwrap()).collect()
}
