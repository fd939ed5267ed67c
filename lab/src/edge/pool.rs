//! Idle origin connections. A connection the origin closes stays usable from the edge's view until
//! the FIN has travelled half a round trip: that window is the keep-alive race.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_rustls::client::TlsStream;

use super::h2c::Shared;

/// Cloudflare keeps idle origin connections for 900 s.
const IDLE_MAX: Duration = Duration::from_secs(900);

pub enum Io {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Io {
    pub fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(s) => s,
            Self::Tls(s) => s.get_ref().0,
        }
    }
}

impl AsyncRead for Io {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(s) => Pin::new(s).poll_read(cx, buf),
            Self::Tls(s) => Pin::new(s).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(s) => Pin::new(s).poll_write(cx, buf),
            Self::Tls(s) => Pin::new(s).poll_write(cx, buf),
        }
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(s) => Pin::new(s).poll_flush(cx),
            Self::Tls(s) => Pin::new(s).poll_flush(cx),
        }
    }
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(s) => Pin::new(s).poll_shutdown(cx),
            Self::Tls(s) => Pin::new(s).poll_shutdown(cx),
        }
    }
}

pub struct Conn {
    pub io: Io,
    pub tls_proto: &'static str,
    pub idle_since: Instant,
}

pub type Key = (Ipv4Addr, SocketAddr, String);
type Taker = oneshot::Sender<oneshot::Sender<Conn>>;

#[derive(Default)]
pub struct Pool {
    idle: Mutex<HashMap<Key, Vec<Taker>>>,
    h2: Mutex<HashMap<Key, Shared>>,
}

impl Pool {
    /// The most recently used idle connection the edge still believes in.
    pub async fn take(&self, key: &Key) -> Option<Conn> {
        loop {
            let taker = self.idle.lock().unwrap().get_mut(key)?.pop()?;
            let (tx, rx) = oneshot::channel();
            if taker.send(tx).is_ok()
                && let Ok(conn) = rx.await
            {
                return Some(conn);
            }
        }
    }

    pub fn park(&self, key: Key, mut conn: Conn, half: Duration) {
        conn.idle_since = Instant::now();
        let (tx, rx) = oneshot::channel();
        self.idle.lock().unwrap().entry(key).or_default().push(tx);
        tokio::spawn(idle(conn, rx, half));
    }

    /// A connection that the origin has ended is none.
    pub fn h2_get(&self, key: &Key) -> Option<Shared> {
        self.h2.lock().unwrap().get(key).filter(|c| !c.is_over()).cloned()
    }

    pub fn h2_put(&self, key: Key, send: Shared) {
        self.h2.lock().unwrap().insert(key, send);
    }

    pub fn h2_drop(&self, key: &Key) {
        self.h2.lock().unwrap().remove(key);
    }
}

/// Holds an idle connection until it is taken, closed by the origin, or too old.
async fn idle(conn: Conn, mut rx: oneshot::Receiver<oneshot::Sender<Conn>>, half: Duration) {
    let taken = tokio::select! {
        taken = &mut rx => taken.ok(),
        () = closed(conn.io.tcp()) => {
            // The FIN is on its way; until it arrives the edge would still use the connection.
            tokio::select! {
                taken = &mut rx => taken.ok(),
                () = tokio::time::sleep(half) => None,
            }
        }
        () = tokio::time::sleep(IDLE_MAX) => None,
    };
    if let Some(back) = taken {
        let _ = back.send(conn);
    }
}

/// Resolves when the origin has ended the connection: a FIN, a reset, or a TLS close_notify record.
async fn closed(tcp: &TcpStream) {
    let mut buf = [0u8; 256];
    loop {
        if tcp.readable().await.is_err() {
            return;
        }
        match tcp.peek(&mut buf).await {
            // An encrypted alert is 19 to 26 bytes; anything longer is a session ticket.
            Ok(n) if n > 40 => tokio::time::sleep(Duration::from_millis(20)).await,
            _ => return,
        }
    }
}
