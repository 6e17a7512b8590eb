//! Usage of accounts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use values::{Month, ProjectId, Timestamp};

use crate::billing::PaymentConfiguration;
use crate::{NoConfiguration, Payload};

/// Asks for month-to-date usage per account to be brought up to date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RollUpUsage {
    /// The only month to look at; every month with changed rows when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub month: Option<Month>,
}

impl Payload for RollUpUsage {
    const JOB: &'static str = "usage/roll_up_usage";
    const DESCRIPTION: &'static str =
        "Sums usage rows that changed into month-to-date usage per account";
    type Config = NoConfiguration;

    fn example() -> Self {
        Self { month: Month::new(2026, 10) }
    }
}

/// Events in one task at the most.
pub const PEER_EVENTS_MAX: usize = 500;
/// Characters of an event's id at the most.
pub const PEER_EVENT_ID_CHARS_MAX: usize = 200;

/// Brings spans of talk in rooms, each counted once however often it is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RecordPeerEvents {
    /// At most [`PEER_EVENTS_MAX`]; those that cannot be right are left out and named.
    pub events: Vec<PeerEvent>,
}

/// A span of talk in a room of at least two people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PeerEvent {
    /// The sender's own id of it, the same whenever it is sent again.
    pub id: String,
    /// Whose room it was.
    pub project_id: ProjectId,
    /// When it ended; its month is billed for it.
    pub at: Timestamp,
    /// Its length times the people in the room, in milliseconds.
    pub talk_time_in_milliseconds: u64,
}

impl Payload for RecordPeerEvents {
    const JOB: &'static str = "usage/record_peer_events";
    const DESCRIPTION: &'static str = "Counts time that people spent in rooms, each event once";
    type Config = NoConfiguration;

    fn example() -> Self {
        Self {
            events: vec![PeerEvent {
                id: "room7-000042".to_owned(),
                project_id: ProjectId::new(Timestamp::EPOCH, [7; 10]),
                at: Timestamp::EPOCH,
                talk_time_in_milliseconds: 6_000,
            }],
        }
    }
}

/// Asks for the limits of every account to be checked against what it used so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EnforceLimits {
    /// The month to check; the current one when absent, and nothing is done for any other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub month: Option<Month>,
}

impl Payload for EnforceLimits {
    const JOB: &'static str = "usage/enforce_limits";
    const DESCRIPTION: &'static str =
        "Warns, upgrades or throttles accounts that use more than their plans give";
    type Config = PaymentConfiguration;

    fn example() -> Self {
        Self { month: Month::new(2026, 10) }
    }
}
