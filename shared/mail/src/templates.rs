//! Templates: found faulty at the start, or never.

mod environment;
mod source;

use std::path::Path;

use minijinja::value::Serde;
use minijinja::{Environment, ErrorKind, Value};
use mrml::prelude::render::RenderOptions;

use crate::brand::Brand;
use crate::check::bad_link;
use crate::error::{MailError, TemplateProblem, TemplateProblems};
use crate::letter::{self, Letter, Logo, Parcel};
use crate::message::Message;
use crate::samples::samples;
use source::{LAYOUT_MJML, LAYOUT_TEXT, Sources};

/// Every mail of the company, ready to be written; immutable and shared between threads.
#[derive(Debug)]
pub struct Templates {
    brand: Brand,
    logo: Option<Logo>,
    environment: Environment<'static>,
    sources: Sources,
}

/// A mail in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The subject: one line.
    pub subject: String,
    /// The text part.
    pub text: String,
    /// The HTML part; the logo in it is `cid:logo`.
    pub html: String,
}

impl Templates {
    /// Reads all templates, those in `folder` instead of the ones that came with the program, and
    /// writes every sample mail once.
    ///
    /// A folder may hold `NAME.mail` for each of [`Message::NAMES`], `layout.mjml` and
    /// `layout.txt`.
    ///
    /// # Errors
    /// Every fault at once, with file and line: of the brand, the logo, and the templates.
    pub fn load(brand: Brand, folder: Option<&Path>) -> Result<Self, TemplateProblems> {
        let mut problems: Vec<TemplateProblem> = brand
            .problems()
            .into_iter()
            .map(|message| TemplateProblem { file: "brand".to_owned(), line: None, message })
            .collect();
        let logo = match brand.logo.as_deref().map(Logo::read).transpose() {
            Ok(logo) => logo,
            Err(problem) => {
                problems.push(problem);
                None
            }
        };
        let sources = Sources::read(folder, &mut problems);
        let environment = environment::build(&brand, &sources, &mut problems);
        let templates = Self { brand, logo, environment, sources };
        if problems.is_empty() {
            problems = templates.problems();
        }
        if problems.is_empty() { Ok(templates) } else { Err(TemplateProblems(problems)) }
    }

    /// The brand they were loaded with.
    pub fn brand(&self) -> &Brand {
        &self.brand
    }

    /// Writes a message: subject, text and HTML, or nothing at all.
    ///
    /// # Errors
    /// [`TemplateProblem`] when the template does not know what the message says; that is found by
    /// [`Templates::load`] as far as the samples reach.
    pub fn render(&self, message: &Message) -> Result<Rendered, TemplateProblem> {
        let name = message.name();
        let fields = Value::from(Serde(message));
        let part = |part: &str| self.fill(&format!("{name}.mail#{part}"), &fields);
        let subject = part("subject")?.trim().to_owned();
        let preview = part("preview")?.trim().to_owned();
        let layout = |layout, body| {
            let body = Value::from_safe_string(body);
            self.fill_layout(layout, &subject, &preview, body, message.is_for_admins())
        };
        let mjml = layout(LAYOUT_MJML, part("html")?)?;
        let text = layout(LAYOUT_TEXT, part("text")?)?;
        // The body has moved the lines of the layout.
        let html = self.html(&mjml).map_err(|problem| TemplateProblem { line: None, ..problem })?;
        if let Some(link) = bad_link(&html) {
            let shown: String = link.chars().take(LINK_CHARS_SHOWN).collect();
            let message = format!("`{shown}` is not a link to the web; write https://...");
            return Err(TemplateProblem {
                file: self.sources.file(&format!("{name}.mail")),
                line: None,
                message,
            });
        }
        Ok(Rendered { subject, text: tidy(&text), html })
    }

    /// Writes a message and puts it together with its attachments, ready to be delivered.
    ///
    /// # Errors
    /// [`MailError`]; none of them goes away by itself.
    pub fn letter(&self, parcel: &Parcel<'_>) -> Result<Letter, MailError> {
        let rendered = self.render(parcel.message)?;
        letter::assemble(&self.brand, self.logo.as_ref(), &rendered, parcel)
    }

    fn fill(&self, template: &str, fields: &Value) -> Result<String, TemplateProblem> {
        let render = || self.environment.get_template(template)?.render(fields.clone());
        render().map_err(|error| {
            let problem = self.sources.problem(template, &error);
            match error.kind() {
                ErrorKind::UndefinedError => self.name_fields(problem, template, fields),
                _ => problem,
            }
        })
    }

    /// Says what a template asks for where it fails, and what there is.
    fn name_fields(
        &self,
        problem: TemplateProblem,
        template: &str,
        fields: &Value,
    ) -> TemplateProblem {
        let names = fields.try_iter().map_or_else(
            |_| Vec::new(),
            |keys| keys.map(|key| key.to_string()).filter(|key| key != TAG).collect(),
        );
        let text = self.sources.text(template.split('#').next().unwrap_or_default());
        let line = problem.line.and_then(|line| text.lines().nth(line.checked_sub(1)?));
        let asked = source::expressions(line.unwrap_or_default());
        let asked = if asked.is_empty() { String::new() } else { format!(" in {asked}") };
        let known = names.join(", ");
        let message = format!("{}{asked}; there are brand, {known}", problem.message);
        TemplateProblem { message, ..problem }
    }

    fn fill_layout(
        &self,
        layout: &str,
        subject: &str,
        preview: &str,
        body: Value,
        for_admins: bool,
    ) -> Result<String, TemplateProblem> {
        let page = [
            ("subject", Value::from(subject)),
            ("preview", Value::from(preview)),
            ("has_logo", Value::from(self.logo.is_some())),
            ("body", body),
            ("for_admins", Value::from(for_admins)),
        ];
        self.fill(layout, &Value::from_pairs(page))
    }

    fn html(&self, mjml: &str) -> Result<String, TemplateProblem> {
        let problem = |line, message: String| TemplateProblem {
            file: self.sources.file(LAYOUT_MJML),
            line,
            message: format!("the MJML cannot be read: {message}"),
        };
        let parsed = mrml::parse(mjml)
            .map_err(|error| problem(source::line_of(mjml, &error), error.to_string()))?;
        if let Some(warning) = parsed.warnings.first() {
            return Err(problem(None, warning.to_string()));
        }
        // No fonts are fetched from elsewhere.
        let options =
            RenderOptions { fonts: std::collections::HashMap::new(), ..Default::default() };
        let html =
            parsed.element.render(&options).map_err(|error| problem(None, error.to_string()))?;
        // What the library does not know it passes on; no mail program knows it either.
        match html.split_once("<mj-") {
            Some((_, rest)) => {
                let name = rest.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
                let message = format!("`mj-{name}` is no element of MJML");
                Err(TemplateProblem { message, ..problem(None, String::new()) })
            }
            None => Ok(html),
        }
    }

    /// Writes the layout around one line, then every sample, and says each fault once.
    fn problems(&self) -> Vec<TemplateProblem> {
        let body = || Value::from_safe_string("<mj-text>Body</mj-text>".to_owned());
        let layout = self.fill_layout(LAYOUT_MJML, "Subject", "Preview", body(), false);
        if let Err(problem) = layout.and_then(|mjml| self.html(&mjml)) {
            return vec![problem];
        }
        let mut problems: Vec<TemplateProblem> = Vec::new();
        for problem in samples().iter().filter_map(|sample| self.render(sample).err()) {
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
        problems
    }
}

const LINK_CHARS_SHOWN: usize = 100;
/// The key of a message that says which one it is.
const TAG: &str = "mail";

/// Leaves one empty line where templates left several, and no blank at the end of a line.
fn tidy(text: &str) -> String {
    let mut tidy = String::with_capacity(text.len());
    for line in text.lines().map(str::trim_end) {
        if !line.is_empty() || !(tidy.is_empty() || tidy.ends_with("\n\n")) {
            tidy.push_str(line);
            tidy.push('\n');
        }
    }
    tidy
}
