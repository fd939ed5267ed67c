//! Checks on configurations of a few directives: what is found, and the near miss that is not.
#![allow(clippy::unwrap_used)]

use super::{ConfigAudit, Fact, Ranges, audit};
use cfray_formats::serverconf::parse;
use cfray_model::Cause;
use cfray_model::serverconf::{ConfTree, Software, Weight};

fn tree(software: Software, whole: bool, text: &str) -> ConfTree {
    ConfTree {
        software,
        name: "a.conf".to_owned(),
        whole,
        files: vec!["a.conf".to_owned()],
        directives: parse(software, text.as_bytes(), 0, 1).directives,
        problems: Vec::new(),
        scope: String::new(),
        server: String::new(),
    }
}

fn run(software: Software, text: &str) -> ConfigAudit {
    audit(&[tree(software, true, text)], &Ranges::default())
}

/// Findings of a check: line, value, what.
fn of(a: &ConfigAudit, check: &str) -> Vec<(Option<u64>, String, String)> {
    let list = a.report.findings.iter().filter(|f| f.check == check);
    list.map(|f| (f.line, f.value.clone(), f.what.clone())).collect()
}

/// The ranges as lines of nginx.
fn ranges(line: &str, leave_out: &[&str]) -> String {
    let nets = Ranges::default().nets;
    let kept = nets.iter().map(ToString::to_string).filter(|n| !leave_out.contains(&n.as_str()));
    kept.map(|n| line.replace("{}", &n) + "\n").collect()
}

#[test]
fn keepalive_of_nginx_holds_by_server_and_by_default() {
    let text = "events {}\nhttp {\n keepalive_timeout 65;\n server { server_name a.example; }\n server { server_name b.example; keepalive_timeout 910s; }\n\
                server { server_name c.example; keepalive_timeout 1m30s; }\n}\n";
    let a = run(Software::Nginx, text);
    let got = of(&a, "nginx-keepalive");
    assert_eq!(got.iter().map(|g| (g.0, g.1.as_str())).collect::<Vec<_>>(), [(Some(3), "65 s"), (Some(6), "90 s")]);
    assert!(a.found.iter().any(|f| f.fact == Fact::IdleClose(65.0) && f.hosts == ["a.example"]));
    let a = run(Software::Nginx, "http { server { server_name a.example; } }");
    let got = of(&a, "nginx-keepalive");
    assert!(got[0].0.is_none() && got[0].1.starts_with("75 s (nginx's default"), "{got:?}");
    // A fragment does not know what is set elsewhere; longer than 900 s or off is no race.
    let fragment = audit(&[tree(Software::Nginx, false, "server { server_name a; }")], &Ranges::default());
    assert!(of(&fragment, "nginx-keepalive").is_empty());
    for value in ["901", "0", "16m"] {
        assert!(of(&run(Software::Nginx, &format!("http {{ keepalive_timeout {value}; server {{}} }}")), "nginx-keepalive").is_empty());
    }
}

#[test]
fn keepalive_of_apache_and_a_fix_that_does_no_harm() {
    let prefork =
        "LoadModule mpm_prefork_module x\nKeepAlive On\n<VirtualHost *>\nServerName a.example\nKeepAliveTimeout 100ms\n</VirtualHost>\n";
    let a = run(Software::Apache, prefork);
    let got = of(&a, "apache-keepalive");
    assert_eq!(got.len(), 2);
    assert!(got.iter().any(|g| g.0.is_none() && g.1.starts_with("5 s (Apache's default")), "{got:?}");
    assert!(got.iter().any(|g| g.0 == Some(5) && g.1 == "0.1 s"), "{got:?}");
    assert!(
        a.report
            .findings
            .iter()
            .filter(|f| f.check == "apache-keepalive")
            .all(|f| f.fix.starts_with("Do not raise KeepAliveTimeout on prefork"))
    );
    let event = run(Software::Apache, "LoadModule mpm_event_module x\nKeepAliveTimeout 5\n");
    assert!(event.report.findings.iter().any(|f| f.fix.starts_with("KeepAliveTimeout 910")));
    assert!(of(&run(Software::Apache, "ServerRoot /x\nKeepAlive Off\n"), "apache-keepalive").is_empty());
}

#[test]
fn conditions_of_apache_are_decided_where_they_can_be() {
    let text = "LoadModule ssl_module x\nDefine LONG\n<IfModule mod_ssl.c>\n<IfDefine !LONG>\nKeepAliveTimeout 1\n</IfDefine>\n</IfModule>\n\
                <IfModule mod_absent.c>\nKeepAliveTimeout 2\n</IfModule>\n<IfVersion >= 2.4>\nKeepAliveTimeout 3\n</IfVersion>\n";
    let got = of(&run(Software::Apache, text), "apache-keepalive");
    assert_eq!(got[0].1, "3 s, if <IfVersion >= 2.4> holds");
    assert_eq!(got.len(), 1);
}

#[test]
fn closes_without_an_answer() {
    let text = "http {\n limit_req_status 444;\n server {\n  server_name a.example;\n  error_page 500 502 = @drop;\n  location @drop { return 444; }\n\
                location /x { return 444; }\n  if ($http_user_agent ~ bot) { return 444; }\n  error_page 404 /404.html;\n  location /y { return 403; }\n }\n}\n";
    let a = run(Software::Nginx, text);
    let lines: Vec<_> = of(&a, "nginx-444").iter().map(|g| g.0.unwrap()).collect();
    assert_eq!(lines.iter().copied().collect::<std::collections::BTreeSet<_>>(), [2, 5, 7, 8].into(), "{:?}", of(&a, "nginx-444"));
    let at = |line: u64| a.report.findings.iter().find(|f| f.line == Some(line) && f.check == "nginx-444").unwrap();
    assert!(at(5).causes.contains(&Cause::WorkerCrash) && at(5).weight == Weight::Closes);
    assert_eq!(at(8).causes, [Cause::ClientBlocked]);
    assert_eq!(at(7).directive, "return 444;");
    let near = run(
        Software::Nginx,
        "http { limit_req_status 429; server { error_page 502 /50x.html; location = /50x.html { root /x; } return 403; } }",
    );
    assert!(of(&near, "nginx-444").is_empty());
    let a = run(Software::Apache, "SecRule ARGS \"secretpattern\" \"id:1,phase:2,drop\"\nSecRule ARGS \"x\" \"id:2,deny\"\n");
    assert_eq!(of(&a, "apache-drop").len(), 1);
    assert!(!format!("{:?}", a.report).contains("secretpattern"));
}

#[test]
fn lists_of_networks() {
    let server = |inner: &str| format!("http {{ server {{ listen 80;\n{inner} }} }}");
    let text = server(&(ranges("allow {};", &["172.64.0.0/13"]) + "deny all;"));
    let a = run(Software::Nginx, &text);
    assert!(of(&a, "nginx-access")[0].2.contains("lacks 172.64.0.0/13"));
    assert!(a.report.findings.iter().any(|f| f.fix == "allow 172.64.0.0/13;"));
    // Whole, or not meant to be Cloudflare's.
    for good in [ranges("allow {};", &[]) + "deny all;", "allow 10.0.0.0/8; deny all;".to_owned(), ranges("allow {};", &["172.64.0.0/13"])]
    {
        assert!(of(&run(Software::Nginx, &server(&good)), "nginx-access").is_empty(), "{good}");
    }
    let geo = format!("geo $realip_remote_addr $cf {{\ndefault 0;\n{}}}\nserver {{}}", ranges("{} 1;", &["131.0.72.0/22"]));
    assert!(of(&run(Software::Nginx, &geo), "nginx-access")[0].2.contains("131.0.72.0/22"));
    let apache = format!("<Location />\n{}</Location>\n", ranges("Require ip {}", &["103.31.4.0/22"]));
    assert!(of(&run(Software::Apache, &apache), "apache-access")[0].2.contains("103.31.4.0/22"));
}

#[test]
fn visitors_addresses() {
    let http = |inner: &str| run(Software::Nginx, &format!("http {{ {inner} server {{ server_name a; }} }}"));
    assert!(of(&http(&(ranges("set_real_ip_from {};", &[]) + "real_ip_header CF-Connecting-IP;")), "nginx-real-ip").is_empty());
    assert!(of(&http("set_real_ip_from 127.0.0.1; real_ip_header X-Forwarded-For;"), "nginx-real-ip").is_empty());
    assert!(of(&http(""), "nginx-real-ip")[0].1.contains("not set"));
    let old =
        of(&http("set_real_ip_from 104.16.0.0/12; set_real_ip_from 173.245.48.0/20; real_ip_header CF-Connecting-IP;"), "nginx-real-ip");
    assert!(old[0].2.contains("still holds 104.16.0.0/12") && old[0].2.contains("lacks"), "{old:?}");
    let header = of(&http(&ranges("set_real_ip_from {};", &[])), "nginx-real-ip");
    assert!(header[0].2.contains("X-Real-IP"), "{header:?}");
    let apache =
        run(Software::Apache, &format!("RemoteIPHeader CF-Connecting-IP\n{}", ranges("RemoteIPTrustedProxy {}", &["190.93.240.0/20"])));
    assert!(of(&apache, "apache-real-ip")[0].2.contains("190.93.240.0/20"));
}

#[test]
fn certificates_protocols_and_buffers() {
    let nginx = "http { server { server_name a; listen 443 ssl proxy_protocol; http2 on; ssl_verify_client on; large_client_header_buffers 4 4k;\n\
                 location / { proxy_buffer_size 256k; fastcgi_buffer_size 16k; } } }";
    let a = run(Software::Nginx, nginx);
    assert_eq!(of(&a, "nginx-client-cert")[0].1, "on, ssl_client_certificate is not set");
    assert!(of(&a, "nginx-proxy-protocol")[0].2.contains("443"));
    let headers = of(&a, "nginx-headers");
    assert_eq!(headers.len(), 2, "{headers:?}");
    assert!(headers.iter().any(|h| h.1 == "256k") && headers.iter().any(|h| h.1 == "4 of 4 KB"));
    let a = run(Software::Nginx, "http { server { listen 443 ssl; ssl_verify_client optional; large_client_header_buffers 4 4k; } }");
    for check in ["nginx-client-cert", "nginx-proxy-protocol", "nginx-headers"] {
        assert!(of(&a, check).is_empty(), "{check}");
    }
    let a = run(
        Software::Apache,
        "<VirtualHost *:443>\nSSLVerifyClient require\nSSLCACertificateFile /x\n</VirtualHost>\n<VirtualHost *:80>\nSSLVerifyClient none\n</VirtualHost>\n",
    );
    assert_eq!(of(&a, "apache-client-cert").len(), 1);
}

#[test]
fn capacity_and_logging() {
    let nginx = "worker_processes 1;\nevents { worker_connections 512; }\nerror_log /e.log;\nhttp { log_format m '$remote_addr $http_cf_ray';\naccess_log /a.log m; server {} }";
    let a = run(Software::Nginx, nginx);
    assert_eq!(of(&a, "nginx-capacity")[0].1, "512");
    let logging = of(&a, "nginx-logging");
    assert!(logging.iter().any(|l| l.2 == "the access log is written without $request_time, $bytes_sent, $body_bytes_sent"), "{logging:?}");
    assert!(logging.iter().any(|l| l.1 == "error (nginx's default)"));
    let a = run(Software::Nginx, "worker_processes 4;\nevents { worker_connections 4096; }\nerror_log /e.log info;\nhttp { server {} }");
    assert!(of(&a, "nginx-capacity").is_empty() && of(&a, "nginx-logging").is_empty());
    let a = run(
        Software::Fpm,
        "[global]\npid = x\n[www]\npm = dynamic\npm.max_children = 5\nrequest_terminate_timeout = 30s\n[b]\npm = static\npm.max_children = 50\ncatch_workers_output = yes\n",
    );
    assert_eq!(of(&a, "fpm-capacity").len(), 2);
    assert_eq!(of(&a, "fpm-logging").len(), 1);
    let a = run(Software::Apache, "LoadModule mpm_prefork_module x\nMaxRequestWorkers 150\nLogLevel warn\n");
    assert!(of(&a, "apache-capacity")[0].2.contains("150 workers on MPM prefork"));
    assert_eq!(of(&a, "apache-logging").len(), 1);
}

#[test]
fn every_finding_says_why_and_what_to_do() {
    let text = "worker_processes 1; events {} error_log /e;\nhttp { limit_conn_status 444; limit_req_zone $binary_remote_addr zone=a:1m rate=1r/s;\n\
                access_log /a; keepalive_requests 5; http2_max_field_size 8k; http2_max_concurrent_streams 8; server { listen 80 proxy_protocol; http2 on; return 444; } }";
    let a = run(Software::Nginx, text);
    assert!(a.report.findings.len() >= 9, "{}", a.report.findings.len());
    for f in &a.report.findings {
        assert!(!f.why.is_empty() && !f.fix.is_empty() && !f.value.is_empty() && !f.place.is_empty() && !f.causes.is_empty(), "{f:?}");
        assert!(f.line.is_some() || f.directive.is_empty(), "{f:?}");
    }
    assert!(a.report.findings.windows(2).all(|w| w[0].weight <= w[1].weight));
}
