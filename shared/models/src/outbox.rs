//! Mails to be sent, and the addresses that are sent none.
//!
//! Whoever causes a mail adds its row in the transaction of the cause ([`add`]): the mail is there
//! if and only if the cause is. `emails/deliver_email` sends it, and the row says what became of it.

use database::{DbError, Query, Row, Tx};
use values::{AccountId, EmailId, Timestamp};

use crate::Reader;
use crate::reader::amount;
use crate::words::words;

mod bounces;
mod events;
mod suppression;

pub(crate) use bounces::MAIL_BOUNCE;
pub use bounces::{Bounce, BounceKind, bounces, is_known_bounce, mark_bounced, note_bounce};
pub use events::{NewEvent, NotedEvent, close_events, note_event, open_events};
pub use suppression::{
    Suppression, SuppressionReason, folded, is_suppressed, suppress, suppressed, unsuppress,
};

/// A mail that wants to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEmail {
    /// Its id; the Message-ID is made of it.
    pub id: EmailId,
    /// What makes it the same mail as another: `card_declined/acct_.../2026-10`. Sent once.
    pub unique_key: String,
    /// The message's name, such as `card_declined`.
    pub kind: String,
    /// The account it is about.
    pub account_id: Option<AccountId>,
    /// The address it goes to.
    pub recipient: String,
    /// The name beside the address.
    pub recipient_name: Option<String>,
    /// The message as JSON, without words; may hold a link that is nobody else's business.
    pub data: String,
    /// What is attached to it.
    pub attachments: Vec<EmailAttachment>,
    /// When it was caused.
    pub created_at: Timestamp,
}

/// A file attached to a mail; kept until the mail is sent.
#[derive(Clone, PartialEq, Eq)]
pub struct EmailAttachment {
    /// The file's name, such as `invoice-2026-000123.pdf`.
    pub name: String,
    /// What it is, such as `application/pdf`.
    pub media_type: String,
    /// The file.
    pub content: Vec<u8>,
}

impl std::fmt::Debug for EmailAttachment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, media_type, content } = self;
        write!(f, "EmailAttachment({name}, {media_type}, {} bytes)", content.len())
    }
}

words! {
    /// What became of a mail.
    EmailState, "a state of a mail":
    /// Nothing yet, or nothing that lasts.
    Waiting = "waiting",
    /// It is being handed over, or that broke off and it may have been accepted.
    Sending = "sending",
    /// It was accepted.
    Sent = "sent",
    /// It was refused for good.
    Refused = "refused",
    /// It may have been accepted, and was repeated as often as is allowed.
    Unknown = "unknown",
    /// It was accepted, and came back for good.
    Bounced = "bounced",
    /// Its address is on the suppression list.
    Suppressed = "suppressed",
    /// Outside production, mail to this domain is not allowed.
    Withheld = "withheld",
    /// Its message or its address is none that can be sent.
    Failed = "failed",
}

/// A row of the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutgoingEmail {
    /// Its id.
    pub id: EmailId,
    /// What makes it the same mail as another.
    pub unique_key: String,
    /// The message's name.
    pub kind: String,
    /// The account it is about.
    pub account_id: Option<AccountId>,
    /// The address it goes to.
    pub recipient: String,
    /// The name beside the address.
    pub recipient_name: Option<String>,
    /// The message as JSON; `{}` once it was sent, if it held a secret.
    pub data: String,
    /// What became of it.
    pub state: EmailState,
    /// How often it was offered.
    pub attempts: u64,
    /// How often it may have been accepted without a word.
    pub unknown_ends: u64,
    /// The last answer's code.
    pub code: Option<i64>,
    /// The last answer.
    pub message: Option<String>,
    /// When it was caused.
    pub created_at: Timestamp,
    /// When it came to its end.
    pub ended_at: Option<Timestamp>,
}

const COLUMNS: &str = "SELECT id, unique_key, kind, account_id, recipient, recipient_name, data,
  state, attempts, unknown_ends, code, message, created_at, ended_at FROM outgoing_email ";

/// Adds a mail to the outbox; `false` if there is one with its key, which stays as it is.
pub async fn add(tx: &mut Tx<'_>, email: &NewEmail) -> Result<bool, DbError> {
    let query = Query::new(
        "INSERT INTO outgoing_email (id, unique_key, kind, account_id, recipient, recipient_name,
           data, state, attempts, unknown_ends, created_at, due_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, 0, $9, $9)
           ON CONFLICT (unique_key) DO NOTHING",
    );
    let query = query.bind(email.id).bind(email.unique_key.as_str()).bind(email.kind.as_str());
    let query = query.bind(email.account_id).bind(email.recipient.as_str());
    let query = query.bind(email.recipient_name.as_deref()).bind(email.data.as_str());
    let query = query.bind(EmailState::Waiting).bind(email.created_at);
    if tx.execute(query).await? == 0 {
        return Ok(false);
    }
    for (number, file) in (0_i64..).zip(&email.attachments) {
        let query = Query::new(
            "INSERT INTO email_attachment (email_id, number, name, media_type, content)
               VALUES ($1, $2, $3, $4, $5)",
        );
        let query = query.bind(email.id).bind(number).bind(file.name.as_str());
        tx.execute(query.bind(file.media_type.as_str()).bind(file.content.clone())).await?;
    }
    Ok(true)
}

/// Finds a mail.
pub async fn get(mut reader: impl Reader, id: EmailId) -> Result<Option<OutgoingEmail>, DbError> {
    let query = Query::built(format!("{COLUMNS} WHERE id = $1"));
    reader.first(query.bind(id)).await?.map(|row| read(&row)).transpose()
}

/// Finds a mail by what makes it the same as another.
pub async fn by_key(mut reader: impl Reader, key: &str) -> Result<Option<OutgoingEmail>, DbError> {
    let query = Query::built(format!("{COLUMNS} WHERE unique_key = $1"));
    reader.first(query.bind(key)).await?.map(|row| read(&row)).transpose()
}

/// Reads at most `limit` mails that are not at their end and whose delivery is to be asked for
/// before `before`, the one that has waited longest first.
pub async fn due_before(
    mut reader: impl Reader,
    before: Timestamp,
    limit: u32,
) -> Result<Vec<EmailId>, DbError> {
    let query = Query::new(
        "SELECT id FROM outgoing_email WHERE ended_at IS NULL AND due_at < $1
           ORDER BY due_at, id LIMIT $2",
    );
    let rows = reader.all(query.bind(before).bind(limit)).await?;
    rows.iter().map(|row| row.get(0)).collect()
}

/// Mails that are not at their end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsent {
    /// How many.
    pub count: u64,
    /// When the oldest of them was caused.
    pub oldest: Timestamp,
    /// When a mail was last accepted.
    pub accepted_at: Option<Timestamp>,
}

impl Unsent {
    /// Since when nothing was accepted although there was something to accept.
    pub fn stuck_since(&self) -> Timestamp {
        self.accepted_at.map_or(self.oldest, |accepted| accepted.max(self.oldest))
    }
}

/// Counts the mails that are not at their end; `None` if there are none.
pub async fn unsent(mut reader: impl Reader) -> Result<Option<Unsent>, DbError> {
    let query = Query::new(
        "SELECT count(*), min(created_at),
           (SELECT max(ended_at) FROM outgoing_email WHERE state = 'sent')
           FROM outgoing_email WHERE ended_at IS NULL",
    );
    let Some(row) = reader.first(query).await? else { return Ok(None) };
    let Some(oldest) = row.get(1)? else { return Ok(None) };
    Ok(Some(Unsent { count: amount(&row, 0)?, oldest, accepted_at: row.get(2)? }))
}

/// Notes that the delivery of these mails was asked for, and when it is to be asked for again.
pub async fn set_due(tx: &mut Tx<'_>, ids: &[EmailId], due_at: Timestamp) -> Result<(), DbError> {
    let sql = ("UPDATE outgoing_email SET due_at = $1 WHERE id IN", "");
    crate::batch::execute_in(tx, sql, &[due_at.into()], ids, |id| *id).await.map(|_| ())
}

/// Reads at most `limit` mails in one of these states (all states if none is given), newest first.
pub async fn newest(
    mut reader: impl Reader,
    states: &[EmailState],
    limit: u32,
) -> Result<Vec<OutgoingEmail>, DbError> {
    let words = states.iter().map(|state| format!("'{state}'")).collect::<Vec<_>>().join(", ");
    let only = if words.is_empty() { String::new() } else { format!("WHERE state IN ({words})") };
    // Ids begin with their time.
    let query = Query::built(format!("{COLUMNS} {only} ORDER BY id DESC LIMIT $1"));
    reader.all(query.bind(limit)).await?.iter().map(read).collect()
}

/// Reads at most `limit` mails of an account, newest first.
pub async fn of_account(
    mut reader: impl Reader,
    account: AccountId,
    limit: u32,
) -> Result<Vec<OutgoingEmail>, DbError> {
    let query = Query::built(format!(
        "{COLUMNS} WHERE account_id = $1 ORDER BY created_at DESC, id DESC LIMIT $2"
    ));
    let rows = reader.all(query.bind(account).bind(limit)).await?;
    rows.iter().map(read).collect()
}

/// Reads what is attached to a mail.
pub async fn attachments(
    mut reader: impl Reader,
    id: EmailId,
) -> Result<Vec<EmailAttachment>, DbError> {
    let query = Query::new(
        "SELECT name, media_type, content FROM email_attachment WHERE email_id = $1
           ORDER BY number",
    );
    let rows = reader.all(query.bind(id)).await?;
    let file = |row: &Row| {
        Ok(EmailAttachment { name: row.get(0)?, media_type: row.get(1)?, content: row.get(2)? })
    };
    rows.iter().map(file).collect()
}

/// Notes that a mail is about to be offered; `false` if it is at its end, or was offered meanwhile.
///
/// `attempts` is how often it was offered so far. A mail that is found `sending` was given up by an
/// attempt that died: it may have been accepted.
pub async fn start(
    tx: &mut Tx<'_>,
    id: EmailId,
    attempts: u64,
    now: Timestamp,
) -> Result<bool, DbError> {
    let query = Query::new(
        "UPDATE outgoing_email SET attempts = attempts + 1, started_at = $2, state = $3,
           unknown_ends = unknown_ends + CASE WHEN state = $3 THEN 1 ELSE 0 END
           WHERE id = $1 AND ended_at IS NULL AND attempts = $4",
    );
    let query = query.bind(id).bind(now).bind(EmailState::Sending);
    Ok(tx.execute(query.bind(attempts.cast_signed())).await? == 1)
}

/// What was answered when a mail was offered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// The server's code.
    pub code: Option<u16>,
    /// What it said; may name the recipient.
    pub message: Option<String>,
}

/// Notes an answer that is no end: `Waiting` if the mail was surely not accepted, `Sending` if it
/// may have been; and when it is offered again.
pub async fn postpone(
    tx: &mut Tx<'_>,
    id: EmailId,
    (state, answer): (EmailState, &Answer),
    due_at: Timestamp,
) -> Result<(), DbError> {
    let query = Query::new(
        "UPDATE outgoing_email SET state = $2, code = $3, message = $4, due_at = $5
           WHERE id = $1 AND ended_at IS NULL",
    );
    let query = query.bind(id).bind(state).bind(answer.code.map(i64::from));
    tx.execute(query.bind(answer.message.as_deref()).bind(due_at)).await.map(|_| ())
}

/// Notes how a mail ended. What was attached is dropped, and with `forget` also its data.
///
/// One that is at its end already keeps it; `false` then.
pub async fn end(
    tx: &mut Tx<'_>,
    id: EmailId,
    (state, answer): (EmailState, &Answer),
    forget: bool,
    now: Timestamp,
) -> Result<bool, DbError> {
    let query = Query::new(
        "UPDATE outgoing_email SET state = $2, code = $3, message = $4, ended_at = $5,
           data = CASE WHEN $6 = 1 THEN '{}' ELSE data END WHERE id = $1 AND ended_at IS NULL",
    );
    let query = query.bind(id).bind(state).bind(answer.code.map(i64::from));
    let query = query.bind(answer.message.as_deref()).bind(now).bind(forget);
    if tx.execute(query).await? == 0 {
        return Ok(false);
    }
    let query = Query::new("DELETE FROM email_attachment WHERE email_id = $1");
    tx.execute(query.bind(id)).await?;
    Ok(true)
}

fn read(row: &Row) -> Result<OutgoingEmail, DbError> {
    Ok(OutgoingEmail {
        id: row.get(0)?,
        unique_key: row.get(1)?,
        kind: row.get(2)?,
        account_id: row.get(3)?,
        recipient: row.get(4)?,
        recipient_name: row.get(5)?,
        data: row.get(6)?,
        state: row.get(7)?,
        attempts: amount(row, 8)?,
        unknown_ends: amount(row, 9)?,
        code: row.get(10)?,
        message: row.get(11)?,
        created_at: row.get(12)?,
        ended_at: row.get(13)?,
    })
}
