//! What cannot be told is not told, and it is said what would have helped.

use super::connections::{at_five_seconds, race};
use super::report::Report;
use super::site::{Kind, Site, Wire};

#[track_caller]
fn unknown(report: &Report, rays: &[String]) {
    for ray in rays {
        let row = report.row(ray);
        assert_eq!((row["cause"].as_str(), row["family"].as_str()), ("unknown", "unknown"), "{row:#?}");
        assert!(report.confidence(ray) >= 0.5, "{row:#?}");
        let second = row["runner_up_confidence"].parse::<f64>().unwrap_or_default();
        assert!(second < 0.5, "{row:#?}");
    }
}

#[test]
fn unknown_under_full_logs() {
    let mut site = Site::new(Kind::Nginx);
    let rays = site.strangers(12);
    let report = site.report();
    unknown(&report, &rays);
    report.lacks(&rays, "the ray in the access log");
    assert!(rays.iter().all(|r| report.row(r)["evidence"].contains("no access line of this request")), "{}", report.csv);
}

#[test]
fn unknown_without_an_error_log() {
    let mut site = Site::new(Kind::NginxRay);
    let rays = site.strangers(9);
    site.each_line("#81", |_, _| None);
    let report = site.report();
    unknown(&report, &rays);
    report.lacks(&rays, "error log");
}

#[test]
fn unknown_without_any_origin_log() {
    let mut site = Site::new(Kind::Nginx);
    let rays = site.strangers(9);
    site.forget_logs();
    let report = site.report();
    unknown(&report, &rays);
    report.lacks(&rays, "logs of the origin server");
}

/// The access log ends half way: afterwards the absence of a line says nothing.
#[test]
fn unknown_after_the_log_has_ended() {
    let mut site = Site::new(Kind::Nginx);
    let rays: Vec<String> = race(&mut site, Wire::Closed, at_five_seconds);
    let late: Vec<String> = site.rows.iter().filter(|r| r.status == 520 && r.start > 55_000).map(super::site::Row::ray).collect();
    assert!(late.len() >= 4 && late.len() < rays.len());
    site.each_line("HTTP/1.1\" ", |at, text| (at < 30_000).then(|| (at, text.to_owned())));
    let report = site.report_thin();
    unknown(&report, &late);
    report.second(&late, "keepalive-race").lacks(&late, "access log that covers the moment");
}

/// Closed on purpose, and half of them for a reason that the error log would tell.
#[test]
fn closes_without_an_error_log_are_less_sure() {
    let mut site = Site::new(Kind::NginxRay);
    let rays = site.closed_strangers(12);
    let with = site.report();
    site.each_line("#81", |_, _| None);
    let without = site.report();
    for ray in &rays {
        assert!(without.row(ray)["cause"] == "unknown" || without.confidence(ray) < with.confidence(ray), "{:#?}", without.row(ray));
    }
    without.lacks(&rays, "error log");
}
