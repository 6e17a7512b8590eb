//! A month of a company with fifty customers, from what was streamed to what was paid.

mod cast;
mod clock;
mod recordings;

use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use billing::{AccountPlans, Catalogue, Metric, Product};
use database::{Db, DbError, Tx};
use edge_logs::sample::{FileKind, SampleStream, SampleView, write_views};
use flate2::Compression;
use flate2::write::GzEncoder;
use models::billing::{BillingDetails, PaymentCard, set_card, set_customer, set_details};
use models::{Account, Project, Stream, accounts, plans, projects, streams};
use payments::scripted::ScriptedGateway;
use serde_json::json;
use values::{AccountId, Currency, Month, ProjectId, Span, StreamId, Timestamp};

use super::DemoFolder;
use crate::app::BUILT_IN_MANIFEST;

pub use cast::{ACCOUNTS, Customer, Payer};
pub use clock::MonthClock;
pub use recordings::record;

/// Name of the log source.
pub const LOG_SOURCE: &str = "cloudfront";
/// Where the mails go, below the demonstration's folder.
pub const MAILS: &str = "mails";
/// Where recordings are kept, below the demonstration's folder.
pub const RECORDINGS: &str = "recordings";
/// The instance all streams live on.
const INSTANCE: &str = "cines";
/// Customers who came before the month came so many days before it.
const DAYS_BEFORE: u32 = 200;

/// A customer with what it owns.
#[derive(Debug, Clone)]
pub struct Member {
    /// Who it is.
    pub customer: Customer,
    /// Its account.
    pub account: AccountId,
    /// Its project.
    pub project: ProjectId,
    /// The project's public key.
    pub public_key: String,
    /// The name of its stream.
    pub stream: String,
    /// When it came.
    pub created_at: Timestamp,
    /// What its viewers download in the month, in bytes.
    pub bytes: u64,
}

/// Invents the customers of a month.
pub fn members(month: Month) -> Result<Vec<Member>> {
    let catalogue = Catalogue::built_in();
    cast::cast()
        .into_iter()
        .zip(0_u16..)
        .map(|(customer, number)| {
            let created_at = match customer.came_on {
                Some(day) => month.start().after(Span::from_days(day - 1)),
                None => month.start().before(Span::from_days(DAYS_BEFORE + u32::from(number))),
            };
            let provider = customer.provider();
            let plan =
                catalogue.plan(provider.as_str(), Product::Broadcast, customer.plan, month)?;
            let bytes = plan.limits.of(Metric::Bandwidth) / 1_000 * customer.per_mille;
            let random = random(number);
            Ok(Member {
                account: AccountId::new(created_at, random),
                project: ProjectId::new(created_at, random),
                public_key: format!("{number:04x}{}", "5eed".repeat(7)),
                stream: format!("show{number:02}"),
                created_at,
                bytes,
                customer,
            })
        })
        .collect()
}

/// Ten bytes that differ for each number.
fn random(number: u16) -> [u8; 10] {
    let mixed = (u64::from(number) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut bytes = [b'm'; 10];
    bytes[2..].copy_from_slice(&mixed.to_be_bytes());
    bytes
}

/// Stores the customers with their plans, addresses and cards.
pub async fn store(db: &Db, gateway: &ScriptedGateway, members: &[Member]) -> Result<(), DbError> {
    let mut work = db.begin().await?;
    let tx = &mut work.tx();
    let rows: Vec<Account> = members.iter().map(account).collect();
    accounts::upsert_many(tx, &rows).await?;
    let rows: Vec<Project> = members.iter().map(project).collect();
    projects::upsert_many(tx, &rows).await?;
    let rows: Vec<Stream> = members.iter().map(stream).collect();
    streams::upsert_many(tx, &rows).await?;
    for member in members {
        let held =
            AccountPlans { broadcast: vec![member.customer.plan.to_owned()], peer: Vec::new() };
        plans::change(tx, member.account, member.created_at, &held, "sign_up").await?;
        store_payer(tx, gateway, member).await?;
    }
    work.commit().await
}

fn account(member: &Member) -> Account {
    Account {
        id: member.account,
        name: member.customer.name.clone(),
        billing_email: Some(format!("bills@{}.customer.example", member.stream)),
        billing_provider: member.customer.provider(),
        unthrottleable: false,
        throttled_at: None,
        throttled_reason: None,
        created_at: member.created_at,
        updated_at: member.created_at,
        deleted_at: None,
    }
}

fn project(member: &Member) -> Project {
    Project {
        id: member.project,
        account_id: member.account,
        name: format!("{}, live", member.customer.name),
        public_key: member.public_key.clone(),
        created_at: member.created_at,
        updated_at: member.created_at,
        deleted_at: None,
    }
}

fn stream(member: &Member) -> Stream {
    Stream {
        id: StreamId::from_bytes(*member.project.as_bytes()),
        project_id: Some(member.project),
        name: member.stream.clone(),
        instance_name: INSTANCE.to_owned(),
        record: true,
        assigned_at: Some(member.created_at),
        created_at: member.created_at,
        updated_at: member.created_at,
        deleted_at: None,
    }
}

async fn store_payer(
    tx: &mut Tx<'_>,
    gateway: &ScriptedGateway,
    member: &Member,
) -> Result<(), DbError> {
    let details = BillingDetails {
        currency: Currency::USD,
        legal_name: Some(member.customer.name.clone()),
        address: Some(format!("{} Harbour Road\n20457 Anytown", member.stream.len() + 7)),
        country: Some(member.customer.country.to_owned()),
        tax_id: None,
        po_number: None,
        copy_addresses: Vec::new(),
    };
    set_details(tx, member.account, &details, member.created_at).await?;
    let Payer::Card(behaves) = member.customer.payer else { return Ok(()) };
    let customer = gateway.add_customer();
    let card = gateway.add_card(&customer, behaves);
    set_customer(tx, member.account, customer.as_str(), member.created_at).await?;
    let card = PaymentCard {
        id: card.to_string(),
        brand: "visa".to_owned(),
        last4: "4242".to_owned(),
        valid_through: Month::new(2099, 1).expect("a month"),
        created_at: member.created_at,
        deleted_at: None,
    };
    set_card(tx, member.account, &card).await
}

/// Writes one file of edge logs for each day of the month; returns their keys and the bytes of all
/// downloads.
pub fn write_logs(
    folder: &mut DemoFolder,
    month: Month,
    members: &[Member],
) -> Result<(Vec<String>, u64)> {
    let (mut keys, mut bytes) = (Vec::new(), 0);
    for day in 0..month.days() {
        let from = month.start().after(Span::from_days(day));
        let until = from.after(Span::from_days(1));
        let views: Vec<SampleView<'_>> = members
            .iter()
            .filter(|member| member.created_at < until)
            .zip(0_u32..)
            .filter_map(|(member, number)| {
                let first = member.created_at.max(month.start());
                let day_of = |at: Timestamp| at.since(month.start()).as_micros() / 86_400_000_000;
                let left = u64::try_from(i64::from(month.days()) - day_of(first)).ok()?;
                let share = member.bytes / left.max(1);
                let rest = if day + 1 == month.days() { member.bytes % left.max(1) } else { 0 };
                let at = from.after(Span::from_seconds(3_600 + number * 60));
                let stream = SampleStream {
                    instance: INSTANCE,
                    name: &member.stream,
                    public_key: &member.public_key,
                };
                Some(SampleView { stream, at, bytes: share + rest })
            })
            .collect();
        bytes += views.iter().map(|view| view.bytes).sum::<u64>();
        let key = FileKind::CloudFrontHls.key(from, day);
        let path: PathBuf =
            [Path::new("logs"), Path::new(LOG_SOURCE), Path::new(&key)].iter().collect();
        let file = BufWriter::new(folder.create(&path)?);
        let mut encoder = GzEncoder::new(file, Compression::fast());
        write_views(&views, day.into(), &mut encoder)?;
        let written = encoder.finish().and_then(|mut file| file.flush());
        written.with_context(|| format!("cannot write {}", path.display()))?;
        keys.push(key);
    }
    Ok((keys, bytes))
}

/// The manifest of the month: the built-in one, and what the company sets.
pub fn manifest(folder: &Path, month: Month) -> String {
    let quoted = |path: PathBuf| toml::Value::String(path.display().to_string()).to_string();
    let shipped = BUILT_IN_MANIFEST.replacen(
        "[worker]\n",
        "[worker]\nconfiguration_file = \"configuration.json\"\n",
        1,
    );
    format!(
        "# Made by `main-worker demo --month`; go on from here as you like.\n#\n{shipped}\n\
         [domains.logs.log_sources.{LOG_SOURCE}]\nformat = \"cloudfront\"\n\
         location = \"logs/{LOG_SOURCE}\"\n\n\
         [domains.archival]\nstore = {store}\nfolders = [{media}]\n\n\
         [domains.billing]\nfirst_month = \"{month}\"\n\
         tax_basis_points = {{ DE = 1900, FR = 2000 }}\n\n\
         [domains.billing.issuer]\nlegal_name = \"Example Streaming GmbH\"\n\
         address = [\"Hafenstrasse 1\", \"20457 Hamburg\", \"Germany\"]\n\
         identifiers = {{ \"VAT ID\" = \"DE000000000\" }}\ncontact = [\"bills@example.com\"]\n\n\
         [domains.emails]\nfolder = {mails}\nallowed_domains = [\"customer.example\", \"example.com\"]\n\
         admins = [\"ops@example.com\"]\n",
        store = quoted(folder.join(RECORDINGS)),
        media = quoted(folder.join("media")),
        mails = quoted(folder.join(MAILS)),
    )
}

/// The configuration of the demonstration's jobs: a gateway that lives as long as it.
pub fn configuration(gateway: &ScriptedGateway) -> String {
    let settings = gateway.settings();
    let payments = json!({
        "secretKey": settings.secret_key.expose(),
        "endpoint": settings.endpoint,
        "ratePerSecond": settings.rate_per_second,
    });
    format!("{:#}\n", json!({ "payments": payments }))
}

#[cfg(test)]
mod tests {
    use manifest::Manifest;

    use super::*;

    #[test]
    fn the_manifest_is_right() {
        let names = contract::contract().names();
        let text = super::manifest(Path::new("/demo folder/\"x\""), Month::new(2026, 10).unwrap());
        let manifest = Manifest::parse(&text, &names).unwrap();
        assert_eq!(manifest.worker.configuration_file.as_deref(), Some("configuration.json"));
        let job: values::JobName = "archival/archive_recording".parse().unwrap();
        assert_eq!(manifest.jobs[&job].settings["store"], "/demo folder/\"x\"/recordings");
    }

    #[test]
    fn the_logs_of_a_month_hold_what_the_customers_are_to_have_used() {
        let place = tempfile::tempdir().unwrap();
        let mut folder = DemoFolder::prepare(&place.path().join("demo"), false).unwrap();
        let month = Month::new(2026, 2).unwrap();
        let members = members(month).unwrap();
        let (keys, bytes) = write_logs(&mut folder, month, &members).unwrap();
        assert_eq!(keys.len(), 28);
        assert_eq!(bytes, members.iter().map(|member| member.bytes).sum::<u64>());
    }
}
