//! Where templates come from, and what is said about their faults.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use minijinja::Error;
use mrml::prelude::parser::Error as MjmlError;

use crate::error::TemplateProblem;
use crate::message::Message;

pub(super) const LAYOUT_MJML: &str = "layout.mjml";
pub(super) const LAYOUT_TEXT: &str = "layout.txt";
/// A template is a letter, not a book.
const TEMPLATE_BYTES_MAX: u64 = 64 * 1024;

/// The text of every template, and the files of those that a company has of its own.
#[derive(Debug)]
pub(super) struct Sources {
    own: BTreeMap<String, (PathBuf, String)>,
}

impl Sources {
    /// Reads the files of a folder; what is no template there is a problem.
    pub(super) fn read(folder: Option<&Path>, problems: &mut Vec<TemplateProblem>) -> Self {
        let mut own = BTreeMap::new();
        let Some(folder) = folder else { return Self { own } };
        let mut problem = |path: &Path, message: String| {
            problems.push(TemplateProblem {
                file: path.display().to_string(),
                line: None,
                message,
            });
        };
        let listed = fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let mut paths: Vec<PathBuf> = match listed {
            Ok(entries) => entries.iter().map(fs::DirEntry::path).collect(),
            Err(error) => {
                problem(folder, format!("the folder of templates cannot be read: {error}"));
                return Self { own };
            }
        };
        paths.sort();
        for path in paths {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if built_in(&name).is_none() {
                problem(&path, unknown(&name));
                continue;
            }
            match read(&path) {
                Ok(text) => drop(own.insert(name, (path, text))),
                Err(message) => problem(&path, message),
            }
        }
        Self { own }
    }

    /// The text of a template: the company's own, or else the one that came with the program.
    pub(super) fn text(&self, name: &str) -> &str {
        match self.own.get(name) {
            Some((_, text)) => text,
            None => built_in(name).expect("every name asked for is built in"),
        }
    }

    /// What to call the file of a template.
    pub(super) fn file(&self, name: &str) -> String {
        match self.own.get(name) {
            Some((path, _)) => path.display().to_string(),
            None => name.to_owned(),
        }
    }

    /// Says what is wrong with a template or a part of one, `NAME.mail#PART`.
    pub(super) fn problem(&self, template: &str, error: &Error) -> TemplateProblem {
        let file = self.file(template.split('#').next().unwrap_or_default());
        let message = match error.detail() {
            Some(detail) => format!("{}: {detail}", error.kind()),
            None => error.kind().to_string(),
        };
        TemplateProblem { file, line: error.line(), message }
    }
}

fn built_in(name: &str) -> Option<&'static str> {
    match name {
        LAYOUT_MJML => Some(include_str!("layout.mjml")),
        LAYOUT_TEXT => Some(include_str!("layout.txt")),
        _ => Message::built_in(name.strip_suffix(".mail")?),
    }
}

fn unknown(name: &str) -> String {
    let known = Message::NAMES.iter().map(|name| format!("{name}.mail"));
    let known: Vec<String> = known.chain([LAYOUT_MJML, LAYOUT_TEXT].map(str::to_owned)).collect();
    match values::did_you_mean(name, known.iter().map(String::as_str)) {
        Some(near) => format!("no mail has this template; did you mean `{near}`?"),
        None => format!("no mail has this template; there are {}", known.join(", ")),
    }
}

fn read(path: &Path) -> Result<String, String> {
    let cannot = |error: std::io::Error| format!("the template cannot be read: {error}");
    let bytes = fs::metadata(path).map_err(cannot)?.len();
    if bytes > TEMPLATE_BYTES_MAX {
        return Err(format!("a template of {bytes} bytes; {TEMPLATE_BYTES_MAX} are allowed"));
    }
    fs::read_to_string(path).map_err(cannot)
}

/// What a line of a template asks for, such as "`{{ name }}`, `{% if card %}`".
pub(super) fn expressions(line: &str) -> String {
    let mut found = Vec::new();
    let mut rest = line;
    while let Some(at) = rest.find("{{").into_iter().chain(rest.find("{%")).min() {
        rest = &rest[at..];
        let Some(end) = rest.find("}}").into_iter().chain(rest.find("%}")).min() else { break };
        found.push(format!("`{}`", &rest[..end + 2]));
        rest = &rest[end + 2..];
    }
    found.join(", ")
}

/// The line of a filled-in layout that an error is about. It is that of the file as long as the
/// body has one line, because other values bring none of their own.
pub(super) fn line_of(mjml: &str, error: &MjmlError) -> Option<usize> {
    let position = match error {
        MjmlError::UnexpectedElement { position, .. }
        | MjmlError::UnexpectedToken { position, .. }
        | MjmlError::MissingAttribute { position, .. }
        | MjmlError::InvalidAttribute { position, .. }
        | MjmlError::InvalidFormat { position, .. }
        | MjmlError::IncludeLoaderError { position, .. } => position,
        MjmlError::ParserError { source, .. } => return usize::try_from(source.pos().row).ok(),
        MjmlError::EndOfStream { .. } | MjmlError::SizeLimit { .. } | MjmlError::NoRootNode => {
            return None;
        }
    };
    Some(mjml.get(..position.start)?.matches('\n').count() + 1)
}
