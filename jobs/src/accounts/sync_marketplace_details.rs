//! `accounts/sync_marketplace_details`: an account's name and address as its marketplace knows them.
//!
//! What the customer has set stays: only what is missing, or what the marketplace itself said
//! before, is replaced.

use std::collections::BTreeMap;
use std::time::Duration;

use contract::accounts::{MarketplaceConfiguration, SyncMarketplaceDetails as Payload};
use database::Db;
use job::{Context, Job, JobError, Outcome, Services};
use models::sign_ups::{self, MarketplaceAccount};
use models::{BillingProvider, accounts};
use reqwest::{Client, StatusCode, redirect};
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use serde_json::json;
use values::{Classify, Retry, Span};

/// How long connecting takes at the most.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// How long an answer takes at the most, to its last byte.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// How long an answer is.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// How long a name or an address is.
const TEXT_CHARS_MAX: usize = 254;
/// The place of the marketplace's id in an address.
const ID: &str = "{id}";

/// What the job takes from worker.toml.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// Where each marketplace answers, with `{id}` in place of its id of the account.
    #[serde(default, deserialize_with = "urls")]
    marketplace_urls: BTreeMap<BillingProvider, String>,
}

/// Reads urls that name an account and carry a password to nobody else.
fn urls<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<BillingProvider, String>, D::Error> {
    let urls: BTreeMap<BillingProvider, String> = BTreeMap::deserialize(deserializer)?;
    for (provider, url) in &urls {
        let here = ["http://127.0.0.1:", "http://localhost:", "http://[::1]:"];
        let is_safe = url.starts_with("https://") || here.iter().any(|host| url.starts_with(host));
        if !is_safe || !url.contains(ID) {
            return Err(D::Error::custom(format!(
                "`marketplace_urls.{provider}` begins with https:// and has {ID} in place of the \
                 marketplace's id of the account"
            )));
        }
    }
    Ok(urls)
}

/// Fetches what marketplaces know.
pub(crate) struct SyncMarketplaceDetails {
    db: Db,
    client: Client,
    urls: BTreeMap<BillingProvider, String>,
}

/// What a marketplace answers; everything else in it is left alone.
#[derive(Debug, Deserialize)]
struct Record {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    owner_email: Option<String>,
}

/// Why a marketplace's record cannot be had.
#[derive(Debug, thiserror::Error)]
enum VendorError {
    #[error("the marketplace cannot be reached, or did not answer in time")]
    Unreachable(#[source] reqwest::Error),
    #[error("the marketplace answered {status}")]
    Unavailable { status: StatusCode, after: Option<Span> },
    #[error("the marketplace answered {0}; correct the url or the section `marketplaces`")]
    Refused(StatusCode),
    #[error("the marketplace's record has more than {ANSWER_BYTES_MAX} bytes")]
    TooLong,
    #[error("the marketplace's record cannot be read")]
    Malformed(#[source] serde_json::Error),
    #[error("no url is set for {0}; add it to `marketplace_urls` of this job's settings")]
    NoUrl(BillingProvider),
    #[error("nobody signs in at {0}; add it to the configuration section `marketplaces`")]
    NoLogin(BillingProvider),
}

impl Classify for VendorError {
    fn retry(&self) -> Retry {
        match self {
            Self::Unavailable { status: _, after: Some(after) } => Retry::After(*after),
            Self::Unreachable(_) | Self::Unavailable { status: _, after: None } => Retry::Backoff,
            Self::Refused(_)
            | Self::TooLong
            | Self::Malformed(_)
            | Self::NoUrl(_)
            | Self::NoLogin(_) => Retry::Never,
        }
    }
}

impl Job for SyncMarketplaceDetails {
    type Payload = Payload;
    type Settings = Settings;

    fn new(services: &Services, settings: Settings) -> Self {
        // A redirect would carry the password to somebody else.
        let client = Client::builder()
            .connect_timeout(CONNECT_WITHIN)
            .timeout(ANSWER_WITHIN)
            .redirect(redirect::Policy::none())
            .build()
            .expect("the client's settings are constant");
        Self { db: services.db.clone(), client, urls: settings.marketplace_urls }
    }

    async fn run(
        &self,
        cx: &Context,
        payload: Payload,
        config: MarketplaceConfiguration,
    ) -> Result<Outcome, JobError> {
        let id = payload.account_id;
        let account = accounts::get(&self.db, id).await?;
        let account =
            account.ok_or_else(|| JobError::permanent(format!("there is no account {id}")))?;
        if account.deleted_at.is_some() {
            return Ok(Outcome::completed(json!({ "skipped": "account_deleted" })));
        }
        let Some(before) = sign_ups::marketplace(&self.db, id).await? else {
            return Ok(Outcome::completed(json!({ "skipped": "not_of_a_marketplace" })));
        };
        cx.progress(0.25, "asking the marketplace");
        let asked = self.ask(account.billing_provider, &before.vendor_id, &config).await?;
        let Some(record) = asked else {
            return Ok(Outcome::completed(json!({ "skipped": "unknown_to_the_marketplace" })));
        };
        cx.progress(0.75, "answered");
        let said = said(cx, &before, record);
        let now = cx.now();
        let result = json!({ "hasName": said.name.is_some(), "hasEmail": said.email.is_some() });
        Ok(Outcome::completed(result).commit(move |tx| {
            Box::pin(async move { sign_ups::take_over(tx, &before, &said, now).await })
        }))
    }
}

impl SyncMarketplaceDetails {
    /// Asks for the record; `None` if the marketplace knows no such account.
    async fn ask(
        &self,
        provider: BillingProvider,
        vendor_id: &str,
        config: &MarketplaceConfiguration,
    ) -> Result<Option<Record>, VendorError> {
        let url = self.urls.get(&provider).ok_or(VendorError::NoUrl(provider))?;
        let login = config.marketplaces.get(provider.as_str());
        let login = login.ok_or(VendorError::NoLogin(provider))?;
        let request = self
            .client
            .get(url.replace(ID, &encoded(vendor_id)))
            .basic_auth(&login.user, Some(login.password.expose()))
            .header("Accept", "application/json");
        // The address holds no secret, but is nobody's business in a log either.
        let unreachable = |error: reqwest::Error| VendorError::Unreachable(error.without_url());
        let mut answer = request.send().await.map_err(unreachable)?;
        let status = answer.status();
        if status == StatusCode::NOT_FOUND || status == StatusCode::GONE {
            return Ok(None);
        }
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            let after = answer.headers().get("Retry-After").and_then(|value| value.to_str().ok());
            let after = after.and_then(|text| text.parse().ok()).map(Span::from_seconds);
            return Err(VendorError::Unavailable { status, after });
        }
        if status != StatusCode::OK {
            return Err(VendorError::Refused(status));
        }
        let mut body = Vec::new();
        while let Some(part) = answer.chunk().await.map_err(unreachable)? {
            if body.len() + part.len() > ANSWER_BYTES_MAX {
                return Err(VendorError::TooLong);
            }
            body.extend_from_slice(&part);
        }
        serde_json::from_slice(&body).map(Some).map_err(VendorError::Malformed)
    }
}

/// What the marketplace says now; what it leaves out it has said before.
fn said(cx: &Context, before: &MarketplaceAccount, record: Record) -> MarketplaceAccount {
    let fits = |text: &String| {
        let plain = !text.contains(char::is_control);
        plain && !text.trim().is_empty() && text.chars().count() <= TEXT_CHARS_MAX
    };
    let is_address = |text: &String| text.parse::<mail::Address>().is_ok();
    MarketplaceAccount {
        account_id: before.account_id,
        vendor_id: before.vendor_id.clone(),
        name: record.name.filter(fits).or_else(|| before.name.clone()),
        email: record.owner_email.filter(is_address).or_else(|| before.email.clone()),
        synced_at: Some(cx.now()),
    }
}

/// The id as one part of a path: everything but letters, digits, `-` and `_` is escaped.
fn encoded(id: &str) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    for byte in id.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_".contains(&byte) {
            text.push(char::from(byte));
        } else {
            write!(text, "%{byte:02X}").expect("a String takes everything");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::encoded;

    #[test]
    fn an_id_stays_one_part_of_a_path() {
        assert_eq!(encoded("app1234@heroku.com"), "app1234%40heroku%2Ecom");
        assert_eq!(encoded("../a?b"), "%2E%2E%2Fa%3Fb");
    }
}
