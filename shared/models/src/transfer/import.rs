//! Lines in, rows stored: all of a file or nothing, or whatever of it is right.

use billing::Catalogue;
use database::{Db, DbError, Transaction};
use values::Timestamp;

use super::apply::{Applied, apply};
use super::line::{Record, parse};
use super::{Counts, ImportReport, LineProblem, TransferError};

/// The most lines that go into one batch.
pub const MAX_BATCH_LINES: usize = 10_000;

/// How an import goes about its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImportOptions {
    /// Leaves out bad lines and stores the others, a batch per transaction. Without it the first
    /// bad line ends the import, nothing is stored, and one transaction spans it all: whoever
    /// else wants to write waits for its end.
    pub keep_going: bool,
    /// Lines looked up and written together, 1 to [`MAX_BATCH_LINES`].
    pub batch: usize,
}

impl Default for ImportOptions {
    fn default() -> Self {
        Self { keep_going: false, batch: 1_000 }
    }
}

/// An import under way; dropped without [`finish`](Self::finish), what is not stored yet is lost.
#[derive(Debug)]
pub struct Importer {
    db: Db,
    options: ImportOptions,
    now: Timestamp,
    catalogue: Option<Catalogue>,
    /// Spans all batches unless bad lines are left out.
    transaction: Option<Transaction>,
    batch: Vec<(u64, Record)>,
    problems: Vec<LineProblem>,
    last_line: u64,
    stored_lines: u64,
    report: ImportReport,
    ended: bool,
}

impl Importer {
    /// Begins an import; `now` is the time of rows that give none.
    pub fn new(db: Db, options: ImportOptions, now: Timestamp) -> Self {
        Self {
            db,
            options,
            now,
            catalogue: None,
            transaction: None,
            batch: Vec::new(),
            problems: Vec::new(),
            last_line: 0,
            stored_lines: 0,
            report: ImportReport::default(),
            ended: false,
        }
    }

    /// Warns of plans that are not sold, of which [`ImportReport::warnings`] tells.
    #[must_use]
    pub fn with_catalogue(mut self, catalogue: Catalogue) -> Self {
        self.catalogue = Some(catalogue);
        self
    }

    /// Takes the next line, without its line end; `number` counts from 1.
    ///
    /// # Errors
    /// [`TransferError::Refused`] for the first bad line, unless bad lines are left out;
    /// [`TransferError::Import`] if the database failed. Both end the import.
    pub async fn push_line(&mut self, number: u64, line: &[u8]) -> Result<(), TransferError> {
        if self.ended {
            return Err(TransferError::Ended);
        }
        self.last_line = number;
        self.report.lines += 1;
        match parse(number, line) {
            Ok(None) => {}
            Ok(Some(record)) => self.batch.push((number, record)),
            Err(problem) => self.problems.push(problem),
        }
        let stops = !self.options.keep_going && !self.problems.is_empty();
        let held = self.batch.len() + self.problems.len();
        if stops || held >= self.options.batch.clamp(1, MAX_BATCH_LINES) {
            self.flush().await?;
        }
        Ok(())
    }

    /// Stores what is left and tells what became of all lines.
    ///
    /// # Errors
    /// As [`push_line`](Self::push_line).
    pub async fn finish(mut self) -> Result<ImportReport, TransferError> {
        if self.ended {
            return Err(TransferError::Ended);
        }
        self.flush().await?;
        if let Some(transaction) = self.transaction.take() {
            transaction.commit().await.map_err(|cause| self.failed(cause))?;
        }
        Ok(self.report)
    }

    async fn flush(&mut self) -> Result<(), TransferError> {
        let outcome = self.store_batch().await;
        let applied = match outcome {
            Ok(applied) => applied,
            Err(cause) => return Err(self.end(self.failed(cause)).await),
        };
        let mut problems = applied.problems;
        problems.append(&mut self.problems);
        problems.sort_by_key(|problem| problem.line);
        if !self.options.keep_going
            && let Some(first) = problems.first()
        {
            let error = TransferError::Refused(first.clone());
            return Err(self.end(error).await);
        }
        add(&mut self.report.accepted, applied.accepted);
        add(&mut self.report.unchanged, applied.unchanged);
        self.report.rejected_count += problems.len() as u64;
        let room = ImportReport::MAX_KEPT - self.report.rejected.len();
        self.report.rejected.extend(problems.into_iter().take(room));
        self.report.warning_count += applied.warnings.len() as u64;
        let room = ImportReport::MAX_KEPT - self.report.warnings.len();
        self.report.warnings.extend(applied.warnings.into_iter().take(room));
        Ok(())
    }

    /// Writes the batch; commits it unless one transaction spans the import.
    async fn store_batch(&mut self) -> Result<Applied, DbError> {
        if self.batch.is_empty() {
            return Ok(Applied::default());
        }
        let mut transaction = match self.transaction.take() {
            Some(transaction) => transaction,
            None => self.db.begin().await?,
        };
        let catalogue = self.catalogue.as_ref();
        let applied = match apply(&mut transaction.tx(), &self.batch, self.now, catalogue).await {
            Ok(applied) => applied,
            Err(cause) => {
                // The first failure is the one to tell of.
                transaction.rollback().await.ok();
                return Err(cause);
            }
        };
        self.batch.clear();
        if self.options.keep_going {
            transaction.commit().await?;
            self.stored_lines = self.last_line;
        } else {
            self.transaction = Some(transaction);
        }
        Ok(applied)
    }

    fn failed(&self, cause: DbError) -> TransferError {
        TransferError::Import { stored_lines: self.stored_lines, cause }
    }

    /// Ends the import; what its transaction holds is undone before the error is seen.
    async fn end(&mut self, error: TransferError) -> TransferError {
        self.ended = true;
        let Some(transaction) = self.transaction.take() else {
            return error;
        };
        match transaction.rollback().await {
            Ok(()) => error,
            Err(cause) => self.failed(cause),
        }
    }
}

fn add(sum: &mut Counts, counts: Counts) {
    let Counts { accounts, projects, streams } = counts;
    sum.accounts += accounts;
    sum.projects += projects;
    sum.streams += streams;
}
