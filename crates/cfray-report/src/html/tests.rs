#![allow(clippy::unwrap_used, clippy::expect_used)]
use super::*;
use crate::{OutputFormat, example, render as render_as};
use base64::Engine;
use cfray_model::report::Report;
use std::io::Read;

fn html(report: &Report) -> String {
    let mut out = Vec::new();
    render_as(report, OutputFormat::Html, &RenderOptions::default(), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// The packed rows.
fn data(page: &str) -> serde_json::Value {
    let packed = page.split("id=\"data\">").nth(1).unwrap().split('<').next().unwrap();
    let bytes = base64::engine::general_purpose::STANDARD.decode(packed).unwrap();
    let mut json = String::new();
    flate2::read::DeflateDecoder::new(bytes.as_slice()).read_to_string(&mut json).unwrap();
    assert!(!json.contains("hunter2") && !json.contains('<') && !json.contains('\x1b'));
    serde_json::from_str(&json).unwrap()
}

#[test]
fn hostile_values_stay_text() {
    let page = html(&example::report());
    for markup in ["<script>alert", "<img", "onclick='alert", "</script><script>", "hunter2", "\x1b", "\u{202e}", "\u{200f}"] {
        assert!(!page.contains(markup), "{markup:?}");
    }
    assert_eq!(page.matches("<script").count(), 2, "the data and the page's own");
    assert_eq!(page.matches("</script>").count(), 2);
    assert!(!page.contains(" style="), "the policy forbids inline styles");
    assert!(!page.contains("http-equiv=\"refresh\"") && !page.contains("src="), "nothing is loaded");
    let data = data(&page);
    assert_eq!(data["r"].as_array().unwrap().len(), example::report().rows.len());
    let texts: Vec<&str> = data["s"].as_array().unwrap().iter().map(|t| t.as_str().unwrap()).collect();
    assert!(texts.contains(&"/</script><script>alert(2)</script>"), "the value itself is there");
    assert!(texts.contains(&"\\u{202e}gpj.exe\\u{200f} \\x1B]0;owned\\x07"));
}

#[test]
fn the_policy_names_what_the_page_has() {
    let page = html(&example::report());
    assert!(page.contains(&format!("<style>{STYLE}</style>")) && page.contains(&format!("<script>{SCRIPT}</script>")));
    assert!(page.contains(&csp_hash(SCRIPT).replace('/', "&#x2f;")) && page.contains(&csp_hash(STYLE).replace('/', "&#x2f;")));
    assert!(!SCRIPT.contains("innerHTML") && !SCRIPT.contains("</"), "the script only sets text");
}

#[test]
fn an_empty_report_is_a_page_too() {
    let page = html(&example::empty());
    assert!(page.contains("No 520 in 4,821 requests") && page.contains("origin-refused"));
}

/// A report of many rows, no two alike.
pub fn many(wanted: usize) -> Report {
    let mut report = example::report();
    let models = report.rows.range(0..usize::MAX).into_owned();
    let mut rows = Vec::new();
    for (index, mut row) in models.into_iter().cycle().take(wanted).enumerate() {
        row.edge.ray = Some(cfray_model::RayId((index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1));
        row.edge.uri = Some(format!("/product/{}?u={}", index % 977, index.wrapping_mul(7919) % 100_003).into());
        row.edge.start = row.edge.start.map(|s| cfray_model::Stamp(s.0 + index as i64 % 1000 * 1_000_000_000));
        row.source = format!("cloudflare/20261122T1000Z.log.gz:{index}").into();
        for (at, item) in row.verdict.evidence.iter_mut().enumerate().filter(|(_, item)| item.line.is_some()) {
            item.line = Some((index * 3 + at) as u64);
            item.text = format!("{} #{index} {}", item.text, index.wrapping_mul(104_729)).into();
        }
        rows.push(row);
    }
    report.rows = rows.into();
    for episode in &mut report.episodes {
        let number = episode.number;
        episode.rows = report.rows.iter().enumerate().filter(|(_, r)| r.episode == Some(number)).map(|(i, _)| i).collect();
        episode.count = episode.rows.len() as u64;
    }
    report
}

#[test]
fn large_reports_stay_small() {
    let page = html(&many(10_000));
    assert!(page.len() < 3_000_000, "{}", page.len());
    assert_eq!(data(&page)["r"].as_array().unwrap().len(), 10_000);
    let page = html(&many(25_000));
    assert!(page.len() < 3_000_000, "{}", page.len());
    assert!(page.contains("The table holds 10,000 of 25,000 rows"));
}

/// Leaves pages in the directory that CFRAY_PAGES names, to be looked at.
#[test]
fn pages_to_look_at() {
    if let Some(dir) = std::env::var_os("CFRAY_PAGES").map(std::path::PathBuf::from) {
        for (name, report) in [("example", example::report()), ("empty", example::empty()), ("many", many(50_000))] {
            std::fs::write(dir.join(format!("{name}.html")), html(&report)).unwrap();
            #[cfg(feature = "parquet")]
            crate::write_file(&report, OutputFormat::Parquet, &RenderOptions::default(), &dir.join(format!("{name}.parquet"))).unwrap();
        }
    }
}
