//! Lists of rows as JSON arguments, so that one statement serves any number of them.

/// A list of numbers as JSON, to be read by `json_each`.
pub(super) fn numbers(list: impl IntoIterator<Item = i64>) -> String {
    let mut text = String::from("[");
    for (at, number) in list.into_iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        text.push_str(&number.to_string());
    }
    text.push(']');
    text
}

/// Pairs of numbers as JSON, to be read by `json_each`.
pub(super) fn pairs(list: &[(i64, i64)]) -> String {
    serde_json::to_string(list).expect("numbers are JSON")
}
