//! Accounts, projects and streams of an invented company.

use edge_logs::sample::SampleStream;
use serde_json::{Value, json};
use values::{AccountId, ProjectId, StreamId, Timestamp};

/// The instance all streams live on.
const INSTANCE: &str = "cines";
/// Streams of each project.
const STREAMS_PER_PROJECT: usize = 3;
/// Each account with its projects.
const ACCOUNTS: [(&str, &[&str]); 12] = [
    ("Otter Lane", &["Morning Show", "Archive", "Kitchen"]),
    ("Birch Harbor", &["Harbor Cam", "Sailing School"]),
    ("Paper Kite", &["Craft Hour", "Workshop"]),
    ("Quiet Mile", &["Running Club"]),
    ("Granite Choir", &["Rehearsals", "Concerts"]),
    ("Lantern Yard", &["Garden Live"]),
    ("Blue Ferry", &["Town Hall", "Ferry Cam"]),
    ("Maple Radio", &["Night Talk"]),
    ("Copper Finch", &["Bird Feeder", "Nest Box"]),
    ("Slow River", &["Yoga at Eight"]),
    ("Tin Observatory", &["Night Sky", "Lectures"]),
    ("Open Barn", &["Market Day"]),
];

/// An invented company.
#[derive(Debug, Clone)]
pub struct Company {
    made_at: Timestamp,
    accounts: Vec<(AccountId, &'static str)>,
    /// Each project's account, by index.
    projects: Vec<(ProjectId, usize, &'static str, String)>,
    /// Each stream's project, by index.
    streams: Vec<(StreamId, usize, String)>,
}

impl Company {
    /// Invents the company; the same instant gives the same company.
    pub fn new(made_at: Timestamp) -> Self {
        let mut company =
            Self { made_at, accounts: Vec::new(), projects: Vec::new(), streams: Vec::new() };
        for (number, (name, projects)) in ACCOUNTS.into_iter().enumerate() {
            company.accounts.push((AccountId::new(made_at, random(b'a', number)), name));
            for project in projects {
                company.add_project(number, project);
            }
        }
        company
    }

    fn add_project(&mut self, account: usize, name: &'static str) {
        let number = self.projects.len();
        let key = hexadecimal(&[&random(b'k', number)[..], &[0x5e, 0xed, 0, 0, 0, 0]].concat());
        let id = ProjectId::new(self.made_at, random(b'p', number));
        self.projects.push((id, account, name, key));
        for _ in 0..STREAMS_PER_PROJECT {
            let number = self.streams.len();
            let id = StreamId::new(self.made_at, random(b's', number));
            // Some stream names end like a timestamp; the logs' reader must not cut those.
            let name = if number % 10 == 7 {
                format!("pool_{:04}", 2_000 + number)
            } else {
                format!("demo{:02}x{:03}", account + 1, number * 37 % 1_000)
            };
            self.streams.push((id, self.projects.len() - 1, name));
        }
    }

    /// The company in the format of `main-worker import`.
    pub fn json_lines(&self) -> String {
        let accounts = self.accounts.iter().map(|(id, name)| {
            let word = name.to_lowercase().replace(' ', "-");
            json!({ "kind": "account", "id": id, "name": name, "billingProvider": "cine.io",
                "billingEmail": format!("bills@{word}.example") })
        });
        let projects = self.projects.iter().map(|(id, account, name, key)| {
            let account = self.accounts[*account].0;
            json!({ "kind": "project", "id": id, "accountId": account, "name": name, "publicKey": key })
        });
        let streams = self.streams.iter().map(|(id, project, name)| {
            let project = self.projects[*project].0;
            json!({ "kind": "stream", "id": id, "projectId": project, "name": name,
                "instanceName": INSTANCE, "record": true })
        });
        let lines: Vec<Value> = accounts.chain(projects).chain(streams).collect();
        let mut text = String::new();
        for line in lines {
            text.push_str(&line.to_string());
            text.push('\n');
        }
        text
    }

    /// Who is watched, in an order in which those in front are watched more.
    pub fn watched(&self) -> Vec<SampleStream<'_>> {
        self.streams
            .iter()
            .map(|(_, project, name)| SampleStream {
                instance: INSTANCE,
                name,
                public_key: &self.projects[*project].3,
            })
            .collect()
    }

    /// The account of a watched stream, by the stream's index.
    pub fn account_of(&self, stream: usize) -> AccountId {
        self.accounts[self.projects[self.streams[stream].1].1].0
    }

    /// The number of projects of an account.
    pub fn projects_of(&self, account: AccountId) -> usize {
        let is_its =
            |project: &&(ProjectId, usize, &str, String)| self.accounts[project.1].0 == account;
        self.projects.iter().filter(is_its).count()
    }

    /// How many accounts, projects and streams there are.
    pub fn counts(&self) -> (usize, usize, usize) {
        (self.accounts.len(), self.projects.len(), self.streams.len())
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    let digit = |bits: u8| char::from_digit(u32::from(bits), 16).expect("below 16");
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Ten bytes that differ for each kind and number.
fn random(kind: u8, number: usize) -> [u8; 10] {
    let mut bytes = [kind; 10];
    let number = u64::try_from(number).expect("a small number") + 1;
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bytes[2..].copy_from_slice(&mixed.to_be_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn is_a_company_of_the_promised_size_without_two_of_anything() {
        let company = Company::new(Timestamp::from_seconds(1_790_000_000));
        assert_eq!(company.counts(), (12, 20, 60));
        let watched = company.watched();
        let names: BTreeSet<&str> = watched.iter().map(|stream| stream.name).collect();
        let keys: BTreeSet<&str> = watched.iter().map(|stream| stream.public_key).collect();
        assert_eq!((names.len(), keys.len()), (60, 20));
        assert!(keys.iter().all(|key| key.len() == 32), "{keys:?}");
        let ids: BTreeSet<String> = company
            .json_lines()
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].to_string())
            .collect();
        assert_eq!(ids.len(), 92);
        assert_eq!(company.projects_of(company.account_of(0)), 3);
    }
}
