//! Is a text a server's configuration, and whose? Decided by the names of its directives.

use super::{fpm, nginx};
use cfray_model::serverconf::{Directive, Software};

/// At most so much of a file is looked at.
const LOOK: usize = 64 << 10;

/// nginx directives that most files hold one of, sorted.
const NGINX: &[&str] = &[
    "access_log",
    "add_header",
    "allow",
    "auth_basic",
    "brotli",
    "charset",
    "client_body_timeout",
    "client_header_timeout",
    "client_max_body_size",
    "default_type",
    "deny",
    "error_log",
    "error_page",
    "events",
    "expires",
    "fastcgi_buffer_size",
    "fastcgi_buffers",
    "fastcgi_cache_path",
    "fastcgi_index",
    "fastcgi_param",
    "fastcgi_pass",
    "fastcgi_read_timeout",
    "fastcgi_split_path_info",
    "geo",
    "gzip",
    "gzip_comp_level",
    "gzip_disable",
    "gzip_proxied",
    "gzip_types",
    "gzip_vary",
    "http",
    "http2",
    "if",
    "include",
    "index",
    "keepalive_requests",
    "keepalive_timeout",
    "large_client_header_buffers",
    "limit_conn",
    "limit_conn_status",
    "limit_conn_zone",
    "limit_req",
    "limit_req_status",
    "limit_req_zone",
    "listen",
    "load_module",
    "location",
    "log_format",
    "log_not_found",
    "map",
    "multi_accept",
    "pid",
    "proxy_buffer_size",
    "proxy_buffers",
    "proxy_cache_path",
    "proxy_connect_timeout",
    "proxy_http_version",
    "proxy_pass",
    "proxy_read_timeout",
    "proxy_set_header",
    "real_ip_header",
    "real_ip_recursive",
    "resolver",
    "return",
    "rewrite",
    "root",
    "scgi_pass",
    "send_timeout",
    "sendfile",
    "server",
    "server_name",
    "server_names_hash_bucket_size",
    "server_tokens",
    "set",
    "set_real_ip_from",
    "ssl_certificate",
    "ssl_certificate_key",
    "ssl_ciphers",
    "ssl_client_certificate",
    "ssl_prefer_server_ciphers",
    "ssl_protocols",
    "ssl_session_cache",
    "ssl_session_timeout",
    "ssl_verify_client",
    "tcp_nodelay",
    "tcp_nopush",
    "try_files",
    "types",
    "types_hash_max_size",
    "upstream",
    "user",
    "uwsgi_pass",
    "worker_connections",
    "worker_processes",
    "worker_rlimit_nofile",
];

/// Directives that no program and no other configuration is likely to hold in this form: one must be there.
const NGINX_SURE: &[&str] = &[
    "error_page",
    "events",
    "fastcgi_param",
    "fastcgi_pass",
    "http",
    "keepalive_requests",
    "keepalive_timeout",
    "large_client_header_buffers",
    "limit_conn_status",
    "limit_req_status",
    "limit_req_zone",
    "listen",
    "load_module",
    "log_format",
    "proxy_buffer_size",
    "proxy_pass",
    "proxy_set_header",
    "real_ip_header",
    "server_name",
    "server_tokens",
    "set_real_ip_from",
    "ssl_certificate",
    "ssl_client_certificate",
    "ssl_verify_client",
    "upstream",
    "worker_connections",
    "worker_processes",
];

/// Apache directives and sections in lower case, sorted.
const APACHE: &[&str] = &[
    "<directory",
    "<directorymatch",
    "<files",
    "<filesmatch",
    "<ifdefine",
    "<ifmodule",
    "<ifversion",
    "<limit",
    "<location",
    "<locationmatch",
    "<proxy",
    "<requireall",
    "<requireany",
    "<requirenone",
    "<virtualhost",
    "accessfilename",
    "addhandler",
    "addtype",
    "alias",
    "allowoverride",
    "customlog",
    "define",
    "directoryindex",
    "documentroot",
    "errordocument",
    "errorlog",
    "errorlogformat",
    "extendedstatus",
    "group",
    "h2maxsessionstreams",
    "header",
    "hostnamelookups",
    "include",
    "includeoptional",
    "keepalive",
    "keepalivetimeout",
    "limitrequestfields",
    "limitrequestfieldsize",
    "listen",
    "loadmodule",
    "logformat",
    "loglevel",
    "maxclients",
    "maxconnectionsperchild",
    "maxkeepaliverequests",
    "maxrequestsperchild",
    "maxrequestworkers",
    "maxsparethreads",
    "minsparethreads",
    "mutex",
    "options",
    "pidfile",
    "protocols",
    "proxypass",
    "proxypassreverse",
    "remoteipheader",
    "remoteipinternalproxy",
    "remoteipproxyprotocol",
    "remoteiptrustedproxy",
    "require",
    "rewritecond",
    "rewriteengine",
    "rewriterule",
    "scriptalias",
    "secauditlog",
    "secdefaultaction",
    "secrequestbodyaccess",
    "secrule",
    "secruleengine",
    "serveradmin",
    "serveralias",
    "serverlimit",
    "servername",
    "serverroot",
    "serversignature",
    "servertokens",
    "setenvif",
    "sethandler",
    "sslcacertificatefile",
    "sslcertificatefile",
    "sslcertificatekeyfile",
    "sslengine",
    "sslverifyclient",
    "sslverifydepth",
    "startservers",
    "startthreads",
    "threadlimit",
    "threadsperchild",
    "timeout",
    "typesconfig",
    "user",
];

/// Of those, the ones that are unlike words of prose or of other files.
fn apache_sure(word: &str) -> bool {
    let plain = ["alias", "define", "group", "header", "include", "listen", "mutex", "options", "require", "timeout", "user", "keepalive"];
    APACHE.binary_search(&word).is_ok() && !plain.contains(&word)
}

/// Settings of FPM that nothing else has.
fn fpm_sure(name: &str) -> bool {
    name == "pm"
        || name.starts_with("pm.")
        || matches!(
            name,
            "request_terminate_timeout"
                | "request_slowlog_timeout"
                | "catch_workers_output"
                | "emergency_restart_threshold"
                | "emergency_restart_interval"
                | "process_control_timeout"
                | "listen.owner"
                | "listen.mode"
                | "listen.backlog"
                | "clear_env"
                | "daemonize"
                | "access.format"
        )
}

/// Whose configuration the text is; `None` when it is something else. Logs never are: their lines begin with
/// times and addresses.
pub fn recognise(text: &[u8]) -> Option<Software> {
    let text = text.get(..LOOK).unwrap_or(text);
    if !nginx::dump(text).is_empty() {
        return Some(Software::Nginx);
    }
    let first = text.trim_ascii_start();
    // To parse JSON as directives would cost more than all else that is looked at in it. A template may begin with a brace.
    let json = first.strip_prefix(b"{").is_some_and(|rest| matches!(rest.trim_ascii_start().first(), Some(b'"' | b'}')));
    if json
        || first.is_empty()
        || matches!(first.first(), Some(b'0'..=b'9' | b'"' | b'('))
        || first.starts_with(b"<?")
        || first.starts_with(b"#!")
    {
        return None;
    }
    if is_apache(text) {
        Some(Software::Apache)
    } else if is_fpm(text) {
        Some(Software::Fpm)
    } else {
        is_nginx(text).then_some(Software::Nginx)
    }
}

fn is_nginx(text: &[u8]) -> bool {
    let meaningful: Vec<&[u8]> = lines(text).collect();
    // Cheap look first: lines of other files do not end like this.
    let ends = meaningful.iter().filter(|l| matches!(l.last(), Some(b';' | b'{' | b'}')) || l.contains(&b'#')).count();
    if ends * 2 < meaningful.len() {
        return false;
    }
    let parsed = nginx::parse(text, 0, 1);
    let (mut all, mut known, mut sure) = (0usize, 0usize, false);
    let mut count = |d: &Directive| {
        all += 1;
        if NGINX.binary_search(&d.name.as_str()).is_ok() || d.name.ends_with("_by_lua_block") || d.name.starts_with("ssl_") {
            known += 1;
            sure |= NGINX_SURE.binary_search(&d.name.as_str()).is_ok();
        }
    };
    for d in &parsed.directives {
        count(d);
        // What maps and lists hold are no directives.
        if !matches!(d.name.as_str(), "geo" | "map" | "types" | "split_clients" | "charset_map") {
            d.inside().iter().for_each(&mut count);
            for inner in d.inside().iter().filter(|d| !matches!(d.name.as_str(), "geo" | "map" | "types")) {
                inner.inside().iter().for_each(&mut count);
            }
        }
    }
    let lists = parsed.directives.iter().any(|d| matches!(d.name.as_str(), "geo" | "map") && d.arg().starts_with('$') && d.block.is_some());
    let rules = all > 0 && parsed.directives.iter().all(|d| matches!(d.name.as_str(), "allow" | "deny")) && cidr(parsed.directives.first());
    (sure || lists || rules) && known * 2 >= all
}

fn cidr(d: Option<&Directive>) -> bool {
    d.is_some_and(|d| d.arg() == "all" || d.arg().split('/').next().is_some_and(|a| a.parse::<std::net::IpAddr>().is_ok()))
}

fn is_apache(text: &[u8]) -> bool {
    let (mut all, mut known, mut sure) = (0usize, 0usize, 0usize);
    let mut goes_on = false;
    for line in lines(text) {
        let part_of_last = goes_on;
        goes_on = line.last() == Some(&b'\\');
        if part_of_last || line.starts_with(b"</") {
            continue;
        }
        all += 1;
        // nginx and programs end their lines so, Apache's never do.
        if matches!(line.last(), Some(b';' | b'{')) {
            continue;
        }
        let end = line.iter().position(|b| b.is_ascii_whitespace() || *b == b'>').unwrap_or(line.len());
        let word = String::from_utf8_lossy(line.get(..end).unwrap_or_default()).to_ascii_lowercase();
        if APACHE.binary_search(&word.as_str()).is_ok() && (word.starts_with('<') || end < line.len()) {
            known += 1;
            sure += usize::from(apache_sure(&word));
        }
    }
    sure > 0 && known * 2 >= all
}

fn is_fpm(text: &[u8]) -> bool {
    let parsed = fpm::parse(text, 0, 1);
    let all = || parsed.directives.iter().flat_map(|d| std::iter::once(d).chain(d.inside()));
    let global = parsed.directives.iter().any(|d| {
        d.arg() == "global" && d.block.is_some() && d.inside().iter().any(|d| matches!(d.name.as_str(), "include" | "pid" | "error_log"))
    });
    (global || all().any(|d| fpm_sure(&d.name))) && parsed.problems.len() * 4 <= all().count() + 4
}

/// Lines that are neither empty nor comments.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|b| *b == b'\n').map(<[u8]>::trim_ascii).filter(|l| !l.is_empty() && !matches!(l.first(), Some(b'#')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted() {
        for table in [NGINX, NGINX_SURE, APACHE] {
            assert!(table.windows(2).all(|w| w[0] < w[1]));
        }
    }

    #[test]
    fn configurations_are_known_by_their_directives() {
        use Software::{Apache, Fpm, Nginx};
        let cases: &[(&str, Option<Software>)] = &[
            ("user www-data;\nworker_processes auto;\nevents {\n}\n", Some(Nginx)),
            ("set_real_ip_from 173.245.48.0/20;\nset_real_ip_from 103.21.244.0/22;\n", Some(Nginx)),
            ("allow 173.245.48.0/20;\ndeny all;\n", Some(Nginx)),
            ("geo $realip_remote_addr $cf {\n default 0;\n 173.245.48.0/20 1;\n}\n", Some(Nginx)),
            ("# configuration file /etc/nginx/nginx.conf:\n\n", Some(Nginx)),
            ("server {\n    listen 80\n    server_name a;\n}\n", Some(Nginx)),
            ("LoadModule remoteip_module /usr/lib/apache2/modules/mod_remoteip.so\n", Some(Apache)),
            ("# c\n<IfModule mpm_prefork_module>\n StartServers 5\n</IfModule>\n", Some(Apache)),
            ("KeepAliveTimeout 5\n", Some(Apache)),
            ("[www]\nuser = www-data\npm = dynamic\n", Some(Fpm)),
            ("[global]\npid = /run/x.pid\ninclude=/etc/php/8.2/fpm/pool.d/*.conf\n", Some(Fpm)),
            ("const a = 1;\nserver = listen(80);\nreturn a;\n", None),
            ("listen to me\nrequire nothing\nuser error\n", None),
            ("key = value\nother = 1\n", None),
            ("[Unit]\nDescription=x\n[Service]\nUser=www\n", None),
            ("127.0.0.1 - - [22/Nov/2026:12:00:00 +0000] \"GET / HTTP/1.1\" 200 1\n", None),
            ("2026/11/22 12:24:07 [error] 1#1: *1 open() failed, server: a, request: \"GET / HTTP/1.1\"\n", None),
            ("<?php\nreturn 444;\n", None),
            ("{{ ansible_managed | comment }}\nKeepAliveTimeout 5\n", Some(Apache)),
            ("{ \"ServerRoot\": \"/etc/apache2\",\n\"Listen\": 80 }\n", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(recognise(text.as_bytes()), *expected, "{text}");
        }
    }

    #[test]
    fn no_sample_of_a_log_is_a_configuration() {
        for format in crate::FORMATS {
            for sample in format.samples {
                assert_eq!(recognise(sample.as_bytes()), None, "{}: {sample}", format.name);
            }
        }
    }
}
