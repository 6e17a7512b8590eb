//! Free ports.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use tokio::net::TcpSocket;

/// A port kept for one server, also while that is down: bound, but not listened on.
///
/// Connections to it are refused, the kernel gives it to nobody else, and a server that sets
/// `SO_REUSEADDR`, as all do, can still listen on it.
#[derive(Debug)]
pub(crate) struct KeptPort {
    _socket: TcpSocket,
    pub(crate) address: SocketAddr,
}

impl KeptPort {
    /// Asks the kernel for a free port of 127.0.0.1 and keeps it until dropped.
    pub(crate) fn choose() -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
        let address = socket.local_addr()?;
        Ok(Self { _socket: socket, address })
    }
}

/// Asks the kernel for `N` different free ports.
///
/// Another process may take one before the server does, so whoever starts a server tries again.
pub(crate) fn free_ports<const N: usize>() -> io::Result<[u16; N]> {
    // All are held until all are known, or the kernel could give the same one twice.
    let held: Vec<TcpListener> =
        (0..N).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect::<io::Result<_>>()?;
    let mut ports = [0; N];
    for (port, listener) in ports.iter_mut().zip(&held) {
        *port = listener.local_addr()?.port();
    }
    Ok(ports)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_different_ports_that_can_be_bound() {
        let mut ports = free_ports::<8>().unwrap();
        ports.sort_unstable();
        assert!(ports.windows(2).all(|pair| pair[0] != pair[1]), "{ports:?}");
        for port in ports {
            TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        }
    }
}
