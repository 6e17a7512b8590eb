//! A server on the same machine, reached by its socket.

use std::os::unix::fs::PermissionsExt as _;

use database::Query;
use testkit::{PostgresServer, Profile};

use crate::support::{open, settings};

#[tokio::test]
async fn a_server_is_reached_by_its_socket() {
    // In the shortest folder there is: the path of a socket has 107 bytes at the most.
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let path = folder.path().to_str().unwrap();
    let server = PostgresServer::options(Profile::Fast).set("unix_socket_directories", path);
    let server = server.start().await.unwrap();
    let port = server.address().port();
    let url = format!("postgres://postgres@{}:{port}/postgres", path.replace('/', "%2F"));
    assert_eq!(settings(&url).shown().unwrap(), format!("{path}:{port}/postgres"));
    let db = open(&url).await.unwrap();
    assert!(!db.is_pooled());
    let from = Query::new("SELECT CASE WHEN inet_client_addr() IS NULL THEN 'socket' END");
    let from: Option<String> = db.first(from).await.unwrap().unwrap().get(0).unwrap();
    assert_eq!(from.as_deref(), Some("socket"));
    let mut listener = db.listen("told").await.unwrap().unwrap();
    db.notify("told").await.unwrap();
    assert!(listener.wait(crate::support::WITHIN).await.unwrap());
}
