//! A folder and a home of their own for tests that type commands.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

use crate::site::PROGRAM;

pub(crate) struct Shell {
    pub(crate) folder: tempfile::TempDir,
    variables: Vec<(String, String)>,
}

/// How a command ended and what it printed.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    fn of(output: Output) -> Self {
        Self {
            code: output.status.code().expect("it ends by itself"),
            stdout: String::from_utf8(output.stdout).expect("results are UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("messages are UTF-8"),
        }
    }

    /// What was printed, as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Checks the exit code and that stderr says each of the words.
    pub(crate) fn fails(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        for word in words {
            assert!(self.stderr.contains(word), "no {word:?} in {self:?}");
        }
    }
}

impl Shell {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), variables: Vec::new() }
    }

    /// A shell whose worker.toml is the built-in one and `more`.
    pub(crate) fn with_manifest(more: &str) -> Self {
        let shell = Self::new();
        let text = format!("{}\n{more}", main_worker::app::BUILT_IN_MANIFEST);
        shell.write("worker.toml", text.as_bytes());
        shell
    }

    /// A shell with the company's worker.toml, keys of its own and a database of a server.
    pub(crate) fn at(url: &str) -> Self {
        let mut shell = Self::with_manifest("");
        shell.set("DATABASE_URL", url);
        // Another shell may have stored tasks already.
        shell.ok(&["keys", "init", "--force"]);
        shell
    }

    /// Sets a variable for the commands that follow.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .env("MAIN_WORKER_HOME", self.home())
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command(arguments).output().unwrap())
    }

    /// Runs a command that must end well; returns what it printed.
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let ran = self.run(arguments);
        assert_eq!(ran.code, 0, "{arguments:?}: {ran:?}");
        ran.stdout
    }

    /// Runs a command that must end well with `--output json`.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let ran = self.run(&[arguments, &["--output", "json"]].concat());
        assert_eq!(ran.code, 0, "{arguments:?}: {ran:?}");
        ran.json()
    }

    /// Runs a command that reads from stdin.
    pub(crate) fn pipe(&self, arguments: &[&str], input: &[u8]) -> Ran {
        let mut child = self.start(arguments, Stdio::piped());
        let mut stdin = child.stdin.take().unwrap();
        // One that refuses its input early closes it.
        stdin.write_all(input).ok();
        drop(stdin);
        Ran::of(child.wait_with_output().unwrap())
    }

    /// Starts a command.
    pub(crate) fn start(&self, arguments: &[&str], stdin: Stdio) -> Child {
        let mut command = self.command(arguments);
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Id of the newest key of a source, or of the one that configuration is sealed to.
    pub(crate) fn key(&self, name: &str) -> String {
        let file: Value = serde_json::from_str(&self.read("home/keys.json")).unwrap();
        let mut keys =
            ["proof", "sealing"].into_iter().flat_map(|kind| file[kind].as_array().unwrap());
        let found = keys.rfind(|key| key["id"].as_str().unwrap().starts_with(&format!("{name}-")));
        found.unwrap_or_else(|| panic!("no key of {name}"))["id"].as_str().unwrap().to_owned()
    }

    /// Enqueues with `enqueue ARGUMENTS`; returns the id.
    pub(crate) fn enqueue(&self, arguments: &[&str]) -> String {
        self.ok(&[&["enqueue"], arguments].concat()).trim().to_owned()
    }
}

/// Waits for a command that was started.
pub(crate) fn end(child: Child) -> Ran {
    Ran::of(child.wait_with_output().unwrap())
}
