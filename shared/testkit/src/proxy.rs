//! A network that breaks on demand: a TCP proxy between a client and a server.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

const CHUNK_BYTES: usize = 16 * 1024;
const BACKLOG: u32 = 128;
/// Connections at a time; further ones wait in the backlog.
const CONNECTIONS_MAX: usize = 1_000;

/// A TCP proxy that can be cut, paused, slowed and broken mid-stream; ends when dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    doors: mpsc::Sender<(Door, oneshot::Sender<()>)>,
    weather: watch::Sender<Weather>,
    allowance: Allowance,
}

/// What the proxy does with the bytes of every connection.
#[derive(Debug, Clone, Copy, Default)]
struct Weather {
    paused: bool,
    delay: Duration,
}

#[derive(Debug, Clone, Copy)]
enum Door {
    Shut,
    Open,
}

impl Proxy {
    /// Starts a proxy on a free port of 127.0.0.1 that passes everything on to `target`.
    ///
    /// # Errors
    /// When there is no free port.
    pub async fn start(target: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (doors, requests) = mpsc::channel(1);
        let (weather, forecast) = watch::channel(Weather::default());
        let allowance = Allowance::default();
        let line = Line { target, forecast, allowance: allowance.clone() };
        tokio::spawn(keep_the_door(listener, address, requests, line));
        Ok(Self { address, doors, weather, allowance })
    }

    /// The address to connect to instead of the target's.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same as the start of an HTTP address: `http://127.0.0.1:PORT`.
    pub fn http(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Drops every connection and refuses new ones until [`Proxy::restore`].
    pub async fn cut(&self) {
        self.turn(Door::Shut).await;
    }

    /// Takes connections again after [`Proxy::cut`].
    pub async fn restore(&self) {
        self.turn(Door::Open).await;
    }

    /// Lets no byte through in either direction until [`Proxy::resume`]; connections stay open
    /// and new ones are taken.
    pub fn pause(&self) {
        self.weather.send_modify(|weather| weather.paused = true);
    }

    /// Lets bytes flow again after [`Proxy::pause`].
    pub fn resume(&self) {
        self.weather.send_modify(|weather| weather.paused = false);
    }

    /// Holds every piece (at most 16 KiB) back for `delay`, in both directions.
    pub fn delay(&self, delay: Duration) {
        self.weather.send_modify(|weather| weather.delay = delay);
    }

    /// Lets `bytes` more bytes through from the server to its clients, over all connections, then
    /// drops the connection that carried the last one. Happens once; new connections are taken.
    pub fn cut_after(&self, bytes: u64) {
        *self.allowance.lock() = Some(bytes);
    }

    async fn turn(&self, door: Door) {
        let (done, is_done) = oneshot::channel();
        self.doors.send((door, done)).await.expect("the proxy runs as long as its value");
        is_done.await.expect("the proxy answers every request");
    }
}

/// How many more bytes may pass to clients; `None` for any number.
#[derive(Debug, Clone, Default)]
struct Allowance(Arc<Mutex<Option<u64>>>);

impl Allowance {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes up to `wanted` bytes; the second value is false if the connection ends after them.
    fn take(&self, wanted: usize) -> (usize, bool) {
        let mut left = self.lock();
        match *left {
            None => (wanted, true),
            Some(bytes) if bytes > wanted as u64 => {
                *left = Some(bytes - wanted as u64);
                (wanted, true)
            }
            Some(bytes) => {
                *left = None;
                (usize::try_from(bytes).expect("is at most `wanted`"), false)
            }
        }
    }
}

#[derive(Debug, Clone)]
struct Line {
    target: SocketAddr,
    forecast: watch::Receiver<Weather>,
    allowance: Allowance,
}

/// Accepts connections, and shuts and opens the door when told to.
async fn keep_the_door(
    listener: TcpListener,
    address: SocketAddr,
    mut requests: mpsc::Receiver<(Door, oneshot::Sender<()>)>,
    line: Line,
) {
    let mut connections = JoinSet::new();
    let mut open = Some(listener);
    // Bound but not listening: the kernel refuses connections and gives the port to nobody else.
    let mut shut: Option<TcpSocket> = None;
    loop {
        let listening = open.as_ref().filter(|_| connections.len() < CONNECTIONS_MAX);
        let accept = async {
            match listening {
                Some(listener) => listener.accept().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            request = requests.recv() => {
                let Some((door, done)) = request else { return };
                match door {
                    Door::Shut => {
                        drop(open.take());
                        connections.shutdown().await;
                        shut.get_or_insert_with(|| hold(address));
                    }
                    Door::Open => {
                        if let Some(socket) = shut.take() {
                            open = Some(socket.listen(BACKLOG).expect("the port was held"));
                        }
                    }
                }
                done.send(()).expect("whoever asked waits for the answer");
            }
            accepted = accept => {
                if let Ok((client, _)) = accepted {
                    connections.spawn(carry(client, line.clone()));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

fn hold(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().expect("a socket can be made");
    socket.set_reuseaddr(true).expect("a new socket takes options");
    socket.bind(address).expect("the port was ours a moment ago");
    socket
}

/// Carries the bytes of one connection until either side ends it.
async fn carry(client: TcpStream, line: Line) -> io::Result<()> {
    let server = TcpStream::connect(line.target).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let up = pump(from_client, to_server, line.forecast.clone(), None);
    let down = pump(from_server, to_client, line.forecast, Some(line.allowance));
    // A side that ends its half in order leaves the other running; an error ends both.
    tokio::try_join!(up, down)?;
    Ok(())
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut forecast: watch::Receiver<Weather>,
    allowance: Option<Allowance>,
) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let filled = from.read(&mut chunk).await?;
        let delay = forecast.borrow().delay;
        tokio::time::sleep(delay).await;
        forecast.wait_for(|weather| !weather.paused).await.map_err(io::Error::other)?;
        if filled == 0 {
            return to.shutdown().await;
        }
        let (passed, go_on) =
            allowance.as_ref().map_or((filled, true), |allowance| allowance.take(filled));
        to.write_all(&chunk[..passed]).await?;
        if !go_on {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tokio::time::timeout;

    use super::*;

    const SOON: Duration = Duration::from_millis(200);
    const WITHIN: Duration = Duration::from_secs(10);

    /// A server that sends back what it gets.
    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    tokio::io::copy(&mut from, &mut to).await
                });
            }
        });
        address
    }

    async fn say(stream: &mut TcpStream, text: &[u8]) -> io::Result<Vec<u8>> {
        stream.write_all(text).await?;
        let mut answer = vec![0; text.len()];
        stream.read_exact(&mut answer).await?;
        Ok(answer)
    }

    #[tokio::test]
    async fn cuts_and_restores() {
        let proxy = Proxy::start(echo().await).await.unwrap();
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(say(&mut stream, b"hello").await.unwrap(), b"hello");
        for _ in 0..3 {
            proxy.cut().await;
            assert!(timeout(WITHIN, say(&mut stream, b"hello")).await.unwrap().is_err());
            let refused = TcpStream::connect(proxy.address()).await.unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
            proxy.cut().await;
            proxy.restore().await;
            stream = TcpStream::connect(proxy.address()).await.unwrap();
            assert_eq!(say(&mut stream, b"again").await.unwrap(), b"again");
        }
    }

    #[tokio::test]
    async fn holds_bytes_back_while_paused_and_loses_none() {
        let proxy = Proxy::start(echo().await).await.unwrap();
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        proxy.pause();
        stream.write_all(b"hello").await.unwrap();
        let mut answer = [0; 5];
        assert!(timeout(SOON, stream.read_exact(&mut answer)).await.is_err());
        proxy.resume();
        timeout(WITHIN, stream.read_exact(&mut answer)).await.unwrap().unwrap();
        assert_eq!(&answer, b"hello");

        proxy.delay(SOON);
        let started = Instant::now();
        say(&mut stream, b"slow").await.unwrap();
        assert!(started.elapsed() >= SOON * 2, "{:?}", started.elapsed());
    }

    #[tokio::test]
    async fn breaks_off_after_so_many_bytes_once() {
        let proxy = Proxy::start(echo().await).await.unwrap();
        proxy.cut_after(40_000);
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        let (mut from, mut to) = stream.split();
        let body = vec![7; 100_000];
        let send = async { to.write_all(&body).await.ok() };
        let mut answer = Vec::new();
        let receive = async { from.read_to_end(&mut answer).await.ok() };
        timeout(WITHIN, async { tokio::join!(send, receive) }).await.unwrap();
        assert_eq!(answer.len(), 40_000);

        let mut next = TcpStream::connect(proxy.address()).await.unwrap();
        let long = vec![9; 100_000];
        assert_eq!(say(&mut next, &long).await.unwrap(), long);
    }
}
