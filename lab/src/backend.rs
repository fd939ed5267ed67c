//! A small application server (`lab backend ADDR LOG [PREFIX=ACTION]...`): ordinary pages, and
//! paths whose answer is a fault. Actions: close, sometimes:N (closes one in N), garbage, ssh, redis, memcached, slow:MS, status:N, headers:KB, nokeep.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rand::Rng;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

struct App {
    log: Mutex<std::fs::File>,
    actions: Vec<(String, String)>,
}

impl App {
    fn say(&self, text: &str) {
        let now = jiff::Zoned::now().strftime("%Y-%m-%d %H:%M:%S,%3f").to_string();
        let _ = writeln!(self.log.lock().unwrap(), "{now} {text}");
    }
}

pub async fn serve(args: &[String]) -> Result<()> {
    let addr: SocketAddr = args.first().context("address")?.parse()?;
    let log = std::fs::File::options().create(true).append(true).open(args.get(1).context("log file")?)?;
    let actions = args[2..].iter().filter_map(|a| a.split_once('=')).map(|(p, a)| (p.into(), a.into())).collect();
    let app = Arc::new(App { log: Mutex::new(log), actions });
    let listener = TcpListener::bind(addr).await?;
    // The address is logged as its users know it; see the recording's README.
    app.say(&format!("INFO app.server: listening on {addr}"));
    loop {
        let (stream, _) = listener.accept().await?;
        let app = app.clone();
        tokio::spawn(async move {
            let _ = connection(stream, &app).await;
        });
    }
}

async fn connection(mut stream: TcpStream, app: &App) -> Result<()> {
    let mut buf = Vec::new();
    loop {
        let end = loop {
            if let Some(p) = crate::edge_find(&buf, b"\r\n\r\n") {
                break p + 4;
            }
            if stream.read_buf(&mut buf).await? == 0 {
                return Ok(());
            }
        };
        let head = String::from_utf8_lossy(&buf[..end]).into_owned();
        buf.drain(..end);
        let field =
            |name: &str| head.lines().find_map(|l| l.split_once(": ").filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v));
        let len: usize = field("content-length").and_then(|v| v.parse().ok()).unwrap_or(0);
        while buf.len() < len {
            if stream.read_buf(&mut buf).await? == 0 {
                return Ok(());
            }
        }
        buf.drain(..len);
        let mut words = head.split(' ');
        let (method, uri) = (words.next().unwrap_or(""), words.next().unwrap_or("/"));
        let client = field("x-forwarded-for").unwrap_or("-");
        let started = Instant::now();
        let action = app.actions.iter().find(|(p, _)| uri.starts_with(p.as_str())).map_or("", |(_, a)| a.as_str());
        let mut status = 200;
        let mut extra = String::new();
        match action.split_once(':').unwrap_or((action, "")) {
            ("sometimes", n) if rand::rng().random_range(0..n.parse::<u32>()?) > 0 => tokio::time::sleep(millis(45)).await,
            ("close" | "sometimes", _) => {
                tokio::time::sleep(millis(40)).await;
                app.say(&format!("ERROR app.server: {client} \"{method} {uri}\" handler raised BrokenPipeError, connection dropped"));
                return Ok(());
            }
            ("garbage", _) => {
                let bytes = b"\x00\x00\x00\x1cERR protocol version mismatch: expected frame header v3\r\n\r\n";
                stream.write_all(bytes).await?;
                return Ok(());
            }
            ("ssh", _) => {
                stream.write_all(b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u7\r\nInvalid SSH identification string.\r\n").await?;
                return Ok(());
            }
            // A key-value server takes each line of the request for a command, and ends the connection at `Host:`.
            ("redis", _) => {
                let text = format!("-ERR unknown command '{method}', with args beginning with: '{uri}' 'HTTP/1.0' \r\n");
                stream.write_all(text.as_bytes()).await?;
                return Ok(());
            }
            // And this one has a word for each line, whatever it says.
            ("memcached", _) => {
                stream.write_all("ERROR\r\n".repeat(head.lines().count()).as_bytes()).await?;
                return Ok(());
            }
            ("slow", ms) => tokio::time::sleep(Duration::from_millis(ms.parse()?)).await,
            ("status", n) => status = n.parse()?,
            ("headers", kb) => {
                for i in 0..kb.parse::<usize>()? {
                    extra += &format!("X-Debug-{i}: {}\r\n", "d".repeat(1008));
                }
            }
            _ => tokio::time::sleep(millis(45)).await,
        }
        if uri.starts_with("/widget/") {
            status = 500;
            app.say(&format!("WARNING app.widgets: {uri} price service answered without currency"));
        }
        let api = uri.starts_with("/api/");
        let h = uri.bytes().fold(7u32, |h, b| h.wrapping_mul(31).wrapping_add(b.into()));
        let body = if api {
            format!("{{\"ok\":true,\"id\":{}}}", h % 9999)
        } else {
            "<p>lorem ipsum dolor sit amet</p>\n".repeat(60 + (h % 120) as usize)
        };
        let kind = if api { "application/json" } else { "text/html" };
        let text = format!(
            "HTTP/1.1 {status} {}\r\nContent-Type: {kind}\r\n{extra}Content-Length: {}\r\n\r\n{body}",
            if status == 200 { "OK" } else { "Error" },
            body.len()
        );
        stream.write_all(text.as_bytes()).await?;
        app.say(&format!("INFO app.server: {client} \"{method} {uri}\" {status} {}ms", started.elapsed().as_millis()));
    }
}

fn millis(to: u64) -> Duration {
    Duration::from_millis(rand::rng().random_range(2..to))
}
