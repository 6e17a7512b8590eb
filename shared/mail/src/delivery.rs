//! Where letters go, and what can become of one.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::OpenError;
use crate::folder::Folder;
use crate::letter::Letter;
use crate::smtp::{Smtp, SmtpSettings};

/// Where letters go; read from settings, unknown keys are refused.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "to", rename_all = "snake_case")]
pub enum Outlet {
    /// Into a folder, as `.eml` files that mail programs open; nobody gets them.
    Folder(FolderSettings),
    /// To an SMTP server.
    Smtp(SmtpSettings),
}

/// The folder of [`Outlet::Folder`].
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FolderSettings {
    /// Which; made when it is missing.
    pub folder: PathBuf,
}

impl Outlet {
    /// Into a folder.
    pub fn folder(folder: impl AsRef<Path>) -> Self {
        Self::Folder(FolderSettings { folder: folder.as_ref().to_owned() })
    }
}

/// Who an SMTP server may be asked to write to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// Anyone: production.
    Everyone,
    /// Addresses of these domains only, in lower case; all others are withheld.
    Domains(Vec<String>),
}

impl Reach {
    /// Everyone in the environment `production`, else only the listed domains.
    pub fn of(environment: &str, domains: &[String]) -> Self {
        match environment {
            "production" => Self::Everyone,
            _ => Self::Domains(domains.iter().map(|domain| domain.to_lowercase()).collect()),
        }
    }

    fn withholds(&self, domain: &str) -> bool {
        match self {
            Self::Everyone => false,
            Self::Domains(domains) => !domains.iter().any(|listed| listed == domain),
        }
    }
}

/// What became of a letter. `message` may name its recipient: store it, do not log it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// It was accepted.
    Sent {
        /// What the server said, or the file's path.
        message: String,
    },
    /// It was surely not accepted: try again later.
    Later {
        /// The server's code, if it was the server: 4xx, or 5xx before the letter was offered.
        code: Option<u16>,
        /// At which step, and why.
        message: String,
    },
    /// It was refused for good: never try again.
    Refused {
        /// The server's code, 5xx; `None` if the server lacks what the address needs.
        code: Option<u16>,
        /// At which step, and why.
        message: String,
    },
    /// It broke off while the letter was handed over: it may have been accepted.
    Unknown {
        /// How it broke off.
        message: String,
    },
    /// It was not offered: outside production, mail to this domain is not allowed.
    Withheld {
        /// The domain that is not listed.
        domain: String,
    },
}

/// Delivers letters; one per process, shared by all who send.
#[derive(Debug)]
pub struct Mailer {
    route: Route,
    reach: Reach,
}

#[derive(Debug)]
enum Route {
    Folder(Folder),
    Smtp(Box<Smtp>),
}

impl Mailer {
    /// Makes the folder, or checks the server's settings; no connection is made yet.
    ///
    /// # Errors
    /// [`OpenError`]: the folder cannot be written, or a setting is wrong.
    pub fn open(outlet: Outlet, reach: Reach) -> Result<Self, OpenError> {
        let route = match outlet {
            Outlet::Folder(FolderSettings { folder }) => Route::Folder(Folder::open(folder)?),
            Outlet::Smtp(settings) => Route::Smtp(Box::new(Smtp::open(settings)?)),
        };
        Ok(Self { route, reach })
    }

    /// Delivers a letter, or says what happened instead; every step of it ends in bounded time.
    ///
    /// Dropping the future while it works leaves it open whether the letter was accepted.
    pub async fn deliver(&self, letter: &Letter) -> Delivery {
        match &self.route {
            Route::Folder(folder) => folder.deliver(letter).await,
            Route::Smtp(smtp) => {
                let domain = letter.to.domain();
                if self.reach.withholds(&domain) {
                    return Delivery::Withheld { domain };
                }
                smtp.deliver(letter).await
            }
        }
    }

    /// Sees whether letters could be delivered now: writes to the folder, or signs in.
    ///
    /// # Errors
    /// Why not, in words.
    pub async fn check(&self) -> Result<(), String> {
        match &self.route {
            Route::Folder(folder) => folder.check().await,
            Route::Smtp(smtp) => smtp.check().await,
        }
    }
}
