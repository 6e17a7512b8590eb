//! A line and the row that is there become the row that should be there.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use values::Timestamp;

use super::line::{AccountLine, Fault, ProjectLine, StreamLine};
use crate::{Account, Project, Stream};

/// The rows a run of lines is about: as found, and those that lines have changed since.
#[derive(Debug)]
pub(super) struct Rows<Id, R> {
    known: HashMap<Id, R>,
    changed: BTreeMap<Id, R>,
}

impl<Id: Copy + Ord + Hash, R: PartialEq> Rows<Id, R> {
    pub(super) fn new(found: Vec<R>, id: impl Fn(&R) -> Id) -> Self {
        let known = found.into_iter().map(|row| (id(&row), row)).collect();
        Self { known, changed: BTreeMap::new() }
    }

    pub(super) fn get(&self, id: Id) -> Option<&R> {
        self.changed.get(&id).or_else(|| self.known.get(&id))
    }

    /// Takes a row; tells whether it differs from the one before.
    pub(super) fn put(&mut self, id: Id, row: R) -> bool {
        let changes = self.get(id) != Some(&row);
        if changes {
            self.changed.insert(id, row);
        }
        changes
    }

    /// The rows to be written, in the order of their ids.
    pub(super) fn into_changed(self) -> Vec<R> {
        self.changed.into_values().collect()
    }
}

impl AccountLine {
    /// Lines say everything but their times, which stay as they are when left out.
    pub(super) fn merge(&self, before: Option<&Account>, now: Timestamp) -> Account {
        let (created_at, updated_at) = times(
            (self.created_at, self.updated_at),
            before.map(|row| (row.created_at, row.updated_at)),
            now,
        );
        let mut row = Account {
            id: self.id,
            name: self.name.clone(),
            billing_email: self.billing_email.clone(),
            billing_provider: self.billing_provider,
            unthrottleable: self.unthrottleable,
            throttled_at: self.throttled_at,
            throttled_reason: self.throttled_reason,
            created_at,
            updated_at,
            deleted_at: self.deleted_at,
        };
        if self.updated_at.is_none() && before.is_some_and(|before| *before != row) {
            row.updated_at = now;
        }
        row
    }
}

impl ProjectLine {
    pub(super) fn merge(&self, before: Option<&Project>, now: Timestamp) -> Result<Project, Fault> {
        if let Some(before) = before {
            if before.account_id != self.account_id {
                let message = format!("this project is of {} and stays there", before.account_id);
                return Err((Some("accountId".to_owned()), message));
            }
            if before.public_key != self.public_key {
                let message = format!("this project keeps its key `{}`", before.public_key);
                return Err((Some("publicKey".to_owned()), message));
            }
        }
        let (created_at, updated_at) = times(
            (self.created_at, self.updated_at),
            before.map(|row| (row.created_at, row.updated_at)),
            now,
        );
        let mut row = Project {
            id: self.id,
            account_id: self.account_id,
            name: self.name.clone(),
            public_key: self.public_key.clone(),
            created_at,
            updated_at,
            deleted_at: self.deleted_at,
        };
        if self.updated_at.is_none() && before.is_some_and(|before| *before != row) {
            row.updated_at = now;
        }
        Ok(row)
    }
}

impl StreamLine {
    pub(super) fn merge(&self, before: Option<&Stream>, now: Timestamp) -> Result<Stream, Fault> {
        let project_before = before.and_then(|before| before.project_id);
        if let Some(before) = before
            && before.name != self.name
        {
            let message = format!("this stream is called `{}` for ever", before.name);
            return Err((Some("name".to_owned()), message));
        }
        if let Some(project) = project_before
            && self.project_id != Some(project)
        {
            let message = format!("this stream is of {project} and stays there");
            return Err((Some("projectId".to_owned()), message));
        }
        let (created_at, updated_at) = times(
            (self.created_at, self.updated_at),
            before.map(|row| (row.created_at, row.updated_at)),
            now,
        );
        let handed_out = match project_before {
            Some(_) => before.and_then(|before| before.assigned_at),
            None => self.project_id.map(|_| now),
        };
        let mut row = Stream {
            id: self.id,
            project_id: self.project_id,
            name: self.name.clone(),
            instance_name: self.instance_name.clone(),
            record: self.record,
            assigned_at: self.assigned_at.or(handed_out),
            created_at,
            updated_at,
            deleted_at: self.deleted_at,
        };
        if self.updated_at.is_none() && before.is_some_and(|before| *before != row) {
            row.updated_at = now;
        }
        Ok(row)
    }
}

/// When a row was made and last changed: as given, else as before, else now.
fn times(
    (created, updated): (Option<Timestamp>, Option<Timestamp>),
    before: Option<(Timestamp, Timestamp)>,
    now: Timestamp,
) -> (Timestamp, Timestamp) {
    let created = created.or(before.map(|(created, _)| created)).unwrap_or(now);
    let updated = updated.or(before.map(|(_, updated)| updated)).unwrap_or(created);
    (created, updated)
}
