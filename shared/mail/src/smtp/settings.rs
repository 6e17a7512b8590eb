//! What is known about a mail server.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use lettre::transport::smtp::client::{Certificate, TlsParameters};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde::Deserialize;
use tokio_rustls::TlsConnector;
use values::Secret;

use crate::error::OpenError;

/// How connections are protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SmtpSecurity {
    /// Encrypted after STARTTLS, or not at all used; usually port 587.
    #[default]
    StartTls,
    /// Encrypted from the first byte; usually port 465.
    Tls,
    /// Not encrypted; only to this machine itself.
    Plain,
}

/// A mail server; unknown keys are refused.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmtpSettings {
    /// Its name or address; its certificate has to be for it.
    pub host: String,
    /// Its port; 587, 465 or 25 by `security` when absent.
    #[serde(default)]
    pub port: Option<u16>,
    /// How connections are protected; STARTTLS when absent.
    #[serde(default)]
    pub security: SmtpSecurity,
    /// Who signs in; nobody when absent.
    #[serde(default)]
    pub user: Option<String>,
    /// The user's password.
    #[serde(default)]
    pub password: Option<Secret<String>>,
    /// A PEM file with the authority that signed the server's certificate, if it is none of the
    /// system's.
    #[serde(default)]
    pub authority_file: Option<PathBuf>,
    /// The name this machine gives itself; the system's when absent.
    #[serde(default)]
    pub hello_name: Option<String>,
    /// Connections of one process at a time, 1 to 100; 4 when absent.
    #[serde(default = "default_connections")]
    pub connections_max: u16,
    /// Letters that one process offers in any second, 1 to 1000; 10 when absent.
    #[serde(default = "default_rate")]
    pub letters_per_second_max: u16,
    /// Seconds for connecting, encrypting and signing in, each, 1 to 300; 15 when absent.
    #[serde(default = "default_connect_seconds")]
    pub connect_seconds_max: u16,
    /// Seconds for an answer to sender, recipient and the like, 1 to 600; 60 when absent.
    #[serde(default = "default_answer_seconds")]
    pub answer_seconds_max: u16,
    /// Seconds for taking and accepting the letter itself, 1 to 900; 600 when absent (RFC 5321,
    /// 4.5.3.2.6).
    #[serde(default = "default_content_seconds")]
    pub content_seconds_max: u16,
}

const fn default_connections() -> u16 {
    4
}

const fn default_rate() -> u16 {
    10
}

const fn default_connect_seconds() -> u16 {
    15
}

const fn default_answer_seconds() -> u16 {
    60
}

const fn default_content_seconds() -> u16 {
    600
}

impl SmtpSettings {
    /// A server with everything else by default.
    pub fn new(host: &str) -> Self {
        Self {
            host: host.to_owned(),
            port: None,
            security: SmtpSecurity::default(),
            user: None,
            password: None,
            authority_file: None,
            hello_name: None,
            connections_max: default_connections(),
            letters_per_second_max: default_rate(),
            connect_seconds_max: default_connect_seconds(),
            answer_seconds_max: default_answer_seconds(),
            content_seconds_max: default_content_seconds(),
        }
    }

    /// The port to connect to.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(match self.security {
            SmtpSecurity::StartTls => 587,
            SmtpSecurity::Tls => 465,
            SmtpSecurity::Plain => 25,
        })
    }

    pub(super) fn check(&self) -> Result<(), OpenError> {
        let wrong =
            |key, message: &str| Err(OpenError::Setting { key, message: message.to_owned() });
        let odd =
            |text: &str| text.is_empty() || text.contains(|c: char| c.is_control() || c == ' ');
        if odd(&self.host) {
            return wrong("host", "write the server's name, such as smtp.example.com");
        }
        if self.hello_name.as_deref().is_some_and(odd) {
            return wrong("hello_name", "write this machine's name, such as worker.example.com");
        }
        if self.security == SmtpSecurity::Plain && !self.is_this_machine() {
            return wrong(
                "security",
                "plain is for 127.0.0.1, ::1 and localhost; use start_tls or tls",
            );
        }
        if self.user.is_some() != self.password.is_some() {
            return wrong("user", "give user and password, or neither");
        }
        for (key, value, max) in [
            ("connections_max", self.connections_max, 100),
            ("letters_per_second_max", self.letters_per_second_max, 1000),
            ("connect_seconds_max", self.connect_seconds_max, 300),
            ("answer_seconds_max", self.answer_seconds_max, 600),
            ("content_seconds_max", self.content_seconds_max, 900),
        ] {
            if !(1..=max).contains(&value) {
                return wrong(key, &format!("is {value}; write 1 to {max}"));
            }
        }
        Ok(())
    }

    fn is_this_machine(&self) -> bool {
        let ip = self.host.parse::<std::net::IpAddr>();
        self.host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
    }

    /// What connections are protected with.
    pub(super) fn protection(&self) -> Result<Protection, OpenError> {
        match self.security {
            SmtpSecurity::Plain => Ok(Protection::None),
            SmtpSecurity::StartTls => {
                let mut parameters = TlsParameters::builder(self.host.clone());
                for authority in self.authorities()? {
                    // lettre takes certificates that it has read itself.
                    let read = Certificate::from_der(authority.to_vec()).map_err(no_encryption)?;
                    parameters = parameters.add_root_certificate(read);
                }
                Ok(Protection::StartTls(parameters.build().map_err(no_encryption)?))
            }
            SmtpSecurity::Tls => {
                let mut roots = RootCertStore::empty();
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                for authority in self.authorities()? {
                    roots.add(authority).map_err(no_encryption)?;
                }
                let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
                let config = ClientConfig::builder_with_provider(provider)
                    .with_safe_default_protocol_versions()
                    .map_err(no_encryption)?
                    .with_root_certificates(roots)
                    .with_no_client_auth();
                let name = ServerName::try_from(self.host.clone()).map_err(no_encryption)?;
                Ok(Protection::Tls(TlsConnector::from(Arc::new(config)), name))
            }
        }
    }

    /// The certificates of `authority_file`; none without one.
    fn authorities(&self) -> Result<Vec<CertificateDer<'static>>, OpenError> {
        let Some(file) = &self.authority_file else { return Ok(Vec::new()) };
        let wrong = |message| OpenError::Setting { key: "authority_file", message };
        let pem = fs::read(file)
            .map_err(|error| wrong(format!("{} cannot be read: {error}", file.display())))?;
        let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        let read = read.ok().filter(|read| !read.is_empty());
        read.ok_or_else(|| wrong(format!("{} is no PEM certificate", file.display())))
    }
}

/// What connections to a server are protected with.
pub(super) enum Protection {
    None,
    StartTls(TlsParameters),
    Tls(TlsConnector, ServerName<'static>),
}

fn no_encryption(error: impl std::fmt::Display) -> OpenError {
    OpenError::Setting { key: "host", message: format!("no encryption is possible: {error}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(change: impl FnOnce(&mut SmtpSettings), key: &str) {
        let mut settings = SmtpSettings::new("smtp.example.com");
        change(&mut settings);
        for security in [settings.security, SmtpSecurity::Tls] {
            if settings.security != SmtpSecurity::Plain {
                settings.security = security;
            }
            match settings.check().and_then(|()| settings.protection().map(drop)) {
                Err(OpenError::Setting { key: found, .. }) => assert_eq!(found, key),
                other => panic!("{key}: {other:?}"),
            }
        }
    }

    #[test]
    fn names_the_setting_that_is_wrong() {
        assert!(SmtpSettings::new("smtp.example.com").check().is_ok());
        check(|s| s.host = "a b".to_owned(), "host");
        check(|s| s.host = "smtp.example.com\r\n".to_owned(), "host");
        check(|s| s.hello_name = Some("a\r\nMAIL FROM:<>".to_owned()), "hello_name");
        check(|s| s.security = SmtpSecurity::Plain, "security");
        check(|s| s.user = Some("worker".to_owned()), "user");
        check(|s| s.password = Some(Secret::new("p".to_owned())), "user");
        check(|s| s.connections_max = 0, "connections_max");
        check(|s| s.letters_per_second_max = 1001, "letters_per_second_max");
        check(|s| s.authority_file = Some("no/such/file.pem".into()), "authority_file");
        check(|s| s.authority_file = Some("Cargo.toml".into()), "authority_file");
    }

    #[test]
    fn speaks_unencrypted_to_this_machine_only() {
        for host in ["127.0.0.1", "::1", "localhost"] {
            let settings =
                SmtpSettings { security: SmtpSecurity::Plain, ..SmtpSettings::new(host) };
            assert!(settings.check().is_ok(), "{host}");
        }
    }

    #[test]
    fn reads_settings_and_refuses_unknown_ones() {
        let read = |json: &str| serde_json::from_str::<SmtpSettings>(json);
        let settings =
            read(r#"{"host":"h","security":"tls","user":"u","password":"pa55"}"#).unwrap();
        assert_eq!((settings.port(), settings.connections_max), (465, 4));
        assert!(!format!("{settings:?}").contains("pa55"));
        assert!(read(r#"{"host":"h","hots":1}"#).unwrap_err().to_string().contains("hots"));
    }
}
