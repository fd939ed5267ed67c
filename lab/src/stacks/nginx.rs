//! nginx in front of PHP-FPM or an application.

use anyhow::Result;

use super::{Proc, wait_port};
use crate::run::Run;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Combined,
    /// Cloudflare's documentation: the ray last and unquoted.
    CfCustom,
    JsonRay,
    JsonPlain,
    /// Upstream timings and both sizes, no ray.
    Timed,
    /// A whole `log_format main …;`.
    Custom(&'static str),
}

impl Format {
    fn conf(self) -> &'static str {
        match self {
            Self::Custom(text) => text,
            Self::Combined => {
                r#"log_format main '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"';"#
            }
            Self::CfCustom => {
                r#"log_format main '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" $http_cf_ray';"#
            }
            Self::Timed => {
                r#"log_format main '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" rt=$request_time uct="$upstream_connect_time" urt="$upstream_response_time" us="$upstream_status" bs=$bytes_sent';"#
            }
            Self::JsonRay => {
                r#"log_format main escape=json '{"t":"$time_iso8601","msec":"$msec","ray":"$http_cf_ray","addr":"$remote_addr","visitor":"$http_cf_connecting_ip","conn":"$connection","creq":"$connection_requests","host":"$host","method":"$request_method","uri":"$request_uri","proto":"$server_protocol","status":$status,"bytes_sent":$bytes_sent,"body_bytes_sent":$body_bytes_sent,"request_time":$request_time,"upstream_status":"$upstream_status","upstream_response_time":"$upstream_response_time","upstream_addr":"$upstream_addr","ua":"$http_user_agent","referer":"$http_referer"}';"#
            }
            Self::JsonPlain => {
                r#"log_format main escape=json '{"time_local":"$time_local","remote_addr":"$remote_addr","request":"$request","status":"$status","body_bytes_sent":"$body_bytes_sent","request_time":"$request_time","http_host":"$host","http_referrer":"$http_referer","http_user_agent":"$http_user_agent"}';"#
            }
        }
    }
}

/// What answers the application's pages.
#[derive(Clone, Debug)]
pub enum App {
    Fpm(&'static str),
    Proxy(String),
    Uwsgi(String),
}

#[derive(Clone, Debug)]
pub struct Nginx {
    /// Directory of its logs below logs/.
    pub dir: &'static str,
    pub host: u8,
    pub tls: bool,
    pub listen: &'static str,
    pub format: Format,
    pub real_ip: bool,
    pub level: &'static str,
    pub keepalive: u32,
    pub connections: u32,
    pub workers: u32,
    pub app: App,
    /// `default_server`, or empty where another server block is the default.
    pub default_server: &'static str,
    /// Both logs go to a syslog daemon's socket, as nginx itself writes them.
    pub syslog: bool,
    /// Seconds to wait for the application.
    pub read_timeout: u32,
    pub fastcgi_buffers: &'static str,
    /// Lines for the main context.
    pub main: String,
    /// Lines for the http block, the server block, and the application's location.
    pub http: String,
    pub server: String,
    pub in_app: String,
}

impl Default for Nginx {
    fn default() -> Self {
        Self {
            dir: "nginx",
            host: 10,
            tls: false,
            listen: "",
            format: Format::Combined,
            real_ip: false,
            level: "error",
            keepalive: 300,
            connections: 1024,
            workers: 2,
            app: App::Fpm("www"),
            default_server: "default_server",
            syslog: false,
            read_timeout: 20,
            fastcgi_buffers: "fastcgi_buffers 16 16k; fastcgi_buffer_size 16k;",
            main: String::new(),
            http: String::new(),
            server: String::new(),
            in_app: String::new(),
        }
    }
}

impl Nginx {
    pub fn port(&self) -> u16 {
        if self.tls { 28443 } else { 28080 }
    }

    pub fn conf(&self, run: &Run) -> String {
        let root = run.root.display();
        let ip = run.ip(self.host);
        let dead = run.ip(9);
        let dir = self.dir;
        let host = run.visitors.host();
        let zone = run.visitors.zone();
        let tls = if self.tls {
            format!("ssl_certificate {root}/etc/ssl/server.crt; ssl_certificate_key {root}/etc/ssl/server.key;")
        } else {
            String::new()
        };
        let ssl = if self.tls { "ssl" } else { "" };
        let (timeout, buffers) = (self.read_timeout, self.fastcgi_buffers);
        let (errors, accesses) = if self.syslog {
            let to = format!("syslog:server=unix:{root}/run/{}.sock,nohostname", self.tag());
            (to.clone(), to)
        } else {
            (format!("{root}/var/log/{dir}/error.log"), format!("{root}/var/log/{dir}/access.log"))
        };
        let pass = match &self.app {
            App::Fpm(pool) => format!(
                "include /etc/nginx/fastcgi_params; fastcgi_param SCRIPT_FILENAME {root}/var/www/site/public/index.php; fastcgi_param SCRIPT_NAME /index.php; fastcgi_read_timeout {timeout}s; {buffers} fastcgi_pass unix:{root}/run/{pool}.sock;"
            ),
            App::Proxy(to) => format!(
                "proxy_set_header Host $host; proxy_set_header X-Forwarded-For $http_cf_connecting_ip; proxy_read_timeout {timeout}s; proxy_pass http://{to};"
            ),
            App::Uwsgi(to) => format!("include /etc/nginx/uwsgi_params; uwsgi_read_timeout {timeout}s; uwsgi_pass {to};"),
        };
        let real_ip = if self.real_ip { "set_real_ip_from 127.0.0.0/8; real_ip_header CF-Connecting-IP;" } else { "" };
        let in_app = &self.in_app;
        format!(
            r#"user www-data;
worker_processes {workers};
pid {root}/run/{tag}.pid;
error_log {errors} {level};
{main}
events {{ worker_connections {connections}; }}
http {{
  include /etc/nginx/mime.types;
  {format}
  access_log {accesses} main;
  client_body_temp_path {root}/var/{tag}/body; proxy_temp_path {root}/var/{tag}/proxy;
  fastcgi_temp_path {root}/var/{tag}/fastcgi; uwsgi_temp_path {root}/var/{tag}/uwsgi; scgi_temp_path {root}/var/{tag}/scgi;
  keepalive_timeout {keepalive}; keepalive_requests 100000; {lifetime}
  {real_ip}
  {http}
  server {{
    listen {ip}:{port} {ssl} {listen} {default};
    server_name {host};
    {tls}
    root {root}/var/www/site/public;
    {server}
    location / {{ {pass} {in_app} }}
    location ~ ^/widget/ {{ {pass} }}
    location ~ ^/img/.*-\d+\.webp$ {{ rewrite -(\d+)\.webp$ /img/s$1.webp break; }}
    location ~ ^/(assets|img)/ {{ }}
    location ~ ^/(favicon\.ico|ads\.txt|humans\.txt|apple-touch-icon\.png|phpinfo\.php)$ {{ }}
    location /old/ {{ return 301 /; }}
    location /upkeep/ {{ return 503 "down for maintenance"; }}
    location /reports-old/ {{ proxy_pass http://{dead}:8009; }}
    location ~ ^/(\.|wp-login\.php|xmlrpc\.php) {{ deny all; }}
  }}
  server {{
    listen {ip}:{port};
    server_name intranet.{zone};
    {tls}
    location / {{ proxy_pass http://{dead}:8010; }}
  }}
}}
"#,
            workers = self.workers,
            main = self.main,
            default = self.default_server,
            tag = self.tag(),
            level = self.level,
            connections = self.connections,
            format = self.format.conf(),
            keepalive = self.keepalive,
            // nginx 1.18 does not know it, and has no such limit.
            lifetime = if run.set.debian == crate::run::Debian::Bullseye { "" } else { "keepalive_time 1h;" },
            http = self.http,
            port = self.port(),
            listen = self.listen,
            server = self.server,
        )
    }

    fn tag(&self) -> String {
        format!("nginx{}", self.host)
    }

    /// Writes the configuration and starts it; returns its place in `run.procs`.
    pub async fn start(&self, run: &mut Run) -> Result<usize> {
        let dir = self.dir;
        std::fs::create_dir_all(run.path(&format!("var/log/{dir}")))?;
        std::fs::create_dir_all(run.path(&format!("var/{}", self.tag())))?;
        run.local(9, 8009);
        run.write(&format!("etc/{}.conf", self.tag()), &self.conf(run))?;
        if self.syslog {
            let file = format!("var/log/{dir}/syslog");
            super::front::syslog(run, &format!("run/{}.sock", self.tag()), &file)?;
            run.log(&file, "syslog", "");
        } else {
            run.log(&format!("var/log/{dir}/access.log"), &format!("{dir}/access.log"), "nginx");
            run.log(&format!("var/log/{dir}/error.log"), &format!("{dir}/error.log"), "nginx");
        }
        let v = super::version_in(run, &["nginx", "-v"], "nginx/").await;
        run.servers.push(("nginx".into(), v));
        let proc = self.launch(run, None)?;
        run.procs.push(proc);
        wait_port(run, self.host, self.port()).await?;
        Ok(run.procs.len() - 1)
    }

    pub fn launch(&self, run: &Run, cgroup: Option<&std::path::Path>) -> Result<Proc> {
        let conf = run.path(&format!("etc/{}.conf", self.tag()));
        let conf = conf.display().to_string();
        let prefix = run.root.display().to_string();
        Proc::start(run, &self.tag(), &["nginx", "-p", &prefix, "-c", &conf, "-g", "daemon off;"], cgroup)
    }
}
