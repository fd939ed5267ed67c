//! One HTTP/1.1 exchange with strict parsing of the answer.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::pool::Io;
use super::{Body, HEADER_LIMIT, Why};

pub struct Answer {
    pub status: u16,
    pub head_len: usize,
    pub body_len: usize,
    pub content_type: String,
    pub last_modified: String,
    pub keep: bool,
}

pub struct Failure(pub Why, pub String);

/// Header of an answer, and what already came of its body.
pub struct Head {
    status: u16,
    fields: Vec<(String, String)>,
    len: usize,
    rest: Vec<u8>,
    http11: bool,
}

impl Head {
    fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
    pub fn status(&self) -> u16 {
        self.status
    }
}

/// Sends the request. A failed write is not the end: the origin may have answered early.
pub async fn send(io: &mut Io, head: &[u8], body: &Body) -> Result<(), io::Error> {
    io.write_all(head).await?;
    match body {
        Body::None => {}
        Body::Full(b) => io.write_all(b).await?,
        Body::Stalled { sent, .. } => io.write_all(&vec![b'x'; *sent]).await?,
    }
    io.flush().await
}

pub async fn read_head(io: &mut Io, limit: Duration) -> Result<Head, Failure> {
    match timeout(limit, read_head_inner(io)).await {
        Ok(r) => r,
        Err(_) => Err(Failure(Why::HeaderTimeout, format!("no header in {} s", limit.as_secs()))),
    }
}

async fn read_head_inner(io: &mut Io) -> Result<Head, Failure> {
    let mut buf = Vec::with_capacity(8192);
    loop {
        let end = loop {
            if let Some(end) = find(&buf, b"\r\n\r\n") {
                break end + 4;
            }
            if buf.len() > HEADER_LIMIT {
                return Err(Failure(Why::HeaderTooLarge, format!("{} bytes and no end", buf.len())));
            }
            // Garbage is refused as soon as it cannot become a status line any more.
            let probe = buf.len().min(5);
            if buf[..probe] != b"HTTP/"[..probe] {
                return Err(Failure(Why::NotHttp, preview(&buf)));
            }
            let n = io.read_buf(&mut buf).await.map_err(|e| closed(&e, buf.len()))?;
            if n == 0 {
                return Err(if buf.is_empty() {
                    Failure(Why::Eof, "closed, 0 bytes".into())
                } else {
                    Failure(Why::PartialHeader, preview(&buf))
                });
            }
        };
        if end > HEADER_LIMIT {
            return Err(Failure(Why::HeaderTooLarge, format!("{end} bytes")));
        }
        let rest = buf.split_off(end);
        let head = parse(&buf, rest).ok_or_else(|| Failure(Why::NotHttp, preview(&buf)))?;
        if head.status >= 200 {
            return Ok(head);
        }
        buf = head.rest;
    }
}

fn closed(e: &io::Error, had: usize) -> Failure {
    let text = e.to_string();
    let why = if text.contains("alert") {
        Why::TlsAlert
    } else if had > 0 {
        Why::PartialHeader
    } else if matches!(e.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe) {
        Why::Reset
    } else {
        Why::Eof
    };
    Failure(why, text)
}

fn parse(raw: &[u8], rest: Vec<u8>) -> Option<Head> {
    let text = std::str::from_utf8(raw).ok().map_or_else(|| String::from_utf8_lossy(raw), Into::into);
    let mut lines = text.trim_end_matches("\r\n").split("\r\n");
    let status_line = lines.next()?;
    let (version, tail) = status_line.split_once(' ')?;
    if version != "HTTP/1.1" && version != "HTTP/1.0" {
        return None;
    }
    let status: u16 = tail.get(..3)?.parse().ok()?;
    let mut fields = Vec::new();
    for line in lines {
        let (name, value) = line.split_once(':')?;
        if name.is_empty() || name.bytes().any(|b| b <= b' ' || b == 0x7f) {
            return None;
        }
        fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    Some(Head { status, fields, len: raw.len(), rest, http11: version == "HTTP/1.1" })
}

/// Reads the body to its end; a cut body ends the connection but not the answer.
pub async fn read_body(io: &mut Io, head: Head, method: &str) -> Answer {
    let connection = head.get("connection").unwrap_or("").to_ascii_lowercase();
    let mut keep = if head.http11 { connection != "close" } else { connection == "keep-alive" };
    let bodyless = method == "HEAD" || head.status == 204 || head.status == 304;
    let limit = Duration::from_secs(30);
    let mut buf = head.rest.clone();
    let body_len = if bodyless {
        0
    } else if head.get("transfer-encoding") == Some("chunked") {
        match timeout(limit, chunked(io, &mut buf)).await {
            Ok(Ok(n)) => n,
            _ => {
                keep = false;
                buf.len()
            }
        }
    } else if let Some(len) = head.get("content-length").and_then(|v| v.parse::<usize>().ok()) {
        while buf.len() < len {
            match timeout(limit, io.read_buf(&mut buf)).await {
                Ok(Ok(n)) if n > 0 => {}
                _ => {
                    keep = false;
                    break;
                }
            }
        }
        buf.len()
    } else {
        keep = false;
        while let Ok(Ok(n)) = timeout(limit, io.read_buf(&mut buf)).await {
            if n == 0 {
                break;
            }
        }
        buf.len()
    };
    Answer {
        status: head.status,
        head_len: head.len,
        body_len,
        content_type: head.get("content-type").unwrap_or("").split(';').next().unwrap_or("").to_owned(),
        last_modified: head.get("last-modified").unwrap_or("").to_owned(),
        keep,
    }
}

async fn chunked(io: &mut Io, buf: &mut Vec<u8>) -> io::Result<usize> {
    let bad = || io::Error::from(io::ErrorKind::InvalidData);
    let (mut at, mut total) = (0, 0);
    loop {
        let line_end = loop {
            if let Some(p) = find(&buf[at..], b"\r\n") {
                break at + p;
            }
            if io.read_buf(buf).await? == 0 {
                return Err(bad());
            }
        };
        let size = std::str::from_utf8(&buf[at..line_end]).map_err(|_| bad())?;
        let size = size.split(';').next().unwrap_or("").trim();
        let size = usize::from_str_radix(size, 16).map_err(|_| bad())?;
        let next = line_end + 2 + size + 2;
        while buf.len() < next {
            if io.read_buf(buf).await? == 0 {
                return Err(bad());
            }
        }
        total += size;
        at = next;
        if size == 0 {
            return Ok(total);
        }
    }
}

pub fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    hay.windows(needle.len()).position(|w| w == needle)
}

fn preview(buf: &[u8]) -> String {
    String::from_utf8_lossy(&buf[..buf.len().min(60)]).escape_default().to_string()
}
