//! Lets an operator see with their own key that everything works.

use std::fmt;

use values::{AccountId, Currency, Money, Timestamp, hex};

use crate::{
    Charge, ChargeOutcome, CustomerId, Gateway, Mode, PaymentError, PaymentMethodId, Refund,
    RefundOutcome, Stripe,
};

/// What the test charges cost, in a mode without real money.
const AMOUNT: Money = Money { minor: 100, currency: Currency::USD };
/// Test cards. Source: <https://docs.stripe.com/testing>.
const GOOD_CARD: &str = "pm_card_visa";
const DECLINED_CARD: &str = "pm_card_chargeCustomerFail";
const AUTHENTICATION_CARD: &str = "pm_card_authenticationRequired";

/// What was tried, and how it went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The gateway's name.
    pub gateway: &'static str,
    /// What was tried, in order; the first failure ends it.
    pub steps: Vec<Step>,
}

/// One thing that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What should be so.
    pub name: &'static str,
    /// What was found, or what is wrong.
    pub result: Result<String, String>,
}

impl Report {
    /// Tells whether everything that was tried worked.
    pub fn passed(&self) -> bool {
        self.steps.iter().all(|step| step.result.is_ok())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "payment gateway: {}", self.gateway)?;
        for Step { name, result } in &self.steps {
            match result {
                Ok(found) => writeln!(f, "  ok      {name}: {found}")?,
                Err(problem) => writeln!(f, "  FAILED  {name}: {problem}")?,
            }
        }
        Ok(())
    }
}

/// Tries the gateway out.
///
/// With a test key it makes a customer with three test cards, charges 1.00 USD once under a key
/// used twice, sees a decline and a demand for authentication, finds the charge by its key, gives
/// the money back, and removes the customer. With a live key it only reads, and charges nobody.
/// The manual adapter has nothing to try.
pub async fn verify(gateway: &Gateway) -> Report {
    let steps = match gateway {
        Gateway::Manual => {
            vec![step("nothing is charged", Ok("customers pay their invoices".to_owned()))]
        }
        Gateway::Stripe(stripe) => try_out(gateway, stripe).await,
    };
    Report { gateway: gateway.name(), steps }
}

fn step(name: &'static str, result: Result<String, String>) -> Step {
    Step { name, result }
}

async fn try_out(gateway: &Gateway, stripe: &Stripe) -> Vec<Step> {
    let read = step("the key may read payments", reads(stripe).await);
    let works = read.result.is_ok();
    let mut steps = vec![read];
    if works && stripe.mode() == Mode::Test {
        let mut trial = Trial { gateway, stripe, run: run_name(), customer: None, steps };
        trial.go().await;
        trial.clean_up().await;
        steps = trial.steps;
    }
    steps
}

async fn reads(stripe: &Stripe) -> Result<String, String> {
    let live = stripe.mode() == Mode::Live;
    match stripe.peek().await {
        Ok(Some(payment)) if payment.live != live => {
            Err("the gateway's payments are of the other mode, live or test".to_owned())
        }
        Ok(_) if live => Ok("live key: real cards will be charged; nothing was tried".to_owned()),
        Ok(_) => Ok("test key: no real money moves".to_owned()),
        Err(error) => Err(chain(&error)),
    }
}

/// A run of the trial on a test account.
struct Trial<'a> {
    gateway: &'a Gateway,
    stripe: &'a Stripe,
    /// Part of every key, so that each run starts afresh.
    run: String,
    customer: Option<CustomerId>,
    steps: Vec<Step>,
}

impl Trial<'_> {
    /// Takes the steps until one fails.
    async fn go(&mut self) -> Option<()> {
        let made = self.stripe.make_customer("settings check", &self.key("customer")).await;
        let customer = self.take("a customer can be made", made)?;
        self.customer = Some(customer.clone());

        let good = self.card(&customer, GOOD_CARD).await?;
        let charge = self.charge(&customer, &good, "charge");
        let paid = self.gateway.charge(&charge).await;
        let paid = self.expect("a good card is charged", &paid, |outcome| match outcome {
            ChargeOutcome::Accepted { id } => Some(id.clone()),
            _ => None,
        })?;
        let again = self.gateway.charge(&charge).await;
        self.expect("the same key charges nothing again", &again, |outcome| {
            (*outcome == ChargeOutcome::Accepted { id: paid.clone() }).then_some(())
        })?;

        let declined = self.card(&customer, DECLINED_CARD).await?;
        let outcome = self.gateway.charge(&self.charge(&customer, &declined, "declined")).await;
        self.expect("a declined card is told apart", &outcome, |outcome| {
            matches!(outcome, ChargeOutcome::Declined { id: _, code: _ }).then_some(())
        })?;
        let strict = self.card(&customer, AUTHENTICATION_CARD).await?;
        let outcome = self.gateway.charge(&self.charge(&customer, &strict, "strict")).await;
        self.expect("a demand for authentication is told apart", &outcome, |outcome| {
            matches!(outcome, ChargeOutcome::AuthenticationRequired { id: _ }).then_some(())
        })?;

        let found = self.gateway.retrieve(&paid).await;
        let found =
            self.take("the payment can be read", found.map(|payment| payment.map(|p| p.created)))?;
        let since = found.unwrap_or(Timestamp::EPOCH);
        let found = self.gateway.find(&customer, &charge.key, since).await;
        self.expect("the payment is found by its key", &found, |payment| {
            payment.as_ref().is_some_and(|payment| payment.id == paid).then_some(())
        })?;

        let refund =
            Refund { key: self.key("refund"), payment: paid, amount: AMOUNT, account: account() };
        let outcome = self.gateway.refund(&refund).await;
        self.expect("the money is given back", &outcome, |outcome| match outcome {
            RefundOutcome::Accepted { id: _ } | RefundOutcome::Pending { id: _ } => Some(()),
            _ => None,
        })
    }

    async fn clean_up(&mut self) {
        if let Some(customer) = self.customer.take() {
            let removed = self.stripe.remove_customer(&customer).await;
            self.take("the customer is removed", removed.map(|()| customer));
        }
    }

    async fn card(&mut self, customer: &CustomerId, card: &str) -> Option<PaymentMethodId> {
        let token: PaymentMethodId = card.parse().expect("test cards have plain names");
        let attached = self.stripe.attach(&token, customer, &self.key(card)).await;
        self.take("a test card can be attached", attached)
    }

    fn charge(
        &self,
        customer: &CustomerId,
        payment_method: &PaymentMethodId,
        name: &str,
    ) -> Charge {
        Charge {
            key: self.key(name),
            customer: customer.clone(),
            payment_method: payment_method.clone(),
            amount: AMOUNT,
            account: account(),
            month: Timestamp::EPOCH.month(),
            attempt: 1,
            invoice: "settings check".to_owned(),
        }
    }

    fn key(&self, name: &str) -> String {
        format!("verify/{}/{name}", self.run)
    }

    fn take<T: fmt::Debug>(
        &mut self,
        name: &'static str,
        result: Result<T, PaymentError>,
    ) -> Option<T> {
        let text = result.as_ref().map(|found| format!("{found:?}")).map_err(chain);
        self.steps.push(step(name, text));
        result.ok()
    }

    fn expect<T: fmt::Debug, U>(
        &mut self,
        name: &'static str,
        result: &Result<T, PaymentError>,
        is: impl FnOnce(&T) -> Option<U>,
    ) -> Option<U> {
        let (text, found) = match result {
            Ok(found) => {
                let good = is(found);
                let text = format!("{found:?}");
                (if good.is_some() { Ok(text) } else { Err(format!("found {text}")) }, good)
            }
            Err(error) => (Err(chain(error)), None),
        };
        self.steps.push(step(name, text));
        found
    }
}

fn account() -> AccountId {
    AccountId::new(Timestamp::EPOCH, [0; 10])
}

fn run_name() -> String {
    let mut random = [0; 8];
    getrandom::fill(&mut random).expect("the system has random bytes");
    hex(&random)
}

fn chain(error: &PaymentError) -> String {
    use std::error::Error;
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
