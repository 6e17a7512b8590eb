//! Whose rights a server runs with.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::chown;
use std::path::Path;

use anyhow::{Context, Result};
use rustix::process::geteuid;

/// Whom PostgreSQL and PgBouncer run as when the tests run as root, which both refuse.
const SERVICE_ACCOUNT: &str = "postgres";

/// The account that a server runs under: the test's own, or another that only root can choose.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Account(Option<Numbers>);

#[derive(Debug, Clone, Copy)]
struct Numbers {
    user: u32,
    group: u32,
}

impl Account {
    /// The account of the test itself.
    pub(crate) fn current() -> Self {
        Self(None)
    }

    /// An account without root's rights: `postgres` if the test is root, else the test's own.
    ///
    /// # Errors
    /// When the test is root and there is no such account.
    pub(crate) fn unprivileged() -> Result<Self> {
        if !geteuid().is_root() {
            return Ok(Self::current());
        }
        let accounts = fs::read_to_string("/etc/passwd").context("cannot read /etc/passwd")?;
        let numbers = accounts.lines().find_map(|line| numbers_of(SERVICE_ACCOUNT, line));
        let numbers = numbers.with_context(|| {
            format!("there is no account `{SERVICE_ACCOUNT}`: run ci/services postgres")
        })?;
        Ok(Self(Some(numbers)))
    }

    /// Gives a file or folder to the account.
    pub(crate) fn own(self, path: &Path) -> io::Result<()> {
        match self.0 {
            Some(Numbers { user, group }) => chown(path, Some(user), Some(group)),
            None => Ok(()),
        }
    }

    /// What makes `setpriv` start a program under the account.
    pub(crate) fn setpriv_arguments(self) -> Vec<String> {
        match self.0 {
            Some(Numbers { user, group }) => vec![
                format!("--reuid={user}"),
                format!("--regid={group}"),
                "--clear-groups".to_owned(),
            ],
            None => Vec::new(),
        }
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(Numbers { user, group: _ }) => write!(f, "{user}"),
            None => write!(f, "{}", geteuid().as_raw()),
        }
    }
}

/// Reads the numbers of `name` from its line of /etc/passwd.
fn numbers_of(name: &str, line: &str) -> Option<Numbers> {
    let mut fields = line.strip_prefix(name)?.strip_prefix(':')?.split(':').skip(1);
    Some(Numbers { user: fields.next()?.parse().ok()?, group: fields.next()?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_numbers_of_one_account_only() {
        let check = |line, expected| {
            let found = numbers_of("postgres", line).map(|numbers| (numbers.user, numbers.group));
            assert_eq!(found, expected, "{line}");
        };
        check("postgres:x:101:104:,,,:/var/lib/postgresql:/bin/bash", Some((101, 104)));
        check("postgres2:x:101:104::/:/bin/sh", None);
        check("postgres:x:many:104::/:/bin/sh", None);
        check("root:x:0:0:root:/root:/bin/bash", None);
    }
}
