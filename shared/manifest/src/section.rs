//! Walks the spanned tree of a TOML file table by table, key by key.

use std::fmt::Display;
use std::ops::RangeInclusive;

use toml::de::{DeTable, DeValue};
use values::{Rate, Span};

use crate::read::{Item, Reader, cut};

/// One table of the file, read key by key; what nobody asked for is reported by `close`.
pub(crate) struct Section<'t> {
    title: String,
    offset: usize,
    table: Option<&'t DeTable<'t>>,
    known: Vec<&'static str>,
}

impl<'t> Section<'t> {
    /// The file itself.
    pub(crate) fn root(table: &'t DeTable<'t>) -> Self {
        Self { title: "worker.toml".to_owned(), offset: 0, table: Some(table), known: Vec::new() }
    }

    /// Opens a table, or an empty one when it is absent or (reported) no table.
    pub(crate) fn open(reader: &mut Reader, title: String, item: Option<&'t Item<'t>>) -> Self {
        let offset = item.map_or(0, |item| item.span().start);
        let table = item.and_then(|item| item.get_ref().as_table());
        if let (Some(item), None) = (item, table) {
            let message = format!("{title} {}", kind(item.get_ref()));
            reader.problem(offset, message, format!("write a table, {title}"));
        }
        Self { title, offset, table, known: Vec::new() }
    }

    /// The offset of the table's head.
    pub(crate) fn offset(&self) -> usize {
        self.offset
    }

    /// How messages call the table, such as `[sources.api]`.
    pub(crate) fn title(&self) -> &str {
        &self.title
    }

    /// The value of a key; the key is known from now on.
    pub(crate) fn item(&mut self, key: &'static str) -> Option<&'t Item<'t>> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        self.table.and_then(|table| table.get(key))
    }

    /// All entries of a table whose keys are free, with the offset of each key.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&'t str, usize, &'t Item<'t>)> + use<'t> {
        self.table.into_iter().flat_map(|table| {
            table.iter().map(|(key, item)| (key.get_ref().as_ref(), key.span().start, item))
        })
    }

    /// Reads a key; `take` says what is wrong with its value, `right` what would be right.
    pub(crate) fn read<T>(
        &mut self,
        reader: &mut Reader,
        key: &'static str,
        right: impl Display,
        take: impl FnOnce(&'t DeValue<'t>) -> Result<T, String>,
    ) -> Option<T> {
        let item = self.item(key)?;
        match take(item.get_ref()) {
            Ok(value) => Some(value),
            Err(what) => {
                let message = format!("`{key}` in {} {what}", self.title);
                reader.problem(item.span().start, message, format!("write {right}"));
                None
            }
        }
    }

    /// Reads a whole number within a range.
    pub(crate) fn number<T: TryFrom<u64>>(
        &mut self,
        reader: &mut Reader,
        key: &'static str,
        range: RangeInclusive<u64>,
    ) -> Option<T> {
        let right = format!("a whole number from {} to {}", range.start(), range.end());
        self.read(reader, key, right, |value| {
            let number = whole(value)?;
            u64::try_from(number)
                .ok()
                .filter(|number| range.contains(number))
                .and_then(|number| T::try_from(number).ok())
                .ok_or_else(|| format!("is {number}"))
        })
    }

    /// Reads a duration within a range.
    pub(crate) fn span(
        &mut self,
        reader: &mut Reader,
        key: &'static str,
        range: RangeInclusive<Span>,
    ) -> Option<Span> {
        let right = format!(
            "a number and a unit in quotes, such as \"30s\", \"5m\" or \"7d\", from {} to {}",
            range.start(),
            range.end()
        );
        self.read(reader, key, right, |value| {
            if let DeValue::Integer(number) = value {
                return Err(format!("is {}, without a unit", cut(number.as_str())));
            }
            let text = text(value)?;
            text.parse()
                .ok()
                .filter(|span| range.contains(span))
                .ok_or_else(|| format!("is \"{}\"", cut(text)))
        })
    }

    /// Reads a rate, such as `"100/1m"`.
    pub(crate) fn rate(&mut self, reader: &mut Reader, key: &'static str) -> Option<Rate> {
        let right =
            "tasks per time in quotes, such as \"100/1m\": 1 to 1000000 tasks, per 1s to 1d";
        self.read(reader, key, right, |value| {
            let text = text(value)?;
            text.parse().map_err(|_| format!("is \"{}\"", cut(text)))
        })
    }

    /// Reads the most tasks that may run at a time.
    pub(crate) fn max_concurrency(&mut self, reader: &mut Reader) -> Option<u32> {
        self.number(reader, "max_concurrency", 1..=100_000)
    }

    /// Reports a key that must be there, unless a syntax error may have swallowed it.
    pub(crate) fn missing(&self, reader: &mut Reader, key: &str, hint: &str) {
        if reader.is_whole() {
            let message = format!("{} has no `{key}`", self.title);
            reader.problem(self.offset, message, hint.to_owned());
        }
    }

    /// Reports every key that no one asked for.
    pub(crate) fn close(self, reader: &mut Reader) {
        for (key, offset, _) in self.entries() {
            if self.known.contains(&key) {
                continue;
            }
            let hint = reader
                .suggest(key, self.known.iter().copied())
                .unwrap_or_else(|| format!("known keys: {}", self.known.join(", ")));
            let message = format!("unknown key `{}` in {}", cut(key), self.title);
            reader.problem(offset, message, hint);
        }
    }
}

/// Takes a text, or says what was found instead.
pub(crate) fn text<'t>(value: &'t DeValue<'t>) -> Result<&'t str, String> {
    value.as_str().ok_or_else(|| kind(value).to_owned())
}

/// Takes `true` or `false`, or says what was found instead.
pub(crate) fn flag(value: &DeValue<'_>) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| kind(value).to_owned())
}

/// Takes a list, or says what was found instead.
pub(crate) fn list<'t>(value: &'t DeValue<'t>) -> Result<&'t [Item<'t>], String> {
    let array = value.as_array().ok_or_else(|| kind(value).to_owned())?;
    Ok(array)
}

/// Takes a whole number of 64 bits, or says what was found instead.
pub(crate) fn whole(value: &DeValue<'_>) -> Result<i64, String> {
    let number = value.as_integer().ok_or_else(|| kind(value).to_owned())?;
    i64::from_str_radix(number.as_str(), number.radix())
        .map_err(|_| format!("is {}, more than 64 bits hold", cut(number.as_str())))
}

/// Says of which kind a value is.
pub(crate) fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "is a text",
        DeValue::Integer(_) => "is a whole number",
        DeValue::Float(_) => "is a number with a fraction",
        DeValue::Boolean(_) => "is true or false",
        DeValue::Datetime(_) => "is a date",
        DeValue::Array(_) => "is a list",
        DeValue::Table(_) => "is a table",
    }
}
