//! A job that delivers a short piece of the time, or few 520s: the origin's logs tell more than the rows.

use super::site::{Kind, Row, Site, Wire};

/// Keeps the rows of a piece of the time; the origin's logs stay whole.
fn only(site: &mut Site, from: i64, to: i64) {
    site.rows.retain(|r| (from..to).contains(&r.start));
    // The rest of the day is other sites', so that there is something to read.
    let rows: Vec<Row> = (0..330)
        .map(|i| {
            let mut row = site.request(from + i * (to - from) / 330);
            "shop.example.net".clone_into(&mut row.host);
            "192.0.2.77".clone_into(&mut row.origin_ip);
            row
        })
        .collect();
    site.rows.extend(rows);
}

/// Visitors try again after a failure that left no line; the rows of what they then got come with the next file.
#[test]
fn a_repetition_without_a_row_is_no_answer_that_was_refused() {
    let mut site = Site::new(Kind::Nginx);
    let mut rays = Vec::new();
    for i in 0..24 {
        let row = site.request(44_000 + i * 40).asking("GET", &format!("/reports/{i}")).ended(Wire::Closed).lasting(900);
        if i % 6 == 0 {
            let mut again = row.clone().lasting(100);
            again.start = row.end() + 50;
            site.access(&again, 200, 4_100, 4_400);
        }
        rays.push(site.silent(row));
    }
    only(&mut site, 39_000, 45_800);
    site.report().denies(&rays, "headers-too-large");
}

/// Each of a page's 520s has its line: that is what a large header looks like where sizes are not logged.
#[test]
fn a_page_whose_answers_are_all_refused() {
    let mut site = Site::new(Kind::Nginx);
    let rays: Vec<String> = (0..8)
        .map(|i| {
            let row = site.request(40_000 + i * 600).asking("GET", &format!("/reports/{i}")).ended(Wire::Closed).lasting(200);
            let ray = row.ray();
            site.answered(row, 200, 4_100);
            ray
        })
        .collect();
    only(&mut site, 39_000, 45_800);
    let report = site.report();
    for ray in &rays {
        let row = report.row(ray);
        let guess = if row["cause"] == "unknown" { &row["runner_up"] } else { &row["cause"] };
        assert!(guess == "headers-too-large" || guess == "malformed-response", "{row:#?}");
    }
}

/// Three drops of ModSecurity, too few to compare: the rule's own words.
fn dropped(site: &mut Site, variable: &str) -> Vec<String> {
    (0..3)
        .map(|i| {
            let row = site.request(20_000 + i * 9_000).asking("GET", &format!("/p/{i}-lamp")).ended(Wire::Closed).lasting(60);
            let matched = format!("Pattern match \"x\" at {variable}");
            site.modsecurity(&row, &row.edge_ip, "connection close (phase 1)", &matched, &format!("/p/{i}-lamp"));
            let ray = row.ray();
            site.answered(row, 403, 424);
            ray
        })
        .collect()
}

#[test]
fn few_drops_of_modsecurity_by_what_the_rule_looked_at() {
    for (variable, cause) in
        [("REQUEST_HEADERS:User-Agent", "client-blocked"), ("REMOTE_ADDR", "edge-ip-blocked"), ("ARGS:q", "rule-dropped")]
    {
        let mut site = Site::new(Kind::Apache);
        let rays = dropped(&mut site, variable);
        site.report().proves(&rays, cause, &["request", "chain"], "Access denied with connection close");
    }
}

/// Failures of connections in use, at once and without a line, while processes of the server end all the time.
#[test]
fn a_race_is_not_named_beside_the_end_of_a_process() {
    let mut site = Site::new(Kind::Nginx);
    let mut rays = Vec::new();
    for i in 0..5 {
        let row = site.request(41_000 + i * 900).ended(Wire::Closed).reused();
        let took = row.dur.min(160);
        let row = row.lasting(took);
        site.nginx_error(row.end() + 40, "alert", &format!("worker process {} exited on signal 11", 900 + i));
        rays.push(site.silent(row));
    }
    only(&mut site, 39_000, 46_500);
    site.report().denies(&rays, "keepalive-race");
}
