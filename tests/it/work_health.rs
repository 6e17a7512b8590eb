//! What a worker tells about itself, and what it does when its database goes away.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use database::EngineKind;
use main_worker::bench::NoOp;
use rustix::process::Signal;
use tasks::TaskState;

use crate::site::{PATIENCE, Site, Worker};

/// How long a worker without a database is watched.
const WATCHED: Duration = Duration::from_secs(3);
/// Hundredths of a second that it may compute in that time: far from a busy loop.
const MAX_TICKS: u64 = 60;

/// Where the worker listens, as its log says.
pub(crate) fn address(worker: &Worker) -> String {
    let line = worker.says("serving /livez");
    let from = line.find("127.0.0.1:").unwrap();
    let rest = &line[from..];
    let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == ':'));
    rest[..end.unwrap_or(rest.len())].to_owned()
}

/// Status and body.
pub(crate) fn get(address: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: worker\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// User and system time of a process, in hundredths of a second.
fn cpu_ticks(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = text.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

async fn serves_health_and_metrics(engine: EngineKind) {
    let site = Site::on(engine).await;
    let mut worker = site.worker(&["--listen", "127.0.0.1:0"]);
    let address = address(&worker);
    assert_eq!(get(&address, "/livez"), (200, "ok\n".to_owned()));
    assert_eq!(get(&address, "/readyz"), (200, "ok\n".to_owned()));
    let task = site.enqueue(&NoOp { number: 1 }).await;
    site.until(task, |detail| detail.summary.state == TaskState::Completed).await;
    let counted = r#"main_worker_tasks_total{job_name="bench/no_op",source="operator",outcome="completed"} 1"#;
    let began = Instant::now();
    // The store has it before the worker counts it.
    let measured = "main_worker_outbox_depth 0";
    let shown = |body: &str| body.contains(counted) && body.contains(measured);
    while !shown(&get(&address, "/metrics").1) {
        assert!(began.elapsed() < PATIENCE, "{}", get(&address, "/metrics").1);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(get(&address, "/").0, 404);
    worker.signal(Signal::TERM);
    assert!(worker.ended().success(), "{}", worker.log());
}

#[tokio::test]
async fn a_deleted_database_is_told_and_does_not_keep_the_worker_busy() {
    let site = Site::new().await;
    let mut worker = site.worker(&["--listen", "127.0.0.1:0"]);
    let address = address(&worker);
    assert_eq!(get(&address, "/readyz").0, 200);
    for name in ["main.db", "main.db-wal", "main.db-shm"] {
        std::fs::remove_file(site.folder.path().join("home").join(name)).unwrap();
    }
    let (status, why) = get(&address, "/readyz");
    assert!(status == 503 && why.contains("main.db"), "{status} {why}");
    assert_eq!(get(&address, "/livez").0, 200);
    worker.says("the task store does not answer");
    let before = cpu_ticks(worker.pid());
    tokio::time::sleep(WATCHED).await;
    let ticks = cpu_ticks(worker.pid()) - before;
    assert!(ticks <= MAX_TICKS, "{ticks} hundredths of a second in {WATCHED:?}");
    let told = worker.log().matches("the task store does not answer").count();
    assert_eq!(told, 1, "{}", worker.log());
    worker.signal(Signal::TERM);
    worker.ended();
}

testkit::on_each_engine!(serves_health_and_metrics);

/// A request that does not come to its end costs its sender the connection, and nobody else.
#[tokio::test]
async fn whoever_holds_many_connections_shuts_nobody_out() {
    let site = Site::new().await;
    let mut worker = site.worker(&["--listen", "127.0.0.1:0"]);
    let address = address(&worker);
    let mut held: Vec<TcpStream> = Vec::new();
    for _ in 0..600 {
        let mut stream = TcpStream::connect(&address).unwrap();
        let part = "POST /hooks/publish HTTP/1.1\r\nhost: worker\r\ncontent-length: 9\r\n\r\nname";
        stream.write_all(part.as_bytes()).unwrap();
        held.push(stream);
    }
    for path in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(get(&address, path).0, 200, "{path}");
    }
    let mut last = held.pop().unwrap();
    last.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut told = String::new();
    last.read_to_string(&mut told).unwrap();
    assert!(told.starts_with("HTTP/1.1 408 "), "{told}");
    worker.signal(Signal::TERM);
    assert!(worker.ended().success(), "{}", worker.log());
}
