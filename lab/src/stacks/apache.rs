//! Apache httpd: prefork with mod_php, or event with PHP-FPM, a proxied application, or CGI.

use std::path::Path;

use anyhow::Result;

use super::{Proc, wait_port};
use crate::run::Run;

#[derive(Clone, Debug)]
pub enum App {
    ModPhp,
    Fpm(&'static str),
    Proxy(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Debian's combined: %O, bytes on the wire with headers.
    DebianCombined,
    /// Upstream's combined: %b, body only.
    Combined,
    CfCustom,
    /// %O and %B and the duration, no ray.
    Timed,
    Custom(&'static str),
}

impl Format {
    fn conf(self, addr: &str) -> String {
        let format = match self {
            Self::DebianCombined => r#"%h %l %u %t \"%r\" %>s %O \"%{Referer}i\" \"%{User-Agent}i\""#,
            Self::Combined => r#"%h %l %u %t \"%r\" %>s %b \"%{Referer}i\" \"%{User-Agent}i\""#,
            Self::CfCustom => r#"%h %l %u %t \"%r\" %>s %b \"%{Referer}i\" \"%{User-agent}i\" %{CF-Ray}i"#,
            Self::Custom(text) => text,
            Self::Timed => r#"%v:%p %h %l %u %t \"%r\" %>s %O \"%{Referer}i\" \"%{User-Agent}i\" %D %B"#,
        };
        format.replace("%h", addr)
    }
}

#[derive(Clone, Debug)]
pub struct Apache {
    pub dir: &'static str,
    pub host: u8,
    pub tls: bool,
    pub format: Format,
    pub real_ip: bool,
    pub level: &'static str,
    pub keepalive: u32,
    pub workers: u32,
    pub app: App,
    pub modules: &'static [&'static str],
    /// `worker` in place of event.
    pub threads: &'static str,
    /// Lines before the modules are loaded.
    pub before: &'static str,
    /// Lines for the global and the virtual host context, and whatever follows all others.
    pub global: String,
    pub vhost: String,
    pub tail: String,
}

impl Default for Apache {
    fn default() -> Self {
        Self {
            dir: "apache2",
            host: 10,
            tls: false,
            format: Format::DebianCombined,
            real_ip: false,
            level: "warn",
            keepalive: 300,
            workers: 160,
            app: App::ModPhp,
            modules: &[],
            global: String::new(),
            threads: "event",
            before: "",
            vhost: String::new(),
            tail: String::new(),
        }
    }
}

impl Apache {
    pub fn port(&self) -> u16 {
        if self.tls { 28443 } else { 28080 }
    }

    fn conf(&self, run: &Run) -> String {
        let root = run.root.display();
        let (dir, host, zone, ip, dead) = (self.dir, run.visitors.host(), run.visitors.zone(), run.ip(self.host), run.ip(9));
        let port = self.port();
        let prefork = matches!(self.app, App::ModPhp);
        let mut modules = vec![
            "authz_core",
            "authz_host",
            "mime",
            "dir",
            "alias",
            "rewrite",
            "headers",
            "proxy",
            "proxy_http",
            "proxy_fcgi",
            "setenvif",
            "reqtimeout",
            "env",
        ];
        if self.tls {
            modules.extend(["ssl", "socache_shmcb"]);
        }
        if self.real_ip {
            modules.push("remoteip");
        }
        modules.extend(self.modules);
        let mpm = if prefork { "mpm_prefork".to_owned() } else { format!("mpm_{}", self.threads) };
        let mut load = format!("{}LoadModule {mpm}_module /usr/lib/apache2/modules/mod_{mpm}.so\n", self.before);
        for m in modules {
            let name = if m == "security2" { "security2_module" } else { &format!("{m}_module") };
            load += &format!("LoadModule {name} /usr/lib/apache2/modules/mod_{m}.so\n");
        }
        if prefork {
            let version = super::rootfs::php(run);
            let name = if version.starts_with('7') { "php7_module" } else { "php_module" };
            load += &format!("LoadModule {name} /usr/lib/apache2/modules/libphp{version}.so\n");
            load += "<FilesMatch \"\\.php$\">\nSetHandler application/x-httpd-php\n</FilesMatch>\nphp_admin_flag display_errors off\nphp_admin_flag log_errors on\n";
        }
        let workers = self.workers;
        let pool = if prefork {
            format!("StartServers 16\nMinSpareServers 8\nMaxSpareServers 20\nMaxRequestWorkers {workers}\nServerLimit {workers}\n")
        } else {
            format!("StartServers 2\nThreadsPerChild 25\nMaxRequestWorkers {}\nServerLimit 8\n", workers.div_ceil(25) * 25)
        };
        let app = match &self.app {
            App::ModPhp => "RewriteEngine On\nRewriteCond %{REQUEST_URI} !^/(assets|img|old|upkeep|reports-old|cgi-bin|server-status)/\nRewriteCond %{REQUEST_URI} !^/(favicon.ico|ads.txt|humans.txt|apple-touch-icon.png|phpinfo.php)$\nRewriteRule ^ /index.php [L]\n".to_owned(),
            App::Fpm(pool) => format!("RewriteEngine On\nRewriteCond %{{REQUEST_URI}} !^/(assets|img|old|upkeep|reports-old|cgi-bin)/\nRewriteCond %{{REQUEST_URI}} !^/(favicon.ico|ads.txt|humans.txt|apple-touch-icon.png|phpinfo.php)$\nRewriteRule ^ /index.php [L]\n<FilesMatch \"\\.php$\">\nSetHandler \"proxy:unix:{root}/run/{pool}.sock|fcgi://localhost\"\n</FilesMatch>\nProxyTimeout 20\n"),
            App::Proxy(to) => format!("ProxyPreserveHost On\nProxyTimeout 20\nProxyPassMatch ^/(assets|img|old|upkeep|favicon.ico|ads.txt|humans.txt|apple-touch-icon.png|phpinfo.php) !\n<LocationMatch \"^/\">\n</LocationMatch>\nProxyPass /reports-old/ http://{dead}:8009/ retry=0\nProxyPass / http://{to}/ retry=0\n"),
        };
        let reports = if matches!(self.app, App::Proxy(_)) {
            String::new()
        } else {
            format!("ProxyPass /reports-old/ http://{dead}:8009/ retry=0\n")
        };
        let tls = if self.tls {
            format!("SSLEngine on\nSSLCertificateFile {root}/etc/ssl/server.crt\nSSLCertificateKeyFile {root}/etc/ssl/server.key\n")
        } else {
            String::new()
        };
        let remoteip = if self.real_ip { "RemoteIPHeader CF-Connecting-IP\nRemoteIPTrustedProxy 127.0.0.0/8\n" } else { "" };
        let format = self.format.conf(if self.real_ip { "%a" } else { "%h" });
        format!(
            r#"ServerRoot {root}
ServerName {host}
Listen {ip}:{port}
{load}
PidFile {root}/run/{tag}.pid
DefaultRuntimeDir {root}/run
User www-data
Group www-data
TypesConfig /etc/mime.types
{pool}
KeepAlive On
KeepAliveTimeout {keepalive}
MaxKeepAliveRequests 0
Timeout 60
LogLevel {level}
ErrorLog {root}/var/log/{dir}/error.log
LogFormat "{format}" main
CustomLog {root}/var/log/{dir}/access.log main
{remoteip}
<Directory />
Require all denied
</Directory>
<Directory {root}/var/www/site/public>
Require all granted
Options FollowSymLinks
DirectoryIndex index.php
</Directory>
{global}
<VirtualHost {ip}:{port}>
ServerName {host}
DocumentRoot {root}/var/www/site/public
{tls}
{vhost}
AliasMatch ^/img/.*-(\d+)\.webp$ {root}/var/www/site/public/img/s$1.webp
<LocationMatch "^/(\.|wp-login\.php|xmlrpc\.php)">
Require all denied
</LocationMatch>
RedirectMatch 301 ^/old/ /
RedirectMatch 503 ^/upkeep/
{reports}
{app}
</VirtualHost>
<VirtualHost {ip}:{port}>
ServerName intranet.{zone}
{tls}
ProxyPass / http://{dead}:8010/ retry=0
</VirtualHost>
{tail}
"#,
            tag = self.tag(),
            keepalive = self.keepalive,
            level = self.level,
            global = self.global,
            vhost = self.vhost,
            tail = self.tail,
        )
    }

    fn tag(&self) -> String {
        format!("apache{}", self.host)
    }

    pub async fn start(&self, run: &mut Run, cgroup: Option<&Path>) -> Result<usize> {
        let dir = self.dir;
        std::fs::create_dir_all(run.path(&format!("var/log/{dir}")))?;
        run.local(9, 8009);
        run.write(&format!("etc/{}.conf", self.tag()), &self.conf(run))?;
        run.log(&format!("var/log/{dir}/access.log"), &format!("{dir}/access.log"), "httpd");
        run.log(&format!("var/log/{dir}/error.log"), &format!("{dir}/error.log"), "apache2");
        let v = super::version_in(run, &["apache2", "-v"], "Apache/").await;
        run.servers.push(("apache2".into(), v));
        let proc = self.launch(run, cgroup)?;
        run.procs.push(proc);
        wait_port(run, self.host, self.port()).await?;
        Ok(run.procs.len() - 1)
    }

    pub fn launch(&self, run: &Run, cgroup: Option<&Path>) -> Result<Proc> {
        let conf = run.path(&format!("etc/{}.conf", self.tag())).display().to_string();
        Proc::start(run, &self.tag(), &["apache2", "-DFOREGROUND", "-f", &conf], cgroup)
    }
}
