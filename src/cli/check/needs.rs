//! What would be found missing only later: at the end of a month, or when doors are opened.

use anyhow::{Result, anyhow, ensure};
use manifest::Manifest;
use values::{Clock, Source};

use crate::clock::SystemClock;
use crate::configuration::{self, PAYMENTS, Sections};
use crate::keys::Keys;
use crate::settings::{BOUNCE_TOKEN, ENVIRONMENT, MEDIA_HOST_TOKEN, PRODUCTION, Settings};

/// The job whose settings say how months are billed.
const CLOSE_JOB: &str = "billing/close_month";

/// Which deployment this is, and what that means.
pub(super) fn environment(settings: &Settings) -> String {
    match settings.environment() {
        PRODUCTION => PRODUCTION.to_owned(),
        other => format!(
            "{other}: a mail server is given mails to allowed_domains only, and a live payment key \
             is refused; {}={PRODUCTION} is for customers",
            ENVIRONMENT.name
        ),
    }
}

/// Whether months can be closed and charged; nothing where nothing is billed or charged.
pub(super) fn billing(
    settings: &Settings,
    manifest: &Manifest,
    sections: &Sections,
) -> Vec<(&'static str, Result<((), String)>)> {
    let mut found = Vec::new();
    let by_hand = !sections.contains_key(PAYMENTS);
    if !by_hand {
        let checked = configuration::check_payments(sections, settings.environment());
        let detail = || "the key is one that works in this environment".to_owned();
        found.push((PAYMENTS, checked.map(|_| ((), detail()))));
    }
    let row = manifest.jobs.iter().find(|(job, _)| job.as_str() == CLOSE_JOB);
    if let Some(needs) = row.and_then(|(_, row)| jobs::billing_needs(&row.settings, by_hand)) {
        let needs = needs.map(|detail| ((), detail));
        found.push(("billing", needs.map_err(|problem| anyhow!(problem))));
    }
    found
}

/// Whether the doors for media hosts and the gateway would open; nothing where there are none.
pub(super) fn doors(
    settings: &Settings,
    manifest: &Manifest,
    sections: &Sections,
    keys: &Keys,
) -> Option<Result<((), String)>> {
    let token = settings.media_host_token.as_ref().map(|_| MEDIA_HOST_TOKEN.name.to_owned());
    let watched = (!manifest.watch.folders.is_empty()).then(|| "[watch]".to_owned());
    let payments = configuration::payments(sections).ok().flatten();
    let secrets = payments.filter(|payments| !payments.webhook_secrets.is_empty());
    let secrets = secrets.map(|_| format!("webhookSecrets of the section `{PAYMENTS}`"));
    let bounces = settings.bounce_token.as_ref().map(|_| BOUNCE_TOKEN.name.to_owned());
    let asked = [
        (token, "media_host"),
        (watched, "media_host"),
        (secrets, "webhook"),
        (bounces, "webhook"),
    ];
    let asked = asked.into_iter().filter_map(|(why, source)| Some((why?, source)));
    let (mut open, mut missing) = (Vec::new(), Vec::new());
    for (why, source) in asked {
        let name: Source = source.parse().expect("the name of a source");
        if keys.file.signing_key(&name, SystemClock.now()).is_some() {
            open.push(why);
        } else {
            missing.push(format!(
                "{why} is set, and what comes there is asked for as `{source}`, whose key is not \
                 here; make one: main-worker keys make --source {source}"
            ));
        }
    }
    if open.is_empty() && missing.is_empty() {
        return None;
    }
    let told = || {
        ensure!(missing.is_empty(), missing.join("\n"));
        Ok(((), format!("keys are here for {}", open.join(", "))))
    };
    Some(told())
}
