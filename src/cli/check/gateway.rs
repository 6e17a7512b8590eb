//! `main-worker check --payments`: does the payment gateway do what the jobs rely on?

use anyhow::{Context, Result, anyhow};
use contract::billing::{PaymentConfiguration, Payments};
use payments::Step;
use serde_json::json;

use super::{manifest, sections};
use crate::cli::{Exit, Invocation};

/// The section with the gateway's key.
const SECTION: &str = "payments";

pub(super) async fn execute(invocation: &Invocation) -> Result<Exit> {
    let (manifest, _) = manifest(invocation).map_err(|error| error.context(Exit::Settings))?;
    let (sections, _) =
        sections(invocation, &manifest).map_err(|error| error.context(Exit::Settings))?;
    let payments = match sections.get(SECTION) {
        None => None,
        // The parser's own message may quote the value.
        Some(section) => Some(
            serde_json::from_str::<Payments>(section.expose())
                .ok()
                .with_context(|| format!("the section `{SECTION}` needs a secretKey"))
                .map_err(|error| error.context(Exit::Settings))?,
        ),
    };
    let environment = invocation.settings.environment();
    let gateway = jobs::open_gateway(&PaymentConfiguration { payments }, environment)
        .map_err(|error| anyhow!(error).context(Exit::Settings))?;
    let report = payments::verify(&gateway).await;
    let output = invocation.output;
    if output.is_json() {
        let step = |Step { name, result }: &Step| {
            let (Ok(detail) | Err(detail)) = result;
            json!({ "what": name, "ok": result.is_ok(), "detail": detail })
        };
        let steps: Vec<_> = report.steps.iter().map(step).collect();
        output.json(&json!({ "ok": report.passed(), "gateway": report.gateway, "checks": steps }));
    } else {
        for line in report.to_string().lines() {
            output.line(&crate::cli::output::printable(line));
        }
    }
    Ok(if report.passed() { Exit::Completed } else { Exit::Failed })
}
