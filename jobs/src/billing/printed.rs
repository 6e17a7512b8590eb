//! What a document shows, on paper and in its mail, from rows that do not change any more.

use billing::{LineKind, Product, RecordState};
use database::{Db, DbError};
use invoices::{
    Customer, Figures, Invoice, Kind, Labelled, Line, MAX_FIELD_CHARS, MAX_SHORT_LIST, Payment,
    Tax, UsageReport,
};
use job::JobError;
use mail::{BroadcastUse, CardName, Message, MonthlyInvoice, Paid, PeerUse, PlanPrice};
use models::billing::{self as money, Attempt, BillingRecord, Document, DocumentKind, PaymentCard};
use models::{Account, accounts};
use values::Timestamp;

use super::settings::Settings;

/// A document with everything it shows.
#[derive(Debug)]
pub(crate) struct Printed {
    pub(crate) account: Account,
    pub(crate) document: Document,
    record: BillingRecord,
    usage: billing::Usage,
    /// The attempt that took the money, and the card it took it from.
    paid: Option<(Attempt, Option<PaymentCard>)>,
    /// When the invoice was issued that a credit note takes back.
    refers_to: Option<(String, Timestamp)>,
}

impl Printed {
    /// Reads a document; `None` if there is none with that number.
    pub(crate) async fn read(db: &Db, number: &str) -> Result<Option<Self>, DbError> {
        let Some(document) = money::by_number(db, number).await? else { return Ok(None) };
        let (id, month) = (document.account, document.month);
        let Some(account) = accounts::get(db, id).await? else { return Ok(None) };
        let Some(record) = money::record(db, id, month).await? else { return Ok(None) };
        let frozen = money::frozen_usage(db, &[id], month).await?;
        let paid = match money::accepted_attempt(db, id, month).await? {
            None => None,
            Some(attempt) => {
                let card = match &attempt.card {
                    Some(card) => money::card(db, card).await?,
                    None => None,
                };
                Some((attempt, card))
            }
        };
        let refers_to = match &document.refers_to {
            None => None,
            Some(number) => money::by_number(db, number).await?.map(|of| (of.number, of.issued_at)),
        };
        let usage = frozen.get(&id).copied().unwrap_or_default();
        Ok(Some(Self { account, document, record, usage, paid, refers_to }))
    }

    /// What is printed.
    pub(crate) fn invoice(&self, settings: &Settings) -> Result<Invoice, JobError> {
        let Self { account, document, record: _, usage: _, paid, refers_to } = self;
        let is_invoice = document.kind == DocumentKind::Invoice;
        let kind = match refers_to {
            Some((invoice, issued_at)) if !is_invoice => {
                Kind::CreditNote { invoice: invoice.clone(), invoice_issued_at: *issued_at }
            }
            _ => Kind::Invoice,
        };
        let details = &document.details;
        let mut identifiers = Vec::new();
        identifiers.extend(details.tax_id.as_ref().map(|id| Labelled::new("Tax ID", short(id))));
        let payments = paid.iter().filter(|_| is_invoice).map(|(attempt, card)| Payment {
            at: attempt.created_at,
            method: card.as_ref().map_or_else(|| "Card".to_owned(), method),
            amount_minor: attempt.amount.minor,
        });
        let is_charged = self.record.state == RecordState::Paid;
        Ok(Invoice {
            kind,
            number: document.number.clone(),
            issued_at: document.issued_at,
            due_at: (is_invoice && !is_charged).then_some(document.due_at),
            period: document.month,
            purchase_order: details.po_number.as_deref().map(short),
            customer: Customer {
                legal_name: self.name(),
                address: address(details),
                identifiers,
                account: Some(account.id.to_string()),
            },
            figures: self.figures(settings)?,
            payments: payments.collect(),
            usage: if is_invoice { Some(self.usage_report(settings)?) } else { None },
            notes: settings.issuer.notes.clone(),
        })
    }

    fn usage_report(&self, settings: &Settings) -> Result<UsageReport, JobError> {
        let included = self.holding(settings)?.limits().ok();
        Ok(UsageReport { used: self.usage, included, projects: Vec::new() })
    }

    /// The name in law, or what else names the customer.
    fn name(&self) -> String {
        let names = [self.document.details.legal_name.as_deref(), Some(&*self.account.name)];
        let visible = |name: &&str| name.chars().any(char::is_alphanumeric);
        let name = names.into_iter().flatten().find(visible).map(short);
        name.unwrap_or_else(|| self.account.id.to_string())
    }

    fn figures(&self, settings: &Settings) -> Result<Figures, JobError> {
        let Document { kind, balance, bill, refers_to, reason, .. } = &self.document;
        let tax_name = &settings.issuer.tax_name;
        if *kind == DocumentKind::Invoice {
            return Ok(Figures::of_bill(bill, tax_name)?);
        }
        let rate = bill.lines.iter().find_map(|line| match &line.kind {
            LineKind::Tax { basis_points } => Some(*basis_points),
            LineKind::Plan { .. }
            | LineKind::Proration { .. }
            | LineKind::CarriedOver { month: _ }
            | LineKind::Credit => None,
        });
        let (net, tax) = (balance.net.minor, balance.tax.minor);
        let title = format!("Credit for {}", refers_to.as_deref().unwrap_or("an invoice"));
        let taxed = rate.filter(|_| tax > 0).map(|rate| Tax {
            name: tax_name.clone(),
            rate,
            base_minor: net,
            amount_minor: tax,
        });
        Ok(Figures {
            currency: balance.net.currency,
            lines: vec![Line { detail: reason.as_deref().map(short), ..Line::new(title, net) }],
            taxes: taxed.into_iter().collect(),
            credits: Vec::new(),
            total_minor: balance.gross()?.minor,
        })
    }

    fn holding<'a>(&'a self, settings: &'a Settings) -> Result<billing::Holding<'a>, JobError> {
        let provider = self.account.billing_provider.as_str();
        Ok(settings.catalogue.hold(provider, &self.record.plans, self.document.month)?)
    }

    /// The mail with the invoice; `None` while its charge is declined or under way.
    pub(crate) fn message(&self, settings: &Settings) -> Result<Option<Message>, JobError> {
        let Self { account, document, record, usage, paid, refers_to: _ } = self;
        let by_hand = record.state == RecordState::Pending && record.reason == super::BY_HAND;
        let paid = match (record.state, paid) {
            (RecordState::Paid, Some((_, Some(card)))) => Paid::Card(card_name(card)),
            _ if document.bill.total.minor == 0 => Paid::Nothing {},
            _ if by_hand => Paid::Transfer { due: document.due_at },
            _ => return Ok(None),
        };
        let holding = self.holding(settings)?;
        let limits = holding.limits()?;
        let plans = |product| {
            let price = |plan: &billing::Plan| {
                let price = plan.price(document.details.currency)?;
                Ok(PlanPrice { name: plan.title.clone(), price })
            };
            holding.of(product).map(price).collect::<Result<Vec<_>, billing::BillingError>>()
        };
        let (broadcast, peer) = (plans(Product::Broadcast)?, plans(Product::Peer)?);
        Ok(Some(Message::MonthlyInvoice(Box::new(MonthlyInvoice {
            account: account.name.clone(),
            month: document.month,
            number: document.number.clone(),
            broadcast: (!broadcast.is_empty()).then_some(BroadcastUse {
                plans: broadcast,
                bandwidth_bytes: usage.bandwidth_bytes,
                bandwidth_limit_bytes: limits.bandwidth_bytes,
                storage_bytes: usage.storage_bytes,
                storage_limit_bytes: limits.storage_bytes,
            }),
            peer: (!peer.is_empty()).then_some(PeerUse {
                plans: peer,
                milliseconds: usage.peer_milliseconds,
                limit_milliseconds: limits.peer_milliseconds,
            }),
            prorated: document.bill.prorated,
            net: document.balance.net,
            tax: document.balance.tax,
            total: document.bill.total,
            paid,
        }))))
    }
}

/// A card as its owner recognises it.
pub(crate) fn card_name(card: &PaymentCard) -> CardName {
    CardName::new(&card.brand, &card.last4, card.valid_through)
}

fn method(card: &PaymentCard) -> String {
    let mut brand = card.brand.chars();
    let first = brand.next().into_iter().flat_map(char::to_uppercase);
    format!("{} ending in {}", first.chain(brand).collect::<String>(), card.last4)
}

fn address(details: &money::BillingDetails) -> Vec<String> {
    let lines = details.address.iter().flat_map(|address| address.lines()).map(str::trim);
    let lines = lines.filter(|line| !line.is_empty()).take(MAX_SHORT_LIST - 1);
    // What was stored before countries were checked is printed as it stands.
    let country = details.country.as_deref();
    let country = country.map(|code| billing::country_name(code).unwrap_or(code));
    lines.chain(country).map(short).collect()
}

/// As much of a text as fits a field.
fn short(text: &str) -> String {
    text.chars().take(MAX_FIELD_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_ends_with_the_name_of_the_country() {
        let check = |country: &str, expected: &str| {
            let details = money::BillingDetails {
                address: Some("Hafenstraße 1\n\n 20457 Hamburg".to_owned()),
                country: Some(country.to_owned()),
                ..money::BillingDetails::default()
            };
            assert_eq!(address(&details), ["Hafenstraße 1", "20457 Hamburg", expected]);
        };
        check("DE", "Germany");
        check("GB", "United Kingdom of Great Britain and Northern Ireland");
        // As it was stored before countries were checked.
        check("UK", "UK");
    }
}
