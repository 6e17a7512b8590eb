//! Stores a batch of lines: looks up all they refer to, refuses what does not fit, writes the rest.

use std::collections::{BTreeSet, HashMap};

use billing::{AccountPlans, Catalogue, PlanChange};
use database::{DbError, Tx};
use values::{AccountId, ProjectId, StreamId, Timestamp};

use super::line::{AccountLine, Fault, PlansLine, ProjectLine, Record, StreamLine};
use super::merge::Rows;
use super::{Counts, LineProblem};
use crate::{accounts, plans, projects, publishing, streams};

/// What became of a batch.
#[derive(Debug, Default)]
pub(super) struct Applied {
    pub(super) accepted: Counts,
    pub(super) unchanged: Counts,
    pub(super) problems: Vec<LineProblem>,
    /// Of lines that are stored: what a person should look at.
    pub(super) warnings: Vec<LineProblem>,
}

impl Applied {
    fn refuse(&mut self, line: u64, (field, message): Fault) {
        self.problems.push(LineProblem { line, field, message });
    }

    /// Warns of plans held now or later that are not sold: their months could not be billed.
    fn warn_of_unsold(
        &mut self,
        (line, account): (u64, &AccountLine),
        now: Timestamp,
        catalogue: &Catalogue,
    ) {
        let changes = account.plans.as_deref().unwrap_or_default();
        let begins = |plans: &&PlansLine| plans.from.or(account.created_at).unwrap_or(now);
        let held = changes.iter().filter(|plans| begins(plans) <= now).max_by_key(begins);
        let later = changes.iter().filter(|plans| begins(plans) > now);
        for plans in held.into_iter().chain(later) {
            let month = begins(&plans).max(now).month();
            let PlansLine { from: _, broadcast, peer } = plans.clone();
            let provider = account.billing_provider.as_str();
            let plans = AccountPlans { broadcast, peer };
            if let Err(error) = catalogue.hold(provider, &plans, month) {
                let (field, message) = (Some("plans".to_owned()), error.to_string());
                self.warnings.push(LineProblem { line, field, message });
            }
        }
    }

    fn count(&mut self, changes: bool) -> &mut Counts {
        if changes { &mut self.accepted } else { &mut self.unchanged }
    }
}

/// Stores lines as if one followed the other; each run of one kind takes a few statements.
pub(super) async fn apply(
    tx: &mut Tx<'_>,
    lines: &[(u64, Record)],
    now: Timestamp,
    catalogue: Option<&Catalogue>,
) -> Result<Applied, DbError> {
    // What is looked up must still be so when it is written.
    tx.lock("models: import").await?;
    let mut applied = Applied::default();
    for run in lines.chunk_by(|left, right| left.1.kind() == right.1.kind()) {
        let (mut of_accounts, mut of_projects, mut of_streams) = (vec![], vec![], vec![]);
        for (number, record) in run {
            match record {
                Record::Account(line) => of_accounts.push((*number, line)),
                Record::Project(line) => of_projects.push((*number, line)),
                Record::Stream(line) => of_streams.push((*number, line)),
            }
        }
        if !of_accounts.is_empty() {
            apply_accounts(tx, &of_accounts, (now, catalogue), &mut applied).await?;
        }
        if !of_projects.is_empty() {
            apply_projects(tx, &of_projects, now, &mut applied).await?;
        }
        if !of_streams.is_empty() {
            apply_streams(tx, &of_streams, now, &mut applied).await?;
        }
    }
    Ok(applied)
}

async fn apply_accounts(
    tx: &mut Tx<'_>,
    run: &[(u64, &AccountLine)],
    (now, catalogue): (Timestamp, Option<&Catalogue>),
    applied: &mut Applied,
) -> Result<(), DbError> {
    let ids: Vec<AccountId> = run.iter().map(|(_, line)| line.id).collect();
    let mut rows = Rows::new(accounts::find(&mut *tx, &ids).await?, |row| row.id);
    let held = plans::histories(&mut *tx, &ids).await?.into_iter();
    let held = held.flat_map(|(id, changes)| changes.into_iter().map(move |held| (id, held)));
    let mut held = Rows::new(held.collect(), |(id, held): &(AccountId, PlanChange)| (*id, held.at));
    for (number, line) in run {
        let row = line.merge(rows.get(line.id), now);
        let created_at = row.created_at;
        // Made now, it would be billed as a new customer, by days and from today on.
        let is_undated = line.created_at.is_none() && rows.get(line.id).is_none();
        let begins = line.plans.iter().flatten().filter_map(|plans| plans.from).min();
        if let Some(from) = begins.filter(|from| is_undated && *from < created_at) {
            let message = format!(
                "they begin at {from}, before the account, which is made now; give its createdAt"
            );
            applied.refuse(*number, (Some("plans".to_owned()), message));
            continue;
        }
        let mut changes = rows.put(line.id, row);
        for PlansLine { from, broadcast, peer } in line.plans.iter().flatten() {
            let at = from.unwrap_or(created_at);
            let plans = AccountPlans { broadcast: broadcast.clone(), peer: peer.clone() };
            changes |= held.put((line.id, at), (line.id, PlanChange { at, plans }));
        }
        applied.count(changes).accounts += 1;
        if let Some(catalogue) = catalogue {
            applied.warn_of_unsold((*number, line), now, catalogue);
        }
    }
    accounts::upsert_many(tx, &rows.into_changed()).await?;
    for (id, PlanChange { at, plans }) in held.into_changed() {
        plans::change(tx, id, at, &plans, "import").await?;
    }
    Ok(())
}

async fn apply_projects(
    tx: &mut Tx<'_>,
    run: &[(u64, &ProjectLine)],
    now: Timestamp,
    applied: &mut Applied,
) -> Result<(), DbError> {
    let ids: Vec<ProjectId> = run.iter().map(|(_, line)| line.id).collect();
    let owners: BTreeSet<AccountId> = run.iter().map(|(_, line)| line.account_id).collect();
    let keys: Vec<String> = run.iter().map(|(_, line)| line.public_key.clone()).collect();
    let mut rows = Rows::new(projects::find(&mut *tx, &ids).await?, |row| row.id);
    let owners = accounts::find(&mut *tx, &Vec::from_iter(owners)).await?;
    let owners: BTreeSet<AccountId> = owners.into_iter().map(|row| row.id).collect();
    let taken = projects::find_by_public_keys(&mut *tx, &keys).await?;
    let mut taken: HashMap<String, ProjectId> =
        taken.into_iter().map(|row| (row.public_key, row.id)).collect();
    for (number, line) in run {
        if !owners.contains(&line.account_id) {
            let message = format!("there is no account {}; import it before", line.account_id);
            applied.refuse(*number, (Some("accountId".to_owned()), message));
            continue;
        }
        if let Some(other) = taken.get(&line.public_key).filter(|other| **other != line.id) {
            let message = format!("`{}` is the key of {other}", line.public_key);
            applied.refuse(*number, (Some("publicKey".to_owned()), message));
            continue;
        }
        match line.merge(rows.get(line.id), now) {
            Ok(row) => {
                taken.insert(line.public_key.clone(), line.id);
                applied.count(rows.put(line.id, row)).projects += 1;
            }
            Err(fault) => applied.refuse(*number, fault),
        }
    }
    projects::upsert_many(tx, &rows.into_changed()).await
}

async fn apply_streams(
    tx: &mut Tx<'_>,
    run: &[(u64, &StreamLine)],
    now: Timestamp,
    applied: &mut Applied,
) -> Result<(), DbError> {
    let ids: Vec<StreamId> = run.iter().map(|(_, line)| line.id).collect();
    let owners: BTreeSet<ProjectId> = run.iter().filter_map(|(_, line)| line.project_id).collect();
    let names: Vec<String> = run.iter().map(|(_, line)| line.name.clone()).collect();
    let mut rows = Rows::new(streams::find(&mut *tx, &ids).await?, |row| row.id);
    let owners = projects::find(&mut *tx, &Vec::from_iter(owners)).await?;
    let owners: BTreeSet<ProjectId> = owners.into_iter().map(|row| row.id).collect();
    let taken = streams::find_by_names(&mut *tx, &names).await?;
    let mut taken: HashMap<String, StreamId> =
        taken.into_iter().map(|(name, stream)| (name, stream.id)).collect();
    let mut keys = Rows::new(publishing::keys(&mut *tx, &ids).await?, |(id, _)| *id);
    for (number, line) in run {
        if let Some(project) = line.project_id.filter(|project| !owners.contains(project)) {
            let message = format!("there is no project {project}; import it before");
            applied.refuse(*number, (Some("projectId".to_owned()), message));
            continue;
        }
        if let Some(other) = taken.get(&line.name).filter(|other| **other != line.id) {
            let message = format!("`{}` is the name of {other} for ever", line.name);
            applied.refuse(*number, (Some("name".to_owned()), message));
            continue;
        }
        match line.merge(rows.get(line.id), now) {
            Ok(row) => {
                taken.insert(line.name.clone(), line.id);
                let mut changes = rows.put(line.id, row);
                if let Some(key) = line.stream_key_sha256 {
                    changes |= keys.put(line.id, (line.id, key.0));
                }
                applied.count(changes).streams += 1;
            }
            Err(fault) => applied.refuse(*number, fault),
        }
    }
    streams::upsert_many(tx, &rows.into_changed()).await?;
    for (id, key) in keys.into_changed() {
        publishing::set_key(tx, id, key, now).await?;
    }
    Ok(())
}
