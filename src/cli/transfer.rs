//! `main-worker import` and `main-worker export`: JSON Lines in and out.

mod target;

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};
use models::transfer::{
    self, Counts, ImportOptions, ImportReport, Importer, Kind, LineProblem, LineReader,
    TransferError,
};
use serde_json::{Value, json};

use target::Target;

use super::{Exit, Invocation, Output};

/// Bytes read from a file at once.
const READ_BYTES: usize = 256 * 1024;

/// Arguments of `import`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  main-worker import accounts.jsonl
  main-worker import everything.jsonl --keep-going
  main-worker export account | ssh other main-worker import -")]
pub(super) struct ImportArguments {
    /// File of JSON Lines, see docs/import_export.md; `-` for stdin
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Leave out bad lines and store the others; otherwise the first bad line undoes all
    #[arg(long)]
    keep_going: bool,
}

/// Arguments of `export`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  main-worker export account > accounts.jsonl
  main-worker export usage --out usage.jsonl")]
pub(super) struct ExportArguments {
    /// What to write: account, project, stream or usage
    #[arg(value_name = "KIND")]
    kind: Kind,
    /// File to write, replaced as a whole; stdout when absent or `-`
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) async fn import(invocation: &Invocation, arguments: ImportArguments) -> Result<Exit> {
    let (source, total) = open(&arguments.file).map_err(|error| error.context(Exit::Usage))?;
    let app = invocation.open().await?;
    let options = ImportOptions { keep_going: arguments.keep_going, ..ImportOptions::default() };
    let mut importer = Importer::new(app.db.clone(), options, app.clock.now());
    // A catalogue that cannot be read is told by `check` and when a worker starts.
    if let Ok(catalogue) = jobs::catalogue(&app.manifest) {
        importer = importer.with_catalogue(catalogue);
    }
    let mut reader = LineReader::new(BufReader::with_capacity(READ_BYTES, source));
    let progress = bar(total);
    let mut line = Vec::new();
    let ended = loop {
        match reader.next_line(&mut line) {
            Ok(Some(read)) => {
                progress.inc(read.taken_bytes);
                if let Err(error) = importer.push_line(read.number, &line).await {
                    break Err(error);
                }
            }
            Ok(None) => break importer.finish().await,
            Err(error) => {
                progress.finish_and_clear();
                let shown = arguments.file.display().to_string();
                let error = anyhow::Error::from(error).context(format!("cannot read {shown}"));
                return Err(error.context(Exit::TryAgain));
            }
        }
    };
    progress.finish_and_clear();
    let report = ended.map_err(failed)?;
    tell(invocation.output, &report);
    Ok(if report.rejected_count == 0 { Exit::Completed } else { Exit::Rejected })
}

fn open(path: &Path) -> Result<(Box<dyn Read + Send>, Option<u64>)> {
    if path == Path::new("-") {
        return Ok((Box::new(std::io::stdin()), None));
    }
    let shown = path.display();
    let file = File::open(path).with_context(|| format!("cannot read {shown}"))?;
    let about = file.metadata().with_context(|| format!("cannot read {shown}"))?;
    anyhow::ensure!(!about.is_dir(), "{shown} is a folder; name a file of JSON Lines");
    Ok((Box::new(file), about.is_file().then_some(about.len())))
}

/// A bar on stderr if that is a terminal; nothing otherwise.
fn bar(total: Option<u64>) -> ProgressBar {
    let (bar, template) = match total {
        Some(total) => (ProgressBar::new(total), "{bar:40} {bytes}/{total_bytes} {bytes_per_sec}"),
        None => (ProgressBar::new_spinner(), "{spinner} {bytes} {bytes_per_sec}"),
    };
    bar.with_style(ProgressStyle::with_template(template).expect("the template is right"))
}

fn failed(error: TransferError) -> anyhow::Error {
    let exit = match &error {
        TransferError::Refused(_) => Exit::Rejected,
        TransferError::Import { stored_lines: _, cause } | TransferError::Export(cause) => {
            if cause.is_transient() { Exit::TryAgain } else { Exit::Failed }
        }
        TransferError::Ended | TransferError::Write(_) => Exit::Failed,
    };
    anyhow::Error::from(error).context(exit)
}

fn tell(output: Output, report: &ImportReport) {
    let ImportReport {
        lines,
        accepted,
        unchanged,
        rejected,
        rejected_count,
        warnings,
        warning_count,
    } = report;
    if output.is_json() {
        let counts = |counts: &Counts| {
            let Counts { accounts, projects, streams } = counts;
            json!({ "accounts": accounts, "projects": projects, "streams": streams })
        };
        let list = |problems: &[LineProblem]| -> Vec<Value> {
            let one =
                |p: &LineProblem| json!({ "line": p.line, "field": p.field, "message": p.message });
            problems.iter().map(one).collect()
        };
        output.json(&json!({
            "lines": lines, "accepted": counts(accepted), "unchanged": counts(unchanged),
            "rejectedCount": rejected_count, "rejected": list(rejected),
            "warningCount": warning_count, "warnings": list(warnings),
        }));
        return;
    }
    let more = |all: u64, shown: &[LineProblem]| all - u64::try_from(shown.len()).unwrap_or(all);
    for problem in rejected {
        output.error(&problem.to_string());
    }
    match more(*rejected_count, rejected) {
        0 => {}
        more => output.error(&format!("and {more} more bad lines")),
    }
    for problem in warnings {
        output.note(&format!("warning: {problem}; stored, but no such month can be billed"));
    }
    match more(*warning_count, warnings) {
        0 => {}
        more => output.note(&format!("warning: and {more} more plans that are not sold")),
    }
    output.line(&format!(
        "{lines} lines: {} stored ({} accounts, {} projects, {} streams), {} known already, {rejected_count} refused",
        accepted.total(),
        accepted.accounts,
        accepted.projects,
        accepted.streams,
        unchanged.total(),
    ));
}

pub(super) async fn export(invocation: &Invocation, arguments: ExportArguments) -> Result<Exit> {
    let app = invocation.open().await?;
    let ExportArguments { kind, out } = arguments;
    let Some(path) = out.filter(|path| path != Path::new("-")) else {
        let mut stdout = std::io::stdout();
        let written = transfer::export(&app.db, kind, &mut stdout).await;
        return match written.and_then(|_| stdout.flush().map_err(TransferError::Write)) {
            Ok(()) => Ok(Exit::Completed),
            // Whoever closed the pipe does not want the rest.
            Err(TransferError::Write(error)) if error.kind() == ErrorKind::BrokenPipe => {
                Ok(Exit::Completed)
            }
            Err(error) => Err(failed(error)),
        };
    };
    let shown = path.display().to_string();
    let mut target = Target::open(&path).map_err(|error| error.context(Exit::Usage))?;
    let progress = bar(None);
    let written = transfer::export(&app.db, kind, &mut progress.wrap_write(&mut target)).await;
    progress.finish_and_clear();
    let lines = written.map_err(failed)?;
    target.finish()?;
    if invocation.output.is_json() {
        invocation.output.json(&json!({ "kind": kind.as_str(), "lines": lines, "file": shown }));
    } else {
        invocation.output.line(&format!("{lines} lines of kind {kind} written to {shown}"));
    }
    Ok(Exit::Completed)
}
