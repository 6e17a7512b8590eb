//! Where logs come from: `[domains.logs.log_sources.NAME]` in worker.toml.

use std::collections::BTreeMap;

use contract::logs::LogConfiguration;
use edge_logs::SourceFormat;
use objects::{Credentials, Location, ObjectError, ObjectStore};
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use values::{Classify, Retry, did_you_mean};

/// Bytes of a log source's name at the most: it is a label of every task about the source.
const NAME_BYTES_MAX: usize = 60;

/// The log sources by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct LogSources(BTreeMap<String, LogSource>);

/// One place that logs of one network are put into.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogSource {
    /// The network: `cloudfront` or `edgecast`.
    pub(crate) format: SourceFormat,
    /// A folder or `s3://BUCKET/PREFIX`.
    #[serde(deserialize_with = "location")]
    pub(crate) location: Location,
}

/// A payload names a log source that worker.toml does not.
#[derive(Debug, thiserror::Error)]
#[error("there is no log source `{name}`; {hint}")]
pub(crate) struct UnknownLogSource {
    name: String,
    hint: String,
}

impl LogSources {
    /// The names, sorted.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Finds a source by its name.
    pub(crate) fn find(&self, name: &str) -> Result<&LogSource, UnknownLogSource> {
        self.0.get(name).ok_or_else(|| {
            let hint = match did_you_mean(name, self.names()) {
                Some(near) => format!("did you mean `{near}`?"),
                None if self.0.is_empty() => {
                    "name it in worker.toml under [domains.logs.log_sources]".to_owned()
                }
                None => format!("worker.toml has {}", self.names().collect::<Vec<_>>().join(", ")),
            };
            let name = name.chars().take(NAME_BYTES_MAX).flat_map(char::escape_default).collect();
            UnknownLogSource { name, hint }
        })
    }
}

impl LogSource {
    /// Opens the place, with the keys that the configuration brings.
    pub(crate) async fn open(&self, config: &LogConfiguration) -> Result<ObjectStore, ObjectError> {
        let credentials = config.object_storage.as_ref().map(|keys| Credentials {
            access_key_id: keys.access_key_id.clone(),
            secret_access_key: keys.secret_access_key.clone(),
            session_token: keys.session_token.clone(),
        });
        ObjectStore::open(&self.location, credentials.as_ref()).await
    }
}

impl Classify for UnknownLogSource {
    fn retry(&self) -> Retry {
        Retry::Never
    }
}

impl<'de> Deserialize<'de> for LogSources {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let sources = BTreeMap::<String, LogSource>::deserialize(deserializer)?;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        let is_name = |name: &String| {
            (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_plain)
        };
        match sources.keys().find(|name| !is_name(name)) {
            None => Ok(Self(sources)),
            Some(name) => Err(D::Error::custom(format!(
                "`{}` cannot be the name of a log source; it takes 1 to {NAME_BYTES_MAX} letters, \
                 digits, `_`, `-` and `.`",
                name.escape_default()
            ))),
        }
    }
}

fn location<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Location, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<LogSources, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn reads_folders_and_buckets() {
        let json = r#"{"fml": {"format": "edgecast", "location": "logs"},
            "cdn": {"format": "cloudfront", "location": "s3://edge-logs/cf?region=eu-west-1"}}"#;
        let sources = read(json).unwrap();
        assert_eq!(sources.names().collect::<Vec<_>>(), ["cdn", "fml"]);
        assert!(sources.find("fml").unwrap().location.as_folder().is_some());
        assert_eq!(sources.find("cdn").unwrap().location.place(), "s3://edge-logs/cf");
    }

    #[test]
    fn refuses_what_cannot_be_a_source() {
        for (json, told) in [
            (r#"{"a b": {"format": "edgecast", "location": "logs"}}"#, "letters"),
            (r#"{"": {"format": "edgecast", "location": "logs"}}"#, "letters"),
            (r#"{"a": {"format": "akamai", "location": "logs"}}"#, "cloudfront"),
            (r#"{"a": {"format": "edgecast", "location": "ftp://x"}}"#, "not a location"),
            (r#"{"a": {"format": "edgecast", "location": "x", "prefix": "y"}}"#, "prefix"),
        ] {
            let error = read(json).unwrap_err();
            assert!(error.contains(told), "{json}: {error}");
        }
    }

    #[test]
    fn tells_which_source_was_meant() {
        let sources = read(r#"{"cloud": {"format": "cloudfront", "location": "x"}}"#).unwrap();
        let told = |name| sources.find(name).unwrap_err().to_string();
        assert_eq!(told("cluod"), "there is no log source `cluod`; did you mean `cloud`?");
        assert_eq!(told("\n"), "there is no log source `\\n`; worker.toml has cloud");
        let error = LogSources::default().find("cdn").unwrap_err().to_string();
        assert!(error.ends_with("name it in worker.toml under [domains.logs.log_sources]"));
    }
}
