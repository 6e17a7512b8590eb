//! What a roll-up costs after one new file, however much usage is stored.

use std::time::Instant;

use anyhow::{Result, ensure};
use database::{Db, Query};
use models::{
    Account, BillingProvider, FileOutcome, FileTotals, Project, Stream, UsageRow, accounts, ledger,
    projects, roll_up, streams,
};
use serde::Serialize;
use values::{AccountId, LogFileId, Month, ProjectId, Span, StreamId, Timestamp, UsageKind};

use super::{Scratch, open, percentile};

/// The month in which files arrive; the usage before them is of it and the eleven months before.
pub(super) const NOW: Timestamp = Timestamp::from_seconds(1_792_108_800); // 2026-10-16
const MONTHS: u32 = 12;
/// A file has 40 streams in 25 hours each.
const STREAMS_PER_FILE: u32 = 40;
const HOURS_PER_FILE: u32 = 25;
const ROWS_PER_FILE: u32 = STREAMS_PER_FILE * HOURS_PER_FILE;
const STREAMS_PER_ACCOUNT: u32 = 20;
/// Files of one transaction while usage is made up.
const FILES_PER_BATCH: u32 = 200;
/// Files that are completed and rolled up, one after the other.
const MEASURED: u32 = 50;
/// Changes that one transaction of a roll-up looks at, as the job does.
const CHANGES_PER_BATCH: u32 = 1_000;
const BYTES_PER_ROW: u64 = 1_000;

/// What was measured, microseconds.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RollUpReport {
    /// Hourly usage rows that were there before.
    pub usage_rows: u64,
    /// Streams and months they are of.
    pub stream_months: u64,
    /// Accounts and months they are of.
    pub account_months: u64,
    /// Making them up took so long, seconds.
    pub fill_seconds: u64,
    /// Rows of each new file.
    pub rows_per_file: u32,
    /// Files that were completed and rolled up.
    pub files: u32,
    /// Accounts and months that each roll-up summed again, at the most.
    pub summed_per_roll_up: usize,
    /// Half of the files were stored in so long.
    pub file_p50_us: u64,
    /// The quickest roll-up.
    pub roll_up_min_us: u64,
    /// Half of the roll-ups took so long.
    pub roll_up_p50_us: u64,
    /// The slowest.
    pub roll_up_max_us: u64,
}

/// Makes up at least `rows` usage rows of `streams` streams, then measures roll-ups after one new
/// file each.
pub async fn roll_up_after_a_file(
    scratch: &Scratch,
    rows: u64,
    streams: u32,
) -> Result<RollUpReport> {
    let app = open(scratch).await?;
    let db = &app.db;
    models::SCHEMA.migrate(db, NOW).await?;
    let began = Instant::now();
    company(db, streams).await?;
    let files = u32::try_from(rows.div_ceil(u64::from(ROWS_PER_FILE)))?;
    fill(db, files, streams).await?;
    roll(db).await?;
    let fill_seconds = began.elapsed().as_secs();
    let usage_rows = count(db, "SELECT count(*) FROM usage_hour").await?;
    let stream_months = count(db, "SELECT count(*) FROM usage_stream_month").await?;
    let account_months = count(db, "SELECT count(*) FROM usage_account_month").await?;
    let (mut stored, mut rolled, mut most) = (Vec::new(), Vec::new(), 0);
    for number in 0..MEASURED {
        let began = Instant::now();
        complete(db, files + number, streams).await?;
        stored.push(super::micros(began.elapsed()));
        let began = Instant::now();
        let summed = roll(db).await?;
        rolled.push(super::micros(began.elapsed()));
        ensure!(summed > 0, "a new file changed nothing");
        most = most.max(summed);
    }
    ensure_the_sums_are_right(db, u64::from(files + MEASURED)).await?;
    stored.sort_unstable();
    rolled.sort_unstable();
    Ok(RollUpReport {
        usage_rows,
        stream_months,
        account_months,
        fill_seconds,
        rows_per_file: ROWS_PER_FILE,
        files: MEASURED,
        summed_per_roll_up: most,
        file_p50_us: percentile(&stored, 50),
        roll_up_min_us: rolled[0],
        roll_up_p50_us: percentile(&rolled, 50),
        roll_up_max_us: percentile(&rolled, 100),
    })
}

/// Every row that was stored is in the sum of an account.
async fn ensure_the_sums_are_right(db: &Db, files: u64) -> Result<()> {
    let sum = "SELECT CAST(sum(bandwidth_bytes) AS BIGINT) FROM usage_account_month";
    let (sum, expected) = (count(db, sum).await?, files * u64::from(ROWS_PER_FILE) * BYTES_PER_ROW);
    ensure!(sum == expected, "accounts used {sum} bytes together, but {expected} were stored");
    Ok(())
}

async fn count(db: &Db, sql: &'static str) -> Result<u64> {
    let row = db.first(Query::new(sql)).await?.expect("a sum is one row");
    Ok(u64::try_from(row.get::<i64>(0)?)?)
}

/// Accounts with one project and twenty streams each, numbered, and their numbers in a table.
pub(super) async fn company(db: &Db, count: u32) -> Result<()> {
    let owners = count.div_ceil(STREAMS_PER_ACCOUNT);
    let rows: Vec<Account> = (0..owners).map(account).collect();
    let of_owners: Vec<Project> = (0..owners).map(project).collect();
    let of_projects: Vec<Stream> = (0..count).map(|number| stream(number, owners)).collect();
    let mut work = db.begin().await?;
    let tx = &mut work.tx();
    accounts::upsert_many(tx, &rows).await?;
    projects::upsert_many(tx, &of_owners).await?;
    streams::upsert_many(tx, &of_projects).await?;
    work.commit().await?;
    Ok(())
}

/// Usage rows of whole files, made by the database itself, and the sums they have.
async fn fill(db: &Db, files: u32, streams: u32) -> Result<()> {
    // Every engine takes these types; only this measurement reads the table.
    let bytes = if db.kind() == database::EngineKind::Sqlite { "BLOB" } else { "BYTEA" };
    let sql = format!(
        "CREATE TABLE bench_number (number BIGINT NOT NULL PRIMARY KEY, stream {bytes}, \
         file {bytes} NOT NULL, month BIGINT, start BIGINT)"
    );
    db.execute(Query::built(sql)).await?;
    for from in (0..files.max(streams)).step_by(FILES_PER_BATCH as usize) {
        number(db, from, from + FILES_PER_BATCH, streams).await?;
    }
    db.execute(Query::new("ANALYZE bench_number")).await?;
    for from in (0..files).step_by(FILES_PER_BATCH as usize) {
        let to = files.min(from + FILES_PER_BATCH);
        let rows = Query::new(
            "INSERT INTO usage_hour (log_file_id, stream_id, hour, kind, bytes, lines, seconds)
               SELECT f.file, s.stream, m.start + h.number * 3600000000, $3, $4, 3, 0
               FROM bench_number f JOIN bench_number m ON m.number = f.number % 12
               JOIN bench_number j ON j.number < 40
               JOIN bench_number s ON s.number = (f.number * 40 + j.number) % $5
               JOIN bench_number h ON h.number < 25
               WHERE f.number >= $1 AND f.number < $2
               ORDER BY f.number, s.stream, h.number",
        );
        let rows = rows.bind(i64::from(from)).bind(i64::from(to)).bind(UsageKind::Hls);
        super::write(db, rows.bind(BYTES_PER_ROW.cast_signed()).bind(i64::from(streams))).await?;
    }
    let sums = Query::new(
        "INSERT INTO usage_stream_month (stream_id, month, kind, bytes, lines, seconds)
           SELECT s.stream, m.month, $2, count(*) * 25 * $3, count(*) * 75, 0
           FROM bench_number f JOIN bench_number m ON m.number = f.number % 12
           JOIN bench_number j ON j.number < 40
           JOIN bench_number s ON s.number = (f.number * 40 + j.number) % $4
           WHERE f.number < $1 GROUP BY s.stream, m.month",
    );
    let sums = sums.bind(i64::from(files)).bind(UsageKind::Hls);
    super::write(db, sums.bind(BYTES_PER_ROW.cast_signed()).bind(i64::from(streams))).await?;
    let changes = Query::new(
        "INSERT INTO usage_dirty (month, stream_id) SELECT month, stream_id FROM usage_stream_month",
    );
    super::write(db, changes).await
}

/// Numbers from `from` to before `to`: which stream, which file and which month each stands for.
async fn number(db: &Db, from: u32, to: u32, streams: u32) -> Result<()> {
    let mut work = db.begin().await?;
    for number in from..to {
        let query = Query::new(
            "INSERT INTO bench_number (number, stream, file, month, start)
               VALUES ($1, $2, $3, $4, $5)",
        );
        let stream = (number < streams).then(|| stream_id(number));
        let month = (number < MONTHS).then(|| month_of(number));
        let query = query.bind(i64::from(number)).bind(stream).bind(file_id(number));
        let query = query.bind(month).bind(month.map(Month::start));
        work.tx().execute(query).await?;
    }
    work.commit().await?;
    Ok(())
}

/// Stores one more file of the current month, as a job does.
async fn complete(db: &Db, number: u32, streams: u32) -> Result<()> {
    let mut work = db.begin().await?;
    let key = format!("file-{number}");
    let file = ledger::begin_file(&mut work.tx(), "bench", &key, file_id(number), NOW).await?;
    let rows: Vec<UsageRow> = (0..ROWS_PER_FILE)
        .map(|row| UsageRow {
            stream_id: stream_id((number * STREAMS_PER_FILE + row % STREAMS_PER_FILE) % streams),
            hour: month_of(0).start().after(Span::from_hours(row / STREAMS_PER_FILE)),
            kind: UsageKind::Hls,
            bytes: BYTES_PER_ROW,
            lines: 3,
            seconds: 0,
        })
        .collect();
    let totals = FileTotals { size_bytes: 1, lines: 3 * u64::from(ROWS_PER_FILE), bytes: 1 };
    let outcome = FileOutcome::new(totals, &(), &[(); 0]);
    ledger::complete_file(&mut work.tx(), file.id, &outcome, &rows, NOW).await?;
    work.commit().await?;
    Ok(())
}

/// Rolls up what changed, in the batches of the job; returns how many accounts and months that were.
async fn roll(db: &Db) -> Result<usize> {
    let (mut summed, mut after) = (0, None);
    loop {
        let mut work = db.begin().await?;
        let part = roll_up::roll_up(&mut work.tx(), None, after, CHANGES_PER_BATCH, NOW).await?;
        work.commit().await?;
        summed += part.account_months;
        after = part.after;
        if !part.more {
            return Ok(summed);
        }
    }
}

/// The current month, and those before it.
fn month_of(number: u32) -> Month {
    let index = NOW.month().index() - i64::from(number);
    Month::from_index(index).expect("a month of our time")
}

/// An id of a kind; the numbers' order is the ids' order.
fn id(kind: u8, number: u32) -> [u8; 16] {
    let mut bytes = [kind; 16];
    bytes[8..].copy_from_slice(&u64::from(number).to_be_bytes());
    bytes
}

pub(super) fn stream_id(number: u32) -> StreamId {
    // Streams of a file lie apart in their table, as in life.
    StreamId::from_bytes(id(3, number.wrapping_mul(0x9e37_79b1)))
}

fn file_id(number: u32) -> LogFileId {
    LogFileId::from_bytes(id(4, number))
}

fn account(number: u32) -> Account {
    Account {
        id: AccountId::from_bytes(id(1, number)),
        name: format!("Account {number}"),
        billing_email: None,
        billing_provider: BillingProvider::Cine,
        unthrottleable: false,
        throttled_at: None,
        throttled_reason: None,
        created_at: NOW,
        updated_at: NOW,
        deleted_at: None,
    }
}

fn project(number: u32) -> Project {
    Project {
        id: ProjectId::from_bytes(id(2, number)),
        account_id: AccountId::from_bytes(id(1, number)),
        name: format!("Project {number}"),
        public_key: format!("key{number}"),
        created_at: NOW,
        updated_at: NOW,
        deleted_at: None,
    }
}

fn stream(number: u32, owners: u32) -> Stream {
    Stream {
        id: stream_id(number),
        project_id: Some(ProjectId::from_bytes(id(2, number % owners))),
        name: format!("stream{number}"),
        instance_name: "cines".to_owned(),
        record: false,
        assigned_at: Some(NOW),
        created_at: NOW,
        updated_at: NOW,
        deleted_at: None,
    }
}
