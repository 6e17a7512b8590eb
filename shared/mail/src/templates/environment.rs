//! How templates are filled in: strictly, bounded, and with every value escaped.

use minijinja::value::{Serde, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, UndefinedBehavior, Value};
use values::breaks_line;

use super::source::{LAYOUT_MJML, LAYOUT_TEXT, Sources};
use crate::brand::Brand;
use crate::error::TemplateProblem;
use crate::figures;
use crate::message::Message;
use crate::script::Script;

/// Steps that one template may take; the longest digest takes a tenth of them.
const FUEL: u64 = 200_000;

/// Compiles all templates; what cannot be compiled becomes a problem.
pub(super) fn build(
    brand: &Brand,
    sources: &Sources,
    problems: &mut Vec<TemplateProblem>,
) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_auto_escape_callback(|name| match name {
        _ if name.ends_with("#html") || name == LAYOUT_MJML => AutoEscape::Html,
        _ => AutoEscape::None,
    });
    environment.set_formatter(|output, state, value| write(output, state.auto_escape(), value));
    environment.add_global("brand", Value::from(Serde(brand)));
    figures::add_to(&mut environment);
    for layout in [LAYOUT_MJML, LAYOUT_TEXT] {
        add(&mut environment, layout, sources.text(layout).to_owned(), sources, problems);
    }
    for name in Message::NAMES {
        let file = format!("{name}.mail");
        match Script::parse(sources.text(&file)) {
            Ok(Script { subject, preview, html, text }) => {
                for (part, text) in
                    [("subject", subject), ("preview", preview), ("html", html), ("text", text)]
                {
                    add(&mut environment, &format!("{file}#{part}"), text, sources, problems);
                }
            }
            Err(error) => problems.push(TemplateProblem {
                file: sources.file(&file),
                line: Some(error.line),
                message: error.message.to_owned(),
            }),
        }
    }
    environment
}

fn add(
    environment: &mut Environment<'static>,
    name: &str,
    text: String,
    sources: &Sources,
    problems: &mut Vec<TemplateProblem>,
) {
    if let Err(error) = environment.add_template_owned(name.to_owned(), text) {
        let problem = sources.problem(name, &error);
        if !problems.contains(&problem) {
            problems.push(problem);
        }
    }
}

/// Writes a value: on one line, for HTML escaped, and not at all if there is none.
fn write(output: &mut Output<'_>, escape: &AutoEscape, value: &Value) -> Result<(), Error> {
    match value.kind() {
        ValueKind::String if value.is_safe() => return Ok(output.write_str(&value.to_string())?),
        ValueKind::String | ValueKind::Number => {}
        ValueKind::Undefined => return Err(Error::from(ErrorKind::UndefinedError)),
        kind => {
            let detail = format!("{kind} cannot be written; choose one of its fields or a filter");
            return Err(Error::new(ErrorKind::InvalidOperation, detail));
        }
    }
    let html = matches!(escape, AutoEscape::Html);
    let mut utf8 = [0; 4];
    for c in value.to_string().chars() {
        let entity = match c {
            _ if breaks_line(c) => " ",
            '&' if html => "&amp;",
            '<' if html => "&lt;",
            '>' if html => "&gt;",
            '"' if html => "&quot;",
            '\'' if html => "&#39;",
            _ => c.encode_utf8(&mut utf8),
        };
        output.write_str(entity)?;
    }
    Ok(())
}
