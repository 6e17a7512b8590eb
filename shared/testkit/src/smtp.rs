//! Mail: aiosmtpd, which keeps what it is sent and fails where a recipient's address says so.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Deserialize;
use tempfile::TempDir;

use crate::programs;
use crate::server::Server;

const USER: &str = "worker";
const PASSWORD: &str = "testkit-smtp-password";
const START_WITHIN: Duration = Duration::from_secs(30);

/// How an [`SmtpServer`] wants to be spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmtpSecurity {
    /// Without encryption and without signing in.
    Plain,
    /// Encrypted after STARTTLS, which it insists on; clients sign in.
    StartTls,
    /// Encrypted from the first byte; clients sign in.
    Tls,
}

/// A private SMTP server (aiosmtpd) with a certificate of its own authority; ends when dropped.
///
/// It refuses, delays and breaks off as the local part of a recipient says: `grey`, `tmp`, `perm`,
/// `busy`, `cut`, `lost`, `full`, `later`, `slow`, `mute` and `flood`; `ci/peers/smtp_server.py` has
/// the list.
#[derive(Debug)]
pub struct SmtpServer {
    server: Server,
    address: SocketAddr,
    authority: PathBuf,
}

/// A mail that an [`SmtpServer`] has kept, as Python's mail parser understood it.
#[derive(Debug, Deserialize)]
pub struct ReceivedMail {
    /// The client's port: one number per connection.
    pub connection: u16,
    /// Whether it came encrypted.
    pub encrypted: bool,
    /// Whether the client had signed in.
    pub signed_in: bool,
    /// The sender of the envelope.
    pub sender: String,
    /// The recipients of the envelope.
    pub recipients: Vec<String>,
    /// Names and decoded values, in the order of the mail.
    pub headers: Vec<(String, String)>,
    /// The content types of all parts, parents before children.
    pub structure: Vec<String>,
    /// What the parser found wrong.
    pub defects: Vec<String>,
    /// The longest line as sent, without its end.
    pub longest_line_bytes: usize,
    /// The decoded text part.
    pub text: Option<String>,
    /// The decoded HTML part.
    pub html: Option<String>,
    /// Everything else: images and attachments.
    pub parts: Vec<ReceivedPart>,
}

/// An image or attachment of a [`ReceivedMail`].
#[derive(Debug, Deserialize)]
pub struct ReceivedPart {
    /// Its type, such as `application/pdf`.
    pub content_type: String,
    /// `inline` or `attachment`.
    pub disposition: String,
    /// The decoded file name.
    pub name: String,
    /// Its id with angle brackets, or nothing.
    pub content_id: String,
    /// Its decoded bytes.
    #[serde(skip)]
    pub bytes: Vec<u8>,
    file: PathBuf,
}

impl ReceivedMail {
    /// The values of all headers of a name, whatever its case.
    pub fn header(&self, name: &str) -> Vec<&str> {
        let is = |header: &&(String, String)| header.0.eq_ignore_ascii_case(name);
        self.headers.iter().filter(is).map(|(_, value)| value.as_str()).collect()
    }
}

impl SmtpServer {
    /// Starts a server and waits until it listens (half a second).
    ///
    /// # Errors
    /// When the program is not installed (says how to) or does not start (shows its log).
    pub async fn start(security: SmtpSecurity) -> Result<Self> {
        let python = programs::find("smtp", "python")?;
        let script = programs::prepared("smtp", "server.py")?;
        let authority = programs::prepared("smtp", "client.pem")?;
        let folder = TempDir::with_prefix("testkit-smtp-")?;
        fs::create_dir(folder.path().join("inbox"))?;
        let security = match security {
            SmtpSecurity::Plain => "plain",
            SmtpSecurity::StartTls => "starttls",
            SmtpSecurity::Tls => "tls",
        };
        let certificate = script.parent().context("a file has a folder")?;
        let arguments = [&script, Path::new(security), Path::new("inbox"), certificate]
            .map(|argument| argument.to_string_lossy().into_owned());
        let server = Server::start("aiosmtpd", &python, &arguments, &[], folder)?;
        server.wait_until(START_WITHIN, async || port(&server.log()).is_some()).await?;
        let port = port(&server.log()).context("the server said where it listens")?;
        Ok(Self { server, address: (Ipv4Addr::LOCALHOST, port).into(), authority })
    }

    /// Where it listens; its certificate is for `127.0.0.1` and `localhost`.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The file with the authority that signed its certificate, which nobody else trusts.
    pub fn authority(&self) -> &Path {
        &self.authority
    }

    /// The one user who may sign in.
    pub fn user(&self) -> &'static str {
        USER
    }

    /// The password of [`SmtpServer::user`].
    pub fn password(&self) -> &'static str {
        PASSWORD
    }

    /// Reads every mail that it has kept, in the order they came.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn mails(&self) -> Result<Vec<ReceivedMail>> {
        let inbox = self.server.folder().join("inbox");
        let mut mails = Vec::new();
        for number in 1.. {
            let file = inbox.join(format!("{number}.json"));
            if !file.exists() {
                break;
            }
            let mut mail: ReceivedMail = serde_json::from_slice(&fs::read(file)?)?;
            for part in &mut mail.parts {
                part.bytes = fs::read(inbox.join(&part.file))?;
            }
            mails.push(mail);
        }
        Ok(mails)
    }

    /// Ends the server at once (SIGKILL): connections to it are refused from now on.
    pub fn kill(&self) {
        self.server.kill();
    }

    /// Stops the server from running (SIGSTOP): connections are taken, nothing answers.
    pub fn pause(&self) {
        self.server.pause();
    }

    /// Lets a paused server go on (SIGCONT).
    pub fn resume(&self) {
        self.server.resume();
    }

    /// Everything the server has printed.
    pub fn log(&self) -> String {
        self.server.log()
    }
}

fn port(log: &str) -> Option<u16> {
    let line = log.lines().find_map(|line| line.strip_prefix("listening on "))?;
    line.parse().ok()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    async fn talk(server: &SmtpServer, lines: &str) -> Result<String> {
        let mut stream = TcpStream::connect(server.address()).await?;
        stream.write_all(lines.as_bytes()).await?;
        let mut answers = String::new();
        stream.read_to_string(&mut answers).await?;
        Ok(answers)
    }

    #[tokio::test]
    async fn keeps_a_mail_and_refuses_as_the_address_says() {
        let server = SmtpServer::start(SmtpSecurity::Plain).await.unwrap();
        let mail = "EHLO me\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<perm@b.c>\r\nRCPT TO:<ann@b.c>\r\nDATA\r\n\
            Subject: =?utf-8?q?=C3=BC?=\r\n\r\n..dot\r\n.\r\nQUIT\r\n";
        let answers = talk(&server, mail).await.unwrap();
        assert!(
            answers.contains("550 5.1.1") && answers.contains("250 2.0.0 kept as 1"),
            "{answers}"
        );
        let mails = server.mails().unwrap();
        assert_eq!((mails.len(), mails[0].header("SUBJECT")), (1, vec!["ü"]));
        assert_eq!(mails[0].text.as_deref(), Some(".dot\n"));
        assert!(!mails[0].encrypted && !mails[0].signed_in && mails[0].recipients == ["ann@b.c"]);

        let folder = server.server.folder().to_owned();
        server.kill();
        assert!(talk(&server, "QUIT\r\n").await.is_err());
        drop(server);
        assert!(!folder.exists());
    }

    #[tokio::test]
    async fn insists_on_encryption() {
        let server = SmtpServer::start(SmtpSecurity::StartTls).await.unwrap();
        let answers = talk(&server, "EHLO me\r\nMAIL FROM:<a@b.c>\r\nQUIT\r\n").await.unwrap();
        assert!(answers.contains("250-STARTTLS") && answers.contains("530 "), "{answers}");
    }
}
