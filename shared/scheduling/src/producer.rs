//! Asks for work on behalf of one source.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex};

use admission::{Code, Rejection, Rules, Voucher};
use contract::{Contract, Descriptor, Payload};
use database::Tx;
use envelope::{Door, Envelope, KeyRing, RawJson, SealingPublicKey, SigningKey, Stamp};
use manifest::Manifest;
use tasks::{Enqueued, NewTask, RejectionSeen, TaskStore, Tick};
use values::{JobName, Secret, Source, TaskId};

use crate::{EnqueueError, TaskOptions};

/// Labels of a task at the most.
const MAX_LABELS: usize = 20;
/// Bytes of a label at the most.
const MAX_LABEL_BYTES: usize = 200;

/// Told of each rejection as it happens, with whether it is the first of its kind.
pub type OnRejection = Arc<dyn Fn(&Rejection, bool) + Send + Sync>;

/// The keys a producer works with at one moment.
#[derive(Debug, Clone)]
pub struct ProducerKeys {
    /// The key that proves the source.
    pub key: Arc<SigningKey>,
    /// All keys, where known: then proofs are checked at once too.
    pub keys: Option<Arc<KeyRing>>,
    /// The worker's public key for configuration.
    pub sealing: Option<SealingPublicKey>,
}

/// Gives the newest keys of a producer's source; `None` when no key is left that proves it.
pub type RenewKeys = Arc<dyn Fn() -> Option<Arc<ProducerKeys>> + Send + Sync>;

/// What a producer is made of.
#[derive(Clone)]
pub struct ProducerParts {
    /// Where tasks are stored.
    pub store: Arc<dyn TaskStore>,
    /// The rules, for refusing early.
    pub manifest: Arc<Manifest>,
    /// The jobs that may be asked for.
    pub contract: Arc<Contract>,
    /// The key that proves the source.
    pub key: Arc<SigningKey>,
    /// All keys, where known: then proofs are checked at once too.
    pub keys: Option<Arc<KeyRing>>,
    /// The worker's public key for configuration.
    pub sealing: Option<SealingPublicKey>,
    /// Sections this source can supply, by name, as JSON objects.
    pub configuration: Arc<BTreeMap<String, Secret<String>>>,
    /// Told of each rejection.
    pub on_rejection: Option<OnRejection>,
}

impl fmt::Debug for ProducerParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProducerParts").field("source", self.key.source()).finish_non_exhaustive()
    }
}

/// Asks for work on behalf of one source; cheap to clone.
#[derive(Clone)]
pub struct Producer {
    parts: ProducerParts,
    given: Arc<ProducerKeys>,
    renew: Option<RenewKeys>,
    sealed: Arc<Mutex<SealedOnce>>,
}

/// Sealed sections by job and name, each with the key it is sealed to: sealed once, not per task.
type SealedOnce = HashMap<(JobName, &'static str), (SealingPublicKey, String)>;

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer").field("source", self.source()).finish_non_exhaustive()
    }
}

/// A task stored inside the caller's transaction.
#[derive(Debug)]
#[must_use = "call `wake` after the commit, or workers find the task only at their next poll"]
pub struct Stored {
    /// What became of the request.
    pub enqueued: Enqueued,
    store: Arc<dyn TaskStore>,
}

impl Stored {
    /// The task that stands for the request.
    pub fn task_id(&self) -> TaskId {
        self.enqueued.task_id
    }

    /// Tells the workers of this process, once the transaction is committed.
    pub fn wake(self) {
        self.store.wake();
    }
}

impl Producer {
    /// Makes a producer for the source of its key.
    pub fn new(parts: ProducerParts) -> Self {
        let given = Arc::new(ProducerKeys {
            key: Arc::clone(&parts.key),
            keys: parts.keys.clone(),
            sealing: parts.sealing.clone(),
        });
        Self { parts, given, renew: None, sealed: Arc::default() }
    }

    /// Asks `renew` for the keys before each task, so that the producer outlives a rotation.
    #[must_use]
    pub fn renewed_by(mut self, renew: RenewKeys) -> Self {
        self.renew = Some(renew);
        self
    }

    /// The keys for a task of `job` that is made now.
    fn keys(&self, job: &str) -> Result<Arc<ProducerKeys>, EnqueueError> {
        let Some(renew) = &self.renew else { return Ok(Arc::clone(&self.given)) };
        let source = self.source();
        renew().ok_or_else(|| {
            let message = format!(
                "no key is left that proves `{source}`; make one: main-worker keys make --source {source}"
            );
            Rejection::new(Code::BadProof, job, source.as_str(), "proof", message).into()
        })
    }

    /// The source it speaks for.
    pub fn source(&self) -> &Source {
        self.parts.key.source()
    }

    /// The store it writes to.
    pub fn store(&self) -> &Arc<dyn TaskStore> {
        &self.parts.store
    }

    /// Asks for a job.
    ///
    /// # Errors
    /// [`EnqueueError::Rejected`] with a code and what to change; it is kept and counted too.
    pub async fn enqueue<P: Payload>(
        &self,
        payload: &P,
        options: TaskOptions,
    ) -> Result<Enqueued, EnqueueError> {
        let task = self.kept(self.prepare(payload, options)).await?;
        let enqueued = self.parts.store.enqueue(vec![task]).await?;
        Ok(enqueued[0])
    }

    /// Asks for a job many times; all are stored, or none if one is refused.
    ///
    /// # Errors
    /// As [`Producer::enqueue`].
    pub async fn enqueue_many<P: Payload>(
        &self,
        payloads: &[P],
        options: &TaskOptions,
    ) -> Result<Vec<Enqueued>, EnqueueError> {
        let mut batch = Vec::with_capacity(payloads.len());
        for payload in payloads {
            batch.push(self.kept(self.prepare(payload, options.clone())).await?);
        }
        Ok(self.parts.store.enqueue(batch).await?)
    }

    /// Asks for a job inside the caller's transaction: it is there if and only if that commits.
    ///
    /// # Errors
    /// As [`Producer::enqueue`]; the caller decides whether to go on with the transaction.
    pub async fn enqueue_in<P: Payload>(
        &self,
        tx: &mut Tx<'_>,
        payload: &P,
        options: TaskOptions,
    ) -> Result<Stored, EnqueueError> {
        // A rejection is kept by the caller's process only: the transaction holds the writer.
        let task = self.prepare(payload, options).inspect_err(|error| self.tell(error, true))?;
        let enqueued = self.parts.store.enqueue_in(tx, vec![task]).await?[0];
        Ok(Stored { enqueued, store: Arc::clone(&self.parts.store) })
    }

    /// Asks for a job by name, with a payload and configuration that came from outside.
    ///
    /// Sections of `configuration` that are not sealed yet are sealed here.
    ///
    /// # Errors
    /// As [`Producer::enqueue`].
    pub async fn enqueue_raw(
        &self,
        job: &str,
        configuration: &RawJson,
        payload: RawJson,
        options: TaskOptions,
    ) -> Result<Enqueued, EnqueueError> {
        let task = self.kept(self.prepare_raw(job, configuration, payload, options, None)).await?;
        let enqueued = self.parts.store.enqueue(vec![task]).await?;
        Ok(enqueued[0])
    }

    /// Asks for a job on behalf of a schedule, at most once per tick.
    ///
    /// # Errors
    /// As [`Producer::enqueue`].
    pub async fn enqueue_tick(
        &self,
        tick: Tick,
        job: &JobName,
        payload: RawJson,
        options: TaskOptions,
    ) -> Result<Enqueued, EnqueueError> {
        let mut task = self
            .kept(self.prepare_raw(job.as_str(), &RawJson::empty_object(), payload, options, None))
            .await?;
        task.tick = Some(tick);
        let enqueued = self.parts.store.enqueue(vec![task]).await?;
        Ok(enqueued[0])
    }

    /// Makes the task of a typed payload without storing it.
    ///
    /// # Errors
    /// As [`Producer::enqueue`], but nothing is kept of a rejection.
    pub fn prepare<P: Payload>(
        &self,
        payload: &P,
        options: TaskOptions,
    ) -> Result<NewTask, EnqueueError> {
        let payload = RawJson::from_value(payload).map_err(EnqueueError::Payload)?;
        self.prepare_raw(P::JOB, &RawJson::empty_object(), payload, options, None)
    }

    /// Makes a task without storing it.
    ///
    /// # Errors
    /// As [`Producer::enqueue`], but nothing is kept of a rejection.
    pub fn prepare_raw(
        &self,
        job: &str,
        configuration: &RawJson,
        payload: RawJson,
        options: TaskOptions,
        parent: Option<TaskId>,
    ) -> Result<NewTask, EnqueueError> {
        let parts = &self.parts;
        let source = parts.key.source();
        let keys = self.keys(job)?;
        check_labels(&options.labels)?;
        let descriptor = parts.contract.get(job);
        let configuration = match descriptor {
            Some(descriptor) => self.configuration(descriptor, configuration, &keys)?,
            None => configuration.clone(),
        };
        let envelope = Envelope {
            configuration,
            job_name: job.to_owned(),
            source: source.to_string(),
            job_payload: payload,
        };
        let row = descriptor.and_then(|descriptor| parts.manifest.jobs.get(&descriptor.job));
        let now = parts.store.now();
        let run_at = options.run_at.or_else(|| options.delay.map(|delay| now.after(delay)));
        let unique_key = descriptor.zip(options.unique.as_ref()).map(|(descriptor, unique)| {
            unique.key(&descriptor.job, source, envelope.job_payload.as_str())
        });
        let stamp = Stamp {
            task_id: TaskId::new(now, tasks::random_bytes()),
            issued_at: now,
            not_after: run_at.unwrap_or(now).max(now).after(parts.manifest.worker.task_lifetime),
            run_at,
            priority: options.priority.or(row.map(|row| row.priority)).unwrap_or(0).min(2),
            max_attempts: options
                .max_attempts
                .or(row.map(|row| row.max_attempts))
                .unwrap_or(1)
                .max(1),
            unique_key,
        };
        let Envelope { configuration, job_name, source: _, job_payload } = &envelope;
        let proof =
            keys.key.prove(&stamp, job_name, configuration.as_bytes(), job_payload.as_bytes());
        let rules = Rules {
            manifest: &parts.manifest,
            contract: &parts.contract,
            keys: keys.keys.as_deref(),
            sealing: None,
            worker_sections: None,
        };
        let voucher =
            Voucher::Proof { door: Door::Enqueue, now, stamp: &stamp, proof: Some(&proof) };
        let admitted = admission::admit(&rules, &envelope, &voucher)?;
        let max_waiting = parts.manifest.sources.get(source).and_then(|rules| rules.max_waiting);
        Ok(NewTask {
            job: admitted.descriptor.job.clone(),
            source: admitted.source,
            host: admitted.host.or(options.host),
            stamp,
            configuration: envelope.configuration,
            payload: envelope.job_payload,
            proof: Some(proof),
            timeout: options.timeout,
            labels: options.labels,
            unique_for: options.unique.and_then(|unique| unique.period),
            parent,
            tick: None,
            max_waiting,
        })
    }

    /// Makes the task of a follow-up: it gets those of the sections its parent was given that it
    /// declares too, sealed anew for this source.
    ///
    /// # Errors
    /// As [`Producer::enqueue`], but nothing is kept of a rejection.
    pub fn prepare_follow_up(
        &self,
        job: &str,
        inherited: &BTreeMap<String, Secret<String>>,
        payload: RawJson,
        options: TaskOptions,
        parent: TaskId,
    ) -> Result<NewTask, EnqueueError> {
        let declared = self.parts.contract.get(job).map_or(&[][..], |job| job.sections);
        let wanted = declared.iter().filter(|section| section.origin.allows_envelope());
        let mut members = Vec::new();
        for (section, value) in wanted.filter_map(|s| Some((s.name, inherited.get(s.name)?))) {
            members.push(format!("{}:{}", text(section).as_str(), value.expose()));
        }
        let configuration = if members.is_empty() {
            RawJson::empty_object()
        } else {
            let object = format!("{{{}}}", members.join(","));
            RawJson::parse(object, &envelope::Limits::default()).map_err(EnqueueError::Payload)?
        };
        self.prepare_raw(job, &configuration, payload, options, Some(parent))
    }

    /// The sealed sections of a task: what was given, and what this source supplies itself.
    fn configuration(
        &self,
        descriptor: &Descriptor,
        given: &RawJson,
        keys: &ProducerKeys,
    ) -> Result<RawJson, EnqueueError> {
        let sealing = keys.sealing.as_ref();
        let bare = Envelope {
            configuration: given.clone(),
            job_name: String::new(),
            source: String::new(),
            job_payload: RawJson::empty_object(),
        };
        let mut sections = bare.sections().map_err(|error| {
            admission::malformed(descriptor.job.as_str(), self.source().as_str(), &error)
        })?;
        if sections.is_empty() && self.parts.configuration.is_empty() {
            return Ok(given.clone());
        }
        for declared in descriptor.sections.iter().filter(|s| s.origin.allows_envelope()) {
            if let Some(value) = sections.get(declared.name) {
                if value.is_object() {
                    let sealed = self.seal(descriptor, declared.name, value.as_bytes(), sealing)?;
                    sections.insert(declared.name.to_owned(), text(&sealed));
                }
            } else if let Some(own) = self.parts.configuration.get(declared.name) {
                let sealed = self.seal_own(descriptor, declared.name, own, sealing)?;
                sections.insert(declared.name.to_owned(), text(&sealed));
            }
        }
        let members: Vec<String> = sections
            .iter()
            .map(|(name, value)| format!("{}:{}", text(name).as_str(), value.as_str()))
            .collect();
        let object = format!("{{{}}}", members.join(","));
        RawJson::parse(object, &envelope::Limits::default()).map_err(EnqueueError::Payload)
    }

    fn seal_own(
        &self,
        descriptor: &Descriptor,
        section: &'static str,
        value: &Secret<String>,
        sealing: Option<&SealingPublicKey>,
    ) -> Result<String, EnqueueError> {
        let key = (descriptor.job.clone(), section);
        let known = self.sealed.lock().expect("no one panics while holding it").get(&key).cloned();
        if let Some((_, sealed)) = known.filter(|(sealed_to, _)| Some(sealed_to) == sealing) {
            return Ok(sealed);
        }
        let sealed = self.seal(descriptor, section, value.expose().as_bytes(), sealing)?;
        if let Some(sealing) = sealing {
            let once = (sealing.clone(), sealed.clone());
            self.sealed.lock().expect("no one panics while holding it").insert(key, once);
        }
        Ok(sealed)
    }

    fn seal(
        &self,
        descriptor: &Descriptor,
        section: &str,
        plain: &[u8],
        sealing: Option<&SealingPublicKey>,
    ) -> Result<String, EnqueueError> {
        self.check_section(descriptor, section, plain)?;
        let Some(key) = sealing else {
            return Err(EnqueueError::NoSealingKey { section: section.to_owned() });
        };
        key.seal(self.source().as_str(), descriptor.job.as_str(), section, plain)
            .map_err(|source| EnqueueError::Seal { section: section.to_owned(), source })
    }

    /// Refuses a section that its job could not read, while it can still be read here.
    fn check_section(
        &self,
        descriptor: &Descriptor,
        section: &str,
        plain: &[u8],
    ) -> Result<(), Rejection> {
        let (source, job) = (self.source(), &descriptor.job);
        let Some(declared) = descriptor.section(section) else { return Ok(()) };
        if !self.parts.manifest.allows(source, job) {
            return Ok(()); // The allow-list comes first, and refuses it.
        }
        declared.check(&String::from_utf8_lossy(plain)).map_err(|problem| {
            let (code, message) = (Code::MissingConfiguration, problem.message);
            Rejection::new(code, job.as_str(), source.as_str(), &problem.field, message)
        })
    }

    /// Keeps and tells a rejection on its way out.
    async fn kept(&self, prepared: Result<NewTask, EnqueueError>) -> Result<NewTask, EnqueueError> {
        if let Err(EnqueueError::Rejected(rejection)) = &prepared {
            let first = self.parts.store.record_rejection(seen(rejection, None, "enqueue")).await;
            // A store that does not answer must not hide why the request was refused.
            self.tell_rejection(rejection, first.unwrap_or(true));
        }
        prepared
    }

    fn tell(&self, error: &EnqueueError, first: bool) {
        if let EnqueueError::Rejected(rejection) = error {
            self.tell_rejection(rejection, first);
        }
    }

    fn tell_rejection(&self, rejection: &Rejection, first: bool) {
        tracing::warn!(
            code = %rejection.code,
            job_name = %rejection.job_name,
            source = %rejection.source,
            field = %rejection.field,
            reason = %rejection.message,
            "request rejected"
        );
        if let Some(tell) = &self.parts.on_rejection {
            tell(rejection, first);
        }
    }
}

/// A rejection as the store keeps it.
pub fn seen(rejection: &Rejection, task_id: Option<TaskId>, door: &str) -> RejectionSeen {
    const LONGEST_MESSAGE: usize = 500;
    let field = match rejection.field.as_str() {
        "" => String::new(),
        field => format!("{field}: "),
    };
    RejectionSeen {
        code: rejection.code.to_string(),
        source: rejection.source.clone(),
        job: rejection.job_name.clone(),
        message: format!("{field}{}", rejection.message).chars().take(LONGEST_MESSAGE).collect(),
        task_id,
        door: door.to_owned(),
    }
}

fn text(value: &str) -> RawJson {
    RawJson::from_value(&value).expect("a text is JSON")
}

fn check_labels(labels: &[String]) -> Result<(), EnqueueError> {
    let fits = |label: &String| !label.is_empty() && label.len() <= MAX_LABEL_BYTES;
    if labels.len() <= MAX_LABELS && labels.iter().all(fits) {
        Ok(())
    } else {
        Err(EnqueueError::Labels { max_labels: MAX_LABELS, max_bytes: MAX_LABEL_BYTES })
    }
}
