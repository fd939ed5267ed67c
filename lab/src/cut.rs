//! `lab cut FROM TO OUT RECORDING...`: the requests and log lines of some seconds of a recording,
//! compressed, for tests. Origin lines keep their bytes; edge rows lose the fields that the lab makes up to look plausible.

use std::collections::HashSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use flate2::read::MultiGzDecoder;
use flate2::{Compression, GzBuilder};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::stamp;

/// Origin lines may come a little before and after the requests they belong to.
const MARGIN: f64 = 3.0;

pub fn main(args: &[String]) -> Result<()> {
    let [from, to, out, recordings @ ..] = args else { bail!("lab cut FROM-SECOND TO-SECOND OUT RECORDING...") };
    let window: (f64, f64) = (from.parse()?, to.parse()?);
    for r in recordings {
        let folder = Path::new(r);
        let name = folder.file_name().context("no name")?;
        cut(folder, &Path::new(out).join(name), window).with_context(|| r.clone())?;
    }
    Ok(())
}

fn text(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path)?;
    let mut out = Vec::new();
    if bytes.starts_with(&[0x1f, 0x8b]) {
        MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut out)?;
    } else {
        out = bytes;
    }
    Ok(String::from_utf8_lossy(&out).into_owned())
}

/// Always the same bytes for the same text: no name and no time in the header.
fn compress(path: &Path, text: &str) -> Result<()> {
    std::fs::create_dir_all(path.parent().context("no parent")?)?;
    let mut gz = GzBuilder::new().mtime(0).write(std::fs::File::create(path)?, Compression::best());
    gz.write_all(text.as_bytes())?;
    gz.finish()?;
    Ok(())
}

fn files(dir: &Path, out: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() { files(&path, out)? } else { out.push(path) }
    }
    out.sort();
    Ok(())
}

/// Any of Logpush's notations.
fn edge_time(row: &Value) -> Option<f64> {
    match &row["EdgeStartTimestamp"] {
        Value::Number(n) => {
            let n = n.as_f64()?;
            Some(if n > 1e17 { n / 1e9 } else { n })
        }
        Value::String(s) => s.parse::<Timestamp>().ok().map(|t| t.as_millisecond() as f64 / 1000.0),
        _ => None,
    }
}

/// Fields whose values the emulated edge invents, and that no cause rests on.
const INVENTED: &[&str] = &[
    "ClientDeviceType",
    "ClientMTLSAuthStatus",
    "ClientRequestBytes",
    "ClientSrcPort",
    "ClientTCPRTTMs",
    "ClientXRequestedWith",
    "EdgeColoID",
    "EdgePathingOp",
    "EdgePathingSrc",
    "EdgePathingStatus",
    "EdgeResponseBytes",
    "EdgeResponseCompressionRatio",
    "OriginDNSResponseTimeMs",
    "OriginResponseHTTPExpires",
    "OriginResponseTime",
    "SmartRouteColoID",
    "UpperTierColoID",
    "WAFAttackScore",
    "WorkerCPUTime",
    "EdgeTimeToFirstByteMs",
    "ZoneID",
    "ClientIPClass",
    "ClientSSLCipher",
];

fn cut(folder: &Path, out: &Path, window: (f64, f64)) -> Result<()> {
    let scenario: Value = serde_json::from_str(&std::fs::read_to_string(folder.join("scenario.json"))?)?;
    let tz = TimeZone::get(scenario["time_zone"].as_str().unwrap_or("UTC"))?;
    let skew = scenario["clock_skew_s"].as_f64().unwrap_or(0.0);
    let mut all = Vec::new();
    files(&folder.join("logs"), &mut all)?;
    let (edge, origin): (Vec<PathBuf>, Vec<PathBuf>) = all.into_iter().partition(|p| p.components().any(|c| c.as_os_str() == "cloudflare"));
    let mut rows = Vec::new();
    for path in &edge {
        for line in BufReader::new(MultiGzDecoder::new(std::fs::File::open(path)?)).lines() {
            let line = line?;
            let mut row: Value = serde_json::from_str(&line)?;
            if let Value::Object(fields) = &mut row {
                fields.retain(|name, _| !INVENTED.contains(&name.as_str()));
            }
            let line = row.to_string();
            rows.push((edge_time(&row).context("no EdgeStartTimestamp")?, row["RayID"].as_str().unwrap_or("").to_owned(), line));
        }
    }
    let begin = rows.iter().map(|r| r.0).fold(f64::MAX, f64::min);
    let (from, to) = (begin + window.0, begin + window.1);
    rows.retain(|r| r.0 >= from && r.0 <= to);
    let rays: HashSet<&str> = rows.iter().map(|r| r.1.as_str()).collect();
    let body: String = rows.iter().map(|r| format!("{}\n", r.2)).collect();
    compress(&out.join("logs/cloudflare/http_requests.log.gz"), &body)?;
    let year = Timestamp::from_second(from as i64)?.to_zoned(tz.clone()).year();
    for path in &origin {
        let mut kept = String::new();
        let mut inside = true;
        for line in text(path)?.lines() {
            if let Some(t) = journal_time(line).or_else(|| stamp::moment(line, &tz, year).map(|t| t.as_second() as f64)) {
                let at = t - skew;
                inside = at >= from - MARGIN && at <= to + MARGIN;
            }
            if inside {
                kept.push_str(line);
                kept.push('\n');
            }
        }
        let below = path.strip_prefix(folder)?.to_string_lossy().trim_end_matches(".gz").to_owned();
        compress(&out.join(format!("{below}.gz")), &kept)?;
    }
    let mut truth = csv::Reader::from_path(folder.join("truth.csv"))?;
    let mut small = csv::Writer::from_path(out.join("truth.csv"))?;
    small.write_record(truth.headers()?)?;
    for record in truth.records() {
        let record = record?;
        if rays.contains(&record[0]) {
            small.write_record(&record)?;
        }
    }
    small.flush()?;
    Ok(())
}

fn journal_time(line: &str) -> Option<f64> {
    let rest = line.strip_prefix(r#"{"__REALTIME_TIMESTAMP":""#)?;
    rest.split('"').next()?.parse::<f64>().ok().map(|us| us / 1e6)
}
