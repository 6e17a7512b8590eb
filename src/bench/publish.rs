//! How soon a publisher is answered.

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Result, ensure};
use aws_lc_rs::digest::{SHA256, digest};
use models::publishing;
use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::usage::{NOW, company, stream_id};
use super::{Scratch, micros, open, percentile};
use crate::work::publish;

/// Streams that are asked for, one after the other.
const STREAMS: u32 = 10_000;
/// Requests before the measured ones.
const WARM_UP: u64 = 200;
/// Bytes of an answer at the most.
const ANSWER_BYTES_MAX: usize = 4_096;

/// What was measured, microseconds.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PublishReport {
    /// Requests, one after the other over one connection.
    pub requests: u64,
    /// Half of the answers came so soon.
    pub answer_p50_us: u64,
    /// 99 of 100 did.
    pub answer_p99_us: u64,
    /// The slowest.
    pub answer_max_us: u64,
}

/// Asks `requests` times whether someone may publish one of 10,000 streams, over HTTP.
pub async fn publish_checks(scratch: &Scratch, requests: u64) -> Result<PublishReport> {
    let app = open(scratch).await?;
    models::SCHEMA.migrate(&app.db, NOW).await?;
    company(&app.db, STREAMS).await?;
    let mut work = app.db.begin().await?;
    for number in 0..STREAMS {
        let key = digest(&SHA256, key(number).as_bytes());
        let key = key.as_ref().try_into().expect("SHA-256 has 32 bytes");
        publishing::set_key(&mut work.tx(), stream_id(number), key, NOW).await?;
    }
    work.commit().await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let router = publish::route(&app).into_make_service_with_connect_info::<SocketAddr>();
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    let mut connection = TcpStream::connect(address).await?;
    connection.set_nodelay(true)?;
    let mut times = Vec::new();
    for number in 0..WARM_UP + requests {
        // Far from the one before, so that no cache of the database helps.
        let stream = u32::try_from(number.wrapping_mul(7_919) % u64::from(STREAMS))?;
        let began = Instant::now();
        let answer = ask(&mut connection, stream).await?;
        if number >= WARM_UP {
            times.push(micros(began.elapsed()));
        }
        ensure!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    server.abort();
    times.sort_unstable();
    Ok(PublishReport {
        requests,
        answer_p50_us: percentile(&times, 50),
        answer_p99_us: percentile(&times, 99),
        answer_max_us: percentile(&times, 100),
    })
}

fn key(number: u32) -> String {
    format!("key-of-stream-{number}")
}

async fn ask(connection: &mut TcpStream, stream: u32) -> Result<String> {
    let form = format!("call=publish&app=live&name=stream{stream}&key={}", key(stream));
    let request = format!(
        "POST /hooks/publish HTTP/1.1\r\nhost: worker\r\ncontent-length: {}\r\n\r\n{form}",
        form.len()
    );
    connection.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    let mut part = [0; ANSWER_BYTES_MAX];
    // The answer is one word, which every answer of this door ends with.
    while !answer.ends_with(b"allowed") {
        let read = connection.read(&mut part).await?;
        answer.extend_from_slice(&part[..read]);
        ensure!(
            read > 0 && answer.len() <= ANSWER_BYTES_MAX,
            "{}",
            String::from_utf8_lossy(&answer)
        );
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
