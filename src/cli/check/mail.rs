//! Whether the mail server lets this worker in.

use std::time::Duration;

use anyhow::{Result, anyhow};
use contract::emails::SmtpLogin;
use jobs::MailTemplates;
use manifest::Manifest;

use crate::configuration::Sections;

/// How long signing in may take.
const PATIENCE: Duration = Duration::from_mins(1);
/// The job whose settings name the server.
const MAIL_JOB: &str = "emails/deliver_email";
/// The section with user and password.
const SECTION: &str = "smtp";

/// Signs in to the mail server that worker.toml names; nothing without one.
pub(super) async fn reach(
    manifest: &Manifest,
    sections: &Sections,
) -> Option<Result<((), String)>> {
    let (_, row) = manifest.jobs.iter().find(|(job, _)| job.as_str() == MAIL_JOB)?;
    // What is wrong with the settings is told where the handlers are made.
    let mail = MailTemplates::read(&row.settings).ok()?;
    let server = mail.server()?;
    Some(sign_in(&mail, sections).await.map(|()| ((), format!("{server} lets us in"))))
}

async fn sign_in(mail: &MailTemplates, sections: &Sections) -> Result<()> {
    // The parser's own message may quote the value.
    let login = sections.get(SECTION).map(|section| {
        serde_json::from_str::<SmtpLogin>(section.expose())
            .map_err(|_| anyhow!("the section `{SECTION}` is not user and password"))
    });
    let signed_in = tokio::time::timeout(PATIENCE, mail.sign_in(login.transpose()?)).await;
    let seconds = PATIENCE.as_secs();
    let ended = signed_in.map_err(|_| anyhow!("no answer within {seconds} s"))?;
    ended.map_err(|problem| anyhow!(problem))
}
