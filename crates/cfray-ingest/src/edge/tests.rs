//! The parsers against each other and against serde_json, and the invariants of merging.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use crate::options::Options;
use cfray_model::{EdgeField, EdgeFilter, EdgeScan, FactFlags, RayId, SourceId};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Everything of a scan, comparable.
fn show(scan: &EdgeScan) -> String {
    format!("{:?}\n{:?}\n{:?}\n{:?}\n{:?}", scan.incidents, scan.facts, scan.combos, scan.counters, scan.rejects)
}

fn ndjson() -> EdgeFormat {
    EdgeFormat { kind: EdgeKind::Ndjson, why: String::new() }
}

fn options() -> Options {
    let field_map = BTreeMap::from([("info.code".to_owned(), "EdgeResponseStatus".to_owned()), ("my-ray".to_owned(), "RayID".to_owned())]);
    Options { field_map, ..Options::default() }
}

/// Scans one text with one scanner.
fn scan(text: &[u8], format: &EdgeFormat, options: &Options) -> EdgeScan {
    let mut scanner = EdgeScanner::new(options, &EdgeFilter::default());
    scanner.feed(SourceId(0), format, 0, text);
    scanner.end(format);
    finalize(scanner.finish())
}

fn rows(text: &str) -> EdgeScan {
    scan(text.as_bytes(), &ndjson(), &Options::default())
}

/// Cuts a text after some of its line breaks.
fn cut(text: &[u8], choose: &[bool]) -> Vec<(u64, Vec<u8>)> {
    let mut out = vec![(0u64, Vec::new())];
    let mut choose = choose.iter().cycle();
    let mut offset = 0;
    for line in text.split_inclusive(|&b| b == b'\n') {
        if choose.next() == Some(&true) {
            out.push((offset, Vec::new()));
        }
        offset += line.len() as u64;
        out.last_mut().unwrap().1.extend_from_slice(line);
    }
    out.retain(|(_, block)| !block.is_empty());
    out
}

// ---- arbitrary rows -------------------------------------------------------------------------

/// A key as it may be spelled: known names in any case, aliases, the user's, others, with escapes.
fn key() -> impl Strategy<Value = String> {
    let names: Vec<String> = EdgeField::ALL
        .iter()
        .flat_map(|f| std::iter::once(f.name()).chain(f.aliases().iter().copied()))
        .chain(["my-ray", "info", "ZoneName", "BotTags", "x", "", "a b", "Edge\u{e9}"])
        .map(str::to_owned)
        .collect();
    (proptest::sample::select(names), 0..12u8).prop_map(|(name, how)| match how {
        0 => name.to_lowercase(),
        1 => name.to_uppercase(),
        2 => name
            .chars()
            .enumerate()
            .map(|(i, c)| if i == 1 && c.is_ascii() { format!("\\u{:04x}", c as u32) } else { c.to_string() })
            .collect(),
        3 => format!("{name}\\\""),
        _ => name,
    })
}

/// A value as written.
fn value() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        4 => proptest::sample::select(vec![
            "520", "\"520\"", "200", "0", "\"\"", "\"00\"", "null", "true", "false", "[]", "{}", "-1", "3.72", "5.2e2",
            "\"9e0ad402c9afa70a\"", "\"9e0ad402c9afa70b\"", "\"2026-11-22T12:29:19Z\"", "\"2026-11-22T12:29:19.018Z\"",
            "1795350559", "1795350559018882000", "\"1795350559018\"", "\"www.example.com\"", "\"GET\"", "\"eyeball\"", "1", "\"11\"",
            "\"192.0.2.1\"", "\"2001:db8::1\"", "\"/a?b=x{c\"", "\"/a%20b\"",
        ]).prop_map(str::to_owned),
        1 => any::<i64>().prop_map(|n| n.to_string()),
        2 => "([ -!#-\\[\\]-~\u{e9}]|\\\\\"|\\\\\\\\|\\\\u00e9|\\\\ud83d\\\\ude00|\\\\n){0,40}".prop_map(|s| format!("\"{s}\"")),
        // Text that looks like more of the row.
        1 => Just("\"x\\\",\\\"EdgeResponseStatus\\\":520,\\\"y\\\":\\\"\"".to_owned()),
        1 => Just("\"}\\\\\"".to_owned()),
    ];
    scalar.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(|v| format!("[{}]", v.join(", "))),
            proptest::collection::vec((key(), inner), 0..3)
                .prop_map(|v| format!("{{{}}}", v.iter().map(|(k, v)| format!("\"{k}\":{v}")).collect::<Vec<_>>().join(","))),
        ]
    })
}

/// Blanks around the tokens of a job's rows.
fn style() -> impl Strategy<Value = (&'static str, &'static str, &'static str)> {
    proptest::sample::select(vec![("", "", ""), (" ", "", " "), ("", " ", ""), ("\t", " ", "\r"), ("", "", "\r")])
}

fn written(row: &[(String, String)], (comma, colon, end): (&str, &str, &str)) -> String {
    let members: Vec<String> = row.iter().map(|(k, v)| format!("\"{k}\"{colon}:{colon}{v}")).collect();
    format!("{{{}}}{end}", members.join(&format!("{comma},{comma}")))
}

/// Lines of a few jobs, mixed: each job has its keys in its order, its blanks, and some values that
/// seldom change; some rows lack a key, repeat one, or are damaged.
fn lines() -> impl Strategy<Value = Vec<u8>> {
    let job = (proptest::collection::vec((key(), value(), any::<bool>()), 1..12), style());
    (
        proptest::collection::vec(job, 1..4),
        proptest::collection::vec((0usize..4, proptest::collection::vec(value(), 12), 0u8..60, any::<u16>()), 1..40),
    )
        .prop_map(|(jobs, rows)| {
            let mut text = Vec::new();
            for (job, values, twist, at) in rows {
                let (keys, style) = &jobs[job % jobs.len()];
                let mut row: Vec<(String, String)> = keys
                    .iter()
                    .zip(values)
                    .map(|((k, usual, stable), v)| (k.clone(), if *stable && twist > 5 { usual.clone() } else { v }))
                    .collect();
                let at = usize::from(at);
                let n = row.len();
                match twist {
                    0 => drop(row.remove(at % n)),
                    1 => row.swap(0, at % n),
                    2 => row.push(row[at % n].clone()),
                    _ => {}
                }
                let mut line = written(&row, *style).into_bytes();
                let m = line.len();
                match twist {
                    3 => line.truncate(at % m),
                    4 => line[at % m] = (at >> 8) as u8,
                    5 => drop(line.remove(at % m)),
                    6 => line.extend_from_slice(b"{\"RayID\":\"9e0ad402c9afa70c\",\"EdgeResponseStatus\":520}"),
                    7 => line = [b"{\"events\":[".to_vec(), line, b"]}".to_vec()].concat(),
                    _ => {}
                }
                text.extend_from_slice(&line);
                text.push(b'\n');
            }
            text
        })
}

// ---- serde_json as the judge ----------------------------------------------------------------

/// A JSON object with its members in order, repeated keys included.
struct Members(Vec<(String, serde_json::Value)>);

impl<'de> serde::Deserialize<'de> for Members {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Members;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

/// Text of a field, by the rules of [`super`], worked out on serde_json's values. Numbers come as they are written.
fn judged(line: &str, names: &Names, field: EdgeField) -> Option<String> {
    let members: Members = serde_json::from_str(line).unwrap();
    let mut best: Option<(u8, serde_json::Value)> = None;
    for (key, value) in members.0 {
        if let Some(target) = names.get(key.as_bytes())
            && target.field == field
            && best.as_ref().is_none_or(|(rank, _)| target.rank <= *rank)
        {
            best = Some((target.rank, value));
        }
    }
    match best?.1 {
        serde_json::Value::String(s) => Some(s),
        serde_json::Value::Null | serde_json::Value::Array(_) | serde_json::Value::Object(_) => None,
        other => Some(other.to_string()),
    }
}

#[test]
fn rows_of_one_shape_are_read_side_by_side() {
    let row = |i: usize| {
        let (long, status) = ("x".repeat(i * 7 % 90), if i == 30 { "\"4\\u00323\"".to_owned() } else { (200 + i).to_string() });
        format!(
            "{{\"ClientIP\":\"192.0.2.{i}\",\"ClientRequestURI\":\"/{long}\",\"Cookies\":{{\"a\":\"{i}\",\"b\":[{i},\"{long}\"]}},\"EdgeResponseStatus\":{status},\
             \"EdgeStartTimestamp\":{},\"OriginIP\":\"192.0.2.14\",\"RayID\":\"9e0ad402c9afa7{i:02}\",\"ratio\":{i}.5}}\n",
            1_795_350_559_018_000_000u64 + i as u64 * 1_000_000,
        )
    };
    let text: String = (1..80).map(row).collect();
    let mut fast = EdgeScanner::new(&options(), &EdgeFilter::default());
    fast.feed(SourceId(0), &ndjson(), 0, text.as_bytes());
    assert!(fast.lane_rows() > 50 && fast.fast_rows() == 78, "{} {}", fast.lane_rows(), fast.fast_rows());
    let mut full = EdgeScanner::new(&options(), &EdgeFilter::default()).full_only();
    full.feed(SourceId(0), &ndjson(), 0, text.as_bytes());
    let (fast, full) = (finalize(fast.finish()), finalize(full.finish()));
    assert_eq!(fast.facts.len(), 79);
    assert_eq!(show(&fast), show(&full));
}

/// The lanes of a block count their own lines: every row, and a line that is none, has the number that it has in the file.
#[test]
fn lines_are_numbered_whichever_lane_reads_them() {
    let row = |i: usize| {
        let (long, status) = ("x".repeat(i * 7 % 90), if i.is_multiple_of(5) { 520 } else { 200 });
        format!(
            "{{\"ClientRequestURI\":\"/{i}/{long}\",\"EdgeResponseStatus\":{status},\"EdgeStartTimestamp\":1795350559018000000,\"RayID\":\"9e0ad402c9af{i:04x}\"}}\n"
        )
    };
    let text: String = (1..400usize).map(|i| if i.is_multiple_of(73) { "no row\n".to_owned() } else { row(i) }).collect();
    for cut in [text.len(), text.len() / 2, 3000] {
        let cut = text[..cut].rfind('\n').map_or(0, |at| at + 1);
        let mut scanner = EdgeScanner::new(&options(), &EdgeFilter::default());
        scanner.feed(SourceId(0), &ndjson(), 0, &text.as_bytes()[..cut]);
        scanner.feed(SourceId(0), &ndjson(), cut as u64, &text.as_bytes()[cut..]);
        assert!(scanner.lane_rows() > 300);
        let scan = finalize(scanner.finish());
        let lines: Vec<u64> = scan.incidents.iter().map(|row| row.at.line).collect();
        let uris: Vec<u64> =
            scan.incidents.iter().map(|row| row.uri.as_ref().unwrap().split('/').nth(1).unwrap().parse().unwrap()).collect();
        assert_eq!(lines, uris);
        assert_eq!(lines.len(), 79 - 1);
        assert_eq!(scan.rejects.iter().map(|reject| reject.at.line).collect::<Vec<_>>(), [73, 146, 219, 292, 365]);
        assert_eq!(scan.lines.get(&0), Some(&399));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn the_full_parser_agrees_with_serde_json(
        row in proptest::collection::vec((key(), value()), 1..10), style in style(),
    ) {
        let line = written(&row, style);
        prop_assume!(serde_json::from_str::<serde_json::Value>(&line).is_ok());
        let names = Names::new(&BTreeMap::from([("my-ray".to_owned(), "RayID".to_owned())]));
        let mut slots = value::Slots::default();
        let mut layout = full::Layout::default();
        full::object(line.as_bytes(), 0, &names, &mut slots, &mut layout).unwrap();
        let values = value::Row { bytes: line.as_bytes(), slots: &slots };
        for &field in EdgeField::ALL {
            let ours = values.text(field).map(|t| String::from_utf8(t.into_owned()).unwrap());
            let judged = judged(&line, &names, field);
            // serde_json prints floats its own way.
            let number = ours.as_deref().is_some_and(|t| t.parse::<f64>().is_ok());
            if number && judged.is_some() {
                prop_assert_eq!(ours.unwrap().parse::<f64>().unwrap(), judged.unwrap().parse::<f64>().unwrap());
            } else {
                prop_assert_eq!(ours, judged, "{}", field.name());
            }
        }
    }

    #[test]
    fn the_fast_parser_agrees_with_the_full_one(text in lines()) {
        let full = {
            let mut scanner = EdgeScanner::new(&options(), &EdgeFilter::default()).full_only();
            scanner.feed(SourceId(0), &ndjson(), 0, &text);
            finalize(scanner.finish())
        };
        let mut scanner = EdgeScanner::new(&options(), &EdgeFilter::default());
        scanner.feed(SourceId(0), &ndjson(), 0, &text);
        prop_assert_eq!(show(&finalize(scanner.finish())), show(&full));
    }

    #[test]
    fn rows_side_by_side_are_the_same_rows(
        job in proptest::collection::vec((key(), value(), 0u8..4), 4..30),
        rows in proptest::collection::vec((proptest::collection::vec(value(), 30), 0u8..40, any::<u16>()), 12..60),
        style in style(),
    ) {
        let mut text = Vec::new();
        for (values, twist, at) in rows {
            let row: Vec<(String, String)> = job.iter().zip(values)
                .map(|((k, usual, varies), v)| (k.clone(), if *varies > 0 || twist == 39 { v } else { usual.clone() })).collect();
            let mut line = written(&row, style).into_bytes();
            let (at, n) = (usize::from(at), line.len());
            match twist {
                0 => line.truncate(at % n),
                1 => line[at % n] = (at >> 8) as u8,
                2 => line.insert(at % n, b'\n'),
                _ => {}
            }
            text.extend_from_slice(&line);
            text.push(b'\n');
        }
        let [fast, full] = [false, true].map(|full| {
            let scanner = EdgeScanner::new(&options(), &EdgeFilter::default());
            let mut scanner = if full { scanner.full_only() } else { scanner };
            scanner.feed(SourceId(0), &ndjson(), 0, &text);
            show(&finalize(scanner.finish()))
        });
        prop_assert_eq!(fast, full);
    }

    #[test]
    fn blocks_and_merge_order_do_not_matter(text in lines(), cuts in proptest::collection::vec(any::<bool>(), 1..9), deal in proptest::collection::vec(0usize..3, 1..9), reverse in any::<bool>()) {
        let whole = scan(&text, &ndjson(), &options());
        let mut scanners: Vec<EdgeScanner> = (0..3).map(|_| EdgeScanner::new(&options(), &EdgeFilter::default())).collect();
        let mut blocks = cut(&text, &cuts);
        if reverse {
            blocks.reverse();
        }
        for ((offset, block), to) in blocks.iter().zip(deal.iter().cycle()) {
            scanners[*to].feed(SourceId(0), &ndjson(), *offset, block);
        }
        let [a, b, c] = <[EdgePart; 3]>::try_from(scanners.into_iter().map(EdgeScanner::finish).collect::<Vec<_>>()).unwrap();
        let left = a.clone().merge(b.clone()).merge(c.clone());
        let right = c.merge(b.merge(a));
        prop_assert_eq!(show(&finalize(left)), show(&whole));
        prop_assert_eq!(show(&finalize(right)), show(&whole));
    }

    #[test]
    fn any_bytes_in_no_panic(text in proptest::collection::vec(any::<u8>(), 0..300), picks in "[{}\\[\\]\":,\\\\ a-z0-9\n\r\t]{0,200}") {
        let csv = EdgeKind::Csv(CsvColumns { delimiter: b',', names: ["RayID", "EdgeResponseStatus"].map(str::to_owned).to_vec(), header: true });
        for kind in [EdgeKind::Ndjson, EdgeKind::Document, csv] {
            let format = EdgeFormat { kind, why: String::new() };
            for text in [&text, picks.as_bytes()] {
                let scan = scan(text, &format, &options());
                prop_assert!(scan.rejects.len() <= 8);
                let _ = (detect(text, &options()), other_dataset(text), rays::scan_rays(SourceId(0), text, &EdgeFilter::default()));
            }
        }
    }

    #[test]
    fn documents_in_any_pieces(values in proptest::collection::vec(proptest::collection::vec(value(), 3), 1..6), size in 1usize..50, shape in 0u8..4) {
        let rows: Vec<String> = values.iter().map(|v| {
            written(&[("RayID".to_owned(), v[0].clone()), ("EdgeResponseStatus".to_owned(), "520".to_owned()), ("x".to_owned(), v[1].clone()), ("OriginIP".to_owned(), v[2].clone())], ("\n", " ", ""))
        }).collect();
        let text = match shape {
            0 => format!("{{\"errors\": [], \"result\": [\n{}\n], \"success\": true}}\n", rows.join(",\n")),
            1 => format!("[{}]", rows.join(",")),
            2 => rows.join("\n"),
            _ => format!("{{\"meta\":{{\"rows\":3}},\"data\":{{\"events\":[{}]}}}}", rows.iter().map(|r| format!("{{\"info\":{r}}}")).collect::<Vec<_>>().join(",")),
        };
        let document = EdgeFormat { kind: EdgeKind::Document, why: String::new() };
        let whole = scan(text.as_bytes(), &document, &Options::default());
        prop_assert_eq!(whole.counters.rows + whole.counters.duplicates, values.len() as u64, "{:?}", whole.rejects);
        prop_assert!(whole.rejects.is_empty());
        let mut scanner = EdgeScanner::new(&Options::default(), &EdgeFilter::default());
        let mut offset = 0u64;
        for piece in text.as_bytes().chunks(size) {
            scanner.feed(SourceId(0), &document, offset, piece);
            offset += piece.len() as u64;
        }
        scanner.end(&document);
        prop_assert_eq!(show(&finalize(scanner.finish())), show(&whole));
        // The same rows as lines give the same facts.
        let flat: String = rows.iter().map(|r| format!("{}\n", r.replace('\n', " "))).collect();
        prop_assert_eq!(scan(flat.as_bytes(), &ndjson(), &Options::default()).facts, whole.facts);
    }

    #[test]
    fn csv_says_what_json_says(cells in proptest::collection::vec(("[ -~\n]{0,12}", "[ -~]{0,12}", 0u16..1000), 1..12), tab in any::<bool>(), cuts in proptest::collection::vec(any::<bool>(), 1..5)) {
        let delimiter = if tab { '\t' } else { ',' };
        let quote = |s: &str| format!("\"{}\"", s.replace('"', "\"\""));
        let mut csv = format!("RayID{delimiter}EdgeResponseStatus{delimiter}ClientRequestURI{delimiter}ZoneName{delimiter}ClientRequestUserAgent\n");
        let mut json = String::new();
        for (i, (uri, agent, status)) in cells.iter().enumerate() {
            let ray = format!("9e0ad402c9af{i:04x}");
            csv += &[quote(&ray), status.to_string(), quote(uri), "x y".to_owned(), quote(agent)].join(&delimiter.to_string());
            csv += "\n";
            json += &format!("{}\n", serde_json::json!({"RayID": ray, "EdgeResponseStatus": status, "ClientRequestURI": uri, "ZoneName": "x y", "ClientRequestUserAgent": agent}));
        }
        let format = detect(csv.as_bytes(), &Options::default()).unwrap();
        let from_csv = scan(csv.as_bytes(), &format, &Options::default());
        let from_json = scan(json.as_bytes(), &ndjson(), &Options::default());
        prop_assert_eq!(&from_csv.facts, &from_json.facts);
        prop_assert_eq!(from_csv.counters.rows, cells.len() as u64);
        prop_assert_eq!(from_csv.counters.rejected, 0);
        // Blocks cut at any line break, to one reader in order.
        let mut scanner = EdgeScanner::new(&Options::default(), &EdgeFilter::default());
        for (offset, block) in cut(csv.as_bytes(), &cuts) {
            scanner.feed(SourceId(0), &format, offset, &block);
        }
        scanner.end(&format);
        prop_assert_eq!(show(&finalize(scanner.finish())), show(&from_csv));
        // Blocks cut where `record_cut` says, each to a reader of its own.
        let mut part = EdgePart::default();
        let mut offset = 0u64;
        let mut lines = cut(csv.as_bytes(), &cuts).into_iter().map(|(_, b)| b);
        let mut held: Vec<u8> = Vec::new();
        loop {
            let more = lines.next();
            held.extend_from_slice(more.as_deref().unwrap_or_default());
            let taken = if more.is_some() { csv::record_cut(&held, false) } else { held.len() };
            let mut scanner = EdgeScanner::new(&Options::default(), &EdgeFilter::default());
            scanner.feed(SourceId(0), &format, offset, &held[..taken]);
            scanner.end(&format);
            part = scanner.finish().merge(part);
            offset += taken as u64;
            held.drain(..taken);
            if more.is_none() {
                break;
            }
        }
        prop_assert_eq!(show(&finalize(part)), show(&from_csv));
    }
}

// ---- particular rows ------------------------------------------------------------------------

const ROW: &str = r#"{"ClientIP":"192.0.2.7","ClientRequestHost":"WWW.example.com","ClientRequestMethod":"GET","ClientRequestSource":"eyeball","ClientRequestURI":"/p?a=1","ClientRequestUserAgent":"curl/8","EdgeColoCode":"FRA","EdgeEndTimestamp":1795350559335657000,"EdgeRequestHost":"","EdgeResponseStatus":520,"EdgeServerIP":"162.158.1.1","EdgeStartTimestamp":1795350559253772000,"OriginIP":"192.0.2.57","OriginResponseStatus":0,"OriginSSLProtocol":"TLSv1.3","OriginTCPHandshakeDurationMs":0,"OriginTLSHandshakeDurationMs":0,"ParentRayID":"00","RayID":"9e0ad867f717948d","WorkerSubrequest":false}"#;

#[test]
fn a_row_fills_its_fact_and_its_record() {
    let scan = rows(&format!("{ROW}\n"));
    let row = &scan.incidents[0];
    assert_eq!(row.host.as_deref(), Some("WWW.example.com"), "the alias EdgeRequestHost does not win");
    assert_eq!(row.precision_ns, 1_000_000);
    assert_eq!((row.parent_ray, row.contacted(), row.reused()), (None, Some(true), Some(true)));
    let fact = &scan.facts[0];
    assert_eq!((fact.start_ms, fact.dur_ms), (1_795_350_559_253, 81));
    assert_eq!(fact.ray, 0x9e0a_d867_f717_948d);
    assert_eq!(fact.request, cfray_model::key::request_key(b"GET", b"/p?a=1") as u32);
    assert_eq!(fact.page, cfray_model::key::page_key(b"www.example.com", b"/p") as u32);
    assert_eq!(fact.client, cfray_model::key::addr_key(b"192.0.2.7") as u32);
    assert_eq!(fact.agent, cfray_model::key::bytes_key(b"curl/8") as u16);
    assert_eq!(fact.shape, cfray_model::key::shape_key(b"/p"));
    assert_eq!((fact.edge_status, fact.origin_status, fact.tcp_ms), (520, 0, 0));
    let expected = FactFlags::CONTACTED | FactFlags::REUSED | FactFlags::INCIDENT | FactFlags::HAS_END | FactFlags::ORIGIN_TLS;
    assert_eq!(fact.flags, FactFlags(expected));
    assert_eq!(scan.combos[0].host, "www.example.com");
    assert_eq!(scan.counters.fields.len(), 19, "EdgeRequestHost counts as ClientRequestHost");
    assert_eq!((scan.counters.width, scan.counters.precision_ns), (20, 1_000_000));
}

#[test]
fn duplicates_keep_the_first_place_and_leave_the_counters() {
    let later = ROW.replace("1795350559253772000", "1795350560253772000");
    let other = ROW.replace("eyeball", "earlyHintsCache");
    let scan = rows(&format!("{ROW}\n{later}\n{ROW}\n{other}\n{ROW}\n"));
    assert_eq!((scan.counters.rows, scan.counters.duplicates), (3, 2));
    assert_eq!(scan.incidents.iter().map(|r| r.at.line).collect::<Vec<_>>(), [1, 4, 2]);
    assert_eq!(scan.facts.len(), 3);
    assert_eq!(scan.counters.by_status[&520], 3);
    assert_eq!(scan.counters.by_source["eyeball"], 2);
    assert_eq!(scan.counters.fields["RayID"], 3);
    assert_eq!(scan.counters.traffic.total(), 3);
    let one_ray = format!("{}\n", ROW.replace("\"EdgeStartTimestamp\":1795350559253772000,", "")).repeat(3000);
    let scan = rows(&one_ray);
    assert_eq!((scan.counters.rows, scan.counters.duplicates, scan.incidents.len()), (1, 2999, 1));
}

#[test]
fn rows_that_never_reached_the_origin_leave_counters_only() {
    let hit = ROW.replace("162.158.1.1", "").replace("192.0.2.57", "").replace(":520,", ":200,");
    let blocked = hit.replace(":200,", ":503,");
    let scan = rows(&format!("{hit}\n{blocked}\n"));
    assert_eq!(scan.facts.len(), 1);
    assert_eq!((scan.facts[0].edge_status, scan.facts[0].flags.has(FactFlags::CONTACTED)), (503, false));
    assert_eq!(scan.combos[0].origin_ip, "");
    assert_eq!((scan.counters.rows, scan.counters.below_500), (2, 1));
}

#[test]
fn subrequests_are_rows_of_their_own() {
    let sub = r#"{"RayID":"9e0ad867f7179490","EdgeResponseStatus":520,"EdgeServerIP":"162.158.1.1","OriginIP":"192.0.2.57"}"#;
    let line = ROW.replace(":520,", ":200,").replace("\"WorkerSubrequest\":false", &format!("\"Subrequests\":[{sub},5]"));
    let scan = rows(&format!("{line}\n"));
    assert_eq!(scan.counters.rows, 2);
    let row = &scan.incidents[0];
    assert_eq!(row.parent_ray, RayId::parse(b"9e0ad867f717948d"));
    assert_eq!((row.at.line, row.at.offset as usize), (1, line.find(sub).unwrap()));
    assert!(scan.facts.iter().any(|f| f.flags.has(FactFlags::SUBREQUEST) && f.edge_status == 520));
}

#[test]
fn broken_lines_are_counted_and_named() {
    let good = format!("{ROW}\r\n");
    let text = format!("\u{feff}{good}\n{}\nnonsense\n{{\"a\":1}}\n{good}{ROW} x\n\0\0\0\n{good}", &ROW[..100]);
    let scan = rows(&text);
    assert_eq!(scan.counters.rows + scan.counters.duplicates, 4, "the row before `x` is a row");
    assert_eq!(scan.counters.rejected, 5);
    let told: Vec<(u64, &str)> = scan.rejects.iter().map(|r| (r.at.line, r.reason.as_str())).collect();
    assert_eq!(told[0], (3, "byte 101: a string does not end"));
    assert_eq!(told[1], (4, "byte 1: not a JSON object"));
    assert_eq!(told[2], (5, "byte 1: no known field name in this JSON"));
    assert!(told[3].0 == 7 && told[3].1.ends_with("text after the row"), "{told:?}");
    assert_eq!(told[4].0, 8);
    let many = rows(&"nonsense\n".repeat(50));
    assert_eq!((many.counters.rejected, many.rejects.len()), (50, 8));
    assert_eq!(many.rejects[7].at.line, 8);
}

#[test]
fn freaks() {
    let wide = format!("{{{}\"EdgeResponseStatus\":520}}\n", (0..100_000).map(|i| format!("\"k{i}\":1,")).collect::<String>());
    assert_eq!(rows(&wide).counters.width, 100_001);
    let deep = format!("{{\"x\":{}{},\"EdgeResponseStatus\":520}}\n", "[".repeat(100_000), "]".repeat(100_000));
    assert!(rows(&deep).rejects[0].reason.contains("nested too deeply"));
    let long = format!("{{\"x\":\"{}\",\"EdgeResponseStatus\":520}}\n{ROW}\n", "y".repeat(MAX_ROW));
    let scan = rows(&long);
    assert_eq!((scan.counters.rejected, scan.counters.rows), (1, 1));
    let odd =
        ROW.replace("1795350559253772000", "99999999999999999999999").replace(":520,", ":\"520\",").replace("\"/p?a=1\"", "\"/\\ud83d\"");
    let scan = rows(&format!("{odd}\n"));
    assert_eq!((scan.incidents[0].start, scan.facts[0].start_ms), (None, i64::MIN));
}

#[test]
fn most_rows_of_a_job_take_the_fast_path() {
    let mut text = String::new();
    for i in 0..500 {
        text += &ROW.replace("/p?a=1", &format!("/p/{i}?q=\\\"{i}")).replace(":520,", if i % 50 == 0 { ":520," } else { ":200," });
        text.push('\n');
    }
    let mut scanner = EdgeScanner::new(&Options::default(), &EdgeFilter::default());
    scanner.feed(SourceId(0), &ndjson(), 0, text.as_bytes());
    assert_eq!(scanner.fast_rows(), 499);
    let scan = finalize(scanner.finish());
    assert_eq!((scan.counters.rows + scan.counters.duplicates, scan.counters.by_status.get(&520).copied()), (500, Some(1)));
}
