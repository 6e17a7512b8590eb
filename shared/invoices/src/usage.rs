//! What the month used: the account against its plans, then project by project.

use billing::{Metered, Metric, format};

use crate::flow::Flow;
use crate::style::{BODY, QUIET, STRONG};
use crate::table::{Entry, Table};
use crate::text::Cleaner;
use crate::{UsageReport, money};

/// Places the tables of a report; `period` is written in their titles.
pub(crate) fn place(flow: &mut Flow, cleaner: &mut Cleaner, report: &UsageReport, period: &str) {
    let UsageReport { used, included, projects } = report;
    let rows = Metric::ALL.iter().map(|&metric| {
        let mut row = vec![one(name(metric), BODY), one(figure(used, metric), BODY)];
        if let Some(included) = included {
            row.push(one(figure(included, metric), BODY));
            row.push(one(share(used.of(metric), included.of(metric)), QUIET));
        }
        row
    });
    let heads: &[&str] = match included {
        Some(_) => &["Measure", "Used", "Included", "Share used"],
        None => &["Measure", "Used"],
    };
    let title = format!("Usage, {period}");
    let rows = rows.collect();
    Table { title: Some(&title), heads, rows, keep: 0.0 }.place(flow, cleaner);
    if projects.is_empty() {
        return;
    }
    let rows = projects.iter().map(|project| {
        let figures = Metric::ALL.iter().map(|&metric| one(figure(&project.used, metric), BODY));
        let name = if project.name.trim().is_empty() { "(no name)" } else { &project.name };
        [one(name.to_owned(), BODY)].into_iter().chain(figures).collect()
    });
    let title = format!("Usage by project, {period}");
    let mut rows: Vec<Vec<Entry>> = rows.collect();
    let sums = Metric::ALL.iter().map(|&metric| one(figure(used, metric), STRONG));
    rows.push([one("Account".to_owned(), STRONG)].into_iter().chain(sums).collect());
    let heads = &["Project", "Bandwidth", "Storage", "Peer minutes"];
    Table { title: Some(&title), heads, rows, keep: 0.0 }.place(flow, cleaner);
}

fn one(text: String, style: crate::style::Style) -> Entry {
    vec![(text, style)]
}

fn name(metric: Metric) -> String {
    let name = match metric {
        Metric::Bandwidth => "Bandwidth",
        Metric::Storage => "Storage",
        Metric::PeerTime => "Peer minutes",
    };
    name.to_owned()
}

fn figure(metered: &Metered, metric: Metric) -> String {
    match metric {
        Metric::Bandwidth | Metric::Storage => format::bytes(metered.of(metric)),
        Metric::PeerTime => match format::minutes(metered.of(metric)) {
            none if none.is_empty() => "0".to_owned(),
            minutes => minutes,
        },
    }
}

/// The share of what is included, rounded down; above it the plain truth.
fn share(used: u64, included: u64) -> String {
    let percent = (u128::from(used) * 100).checked_div(included.into());
    let percent = percent.map(|percent| u64::try_from(percent).unwrap_or(u64::MAX));
    percent.map_or_else(String::new, |percent| format!("{}%", money::count(percent)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_shares() {
        assert_eq!(share(1, 0), "");
        assert_eq!(share(99, 100), "99%");
        assert_eq!(share(199_999, 10_000), "1,999%");
        assert_eq!(share(u64::MAX, 1), "18,446,744,073,709,551,615%");
    }
}
