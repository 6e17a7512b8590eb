//! Recordings of live streams become stored objects with a row in the catalogue.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use values::{ProjectId, RecordingId};

use crate::{
    Configuration, NoConfiguration, ObjectStorage, Origin, Payload, Section, SectionCheck,
};

/// What the archival jobs need to reach the store of recordings.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ArchivalConfiguration {
    /// Keys of the object storage; without them the machine's own identity is used.
    #[serde(default)]
    pub object_storage: Option<ObjectStorage>,
}

impl Configuration for ArchivalConfiguration {
    const SECTIONS: &'static [Section] = &[Section {
        name: "objectStorage",
        origin: Origin::Either,
        required: false,
        description: "accessKeyId and secretAccessKey of the bucket that holds the recordings",
        check: SectionCheck::of::<ObjectStorage>(),
    }];
}

/// Asks for one recorded file to be archived; names either `file` with its `host`, or `object`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "ArchiveRecordingFields", rename_all = "camelCase")]
pub struct ArchiveRecording {
    /// Absolute path of the file on `host`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The host that has the file; no other runs the task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Key of the file below `incoming`, a location of `[domains.archival]` in worker.toml.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// Name of the stream; taken from the file's name when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream_name: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ArchiveRecordingFields {
    /// Absolute path of the file on `host`.
    #[serde(default)]
    file: Option<String>,
    /// The host that has the file; no other runs the task.
    #[serde(default)]
    host: Option<String>,
    /// Key of the file below `incoming`, a location of `[domains.archival]` in worker.toml.
    #[serde(default)]
    object: Option<String>,
    /// Name of the stream; taken from the file's name when absent.
    #[serde(default)]
    stream_name: Option<String>,
}

impl TryFrom<ArchiveRecordingFields> for ArchiveRecording {
    type Error = &'static str;

    fn try_from(fields: ArchiveRecordingFields) -> Result<Self, Self::Error> {
        let ArchiveRecordingFields { file, host, object, stream_name } = fields;
        let has_nul = |text: &Option<String>| text.as_ref().is_some_and(|text| text.contains('\0'));
        if [&file, &host, &object, &stream_name].into_iter().any(has_nul) {
            return Err("a NUL character is part of no name");
        }
        match (&file, &host, &object) {
            (Some(file), Some(_), None) if !file.starts_with('/') => {
                Err("`file` must be an absolute path")
            }
            (Some(_), Some(host), None) if host.is_empty() => Err("`host` is empty"),
            (Some(_), Some(_), None) | (None, None, Some(_)) => {
                Ok(Self { file, host, object, stream_name })
            }
            (Some(_), None, None) => {
                Err("`file` needs `host`, the name of the host that has the file")
            }
            _ => Err("name either `file` with its `host`, or `object`"),
        }
    }
}

impl Payload for ArchiveRecording {
    const JOB: &'static str = "archival/archive_recording";
    const DESCRIPTION: &'static str =
        "Stores a recorded file as MP4 with a row in the catalogue, then removes the file";
    type Config = ArchivalConfiguration;

    fn example() -> Self {
        Self {
            file: Some("/var/recordings/k3yb0ard.20261031T220000.flv".to_owned()),
            host: Some("media-1".to_owned()),
            object: None,
            stream_name: None,
        }
    }

    fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }
}

/// Asks for a recording's customer to be told that it is ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AnnounceRecording {
    /// The recording.
    pub recording_id: RecordingId,
}

impl Payload for AnnounceRecording {
    const JOB: &'static str = "archival/announce_recording";
    const DESCRIPTION: &'static str =
        "Tells the customer's webhook, signed, that a recording is ready";
    type Config = NoConfiguration;

    fn example() -> Self {
        Self { recording_id: RecordingId::from_bytes([1; 16]) }
    }
}

/// Asks for a recording to be deleted: its object, then its place in the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeleteRecording {
    /// The recording.
    pub recording_id: RecordingId,
}

impl Payload for DeleteRecording {
    const JOB: &'static str = "archival/delete_recording";
    const DESCRIPTION: &'static str = "Deletes a recording's object, then marks its row";
    type Config = ArchivalConfiguration;

    fn example() -> Self {
        Self { recording_id: RecordingId::from_bytes([1; 16]) }
    }
}

/// Asks for stored objects to be compared with the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReconcileRecordings {
    /// The only project to look at; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<ProjectId>,
    /// Where to go on among the projects; set by the job itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<ProjectId>,
}

impl Payload for ReconcileRecordings {
    const JOB: &'static str = "archival/reconcile_recordings";
    const DESCRIPTION: &'static str =
        "Compares stored objects with the catalogue: adopts missing rows, reports missing objects";
    type Config = ArchivalConfiguration;

    fn example() -> Self {
        Self { project_id: None, after: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_a_file_of_a_host_or_an_object_and_nothing_in_between() {
        let read = |json: &str| serde_json::from_str::<ArchiveRecording>(json);
        let file = read(r#"{"file":"/a/b.flv","host":"m1","streamName":"b"}"#).unwrap();
        assert_eq!(file.host(), Some("m1"));
        assert_eq!(read(r#"{"object":"b.flv"}"#).unwrap().host(), None);
        for (json, told) in [
            (r#"{"file":"/a/b.flv"}"#, "needs `host`"),
            (r#"{"file":"b.flv","host":"m1"}"#, "absolute"),
            (r#"{"file":"/b.flv","host":""}"#, "empty"),
            (r#"{"file":"/b.flv","host":"m1","object":"b"}"#, "either"),
            (r#"{"object":"b","host":"m1"}"#, "either"),
            ("{}", "either"),
            (r#"{"object":"b\u0000"}"#, "NUL"),
            (r#"{"object":"b","path":"/a"}"#, "unknown field `path`"),
        ] {
            let error = read(json).unwrap_err().to_string();
            assert!(error.contains(told), "{json}: {error}");
        }
    }
}
