//! Every check of server configuration. A new one: one file (or one function beside its relatives), one line here.

use super::{Ctx, Found, access, capacity, client_cert, drops, headers, http2, keepalive, logging, proxy_protocol, real_ip};
use cfray_model::serverconf::Software;

/// A check.
pub struct Check {
    /// Fixed name, as in reports.
    pub name: &'static str,
    /// What it looks at, one line.
    pub title: &'static str,
    /// Whose configuration.
    pub software: Software,
    /// Looks and tells.
    pub run: fn(&Ctx<'_>) -> Vec<Found>,
}

const fn check(name: &'static str, title: &'static str, software: Software, run: fn(&Ctx<'_>) -> Vec<Found>) -> Check {
    Check { name, title, software, run }
}

use Software::{Apache, Fpm, Nginx};

/// Sorted by name.
pub static CHECKS: &[Check] = &[
    check("apache-access", "Require ip and Allow from lists against Cloudflare's ranges", Apache, access::apache),
    check("apache-capacity", "MaxRequestWorkers and its relatives", Apache, capacity::apache),
    check("apache-client-cert", "SSLVerifyClient", Apache, client_cert::apache),
    check("apache-drop", "ModSecurity rules that drop the connection", Apache, drops::apache),
    check("apache-http2", "h2 and its limits", Apache, http2::apache),
    check("apache-keepalive", "KeepAlive, KeepAliveTimeout, MaxKeepAliveRequests", Apache, keepalive::apache),
    check("apache-logging", "LogFormat and LogLevel", Apache, logging::apache),
    check("apache-proxy-protocol", "RemoteIPProxyProtocol", Apache, proxy_protocol::apache),
    check("apache-real-ip", "mod_remoteip against Cloudflare's ranges", Apache, real_ip::apache),
    check("apache-request-headers", "LimitRequestFieldSize, LimitRequestLine", Apache, headers::apache),
    check("fpm-capacity", "pm.max_children, request_terminate_timeout", Fpm, capacity::fpm),
    check("fpm-logging", "catch_workers_output", Fpm, logging::fpm),
    check("nginx-444", "return 444, error_page and limits that end in 444", Nginx, drops::nginx),
    check("nginx-access", "allow, deny and geo lists against Cloudflare's ranges", Nginx, access::nginx),
    check("nginx-capacity", "worker_connections, worker_processes", Nginx, capacity::nginx),
    check("nginx-client-cert", "ssl_verify_client and its 495/496", Nginx, client_cert::nginx),
    check("nginx-headers", "large_client_header_buffers, proxy_buffer_size and relatives", Nginx, headers::nginx),
    check("nginx-http2", "HTTP/2 limits", Nginx, http2::nginx),
    check("nginx-keepalive", "keepalive_timeout, keepalive_requests", Nginx, keepalive::nginx),
    check("nginx-logging", "log_format and error_log", Nginx, logging::nginx),
    check("nginx-proxy-protocol", "listen ... proxy_protocol", Nginx, proxy_protocol::nginx),
    check("nginx-real-ip", "set_real_ip_from against Cloudflare's ranges", Nginx, real_ip::nginx),
];

#[cfg(test)]
mod tests {
    use super::CHECKS;

    #[test]
    fn names_are_sorted_and_unique() {
        assert!(CHECKS.windows(2).all(|w| w[0].name < w[1].name));
        assert!(CHECKS.iter().all(|c| !c.title.is_empty()));
    }
}
