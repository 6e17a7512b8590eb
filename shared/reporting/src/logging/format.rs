//! How a line looks: JSON for programs, columns and colours for people.

use std::fmt::{self, Display, Write as _};

use serde::ser::{SerializeMap, Serializer};
use serde_json::Value;

use crate::attempt::TaskContext;
use crate::logging::LogLevel;
use crate::logging::line::Line;

/// Names of a JSON line that an event's own field cannot take; it gets the prefix `event_`.
const RESERVED: [&str; 4] = ["timestamp", "level", "target", "message"];
const RESERVED_BY_TASK: [&str; 4] = ["job_name", "source", "task_id", "attempt"];

/// Writes a line as one flat JSON object, with the line feed.
pub(crate) fn json(line: &Line, task: Option<&TaskContext>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    write_json(&mut bytes, line, task)
        .expect("a line is strings and numbers, and memory is no file");
    bytes.push(b'\n');
    bytes
}

fn write_json(
    bytes: &mut Vec<u8>,
    line: &Line,
    task: Option<&TaskContext>,
) -> Result<(), serde_json::Error> {
    let mut json = serde_json::Serializer::new(bytes);
    let mut map = json.serialize_map(None)?;
    map.serialize_entry("timestamp", &line.at)?;
    map.serialize_entry("level", &line.level)?;
    map.serialize_entry("target", line.target)?;
    map.serialize_entry("message", &line.message)?;
    if let Some(task) = task {
        map.serialize_entry("job_name", &task.job_name)?;
        map.serialize_entry("source", &task.source)?;
        map.serialize_entry("task_id", &task.task_id)?;
        map.serialize_entry("attempt", &task.attempt)?;
    }
    for (name, value) in &line.fields {
        let taken = RESERVED.contains(name) || (task.is_some() && RESERVED_BY_TASK.contains(name));
        if taken {
            map.serialize_entry(&format!("event_{name}"), value)?;
        } else {
            map.serialize_entry(name, value)?;
        }
    }
    map.end()
}

/// Writes a line for people, with the line feed: time (UTC), level, task, message, values.
pub(crate) fn pretty(line: &Line, task: Option<&TaskContext>, colour: bool) -> Vec<u8> {
    let mut text = String::with_capacity(160);
    let paint = Paint(colour);
    write_pretty(&mut text, line, task, &paint).expect("writing to a string does not fail");
    text.push('\n');
    text.into_bytes()
}

fn write_pretty(
    text: &mut String,
    line: &Line,
    task: Option<&TaskContext>,
    paint: &Paint,
) -> fmt::Result {
    let of_day = line.at.as_micros().rem_euclid(86_400_000_000) / 1_000;
    let (hour, minute) = (of_day / 3_600_000, of_day / 60_000 % 60);
    let (second, milli) = (of_day / 1_000 % 60, of_day % 1_000);
    let time = format!("{hour:02}:{minute:02}:{second:02}.{milli:03}");
    let level = format!("{:>5}", line.level.name().to_uppercase());
    write!(text, "{} {} ", paint.dim(time), paint.level(line.level, level))?;
    if let Some(task) = task {
        let attempt = format!("#{} {} {}", task.attempt, task.task_id, task.source);
        write!(text, "{} {} ", paint.bold(&task.job_name), paint.dim(attempt))?;
    } else if line.level >= LogLevel::Debug {
        write!(text, "{} ", paint.dim(line.target))?;
    }
    write!(text, "{}", Visible(&line.message))?;
    for (name, value) in &line.fields {
        write!(text, " {}{}", paint.dim(format_args!("{name}=")), Shown(value))?;
    }
    Ok(())
}

/// A value: bare if it is one word, quoted otherwise.
struct Shown<'a>(&'a Value);

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::String(text) if is_word(text) => f.write_str(text),
            Value::String(text) => write!(f, "{text:?}"),
            other => write!(f, "{other}"),
        }
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '"')
}

/// A message whose control characters are escaped, so that it can neither start a line nor
/// command the terminal.
struct Visible<'a>(&'a str);

impl Display for Visible<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            if character.is_control() {
                write!(f, "{}", character.escape_debug())?;
            } else {
                f.write_char(character)?;
            }
        }
        Ok(())
    }
}

/// Colours, or none.
struct Paint(bool);

impl Paint {
    fn bold(&self, text: impl Display) -> impl Display {
        self.paint("1", text)
    }

    fn dim(&self, text: impl Display) -> impl Display {
        self.paint("2", text)
    }

    fn level(&self, level: LogLevel, text: impl Display) -> impl Display {
        let code = match level {
            LogLevel::Error => "31",
            LogLevel::Warn => "33",
            LogLevel::Info => "32",
            LogLevel::Debug => "34",
            LogLevel::Trace => "35",
        };
        self.paint(code, text)
    }

    fn paint(&self, code: &'static str, text: impl Display) -> impl Display {
        let colour = self.0;
        fmt::from_fn(move |f| {
            if colour { write!(f, "\x1b[{code}m{text}\x1b[0m") } else { write!(f, "{text}") }
        })
    }
}

#[cfg(test)]
mod tests {
    use values::{TaskId, Timestamp};

    use super::*;
    use crate::attempt::AttemptLog;

    fn task() -> TaskContext {
        TaskContext {
            job_name: "logs/process_log".parse().unwrap(),
            source: "scheduler".parse().unwrap(),
            task_id: TaskId::from_bytes([0; 16]),
            attempt: 2,
            log: AttemptLog::new(0),
        }
    }

    fn line(message: &str, fields: Vec<(&'static str, Value)>) -> Line {
        Line {
            at: Timestamp::from_micros(3_723_004_000),
            level: LogLevel::Info,
            target: "jobs::logs",
            message: message.to_owned(),
            fields,
        }
    }

    #[test]
    fn writes_flat_json_whose_names_are_unique() {
        let check = |fields, task: Option<&TaskContext>, expected: &str| {
            let bytes = json(&line("folded \"it\"\n", fields), task);
            let start = r#"{"timestamp":"1970-01-01T01:02:03.004Z","level":"info","target":"jobs::logs","message":"folded \"it\"\n""#;
            assert_eq!(String::from_utf8(bytes).unwrap(), format!("{start}{expected}}}\n"));
        };
        let task = task();
        let of_task = r#","job_name":"logs/process_log","source":"scheduler","task_id":"task_00000000000000000000000000","attempt":2"#;
        check(vec![("lines", 3.into())], None, r#","lines":3"#);
        check(vec![("lines", 3.into())], Some(&task), &format!(r#"{of_task},"lines":3"#));
        check(vec![("source", "api".into())], None, r#","source":"api""#);
        check(
            vec![("source", "api".into())],
            Some(&task),
            &format!(r#"{of_task},"event_source":"api""#),
        );
        check(vec![("level", 1.5.into())], None, r#","event_level":1.5"#);
    }

    #[test]
    fn writes_one_plain_line_for_people() {
        let check = |message: &str, fields, task: Option<&TaskContext>, expected: &str| {
            let bytes = pretty(&line(message, fields), task, false);
            assert_eq!(String::from_utf8(bytes).unwrap(), expected);
        };
        check(
            "log folded",
            vec![("lines", 3.into()), ("file", "a b".into()), ("name", "x".into())],
            Some(&task()),
            "01:02:03.004  INFO logs/process_log #2 task_00000000000000000000000000 scheduler \
             log folded lines=3 file=\"a b\" name=x\n",
        );
        check("two\nlines\x1b[2J", vec![], None, "01:02:03.004  INFO two\\nlines\\u{1b}[2J\n");
        check("", vec![("a", "".into())], None, "01:02:03.004  INFO  a=\"\"\n");
    }

    #[test]
    fn colours_only_when_asked() {
        let coloured = String::from_utf8(pretty(&line("x", vec![]), None, true)).unwrap();
        assert_eq!(coloured, "\x1b[2m01:02:03.004\x1b[0m \x1b[32m INFO\x1b[0m x\n");
    }
}
