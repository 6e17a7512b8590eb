//! Who a mail goes to.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use values::{EMAIL_BYTES_MAX, is_email};

/// The text is not a mail address; it is not repeated here, because addresses stay out of logs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a mail address; write it as name@example.com, at most {EMAIL_BYTES_MAX} bytes")]
pub struct AddressError;

/// One mail address without a name: no blank, no line break, one domain.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address(String);

impl Address {
    /// The address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What follows the last `@`, in lower case.
    pub fn domain(&self) -> String {
        self.0.rsplit_once('@').map_or_else(String::new, |(_, domain)| domain.to_lowercase())
    }

    pub(crate) fn to_lettre(&self) -> lettre::Address {
        self.0.parse().expect("was parsed when it was made")
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let text = text.trim();
        if !is_email(text) {
            return Err(AddressError); // an import refuses it by the same rule
        }
        text.parse::<lettre::Address>().map_err(|_| AddressError)?;
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for Address {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, AddressError> {
        text.parse()
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.0
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The one person a mail goes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipient {
    /// Where to.
    pub address: Address,
    /// What is shown beside the address.
    pub name: Option<String>,
}

impl Recipient {
    /// Takes an address and a name, which may be anything but hold a line break.
    pub fn new(address: Address, name: Option<&str>) -> Self {
        Self { address, name: name.map(str::to_owned) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_addresses_and_nothing_that_could_be_more() {
        for good in [
            "ann@example.org",
            " ann@example.org ",
            "o'neil+x@mail.example.org",
            "žofie@example.org",
        ] {
            assert_eq!(good.parse::<Address>().unwrap().as_str(), good.trim());
        }
        let long = format!("a@{}.org", "x".repeat(EMAIL_BYTES_MAX));
        for bad in [
            "",
            "ann",
            "@example.org",
            "ann@",
            "ann@example.org\r\nBcc: eve@example.org",
            "ann@example.org, eve@example.org",
            "Ann <ann@example.org>",
            "a b@example.org",
            &long,
        ] {
            assert_eq!(bad.parse::<Address>(), Err(AddressError), "{bad}");
        }
        // Whatever an import takes can be written to.
        let (user, label) = ("a".repeat(64), "b".repeat(63));
        let edge = [
            "a@b",
            "a!#$%&'*+-/=?^_`{|}~.b@c-d.e_f",
            "žofie@žluťoučký.example",
            "a@1.2",
            "a@a--b.c",
            &format!("{user}@{label}.{label}"),
        ];
        for good in edge {
            assert!(is_email(good) && good.parse::<Address>().is_ok(), "{good}");
        }
        assert_eq!("Ann@Example.ORG".parse::<Address>().unwrap().domain(), "example.org");
    }
}
