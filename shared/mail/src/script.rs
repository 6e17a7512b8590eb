//! A mail's template: a letter in plain words, from which its HTML and its text are both made.
//!
//! ```text
//! Subject: Your invoice {{ number }}
//! Preview: {{ total | money }} for {{ month | month }}
//!
//! Hello {{ account }},
//!
//! | Total | {{ total | money }} |
//!
//! [See your invoices]({{ brand.account_url }})
//! ```
//!
//! Blocks stand between empty lines: paragraphs, `# headings`, `- lists`, `| tables |`, `> small
//! print`, and a line that is nothing but a link, which is a button. Within them, `**bold**` and
//! `[words](link)`. Every line stays a line of its own in the HTML, so that what a template's error
//! says about its line is true of the file.

use std::fmt::Write as _;

/// The templates that a letter's source becomes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Script {
    pub(crate) subject: String,
    pub(crate) preview: String,
    /// Content of an `mj-column`.
    pub(crate) html: String,
    pub(crate) text: String,
}

/// A line of a letter that cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ScriptError {
    /// Counted from 1.
    pub(crate) line: usize,
    pub(crate) message: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Block {
    Paragraph,
    Heading,
    List,
    Table,
    Note,
    Button,
}

impl Script {
    /// Reads a letter.
    pub(crate) fn parse(source: &str) -> Result<Self, ScriptError> {
        let lines: Vec<&str> = source.lines().map(str::trim_end).collect();
        let header = |at: usize, name: &str, message| match lines
            .get(at)
            .and_then(|line| line.strip_prefix(name))
        {
            // Empty lines before it keep its number true.
            Some(rest) if !rest.trim().is_empty() => Ok("\n".repeat(at) + rest.trim()),
            _ => Err(ScriptError { line: at + 1, message }),
        };
        let subject = header(0, "Subject:", "the first line is `Subject: ` and a subject")?;
        let preview = header(1, "Preview:", "the second line is `Preview: ` and what lists show")?;
        let (mut html, mut text) = ("\n\n".to_owned(), "\n\n".to_owned());
        let mut at = 2;
        while at < lines.len() {
            if lines[at].is_empty() {
                html.push('\n');
                text.push('\n');
                at += 1;
                continue;
            }
            let end = (at..lines.len()).find(|&at| lines[at].is_empty()).unwrap_or(lines.len());
            write_block(&lines[at..end], at + 1, &mut html, &mut text)?;
            at = end;
        }
        Ok(Self { subject, preview, html, text })
    }
}

/// Writes the lines of one block, the first of which has the number `first`.
fn write_block(
    lines: &[&str],
    first: usize,
    html: &mut String,
    text: &mut String,
) -> Result<(), ScriptError> {
    let Some(kind) = lines.iter().find(|line| !is_control(line)).map(|line| kind(line)) else {
        // Nothing but control: it stands around other blocks.
        for line in lines {
            html.push_str(line);
            text.push_str(line);
            html.push('\n');
        }
        return Ok(());
    };
    let (open, close) = around(kind);
    html.push_str(open);
    for (at, line) in lines.iter().enumerate() {
        let error = |message| ScriptError { line: first + at, message };
        if is_control(line) {
            html.push_str(line);
            text.push_str(line);
        } else {
            write_line(kind, line, html, text).map_err(error)?;
        }
        if at + 1 == lines.len() {
            html.push_str(close);
        }
        html.push('\n');
        // In the text a line of control would leave an empty line behind.
        if !is_control(line) {
            text.push('\n');
        }
    }
    Ok(())
}

/// Whether a line is one tag or one comment and nothing else.
fn is_control(line: &&str) -> bool {
    [("{%", "%}"), ("{#", "#}")].iter().any(|(open, close)| {
        let inner = line.strip_prefix(open).and_then(|line| line.strip_suffix(close));
        inner.is_some_and(|inner| !inner.contains(close))
    })
}

fn kind(line: &str) -> Block {
    match line {
        _ if line.starts_with("# ") => Block::Heading,
        _ if line.starts_with("- ") => Block::List,
        _ if line.starts_with('|') => Block::Table,
        _ if line.starts_with("> ") => Block::Note,
        _ if link(line).is_some_and(|(.., rest)| rest.is_empty()) => Block::Button,
        _ => Block::Paragraph,
    }
}

const fn around(kind: Block) -> (&'static str, &'static str) {
    match kind {
        Block::Paragraph => ("<mj-text>", "</mj-text>"),
        Block::Heading => ("<mj-text mj-class=\"heading\">", "</mj-text>"),
        Block::Note => ("<mj-text mj-class=\"note\">", "</mj-text>"),
        Block::List => ("<mj-text><ul class=\"list\">", "</ul></mj-text>"),
        Block::Table => ("<mj-table>", "</mj-table>"),
        Block::Button => ("", ""),
    }
}

fn write_line(
    kind: Block,
    line: &str,
    html: &mut String,
    text: &mut String,
) -> Result<(), &'static str> {
    let words = |prefix| line.strip_prefix(prefix).unwrap_or(line);
    match kind {
        Block::Paragraph => write_words(line, html, text),
        Block::Heading => write_words(words("# "), html, text),
        Block::Note => write_words(words("> "), html, text),
        Block::List => {
            html.push_str("<li>");
            text.push_str("- ");
            write_words(
                line.strip_prefix("- ").ok_or("every line of a list begins `- `")?,
                html,
                text,
            );
            html.push_str("</li>");
        }
        Block::Table => {
            let cells = line.strip_prefix('|').and_then(|line| line.strip_suffix('|'));
            let cells = cells.ok_or("every line of a table begins and ends with `|`")?;
            html.push_str("<tr>");
            for (at, cell) in split_cells(cells).into_iter().enumerate() {
                html.push_str(if at == 0 { "<td class=\"name\">" } else { "<td class=\"value\">" });
                text.push_str(["", ": ", ", "][at.min(2)]);
                write_words(cell.trim(), html, text);
                html.push_str("</td>");
            }
            html.push_str("</tr>");
        }
        Block::Button => {
            let whole = link(line).filter(|(.., rest)| rest.is_empty());
            let (words, url, _) = whole.ok_or("a button is one line: [words](link)")?;
            write!(html, "<mj-button href=\"{}\">", escape(url)).expect("a string takes anything");
            write_words(words, html, text);
            html.push_str("</mj-button>");
            write!(text, ": {url}").expect("a string takes anything");
        }
    }
    Ok(())
}

/// Splits at every `|` outside of an expression, where it is a filter.
fn split_cells(cells: &str) -> Vec<&str> {
    let (mut found, mut start, mut depth) = (Vec::new(), 0, 0_usize);
    for (at, c) in cells.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            '|' if depth == 0 => {
                found.push(&cells[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    found.push(&cells[start..]);
    found
}

/// Writes words with bold ones and links; expressions pass, everything else is escaped for HTML.
fn write_words(words: &str, html: &mut String, text: &mut String) {
    let (mut rest, mut bold) = (words, false);
    while let Some(next) = rest.chars().next() {
        if rest.starts_with("{{") || rest.starts_with("{%") {
            let end = if rest.starts_with("{{") { "}}" } else { "%}" };
            let len = rest.find(end).map_or(rest.len(), |at| at + end.len());
            html.push_str(&rest[..len]);
            text.push_str(&rest[..len]);
            rest = &rest[len..];
        } else if let Some(after) = rest.strip_prefix("**") {
            html.push_str(if bold { "</strong>" } else { "<strong>" });
            bold = !bold;
            rest = after;
        } else if let Some((label, url, after)) = link(rest) {
            write!(html, "<a href=\"{}\">", escape(url)).expect("a string takes anything");
            write_words(label, html, text);
            html.push_str("</a>");
            write!(text, " ({url})").expect("a string takes anything");
            rest = after;
        } else {
            let (word, after) = rest.split_at(next.len_utf8());
            html.push_str(&escape(word));
            text.push_str(word);
            rest = after;
        }
    }
    if bold {
        html.push_str("</strong>");
    }
}

/// Reads `[words](link)` at the start, with what follows it.
fn link(text: &str) -> Option<(&str, &str, &str)> {
    let (words, rest) = text.strip_prefix('[')?.split_once("](")?;
    // An expression in the link may hold parentheses.
    let end = match rest.strip_prefix("{{") {
        Some(_) => rest.find("}}")? + 2 + rest[rest.find("}}")? + 2..].find(')')?,
        None => rest.find(')')?,
    };
    Some((words, &rest[..end], &rest[end + 1..]))
}

/// Escapes the fixed part of a template; expressions are escaped when they are rendered.
fn escape(text: &str) -> String {
    if text.contains("{{") {
        return text.to_owned();
    }
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Script {
        Script::parse(&format!("Subject: S\nPreview: P\n\n{body}")).unwrap()
    }

    fn check(body: &str, html: &str, text: &str) {
        let script = parse(body);
        assert_eq!((script.html.trim(), script.text.trim()), (html, text), "{body}");
    }

    #[test]
    fn makes_html_and_text_of_every_block() {
        check(
            "Hello {{ a | b }},\nyou.",
            "<mj-text>Hello {{ a | b }},\nyou.</mj-text>",
            "Hello {{ a | b }},\nyou.",
        );
        check("# Now", "<mj-text mj-class=\"heading\">Now</mj-text>", "Now");
        check(
            "- a\n- b",
            "<mj-text><ul class=\"list\"><li>a</li>\n<li>b</li></ul></mj-text>",
            "- a\n- b",
        );
        check(
            "| Used | {{ n | bytes }} of {{ m | bytes }} |",
            "<mj-table><tr><td class=\"name\">Used</td><td class=\"value\">{{ n | bytes }} of {{ m | bytes }}</td></tr></mj-table>",
            "Used: {{ n | bytes }} of {{ m | bytes }}",
        );
        check(
            "[Go](https://x/?a=1&b)",
            "<mj-button href=\"https://x/?a=1&amp;b\">Go</mj-button>",
            "Go: https://x/?a=1&b",
        );
        check(
            "[Go]({{ f(x) }})",
            "<mj-button href=\"{{ f(x) }}\">Go</mj-button>",
            "Go: {{ f(x) }}",
        );
        check("> small", "<mj-text mj-class=\"note\">small</mj-text>", "small");
    }

    #[test]
    fn writes_words_bold_linked_and_escaped() {
        check(
            "A **bold {{ x }}** [word](https://x/) <b> & {{ y }}.",
            "<mj-text>A <strong>bold {{ x }}</strong> <a href=\"https://x/\">word</a> &lt;b&gt; &amp; {{ y }}.</mj-text>",
            "A bold {{ x }} word (https://x/) <b> & {{ y }}.",
        );
        check("an **open end", "<mj-text>an <strong>open end</strong></mj-text>", "an open end");
    }

    #[test]
    fn control_may_stand_within_a_block_and_around_blocks() {
        check(
            "{% for x in y %}\n| {{ x }} | 1 |\n{% endfor %}",
            "<mj-table>{% for x in y %}\n<tr><td class=\"name\">{{ x }}</td><td class=\"value\">1</td></tr>\n{% endfor %}</mj-table>",
            "{% for x in y %}{{ x }}: 1\n{% endfor %}",
        );
        check(
            "{% if a %}\n\nYes\n\n{% endif %}",
            "{% if a %}\n\n<mj-text>Yes</mj-text>\n\n{% endif %}",
            "{% if a %}\nYes\n\n{% endif %}",
        );
    }

    #[test]
    fn keeps_the_numbers_of_lines() {
        let source = "Subject: S\nPreview: P\n\n# First\n\n- second\n- c\n\n\n{{ x }}\n";
        let script = Script::parse(source).unwrap();
        let number = |text: &str, word: &str| text.lines().position(|line| line.contains(word));
        for word in ["First", "second", "{{ x }}"] {
            assert_eq!(number(&script.html, word), number(source, word), "{word}");
        }
        assert_eq!(script.preview, "\nP");
    }

    #[test]
    fn says_which_line_cannot_be_read() {
        let check = |source: &str, line| {
            assert_eq!(Script::parse(source).unwrap_err().line, line, "{source}");
        };
        check("", 1);
        check("Hello", 1);
        check("Subject:\nPreview: P", 1);
        check("Subject: S\n\nHello", 2);
        check("Subject: S\nPreview: P\n\n- a\nb", 5);
        check("Subject: S\nPreview: P\n\n| a |\n| b", 5);
        check("Subject: S\nPreview: P\n\n[a](b)\nc", 5);
    }
}
