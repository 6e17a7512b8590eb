//! Reads a catalogue from TOML.

use std::collections::BTreeMap;

use serde::Deserialize;
use values::{Currency, Month, Span};

use super::{BilledBy, Catalogue, Plan, Provider, Streams, check};
use crate::{Limits, Metered, Product};

/// Longest text of a catalogue.
const MAX_TEXT_BYTES: usize = 1 << 20;
/// Dearest plan, in minor units.
const MAX_PRICE_MINOR: i64 = 1_000_000_000_000;
/// Units of a size; longest first, so that `B` matches last.
const SIZES: [(&str, u64); 5] =
    [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    minimum_charge_minor: BTreeMap<String, i64>,
    free_allowance: Allowance,
    providers: Vec<ProviderRow>,
    #[serde(default)]
    broadcast: Vec<BroadcastRow>,
    #[serde(default)]
    peer: Vec<PeerRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Allowance {
    bandwidth: Size,
    storage: Size,
    peer_time: Span,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProviderRow {
    name: String,
    billed_by: BilledBy,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BroadcastRow {
    providers: Vec<String>,
    plan: String,
    title: String,
    order: u32,
    price_minor: BTreeMap<String, i64>,
    bandwidth: Size,
    storage: Size,
    streams: StreamsText,
    from: Option<Month>,
    #[serde(default = "yes")]
    offered: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PeerRow {
    providers: Vec<String>,
    plan: String,
    title: String,
    order: u32,
    price_minor: BTreeMap<String, i64>,
    peer_time: Span,
    from: Option<Month>,
    #[serde(default = "yes")]
    offered: bool,
}

/// Bytes, written as a whole number and a unit.
#[derive(Deserialize, Clone, Copy)]
#[serde(try_from = "String")]
struct Size(u64);

#[derive(Deserialize, Clone, Copy)]
#[serde(try_from = "toml::Value")]
struct StreamsText(Streams);

const fn yes() -> bool {
    true
}

impl TryFrom<String> for Size {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let read = || {
            let (unit, bytes) = SIZES.iter().find(|(unit, _)| text.ends_with(unit))?;
            let number = text.strip_suffix(unit)?.trim_end();
            let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
            let size = digits.then(|| number.parse::<u64>().ok())??.checked_mul(*bytes)?;
            (size <= Metered::MAX).then_some(Self(size))
        };
        let excerpt: String = text.chars().take(40).collect();
        read().ok_or(format!("`{excerpt}` is not a size; write 0B, 5GiB or 15TiB, at most 1 EiB"))
    }
}

impl TryFrom<toml::Value> for StreamsText {
    type Error = &'static str;

    fn try_from(value: toml::Value) -> Result<Self, Self::Error> {
        match value {
            toml::Value::String(word) if word == "unlimited" => Ok(Self(Streams::Unlimited)),
            toml::Value::Integer(number) => match u32::try_from(number) {
                Ok(number) => Ok(Self(Streams::UpTo(number))),
                Err(_) => Err("streams are a number from 0 on or \"unlimited\""),
            },
            _ => Err("streams are a number from 0 on or \"unlimited\""),
        }
    }
}

/// Reads the text; every problem otherwise.
pub(super) fn catalogue(text: &str) -> Result<Catalogue, Vec<String>> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(vec![format!("{} bytes; write at most {MAX_TEXT_BYTES}", text.len())]);
    }
    let file: File = toml::from_str(text).map_err(|error| vec![error.to_string()])?;
    let mut problems = Vec::new();
    let catalogue = build(file, &mut problems);
    check::check(&catalogue, &mut problems);
    if problems.is_empty() { Ok(catalogue) } else { Err(problems) }
}

fn build(file: File, problems: &mut Vec<String>) -> Catalogue {
    let File { minimum_charge_minor, free_allowance, providers, broadcast, peer } = file;
    let mut plans = Vec::new();
    for row in broadcast {
        let plan = Plan {
            provider: String::new(),
            product: Product::Broadcast,
            limits: limits(row.bandwidth.0, row.storage.0, Span::ZERO),
            streams: row.streams.0,
            prices_minor: prices(&row.plan, row.price_minor, problems),
            name: row.plan,
            title: row.title,
            order: row.order,
            from: row.from,
            offered: row.offered,
        };
        plans.extend(for_each(row.providers, &plan));
    }
    for row in peer {
        let plan = Plan {
            provider: String::new(),
            product: Product::Peer,
            limits: limits(0, 0, row.peer_time),
            streams: Streams::UpTo(0),
            prices_minor: prices(&row.plan, row.price_minor, problems),
            name: row.plan,
            title: row.title,
            order: row.order,
            from: row.from,
            offered: row.offered,
        };
        plans.extend(for_each(row.providers, &plan));
    }
    let Allowance { bandwidth, storage, peer_time } = free_allowance;
    let provider = |ProviderRow { name, billed_by }| Provider { name, billed_by };
    Catalogue {
        free_allowance: limits(bandwidth.0, storage.0, peer_time),
        minimum_charge_minor: prices("minimum_charge_minor", minimum_charge_minor, problems),
        providers: providers.into_iter().map(provider).collect(),
        plans,
    }
}

/// The same plan at each provider.
fn for_each(providers: Vec<String>, plan: &Plan) -> impl Iterator<Item = Plan> {
    providers.into_iter().map(|provider| Plan { provider, ..plan.clone() })
}

fn limits(bandwidth_bytes: u64, storage_bytes: u64, peer_time: Span) -> Limits {
    let peer_milliseconds = peer_time.as_micros().unsigned_abs() / 1_000;
    Limits { bandwidth_bytes, storage_bytes, peer_milliseconds }
}

fn prices(
    of: &str,
    rows: BTreeMap<String, i64>,
    problems: &mut Vec<String>,
) -> BTreeMap<Currency, i64> {
    let mut prices = BTreeMap::new();
    for (currency, minor) in rows {
        if !(0..=MAX_PRICE_MINOR).contains(&minor) {
            problems.push(format!("{of}: {minor} {currency}; write 0 to {MAX_PRICE_MINOR}"));
        }
        match currency.parse() {
            Ok(currency) => drop(prices.insert(currency, minor)),
            Err(error) => problems.push(format!("{of}: {error}")),
        }
    }
    if prices.is_empty() {
        problems.push(format!("{of}: no price; write at least one, such as {{ USD = 0 }}"));
    }
    prices
}
