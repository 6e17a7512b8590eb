//! The facts of a manifest as stable text.

use std::fmt::Display;

use serde_json::Value;
use values::Rate;

use crate::{JobRow, Manifest, PublicKeyRow, Schedule, SourceRules, WatchSettings, WorkerSettings};

impl Manifest {
    /// Writes down everything that changes behaviour: one fact a line, sorted.
    ///
    /// The text does not depend on comments, on the order of tables and keys, on spacing or on
    /// whether a default was written out, so that its hash names what the worker does.
    pub fn canonical_text(&self) -> String {
        let Self { worker, sources, jobs, schedules, watch, lines: _ } = self;
        let mut facts = Facts(Vec::new());
        facts.worker(worker);
        for (source, rules) in sources {
            facts.source(&format!("sources.{source}"), rules);
        }
        for (job, row) in jobs {
            facts.job(&format!("jobs.{job}"), row);
        }
        for (name, schedule) in schedules {
            facts.schedule(&format!("schedules.{name}"), schedule);
        }
        facts.watch(watch);
        facts.0.sort_unstable();
        facts.0.dedup();
        facts.0.join("\n")
    }
}

struct Facts(Vec<String>);

impl Facts {
    fn add(&mut self, at: &str, key: &str, value: impl Display) {
        self.0.push(format!("{at}.{key} = {value}"));
    }

    fn text(&mut self, at: &str, key: &str, text: &str) {
        self.add(at, key, Value::from(text));
    }

    fn worker(&mut self, settings: &WorkerSettings) {
        let WorkerSettings {
            name,
            concurrency,
            prefetch,
            max_envelope_bytes,
            max_envelope_depth,
            require_signatures,
            hold_limit,
            task_lifetime,
            drain_timeout,
            retention_completed,
            retention_discarded,
            configuration_file,
            log_lines_per_attempt,
        } = settings;
        let at = "worker";
        self.text(at, "name", name);
        self.add(at, "concurrency", concurrency);
        self.add(at, "prefetch", prefetch);
        self.add(at, "max_envelope_bytes", max_envelope_bytes);
        self.add(at, "max_envelope_depth", max_envelope_depth);
        self.add(at, "require_signatures", require_signatures);
        self.add(at, "hold_limit", hold_limit);
        self.add(at, "task_lifetime", task_lifetime);
        self.add(at, "drain_timeout", drain_timeout);
        self.add(at, "retention_completed", retention_completed);
        self.add(at, "retention_discarded", retention_discarded);
        if let Some(file) = configuration_file {
            self.text(at, "configuration_file", file);
        }
        self.add(at, "log_lines_per_attempt", log_lines_per_attempt);
    }

    fn source(&mut self, at: &str, rules: &SourceRules) {
        let SourceRules { jobs, keys, max_concurrency, rate_limit, max_waiting } = rules;
        self.0.push(at.to_owned());
        for pattern in jobs {
            self.add(at, "jobs", pattern);
        }
        for key in keys {
            let PublicKeyRow { id, public_key: _, expires_at } = key;
            let at = format!("{at}.keys.{id}");
            self.add(&at, "public_key", key.public_key_text());
            if let Some(expires_at) = expires_at {
                self.add(&at, "expires_at", expires_at);
            }
        }
        self.limits(at, *max_concurrency, *rate_limit);
        if let Some(most) = max_waiting {
            self.add(at, "max_waiting", most);
        }
    }

    fn limits(&mut self, at: &str, max_concurrency: Option<u32>, rate_limit: Option<Rate>) {
        if let Some(most) = max_concurrency {
            self.add(at, "max_concurrency", most);
        }
        if let Some(rate) = rate_limit {
            self.add(at, "rate_limit", rate);
        }
    }

    fn job(&mut self, at: &str, row: &JobRow) {
        let JobRow {
            timeout,
            max_attempts,
            max_concurrency,
            rate_limit,
            priority,
            backoff_base,
            backoff_max,
            settings,
        } = row;
        self.add(at, "timeout", timeout);
        self.add(at, "max_attempts", max_attempts);
        self.limits(at, *max_concurrency, *rate_limit);
        self.add(at, "priority", priority);
        self.add(at, "backoff_base", backoff_base);
        self.add(at, "backoff_max", backoff_max);
        self.object(&format!("{at}.settings"), settings);
    }

    fn schedule(&mut self, at: &str, schedule: &Schedule) {
        let Schedule { name: _, job, source, cron, missed, missed_limit, payload, priority } =
            schedule;
        self.add(at, "job", job);
        self.add(at, "source", source);
        self.text(at, "cron", cron.expression());
        self.add(at, "time_zone", cron.zone());
        self.add(at, "missed", missed.as_str());
        self.add(at, "missed_limit", missed_limit);
        self.object(&format!("{at}.payload"), payload);
        self.add(at, "priority", priority);
    }

    fn watch(&mut self, settings: &WatchSettings) {
        let WatchSettings { folders, endings, stable_for } = settings;
        let at = "watch";
        for folder in folders {
            self.text(at, "folders", folder);
        }
        for ending in endings {
            self.text(at, "endings", ending);
        }
        self.add(at, "stable_for", stable_for);
    }

    fn object(&mut self, at: &str, object: &serde_json::Map<String, Value>) {
        for (key, value) in object {
            let mut value = value.clone();
            // Sorted here too, for a build in which some crate makes JSON objects keep their order.
            value.sort_all_objects();
            self.0.push(format!("{at}[{}] = {value}", Value::from(key.as_str())));
        }
    }
}
