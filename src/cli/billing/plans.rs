//! `main-worker billing plans`: what is sold, as the jobs read it.

use anyhow::Result;
use billing::{Plan, Product, Streams, format};
use serde_json::json;
use values::Month;

use super::of_job;
use super::sheet::Sheet;
use crate::cli::{Exit, Invocation};

/// Prints the plans in the version of a month, the current one when absent.
pub(super) async fn execute(
    invocation: &Invocation,
    month: Option<Month>,
    csv: bool,
) -> Result<Exit> {
    let app = invocation.open().await?;
    let catalogue = jobs::catalogue(&app.manifest).map_err(|error| of_job(&error))?;
    let month = month.unwrap_or_else(|| app.clock.now().month());
    let mut sheet = Sheet::new(&[
        "PROVIDER",
        "PRODUCT",
        "PLAN",
        "TITLE",
        "PRICE",
        "BANDWIDTH",
        "STORAGE",
        "PEER MINUTES",
        "STREAMS",
        "FROM",
        "OFFERED",
    ]);
    let mut list = Vec::new();
    for provider in catalogue.providers() {
        for product in Product::ALL {
            for plan in catalogue.plans(&provider.name, *product, month) {
                sheet.add(row(plan));
                list.push(as_json(plan));
            }
        }
    }
    let json = json!({ "month": month, "plans": list });
    sheet.print(invocation.output, csv, &json, "nothing is sold in that month");
    Ok(Exit::Completed)
}

fn row(plan: &Plan) -> Vec<String> {
    let prices: Vec<String> = plan.prices().map(format::price).collect();
    let size = |bytes| if bytes == 0 { "-".to_owned() } else { format::bytes(bytes) };
    let minutes = Some(format::minutes(plan.limits.peer_milliseconds));
    vec![
        plan.provider.clone(),
        plan.product.to_string(),
        plan.name.clone(),
        plan.title.clone(),
        prices.join(" or "),
        size(plan.limits.bandwidth_bytes),
        size(plan.limits.storage_bytes),
        minutes.filter(|minutes| !minutes.is_empty()).unwrap_or_else(|| "-".to_owned()),
        match plan.streams {
            Streams::UpTo(most) => most.to_string(),
            Streams::Unlimited => "unlimited".to_owned(),
        },
        plan.from.map_or_else(|| "-".to_owned(), |from| from.to_string()),
        if plan.offered { "yes" } else { "no" }.to_owned(),
    ]
}

fn as_json(plan: &Plan) -> serde_json::Value {
    let streams = match plan.streams {
        Streams::UpTo(most) => Some(most),
        Streams::Unlimited => None,
    };
    json!({
        "provider": plan.provider, "product": plan.product.as_str(), "plan": plan.name,
        "title": plan.title, "prices": plan.prices().collect::<Vec<_>>(),
        "bandwidthBytes": plan.limits.bandwidth_bytes, "storageBytes": plan.limits.storage_bytes,
        "peerMilliseconds": plan.limits.peer_milliseconds, "streams": streams,
        "from": plan.from, "offered": plan.offered,
    })
}
