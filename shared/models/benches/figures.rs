//! Figures of the tables: import, completing files, roll-up. `cargo bench -p models`.

use std::error::Error;
use std::io::Write;
use std::time::Instant;

use database::Db;
use models::transfer::{ImportOptions, Importer, Kind, export};
use models::{FileOutcome, FileTotals, UsageRow, ledger, roll_up};
use values::{AccountId, LogFileId, ProjectId, StreamId, Timestamp, UsageKind};

const ACCOUNTS: u32 = 1_000;
const STREAMS: u32 = 20_000;
const FILES: u32 = 1_000;
const ROWS_PER_FILE: u32 = 1_000;
const START: Timestamp = Timestamp::from_seconds(1_790_812_800); // 2026-10-01

type Outcome = Result<(), Box<dyn Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome {
    let folder = tempfile::tempdir()?;
    let db = Db::open_sqlite(&folder.path().join("main.db")).await?;
    models::SCHEMA.migrate(&db, START).await?;
    let lines = company();
    for (name, keep_going) in [("import, one transaction", false), ("the same again", true)] {
        let begun = Instant::now();
        let options = ImportOptions { keep_going, ..ImportOptions::default() };
        let mut importer = Importer::new(db.clone(), options, START);
        for (number, line) in (1..).zip(&lines) {
            importer.push_line(number, line.as_bytes()).await?;
        }
        let report = importer.finish().await?;
        tell(name, lines.len(), begun)?;
        assert_eq!(report.rejected_count, 0, "the company is well-formed");
    }
    let begun = Instant::now();
    let count = export(&db, Kind::Stream, &mut std::io::sink()).await?;
    tell("export of streams", usize::try_from(count)?, begun)?;
    usage(&db).await
}

async fn usage(db: &Db) -> Outcome {
    let begun = Instant::now();
    for file in 0..FILES {
        complete(db, file).await?;
    }
    tell("usage rows, a file per transaction", (FILES * ROWS_PER_FILE) as usize, begun)?;
    let begun = Instant::now();
    let done = roll(db).await?;
    tell("roll-up of everything: accounts and months", done, begun)?;
    let begun = Instant::now();
    complete(db, FILES).await?;
    tell("one more file: rows", ROWS_PER_FILE as usize, begun)?;
    let begun = Instant::now();
    let done = roll(db).await?;
    tell("roll-up after that file: accounts and months", done, begun)?;
    let begun = Instant::now();
    complete(db, FILES).await?;
    tell("that file again: rows", ROWS_PER_FILE as usize, begun)?;
    Ok(())
}

async fn complete(db: &Db, file: u32) -> Outcome {
    let mut work = db.begin().await?;
    let id = LogFileId::new(START, bytes(file));
    let key = format!("file-{file}");
    let file_row = ledger::begin_file(&mut work.tx(), "cdn", &key, id, START).await?;
    let rows: Vec<UsageRow> = (0..ROWS_PER_FILE)
        .map(|row| UsageRow {
            // Forty streams a file, each in 25 hours.
            stream_id: StreamId::new(START, bytes((file * 40 + row % 40) % STREAMS)),
            hour: Timestamp::from_seconds(START.as_seconds() + i64::from(row / 40) * 3_600),
            kind: UsageKind::Hls,
            bytes: u64::from(row) * 1_000,
            lines: 3,
            seconds: 0,
        })
        .collect();
    let totals = FileTotals { size_bytes: 1, lines: 3_000, bytes: 1 };
    let outcome = FileOutcome::new(totals, &(), &[(); 0]);
    ledger::complete_file(&mut work.tx(), file_row.id, &outcome, &rows, START).await?;
    work.commit().await?;
    Ok(())
}

async fn roll(db: &Db) -> Result<usize, Box<dyn Error>> {
    let mut done = 0;
    loop {
        let mut work = db.begin().await?;
        let part = roll_up::roll_up(&mut work.tx(), None, None, 1_000, START).await?;
        work.commit().await?;
        done += part.account_months;
        if !part.more {
            return Ok(done);
        }
    }
}

/// Accounts with one project each, and streams that are spread over them.
fn company() -> Vec<String> {
    let mut lines = Vec::new();
    let account = |n: u32| AccountId::new(START, bytes(n));
    let project = |n: u32| ProjectId::new(START, bytes(n));
    for n in 0..ACCOUNTS {
        let id = account(n);
        lines.push(format!(
            r#"{{"kind":"account","id":"{id}","name":"Account {n}","billingProvider":"cine.io"}}"#
        ));
    }
    for n in 0..ACCOUNTS {
        let (id, owner) = (project(n), account(n));
        lines.push(format!(
            r#"{{"kind":"project","id":"{id}","accountId":"{owner}","name":"P","publicKey":"k{n}"}}"#
        ));
    }
    for n in 0..STREAMS {
        let (id, owner) = (StreamId::new(START, bytes(n)), project(n % ACCOUNTS));
        lines.push(format!(
            r#"{{"kind":"stream","id":"{id}","projectId":"{owner}","name":"stream{n}"}}"#
        ));
    }
    lines
}

/// Ten bytes that look random and follow from a number.
fn bytes(number: u32) -> [u8; 10] {
    let mixed = (u64::from(number) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut bytes = [0; 10];
    bytes[..8].copy_from_slice(&mixed.to_le_bytes());
    bytes
}

fn tell(what: &str, count: usize, begun: Instant) -> std::io::Result<()> {
    let seconds = begun.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a rate for people to read")]
    let rate = count as f64 / seconds;
    writeln!(std::io::stdout(), "{what:48} {count:>9} in {seconds:8.3} s  {rate:>10.0}/s")
}
