//! Two causes in one recording, and several sites on one server.

use anyhow::Result;
use rand::Rng;

use crate::edge::Why;
use crate::edge::colo::Site;
use crate::edge::logpush::Stamp;
use crate::run::{Debian, Label, Run};
use crate::scenario;
use crate::scenarios::{Scenario, access, backend, background, cut_off};
use crate::stacks::{apache, fpm, nginx, site};
use crate::traffic::Profile;

pub fn table() -> Vec<Scenario> {
    vec![
        scenario!("held5-mixed-prefork-search", "One Apache of Debian 11: mod_php 7.4 pages overflow the stack, and a search service behind a rewrite rule ([P]) closes now and then without an answer; milliseconds and keep-alives in the log; Johannesburg, clock behind.", search,
            { debian: Debian::Bullseye, tz: "Africa/Johannesburg", stamp: Stamp::Rfc3339Ms, profile: Profile::Forum, skew_s: -52 }),
        scenario!("held5-mixed-three-sites", "Three sites on one nginx 1.26 with PHP-FPM 8.4: a limit by address closes (444) on busy Cloudflare addresses, a location points to a key-value server that answers in its own words, and a third site's backend is down (502); Jakarta.", three_sites,
            { debian: Debian::Trixie, tz: "Asia/Jakarta", site: Site::India, stamp: Stamp::Rfc3339, profile: Profile::WordPress, skew_s: 8 }),
    ]
}

const MS_KEEP: &str = r#"%h %l %u %t \"%r\" %>s %b \"%{Referer}i\" \"%{User-Agent}i\" %{ms}T %k"#;

async fn search(run: &mut Run) -> Result<()> {
    site::write(run, &[("^/sitemap/", "lib/tree.php")], &[])?;
    backend(run, 20, 8983, "search.log", &["/search-api/=sometimes:2"]).await?;
    let vhost = format!("RewriteEngine On\nRewriteRule ^/search-api/ http://{}:8983%{{REQUEST_URI}} [P,L]\n", run.ip(20));
    let global = "php_admin_value memory_limit 1G".into();
    apache::Apache { format: apache::Format::Custom(MS_KEEP), vhost, global, ..Default::default() }.start(run, None).await?;
    run.origin(10, 28080, None);
    background(run);
    let end = run.set.seconds as f64;
    run.load(2.6, (3.0, end), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..900);
        v.req(rng, "search", "GET", format!("/search-api/topics?term=lamp&from={n}"), who)
    });
    run.load(0.9, (4.0, end - 2.0), |rng, v| {
        let who = v.anyone(rng);
        let n = rng.random_range(1..700);
        v.req(rng, "crash", "GET", format!("/sitemap/board-{n}.xml"), who)
    });
    run.until(end).await;
    run.drain().await;
    run.label = Box::new(|row, _| match row.req.tag {
        "search" if cut_off(row) => Some(Label::new("backend-closed", "AH01102: error reading status line")),
        "crash" if cut_off(row) => Some(Label::new("worker-crash", "exit signal Segmentation fault (11)")),
        _ => None,
    });
    Ok(())
}

async fn three_sites(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    fpm::Fpm { children: 24, ..Default::default() }.start(run, None).await?;
    // The key-value server's log says nothing of it.
    backend(run, 21, 11211, "kv.log", &["/=memcached"]).await?;
    run.logs.retain(|(_, to, _)| to != "kv.log");
    let http = format!(
        "map $uri $api_address {{ default \"\"; ~^/wp-json/ $binary_remote_addr; }}\n  limit_req_zone $api_address zone=api:1m rate=4r/s; limit_req_status 444;\n  \
         server {{ listen {}:28080; server_name docs.{}; location / {{ proxy_pass http://{}:8011; }} }}",
        run.ip(10),
        run.visitors.zone(),
        run.ip(9)
    );
    let server = format!("location /counters/ {{ proxy_pass http://{}:11211; }}", run.ip(21));
    nginx::Nginx { http, server, in_app: "limit_req zone=api burst=6 nodelay;".into(), ..Default::default() }.start(run).await?;
    run.origin(10, 28080, None);
    background(run);
    let end = run.set.seconds as f64;
    for at in [11.0, 27.5, 42.0] {
        run.load(80.0, (at, at + 2.8), |rng, v| {
            let who = v.person(rng);
            let n = rng.random_range(1..300);
            v.req(rng, "burst", "GET", format!("/wp-json/wp/v2/posts/{n}"), who)
        });
    }
    run.load(0.8, (3.0, end), |rng, v| {
        let who = v.app(rng);
        let n = rng.random_range(1..900);
        v.req(rng, "counter", "GET", format!("/counters/{n}"), who)
    });
    run.load(1.2, (2.0, end), |rng, v| {
        let mut r = v.background(rng);
        (r.tag, r.cached, r.host) = ("docs", None, format!("docs.{}", v.zone()));
        r
    });
    run.until(end).await;
    run.drain().await;
    run.label = Box::new(|row, _| {
        if row.why == Why::NotHttp && row.req.tag == "counter" {
            let text = format!("no valid HTTP/1.0 header||{}", access(row, "009"));
            return Some(Label::new("malformed-response", text));
        }
        let api = row.req.uri.starts_with("/wp-json/");
        (cut_off(row) && api).then(|| Label {
            cause: "throttled",
            // A rate by what is taken for the visitor's address, not a number of connections.
            accept: "rule-dropped",
            evidence: format!("limiting requests||{}", access(row, "444 0")),
        })
    });
    Ok(())
}
