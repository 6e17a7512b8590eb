//! `main-worker emails`: what mails look like, what became of them, and who gets none.

mod preview;

use anyhow::{Result, anyhow};
use clap::Subcommand;
use models::outbox::{self, Bounce, EmailState, OutgoingEmail, Suppression};
use serde_json::json;

use super::output::printable;
use super::{Exit, Invocation};

/// Characters of a server's answer in a list.
const LONGEST_ANSWER: usize = 80;

/// Arguments of `emails`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  main-worker emails preview monthly_invoice --folder previews
  main-worker emails list --state refused,unknown,failed
  main-worker emails allow ann@example.org")]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Emails,
}

#[derive(Debug, Subcommand)]
enum Emails {
    /// Write mails with sample data, in your brand and templates, as files; nothing is sent
    Preview(preview::Arguments),
    /// List mails of the outbox, newest first, with what the mail server said
    List {
        /// Only these states: waiting, sending, sent, refused, unknown, bounced, suppressed, withheld, failed
        #[arg(long, value_name = "STATE", value_delimiter = ',')]
        state: Vec<EmailState>,
        /// Mails at the most
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
    },
    /// List addresses that are sent no mail, newest first, and why
    Suppressed {
        /// Addresses at the most
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
    },
    /// List mails that came back, newest first, also those that may still be delivered
    Bounces {
        /// Bounces at the most
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
    },
    /// Take an address off the list of those that are sent no mail
    Allow {
        /// The address
        address: String,
    },
}

pub(super) async fn execute(invocation: &Invocation, arguments: Arguments) -> Result<Exit> {
    match arguments.command {
        Emails::Preview(arguments) => preview::execute(invocation, &arguments),
        Emails::List { state, limit } => list(invocation, &state, limit).await,
        Emails::Suppressed { limit } => suppressed(invocation, limit).await,
        Emails::Bounces { limit } => bounces(invocation, limit).await,
        Emails::Allow { address } => allow(invocation, &address).await,
    }
}

async fn list(invocation: &Invocation, states: &[EmailState], limit: u32) -> Result<Exit> {
    let app = invocation.open().await?;
    let mails = outbox::newest(&app.db, states, limit).await?;
    let output = invocation.output;
    if output.is_json() {
        let mail = |mail: &OutgoingEmail| {
            json!({
                "id": mail.id, "kind": mail.kind, "accountId": mail.account_id,
                "recipient": mail.recipient, "state": mail.state, "attempts": mail.attempts,
                "code": mail.code, "message": mail.message, "createdAt": mail.created_at,
                "endedAt": mail.ended_at,
            })
        };
        output.json(&mails.iter().map(mail).collect::<Vec<_>>());
    } else if mails.is_empty() {
        output.line("no such mail");
    } else {
        let rows: Vec<Vec<String>> = mails.iter().map(row).collect();
        output.table(&["MAIL", "KIND", "TO", "STATE", "OFFERED", "CREATED", "ANSWER"], &rows);
    }
    Ok(Exit::Completed)
}

fn row(mail: &OutgoingEmail) -> Vec<String> {
    vec![
        mail.id.to_string(),
        mail.kind.clone(),
        mail.recipient.clone(),
        mail.state.to_string(),
        mail.attempts.to_string(),
        mail.created_at.to_string(),
        mail.message.as_deref().unwrap_or_default().chars().take(LONGEST_ANSWER).collect(),
    ]
}

async fn suppressed(invocation: &Invocation, limit: u32) -> Result<Exit> {
    let app = invocation.open().await?;
    let entries = outbox::suppressed(&app.db, limit).await?;
    let output = invocation.output;
    if output.is_json() {
        let entry = |entry: &Suppression| {
            let Suppression { address, reason, event, at } = entry;
            json!({ "address": address, "reason": reason, "event": event, "at": at })
        };
        output.json(&entries.iter().map(entry).collect::<Vec<_>>());
    } else if entries.is_empty() {
        output.line("every address may be sent mail");
    } else {
        let row = |entry: &Suppression| {
            let Suppression { address, reason, event, at } = entry;
            let event = event.clone().unwrap_or_default();
            vec![address.clone(), reason.to_string(), at.to_string(), event]
        };
        let rows: Vec<Vec<String>> = entries.iter().map(row).collect();
        output.table(&["ADDRESS", "REASON", "SINCE", "EVENT"], &rows);
    }
    Ok(Exit::Completed)
}

async fn bounces(invocation: &Invocation, limit: u32) -> Result<Exit> {
    let app = invocation.open().await?;
    let bounces = outbox::bounces(&app.db, limit).await?;
    let output = invocation.output;
    if output.is_json() {
        let bounce = |bounce: &Bounce| {
            let Bounce { event_id, address, kind, email, status, message, at } = bounce;
            json!({ "event": event_id, "address": address, "kind": kind, "mail": email,
                "status": status, "message": message, "at": at })
        };
        output.json(&bounces.iter().map(bounce).collect::<Vec<_>>());
    } else if bounces.is_empty() {
        output.line("no mail came back");
    } else {
        let row = |bounce: &Bounce| {
            let Bounce { event_id: _, address, kind, email, status, message, at } = bounce;
            let said = message.iter().flat_map(|text| text.chars()).take(LONGEST_ANSWER);
            let mail = email.map(|id| id.to_string()).unwrap_or_default();
            let status = status.clone().unwrap_or_default();
            vec![at.to_string(), address.clone(), kind.to_string(), status, mail, said.collect()]
        };
        let rows: Vec<Vec<String>> = bounces.iter().map(row).collect();
        output.table(&["AT", "ADDRESS", "KIND", "STATUS", "MAIL", "ANSWER"], &rows);
    }
    Ok(Exit::Completed)
}

async fn allow(invocation: &Invocation, address: &str) -> Result<Exit> {
    let app = invocation.open().await?;
    let mut transaction = app.db.begin().await?;
    let was_listed = outbox::unsuppress(&mut transaction.tx(), address).await?;
    transaction.commit().await?;
    if !was_listed {
        let message = "is not on the list; `main-worker emails suppressed` shows it";
        return Err(anyhow!("{} {message}", printable(address)).context(Exit::Usage));
    }
    let output = invocation.output;
    if output.is_json() {
        output.json(&json!({ "allowed": address }));
    } else {
        output.line(&format!("{} may be sent mail again", printable(address)));
    }
    Ok(Exit::Completed)
}
