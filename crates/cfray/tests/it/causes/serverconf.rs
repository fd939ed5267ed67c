//! Server configuration through the real binary: read with its includes, used for log formats, audited, and
//! quoted where it agrees with what the logs show.

use super::connections::{at_five_seconds, race};
use super::site::{Kind, Site, Tree, Wire};
use crate::support::{self, run};
use serde_json::Value;
use std::fs;

/// Debian's apache2.conf in small: same directives, same includes. ErrorLog's variable is in envvars, which is absent.
const APACHE2: &str = "DefaultRuntimeDir ${APACHE_RUN_DIR}\nTimeout 300\nKeepAlive On\nMaxKeepAliveRequests 100\nKeepAliveTimeout 5\n\
    User ${APACHE_RUN_USER}\nHostnameLookups Off\nErrorLog ${APACHE_LOG_DIR}/error.log\nLogLevel warn\nIncludeOptional mods-enabled/*.load\n\
    IncludeOptional mods-enabled/*.conf\nInclude ports.conf\nLogFormat \"%h %l %u %t \\\"%r\\\" %>s %O \\\"%{Referer}i\\\" \\\"%{User-Agent}i\\\"\" combined\n\
    IncludeOptional conf-enabled/*.conf\nIncludeOptional sites-enabled/*.conf\n";

fn json(tree: &Tree, args: &[&str]) -> Value {
    let mut all = vec!["analyze", "-q", "-o", "out.json"];
    all.extend(args);
    run(tree.path(), &all).ended(0);
    serde_json::from_str(&fs::read_to_string(tree.path().join("out.json")).unwrap()).unwrap()
}

fn findings<'v>(report: &'v Value, check: &str) -> Vec<&'v Value> {
    report["config"]["findings"].as_array().unwrap().iter().filter(|f| f["check"] == check).collect()
}

/// A small site with a 520, for tests that are about configuration only.
fn small() -> Tree {
    let tree = Tree::new();
    tree.put("logs/edge.ndjson", &support::edge());
    tree.put("logs/access.log", &support::access());
    tree
}

#[test]
fn a_configured_timeout_at_which_the_gaps_gather_strengthens_the_race() {
    let mut site = Site::new(Kind::Apache);
    let rays = race(&mut site, Wire::Closed, at_five_seconds);
    let tree = site.write();
    let before = tree.report();
    tree.put("conf/apache2.conf", APACHE2);
    let after = tree.report_with(&["--server-config", "conf/apache2.conf", "logs"]);
    after.proves(&rays, "keepalive-race", &["none"], "");
    for ray in &rays {
        // Levels are few: what is nearly sure already cannot rise.
        assert!(after.confidence(ray) >= before.confidence(ray) && after.confidence(ray) <= 0.98, "{}", after.csv);
        let evidence = &after.row(ray)["evidence"];
        assert!(evidence.split(" | ").any(|item| item.starts_with("conf/apache2.conf:5: KeepAliveTimeout 5 (main server)")), "{evidence}");
        assert!(evidence.split(" | ").count() <= 5);
    }
}

/// Three failures are too few to gather; the configured value makes up for it.
#[test]
fn a_few_failures_at_the_configured_timeout_are_a_race() {
    let mut site = Site::new(Kind::Apache);
    let rays = race(&mut site, Wire::Closed, at_five_seconds);
    site.rows.retain(|r| !rays[3..].contains(&r.ray()));
    let tree = site.write();
    let before = tree.report();
    tree.put("logs/etc/apache2/apache2.conf", APACHE2);
    let after = tree.report();
    for ray in &rays[..3] {
        assert!(before.confidence(ray) <= 0.6 || before.row(ray)["cause"] == "unknown", "{}", before.csv);
        assert_eq!(after.row(ray)["cause"], "keepalive-race", "{}", after.csv);
        assert!(after.confidence(ray) > 0.6 && after.confidence(ray) < 0.98, "{}", after.csv);
    }
}

/// The configuration says another value than the gaps: it is no evidence, and nothing becomes surer.
#[test]
fn a_configured_timeout_elsewhere_adds_nothing() {
    let mut site = Site::new(Kind::Apache);
    let rays = race(&mut site, Wire::Closed, at_five_seconds);
    let tree = site.write();
    let before = tree.report();
    tree.put("conf/apache2.conf", &APACHE2.replace("KeepAliveTimeout 5", "KeepAliveTimeout 30"));
    let after = tree.report_with(&["--server-config", "conf", "logs"]);
    for ray in &rays {
        assert_eq!(after.confidence(ray), before.confidence(ray));
        assert!(!after.row(ray)["evidence"].contains("KeepAliveTimeout"), "{}", after.csv);
    }
}

/// Configuration alone is advice: no 520 gets a cause from it.
#[test]
fn configuration_alone_names_no_cause() {
    let mut site = Site::new(Kind::Nginx);
    let strangers = site.strangers(8);
    let tree = site.write();
    let before = tree.report();
    tree.put(
        "logs/nginx.conf",
        "events {}\nhttp {\n server {\n  server_name www.example.com;\n  listen 80 proxy_protocol;\n  return 444;\n }\n}\n",
    );
    let after = tree.report();
    for ray in &strangers {
        assert_eq!(after.row(ray)["cause"], before.row(ray)["cause"]);
        assert_eq!(after.confidence(ray), before.confidence(ray));
    }
    let report = json(&tree, &["logs"]);
    assert_eq!(findings(&report, "nginx-proxy-protocol")[0]["line"], 5);
    assert_eq!(findings(&report, "nginx-444")[0]["directive"], "return 444;");
    run(tree.path(), &["analyze", "logs"]).ended(0).says(&["SERVER CONFIGURATION", "logs/nginx.conf:5", "listen 80 proxy_protocol;"]);
    for (file, words) in [("out.html", "Server configuration"), ("out.md", "## Server configuration")] {
        run(tree.path(), &["analyze", "-q", "-o", file, "logs"]).ended(0);
        assert!(fs::read_to_string(tree.path().join(file)).unwrap().contains(words));
    }
}

#[test]
fn debians_layout_is_read_also_when_it_was_copied_elsewhere() {
    let tree = small();
    tree.put("logs/etc/apache2/apache2.conf", APACHE2);
    tree.put("logs/etc/apache2/ports.conf", "Listen 80\n<IfModule ssl_module>\n\tListen 443\n</IfModule>\n");
    tree.put(
        "logs/etc/apache2/mods-available/mpm_prefork.load",
        "LoadModule mpm_prefork_module /usr/lib/apache2/modules/mod_mpm_prefork.so\n",
    );
    let prefork = "<IfModule mpm_prefork_module>\n\tStartServers 5\n\tMaxRequestWorkers 150\n</IfModule>\n";
    tree.put("logs/etc/apache2/mods-available/mpm_prefork.conf", prefork);
    tree.put("logs/etc/apache2/mods-available/ssl.conf", "<IfModule mod_ssl.c>\nSSLVerifyClient require\n</IfModule>\n");
    tree.put(
        "logs/etc/apache2/sites-available/000-default.conf",
        "<VirtualHost *:80>\n\tKeepAliveTimeout 15\n\tCustomLog ${APACHE_LOG_DIR}/access.log combined\n</VirtualHost>\n",
    );
    tree.put("logs/etc/apache2/sites-available/default-ssl.conf", "<VirtualHost *:443>\nKeepAliveTimeout 16\n</VirtualHost>\n");
    let nginx = "user www-data;\nworker_processes auto;\nerror_log /var/log/nginx/error.log;\ninclude /etc/nginx/modules-enabled/*.conf;\n\
                 events {\n\tworker_connections 768;\n}\nhttp {\n\tinclude /etc/nginx/mime.types;\n\taccess_log /var/log/nginx/access.log;\n\
                 \tinclude /etc/nginx/conf.d/*.conf;\n\tinclude /etc/nginx/sites-enabled/*;\n}\n";
    tree.put("logs/etc/nginx/nginx.conf", nginx);
    tree.put("logs/etc/nginx/mime.types", "types {\n text/html html;\n}\n");
    tree.put("logs/etc/nginx/sites-available/default", "server {\n\tlisten 80 default_server;\n\tserver_name _;\n\treturn 444;\n}\n");
    tree.put("logs/etc/php/8.2/fpm/php-fpm.conf", "[global]\npid = /run/php/php8.2-fpm.pid\ninclude=/etc/php/8.2/fpm/pool.d/*.conf\n");
    tree.put(
        "logs/etc/php/8.2/fpm/pool.d/www.conf",
        "[www]\nuser = www-data\nlisten = /run/php/php8.2-fpm.sock\npm = dynamic\npm.max_children = 5\n",
    );
    #[cfg(unix)]
    {
        use std::os::unix::fs::symlink;
        for (dir, links) in [
            ("apache2/mods-enabled", &["../mods-available/mpm_prefork.load", "../mods-available/mpm_prefork.conf"][..]),
            ("apache2/sites-enabled", &["../sites-available/000-default.conf"]),
            // nginx's package makes this one absolute: on another machine it leads to nothing.
            ("nginx/sites-enabled", &["/etc/nginx/sites-available/default"]),
        ] {
            let dir = tree.path().join("logs/etc").join(dir);
            fs::create_dir_all(&dir).unwrap();
            for link in links {
                symlink(link, dir.join(link.rsplit('/').next().unwrap())).unwrap();
            }
        }
        let report = json(&tree, &["logs"]);
        let names: Vec<_> = report["config"]["sources"]
            .as_array()
            .unwrap()
            .iter()
            .map(|s| (s["name"].as_str().unwrap(), s["files"].as_u64().unwrap()))
            .collect();
        assert_eq!(
            names,
            [("logs/etc/nginx/nginx.conf", 3), ("logs/etc/apache2/apache2.conf", 5), ("logs/etc/php/8.2/fpm/php-fpm.conf", 2)],
            "{report:#}"
        );
        assert_eq!(findings(&report, "nginx-444")[0]["file"], "logs/etc/nginx/sites-enabled/default");
        assert!(findings(&report, "apache-capacity")[0]["what"].as_str().unwrap().contains("150 workers on MPM prefork"));
        let timeouts: Vec<_> = findings(&report, "apache-keepalive").iter().map(|f| f["value"].clone()).collect();
        assert_eq!(timeouts, ["15 s", "5 s"], "sites that are not enabled do not count");
        assert!(findings(&report, "apache-client-cert").is_empty(), "a module that is not enabled does not count");
        assert_eq!(findings(&report, "fpm-capacity")[0]["line"], 5);
        // What was read as configuration is not listed as no log.
        let skipped = report["skipped"].to_string();
        assert!(!skipped.contains("pool.d") && !skipped.contains("mime.types") && skipped.contains("default-ssl.conf"), "{skipped}");
    }
}

/// The layouts of the official packages: /etc/nginx/conf.d, httpd.conf with ServerRoot.
#[test]
fn official_packages_are_read() {
    let tree = small();
    let nginx = "user  nginx;\nworker_processes  auto;\nerror_log  /var/log/nginx/error.log notice;\npid        /run/nginx.pid;\nevents {\n    worker_connections  1024;\n}\n\
                 http {\n    include       /etc/nginx/mime.types;\n    log_format  main  '$remote_addr - $remote_user [$time_local] \"$request\" '\n\
                 '$status $body_bytes_sent \"$http_referer\" ' '\"$http_user_agent\" \"$http_x_forwarded_for\"';\n    access_log  /var/log/nginx/access.log  main;\n\
                 keepalive_timeout  65;\n    include /etc/nginx/conf.d/*.conf;\n}\n";
    tree.put("copy/nginx/nginx.conf", nginx);
    tree.put("copy/nginx/conf.d/default.conf", "server {\n    listen       80;\n    server_name  localhost;\n}\n");
    let httpd = "ServerRoot \"/usr/local/apache2\"\nListen 80\nLoadModule mpm_event_module modules/mod_mpm_event.so\nUser www-data\n\
                 <IfModule log_config_module>\nCustomLog /proc/self/fd/1 \"%h %B\"\n</IfModule>\nInclude conf/extra/httpd-default.conf\n";
    tree.put("copy/apache2/conf/httpd.conf", httpd);
    tree.put("copy/apache2/conf/extra/httpd-default.conf", "Timeout 60\nKeepAlive On\nMaxKeepAliveRequests 100\nKeepAliveTimeout 5\n");
    let report = json(&tree, &["--server-config", "copy", "logs"]);
    let nginx = findings(&report, "nginx-keepalive")[0];
    assert_eq!((nginx["value"].as_str(), nginx["place"].as_str()), (Some("65 s"), Some("server localhost")));
    let apache = findings(&report, "apache-keepalive")[0];
    assert_eq!(apache["file"], "copy/apache2/conf/extra/httpd-default.conf");
    assert!(apache["fix"].as_str().unwrap().starts_with("KeepAliveTimeout 910"), "event holds no thread");
}

#[test]
fn forty_includes_and_a_dump_of_them_say_the_same() {
    let tree = small();
    let mut main = "events {}\nhttp {\n".to_owned();
    let mut dump = String::new();
    for i in 0..40 {
        main.push_str(&format!("    include parts/{i:02}.conf;\n"));
        let text = format!("server {{\n    server_name s{i}.example;\n    keepalive_timeout {};\n}}\n", 20 + i);
        tree.put(&format!("conf/parts/{i:02}.conf"), &text);
        dump.push_str(&format!("# configuration file /etc/nginx/parts/{i:02}.conf:\n{text}\n"));
    }
    main.push_str("}\n");
    tree.put("conf/nginx.conf", &main);
    tree.put("dump.txt", &format!("# configuration file /etc/nginx/nginx.conf:\n{main}\n{dump}"));
    let read = |from: &str| {
        let report = json(&tree, &["--server-config", from, "logs"]);
        let list = findings(&report, "nginx-keepalive");
        let values: std::collections::BTreeSet<String> = list.iter().map(|f| format!("{} {}", f["value"], f["place"])).collect();
        (values, list.iter().find(|f| f["value"] == "57 s").unwrap()["file"].clone(), report["config"]["sources"][0]["files"].clone())
    };
    let (values, file, files) = read("conf");
    assert_eq!((values.len(), file.as_str(), files.as_u64()), (40, Some("conf/parts/37.conf"), Some(41)));
    let (dumped, file, _) = read("dump.txt");
    assert_eq!((dumped, file.as_str()), (values, Some("dump.txt")));
}

#[test]
fn mistakes_are_named_by_file_and_line_and_the_rest_is_read() {
    let tree = small();
    tree.put("conf/nginx.conf", "events {}\nhttp {\n  include broken.conf;\n  limit_req_status 444;\n}\n");
    tree.put("conf/broken.conf", "server {\n  keepalive_timeout 30\n  server_name a.example;\n}\n}\n");
    let ran = run(tree.path(), &["analyze", "-q", "-o", "r.json", "--server-config", "conf", "logs"]).ended(0);
    ran.complains(&["conf/broken.conf:2: `keepalive_timeout` does not end with `;`", "conf/broken.conf:5: unexpected `}`"]);
    let report = json(&tree, &["--server-config", "conf", "logs"]);
    assert_eq!(findings(&report, "nginx-444").len(), 1);
    assert_eq!(findings(&report, "nginx-keepalive")[0]["value"], "30 s");
    run(tree.path(), &["analyze", "-q", "--strict", "-o", "r.json", "--server-config", "conf", "logs"]).ended(2);
    run(tree.path(), &["analyze", "-q", "-o", "r.json", "--server-config", "logs/access.log", "logs"])
        .ended(0)
        .complains(&["no configuration of nginx"]);
}

#[cfg(unix)]
#[test]
fn hostile_configuration_reads_nothing_it_should_not() {
    let tree = small();
    tree.put("secret/secret.conf", "server { server_name outside.example; return 444; }\n");
    let secret = tree.path().join("secret/secret.conf").display().to_string();
    let main = format!(
        "events {{}}\nhttp {{\n include loop.conf;\n include /dev/zero;\n include fifo.conf;\n include link.conf;\n include {secret};\n include ../secret/*.conf;\n\
         include deep.conf;\n keepalive_timeout 65;\n server {{}}\n}}\n"
    );
    tree.put("logs/nginx.conf", &main);
    tree.put("logs/loop.conf", "include loop2.conf;\ninclude loop2.conf;\n");
    tree.put("logs/loop2.conf", "include loop.conf;\ninclude nginx.conf;\n");
    tree.put("logs/deep.conf", &"{".repeat(1_000_000));
    std::os::unix::fs::symlink(&secret, tree.path().join("logs/link.conf")).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(tree.path().join("logs/fifo.conf")).status().unwrap().success());
    let report = json(&tree, &["logs"]);
    let text = report["config"].to_string();
    assert!(!text.contains("outside.example"), "{text}");
    for words in ["includes itself", "no regular file", "a link that leads out of the paths given", "/dev/zero: not below the paths given"]
    {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert_eq!(findings(&report, "nginx-keepalive")[0]["value"], "65 s");
}

#[test]
fn logs_are_read_with_the_formats_of_the_configuration() {
    let tree = Tree::new();
    tree.put("logs/edge.ndjson", &support::edge());
    let odd: String = support::access()
        .lines()
        .map(|line| {
            let ray = line.rsplit(' ').next().unwrap();
            let time = line.split(['[', ']']).nth(1).unwrap();
            let uri = line.split(' ').nth(6).unwrap();
            format!("{ray}|0.020|200|{uri}|512/900|shop.example.com|{time}\n")
        })
        .collect();
    tree.put("logs/nginx/shop.log", &odd);
    let conf = "events {}\nhttp {\n log_format odd '$http_cf_ray|$request_time|$status|'\n  '$request_uri|$body_bytes_sent/$bytes_sent|$host|$time_local';\n\
                access_log /var/log/nginx/shop.log odd;\n server {}\n}\n";
    run(tree.path(), &["formats", "logs"]).ended(0).says(&["logs/nginx/shop.log: not read"]);
    tree.put("logs/nginx.conf", conf);
    run(tree.path(), &["formats", "logs"])
        .ended(0)
        .says(&["logs/nginx/shop.log: nginx-access", "logs/nginx.conf:5 gives this log its format odd"]);
    let report = json(&tree, &["logs"]);
    assert!(report["sources"].to_string().contains("shop.log"));
    // What the command line says counts more.
    run(tree.path(), &["formats", "--log-format", "shop.log=$http_cf_ray|$request_time|$status|$request_uri|$host", "logs"])
        .ended(0)
        .says(&["given by --log-format"]);
}

#[test]
fn a_list_of_networks_replaces_the_built_in_one() {
    let tree = small();
    tree.put("conf/nginx.conf", "events {}\nhttp { set_real_ip_from 192.0.2.0/25; real_ip_header CF-Connecting-IP; server {} }\n");
    tree.put("ips.txt", "# ours\n192.0.2.0/25\n192.0.2.128/25\n");
    let report = json(&tree, &["--server-config", "conf", "--cloudflare-ips", "ips.txt", "logs"]);
    assert!(findings(&report, "nginx-real-ip")[0]["what"].as_str().unwrap().contains("lacks 192.0.2.128/25"));
    assert_eq!(report["config"]["ranges"], "ips.txt");
    tree.put("bad.txt", "192.0.2.0/24\nnonsense\n");
    run(tree.path(), &["analyze", "--cloudflare-ips", "bad.txt", "logs"]).ended(2).complains(&["line 2", "nonsense"]);
}

#[test]
fn har_shows_sizes_and_no_values() {
    let tree = Tree::new();
    let big = "v".repeat(140_000);
    let entry = |url: &str, value: &str| {
        format!(
            "{{\"startedDateTime\":\"2026-11-22T10:00:00Z\",\"request\":{{\"method\":\"GET\",\"url\":\"{url}\",\"headers\":[{{\"name\":\"Cookie\",\"value\":\"sid=hidden1; theme=x\"}}]}},\
             \"response\":{{\"status\":200,\"headers\":[{{\"name\":\"Set-Cookie\",\"value\":\"sid={value}; Path=/\"}}]}}}}"
        )
    };
    let text = format!(
        "{{\"log\":{{\"version\":\"1.2\",\"entries\":[{},\n{},\n{{\"request\":[",
        entry("https://a.example/x?token=hidden2", &big),
        entry("https://a.example/y", "small")
    );
    tree.put("a.har", &text);
    let ran = run(tree.path(), &["har", "a.har"]).ended(0).complains(&["a.har:3: byte", "ends inside"]);
    let ran = ran.says(&["2 requests, 1 over Cloudflare's limit", "136.8 KB", "of 128.0 KB", "sid", "sent 2 times"]);
    assert!(!ran.stdout.contains("hidden") && !ran.stdout.contains("vvv"), "{}", ran.stdout);
    let ran = run(tree.path(), &["har", "--format", "json", "a.har"]).ended(0);
    let document: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((document["entries"].as_u64(), document["over_limit"].as_u64()), (Some(2), Some(1)));
    assert_eq!(document["cookies"][0]["name"], "sid");
    assert!(!ran.stdout.contains("hidden"));
    tree.put("b.har", "not json");
    run(tree.path(), &["har", "b.har"]).ended(2).complains(&["no HTTP archive"]);
}
