//! A gateway of its own for each test, with one customer and one good card.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use payments::scripted::{Fault, ScriptedGateway, TestCard, When};
use payments::{
    Charge, ChargeOutcome, CustomerId, Gateway, PaymentMethodId, Stripe, StripeSettings, Waits,
};
use values::{AccountId, Clock, Currency, Money, Span, Timestamp};

/// A clock that stands until it is told to go on.
#[derive(Debug)]
pub(crate) struct HandClock(AtomicI64);

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::Relaxed))
    }
}

impl HandClock {
    pub(crate) fn pass(&self, span: Span) {
        self.0.fetch_add(span.as_micros(), Ordering::Relaxed);
    }
}

pub(crate) struct Harness {
    pub(crate) clock: Arc<HandClock>,
    pub(crate) scripted: ScriptedGateway,
    pub(crate) gateway: Gateway,
    pub(crate) customer: CustomerId,
    pub(crate) card: PaymentMethodId,
}

impl Harness {
    pub(crate) async fn start() -> Self {
        let clock = Arc::new(HandClock(AtomicI64::new(1_793_500_000_000_000)));
        let scripted =
            ScriptedGateway::start(Arc::clone(&clock) as _).await.expect("there is a free port");
        let gateway = adapter(&hasty(scripted.settings()));
        let customer = scripted.add_customer();
        let card = scripted.add_card(&customer, TestCard::Good);
        Self { clock, scripted, gateway, customer, card }
    }

    /// A charge of 20.00 USD from the good card.
    pub(crate) fn charge(&self, key: &str) -> Charge {
        Charge {
            key: key.to_owned(),
            customer: self.customer.clone(),
            payment_method: self.card.clone(),
            amount: usd(2_000),
            account: AccountId::new(Timestamp::EPOCH, [7; 10]),
            month: "2026-10".parse().expect("a month"),
            attempt: 1,
            invoice: "INV-000123".to_owned(),
        }
    }

    /// The same from a card that behaves otherwise.
    pub(crate) fn charge_from(&self, key: &str, card: TestCard) -> Charge {
        let payment_method = self.scripted.add_card(&self.customer, card);
        Charge { payment_method, ..self.charge(key) }
    }

    /// Charges under `fault`, and tells what came of it and how often money was taken.
    pub(crate) async fn charge_under(&self, fault: Fault, times: u32) -> (ChargeOutcome, usize) {
        self.scripted.script(When::Charge, fault, times);
        let outcome = self.gateway.charge(&self.charge("k")).await.expect("an outcome");
        (outcome, self.scripted.times_charged("k"))
    }
}

pub(crate) fn usd(minor: i64) -> Money {
    Money { minor, currency: Currency::USD }
}

pub(crate) fn adapter(settings: &StripeSettings) -> Gateway {
    Gateway::Stripe(Stripe::new(settings, "test").expect("settings that work"))
}

/// The same settings with waits that suit a gateway on this machine.
pub(crate) fn hasty(settings: StripeSettings) -> StripeSettings {
    let waits = Waits {
        connect: Duration::from_secs(2),
        answer: Duration::from_millis(1_500),
        backoff: Duration::from_millis(10),
        call: Duration::from_secs(20),
    };
    StripeSettings { waits, ..settings }
}
