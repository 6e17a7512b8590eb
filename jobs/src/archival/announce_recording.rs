//! `archival/announce_recording`: tells the customer's webhook that a recording is ready.
//!
//! A task of its own, so that a customer's server holds up no archival. The request is signed as
//! Stripe signs its own (`t=SECONDS,v1=HMAC-SHA256 of "SECONDS.BODY"`), carries the same id each
//! time, and is repeated until the server answers with success or asks for no more (410).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use contract::NoConfiguration;
use contract::archival::AnnounceRecording as Payload;
use database::Db;
use job::{Context, Job, JobError, Outcome, Services};
use models::recordings::{self, Recording, Webhook};
use models::streams;
use reqwest::{Client, StatusCode, Url};
use serde_json::json;
use values::Secret;

use super::settings::Settings;

/// How long a customer's server may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long it may take in all.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Announces one recording.
pub(crate) struct AnnounceRecording {
    db: Db,
    settings: Settings,
}

impl Job for AnnounceRecording {
    type Payload = Payload;
    type Settings = Settings;

    fn new(services: &Services, settings: Settings) -> Self {
        Self { db: services.db.clone(), settings }
    }

    async fn run(
        &self,
        cx: &Context,
        payload: Payload,
        _config: NoConfiguration,
    ) -> Result<Outcome, JobError> {
        let id = payload.recording_id;
        let recording = super::named(&self.db, id).await?;
        if recording.deleted_at.is_some() {
            return Ok(Outcome::completed(json!({ "skipped": "deleted" })));
        }
        let Some(webhook) = recordings::webhook(&self.db, recording.project_id).await? else {
            return Ok(Outcome::completed(json!({ "skipped": "no_webhook" })));
        };
        let body = self.body(&recording).await?;
        cx.progress(0.5, "telling the customer");
        let effect = format!("announce_recording/{id}");
        let told = cx.effects().once(
            &effect,
            async |_| self.tell(cx, &webhook, &id.to_string(), &body).await,
            // The customer knows a repeat by its id.
            async |_| Ok(None),
        );
        let status: u16 = told.await?;
        Ok(Outcome::completed(json!({ "status": status })))
    }
}

impl AnnounceRecording {
    async fn body(&self, recording: &Recording) -> Result<String, JobError> {
        let stream = streams::get(&self.db, recording.stream_id).await?;
        let body = json!({
            "event": "recording.ready",
            "recordingId": recording.id,
            "projectId": recording.project_id,
            "streamName": stream.map(|stream| stream.name),
            "name": recording.name,
            "sizeBytes": recording.size_bytes,
            "durationMs": recording.duration_ms,
            "recordedAt": recording.recorded_at,
        });
        Ok(body.to_string())
    }

    async fn tell(
        &self,
        cx: &Context,
        webhook: &Webhook,
        id: &str,
        body: &str,
    ) -> Result<u16, JobError> {
        let url: Url = webhook
            .url
            .parse()
            .map_err(|_| JobError::permanent("the customer's webhook is not an address"))?;
        let client = self.client(&url).await?;
        let secret = Secret::new(webhook.secret.clone());
        let signature = payments::webhook::sign(&secret, body.as_bytes(), cx.now());
        let request = client
            .post(url)
            .header("content-type", "application/json")
            .header("main-worker-signature", signature)
            .header("main-worker-event-id", id)
            .body(body.to_owned());
        let answer = tokio::select! {
            biased;
            () = cx.cancelled() => return Err(JobError::Cancelled),
            answer = request.send() => answer,
        };
        // Addresses may hold secrets of the customer.
        let answer = answer.map_err(|error| JobError::Retryable {
            after: None,
            cause: Box::new(error.without_url()),
        })?;
        match answer.status() {
            status if status.is_success() => Ok(status.as_u16()),
            StatusCode::GONE => {
                Err(JobError::permanent("the customer's webhook asks for no more (410)"))
            }
            status => Err(JobError::retryable(format!("the customer's webhook answered {status}"))),
        }
    }

    /// Makes a client that goes to this address and nowhere else.
    async fn client(&self, url: &Url) -> Result<Client, JobError> {
        let is_private_allowed = self.settings.private_webhooks;
        if url.scheme() != "https" && !(is_private_allowed && url.scheme() == "http") {
            return Err(JobError::permanent("the customer's webhook must begin with https://"));
        }
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return Err(JobError::permanent("the customer's webhook names no host"));
        };
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let found = tokio::net::lookup_host((bare, port))
            .await
            .map_err(|error| JobError::Retryable { after: None, cause: Box::new(error) })?;
        let addresses: Vec<SocketAddr> = found.collect();
        if !is_private_allowed && !addresses.iter().all(|address| is_public(address.ip())) {
            return Err(JobError::permanent("the customer's webhook leads to a private address"));
        }
        Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            // The address that was looked at is the one that is used.
            .resolve_to_addrs(host, &addresses)
            .build()
            .map_err(|error| JobError::permanent(format!("no HTTP client: {error}")))
    }
}

/// Whether an address is one of the public internet.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => {
            address.to_ipv4_mapped().map_or_else(|| is_public_v6(address), is_public_v4)
        }
    }
}

/// 2000::/3 is all that was ever given out; in it are 6to4, Teredo and documentation.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    segments[0] & 0xe000 == 0x2000
        && segments[0] != 0x2002
        && segments[..2] != [0x2001, 0x0db8]
        && segments[..2] != [0x2001, 0]
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || first == 0
        || first >= 224
        || (first == 100 && second & 0xc0 == 64)
        || (first == 198 && second & 0xfe == 18)
        || address.octets()[..3] == [192, 0, 0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_public_addresses() {
        for address in ["8.8.8.8", "100.128.0.1", "2606:4700::1111", "::ffff:8.8.8.8"] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
        for address in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",
            "100.64.0.1",
            "198.18.0.1",
            "192.0.0.8",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "2002:a00:1::",
            "ff02::1",
        ] {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
    }
}
