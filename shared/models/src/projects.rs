//! Projects of accounts.

use database::{DbError, Query, Row, Tx};
use values::{AccountId, ProjectId, Timestamp};

use crate::usage::mark_project;
use crate::{Reader, batch};

/// A project of an account. Its account and its public key never change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// Its id.
    pub id: ProjectId,
    /// Whose it is.
    pub account_id: AccountId,
    /// Its name.
    pub name: String,
    /// What players name it by; unique.
    pub public_key: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When it was deleted; rows stay, and its bandwidth still counts.
    pub deleted_at: Option<Timestamp>,
}

/// Stores projects; one that is there already keeps its account and public key.
///
/// # Errors
/// [`DbError::Constraint`] for an account that is not there and a public key that is taken.
pub async fn upsert_many(tx: &mut Tx<'_>, projects: &[Project]) -> Result<(), DbError> {
    let into = "INSERT INTO project
      (id, account_id, name, public_key, created_at, updated_at, deleted_at) VALUES";
    let conflict = "ON CONFLICT (id) DO UPDATE SET name = excluded.name,
      created_at = excluded.created_at, updated_at = excluded.updated_at,
      deleted_at = excluded.deleted_at";
    let projects = batch::last_of_each(projects, |project| project.id);
    batch::insert(tx, into, conflict, &projects, |project| {
        [
            project.id.into(),
            project.account_id.into(),
            project.name.as_str().into(),
            project.public_key.as_str().into(),
            project.created_at.into(),
            project.updated_at.into(),
            project.deleted_at.into(),
        ]
    })
    .await?;
    for project in projects {
        if let Some(at) = project.deleted_at {
            mark_project(tx, project.id, at).await?;
        }
    }
    Ok(())
}

/// Finds the projects of these ids, deleted ones too, in no order.
pub async fn find(mut reader: impl Reader, ids: &[ProjectId]) -> Result<Vec<Project>, DbError> {
    let sql = (
        "SELECT id, account_id, name, public_key, created_at, updated_at, deleted_at
           FROM project WHERE id IN",
        "",
    );
    let rows = batch::select_in(&mut reader, sql, &[], ids, |id| *id).await?;
    rows.iter().map(read).collect()
}

/// Finds one project, deleted or not.
pub async fn get(reader: impl Reader, id: ProjectId) -> Result<Option<Project>, DbError> {
    Ok(find(reader, &[id]).await?.pop())
}

/// Finds the projects of these public keys, deleted ones too, in no order.
pub async fn find_by_public_keys(
    mut reader: impl Reader,
    public_keys: &[String],
) -> Result<Vec<Project>, DbError> {
    let sql = (
        "SELECT id, account_id, name, public_key, created_at, updated_at, deleted_at
           FROM project WHERE public_key IN",
        "",
    );
    let key = |key: &String| key.clone();
    let rows = batch::select_in(&mut reader, sql, &[], public_keys, key).await?;
    rows.iter().map(read).collect()
}

/// Reads at most `limit` projects, deleted ones too, in the order of their ids after `after`.
pub async fn page(
    mut reader: impl Reader,
    after: Option<ProjectId>,
    limit: u32,
) -> Result<Vec<Project>, DbError> {
    let query = Query::new(
        "SELECT id, account_id, name, public_key, created_at, updated_at, deleted_at
           FROM project WHERE id > $1 ORDER BY id LIMIT $2",
    );
    let after = after.map_or_else(Vec::new, |id| id.as_bytes().to_vec());
    let rows = reader.all(query.bind(after).bind(limit)).await?;
    rows.iter().map(read).collect()
}

fn read(row: &Row) -> Result<Project, DbError> {
    Ok(Project {
        id: row.get(0)?,
        account_id: row.get(1)?,
        name: row.get(2)?,
        public_key: row.get(3)?,
        created_at: row.get(4)?,
        updated_at: row.get(5)?,
        deleted_at: row.get(6)?,
    })
}
