//! One function a fuzz target: bytes in; panics when something that must hold does not.
//!
//! Used by `fuzz/fuzz_targets/` (nightly, libFuzzer) and by the ordinary tests, which replay `fuzz/regressions/`.

use cfray_formats::spec::Sample;
use cfray_formats::{FORMATS, FormatSpec, RecordParser};
use cfray_ingest::blocks::{Block, BlockReader, Split};
use cfray_ingest::edge::{CsvColumns, EdgeFormat, EdgeKind, EdgePart, EdgeScanner, finalize, rays};
use cfray_ingest::open::{Compression, open_stream};
use cfray_ingest::{Input, NoProgress, Options};
use cfray_model::{EdgeFilter, EdgeScan, Line, SourceId};
use std::io::{Cursor, Read};
use std::sync::LazyLock;

/// Some variants of a check cost many times what the rest of it does. With CFRAY_FUZZ_SPARE set (as by fuzz/run) they run for
/// one input in `n`, chosen by the input itself; without it, as in replays and when a finding is minimised, for all.
fn one_in(n: u64, data: &[u8]) -> bool {
    static SPARE: LazyLock<bool> = LazyLock::new(|| std::env::var_os("CFRAY_FUZZ_SPARE").is_some());
    // FNV-1a.
    let hash = |data: &[u8]| data.iter().fold(0xcbf2_9ce4_8422_2325_u64, |h, &b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    !*SPARE || (hash(data) >> 32).is_multiple_of(n)
}

/// A name and what it does with any bytes: it panics when something does not hold.
pub type Check = (&'static str, fn(&[u8]));

/// Every check with its name, which is also the name of its folder of findings.
pub const CHECKS: &[Check] = &[
    ("format", format),
    ("template", template),
    ("ndjson", ndjson),
    ("csv", csv),
    ("inflate", inflate),
    ("rays", rays),
    ("time", time),
    ("serverconf", serverconf),
    ("merge", merge),
    ("pipeline", pipeline),
];

/// Configuration of servers, by each of its readers.
pub fn serverconf(data: &[u8]) {
    use cfray_formats::serverconf as conf;
    use cfray_model::serverconf::{Directive, Software};
    fn within(list: &[Directive], lines: u32) -> usize {
        let each = |d: &Directive| {
            assert!((1..=lines).contains(&d.line), "line {} of {lines}", d.line);
            1 + d.block.as_ref().map_or(0, |block| within(block, lines))
        };
        list.iter().map(each).sum()
    }
    let lines = data.split(|&b| b == b'\n').count() as u32;
    for software in [Software::Nginx, Software::Apache, Software::Fpm] {
        let parsed = conf::parse(software, data, 0, 1);
        assert!(within(&parsed.directives, lines) <= data.len() + 1, "no more directives than bytes");
        assert!(parsed.problems.iter().all(|(line, what)| (1..=lines).contains(line) && !what.is_empty()), "{:?}", parsed.problems);
    }
    let _ = conf::recognise(data);
    let held: usize = conf::nginx::dump(data).iter().map(|section| section.text.len()).sum();
    assert!(held <= data.len(), "a dump's sections are parts of it");
}

/// Any format: the first byte chooses it.
pub fn format(data: &[u8]) {
    let Some((&first, rest)) = data.split_first() else { return };
    one_format(FORMATS[usize::from(first) % FORMATS.len()], rest);
}

/// One format, as learned from its own samples and as learned from the data. Where both parsers are the same, once.
pub fn one_format(format: &FormatSpec, data: &[u8]) {
    let sample = Sample::from_bytes(data);
    let mut learned = None;
    if let Some(found) = (format.detect)(&sample) {
        assert!(found.score <= 1000, "{}: score {}", format.name, found.score);
        read_all(&*found.parser, data, &sample);
        learned = Some(found.parser);
    }
    let shown = learned.map(|parser| format!("{parser:?}"));
    for own in OWN.iter().filter(|own| own.name == format.name && shown.as_ref() != Some(&own.shown)) {
        read_all(&*own.parser, data, &sample);
    }
}

/// What a format's own samples lead to.
struct Own {
    name: &'static str,
    parser: Box<dyn RecordParser>,
    /// How the parser shows itself.
    shown: String,
}

/// Of every format.
static OWN: LazyLock<Vec<Own>> = LazyLock::new(|| {
    let file = |format: &FormatSpec| -> Vec<u8> { format.samples.iter().flat_map(|s| [s.as_bytes(), b"\n"].concat()).collect() };
    let own = |format: &&'static FormatSpec| {
        let parser = (format.detect)(&Sample::from_bytes(&file(format)))?.parser;
        Some(Own { name: format.name, shown: format!("{parser:?}"), parser })
    };
    FORMATS.iter().filter_map(own).collect()
});

fn read_all(parser: &dyn RecordParser, data: &[u8], sample: &Sample<'_>) {
    let records = sample.records(parser);
    assert_eq!(records.join(&b'\n'), sample.lines.join(&b'\n'), "cutting into records loses nothing");
    for record in &records {
        match parser.parse(record) {
            Ok(line) => sane(&line, record),
            Err(error) => assert!(error.at <= record.len() && !error.reason.is_empty(), "{error}"),
        }
    }
    if data.len() <= 4096 && one_in(16, data) {
        assert_eq!(blocks(parser, data, 8192), blocks(parser, data, 5), "the size of blocks changes nothing");
    }
}

/// What any parsed line must satisfy.
fn sane(line: &Line<'_>, record: &[u8]) {
    for part in
        [&line.client, &line.visitor, &line.host, &line.method, &line.protocol, &line.syslog_host, &line.module].into_iter().flatten()
    {
        // JSON that is no UTF-8 is decoded with U+FFFD, three bytes, for each byte that is none.
        assert!(part.len() <= 3 * record.len(), "a value is longer than its record");
    }
    if let Some(ray) = line.ray {
        let digits = format!("{:x}", ray.0);
        assert!(
            record.to_ascii_lowercase().windows(digits.len()).any(|w| w == digits.as_bytes()),
            "a ray that is not in the record: {digits}"
        );
    }
    if let Some(time) = &line.time {
        let _ = (time.stated_ns(), time.civil_ns);
        assert!(time.precision_ns > 0, "a time without precision");
        assert!(time.offset_s.is_none_or(|s| s.abs() <= 86_400), "a zone of {:?} s", time.offset_s);
    }
    if let (Some(method), Some(uri)) = (&line.method, &line.uri) {
        let _ = cfray_model::key::request_key(method, uri);
    }
    let _ = (cfray_formats::signature(line), cfray_formats::php_fault_file(&line.message));
}

/// Records with their line numbers, as the block reader gives them.
fn blocks(parser: &dyn RecordParser, data: &[u8], size: usize) -> Vec<(u64, Vec<u8>)> {
    let options = Options { block: size, ..Options::default() };
    let mut reader = BlockReader::new(Box::new(Cursor::new(data.to_vec())), Split::Records(parser), &options);
    let (mut block, mut out, mut offset) = (Block::default(), Vec::new(), None);
    while reader.next_block(&mut block) {
        assert!(offset.is_none_or(|at| at == block.offset), "blocks leave no hole");
        offset = Some(block.offset + block.bytes().len() as u64);
        for (i, &start) in block.starts.iter().enumerate() {
            let end = block.starts.get(i + 1).copied().unwrap_or(block.bytes().len());
            out.push((block.offset + start as u64, block.bytes()[start..end].to_vec()));
        }
    }
    out
}

/// A format string and lines for it: the first line is the template.
pub fn template(data: &[u8]) {
    let cut = data.iter().position(|&b| b == b'\n').unwrap_or(data.len());
    let (head, lines) = (&data[..cut], data.get(cut + 1..).unwrap_or_default());
    let Ok(text) = std::str::from_utf8(head) else { return };
    match cfray_formats::from_template(text) {
        Ok(parser) => read_all(&*parser, lines, &Sample::from_bytes(lines)),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn scanned(text: &[u8], format: &EdgeFormat, full: bool) -> EdgeScan {
    let scanner = EdgeScanner::new(&Options::default(), &EdgeFilter::default());
    let mut scanner = if full { scanner.full_only() } else { scanner };
    scanner.feed(SourceId(0), format, 0, text);
    scanner.end(format);
    finalize(scanner.finish())
}

fn lines() -> EdgeFormat {
    EdgeFormat { kind: EdgeKind::Ndjson, why: String::new() }
}

/// Everything that a scan says.
fn show(scan: &EdgeScan) -> String {
    format!("{:?}\n{:?}\n{:?}\n{:?}\n{:?}", scan.incidents, scan.facts, scan.combos, scan.counters, scan.rejects)
}

/// Rows of JSON: the fast scanner against the full one, and both against serde_json.
pub fn ndjson(data: &[u8]) {
    let fast = scanned(data, &lines(), false);
    let full = scanned(data, &lines(), true);
    assert_eq!(show(&fast), show(&full), "fast and full parser");
    if one_in(4, data) {
        let _ = scanned(data, &EdgeFormat { kind: EdgeKind::Document, why: String::new() }, false);
    }
    let _ = (cfray_ingest::edge::detect(data, &Options::default()), cfray_ingest::edge::other_dataset(data));
    // A plain row with a ray of its own and status 520 is an incident, whatever stands around it.
    // (JSON has one spelling for the integer.)
    for line in data.split(|&b| b == b'\n').filter(|line| line.windows(3).any(|w| w == b"520")) {
        let Ok(serde_json::Value::Object(row)) = serde_json::from_slice::<serde_json::Value>(line) else { continue };
        let (Some(ray), Some(520)) = (row.get("RayID").and_then(|v| v.as_str()), row.get("EdgeResponseStatus").and_then(|v| v.as_u64()))
        else {
            continue;
        };
        // Names are taken in any case, and of equal ones the last: rows with several spellings are for the proptest.
        let again = |name: &str| row.keys().filter(|k| k.eq_ignore_ascii_case(name)).count() + repeated(line, name);
        if row.len() != 2 || again("RayID") != 2 || again("EdgeResponseStatus") != 2 {
            continue;
        }
        // A ray that comes again is the same request, whatever else the other row says.
        if repeated(data, ray) > 1 {
            continue;
        }
        let Some(ray) = cfray_model::RayId::parse(ray.as_bytes()) else { continue };
        assert!(full.incidents.iter().any(|row| row.ray == Some(ray)), "{ray:?} is lost");
    }
}

/// How often a name occurs in a line.
fn repeated(line: &[u8], name: &str) -> usize {
    line.to_ascii_lowercase().windows(name.len()).filter(|w| *w == name.to_ascii_lowercase().as_bytes()).count()
}

/// Cells (each ends at 0xff, rows of four) written by the csv crate and read back; and any bytes as CSV.
pub fn csv(data: &[u8]) {
    const NAMES: [&str; 4] = ["RayID", "EdgeResponseStatus", "ClientRequestURI", "ClientRequestHost"];
    let columns = CsvColumns { delimiter: b',', names: NAMES.map(str::to_owned).to_vec(), header: true };
    let format = EdgeFormat { kind: EdgeKind::Csv(columns), why: String::new() };
    let _ = scanned(data, &format, false);
    let cells: Vec<String> = data.split(|&b| b == 0xff).map(|cell| String::from_utf8_lossy(cell).replace('\0', "")).collect();
    let mut writer = ::csv::Writer::from_writer(Vec::new());
    let mut wanted = Vec::new();
    let mut good = writer.write_record(NAMES).is_ok();
    for (i, pair) in cells.chunks_exact(2).enumerate() {
        let ray = format!("9e0ad402c9af{i:04x}");
        good &= writer.write_record([ray.as_str(), "520", &pair[0], &pair[1]]).is_ok();
        wanted.push(pair[0].clone());
    }
    let Ok(text) = writer.into_inner() else { return };
    assert!(good);
    let scan = scanned(&text, &format, false);
    let mut found: Vec<_> = scan.incidents.iter().map(|row| (row.ray, row.uri.clone().unwrap_or_default())).collect();
    found.sort();
    let found: Vec<String> = found.into_iter().map(|(_, uri)| uri.to_string()).collect();
    assert_eq!(found, wanted, "{}", String::from_utf8_lossy(&text));
}

/// Compressed or plain bytes: caps hold, and what can be read is cut into blocks.
pub fn inflate(data: &[u8]) {
    const CAP: u64 = 1 << 17;
    let options = Options { max_inflate: CAP, max_ratio: 100, block: 4096, max_line: 8192, ..Options::default() };
    let mut content = open_stream(data.to_vec(), std::io::empty(), Compression::of(data), &options);
    let mut out = Vec::new();
    let mut buffer = [0u8; 4096];
    loop {
        match content.reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => out.extend_from_slice(&buffer[..n]),
            Err(error) => {
                assert!(!error.to_string().is_empty());
                break;
            }
        }
        assert!(out.len() as u64 <= CAP.max(data.len() as u64), "the cap does not hold");
    }
    let mut reader =
        BlockReader::new(open_stream(data.to_vec(), std::io::empty(), Compression::of(data), &options).reader, Split::Lines, &options);
    let (mut block, mut bytes) = (Block::default(), 0u64);
    while reader.next_block(&mut block) {
        bytes += block.bytes().len() as u64 + block.long_lines.iter().map(|l| l.bytes + 1).sum::<u64>();
        assert!(block.bytes().split(|&b| b == b'\n').all(|line| line.len() <= 2 * 8192), "a long line is held");
    }
    // A cap that is met in the middle of a buffer takes the buffer along; how large that is, the reader decides.
    assert!(bytes <= out.len() as u64 + (64 << 10), "more bytes come out of the blocks than went in");
}

/// `--rays FILE`.
pub fn rays(data: &[u8]) {
    let scan = rays::scan_rays(SourceId(0), data, &EdgeFilter::default());
    let lines = data.split(|&b| b == b'\n').count();
    assert!(scan.incidents.len() <= lines && scan.rejects.len() <= lines);
    for row in &scan.incidents {
        assert_eq!(row.edge_status, 520);
        assert!(row.ray.is_some());
    }
}

/// Times in logs and in rows; RFC 3339 must be read as chrono reads it.
pub fn time(data: &[u8]) {
    use cfray_formats::fields::time as t;
    let _ = (t::any_time(data), t::clf_time(data), t::nginx_error_time(data), t::apache_error_time(data), t::iso_time(data));
    let _ = (t::php_time(data), t::syslog_time(data), t::epoch_time(data), t::zone(data));
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(value) = serde_json::to_string(text) else { return };
    let row = format!(
        "{{\"RayID\":\"9e0ad402c9afa70a\",\"EdgeResponseStatus\":520,\"EdgeStartTimestamp\":{value},\"EdgeEndTimestamp\":{value}}}\n"
    );
    let scan = scanned(row.as_bytes(), &lines(), false);
    assert_eq!(scan.incidents.len(), 1);
    let start = scan.incidents[0].start.map(|t| t.0);
    let Ok(judge) = chrono::DateTime::parse_from_rfc3339(text) else { return };
    // 0 and years before 1970 or after 2099 are no time; a leap second is the second after.
    let leap = judge.timestamp_subsec_nanos() >= 1_000_000_000;
    let Some(ns) = judge.timestamp_nanos_opt().filter(|&ns| ns != 0 && !leap) else { return };
    assert!(start.is_none() || start == Some(ns), "{text}: {start:?}, chrono says {ns}");
    let plain =
        text.is_ascii() && text.len() >= 20 && text.ends_with('Z') && text.as_bytes()[10] == b'T' && (1970..2100).contains(&year(text));
    assert!(!plain || start == Some(ns), "{text} was not read");
}

fn year(text: &str) -> u32 {
    text.get(..4).and_then(|y| y.parse().ok()).unwrap_or(0)
}

/// Parts of an edge scan in any order and grouping: parts are separated by a line `--`.
pub fn merge(data: &[u8]) {
    let mut parts: Vec<EdgePart> = Vec::new();
    let mut offset = 0;
    for piece in split_on(data, b"--\n").into_iter().take(4) {
        let mut scanner = EdgeScanner::new(&Options::default(), &EdgeFilter::default());
        scanner.feed(SourceId((offset % 2) as u32), &lines(), offset, piece);
        offset += piece.len() as u64 + 3;
        parts.push(scanner.finish());
    }
    let [Some(a), b, c] = [parts.first().cloned(), parts.get(1).cloned(), parts.get(2).cloned()] else { return };
    let (b, c) = (b.unwrap_or_default(), c.unwrap_or_default());
    let left = a.clone().merge(b.clone()).merge(c.clone());
    let right = a.clone().merge(b.clone().merge(c.clone()));
    let turned = c.merge(b).merge(a);
    let left = show(&finalize(left));
    assert_eq!(left, show(&finalize(right)), "associative");
    assert_eq!(left, show(&finalize(turned)), "commutative");
}

fn split_on<'a>(data: &'a [u8], separator: &[u8]) -> Vec<&'a [u8]> {
    let mut out = Vec::new();
    let mut rest = data;
    while let Some(at) = rest.windows(separator.len()).position(|w| w == separator) {
        out.push(&rest[..at]);
        rest = &rest[at + separator.len()..];
    }
    out.push(rest);
    out
}

/// Files of a directory (separated by a line `--`), from discovery to every text output.
pub fn pipeline(data: &[u8]) {
    let Ok(dir) = scratch() else { return };
    for (i, file) in split_on(data, b"--\n").into_iter().take(6).enumerate() {
        if std::fs::write(dir.path().join(format!("{i}.log")), file).is_err() {
            return;
        }
    }
    let one = analysed(dir.path(), 1, 1 << 16, one_in(4, data));
    if one_in(8, data) {
        assert_eq!(one, analysed(dir.path(), 1, 61, false), "blocks change nothing");
    }
    // Threads that are started for each input take most of its time.
    if one_in(64, data) {
        assert_eq!(one, analysed(dir.path(), 2, 61, false), "threads and blocks change nothing");
    }
}

/// A directory in memory where there is one.
fn scratch() -> std::io::Result<tempfile::TempDir> {
    let memory = std::path::Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }
}

/// The report as JSON; with `outputs` every other one is written and looked at as well.
fn analysed(dir: &std::path::Path, threads: usize, block: usize, outputs: bool) -> String {
    let options = Options { threads, block, ..Options::default() };
    let discovery = cfray_ingest::discover(&[Input::Path(dir.to_owned())], &options);
    let edge = cfray_ingest::scan_edge(&discovery, &EdgeFilter::default(), &options, &NoProgress);
    let origin = cfray_ingest::scan_origin(&discovery, edge.index(), &options, &NoProgress);
    let (sources, skipped) = (discovery.sources.clone(), discovery.skipped.clone());
    let part = cfray_causes::Part { edge, origin };
    let report = cfray_causes::analyze(vec![part], &sources, skipped, &cfray_causes::Settings::default());
    for row in report.rows.iter() {
        let verdict = &row.verdict;
        assert!((0.0..=1.0).contains(&verdict.confidence), "confidence {}", verdict.confidence);
        let named = verdict.cause != cfray_model::Cause::Unknown;
        assert!(!named || (verdict.confidence >= 0.5 && !verdict.evidence.is_empty()), "{:?}", verdict);
        assert!(verdict.evidence.len() <= 5);
    }
    let mut json = String::new();
    for redact in [None, Some([7u8; 32])] {
        let render = cfray_report::RenderOptions { redact, ..Default::default() };
        for format in cfray_report::FORMATS {
            let mut out = Vec::new();
            if format.name == "parquet" || !outputs && (format.name != "json" || redact.is_some()) {
                continue;
            }
            let id = cfray_report::OutputFormat::from_name(format.name);
            let Some(id) = id else { continue };
            if let Err(error) = cfray_report::render(&report, id, &render, &mut out) {
                panic!("{}: {error}", format.name);
            }
            let Ok(text) = String::from_utf8(out) else { panic!("{}: not UTF-8", format.name) };
            written(format.name, &text);
            if format.name == "json" && redact.is_none() {
                json = text.replace(&dir.to_string_lossy().into_owned(), "DIR");
            }
        }
        let text = cfray_report::terminal(&report, 80, false, &render);
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "a control character in the summary: {text:?}");
    }
    json
}

/// What each text output must satisfy, whatever it shows.
fn written(format: &str, text: &str) {
    match format {
        "csv" => {
            let mut reader = ::csv::Reader::from_reader(text.as_bytes());
            for record in reader.records() {
                assert!(record.is_ok(), "{record:?}");
            }
        }
        "ndjson" => text.lines().for_each(|line| assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "{line}")),
        "json" => assert!(serde_json::from_str::<serde_json::Value>(text).is_ok()),
        _ => assert!(!text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t' | '\r')), "a control character in {format}"),
    }
}
