//! A running example with a folder of its own.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use api::{Api, Place};
use database::{Db, EngineKind, Query};
use envelope::{Algorithm, KeyFile};
use serde_json::{Value, json};
use tasks::{PostgresStore, SqliteStore, TaskStore};
use tempfile::TempDir;
use testkit::{Inbox, TestClock, TestDb};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use values::{Secret, Timestamp};

/// Rules under which the API may ask for the jobs named.
pub(crate) fn manifest(jobs: &str) -> String {
    format!("[sources.api]\njobs = [{jobs}]\n\n[jobs.\"usage/roll_up_usage\"]\n")
}

/// Writes what the API is handed: a key of its own.
fn write_key(path: &Path) {
    let made_at = Timestamp::from_seconds(1_790_000_000);
    let mut keys = KeyFile::default();
    keys.add_proof_key(&"api".parse().unwrap(), Algorithm::Mac, "api-1", made_at).unwrap();
    let secret = keys.secret_text("api-1").unwrap();
    let file =
        json!({"id": "api-1", "source": "api", "algorithm": "mac", "secret": secret.expose()});
    std::fs::write(path, file.to_string()).unwrap();
}

pub(crate) struct Server {
    address: SocketAddr,
    pub(crate) db: Db,
    pub(crate) inbox: Inbox,
    _home: TempDir,
    _database: Option<TestDb>,
}

impl Server {
    pub(crate) async fn start(engine: EngineKind, manifest: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let key_file = home.path().join("api-1.json");
        write_key(&key_file);
        let database = match engine {
            EngineKind::Sqlite => None,
            EngineKind::Postgres => Some(TestDb::new(engine, "tasks", &[tasks::SCHEMA]).await),
        };
        let url = database.as_ref().and_then(TestDb::url).map(|url| Secret::new(url.to_owned()));
        let place = url.as_ref().map_or(Place::Folder(home.path()), Place::Server);
        let api = Api::open(place, &key_file, manifest).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(api::serve(listener, api));
        // Another process would look at the store in the same way, later.
        let clock = Arc::new(TestClock::default());
        clock.set("2100-01-01T00:00:00Z".parse().unwrap());
        let (db, store): (Db, Arc<dyn TaskStore>) = match &database {
            None => {
                let db = Db::open_sqlite(&home.path().join("main.db")).await.unwrap();
                (db.clone(), Arc::new(SqliteStore::open(db, clock).await.unwrap()))
            }
            Some(database) => {
                let db = database.db.clone();
                (db.clone(), Arc::new(PostgresStore::open(db, clock).await.unwrap()))
            }
        };
        Self { address, db, inbox: Inbox::new(store), _home: home, _database: database }
    }

    /// Posts an order; returns the status and the body.
    pub(crate) async fn order(&self, body: &str) -> (u16, Value) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!(
            "POST /statements HTTP/1.1\r\nhost: api\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap())
    }

    /// Request id, month and task of each order, sorted.
    pub(crate) async fn orders(&self) -> Vec<(String, String, String)> {
        let query = "SELECT request_id, month, task_id FROM statement_order ORDER BY request_id";
        let rows = self.db.all(Query::new(query)).await.unwrap();
        let read =
            |row: &database::Row| (row.get(0).unwrap(), row.get(1).unwrap(), row.get(2).unwrap());
        rows.iter().map(read).collect()
    }
}
