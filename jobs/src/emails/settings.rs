//! `[domains.emails]` of worker.toml: who writes, how it looks, where it goes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use contract::emails::SmtpLogin;
use job::JobError;
use mail::{Address, Brand, FolderSettings, Mailer, Outlet, Reach, SmtpSettings, Templates};
use serde::Deserialize;
use serde_json::{Map, Value};
use values::Span;

/// What the jobs of this domain share.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MailSettings {
    /// How the company presents itself; an invented one when absent, for mails into a folder.
    #[serde(default)]
    brand: Option<Brand>,
    /// A folder with templates of the company's own.
    #[serde(default)]
    templates: Option<PathBuf>,
    /// Where mails are put as files while no mail server is named; relative to the worker's home.
    #[serde(default)]
    folder: Option<PathBuf>,
    /// The mail server; its password comes from the configuration section `smtp`.
    #[serde(default)]
    smtp: Option<SmtpSettings>,
    /// Outside production, only addresses of these domains get mail.
    #[serde(default)]
    pub(crate) allowed_domains: Vec<String>,
    /// The company's own people who are told what happens.
    #[serde(default)]
    pub(crate) admins: Vec<Address>,
    /// How long a mail that is not accepted is tried; three days when absent.
    #[serde(default)]
    give_up_after: Option<Span>,
}

/// How long a mail that is not accepted is tried.
const GIVE_UP_AFTER_DAYS: u32 = 3;

impl MailSettings {
    /// The brand, or an invented one.
    pub(crate) fn brand(&self) -> Brand {
        self.brand.clone().unwrap_or_else(Brand::example)
    }

    /// How long a mail that is not accepted is tried.
    pub(crate) fn give_up_after(&self) -> Span {
        self.give_up_after.unwrap_or_else(|| Span::from_days(GIVE_UP_AFTER_DAYS))
    }

    /// Where mails go, and who signs in there.
    pub(crate) fn outlet(&self, home: &Path, login: Option<&SmtpLogin>) -> Outlet {
        if let Some(smtp) = &self.smtp {
            return Outlet::Smtp(SmtpSettings {
                user: login.map(|login| login.user.clone()),
                password: login.map(|login| login.password.clone()),
                ..smtp.clone()
            });
        }
        let folder = self.folder.as_deref().unwrap_or_else(|| Path::new("mails"));
        Outlet::Folder(FolderSettings { folder: home.join(folder) })
    }

    fn problem(&self) -> Option<String> {
        let smtp = self.smtp.as_ref()?;
        if self.brand.is_none() {
            return Some("`smtp` needs a `brand`: customers are to see who writes".to_owned());
        }
        if smtp.password.is_some() || smtp.user.is_some() {
            let section = "write `user` and `password` into the configuration section `smtp`";
            return Some(section.to_owned());
        }
        // No connection is made by this.
        let opened = Mailer::open(Outlet::Smtp(smtp.clone()), Reach::Everyone);
        opened.err().map(|error| JobError::from(error).chain())
    }
}

/// How a company's mails look and where they go, with every template read and tried: faults are
/// told at the start.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "MailSettings")]
pub struct MailTemplates {
    /// What worker.toml says.
    pub(crate) settings: MailSettings,
    /// Every mail of the company, ready to be written.
    pub(crate) templates: Arc<Templates>,
}

impl MailTemplates {
    /// Reads the settings of `emails/deliver_email`.
    ///
    /// # Errors
    /// What is wrong with the settings, the brand or the templates.
    pub fn read(settings: &Map<String, Value>) -> Result<Self, String> {
        serde_json::from_value(Value::Object(settings.clone())).map_err(|error| error.to_string())
    }

    /// The mail server's name; `None` while mails become files.
    pub fn server(&self) -> Option<&str> {
        self.settings.smtp.as_ref().map(|smtp| smtp.host.as_str())
    }

    /// Sees whether the mail server lets this worker in.
    ///
    /// # Errors
    /// Why not, in words.
    pub async fn sign_in(&self, login: Option<SmtpLogin>) -> Result<(), String> {
        let reach = Reach::Domains(Vec::new());
        let mailer = Mailer::open(self.settings.outlet(Path::new("."), login.as_ref()), reach);
        mailer.map_err(|error| JobError::from(error).chain())?.check().await
    }
}

impl TryFrom<MailSettings> for MailTemplates {
    type Error = String;

    fn try_from(settings: MailSettings) -> Result<Self, String> {
        if let Some(problem) = settings.problem() {
            return Err(problem);
        }
        let templates = Templates::load(settings.brand(), settings.templates.as_deref());
        let templates = Arc::new(templates.map_err(|problems| problems.to_string())?);
        Ok(Self { settings, templates })
    }
}
