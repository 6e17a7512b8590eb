//! TOML values as the JSON that settings and payloads are made of.

use serde_json::{Map, Number, Value};
use toml::de::{DeTable, DeValue};

use crate::read::{Item, Reader, cut};
use crate::section::whole;

/// The deepest nesting of settings and payloads.
const DEEPEST: usize = 32;

/// Turns a table into a JSON object; `title` is how messages call it.
pub(crate) fn object(reader: &mut Reader, title: &str, table: &DeTable<'_>) -> Map<String, Value> {
    members(reader, title, table, DEEPEST)
}

fn members(
    reader: &mut Reader,
    title: &str,
    table: &DeTable<'_>,
    deeper: usize,
) -> Map<String, Value> {
    table
        .iter()
        .map(|(key, item)| {
            let key: &str = key.get_ref();
            (key.to_owned(), value(reader, title, item, deeper))
        })
        .collect()
}

fn value(reader: &mut Reader, title: &str, item: &Item<'_>, deeper: usize) -> Value {
    let offset = item.span().start;
    let Some(deeper) = deeper.checked_sub(1) else {
        let message = format!("{title} nests too deep");
        reader.problem(offset, message, format!("write at most {DEEPEST} levels"));
        return Value::Null;
    };
    match item.get_ref() {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Boolean(flag) => Value::Bool(*flag),
        // JSON has no dates; the text is what a payload's own types read.
        DeValue::Datetime(at) => Value::String(at.to_string()),
        DeValue::Integer(_) => match whole(item.get_ref()) {
            Ok(number) => number.into(),
            Err(what) => {
                let message = format!("a number in {title} {what}");
                reader.problem(offset, message, "write a smaller one".to_owned());
                Value::Null
            }
        },
        DeValue::Float(number) => {
            let parsed = number.as_str().parse().ok().and_then(Number::from_f64);
            parsed.map_or_else(
                || {
                    let message = format!("a number in {title} is {}", cut(number.as_str()));
                    reader.problem(offset, message, "write a finite number".to_owned());
                    Value::Null
                },
                Value::Number,
            )
        }
        DeValue::Array(items) => {
            items.iter().map(|item| value(reader, title, item, deeper)).collect()
        }
        DeValue::Table(table) => Value::Object(members(reader, title, table, deeper)),
    }
}
