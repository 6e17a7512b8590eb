//! How figures are written for people: the same everywhere, without wording around them.

use values::{Currency, Money, Month, Span, grouped};

/// Milliseconds of a minute.
const MINUTE: u64 = 60_000;
/// Units of a size with two decimals, largest first.
const UNITS: [(u64, &str); 3] = [(1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB")];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
/// Currencies without minor unit, ISO 4217.
const NO_DECIMALS: [&str; 17] = [
    "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND",
    "VUV", "XAF", "XOF", "XPF",
];
/// Currencies whose minor unit is a thousandth, ISO 4217.
const THREE_DECIMALS: [&str; 7] = ["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"];

/// Writes a size: `1.15 GiB`, `12 KiB`, `155 bytes`, `1 byte`; rounded half up.
pub fn bytes(bytes: u64) -> String {
    if let Some((unit, name)) = UNITS.iter().find(|(unit, _)| bytes >= *unit) {
        return format!("{} {name}", decimal(rounded(bytes, 100, *unit), 2));
    }
    match bytes {
        1 => "1 byte".to_owned(),
        0..1_024 => format!("{} bytes", grouped(bytes.into())),
        _ => format!("{} KiB", grouped(rounded(bytes, 1, 1_024))),
    }
}

/// Writes peer time in minutes: `400.0k` above 1,000 minutes, else `61.25`; nothing for none.
pub fn minutes(milliseconds: u64) -> String {
    match milliseconds {
        0 => String::new(),
        _ if milliseconds > 1_000 * MINUTE => {
            format!("{}k", decimal(rounded(milliseconds, 10, 1_000 * MINUTE), 1))
        }
        _ => decimal(rounded(milliseconds, 100, MINUTE), 2),
    }
}

/// Writes an amount with thousands commas and all decimals: `$2,000.00`, `-$5.00`, `CHF 12.50`.
pub fn money(amount: Money) -> String {
    let minor = u128::from(amount.minor.unsigned_abs());
    signed(amount, &decimal(minor, minor_digits(amount.currency)))
}

/// Writes a price, without decimals if they are zero: `$2,000`, `$19.50`.
pub fn price(amount: Money) -> String {
    let digits = minor_digits(amount.currency);
    let (minor, unit) = (u128::from(amount.minor.unsigned_abs()), 10_u128.pow(digits));
    match minor % unit {
        0 => signed(amount, &grouped(minor / unit)),
        _ => money(amount),
    }
}

/// Writes a month: `Feb 2015`.
pub fn month(month: Month) -> String {
    let text = month.to_string();
    let name = MONTHS[usize::try_from(month.index().rem_euclid(12)).unwrap_or(0)];
    format!("{name} {}", text.split('-').next().unwrap_or_default().trim_start_matches('0'))
}

/// Writes a time, rounded up to whole seconds: `1 hour, 34 minutes, and 18 seconds`.
pub fn duration(span: Span) -> String {
    let seconds = (span.as_micros().unsigned_abs()).div_ceil(1_000_000);
    let parts = [
        (seconds / 86_400, "day"),
        (seconds / 3_600 % 24, "hour"),
        (seconds / 60 % 60, "minute"),
        (seconds % 60, "second"),
    ];
    let words: Vec<String> = parts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, unit)| format!("{} {unit}{}", grouped((*count).into()), plural(*count)))
        .collect();
    match words.as_slice() {
        [] => "0 seconds".to_owned(),
        [only] => only.clone(),
        [first, last] => format!("{first} and {last}"),
        [first @ .., last] => format!("{}, and {last}", first.join(", ")),
    }
}

/// How many decimals a currency has: 0, 2 or 3.
pub fn minor_digits(currency: Currency) -> u32 {
    let code = currency.to_string();
    match code.as_str() {
        code if NO_DECIMALS.contains(&code) => 0,
        code if THREE_DECIMALS.contains(&code) => 3,
        _ => 2,
    }
}

const fn plural(count: u64) -> &'static str {
    if count == 1 { "" } else { "s" }
}

fn signed(amount: Money, figure: &str) -> String {
    let sign = if amount.minor < 0 { "-" } else { "" };
    match amount.currency.to_string().as_str() {
        "USD" => format!("{sign}${figure}"),
        "EUR" => format!("{sign}€{figure}"),
        "GBP" => format!("{sign}£{figure}"),
        code => format!("{sign}{code} {figure}"),
    }
}

/// `value * factor / unit`, rounded half up.
fn rounded(value: u64, factor: u32, unit: u64) -> u128 {
    (u128::from(value) * u128::from(factor) * 2 + u128::from(unit)) / (u128::from(unit) * 2)
}

/// A number whose last `digits` digits are decimals.
fn decimal(value: u128, digits: u32) -> String {
    let unit = 10_u128.pow(digits);
    match digits {
        0 => grouped(value),
        _ => format!("{}.{:0width$}", grouped(value / unit), value % unit, width = digits as usize),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_sizes() {
        let check = |size, text: &str| assert_eq!(bytes(size), text);
        check(1_238_888_855, "1.15 GiB");
        check(12_353_735, "11.78 MiB");
        check(12_355, "12 KiB");
        check(7_373_737_373_636, "6.71 TiB");
        check(155, "155 bytes");
        check(1, "1 byte");
        check(0, "0 bytes");
        check(1_023, "1,023 bytes");
        check((1 << 40) - 1, "1,024.00 GiB");
        check(134_217_728_000, "125.00 GiB");
        check(u64::MAX, "16,777,216.00 TiB");
    }

    #[test]
    fn writes_minutes() {
        let check = |milliseconds, text: &str| assert_eq!(minutes(milliseconds), text);
        check(24_000_000_000, "400.0k");
        check(7_380_000_000, "123.0k");
        check(75_000_000_000, "1,250.0k");
        check(60_000_000, "1,000.00");
        check(3_000_000, "50.00");
        check(1, "0.00");
        check(0, "");
    }

    #[test]
    fn writes_money() {
        let amount = |minor, code: &str| Money { minor, currency: code.parse().unwrap() };
        let check = |minor, code, long: &str, short: &str| {
            assert_eq!(money(amount(minor, code)), long);
            assert_eq!(price(amount(minor, code)), short);
        };
        check(200_000, "USD", "$2,000.00", "$2,000");
        check(500, "USD", "$5.00", "$5");
        check(-500, "USD", "-$5.00", "-$5");
        check(1_950, "EUR", "€19.50", "€19.50");
        check(5, "GBP", "£0.05", "£0.05");
        check(1_234_567, "JPY", "JPY 1,234,567", "JPY 1,234,567");
        check(1_234_567, "KWD", "KWD 1,234.567", "KWD 1,234.567");
        check(i64::MIN, "USD", "-$92,233,720,368,547,758.08", "-$92,233,720,368,547,758.08");
    }

    #[test]
    fn writes_months_and_times() {
        assert_eq!(month("2015-02".parse().unwrap()), "Feb 2015");
        assert_eq!(month("2026-12".parse().unwrap()), "Dec 2026");
        let check = |micros, text: &str| assert_eq!(duration(Span::from_micros(micros)), text);
        check(5_658_000_000, "1 hour, 34 minutes, and 18 seconds");
        check(5_657_000_001, "1 hour, 34 minutes, and 18 seconds");
        check(60_000_000, "1 minute");
        check(90_000_000_000, "1 day and 1 hour");
        check(0, "0 seconds");
    }
}
