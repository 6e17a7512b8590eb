//! Others use up all connections of the server.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use database::{Db, PostgresSettings, Query};
use testkit::{PostgresServer, Profile};
use values::Secret;

use super::ground::{Ground, clean};
use super::load::Load;
use super::{size, tell};

/// What the worker says.
const TOLD: &str = "no connection left; raise its max_connections";
const MAX_CONNECTIONS: &str = "60";
/// Workers that come back are sent away again so often.
const ROUNDS: u32 = 5;
/// Version 3.0 of the protocol.
const PROTOCOL: u32 = 3 << 16;

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_survives_that_the_server_takes_no_more_connections() {
    let (times, seconds, per_second) = size((1, 7, 100), (8, 10, 500));
    let options = PostgresServer::options(Profile::Durable)
        .set("max_connections", MAX_CONNECTIONS)
        .set("superuser_reserved_connections", "0");
    let mut ground = Ground::new(options).await;
    ground.hire(&[]);
    ground.hire(&[]);
    let load = Load::start(&ground.site, per_second);
    for _ in 0..times {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let greedy = all_connections(&ground.server).await;
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        drop(greedy);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (accepted, _) = load.end().await;
    let found = clean(&ground.ends(&accepted).await);
    let log = ground.logs();
    assert!(log.contains(TOLD), "{log}");
    assert!(!log.contains("panicked"), "{log}");
    tell(&format!("no connection left for {seconds} s, {times} times"), &found);
}

/// Takes every connection there is; those of the workers are ended first.
async fn all_connections(server: &PostgresServer) -> Vec<TcpStream> {
    let usual = PostgresSettings::new(Secret::new(server.url("postgres")));
    let settings = PostgresSettings { max_connections: 1, ..usual };
    let db = Db::open_postgres(&settings).await.unwrap();
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                WHERE datname <> 'postgres' AND backend_type = 'client backend'";
    let mut taken = Vec::new();
    for _ in 0..ROUNDS {
        db.all(Query::new(end)).await.unwrap();
        while let Some(connection) = connection(server.address()) {
            taken.push(connection);
        }
    }
    taken
}

/// Takes a connection; `None` if the server has none left.
fn connection(address: SocketAddr) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(address).unwrap();
    let words = b"user\0postgres\0database\0postgres\0\0";
    let length = u32::try_from(words.len() + 8).unwrap();
    let message = [&length.to_be_bytes(), &PROTOCOL.to_be_bytes(), &words[..]].concat();
    stream.write_all(&message).unwrap();
    let mut kind = [0];
    stream.read_exact(&mut kind).unwrap();
    // It lets one in (R) or refuses (E).
    (kind == [b'R']).then_some(stream)
}
