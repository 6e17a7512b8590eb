//! The one function that says whether a request may become a task, or run.
//!
//! Pure: no I/O, no clock, and never a panic on any bytes. It is used by the scheduling library, at
//! every door, and again before every attempt; what it refuses never reaches a handler.

mod code;
mod rejection;

use std::collections::BTreeSet;

pub use code::Code;
use contract::{Contract, Descriptor};
use envelope::{
    CLOCK_SKEW, Door, Envelope, EnvelopeError, KeyRing, Limits, Proof, ProofError, RawJson,
    SealedSection, SealingRing, Stamp,
};
use manifest::Manifest;
pub use rejection::Rejection;
use values::{JobName, Source, Timestamp, did_you_mean};

/// What a request is held against.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// Sources, allow-lists and job rows.
    pub manifest: &'a Manifest,
    /// Payload types and configuration sections.
    pub contract: &'a Contract,
    /// The keys that prove sources; `None` where they are not known, as in an API that only wants
    /// to refuse early. The worker always has them.
    pub keys: Option<&'a KeyRing>,
    /// The keys that open sealed configuration; `None` where they are not known.
    pub sealing: Option<&'a SealingRing>,
    /// Sections the worker's own configuration supplies; `None` where that is not known.
    pub worker_sections: Option<&'a BTreeSet<String>>,
}

/// Who vouches for a request.
#[derive(Debug, Clone, Copy)]
pub enum Voucher<'a> {
    /// A proof that travels with the request.
    Proof {
        /// Whether it comes in, or is about to run.
        door: Door,
        /// The current time by the clock of the door.
        now: Timestamp,
        /// What is proven with the envelope.
        stamp: &'a Stamp,
        /// The proof, if there is one.
        proof: Option<&'a Proof>,
    },
    /// The person at this machine's command line, for a one-shot run that is never stored.
    Local,
}

/// A request that may go on.
#[derive(Debug, Clone)]
pub struct Admitted<'a> {
    /// The job's contract.
    pub descriptor: &'a Descriptor,
    /// Who asks.
    pub source: Source,
    /// The only host that may run it, as its payload says.
    pub host: Option<String>,
}

/// Reads an envelope from any bytes.
///
/// # Errors
/// [`Code::MalformedEnvelope`] or [`Code::TooLarge`].
pub fn read(bytes: &[u8], limits: &Limits) -> Result<Envelope, Rejection> {
    Envelope::parse(bytes, limits).map_err(|error| malformed("", "", &error))
}

/// The limits a manifest sets for envelopes.
pub fn limits(manifest: &Manifest) -> Limits {
    Limits {
        max_bytes: usize::try_from(manifest.worker.max_envelope_bytes).unwrap_or(usize::MAX),
        max_depth: usize::try_from(manifest.worker.max_envelope_depth).unwrap_or(usize::MAX),
    }
}

/// Turns a fault of an envelope's text into a rejection.
pub fn malformed(job: &str, source: &str, error: &EnvelopeError) -> Rejection {
    let code = match error {
        EnvelopeError::TooLarge { .. } => Code::TooLarge,
        _ => Code::MalformedEnvelope,
    };
    Rejection::new(code, job, source, "", error.to_string())
}

/// Decides about a request: job name, source, proof, allow-list, configuration, payload.
///
/// # Errors
/// The first of these that is wrong, with what to change.
pub fn admit<'a>(
    rules: &Rules<'a>,
    envelope: &Envelope,
    voucher: &Voucher<'_>,
) -> Result<Admitted<'a>, Rejection> {
    let reject = |code, field: &str, message: String| {
        Rejection::new(code, &envelope.job_name, &envelope.source, field, message)
    };
    let descriptor =
        job(rules, &envelope.job_name).map_err(|m| reject(Code::UnknownJob, "jobName", m))?;
    let source =
        source(rules, &envelope.source).map_err(|m| reject(Code::UnknownSource, "source", m))?;
    vouch(rules, envelope, voucher).map_err(|fault| {
        let rejection = reject(Code::BadProof, "proof", fault.message);
        if fault.elsewhere { rejection.elsewhere() } else { rejection }
    })?;
    if !rules.manifest.allows(&source, &descriptor.job) {
        let message = format!(
            "source `{source}` may not ask for `{0}`; add \"{0}\" to `jobs` of [sources.{source}] in worker.toml if it should",
            descriptor.job
        );
        return Err(reject(Code::SourceNotAllowed, "source", message));
    }
    let stored = matches!(voucher, Voucher::Proof { .. });
    configuration(rules, descriptor, envelope, stored)
        .map_err(|(field, m)| reject(Code::MissingConfiguration, &field, m))?;
    let host = descriptor.check(envelope.job_payload.as_str()).map_err(|problem| {
        let field = match problem.field.as_str() {
            "." => "jobPayload".to_owned(),
            path => format!("jobPayload.{path}"),
        };
        let message = format!(
            "{}; `main-worker jobs show {}` prints the schema and an example",
            problem.message, descriptor.job
        );
        reject(Code::InvalidPayload, &field, message)
    })?;
    Ok(Admitted { descriptor, source, host })
}

/// Finds the job in the contract and its row in the manifest.
fn job<'a>(rules: &Rules<'a>, name: &str) -> Result<&'a Descriptor, String> {
    let Some(descriptor) = rules.contract.get(name) else {
        let shown: String = name.chars().take(100).collect();
        let hint = match rules.contract.suggest(name) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "`main-worker jobs` lists the jobs".to_owned(),
        };
        return Err(format!("there is no job `{shown}`; {hint}"));
    };
    if !rules.manifest.jobs.contains_key(&descriptor.job) {
        return Err(format!("job `{0}` has no row [jobs.\"{0}\"] in worker.toml", descriptor.job));
    }
    Ok(descriptor)
}

fn source(rules: &Rules<'_>, name: &str) -> Result<Source, String> {
    let known = name.parse::<Source>().ok().filter(|s| rules.manifest.sources.contains_key(s));
    known.ok_or_else(|| {
        let shown: String = name.chars().take(100).collect();
        let sources = rules.manifest.sources.keys().map(Source::as_str);
        match did_you_mean(name, sources.clone()) {
            Some(near) => format!("there is no source `{shown}`; did you mean `{near}`?"),
            None => format!(
                "there is no source `{shown}`; worker.toml knows {}",
                sources.collect::<Vec<_>>().join(", ")
            ),
        }
    })
}

/// What is wrong with a proof, and whether a worker with other keys or rules may take it.
struct Fault {
    message: String,
    elsewhere: bool,
}

fn vouch(rules: &Rules<'_>, envelope: &Envelope, voucher: &Voucher<'_>) -> Result<(), Fault> {
    let Voucher::Proof { door, now, stamp, proof } = *voucher else { return Ok(()) };
    let Some(keys) = rules.keys else { return Ok(()) };
    if proof.is_none() && !rules.manifest.worker.require_signatures {
        return Ok(());
    }
    let Envelope { configuration, job_name, source, job_payload } = envelope;
    keys.verify(
        door,
        now,
        stamp,
        source,
        job_name,
        configuration.as_bytes(),
        job_payload.as_bytes(),
        proof,
    )
    .map_err(|error| Fault {
        elsewhere: matches!(error, ProofError::UnknownKey { key_id: _ }),
        message: error.to_string(),
    })?;
    check_lifetime(rules, stamp)
}

/// Refuses a proof that its source wanted to be good for longer than worker.toml grants.
///
/// Without this bound, whoever keeps an expired key could write down an early `issued_at` and
/// have it taken for ever.
fn check_lifetime(rules: &Rules<'_>, stamp: &Stamp) -> Result<(), Fault> {
    let lifetime = rules.manifest.worker.task_lifetime;
    let starts = stamp.run_at.map_or(stamp.issued_at, |run_at| run_at.max(stamp.issued_at));
    if stamp.not_after <= starts.after(lifetime).after(CLOCK_SKEW) {
        return Ok(());
    }
    let message = format!(
        "the proof is good until {}, longer than `task_lifetime` ({lifetime}) of worker.toml allows; give source and worker the same `task_lifetime`, then prove again",
        stamp.not_after
    );
    // A worker.toml with a longer lifetime may be on its way.
    Err(Fault { message, elsewhere: true })
}

/// Holds the configuration against the sections the job declares.
fn configuration(
    rules: &Rules<'_>,
    descriptor: &Descriptor,
    envelope: &Envelope,
    stored: bool,
) -> Result<(), (String, String)> {
    let sections =
        envelope.sections().map_err(|error| ("configuration".to_owned(), error.to_string()))?;
    for (name, value) in &sections {
        let field = format!("configuration.{}", name.chars().take(60).collect::<String>());
        section(rules, descriptor, name, value, stored).map_err(|message| (field, message))?;
        if let Some(declared) = descriptor.section(name).filter(|_| value.is_object()) {
            declared.check(value.as_str()).map_err(|problem| (problem.field, problem.message))?;
        }
    }
    for declared in descriptor.sections.iter().filter(|declared| declared.required) {
        let given = sections.contains_key(declared.name);
        let own = declared.origin.allows_worker()
            && rules.worker_sections.is_none_or(|own| own.contains(declared.name));
        if !given && !own {
            let where_from = if declared.origin.allows_worker() {
                "set it in the worker's configuration or send it sealed"
            } else {
                "send it sealed in the envelope"
            };
            let message = format!(
                "job `{}` needs it ({}); {where_from}",
                descriptor.job, declared.description
            );
            return Err((format!("configuration.{}", declared.name), message));
        }
    }
    Ok(())
}

fn section(
    rules: &Rules<'_>,
    descriptor: &Descriptor,
    name: &str,
    value: &RawJson,
    stored: bool,
) -> Result<(), String> {
    let Some(declared) = descriptor.section(name) else {
        let near = did_you_mean(name, descriptor.sections.iter().map(|s| s.name));
        let hint = near.map_or("leave it out".to_owned(), |near| format!("did you mean `{near}`?"));
        return Err(format!("job `{}` declares no such section; {hint}", descriptor.job));
    };
    if !declared.origin.allows_envelope() {
        return Err(
            "this section comes from the worker's own configuration only; leave it out".to_owned()
        );
    }
    match SealedSection::from_json(value) {
        Err(error) => Err(error.to_string()),
        Ok(Some(sealed)) => match rules.sealing {
            Some(ring) if !ring.holds(&sealed.key_id) => Err(format!(
                "sealed to the key `{}`, which this worker does not hold; seal it to the key that `main-worker keys show` prints",
                sealed.key_id
            )),
            _ => Ok(()),
        },
        Ok(None) if stored => {
            Err("it is not sealed; a task is stored, so seal it to the worker's public key"
                .to_owned())
        }
        Ok(None) if value.is_object() => Ok(()),
        Ok(None) => Err("a section is a JSON object, or a sealed text".to_owned()),
    }
}

/// The parts of a job's name and source that are safe to print and to count by.
///
/// Rejections carry what a stranger claimed, so it is cut and stripped of everything but the
/// characters of names.
pub fn printable(claimed: &str) -> String {
    const LONGEST: usize = 60;
    let safe = |c: char| if c.is_ascii_alphanumeric() || "_-/.".contains(c) { c } else { '?' };
    claimed.chars().take(LONGEST).map(safe).collect()
}

/// The job of a rejection if it exists, for metrics whose labels are bounded.
pub fn known_job(contract: &Contract, claimed: &str) -> Option<JobName> {
    contract.get(claimed).map(|descriptor| descriptor.job.clone())
}

#[cfg(test)]
mod tests;
