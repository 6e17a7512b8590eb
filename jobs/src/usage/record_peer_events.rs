//! `usage/record_peer_events`: time that people spent in rooms, each event once.
//!
//! The ids are kept for ever, so that a repeat counts nothing, whoever sends it and when. Events
//! that cannot be right are named in the result and hold up no other.

use contract::NoConfiguration;
use contract::usage::{
    PEER_EVENT_ID_CHARS_MAX, PEER_EVENTS_MAX, PeerEvent, RecordPeerEvents as Payload, RollUpUsage,
};
use database::Db;
use job::{Context, Job, JobError, NoSettings, Outcome, Services};
use models::peer_time::{self, Recorded, record};
use scheduling::Scope;
use serde::Serialize;
use values::{Span, Timestamp};

use crate::emails::once;

/// The longest time of one event: a thousand people for a month.
const MILLISECONDS_MAX: u64 = 1_000 * 31 * 24 * 60 * 60 * 1_000;
/// How far a sender's clock may be ahead.
const AHEAD_MAX: Span = Span::from_hours(1);
/// Characters of an id that are repeated in the result.
const ID_CHARS_SHOWN: usize = 80;

/// Counts peer events.
pub(crate) struct RecordPeerEvents {
    db: Db,
}

/// What one attempt did.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    /// Events that were counted.
    counted: usize,
    /// Events that were counted before.
    repeated: usize,
    /// Events that cannot be right.
    refused: Vec<Refused>,
}

/// An event that was left out.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Refused {
    id: String,
    reason: &'static str,
}

impl Job for RecordPeerEvents {
    type Payload = Payload;
    type Settings = NoSettings;

    fn new(services: &Services, _: NoSettings) -> Self {
        Self { db: services.db.clone() }
    }

    async fn run(
        &self,
        cx: &Context,
        payload: Payload,
        _: NoConfiguration,
    ) -> Result<Outcome, JobError> {
        let found = payload.events.len();
        if found > PEER_EVENTS_MAX {
            let message = format!("{found} events in one task; send at most {PEER_EVENTS_MAX}");
            return Err(JobError::permanent(message));
        }
        cx.progress(0.0, "counting events");
        let report = self.count(&payload.events, cx.now()).await?;
        cx.progress(1.0, "events are counted");
        let Report { counted, repeated, refused } = &report;
        tracing::info!(counted, repeated, refused = refused.len(), "peer events recorded");
        let roll_up = RollUpUsage { month: None };
        Ok(Outcome::completed(report).follow_up_with(&roll_up, once(Scope::Job)))
    }
}

impl RecordPeerEvents {
    /// Counts events in one transaction.
    async fn count(&self, events: &[PeerEvent], now: Timestamp) -> Result<Report, JobError> {
        let mut report = Report::default();
        let mut work = self.db.begin().await?;
        for event in events {
            let refusal = match refusal(event, now) {
                Some(reason) => Some(reason),
                None => match record(&mut work.tx(), &row(event)).await? {
                    Recorded::Counted => {
                        report.counted += 1;
                        None
                    }
                    Recorded::Repeated => {
                        report.repeated += 1;
                        None
                    }
                    Recorded::UnknownProject => Some("unknown_project"),
                    Recorded::BeforeAccount => Some("before_account"),
                },
            };
            if let Some(reason) = refusal {
                let id = event.id.chars().take(ID_CHARS_SHOWN).collect();
                report.refused.push(Refused { id, reason });
            }
        }
        work.commit().await?;
        Ok(report)
    }
}

/// Why an event cannot be right, whatever the tables say.
fn refusal(event: &PeerEvent, now: Timestamp) -> Option<&'static str> {
    if event.id.is_empty() || event.id.chars().count() > PEER_EVENT_ID_CHARS_MAX {
        return Some("id_length");
    }
    if event.id.contains('\0') {
        return Some("id_has_nul");
    }
    if event.talk_time_in_milliseconds > MILLISECONDS_MAX {
        return Some("absurd_time");
    }
    (event.at > now.after(AHEAD_MAX)).then_some("in_the_future")
}

fn row(event: &PeerEvent) -> peer_time::PeerEvent {
    let PeerEvent { id, project_id, at, talk_time_in_milliseconds } = event;
    let milliseconds = *talk_time_in_milliseconds;
    peer_time::PeerEvent { id: id.clone(), project_id: *project_id, at: *at, milliseconds }
}
