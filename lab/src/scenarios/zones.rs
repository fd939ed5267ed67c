//! Several hosts, servers and zones: which of them failed, and whether the logs at hand can say so.

use anyhow::Result;
use rand::Rng;

use super::crash::{DROP, HIDE};
use super::limits::Bans;
use super::{Scenario, backend, background, cut_off, drive};
use crate::edge::Why;
use crate::edge::colo::Site;
use crate::edge::logpush::{Job, Stamp};
use crate::run::{Label, Run};
use crate::scenario;
use crate::stacks::{apache, fpm, nginx, site};
use crate::traffic::Profile;

pub fn table() -> Vec<Scenario> {
    vec![
        scenario!("origin-520-innerzone", "One host points to another zone behind Cloudflare, whose own origin fails: it answers 520 (orange to orange).", inner_zone,
            { stamp: Stamp::Rfc3339Ms, tz: "America/New_York", site: Site::UsEast }),
        scenario!("wrong-origin-onehost", "The DNS record of one host of two is changed to a stale address that accepts and closes.", one_host,
            { stamp: Stamp::Unix, profile: Profile::Saas, ray: "nginx $http_cf_ray" }),
        scenario!("mixed-two-clocks", "Two servers, one clock 90 s behind, the other an hour and 7 s ahead: FPM children crash behind 444 on one, a backend closes behind the other's Apache.", two_clocks,
            { stamp: Stamp::Rfc3339Ms, tz: "America/New_York", site: Site::UsEast, rate: 30.0 }),
        scenario!("control-no-520-decoys", "A reload, a ban (521), a full pool (504), crashes answered with a page, error_page =444 with a body, limits answered with 503, uploads too large: no 520.", decoys,
            { stamp: Stamp::Unix, profile: Profile::WordPress, skew_s: -33 }),
        scenario!("cannot-tell-silent-vhost", "Half of the virtual hosts log nothing; a rule of one of those closes, and FPM's log is not there.", silent_vhost,
            { stamp: Stamp::Rfc3339Ms, tz: "Asia/Kolkata", site: Site::India }),
        scenario!("cannot-tell-crit", "Application errors behind 444, error_log at crit and no PHP log: the access log says 444 and nothing says why.", crit,
            { stamp: Stamp::UnixNano, job: Job::All, profile: Profile::WordPress }),
    ]
}

async fn inner_zone(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    fpm::Fpm::default().start(run, None).await?;
    nginx::Nginx::default().start(run).await?;
    run.origin(10, 28080, None);
    backend(run, 12, 28080, "inner.log", &["/catalog=status:520"]).await?;
    run.logs.retain(|(_, to, _)| to != "inner.log");
    run.addresses.insert(run.ip(12).to_string(), "104.18.24.61".into());
    let inner = run.origin(12, 28080, None);
    run.edge.origins.lock().unwrap()[inner].inner_zone = true;
    run.notes.push(
        "The inner zone is the lab's small application at an address of Cloudflare's; EdgeCFConnectingO2O is set for its requests.".into(),
    );
    let end = run.set.seconds as f64;
    drive(run, 4.0, (2.0, end), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..900);
        let uri = if rng.random_bool(0.35) { format!("/catalog/{n}") } else { format!("/api/list/{n}") };
        let mut r = v.req(rng, "inner", "GET", uri, who);
        r.host = format!("partner.{}", v.zone());
        r.origin = 1;
        r
    })
    .await;
    run.label = Box::new(|row, _| (row.why == Why::Answer && row.req.tag == "inner").then(|| Label::new("origin-520", "")));
    Ok(())
}

async fn one_host(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    fpm::Fpm::default().start(run, None).await?;
    nginx::Nginx { format: nginx::Format::CfCustom, ..Default::default() }.start(run).await?;
    run.origin(10, 28080, None);
    backend(run, 12, 28080, "stale.log", &["/=close"]).await?;
    run.logs.retain(|(_, to, _)| to != "stale.log");
    run.addresses.remove(&run.ip(12).to_string());
    run.origin(12, 28080, None);
    background(run);
    let end = run.set.seconds as f64;
    run.event("at 17 s the record of docs. is changed");
    for (window, origin) in [((0.0, 17.0), 0), ((17.0, end), 1)] {
        run.load(2.6, window, move |rng, v| {
            let mut r = v.background(rng);
            r.host = format!("docs.{}", v.zone());
            (r.origin, r.cached, r.tag) = (origin, None, "docs");
            r
        });
    }
    run.until(end).await;
    run.drain().await;
    run.label = Box::new(|row, _| (cut_off(row) && row.req.origin == 1).then(|| Label::new("wrong-origin", "")));
    Ok(())
}

async fn two_clocks(run: &mut Run) -> Result<()> {
    site::write(run, &[("^/export/tree", "lib/tree.php")], &[])?;
    run.skews.insert("web1".into(), -90);
    run.skews.insert("web2".into(), 3607);
    let extra = "php_admin_value[memory_limit] = 1G".into();
    fpm::Fpm { log_as: "web1/php8.2-fpm.log", extra, ..Default::default() }.start(run, None).await?;
    nginx::Nginx { dir: "web1/nginx", in_app: HIDE.into(), server: DROP.into(), ..Default::default() }.start(run).await?;
    backend(run, 20, 9191, "web2/app.log", &["/api/stock/1=close"]).await?;
    let to = run.ip(20).to_string() + ":9191";
    apache::Apache { dir: "web2/apache2", host: 11, app: apache::App::Proxy(to), ..Default::default() }.start(run, None).await?;
    run.origin(10, 28080, None);
    run.origin(11, 28080, None);
    background(run);
    let end = run.set.seconds as f64;
    run.load(run.set.rate * 0.7, (0.0, end), |rng, v| {
        let mut r = v.background(rng);
        r.origin = 1;
        r
    });
    run.load(1.2, (5.0, end - 2.0), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..700);
        v.req(rng, "crash", "GET", format!("/export/tree?n={n}"), who)
    });
    run.until(end).await;
    run.drain().await;
    run.label = Box::new(|row, _| match row.req.tag {
        "crash" if cut_off(row) => Some(Label::new("worker-crash", "exited on signal 11")),
        _ if cut_off(row) && row.req.origin == 1 && row.req.uri.starts_with("/api/stock/1") => {
            Some(Label::new("backend-closed", "AH01102: error reading status line"))
        }
        _ => None,
    });
    Ok(())
}

async fn decoys(run: &mut Run) -> Result<()> {
    let routes = [
        ("^/export/tree", "lib/tree.php"),
        ("^/invoice/", "lib/invoice.php"),
        ("^/quote/", "lib/rates.php"),
        ("^/media/thumb/", "lib/thumbs.php"),
    ];
    site::write(run, &routes, &[("SLEEP", "6")])?;
    run.write("var/www/site/public/sorry.html", "<h1>Sorry</h1>")?;
    let extra = "request_terminate_timeout = 4s\nphp_admin_value[memory_limit] = 1G".into();
    fpm::Fpm { children: 14, extra, ..Default::default() }.start(run, None).await?;
    let http = "limit_req_zone $http_cf_connecting_ip zone=visitor:1m rate=2r/s;";
    let in_app = "error_page 502 =503 /sorry.html; error_page 504 =444 /sorry.html; fastcgi_intercept_errors on; limit_req zone=visitor burst=6 nodelay; client_max_body_size 20k;";
    let server = "location = /sorry.html { internal; }".into();
    let web = nginx::Nginx { level: "notice", http: http.into(), server, in_app: in_app.into(), read_timeout: 5, ..Default::default() };
    let at = web.start(run).await?;
    run.origin(10, 28080, None);
    run.event("reload of nginx, before the traffic");
    run.procs[at].signal(libc::SIGHUP);
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let mut bans = Bans::new();
    let banned = run.edge.colos[2].edges[1];
    bans.add(&banned.bind.to_string(), &run.ip(10).to_string()).await?;
    run.event(format!("packet filter rejects {} for the whole time", banned.public));
    background(run);
    let end = run.set.seconds as f64;
    run.load(1.8, (4.0, end - 8.0), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..700);
        let uri = match rng.random_range(0..5) {
            0 => format!("/export/tree?n={n}"),
            1 => format!("/invoice/{n}/pdf"),
            2 => format!("/quote/shipping?zip={n}"),
            3 => format!("/media/thumb/{n}"),
            _ => {
                let mut r = v.req(rng, "fault", "POST", format!("/upload/{n}"), who);
                r.body = crate::edge::Body::Full(vec![b'x'; 60_000]);
                return r;
            }
        };
        v.req(rng, "fault", "GET", uri, who)
    });
    run.until(end).await;
    run.drain().await;
    Ok(())
}

async fn silent_vhost(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    fpm::Fpm::default().start(run, None).await?;
    let (ip, root, zone) = (run.ip(10), run.root.display(), run.visitors.zone());
    let http = format!(
        "server {{ listen {ip}:28080; server_name static.{zone} m.{zone}; access_log off; error_log /dev/null crit; root {root}/var/www/site/public;\n\
         if ($args ~ \"q=(lamp|desk)\") {{ return 444; }}\n\
         location / {{ include /etc/nginx/fastcgi_params; fastcgi_param SCRIPT_FILENAME {root}/var/www/site/public/index.php; fastcgi_param SCRIPT_NAME /index.php; fastcgi_pass unix:{root}/run/www.sock; }} }}"
    );
    nginx::Nginx { http, ..Default::default() }.start(run).await?;
    run.logs.retain(|(_, to, _)| !to.starts_with("php/"));
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 9.0, (0.0, end), |rng, v| {
        let mut r = v.background(rng);
        if rng.random_bool(0.15) {
            let who = v.person(rng);
            let w = ["lamp", "desk", "rug", "sofa"][rng.random_range(0..4)];
            r = v.req(rng, "find", "GET", format!("/find?q={w}"), who);
        }
        r.host = format!("m.{}", v.zone());
        r
    })
    .await;
    run.label = Box::new(|row, _| (cut_off(row) && row.req.host.starts_with("m.")).then(|| Label::new("unknown", "")));
    Ok(())
}

async fn crit(run: &mut Run) -> Result<()> {
    site::write(run, &[("^/invoice/", "lib/invoice.php"), ("^/export/tree", "lib/tree.php")], &[])?;
    fpm::Fpm { extra: "php_admin_value[memory_limit] = 1G".into(), ..Default::default() }.start(run, None).await?;
    nginx::Nginx { level: "crit", in_app: HIDE.into(), server: DROP.into(), ..Default::default() }.start(run).await?;
    run.logs.retain(|(_, to, _)| !to.starts_with("php/"));
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 1.6, (4.0, end - 2.0), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..700);
        let uri = if rng.random_bool(0.5) { format!("/invoice/{n}/pdf") } else { format!("/export/tree?n={n}") };
        v.req(rng, "fault", "GET", uri, who)
    })
    .await;
    run.label = Box::new(|row, _| (cut_off(row) && row.req.tag == "fault").then(|| Label::new("unknown", "")));
    Ok(())
}
