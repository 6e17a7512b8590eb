//! Sends requests: under one key until their end is known, no faster than allowed, never for ever.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Method, Response, Url, redirect};
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use values::Span;

use super::API_VERSION;
use super::backoff::backoff;
use super::form::Form;
use super::wire::{ApiError, ErrorAnswer};
use crate::rate::RateLimit;
use crate::settings::Checked;
use crate::{PaymentError, StripeSettings, UnknownReason, Waits};

/// Tries of one call.
const MAX_TRIES: u32 = 5;
/// Bytes of an answer; a page of a hundred payments has half of that.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;
const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");

/// One request, however often it is sent.
#[derive(Debug)]
pub(super) struct Call<'a> {
    /// What it does, for errors: "charge a card".
    name: &'static str,
    method: Method,
    path: &'a str,
    form: Form,
    key: Option<&'a str>,
}

impl<'a> Call<'a> {
    pub(super) fn post(name: &'static str, path: &'a str, form: Form, key: &'a str) -> Self {
        Self { name, method: Method::POST, path, form, key: Some(key) }
    }
}

/// A definite answer.
#[derive(Debug)]
pub(super) enum Reply<T> {
    Done(T),
    Refused(ApiError),
}

/// Why there is no definite answer.
#[derive(Debug)]
pub(super) enum Fault {
    /// Something may have happened.
    Doubt(UnknownReason),
    /// Nothing happened.
    Certain(PaymentError),
}

impl Fault {
    fn into_error(self, call: &'static str) -> PaymentError {
        match self {
            Self::Doubt(reason) => PaymentError::Unreachable { call, reason },
            Self::Certain(error) => error,
        }
    }
}

/// How one try ended, if not with a definite answer.
#[derive(Debug)]
struct Trouble {
    fault: Fault,
    /// How long to wait before the next try; `None` if another try cannot help.
    again_after: Option<Duration>,
}

impl Trouble {
    fn again(fault: Fault) -> Self {
        Self { fault, again_after: Some(Duration::ZERO) }
    }

    fn last(fault: Fault) -> Self {
        Self { fault, again_after: None }
    }
}

#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    endpoint: Url,
    rate: RateLimit,
    waits: Waits,
}

impl Client {
    pub(super) fn new(settings: &StripeSettings, checked: Checked) -> Result<Self, PaymentError> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, checked.authorization);
        headers.insert("stripe-version", HeaderValue::from_static(API_VERSION));
        let waits = settings.waits;
        let http = reqwest::Client::builder()
            .default_headers(headers)
            .connect_timeout(waits.connect)
            .timeout(waits.answer)
            // A key goes where the settings say and nowhere else.
            .redirect(redirect::Policy::none())
            .build()
            .map_err(|error| PaymentError::Configuration { problem: format!("no TLS: {error}") })?;
        let rate = RateLimit::new(settings.rate_per_second);
        Ok(Self { http, endpoint: checked.endpoint, rate, waits })
    }

    /// Reads something; `None` if it is not there.
    pub(super) async fn read<T: DeserializeOwned>(
        &self,
        name: &'static str,
        path: &str,
        form: Form,
    ) -> Result<Option<T>, PaymentError> {
        match self.send(Call { name, method: Method::GET, path, form, key: None }).await {
            Ok(Reply::Done(found)) => Ok(Some(found)),
            Ok(Reply::Refused(error)) => match error.into_code() {
                code if code == "resource_missing" => Ok(None),
                code => Err(PaymentError::Refused { call: name, code }),
            },
            Err(fault) => Err(fault.into_error(name)),
        }
    }

    /// Writes something of which nothing depends on how it ended.
    pub(super) async fn write<T: DeserializeOwned>(
        &self,
        name: &'static str,
        path: &str,
        form: Form,
        key: &str,
    ) -> Result<T, PaymentError> {
        match self.send(Call::post(name, path, form, key)).await {
            Ok(Reply::Done(made)) => Ok(made),
            Ok(Reply::Refused(error)) => {
                Err(PaymentError::Refused { call: name, code: error.into_code() })
            }
            Err(fault) => Err(fault.into_error(name)),
        }
    }

    /// Removes something; that it is not there is no error.
    pub(super) async fn delete(&self, name: &'static str, path: &str) -> Result<(), PaymentError> {
        let form = Form::new();
        let call = Call { name, method: Method::DELETE, path, form, key: None };
        match self.send::<serde_json::Value>(call).await {
            Ok(Reply::Done(_) | Reply::Refused(_)) => Ok(()),
            Err(fault) => Err(fault.into_error(name)),
        }
    }

    /// Sends a request until it has a definite answer, tries run out, or time does.
    ///
    /// All tries carry the same key and the same bytes. When one of them may have done something
    /// and none got a definite answer, the call is in doubt, whatever the last one said: a limit
    /// or a wrong key says nothing about the tries before.
    pub(super) async fn send<T: DeserializeOwned>(
        &self,
        call: Call<'_>,
    ) -> Result<Reply<T>, Fault> {
        let started = Instant::now();
        let mut doubt = None;
        for tries in 1..=MAX_TRIES {
            self.rate.turn().await;
            let trouble = match self.try_once(&call).await {
                Ok(reply) => return Ok(reply),
                Err(trouble) => trouble,
            };
            if let Fault::Doubt(reason) = trouble.fault {
                doubt = Some(reason);
            }
            let random = getrandom::u32().unwrap_or(u32::MAX);
            let own = backoff(self.waits.backoff, tries, random);
            let wait = trouble.again_after.map(|asked| asked.max(own));
            let in_time = wait.filter(|wait| started.elapsed() + *wait <= self.waits.call);
            match in_time {
                Some(wait) if tries < MAX_TRIES => tokio::time::sleep(wait).await,
                _ => return Err(doubt.map_or(trouble.fault, Fault::Doubt)),
            }
        }
        unreachable!("the last try returns")
    }

    async fn try_once<T: DeserializeOwned>(&self, call: &Call<'_>) -> Result<Reply<T>, Trouble> {
        let mut url = self.endpoint.clone();
        url.set_path(call.path);
        let mut request = if call.method == Method::GET {
            url.set_query(Some(call.form.as_str()));
            self.http.request(call.method.clone(), url)
        } else {
            let body = call.form.as_str().to_owned();
            self.http.request(call.method.clone(), url).header(CONTENT_TYPE, FORM).body(body)
        };
        if let Some(key) = call.key {
            request = request.header("idempotency-key", key);
        }
        let mut response = request.send().await.map_err(|error| broken(&error))?;
        let body = body(&mut response).await?;
        if response.status().is_success() {
            return serde_json::from_slice(&body).map(Reply::Done).map_err(|_| malformed());
        }
        refusal(call.name, &response, &body)
            .inspect_err(|trouble| self.slow_down(trouble))
            .map(Reply::Refused)
    }

    /// A wait that the gateway asked for holds for all calls.
    fn slow_down(&self, trouble: &Trouble) {
        if let Some(wait) = trouble.again_after.filter(|wait| !wait.is_zero()) {
            self.rate.pause(wait.min(self.waits.call));
        }
    }
}

/// Tells a definite refusal from everything else.
///
/// Sources: <https://docs.stripe.com/error-low-level>, <https://docs.stripe.com/rate-limits>.
fn refusal(call: &'static str, response: &Response, body: &[u8]) -> Result<ApiError, Trouble> {
    let status = response.status().as_u16();
    let error = serde_json::from_slice::<ErrorAnswer>(body).ok().map(|answer| answer.error);
    let kind = error.as_ref().map(|error| error.kind.0.clone()).unwrap_or_default();
    match (status, error) {
        (401, _) => Err(Trouble::last(Fault::Certain(PaymentError::WrongKey))),
        (403, _) => Err(Trouble::last(Fault::Certain(PaymentError::Forbidden { call }))),
        (409, _) => Err(Trouble::again(Fault::Doubt(UnknownReason::Busy))),
        // Limits are checked before keys are: this try did nothing.
        (429, _) => Err(limited(seconds(response))),
        // What the gateway has stored under the key stays the same for a day.
        (424 | 500..=599, _) if is_stored(response) => {
            Err(Trouble::last(Fault::Doubt(UnknownReason::ServerError { status })))
        }
        (424 | 500..=599, _) => {
            Err(Trouble::again(Fault::Doubt(UnknownReason::ServerError { status })))
        }
        (400..=499, Some(_)) if kind == "idempotency_error" => {
            Err(Trouble::last(Fault::Doubt(UnknownReason::KeyReused)))
        }
        (400..=499, Some(error)) if kind != "api_error" && !kind.is_empty() => Ok(error),
        _ => Err(malformed()),
    }
}

fn limited(asked: Option<u32>) -> Trouble {
    let after = Span::from_seconds(asked.unwrap_or(1));
    Trouble {
        fault: Fault::Certain(PaymentError::RateLimited { after }),
        again_after: Some(asked.map_or(Duration::ZERO, |_| after.to_std())),
    }
}

fn malformed() -> Trouble {
    Trouble::again(Fault::Doubt(UnknownReason::Malformed))
}

fn broken(error: &reqwest::Error) -> Trouble {
    let reason =
        if error.is_timeout() { UnknownReason::Timeout } else { UnknownReason::Unreachable };
    Trouble::again(Fault::Doubt(reason))
}

/// Whether asking again under the same key gives the same answer.
fn is_stored(response: &Response) -> bool {
    let says = |name, value| response.headers().get(name).is_some_and(|found| found == value);
    says("idempotent-replayed", "true") || says("stripe-should-retry", "false")
}

fn seconds(response: &Response) -> Option<u32> {
    response.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok()
}

async fn body(response: &mut Response) -> Result<Vec<u8>, Trouble> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| broken(&error))? {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(malformed());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
