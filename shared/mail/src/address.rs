//! Who a mail goes to.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An address has at most that many bytes (RFC 5321, 4.5.3.1.3).
const ADDRESS_BYTES_MAX: usize = 254;

/// The text is not a mail address; it is not repeated here, because addresses stay out of logs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a mail address; write it as name@example.com, at most 254 bytes")]
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
        let odd = |c: char| c.is_control() || c.is_whitespace();
        if text.len() > ADDRESS_BYTES_MAX || text.contains(odd) {
            return Err(AddressError);
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
        let long = format!("a@{}.org", "x".repeat(ADDRESS_BYTES_MAX));
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
        assert_eq!("Ann@Example.ORG".parse::<Address>().unwrap().domain(), "example.org");
    }
}
