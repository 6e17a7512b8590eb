//! Before an attempt: admission, the handler, and the configuration opened.

use std::sync::Arc;

use admission::{Code, Rejection, Voucher};
use envelope::{Envelope, RawJson, SealedSection};
use job::ErasedJob;
use reporting::ScrubGuard;
use values::{JobName, Secret, Source};

use crate::app::App;
use crate::configuration::{self, Sections};
use crate::keys::Keys;

/// A request that was admitted, with its handler found and its configuration opened.
pub struct Prepared {
    /// The handler.
    pub handler: Arc<dyn ErasedJob>,
    /// The job.
    pub job: JobName,
    /// Who asks.
    pub source: Source,
    /// The only host that may run it, as its payload says.
    pub host: Option<String>,
    /// The payload's text.
    pub payload: RawJson,
    /// Opened sections.
    pub sections: Sections,
    /// Those of them that came with the envelope; follow-ups that declare them inherit them.
    pub inherited: Sections,
    /// Keeps the sections' texts out of every log while it lives.
    pub scrub: ScrubGuard,
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prepared").field("job", &self.job).finish_non_exhaustive()
    }
}

/// Admits an envelope, finds its handler and opens its configuration.
///
/// What only other keys could accept is judged again by the newest ones: a key may have been added
/// a moment ago.
///
/// # Errors
/// A rejection, never a failed attempt.
pub fn prepare(
    app: &App,
    envelope: &Envelope,
    voucher: &Voucher<'_>,
) -> Result<Prepared, Rejection> {
    let keys = app.keys.current();
    match prepare_with(app, &keys, envelope, voucher) {
        Err(rejection) if depends_on_keys(&rejection) => {
            let newest = app.keys.newest();
            if Arc::ptr_eq(&keys, &newest) {
                return Err(rejection);
            }
            prepare_with(app, &newest, envelope, voucher)
        }
        prepared => prepared,
    }
}

/// Whether a proof or a sealed section may be right under keys that are not known yet.
fn depends_on_keys(rejection: &Rejection) -> bool {
    matches!(rejection.code, Code::BadProof | Code::MissingConfiguration)
        && !rejection.ends_at_once()
}

fn prepare_with(
    app: &App,
    keys: &Keys,
    envelope: &Envelope,
    voucher: &Voucher<'_>,
) -> Result<Prepared, Rejection> {
    let admitted = admission::admit(&app.rules(keys), envelope, voucher)?;
    let job = admitted.descriptor.job.clone();
    let reject = |code, field: &str, message: String| {
        Rejection::new(code, &envelope.job_name, &envelope.source, field, message)
    };
    let Some(handler) = app.registry.get(job.as_str()) else {
        let message = format!("this release has no handler for `{job}`");
        return Err(reject(Code::UnknownJob, "jobName", message));
    };
    let given = envelope.sections().unwrap_or_default();
    let (mut sections, mut inherited) = (Sections::new(), Sections::new());
    for declared in admitted.descriptor.sections {
        let value = match given.get(declared.name) {
            Some(value) => {
                let opened = open(keys, envelope, declared.name, value).map_err(|message| {
                    let field = format!("configuration.{}", declared.name);
                    reject(Code::MissingConfiguration, &field, message)
                })?;
                inherited.insert(declared.name.to_owned(), opened.clone());
                opened
            }
            None if declared.origin.allows_worker() => match app.sections.get(declared.name) {
                Some(value) => value.clone(),
                None => continue,
            },
            None => continue,
        };
        sections.insert(declared.name.to_owned(), value);
    }
    let texts = sections.values().flat_map(configuration::texts).collect();
    Ok(Prepared {
        handler: Arc::clone(handler),
        source: admitted.source,
        host: admitted.host,
        payload: envelope.job_payload.clone(),
        scrub: app.reporter.scrubber.guard(texts),
        sections,
        inherited,
        job,
    })
}

fn open(
    keys: &Keys,
    envelope: &Envelope,
    name: &str,
    value: &RawJson,
) -> Result<Secret<String>, String> {
    let sealed = SealedSection::from_json(value).map_err(|error| error.to_string())?;
    if sealed.is_none() {
        return Ok(Secret::new(value.as_str().to_owned()));
    }
    let text: String =
        serde_json::from_str(value.as_str()).map_err(|_| "it is not a text".to_owned())?;
    let opened = keys
        .sealing
        .open(&envelope.source, &envelope.job_name, name, &text)
        .map_err(|error| error.to_string())?;
    let opened = String::from_utf8(opened.expose().clone());
    opened.map(Secret::new).map_err(|_| "the sealed section is not UTF-8".to_owned())
}
