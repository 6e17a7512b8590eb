//! Reading a PostgreSQL URL, and saying what is wrong with one without repeating it.

use sqlx::postgres::PgConnectOptions;
use values::Secret;

use crate::DbError;
use crate::error::told;

/// Parameters that have an effect; other programs know more.
const PARAMETERS: [&str; 18] = [
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "ssl-ca",
    "ssl-cert",
    "ssl-key",
    "ssl-mode",
    "ssl-root-cert",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "statement-cache-capacity",
    "user",
];
/// What `sslmode` may be.
const SSL_MODES: [&str; 6] = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

/// A URL as the driver takes it, and the names of parameters that it does not know.
pub(crate) struct Split {
    known: Secret<String>,
    pub(crate) ignored: Vec<String>,
}

/// Reads a URL.
///
/// # Errors
/// [`DbError::Url`].
pub(crate) fn parse(url: &Secret<String>) -> Result<PgConnectOptions, DbError> {
    split(url)?.known.expose().parse().map_err(|error| DbError::Url(told(&error)))
}

/// Parts a URL into what the driver knows and what it does not.
pub(crate) fn split(url: &Secret<String>) -> Result<Split, DbError> {
    let wrong = |why: &str| Err(DbError::Url(why.to_owned()));
    let url = url.expose();
    // The parser takes any scheme for its own.
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return wrong("it does not begin with postgres://");
    }
    if url.contains('#') {
        return wrong("there is a # in it");
    }
    let (address, parameters) = url.split_once('?').unwrap_or((url, ""));
    let (mut known, mut ignored) = (Vec::new(), Vec::new());
    for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let is_mode = matches!(name, "sslmode" | "ssl-mode");
        if name.contains(['@', ':', '/', '?']) {
            return wrong("there is a ? in it before the parameters");
        } else if is_mode && !SSL_MODES.contains(&value) {
            return wrong(&format!("sslmode is none of {}", SSL_MODES.join(", ")));
        } else if PARAMETERS.contains(&name) || name.starts_with("options") {
            known.push(parameter);
        } else {
            ignored.push(name.to_owned());
        }
    }
    let mark = if known.is_empty() { "" } else { "?" };
    Ok(Split { known: Secret::new(format!("{address}{mark}{}", known.join("&"))), ignored })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Result<Vec<String>, String> {
        let url = Secret::new(url.to_owned());
        let ignored = split(&url).map(|split| split.ignored);
        parse(&url).and(ignored).map_err(|error| error.to_string())
    }

    #[test]
    fn tells_parameters_without_effect_by_name() {
        let none: [&str; 0] = [];
        assert_eq!(read("postgres://me:x@host/db").unwrap(), none);
        assert_eq!(read("postgresql://host/db?sslmode=disable&options[a]=b").unwrap(), none);
        let told =
            read("postgres://h/db?connect_timeout=3&sslmode=prefer&target_session_attrs=any");
        assert_eq!(told.unwrap(), ["connect_timeout", "target_session_attrs"]);
    }

    #[test]
    fn says_what_is_wrong_and_repeats_no_password() {
        for (url, why) in [
            ("mysql://me:canary@host/db", "begin with postgres://"),
            ("postgres://me:canary/1@host/db", "invalid port number"),
            ("postgres://me:1#canary@host/db", "there is a # in it"),
            ("postgres://me:1?canary@host/db", "there is a ? in it"),
            ("postgres://host/db?sslmode=canary", "sslmode is none of disable, allow"),
        ] {
            let error = read(url).unwrap_err();
            assert!(error.contains(why) && error.contains("%40 for @"), "{url}: {error}");
            assert!(!error.contains("canary"), "{error}");
        }
    }
}
