//! Customers and their cards.

use serde_json::{Value, json};
use values::Month;

use super::answer::Refusal;
use super::book::{Book, Done, page};
use super::cards::TestCard;
use super::request::Parameters;
use crate::PaymentMethodId;

/// Months for which a new card is valid.
const VALID_MONTHS: i64 = 36;

#[derive(Debug)]
pub(super) struct Customer {
    name: String,
}

#[derive(Debug, Clone)]
pub(super) struct Method {
    id: String,
    pub(super) card: TestCard,
    pub(super) customer: Option<String>,
    pub(super) valid_through: Month,
    created: i64,
}

impl Method {
    fn show(&self) -> Value {
        let through = self.valid_through.to_string();
        let (year, month) = through.split_once('-').expect("a month is written as year-month");
        let number = |text: &str| text.parse::<u32>().expect("a month consists of numbers");
        json!({
            "id": self.id, "object": "payment_method", "type": "card", "customer": self.customer,
            "created": self.created, "livemode": false, "metadata": {},
            "card": {
                "brand": "visa", "last4": "4242", "funding": "credit", "country": "US",
                "exp_month": number(month), "exp_year": number(year),
            },
        })
    }
}

impl Book {
    pub(super) fn add_customer(&mut self, name: &str) -> String {
        let id = self.new_id("cus");
        self.customers.insert(id.clone(), Customer { name: name.to_owned() });
        id
    }

    pub(super) fn add_method(&mut self, customer: Option<&str>, card: TestCard) -> String {
        let id = self.new_id("pm");
        let now = self.now();
        let last = Month::from_index(now.month().index() + VALID_MONTHS);
        let method = Method {
            id: id.clone(),
            card,
            customer: customer.map(str::to_owned),
            valid_through: last.expect("the gateway is not run at the end of time"),
            created: now.as_seconds(),
        };
        self.methods.insert(id.clone(), method);
        id
    }

    pub(super) fn method_mut(&mut self, id: &PaymentMethodId) -> &mut Method {
        self.methods.get_mut(id.as_str()).unwrap_or_else(|| panic!("there is no card {id}"))
    }

    pub(super) fn create_customer(&mut self, parameters: &Parameters) -> Done {
        parameters.only(&["name", "email", "description"])?;
        let id = self.add_customer(parameters.get("name").unwrap_or_default());
        self.show_customer(&id)
    }

    pub(super) fn show_customer(&self, id: &str) -> Done {
        let customer = self.customers.get(id).ok_or_else(|| Refusal::missing("id"))?;
        Ok(json!({ "id": id, "object": "customer", "name": customer.name, "livemode": false }))
    }

    pub(super) fn delete_customer(&mut self, id: &str) -> Done {
        self.customers.remove(id).ok_or_else(|| Refusal::missing("id"))?;
        self.methods.retain(|_, method| method.customer.as_deref() != Some(id));
        Ok(json!({ "id": id, "object": "customer", "deleted": true }))
    }

    pub(super) fn list_methods(&self, parameters: &Parameters) -> Done {
        parameters.only(&["customer", "type", "limit", "starting_after"])?;
        let customer = parameters.required("customer")?;
        if !self.customers.contains_key(customer) {
            return Err(Refusal::missing("customer"));
        }
        let theirs = |method: &&Method| method.customer.as_deref() == Some(customer);
        let methods: Vec<&Method> = self.methods.values().rev().filter(theirs).collect();
        page(
            &methods,
            "/v1/payment_methods",
            parameters,
            |method| &method.id,
            |method| method.show(),
        )
    }

    pub(super) fn show_method(&self, id: &str) -> Done {
        self.methods.get(id).map(Method::show).ok_or_else(|| Refusal::missing("id"))
    }

    /// Attaches a card, or a new one like the test card of that name.
    pub(super) fn attach_method(&mut self, id: &str, parameters: &Parameters) -> Done {
        parameters.only(&["customer"])?;
        let customer = parameters.required("customer")?.to_owned();
        if !self.customers.contains_key(&customer) {
            return Err(Refusal::missing("customer"));
        }
        if let Some((card, attaches)) = TestCard::named(id) {
            if !attaches {
                let error = json!({
                    "type": "card_error", "code": "card_declined",
                    "decline_code": card.refusal().map(|(_, reason)| reason),
                    "message": "Your card was declined.",
                });
                return Err(Refusal::card(&error, Value::Null));
            }
            let id = self.add_method(Some(&customer), card);
            return self.show_method(&id);
        }
        let method = self.methods.get_mut(id).ok_or_else(|| Refusal::missing("id"))?;
        if method.customer.as_ref().is_some_and(|owner| *owner != customer) {
            return Err(Refusal::state("payment_method_unexpected_state"));
        }
        method.customer = Some(customer);
        let shown = method.show();
        self.emit("payment_method.attached", &shown);
        Ok(shown)
    }

    pub(super) fn detach_method(&mut self, id: &str) -> Done {
        let method = self.methods.get_mut(id).ok_or_else(|| Refusal::missing("id"))?;
        method.customer = None;
        let shown = method.show();
        self.emit("payment_method.detached", &shown);
        Ok(shown)
    }
}
