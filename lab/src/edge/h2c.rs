//! One HTTP/2 exchange over a shared connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use h2::client::SendRequest;

use super::h1::{Answer, Failure};
use super::pool::Io;
use super::{Req, Why};

/// A connection that requests share, and whether it has come to its end.
#[derive(Clone)]
pub struct Shared {
    pub send: SendRequest<Bytes>,
    over: Arc<AtomicBool>,
}

impl Shared {
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }
}

pub async fn connect(io: Io) -> Result<Shared> {
    let (send, conn) = h2::client::Builder::new().max_header_list_size(1 << 20).handshake(io).await?;
    let over = Arc::new(AtomicBool::new(false));
    let shared = Shared { send, over: over.clone() };
    tokio::spawn(async move {
        let _ = conn.await;
        over.store(true, Ordering::Relaxed);
    });
    Ok(shared)
}

pub async fn exchange(send: SendRequest<Bytes>, req: &Req, headers: &[(String, String)], limit: Duration) -> Result<Answer, Failure> {
    match tokio::time::timeout(limit, inner(send, req, headers)).await {
        Ok(r) => r.map_err(|e| Failure(Why::Http2, e.to_string())),
        Err(_) => Err(Failure(Why::HeaderTimeout, "no header over h2".into())),
    }
}

async fn inner(send: SendRequest<Bytes>, req: &Req, headers: &[(String, String)]) -> Result<Answer> {
    let mut request =
        http::Request::builder().method(req.method).uri(format!("https://{}{}", req.host, req.uri)).version(http::Version::HTTP_2);
    for (name, value) in headers {
        let name = name.to_ascii_lowercase();
        if !matches!(name.as_str(), "host" | "connection" | "content-length") {
            request = request.header(name, value);
        }
    }
    let body = match &req.body {
        super::Body::Full(b) => Some(Bytes::from(b.clone())),
        _ => None,
    };
    let mut send = send.ready().await?;
    let (response, mut stream) = send.send_request(request.body(())?, body.is_none())?;
    if let Some(body) = body {
        stream.send_data(body, true)?;
    }
    let response = response.await?;
    let field = |n: &str| response.headers().get(n).and_then(|v| v.to_str().ok()).unwrap_or("").to_owned();
    let content_type = field("content-type").split(';').next().unwrap_or("").to_owned();
    let last_modified = field("last-modified");
    let status = response.status().as_u16();
    let head_len = response.headers().iter().map(|(n, v)| n.as_str().len() + v.len() + 4).sum();
    let mut body = response.into_body();
    let mut body_len = 0;
    while let Some(chunk) = body.data().await {
        let Ok(chunk) = chunk else { break };
        body_len += chunk.len();
        let _ = body.flow_control().release_capacity(chunk.len());
    }
    Ok(Answer { status, head_len, body_len, content_type, last_modified, keep: true })
}
