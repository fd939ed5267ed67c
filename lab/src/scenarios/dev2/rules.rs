//! Rules that close instead of answering: an ingress, ModSecurity 3, Lua, a rate for each address.

use std::sync::Arc;

use anyhow::Result;
use rand::Rng;

use crate::collect::{self, Frame, Source};
use crate::edge::Visitor;
use crate::edge::colo::Site;
use crate::edge::logpush::{Job, Stamp};
use crate::run::{Label, Run};
use crate::scenario;
use crate::scenarios::{Scenario, access, backend, background, cut_off, drive};
use crate::stacks::{fpm, nginx, site};
use crate::traffic::{self, Profile};

pub fn table() -> Vec<Scenario> {
    vec![
        scenario!("dev2-rule-dropped-ingress", "An ingress-nginx whose snippets close (444) on methods and on one location; its log format and the kubelet's prefix before every line.", ingress,
            { stamp: Stamp::Rfc3339Ms, profile: Profile::Api, rate: 24.0 }),
        scenario!("dev2-client-blocked-modsec3", "ModSecurity 3 in nginx denies crawlers with status 444 and attacks with 403; New York, clock 90 s behind, CSV job.", modsec3,
            { tz: "America/New_York", site: Site::UsEast, skew_s: -90, job: Job::Csv, stamp: Stamp::Rfc3339, client: "visitor", profile: Profile::Magento }),
        scenario!("dev2-edge-ip-blocked-lua", "Lua in nginx closes on a blocklist that holds one of Cloudflare's networks; the access log shows visitors; RFC 5424 in one file, Kolkata.", lua,
            { tz: "Asia/Kolkata", site: Site::India, stamp: Stamp::UnixNano, client: "visitor", profile: Profile::Forum, skew_s: 21 }),
        scenario!("dev2-throttled-limitreq", "limit_req by $binary_remote_addr with status 444 and no real_ip: bursts over busy Cloudflare addresses are closed; journal export.", limit_req,
            { stamp: Stamp::Unix, profile: Profile::Forum, tz: "America/Sao_Paulo", site: Site::Brazil }),
    ]
}

const INGRESS: &str = r#"log_format main '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" $request_length $request_time [$proxy_upstream_name] [$proxy_alternative_upstream_name] $upstream_addr $upstream_response_length $upstream_response_time $upstream_status $req_id';"#;

async fn ingress(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    backend(run, 20, 9410, "app.log", &[]).await?;
    let app = nginx::App::Proxy(run.ip(20).to_string() + ":9410");
    let server = r#"set $proxy_upstream_name "shop-api-80"; set $proxy_alternative_upstream_name ""; set $req_id $request_id;
    if ($request_method !~ ^(GET|HEAD|POST|OPTIONS)$) { return 444; }
    location ^~ /internal/ { return 444; }"#;
    nginx::Nginx {
        app,
        server: server.into(),
        format: nginx::Format::Custom(INGRESS),
        real_ip: true,
        level: "notice",
        ..Default::default()
    }
    .start(run)
    .await?;
    let web = [Source { file: "var/log/nginx/access.log", name: "stdout" }, Source { file: "var/log/nginx/error.log", name: "stderr" }];
    collect::start(run, Frame::Cri, &web, "pods/ingress-nginx_controller-6d4b/controller/0.log")?;
    collect::start(run, Frame::Cri, &[Source { file: "var/log/app.log", name: "stdout" }], "pods/shop_api-7f9c/api/0.log")?;
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 0.6, (3.0, end), |rng, v| {
        let who = v.app(rng);
        let n = rng.random_range(1..90);
        v.req(rng, "internal", "GET", format!("/internal/metrics/{n}"), who)
    })
    .await;
    run.label = Box::new(|row, _| {
        let meant = row.req.tag == "internal" || matches!(row.req.method, "PUT" | "DELETE");
        (cut_off(row) && meant).then(|| Label::new("rule-dropped", access(row, "444 0")))
    });
    Ok(())
}

const RULES: &str = r#"SecRuleEngine On
SecRequestBodyAccess On
SecAuditEngine Off
SecRule REQUEST_HEADERS:User-Agent "@pm bytespider dataforseobot" "id:100210,phase:1,deny,status:444,log,msg:'Unwanted crawler',tag:'custom/crawler',severity:'NOTICE'"
SecRule ARGS "@rx (?i)union\s+select" "id:942100,phase:2,deny,status:403,log,msg:'SQL Injection Attack',severity:'CRITICAL'"
SecRule REQUEST_HEADERS:User-Agent "@contains zgrab" "id:913100,phase:1,deny,status:403,log,msg:'Scanner',severity:'CRITICAL'"
"#;

async fn modsec3(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    fpm::Fpm::default().start(run, None).await?;
    let rules = run.write("etc/modsec.conf", RULES)?.display().to_string();
    nginx::Nginx {
        main: "load_module /usr/lib/nginx/modules/ngx_http_modsecurity_module.so;".into(),
        server: format!("modsecurity on; modsecurity_rules_file {rules};"),
        real_ip: true,
        ..Default::default()
    }
    .start(run)
    .await?;
    run.origin(10, 28080, None);
    let mut rng = run.rng.clone();
    let agents = &[
        "Mozilla/5.0 (Linux; Android 5.0) AppleWebKit/537.36 (KHTML, like Gecko) Mobile Safari/537.36 (compatible; Bytespider; spider-feedback@bytedance.com)",
        "Mozilla/5.0 (compatible; DataForSeoBot/1.0; +https://dataforseo.com/dataforseo-bot)",
    ];
    let crawlers: Vec<Arc<Visitor>> = (0..9).map(|_| Arc::new(traffic::visitor(&run.edge.colos, agents, None, &mut rng))).collect();
    let end = run.set.seconds as f64;
    background(run);
    run.load(0.6, (1.0, end), |rng, v| {
        let who = v.person(rng);
        v.req(rng, "attack", "GET", "/catalogsearch/result/?q=1%20UNION%20SELECT%20password".into(), who)
    });
    run.load(2.1, (3.0, end), move |rng, v| {
        let mut r = v.background(rng);
        (r.tag, r.cached, r.cacheable) = ("crawler", None, false);
        r.host = v.host().into();
        r.visitor = crawlers[rng.random_range(0..crawlers.len())].clone();
        r
    });
    run.until(end).await;
    run.drain().await;
    run.label = Box::new(|row, _| {
        let text = format!("Access denied with code 444||{}", access(row, "444 0"));
        (cut_off(row) && row.req.tag == "crawler").then(|| Label::new("client-blocked", text))
    });
    Ok(())
}

const GUARD: &str = r#"access_by_lua_block {
      local ip = ngx.var.realip_remote_addr
      if string.find(ip, "127.200.9.", 1, true) == 1 then
        ngx.log(ngx.WARN, "guard: ", ip, " is on list drop_level2, closing")
        return ngx.exit(444)
      end
    }"#;

async fn lua(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    fpm::Fpm::default().start(run, None).await?;
    let modules = "/usr/lib/nginx/modules";
    nginx::Nginx {
        main: format!("load_module {modules}/ndk_http_module.so; load_module {modules}/ngx_http_lua_module.so;"),
        server: GUARD.into(),
        level: "warn",
        real_ip: true,
        ..Default::default()
    }
    .start(run)
    .await?;
    let all = [
        Source { file: "var/log/nginx/access.log", name: "nginx" },
        Source { file: "var/log/nginx/error.log", name: "nginx" },
        Source { file: "var/log/php/php8.2-fpm.log", name: "php-fpm" },
    ];
    collect::start(run, Frame::Rfc5424, &all, "messages")?;
    run.origin(10, 28080, None);
    background(run);
    run.until(run.set.seconds as f64).await;
    run.drain().await;
    run.label = Box::new(|row, _| {
        // Colo 8 is SIN, whose addresses the list holds.
        (cut_off(row) && row.req.visitor.colo == 8)
            .then(|| Label::new("edge-ip-blocked", format!("is on list drop_level2||{}", access(row, "444 0"))))
    });
    Ok(())
}

async fn limit_req(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    fpm::Fpm { children: 16, ..Default::default() }.start(run, None).await?;
    nginx::Nginx {
        http: "limit_req_zone $binary_remote_addr zone=perip:1m rate=4r/s; limit_req_status 444;".into(),
        in_app: "limit_req zone=perip burst=7 nodelay;".into(),
        ..Default::default()
    }
    .start(run)
    .await?;
    let all = [
        Source { file: "var/log/nginx/access.log", name: "nginx" },
        Source { file: "var/log/nginx/error.log", name: "nginx" },
        Source { file: "var/log/php/php8.2-fpm.log", name: "php-fpm" },
    ];
    collect::start(run, Frame::Export, &all, "journal.export")?;
    run.origin(10, 28080, None);
    background(run);
    for at in [9.0, 21.0, 34.0, 46.0] {
        run.load(44.0, (at, at + 2.5), |rng, v| {
            let who = v.person(rng);
            let n = rng.random_range(1..500);
            v.req(rng, "release", "GET", format!("/t/release-notes/{n}"), who)
        });
    }
    run.until(run.set.seconds as f64).await;
    run.drain().await;
    run.label = Box::new(|row, _| {
        cut_off(row).then(|| Label {
            cause: "throttled",
            // A rate, not a number of connections; but a rate by what is taken for the visitor's address.
            accept: "rule-dropped",
            evidence: format!("limiting requests, excess||{}", access(row, "444 0")),
        })
    });
    Ok(())
}
