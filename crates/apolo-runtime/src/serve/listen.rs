//! The port.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket};

/// How many connections may wait to be accepted (the system may allow fewer: net.core.somaxconn). With the usual 128, a
/// crowd fills the queue in milliseconds, and everybody who comes then, honest or not, tries again a second later.
const BACKLOG: u32 = 4096;

/// Listens at `address`.
///
/// # Errors
/// What the system says.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restart must not wait for connections of the process before.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}
