//! lighttpd in front of PHP-FPM or an application.

use anyhow::Result;

use super::{Proc, wait_port};
use crate::run::Run;

pub enum App {
    Fpm(&'static str),
    Proxy(String),
}

pub struct Lighttpd {
    pub dir: &'static str,
    pub host: u8,
    pub app: App,
    /// Seconds an idle connection is kept.
    pub idle: u32,
    /// accesslog.format, or empty for lighttpd's own.
    pub format: &'static str,
    pub modules: &'static [&'static str],
    /// Lines at the end.
    pub tail: String,
}

impl Default for Lighttpd {
    fn default() -> Self {
        Self { dir: "lighttpd", host: 10, app: App::Fpm("www"), idle: 300, format: "", modules: &[], tail: String::new() }
    }
}

impl Lighttpd {
    fn conf(&self, run: &Run) -> String {
        let (root, ip, dir) = (run.root.display(), run.ip(self.host), self.dir);
        let modules: String = self.modules.iter().map(|m| format!(", \"{m}\"")).collect();
        let app = match &self.app {
            App::Fpm(pool) => format!(
                "url.rewrite-if-not-file = ( \"^/(assets|img)/\" => \"$0\", \"^/[^?]*(\\?.*)?$\" => \"/index.php$1\" )\n\
                 fastcgi.server = ( \".php\" => (( \"socket\" => \"{root}/run/{pool}.sock\", \"check-local\" => \"enable\" )) )\n"
            ),
            App::Proxy(to) => {
                let (host, port) = to.split_once(':').unwrap_or((to, "80"));
                format!("proxy.server = ( \"\" => (( \"host\" => \"{host}\", \"port\" => {port} )) )\n")
            }
        };
        let format = if self.format.is_empty() { String::new() } else { format!("accesslog.format = \"{}\"\n", self.format) };
        format!(
            "server.modules = ( \"mod_access\", \"mod_accesslog\", \"mod_rewrite\", \"mod_redirect\", \"mod_setenv\", \"mod_fastcgi\", \"mod_proxy\"{modules} )\n\
             server.document-root = \"{root}/var/www/site/public\"\nserver.bind = \"{ip}\"\nserver.port = 28080\n\
             server.errorlog = \"{root}/var/log/{dir}/error.log\"\naccesslog.filename = \"{root}/var/log/{dir}/access.log\"\n{format}\
             server.username = \"www-data\"\nserver.groupname = \"www-data\"\nserver.pid-file = \"{root}/run/lighttpd.pid\"\n\
             server.max-keep-alive-idle = {}\nserver.max-keep-alive-requests = 100000\nserver.max-read-idle = 60\n\
             mimetype.assign = ( \".css\" => \"text/css\", \".js\" => \"application/javascript\", \".webp\" => \"image/webp\", \".ico\" => \"image/x-icon\" )\n\
             url.redirect = ( \"^/old/\" => \"/\" )\nurl.access-deny = ( \"~\", \".env\", \"wp-login.php\", \"xmlrpc.php\" )\n{app}{}\n",
            self.idle, self.tail
        )
    }

    pub async fn start(&self, run: &mut Run) -> Result<usize> {
        let dir = self.dir;
        std::fs::create_dir_all(run.path(&format!("var/log/{dir}")))?;
        for log in ["access", "error"] {
            let file = format!("var/log/{dir}/{log}.log");
            run.write(&file, "")?;
            std::os::unix::fs::chown(run.path(&file), Some(33), Some(33))?;
            run.log(&file, &format!("{dir}/{log}.log"), "lighttpd");
        }
        run.write("etc/lighttpd.conf", &self.conf(run))?;
        let v = super::version(&["lighttpd", "-v"], "lighttpd/").await;
        run.servers.push(("lighttpd".into(), v));
        let proc = self.launch(run)?;
        run.procs.push(proc);
        wait_port(run, self.host, 28080).await?;
        Ok(run.procs.len() - 1)
    }

    pub fn launch(&self, run: &Run) -> Result<Proc> {
        let conf = run.path("etc/lighttpd.conf").display().to_string();
        Proc::start(run, "lighttpd", &["lighttpd", "-D", "-f", &conf], None)
    }
}
