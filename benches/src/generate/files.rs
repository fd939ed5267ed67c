//! A set as files: several threads write, the order on disk is always the same.

use super::origin::OriginText;
use super::plan::Plan;
use super::rng::Rng;
use super::row::Row;
use super::text::{Text, utc};
use super::{edge, origin, truth};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// How a set lies on disk.
#[derive(Clone, Debug)]
pub struct Layout {
    /// Directory: `logs/` and `truth.csv` are made in it.
    pub out: PathBuf,
    /// Compress the Cloudflare files as Logpush does.
    pub gzip: bool,
    /// Rows a Cloudflare file.
    pub rows_per_file: u64,
    /// Cloudflare rows go to a stream instead of files.
    pub pipe: bool,
}

/// What was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Written {
    /// Bytes of Cloudflare rows before compression.
    pub edge: u64,
    /// Bytes of the origin's logs.
    pub origin: u64,
    /// Failing rows.
    pub failing: u64,
}

/// Rows handled at a time when they go to a stream.
const STREAMED: u64 = 10_000;
/// Bytes collected before a write.
const BLOCK: usize = 1 << 20;
/// Every fifth file was written while the job had a shorter field list.
const SHORTER: u64 = 5;

/// The result of one range of rows, to be appended in order.
struct Part {
    number: u64,
    edge: Vec<u8>,
    edge_bytes: u64,
    origin: OriginText,
    truth: Text,
}

/// Writes a set. `stream` gets the Cloudflare rows when the layout says so.
pub fn write_set(plan: &Plan, layout: &Layout, stream: &mut dyn Write) -> io::Result<Written> {
    let logs = layout.out.join("logs");
    for folder in ["cloudflare", "nginx", "php"] {
        std::fs::create_dir_all(logs.join(folder))?;
    }
    let size = if layout.pipe { STREAMED } else { layout.rows_per_file }.max(1);
    let parts = plan.spec.rows.div_ceil(size);
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let next = AtomicU64::new(0);
    let (send, receive) = sync_channel(threads);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                let (send, next, logs) = (send.clone(), &next, &logs);
                scope.spawn(move || work(plan, layout, logs, (size, parts), next, &send))
            })
            .collect();
        drop(send);
        let written = collect(&layout.out, &receive, layout.pipe.then_some(stream));
        // A writer that gave up must not leave the workers waiting.
        drop(receive);
        for worker in workers {
            worker.join().map_err(|_| io::Error::other("a worker panicked"))??;
        }
        written
    })
}

fn work(plan: &Plan, layout: &Layout, logs: &Path, (size, parts): (u64, u64), next: &AtomicU64, send: &SyncSender<Part>) -> io::Result<()> {
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= parts {
            return Ok(());
        }
        let rows = number * size..plan.spec.rows.min((number + 1) * size);
        let mut edge = Vec::new();
        let edge_bytes = if layout.pipe {
            edge_to(plan, rows.clone(), layout, &mut edge)?
        } else {
            let mut file = File::create(edge_path(plan, rows.clone(), layout, logs)?)?;
            if layout.gzip {
                let mut gzip = GzEncoder::new(BufWriter::with_capacity(BLOCK, file), Compression::new(6));
                let bytes = edge_to(plan, rows.clone(), layout, &mut gzip)?;
                gzip.finish()?.flush()?;
                bytes
            } else {
                edge_to(plan, rows.clone(), layout, &mut file)?
            }
        };
        let part = Part { number, edge, edge_bytes, origin: origin::lines(plan, rows.clone()), truth: truth::lines(plan, rows) };
        if send.send(part).is_err() {
            return Ok(());
        }
    }
}

/// Logpush names its files by the span of time they hold.
fn edge_path(plan: &Plan, rows: Range<u64>, layout: &Layout, logs: &Path) -> io::Result<PathBuf> {
    let stamp = |row: u64| utc(plan.nominal_ns(row)).format("%Y%m%dT%H%M%SZ").to_string();
    let day = logs.join("cloudflare").join(utc(plan.nominal_ns(rows.start)).format("%Y%m%d").to_string());
    std::fs::create_dir_all(&day)?;
    let tag = Rng::new(plan.spec.seed, 20, rows.start).bits() >> 32;
    Ok(day.join(format!("{}_{}_{tag:08x}.log{}", stamp(rows.start), stamp(rows.end), if layout.gzip { ".gz" } else { "" })))
}

fn edge_to(plan: &Plan, rows: Range<u64>, layout: &Layout, to: &mut dyn Write) -> io::Result<u64> {
    let mut bytes = 0;
    let mut row = Row::default();
    let mut text = Text { bytes: Vec::with_capacity(BLOCK + 8_192) };
    for number in rows {
        row.fill(plan, number);
        let all = number / layout.rows_per_file.max(1) % SHORTER != SHORTER - 1;
        edge::write(&row, all, &mut text);
        if text.bytes.len() >= BLOCK {
            bytes += text.bytes.len() as u64;
            to.write_all(&text.bytes)?;
            text.bytes.clear();
        }
    }
    to.write_all(&text.bytes)?;
    Ok(bytes + text.bytes.len() as u64)
}

/// Appends the parts in their order.
fn collect(out: &Path, receive: &Receiver<Part>, mut stream: Option<&mut dyn Write>) -> io::Result<Written> {
    let logs = out.join("logs");
    let mut access = File::create(logs.join("nginx").join("access.log"))?;
    let mut error = File::create(logs.join("nginx").join("error.log"))?;
    let mut fpm = File::create(logs.join("php").join("php8.2-fpm.log"))?;
    let mut truths = File::create(out.join("truth.csv"))?;
    truths.write_all(truth::HEADER.as_bytes())?;
    let mut written = Written::default();
    let mut early: BTreeMap<u64, Part> = BTreeMap::new();
    let mut turn = 0;
    for part in receive {
        early.insert(part.number, part);
        while let Some(part) = early.remove(&turn) {
            turn += 1;
            access.write_all(&part.origin.access.bytes)?;
            error.write_all(&part.origin.error.bytes)?;
            fpm.write_all(&part.origin.fpm.bytes)?;
            truths.write_all(&part.truth.bytes)?;
            if let Some(stream) = &mut stream {
                stream.write_all(&part.edge)?;
            }
            written.edge += part.edge_bytes;
            written.origin += (part.origin.access.bytes.len() + part.origin.error.bytes.len() + part.origin.fpm.bytes.len()) as u64;
            written.failing += part.truth.bytes.iter().filter(|b| **b == b'\n').count() as u64;
        }
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::generate::Spec;

    fn set(gzip: bool, pipe: bool, rows_per_file: u64) -> (tempfile::TempDir, Written, Vec<u8>) {
        let dir = tempfile::tempdir().unwrap();
        let plan = Plan::new(Spec { rows: 20_000, seed: 3, storm: false });
        let layout = Layout { out: dir.path().to_owned(), gzip, rows_per_file, pipe };
        let mut stream = Vec::new();
        let written = write_set(&plan, &layout, &mut stream).unwrap();
        (dir, written, stream)
    }

    fn edge_files(dir: &Path) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = std::fs::read_dir(dir.join("logs/cloudflare/20261122")).unwrap().map(|e| e.unwrap().path()).collect();
        files.sort();
        files
    }

    #[test]
    fn the_same_bytes_however_they_are_cut() {
        let (a, wrote_a, _) = set(false, false, 4_000);
        let (b, wrote_b, stream) = set(false, true, 4_000);
        assert_eq!(wrote_a, wrote_b);
        for file in ["logs/nginx/access.log", "logs/nginx/error.log", "logs/php/php8.2-fpm.log", "truth.csv"] {
            assert!(std::fs::read(a.path().join(file)).unwrap() == std::fs::read(b.path().join(file)).unwrap(), "{file}");
        }
        let files = edge_files(a.path());
        assert_eq!(files.len(), 5);
        let joined: Vec<u8> = files.iter().flat_map(|f| std::fs::read(f).unwrap()).collect();
        assert!(joined == stream);
        assert_eq!(joined.len() as u64, wrote_a.edge);
    }

    #[test]
    fn rows_are_json_of_the_promised_size() {
        let (dir, wrote, _) = set(false, false, 4_000);
        let mut failing = 0;
        let mut bytes = 0;
        for (n, file) in edge_files(dir.path()).into_iter().enumerate() {
            let fields = if n == 4 { edge::FEWER_FIELDS } else { edge::FIELDS };
            for line in std::fs::read_to_string(file).unwrap().lines() {
                bytes += line.len();
                let row: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).unwrap();
                assert_eq!(row.len(), fields);
                failing += u64::from(row["EdgeResponseStatus"] == 520);
            }
        }
        assert_eq!(failing, wrote.failing);
        assert!((2_300..2_500).contains(&(bytes / 20_000)), "{}", bytes / 20_000);
        assert!((140..175).contains(&(wrote.origin / 20_000)), "{}", wrote.origin / 20_000);
    }

    #[test]
    fn access_lines_are_in_order_and_tied() {
        let (dir, ..) = set(false, false, 4_000);
        let access = std::fs::read_to_string(dir.path().join("logs/nginx/access.log")).unwrap();
        let times: Vec<&str> = access.lines().map(|l| l.split('[').nth(1).unwrap().split(']').next().unwrap()).collect();
        assert!(times.is_sorted());
        let truth = std::fs::read_to_string(dir.path().join("truth.csv")).unwrap();
        for line in truth.lines().skip(1) {
            let mut columns = line.split(',');
            let (ray, cause) = (columns.next().unwrap(), columns.nth(1).unwrap());
            let silent = matches!(cause, "keepalive-race" | "worker-crash");
            assert_eq!(access.contains(ray), !silent, "{line}");
        }
    }
}
