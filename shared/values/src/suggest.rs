//! "Did you mean": the nearest of the words that would have been right.

/// Finds the candidate nearest to `word` by edit distance, if it is near enough to be a slip.
///
/// Distance is Damerau's (optimal string alignment) over characters; at most a third of the
/// longer word may differ. Of several equally near ones the first is taken.
pub fn did_you_mean<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    const LONGEST: usize = 100;
    if word.chars().count() > LONGEST {
        return None;
    }
    candidates
        .into_iter()
        .filter(|candidate| candidate.chars().count() <= LONGEST)
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(d, c)| *d * 3 <= word.chars().count().max(c.chars().count()))
        .min_by_key(|(d, _)| *d)
        .map(|(_, candidate)| candidate)
}

fn distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.to_lowercase().chars().collect();
    let right: Vec<char> = right.to_lowercase().chars().collect();
    let mut rows = vec![vec![0; right.len() + 1]; left.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    for (j, cell) in rows[0].iter_mut().enumerate() {
        *cell = j;
    }
    for i in 1..=left.len() {
        for j in 1..=right.len() {
            let cost = usize::from(left[i - 1] != right[j - 1]);
            let mut best =
                (rows[i - 1][j] + 1).min(rows[i][j - 1] + 1).min(rows[i - 1][j - 1] + cost);
            let swapped =
                i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1];
            if swapped {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[left.len()][right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_slips_and_nothing_far_away() {
        let jobs = ["logs/process_log", "usage/roll_up_usage", "logs/discover_logs"];
        let check = |word, expected| assert_eq!(did_you_mean(word, jobs), expected, "{word}");
        check("logs/proces_log", Some("logs/process_log"));
        check("usage/rollup_usage", Some("usage/roll_up_usage"));
        check("logs/discvoer_logs", Some("logs/discover_logs"));
        check("billing/close_month", None);
    }
}
