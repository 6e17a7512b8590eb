//! Every environment variable the program reads, in one place.
//!
//! docs/operations.md lists the same names; a test compares the two.

use std::path::{Path, PathBuf};

use values::Secret;

use crate::home::DEFAULT_FOLDER;

/// An environment variable.
#[derive(Debug, Clone, Copy)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What it sets, in one line.
    pub purpose: &'static str,
    /// Whether its value must never be shown.
    pub secret: bool,
}

/// Where tasks and domain rows are.
pub const DATABASE_URL: Variable = Variable {
    name: "DATABASE_URL",
    purpose: "postgres://user:password@host:5432/database, or sqlite:PATH; the embedded database in MAIN_WORKER_HOME when absent",
    secret: true,
};
/// The same database without a pooler in between.
pub const DATABASE_LISTEN_URL: Variable = Variable {
    name: "DATABASE_LISTEN_URL",
    purpose: "the same database without a pooler in between, to be told of new tasks when DATABASE_URL leads through PgBouncer",
    secret: true,
};
/// Connections of one process.
pub const DATABASE_MAX_CONNECTIONS: Variable = Variable {
    name: "DATABASE_MAX_CONNECTIONS",
    purpose: "connections of one process to a PostgreSQL server, 4 to 1000; 10 by default",
    secret: false,
};
/// Folder of the embedded database and the keys.
pub const HOME: Variable = Variable {
    name: "MAIN_WORKER_HOME",
    purpose: "folder of the embedded database and the keys; .main-worker by default",
    secret: false,
};
/// The manifest's file.
pub const MANIFEST: Variable = Variable {
    name: "MAIN_WORKER_MANIFEST",
    purpose: "path of worker.toml; worker.toml in the current folder, else the built-in one",
    secret: false,
};
/// File with configuration sections.
pub const CONFIGURATION_FILE: Variable = Variable {
    name: "MAIN_WORKER_CONFIGURATION_FILE",
    purpose: "TOML or JSON file with one table per configuration section; wins over worker.toml",
    secret: false,
};
/// Prefix of variables that hold one configuration section each.
pub const SECTION_PREFIX: Variable = Variable {
    name: "MAIN_WORKER_SECTION_",
    purpose: "prefix: MAIN_WORKER_SECTION_objectStorage holds that section as JSON; wins over the file",
    secret: true,
};
/// What is logged.
pub const LOG: Variable = Variable {
    name: "MAIN_WORKER_LOG",
    purpose: "log filter, such as info or info,sqlx=warn; info by default",
    secret: false,
};
/// How it is logged.
pub const LOG_FORMAT: Variable = Variable {
    name: "MAIN_WORKER_LOG_FORMAT",
    purpose: "pretty or json; pretty on a terminal, json otherwise",
    secret: false,
};
/// Where errors are reported.
pub const SENTRY_DSN: Variable = Variable {
    name: "SENTRY_DSN",
    purpose: "where panics, permanent failures, rejections and alerts are reported; nowhere when absent",
    secret: true,
};
/// Which deployment this is.
pub const ENVIRONMENT: Variable = Variable {
    name: "MAIN_WORKER_ENVIRONMENT",
    purpose: "name of the deployment, such as production; development by default",
    secret: false,
};
/// Switches colour off.
pub const NO_COLOR: Variable = Variable {
    name: "NO_COLOR",
    purpose: "when set and not empty, nothing is printed in colour",
    secret: false,
};
/// Payload file of a one-shot run, as IronWorker sets it.
pub const PAYLOAD_FILE: Variable = Variable {
    name: "PAYLOAD_FILE",
    purpose: "file with the envelope of a one-shot run, as IronWorker sets it",
    secret: false,
};
/// Configuration file of a one-shot run, as IronWorker sets it.
pub const CONFIG_FILE: Variable = Variable {
    name: "CONFIG_FILE",
    purpose: "file with configuration sections of a one-shot run, as IronWorker sets it",
    secret: false,
};
/// Task id of a one-shot run, as IronWorker sets it.
pub const TASK_ID: Variable = Variable {
    name: "TASK_ID",
    purpose: "id of the hosted task of a one-shot run, as IronWorker sets it; shown in the logs",
    secret: false,
};

/// What RTMP servers and recorders prove themselves with.
pub const MEDIA_HOST_TOKEN: Variable = Variable {
    name: "MAIN_WORKER_MEDIA_HOST_TOKEN",
    purpose: "token that RTMP servers and recorders give at the doors of `work --listen`",
    secret: true,
};

/// What a mail server proves itself with that hands over mails that came back.
pub const BOUNCE_TOKEN: Variable = Variable {
    name: "MAIN_WORKER_BOUNCE_TOKEN",
    purpose: "token that mail servers give with mails that came back, at a door of `work --listen`",
    secret: true,
};

/// Every variable, in the order they are documented.
pub const VARIABLES: [Variable; 17] = [
    DATABASE_URL,
    DATABASE_LISTEN_URL,
    DATABASE_MAX_CONNECTIONS,
    HOME,
    MANIFEST,
    CONFIGURATION_FILE,
    SECTION_PREFIX,
    LOG,
    LOG_FORMAT,
    SENTRY_DSN,
    ENVIRONMENT,
    MEDIA_HOST_TOKEN,
    BOUNCE_TOKEN,
    NO_COLOR,
    PAYLOAD_FILE,
    CONFIG_FILE,
    TASK_ID,
];

/// The environment in which customers are written to and real money moves.
pub const PRODUCTION: &str = "production";
/// The deployment that has no name.
const DEFAULT_ENVIRONMENT: &str = "development";

/// What the environment says, read once.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// [`DATABASE_URL`].
    pub database_url: Option<Secret<String>>,
    /// [`DATABASE_LISTEN_URL`].
    pub database_listen_url: Option<Secret<String>>,
    /// [`DATABASE_MAX_CONNECTIONS`].
    pub database_max_connections: Option<String>,
    /// [`HOME`].
    pub home: Option<PathBuf>,
    /// [`MANIFEST`].
    pub manifest: Option<PathBuf>,
    /// [`CONFIGURATION_FILE`].
    pub configuration_file: Option<PathBuf>,
    /// Sections by name, from [`SECTION_PREFIX`].
    pub sections: Vec<(String, Secret<String>)>,
    /// [`LOG`].
    pub log: Option<String>,
    /// [`LOG_FORMAT`].
    pub log_format: Option<String>,
    /// [`SENTRY_DSN`].
    pub sentry_dsn: Option<Secret<String>>,
    /// [`ENVIRONMENT`].
    pub environment: Option<String>,
    /// [`MEDIA_HOST_TOKEN`].
    pub media_host_token: Option<Secret<String>>,
    /// [`BOUNCE_TOKEN`].
    pub bounce_token: Option<Secret<String>>,
    /// [`NO_COLOR`].
    pub no_color: bool,
    /// [`PAYLOAD_FILE`].
    pub payload_file: Option<PathBuf>,
    /// [`CONFIG_FILE`].
    pub config_file: Option<PathBuf>,
    /// [`TASK_ID`].
    pub task_id: Option<String>,
}

impl Settings {
    /// Reads the environment of this process; empty values count as absent.
    pub fn from_environment() -> Self {
        Self::read(std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        }))
    }

    /// Reads variables from a list, for tests.
    pub fn read(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut settings = Self::default();
        for (name, value) in variables.into_iter().filter(|(_, value)| !value.is_empty()) {
            settings.take(&name, value);
        }
        settings.sections.sort_by(|a, b| a.0.cmp(&b.0));
        settings
    }

    fn take(&mut self, name: &str, value: String) {
        if let Some(section) = name.strip_prefix(SECTION_PREFIX.name) {
            self.sections.push((section.to_owned(), Secret::new(value)));
            return;
        }
        match name {
            _ if name == DATABASE_URL.name => self.database_url = Some(Secret::new(value)),
            _ if name == DATABASE_LISTEN_URL.name => {
                self.database_listen_url = Some(Secret::new(value));
            }
            _ if name == DATABASE_MAX_CONNECTIONS.name => {
                self.database_max_connections = Some(value);
            }
            _ if name == HOME.name => self.home = Some(value.into()),
            _ if name == MANIFEST.name => self.manifest = Some(value.into()),
            _ if name == CONFIGURATION_FILE.name => self.configuration_file = Some(value.into()),
            _ if name == LOG.name => self.log = Some(value),
            _ if name == LOG_FORMAT.name => self.log_format = Some(value),
            _ if name == SENTRY_DSN.name => self.sentry_dsn = Some(Secret::new(value)),
            _ if name == ENVIRONMENT.name => self.environment = Some(value),
            _ if name == MEDIA_HOST_TOKEN.name => {
                self.media_host_token = Some(Secret::new(value));
            }
            _ if name == BOUNCE_TOKEN.name => self.bounce_token = Some(Secret::new(value)),
            _ if name == NO_COLOR.name => self.no_color = true,
            _ if name == PAYLOAD_FILE.name => self.payload_file = Some(value.into()),
            _ if name == CONFIG_FILE.name => self.config_file = Some(value.into()),
            _ if name == TASK_ID.name => self.task_id = Some(value),
            _ => {}
        }
    }

    /// The folder of the keys and the embedded database.
    pub fn home_folder(&self) -> &Path {
        self.home.as_deref().unwrap_or(Path::new(DEFAULT_FOLDER))
    }

    /// The name of the deployment.
    pub fn environment(&self) -> &str {
        self.environment.as_deref().unwrap_or(DEFAULT_ENVIRONMENT)
    }

    /// Whether customers are written to and real money moves.
    pub fn is_production(&self) -> bool {
        self.environment() == PRODUCTION
    }

    /// Each variable with its value for a report; secrets as `[redacted]`, absent ones left out.
    pub fn report(&self) -> Vec<(String, String)> {
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        let redacted = |secret: bool| secret.then(|| "[redacted]".to_owned());
        let mut shown: Vec<(String, Option<String>)> = vec![
            (DATABASE_URL.name.to_owned(), redacted(self.database_url.is_some())),
            (DATABASE_LISTEN_URL.name.to_owned(), redacted(self.database_listen_url.is_some())),
            (DATABASE_MAX_CONNECTIONS.name.to_owned(), self.database_max_connections.clone()),
            (HOME.name.to_owned(), path(&self.home)),
            (MANIFEST.name.to_owned(), path(&self.manifest)),
            (CONFIGURATION_FILE.name.to_owned(), path(&self.configuration_file)),
            (LOG.name.to_owned(), self.log.clone()),
            (LOG_FORMAT.name.to_owned(), self.log_format.clone()),
            (SENTRY_DSN.name.to_owned(), redacted(self.sentry_dsn.is_some())),
            (ENVIRONMENT.name.to_owned(), self.environment.clone()),
            (MEDIA_HOST_TOKEN.name.to_owned(), redacted(self.media_host_token.is_some())),
            (BOUNCE_TOKEN.name.to_owned(), redacted(self.bounce_token.is_some())),
        ];
        for (section, _) in &self.sections {
            shown.push((format!("{}{section}", SECTION_PREFIX.name), redacted(true)));
        }
        shown.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_is_set_and_shows_no_secret() {
        let settings = Settings::read([
            ("MAIN_WORKER_HOME".to_owned(), "data".to_owned()),
            ("SENTRY_DSN".to_owned(), "https://canary@example.com/1".to_owned()),
            ("DATABASE_URL".to_owned(), "postgres://user:canary@db/main".to_owned()),
            ("MAIN_WORKER_SECTION_objectStorage".to_owned(), "{\"canary\":1}".to_owned()),
            ("MAIN_WORKER_LOG".to_owned(), String::new()),
        ]);
        assert_eq!(settings.home, Some("data".into()));
        assert_eq!(settings.log, None);
        let shown = format!("{:?} {settings:?}", settings.report());
        assert!(!shown.contains("canary"), "{shown}");
        assert!(shown.contains("MAIN_WORKER_SECTION_objectStorage"));
    }

    #[test]
    fn is_what_the_operations_page_says() {
        let page = include_str!("../docs/operations.md");
        for variable in VARIABLES {
            assert!(page.contains(&format!("`{}`", variable.name)), "{}", variable.name);
        }
    }
}
