//! Columns by the names that a `#Fields:` line gives them.

use memchr::{memchr, memchr_iter};

/// Marks a column that nobody asked for; no slot has this number.
const UNUSED: u8 = u8::MAX;

/// Where the needed columns lie in tab-separated lines.
#[derive(Debug)]
pub(crate) struct Columns {
    /// For each column up to the last needed one: its slot, or `UNUSED`.
    slots: Box<[u8]>,
    /// How many columns a line has.
    count: usize,
}

impl Columns {
    /// Reads the names behind `#Fields:`, separated by spaces or tabs in any mixture.
    ///
    /// `needed[i]` goes to slot `i`; the error is the first needed name that is missing.
    pub(crate) fn from_names(names: &[u8], needed: &[&'static str]) -> Result<Self, &'static str> {
        let names: Vec<&[u8]> =
            names.split(u8::is_ascii_whitespace).filter(|name| !name.is_empty()).collect();
        let mut slots = vec![UNUSED; names.len()];
        let mut last = 0;
        for (slot, &column) in (0..UNUSED).zip(needed) {
            let at = names.iter().position(|&name| name == column.as_bytes());
            let at = at.ok_or(column)?;
            slots[at] = slot;
            last = last.max(at);
        }
        slots.truncate(last + 1);
        Ok(Self { slots: slots.into_boxed_slice(), count: names.len() })
    }

    /// Finds the needed values of a line; `None` when it has not as many columns as the header.
    #[inline]
    pub(crate) fn split<'a, const N: usize>(&self, line: &'a [u8]) -> Option<[&'a [u8]; N]> {
        let mut values = [&line[..0]; N];
        let mut rest = line;
        for (column, &slot) in self.slots.iter().enumerate() {
            let end = memchr(b'\t', rest);
            if let Some(value) = values.get_mut(usize::from(slot)) {
                *value = &rest[..end.unwrap_or(rest.len())];
            }
            let Some(end) = end else {
                return (column + 1 == self.count).then_some(values);
            };
            rest = &rest[end + 1..];
        }
        // The needed ones are found, the others only have to be there: a cut-off line lacks some.
        let others = memchr_iter(b'\t', rest).count() + 1;
        (self.slots.len() + others == self.count).then_some(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_values_in_the_order_asked_for() {
        let columns = Columns::from_names(b" a b\tc d\r", &["c", "a"]).unwrap();
        assert_eq!(columns.split(b"1\t2\t3\t4"), Some([&b"3"[..], b"1"]));
        assert_eq!(columns.split(b"1\t\t\t"), Some([&b""[..], b"1"]));
        for line in [&b""[..], b"1", b"1\t2\t3", b"1\t2\t3\t4\t5"] {
            assert_eq!(columns.split::<2>(line), None);
        }
    }

    #[test]
    fn takes_the_last_column_to_the_end_of_the_line() {
        let columns = Columns::from_names(b"a b", &["b"]).unwrap();
        assert_eq!(columns.split(b"1\t22"), Some([&b"22"[..]]));
        assert_eq!(columns.split::<1>(b"1\t22\t"), None);
    }

    #[test]
    fn names_the_missing_column() {
        assert_eq!(Columns::from_names(b"a b", &["b", "z"]).unwrap_err(), "z");
        assert_eq!(Columns::from_names(b"", &["a"]).unwrap_err(), "a");
    }
}
