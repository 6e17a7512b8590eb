//! A payment gateway of our own, for tests and the demo.
//!
//! It was built from Stripe's published documentation, speaks the same protocol over HTTP, and
//! moves no money. It keeps idempotency keys as documented, knows test cards, fails on demand at
//! every point where a real one can, and counts what it really charged.
//!
//! ```no_run
//! # async fn example(clock: std::sync::Arc<dyn values::Clock>) -> Result<(), Box<dyn std::error::Error>> {
//! use payments::scripted::{Fault, ScriptedGateway, TestCard, When};
//! use payments::{Gateway, Stripe};
//!
//! let scripted = ScriptedGateway::start(clock).await?;
//! let customer = scripted.add_customer();
//! let card = scripted.add_card(&customer, TestCard::InsufficientFunds);
//! scripted.script(When::Charge, Fault::HangAfter, 1); // charges, then never answers
//! let gateway = Gateway::Stripe(Stripe::new(&scripted.settings(), "demo")?);
//! assert_eq!(scripted.times_charged("charge/1"), 0);
//! # Ok(())
//! # }
//! ```

mod answer;
mod book;
mod cards;
mod customers;
mod events;
mod intents;
mod keys;
mod refunds;
mod request;
mod script;
mod server;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use values::{Clock, Money, Month, Secret};

use self::book::Book;
pub use self::book::Seen;
pub use self::cards::TestCard;
pub use self::script::{Fault, When};
use crate::{CustomerId, PaymentId, PaymentMethodId, StripeSettings, webhook};

/// The one secret key the gateway accepts; it opens nothing else.
const SECRET_KEY: &str = "sk_test_scripted";

/// A running gateway on a free port of 127.0.0.1; ends when dropped.
#[derive(Debug)]
pub struct ScriptedGateway {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: JoinHandle<io::Result<()>>,
}

/// What the server's tasks and the handle share.
#[derive(Debug)]
struct Shared {
    book: Mutex<Book>,
    delay: Mutex<Duration>,
}

impl Shared {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn delay(&self) -> MutexGuard<'_, Duration> {
        self.delay.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Money that the gateway took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charged {
    /// The payment.
    pub id: PaymentId,
    /// The idempotency key of the request that took it, if it had one.
    pub key: Option<String>,
    /// From whom.
    pub customer: CustomerId,
    /// How much.
    pub amount: Money,
    /// What of it was given back, in the same currency.
    pub refunded_minor: i64,
}

impl ScriptedGateway {
    /// Starts a gateway without customers, whose time is `clock`'s.
    ///
    /// # Errors
    /// When there is no free port.
    pub async fn start(clock: Arc<dyn Clock>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let book = Mutex::new(Book::new(clock));
        let shared = Arc::new(Shared { book, delay: Mutex::default() });
        let server = tokio::spawn(server::serve(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, server })
    }

    /// Where it listens, for a proxy in between.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Settings of an adapter that speaks to this gateway: its address, its key, and a rate far
    /// above the default, because nobody limits it.
    pub fn settings(&self) -> StripeSettings {
        let mut settings = StripeSettings::new(SECRET_KEY.to_owned().into());
        settings.endpoint = format!("http://{}", self.address);
        settings.rate_per_second = const { std::num::NonZeroU32::new(100_000).expect("not zero") };
        settings
    }

    /// Makes a customer without cards.
    pub fn add_customer(&self) -> CustomerId {
        self.shared.book().add_customer("").parse().expect("own ids are plain")
    }

    /// Gives a customer a card that is valid for years.
    pub fn add_card(&self, customer: &CustomerId, card: TestCard) -> PaymentMethodId {
        let id = self.shared.book().add_method(Some(customer.as_str()), card);
        id.parse().expect("own ids are plain")
    }

    /// Changes how a card behaves from now on: it ran out of funds, or its owner paid them in.
    ///
    /// # Panics
    /// When there is no such card.
    pub fn set_card(&self, card: &PaymentMethodId, behaves: TestCard) {
        self.shared.book().method_mut(card).card = behaves;
    }

    /// Changes the last month in which a card is valid; it does not decline by itself.
    ///
    /// # Panics
    /// When there is no such card.
    pub fn set_expiry(&self, card: &PaymentMethodId, valid_through: Month) {
        self.shared.book().method_mut(card).valid_through = valid_through;
    }

    /// Makes the next `times` requests that match fail. Earlier rules go first.
    pub fn script(&self, when: When, fault: Fault, times: u32) {
        self.shared.book().script.add(when, fault, times);
    }

    /// Makes nothing fail any more.
    pub fn clear_script(&self) {
        self.shared.book().script = script::Script::default();
    }

    /// How long every answer takes from now on.
    pub fn set_delay(&self, delay: Duration) {
        *self.shared.delay() = delay;
    }

    /// Forgets all idempotency keys, as a gateway does after a day.
    pub fn forget_keys(&self) {
        self.shared.book().keys.forget();
    }

    /// All the money taken, oldest first.
    pub fn charges(&self) -> Vec<Charged> {
        self.shared.book().charged(|_| true)
    }

    /// How often money was taken under a key: 1 is right, 2 is a customer who paid twice.
    pub fn times_charged(&self, key: &str) -> usize {
        self.shared.book().charged(|of| of == Some(key)).len()
    }

    /// The latest requests, oldest first, as they came in.
    pub fn requests(&self) -> Vec<Seen> {
        self.shared.book().seen.iter().cloned().collect()
    }

    /// The latest events as the bodies of webhooks, oldest first.
    pub fn events(&self) -> Vec<String> {
        self.shared.book().events.all()
    }

    /// Posts all events that were not delivered yet, signed now, and returns the answers' status.
    ///
    /// An event that was not answered with 2xx is delivered again by the next call.
    ///
    /// # Errors
    /// When `url` does not answer.
    pub async fn deliver_events(
        &self,
        url: &str,
        secret: &Secret<String>,
    ) -> reqwest::Result<Vec<u16>> {
        let (undelivered, now) = {
            let book = self.shared.book();
            (book.events.undelivered(), book.now())
        };
        let http = reqwest::Client::builder().timeout(Duration::from_secs(10)).build()?;
        let mut answers = Vec::new();
        for (id, body) in undelivered {
            let signature = webhook::sign(secret, body.as_bytes(), now);
            let request = http.post(url).header(webhook::SIGNATURE_HEADER, signature).body(body);
            let status = request.send().await?.status();
            if status.is_success() {
                self.shared.book().events.mark_delivered(id);
            }
            answers.push(status.as_u16());
        }
        Ok(answers)
    }
}

impl Drop for ScriptedGateway {
    fn drop(&mut self) {
        self.server.abort();
    }
}
