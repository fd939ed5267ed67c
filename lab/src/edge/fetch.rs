//! A request's way through the edge: cache, pool, connect, TLS, exchange, mapping to a status.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use rand::Rng;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

use super::h1::{self, Answer, Failure};
use super::pool::{Conn, Io, Key};
use super::{Body, Edge, Origin, Req, Row, Why, h2c};

impl Edge {
    /// Answers one visitor request and records its row; returns the status the visitor got.
    pub async fn fetch(self: &Arc<Self>, req: Req) -> u16 {
        let colo = &self.colos[req.visitor.colo];
        // Real paths jitter; a constant RTT would make idle gaps and failures suspiciously regular.
        let jitter = 1.0 + rand::rng().random_range(-0.04..0.12);
        let rtt = colo.rtt.mul_f64(jitter);
        let ray = format!("{:016x}", rand::rng().random::<u64>() | 1 << 63);
        let now = SystemTime::now();
        let mut row = Row {
            ray,
            parent: String::new(),
            start: now,
            end: now,
            sent_at: now,
            over_at: now,
            edge_status: 0,
            origin_status: 0,
            why: Why::Answer,
            detail: String::new(),
            reused: false,
            idle_gap: None,
            tcp: Duration::ZERO,
            tls: Duration::ZERO,
            header: Duration::ZERO,
            origin_total: Duration::ZERO,
            tls_proto: "unknown",
            head_len: 0,
            body_len: 0,
            content_type: String::new(),
            last_modified: String::new(),
            request_bytes: 0,
            local_port: 0,
            rtt,
            attempts: 0,
            req,
        };
        if let Some((len, content_type)) = row.req.cached {
            sleep(millis(1, 9)).await;
            (row.edge_status, row.why, row.body_len) = (200, Why::Cached, len);
            row.content_type = content_type.into();
        } else if let Some(status) = row.req.edge_only {
            sleep(millis(2, 60)).await;
            (row.edge_status, row.why) = (status, Why::EdgeOnly);
        } else {
            self.to_origin(&mut row).await;
        }
        row.end = SystemTime::now();
        let mut status = row.edge_status;
        if row.req.worker && row.why != Why::Cached && row.req.edge_only.is_none() {
            let parent = visitors_row(&mut row);
            status = parent.edge_status;
            self.rows.lock().unwrap().push(parent);
        }
        self.rows.lock().unwrap().push(row);
        status
    }

    async fn to_origin(self: &Arc<Self>, row: &mut Row) {
        let origin = self.origins.lock().unwrap()[row.req.origin].clone();
        let started = Instant::now();
        loop {
            row.attempts += 1;
            let result = self.attempt(row, &origin).await;
            row.over_at = SystemTime::now();
            travel(row.rtt / 2).await;
            row.origin_total = started.elapsed();
            match result {
                Ok(answer) => {
                    row.edge_status = answer.status;
                    row.origin_status = answer.status;
                    row.head_len = answer.head_len;
                    row.body_len = answer.body_len;
                    row.content_type = answer.content_type;
                    row.last_modified = answer.last_modified;
                    return;
                }
                Err(Failure(why, detail)) => {
                    let again = self.retry.load(Ordering::Relaxed)
                        && row.reused
                        && row.attempts == 1
                        && row.req.method == "GET"
                        && matches!(why, Why::Eof | Why::Reset);
                    if again {
                        continue;
                    }
                    (row.why, row.detail) = (why, brief(detail));
                    row.edge_status = match why {
                        Why::Refused => 521,
                        Why::ConnectTimeout => 522,
                        Why::HeaderTimeout => 524,
                        Why::TlsHandshake => 525,
                        _ => 520,
                    };
                    return;
                }
            }
        }
    }

    async fn attempt(&self, row: &mut Row, origin: &Origin) -> Result<Answer, Failure> {
        let bind = self.colos[row.req.visitor.colo].edges[row.req.visitor.edge].bind;
        let key: Key = (bind, origin.addr, row.req.host.clone());
        let headers = headers(row, self.colos[row.req.visitor.colo].code);
        row.request_bytes = headers.iter().map(|(n, v)| n.len() + v.len() + 4).sum::<usize>() + row.req.uri.len() + 16;
        let half = row.rtt / 2;
        if self.broken_colo.load(Ordering::Relaxed) == row.req.visitor.colo && millis(0, 100) < Duration::from_millis(75) {
            sleep(millis(3, 250)).await;
            row.tls_proto = if origin.tls.is_some() { "TLSv1.3" } else { "none" };
            return Err(Failure(Why::EdgeFault, "broken colo".into()));
        }
        let wants_h2 = origin.tls.as_ref().is_some_and(|t| t.alpn_protocols.len() > 1);
        if wants_h2 && let Some(send) = self.pool.h2_get(&key) {
            row.reused = true;
            row.tls_proto = "TLSv1.3";
            return self.over_h2(row, key, send, &headers, half).await;
        }
        // Pools are apart by protocol: with HTTP/2 on, idle HTTP/1 connections are left alone.
        let pooled = if row.attempts > 1 || wants_h2 { None } else { self.pool.take(&key).await };
        let mut conn = match pooled {
            Some(conn) => {
                row.reused = true;
                row.idle_gap = Some(conn.idle_since.elapsed());
                conn
            }
            None => {
                row.reused = false;
                self.connect(row, origin, &key).await?
            }
        };
        row.tls_proto = conn.tls_proto;
        row.local_port = conn.io.tcp().local_addr().map_or(0, |a| a.port());
        if let Io::Tls(s) = &conn.io
            && s.get_ref().1.alpn_protocol() == Some(b"h2")
        {
            let send = h2c::connect(conn.io).await.map_err(|e| Failure(Why::Http2, e.to_string()))?;
            self.pool.h2_put(key.clone(), send.clone());
            return self.over_h2(row, key, send, &headers, half).await;
        }
        let mut head = format!("{} {} HTTP/1.1\r\n", row.req.method, row.req.uri);
        for (name, value) in &headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        travel(half).await;
        row.sent_at = SystemTime::now();
        let waiting = Instant::now();
        let sent = h1::send(&mut conn.io, head.as_bytes(), &row.req.body).await;
        let result = h1::read_head(&mut conn.io, self.header_timeout).await;
        row.header = waiting.elapsed() + row.rtt;
        let head = match (result, sent) {
            (Ok(head), _) => head,
            // The write error says more than the empty read that follows it.
            (Err(Failure(Why::Eof, _)), Err(e)) => return Err(Failure(Why::Reset, format!("write: {e}"))),
            (Err(f), _) => return Err(f),
        };
        let answered_early = head.status() == 413;
        let answer = h1::read_body(&mut conn.io, head, row.req.method).await;
        if answer.keep && !answered_early {
            self.pool.park(key, conn, half);
        }
        Ok(answer)
    }

    async fn over_h2(
        &self,
        row: &mut Row,
        key: Key,
        send: h2c::Shared,
        headers: &[(String, String)],
        half: Duration,
    ) -> Result<Answer, Failure> {
        travel(half).await;
        row.sent_at = SystemTime::now();
        let waiting = Instant::now();
        let result = h2c::exchange(send.send, &row.req, headers, self.header_timeout).await;
        row.header = waiting.elapsed() + row.rtt;
        if result.is_err() {
            self.pool.h2_drop(&key);
        }
        result
    }

    async fn connect(&self, row: &mut Row, origin: &Origin, key: &Key) -> Result<Conn, Failure> {
        let fail = |why: Why, e: &dyn std::fmt::Display| Failure(why, e.to_string());
        let t = Instant::now();
        let tcp = match timeout(Duration::from_secs(5), dial(key.0, origin.addr)).await {
            Err(_) => return Err(Failure(Why::ConnectTimeout, "no SYN-ACK".into())),
            Ok(Err(e)) => {
                travel(row.rtt / 2).await;
                // The other half of the way back is slept by the caller.
                row.tcp = t.elapsed() + row.rtt / 2;
                return Err(fail(Why::Refused, &e));
            }
            Ok(Ok(tcp)) => tcp,
        };
        travel(row.rtt).await;
        row.tcp = t.elapsed();
        let Some(config) = &origin.tls else {
            return Ok(Conn { io: Io::Plain(tcp), tls_proto: "none", idle_since: t });
        };
        let t = Instant::now();
        let name = rustls::pki_types::ServerName::try_from(row.req.host.clone()).expect("host name");
        let handshake = TlsConnector::from(config.clone()).connect(name, tcp);
        let tls = match timeout(Duration::from_secs(8), handshake).await {
            Err(_) => return Err(Failure(Why::TlsHandshake, "handshake timed out".into())),
            Ok(Err(e)) => return Err(fail(Why::TlsHandshake, &e)),
            Ok(Ok(tls)) => tls,
        };
        travel(row.rtt).await;
        row.tls = t.elapsed();
        let tls_proto = match tls.get_ref().1.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => "TLSv1.3",
        };
        Ok(Conn { io: Io::Tls(Box::new(tls)), tls_proto, idle_since: t })
    }
}

/// The visitor's own row when a Worker fetched from the origin: no origin in it, and the Worker serves a
/// stored page where its fetch failed.
fn visitors_row(child: &mut Row) -> Row {
    let mut parent = child.clone();
    parent.ray = format!("{:016x}", rand::rng().random::<u64>() | 1 << 63);
    child.parent.clone_from(&parent.ray);
    child.req.source = "edgeWorkerFetch";
    parent.start = child.start - millis(1, 4);
    parent.end = child.end + millis(1, 3);
    if child.edge_status >= 520 {
        parent.edge_status = 200;
    }
    (parent.why, parent.origin_status, parent.tls_proto) = (Why::EdgeOnly, 0, "unknown");
    (parent.tcp, parent.tls, parent.header, parent.origin_total) = Default::default();
    parent
}

/// Error texts of the TLS library end in an advice with a link.
fn brief(detail: String) -> String {
    detail.split(": https://").next().unwrap_or("").to_owned()
}

/// Distance. Timers round up to a millisecond, so an origin next door costs loopback's own time only:
/// its handshakes then log as 0 ms although the connection is new.
async fn travel(d: Duration) {
    if d >= Duration::from_millis(1) {
        sleep(d).await;
    }
}

fn millis(from: u64, to: u64) -> Duration {
    Duration::from_millis(rand::rng().random_range(from..to))
}

async fn dial(bind: std::net::Ipv4Addr, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((bind, 0)))?;
    let stream = socket.connect(to).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn headers(row: &Row, colo: &str) -> Vec<(String, String)> {
    let req = &row.req;
    let v = &req.visitor;
    let mut h: Vec<(String, String)> = vec![
        ("Host".into(), req.host.clone()),
        ("Connection".into(), "Keep-Alive".into()),
        ("Accept-Encoding".into(), "br, gzip".into()),
        ("CF-Ray".into(), format!("{}-{colo}", row.ray)),
        ("CF-Connecting-IP".into(), v.ip.clone()),
        ("X-Forwarded-For".into(), v.ip.clone()),
        ("X-Forwarded-Proto".into(), "https".into()),
        ("CF-Visitor".into(), r#"{"scheme":"https"}"#.into()),
        ("CF-IPCountry".into(), v.country.to_ascii_uppercase()),
        ("CDN-Loop".into(), "cloudflare; loops=1".into()),
        ("User-Agent".into(), v.ua.clone()),
        ("Accept".into(), "*/*".into()),
    ];
    if !req.referer.is_empty() {
        h.push(("Referer".into(), req.referer.clone()));
    }
    let len = match &req.body {
        Body::None => None,
        Body::Full(b) => Some(b.len()),
        Body::Stalled { declared, .. } => Some(*declared),
    };
    if let Some(len) = len {
        h.push(("Content-Type".into(), "application/x-www-form-urlencoded".into()));
        h.push(("Content-Length".into(), len.to_string()));
    }
    h.extend(req.headers.iter().cloned());
    h
}
