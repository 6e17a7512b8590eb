//! `main-worker enqueue`: asks for a job on behalf of a source whose key this machine holds.

mod options;
mod wait;

use std::path::{Path, PathBuf};

use admission::{Code, Rejection};
use anyhow::{Context, Result};
use envelope::{Envelope, EnvelopeError, Limits, RawJson};
use scheduling::EnqueueError;
use serde::Serialize;
use tasks::Enqueued;
use values::{Secret, Source, Span, did_you_mean};

use super::{Exit, Invocation, bounds, exit, run};
use crate::app::App;
use crate::configuration;

const EXAMPLES: &str = "Examples:
  main-worker enqueue monitoring/report_environment
  main-worker enqueue logs/process_log '{\"logSource\":\"cdn\",\"key\":\"a.gz\"}' --priority 2
  main-worker enqueue usage/roll_up_usage --delay 10m --unique job --label month-end
  main-worker enqueue logs/discover_logs --configuration storage.toml --wait
  main-worker enqueue --envelope request.json";

/// Arguments of `enqueue`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// The job, such as logs/discover_logs
    #[arg(value_name = "JOB", required_unless_present = "envelope")]
    job: Option<String>,
    /// The payload as JSON; `-` reads stdin, {} when absent
    #[arg(value_name = "PAYLOAD")]
    payload: Option<String>,
    /// File with the payload
    #[arg(long, value_name = "FILE", conflicts_with = "payload")]
    payload_file: Option<PathBuf>,
    /// File with a whole envelope instead, `-` for stdin; its source is the one that asks
    #[arg(long, value_name = "FILE", conflicts_with_all = ["job", "payload", "payload_file", "source", "configuration"])]
    envelope: Option<PathBuf>,
    /// Who asks; this machine must hold its key
    #[arg(long, value_name = "SOURCE", default_value = "operator")]
    source: String,
    /// TOML or JSON file with configuration sections; they are sealed before they are stored
    #[arg(long, value_name = "FILE")]
    configuration: Option<PathBuf>,
    #[command(flatten)]
    options: options::Options,
    /// Wait until the task has ended, print its result and end with its exit code
    #[arg(long)]
    wait: bool,
    /// How long to wait at the most
    #[arg(long, value_name = "SPAN", default_value = "1h", requires = "wait", value_parser = bounds::wait)]
    wait_timeout: Span,
}

/// What is asked for.
struct Request {
    job: String,
    source: String,
    configuration: RawJson,
    payload: RawJson,
}

pub(super) async fn execute(invocation: &Invocation, arguments: Arguments) -> Result<Exit> {
    let app = invocation.open().await?;
    let exit = match ask(&app, &arguments).await {
        Ok(enqueued) if arguments.wait => {
            wait::until_ended(invocation, &app, enqueued, arguments.wait_timeout).await
        }
        Ok(enqueued) => {
            tell(invocation, enqueued);
            Ok(Exit::Completed)
        }
        Err(error) => match error.downcast::<Rejection>() {
            Ok(rejection) => {
                refuse(invocation, &rejection);
                Ok(Exit::Rejected)
            }
            Err(error) => Err(error),
        },
    };
    app.flush().await;
    exit
}

async fn ask(app: &App, arguments: &Arguments) -> Result<Enqueued> {
    let secrets = match &arguments.configuration {
        Some(path) => read_sections(path).map_err(|error| error.context(Exit::Usage))?,
        None => configuration::Sections::new(),
    };
    let texts = secrets.values().flat_map(configuration::texts).collect();
    let _scrub = app.reporter.scrubber.guard(texts);
    let request = match read_request(app, arguments, &secrets)? {
        Ok(request) => request,
        Err(rejection) => return Err(kept(app, rejection).await),
    };
    let Request { job, source, configuration, payload } = request;
    if let Err(rejection) = check_source(app, &job, &source) {
        return Err(kept(app, rejection).await);
    }
    let producer = app.producer(&source).map_err(|error| error.context(Exit::Settings))?;
    let options = arguments.options.task_options();
    producer.enqueue_raw(&job, &configuration, payload, options).await.map_err(
        |error| match error {
            // It is kept and counted already.
            EnqueueError::Rejected(rejection) => rejection.into(),
            EnqueueError::Store(error) => exit::of_store(error),
            other => anyhow::Error::from(other).context(Exit::Rejected),
        },
    )
}

/// Reads what is asked for; a text that is no request is a rejection.
fn read_request(
    app: &App,
    arguments: &Arguments,
    sections: &configuration::Sections,
) -> Result<Result<Request, Rejection>> {
    let limits = admission::limits(&app.manifest);
    let limit = app.manifest.worker.max_envelope_bytes;
    let read = |path: &Path| {
        run::read_input(Some(path), limit).map_err(|error| error.context(Exit::Usage))
    };
    if let Some(path) = &arguments.envelope {
        let envelope = admission::read(&read(path)?, &limits);
        return Ok(envelope.map(|envelope| {
            let Envelope { configuration, job_name, source, job_payload } = envelope;
            Request { job: job_name, source, configuration, payload: job_payload }
        }));
    }
    let payload = match (&arguments.payload_file, arguments.payload.as_deref()) {
        (Some(path), _) => read(path)?,
        (None, Some("-")) => read(Path::new("-"))?,
        (None, Some(text)) => text.as_bytes().to_vec(),
        (None, None) => b"{}".to_vec(),
    };
    let (job, source) = (arguments.job.clone().unwrap_or_default(), arguments.source.clone());
    let rejected = |error: EnvelopeError| {
        let mut rejection = admission::malformed(&job, &source, &error);
        "jobPayload".clone_into(&mut rejection.field);
        rejection
    };
    let payload = match parse_payload(&payload, &limits) {
        Ok(payload) => payload,
        Err(error) => return Ok(Err(rejected(error))),
    };
    let members: Vec<String> = sections
        .iter()
        .map(|(name, value)| {
            format!("{}:{}", serde_json::Value::from(name.as_str()), value.expose())
        })
        .collect();
    let text = Secret::new(format!("{{{}}}", members.join(",")));
    let configuration = match RawJson::parse(text.expose(), &limits) {
        Ok(configuration) => configuration,
        Err(error) => return Ok(Err(admission::malformed(&job, &source, &error))),
    };
    Ok(Ok(Request { job, source, configuration, payload }))
}

fn parse_payload(bytes: &[u8], limits: &Limits) -> Result<RawJson, EnvelopeError> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| EnvelopeError::NotUtf8 { offset: error.valid_up_to() })?;
    let payload = RawJson::parse(text, limits)?;
    if payload.is_object() {
        Ok(payload)
    } else {
        Err(EnvelopeError::WrongType {
            key: "jobPayload",
            expected: "an object",
            found: "something else",
        })
    }
}

fn read_sections(path: &Path) -> Result<configuration::Sections> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
    configuration::parse(&Secret::new(text)).with_context(|| format!("in {shown}"))
}

/// Refuses a source that worker.toml does not know, or that this machine cannot speak for.
fn check_source(app: &App, job: &str, claimed: &str) -> Result<(), Rejection> {
    let reject = |code, message| Err(Rejection::new(code, job, claimed, "source", message));
    let sources = app.manifest.sources.keys();
    let Some(source) = sources.clone().find(|source| source.as_str() == claimed) else {
        let hint = did_you_mean(claimed, sources.map(Source::as_str))
            .map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        return reject(Code::UnknownSource, format!("worker.toml has no such source{hint}"));
    };
    if app.keys.current().file.signing_key(source, app.clock.now()).is_none() {
        let message = format!(
            "this machine holds no key for `{source}`; make one: main-worker keys make --source {source}"
        );
        return reject(Code::BadProof, message);
    }
    Ok(())
}

/// Keeps a rejection that was found before the producer saw the request.
async fn kept(app: &App, rejection: Rejection) -> anyhow::Error {
    tracing::warn!(
        code = %rejection.code, job_name = %rejection.job_name, source = %rejection.source,
        field = %rejection.field, reason = %rejection.message, "request rejected"
    );
    let seen = scheduling::rejection_seen(&rejection, None, "enqueue");
    let first = app.store.record_rejection(seen).await.unwrap_or(true);
    app.reporter.rejected(&rejection, first);
    rejection.into()
}

fn refuse(invocation: &Invocation, rejection: &Rejection) {
    #[derive(Serialize)]
    struct Refused<'a> {
        outcome: &'static str,
        rejection: &'a Rejection,
    }
    if invocation.output.is_json() {
        invocation.output.json(&Refused { outcome: "rejected", rejection });
    } else {
        invocation.output.error(&format!("rejected: {rejection}"));
    }
}

/// Prints the id, and says on stderr if the task was there before.
pub(super) fn tell(invocation: &Invocation, enqueued: Enqueued) {
    let output = invocation.output;
    if output.is_json() {
        output.json(&serde_json::json!({
            "taskId": enqueued.task_id,
            "existing": enqueued.existing,
        }));
        return;
    }
    output.line(&enqueued.task_id.to_string());
    if enqueued.existing {
        output.note("this task was there already; nothing was added");
    }
}
