//! What reaches an origin past Cloudflare: scanners that know its address, and the machine's own
//! health check. Their lines look like those of real faults.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::time::{sleep, timeout};

use crate::run::Run;

const PROBES: &[&[u8]] = &[
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x16\x03\x01\x00\xee\x01\x00\x00\xea\x03\x03",
    b"GET / HTTP/1.0\r\n\r\n",
    b"GET /actuator/health HTTP/1.1\r\nHost: 192.0.2.1\r\nUser-Agent: Mozilla/5.0 zgrab/0.x\r\nConnection: close\r\n\r\n",
    b"OPTIONS / RTSP/1.0\r\n\r\n",
];
const HEALTH: &[u8] = b"GET /favicon.ico HTTP/1.1\r\nHost: localhost\r\nUser-Agent: Monit/5.33\r\nConnection: close\r\n\r\n";

pub fn start(run: &mut Run) {
    let Some(target) = run.edge.origins.lock().unwrap().first().filter(|o| o.tls.is_none()).map(|o| o.addr) else {
        return;
    };
    let mut rng = StdRng::seed_from_u64(run.rng.random());
    for i in 1..=20u8 {
        run.addresses.insert(format!("127.202.1.{i}"), format!("203.0.113.{}", rng.random_range(2..254)));
    }
    // The health check comes from the machine itself.
    let own = run.ip(2);
    run.addresses.insert(own.to_string(), "127.0.0.1".into());
    let stop = run.stop.clone();
    tokio::spawn(async move {
        let mut beat = 0u32;
        while !stop.load(std::sync::atomic::Ordering::Relaxed) {
            sleep(Duration::from_millis(rng.random_range(1500..3500))).await;
            beat += 1;
            let (from, bytes) = if beat.is_multiple_of(3) {
                (Ipv4Addr::new(127, 202, 1, rng.random_range(1..=20)), PROBES[rng.random_range(0..PROBES.len())])
            } else {
                (own, HEALTH)
            };
            let _ = timeout(Duration::from_secs(2), probe(from, target, bytes)).await;
        }
    });
}

async fn probe(from: Ipv4Addr, to: SocketAddr, bytes: &[u8]) -> std::io::Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    let mut stream = socket.connect(to).await?;
    stream.write_all(bytes).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(())
}
