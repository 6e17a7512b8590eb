//! OpenMetrics, as the library writes it, to the older text format that every scraper reads.

use prometheus_client::encoding::text::encode_registry;
use prometheus_client::registry::Registry;

/// Writes a registry in Prometheus' text format 0.0.4.
pub(crate) fn encode(registry: &Registry) -> String {
    let mut text = String::with_capacity(4096);
    encode_registry(&mut text, registry).expect("writing to a string does not fail");
    to_prometheus(&text)
}

/// Gives the family of a counter the name of its samples; the formats differ in nothing else here.
///
/// OpenMetrics describes `tasks` and samples `tasks_total`, the older format wants one name.
fn to_prometheus(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len() + 256);
    let mut lines = open_metrics.lines().peekable();
    while let Some(line) = lines.next() {
        let family = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' '));
        let counter = family.zip(lines.peek().copied()).filter(|((name, _), next)| {
            next.strip_prefix("# TYPE ").and_then(|rest| rest.strip_prefix(name))
                == Some(" counter")
        });
        if let Some(((name, help), _)) = counter {
            lines.next();
            let described = ["# HELP ", name, "_total ", help, "\n# TYPE ", name, "_total counter"];
            text.extend(described);
        } else {
            text.push_str(line);
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_families_of_counters_as_their_samples() {
        let gauge = "# HELP a_b A gauge.\n# TYPE a_b gauge\na_b 1\n";
        let counter = "# HELP c Counts.\n# TYPE c counter\nc_total{x=\"# HELP y\"} 2\n";
        let expected =
            "# HELP c_total Counts.\n# TYPE c_total counter\nc_total{x=\"# HELP y\"} 2\n";
        assert_eq!(to_prometheus(&format!("{gauge}{counter}")), format!("{gauge}{expected}"));
    }
}
