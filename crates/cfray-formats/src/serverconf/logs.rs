//! Which log file is written in which format, as the configuration says.

use crate::template::directive::Origin;
use cfray_model::serverconf::{ConfTree, Directive, Software};
use std::collections::BTreeMap;

/// A log that a configuration writes, or a format that it defines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSpec {
    /// Path of the log as configured; `None` for a format that only has a name.
    pub path: Option<String>,
    /// Whose format string.
    pub origin: Origin,
    /// The format string, quotes and escapes undone.
    pub template: String,
    /// Name of the format, or empty.
    pub name: String,
    /// `FILE:LINE` of the directive that names the log or defines the format.
    pub place: String,
}

const COMBINED: &str =
    "$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent \"$http_referer\" \"$http_user_agent\"";
/// Apache's format for `TransferLog` and for `CustomLog` without one: the common log format.
const COMMON: &str = "%h %l %u %t \"%r\" %>s %b";

/// Logs and formats of a configuration, in its order.
pub fn log_specs(tree: &ConfTree) -> Vec<LogSpec> {
    let mut all = Vec::new();
    flatten(&tree.directives, &mut all);
    match tree.software {
        Software::Nginx => nginx(tree, &all),
        Software::Apache => apache(tree, &all),
        Software::Fpm => fpm(tree),
    }
}

fn flatten<'t>(list: &'t [Directive], out: &mut Vec<&'t Directive>) {
    for d in list {
        out.push(d);
        flatten(d.inside(), out);
    }
}

fn place(tree: &ConfTree, d: &Directive) -> String {
    format!("{}:{}", tree.file(d), d.line)
}

fn nginx(tree: &ConfTree, all: &[&Directive]) -> Vec<LogSpec> {
    let mut formats: BTreeMap<&str, String> = BTreeMap::from([("combined", COMBINED.to_owned())]);
    let mut out = Vec::new();
    for d in all.iter().filter(|d| d.name == "log_format") {
        let template: String = d.args.iter().skip(1).skip_while(|a| a.starts_with("escape=")).map(String::as_str).collect();
        let spec =
            LogSpec { path: None, origin: Origin::Nginx, template: template.clone(), name: d.arg().to_owned(), place: place(tree, d) };
        out.push(spec);
        formats.insert(d.arg(), template);
    }
    for d in all.iter().filter(|d| d.name == "access_log" && d.arg() != "off" && !d.arg().starts_with("syslog:")) {
        let name = d.args.get(1).map_or("combined", String::as_str);
        // Without a name the second word may be a parameter: `buffer=32k`.
        let name = if formats.contains_key(name) || !name.contains('=') { name } else { "combined" };
        let Some(template) = formats.get(name) else { continue };
        let path = Some(d.arg().to_owned());
        out.push(LogSpec { path, origin: Origin::Nginx, template: template.clone(), name: name.to_owned(), place: place(tree, d) });
    }
    out
}

fn apache(tree: &ConfTree, all: &[&Directive]) -> Vec<LogSpec> {
    let mut formats: BTreeMap<String, String> = BTreeMap::new();
    let mut out = Vec::new();
    let spec = |d: &Directive, path: Option<&str>, origin, template: &str, name: &str| LogSpec {
        path: path.map(ToOwned::to_owned),
        origin,
        template: template.to_owned(),
        name: name.to_owned(),
        place: place(tree, d),
    };
    for d in all.iter().filter(|d| d.is("LogFormat") && d.args.len() > 1) {
        let name = d.args.get(1).map_or("", String::as_str);
        formats.insert(name.to_owned(), d.arg().to_owned());
        out.push(spec(d, None, Origin::Apache, d.arg(), name));
    }
    let error = all.iter().rev().find(|d| d.is("ErrorLogFormat") && d.args.len() == 1).map(|d| d.arg());
    for d in all {
        let written = !d.arg().starts_with('|') && !d.arg().starts_with("syslog");
        if d.is("CustomLog") && written {
            let format = d.args.get(1).map_or(COMMON, String::as_str);
            let template = formats.get(format).map_or(format, String::as_str);
            if template.contains('%') {
                let name = if template == format { "" } else { format };
                out.push(spec(d, Some(d.arg()), Origin::Apache, template, name));
            }
        } else if d.is("TransferLog") && written {
            out.push(spec(d, Some(d.arg()), Origin::Apache, COMMON, ""));
        } else if d.is("ErrorLog")
            && written
            && let Some(template) = error
        {
            out.push(spec(d, Some(d.arg()), Origin::ApacheError, template, ""));
        }
    }
    out
}

fn fpm(tree: &ConfTree) -> Vec<LogSpec> {
    tree.directives
        .iter()
        .filter_map(|pool| {
            let set = |name: &str| pool.inside().iter().rev().find(|d| d.name == name);
            let (log, format) = (set("access.log")?, set("access.format")?);
            Some(LogSpec {
                path: Some(log.arg().replace("$pool", pool.arg())),
                origin: Origin::Fpm,
                template: format.arg().to_owned(),
                name: String::new(),
                place: place(tree, log),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn specs(software: Software, text: &str) -> Vec<(Option<String>, String, String)> {
        let tree = ConfTree {
            software,
            name: "x".to_owned(),
            whole: true,
            files: vec!["x".to_owned()],
            directives: super::super::parse(software, text.as_bytes(), 0, 1).directives,
            problems: Vec::new(),
            scope: String::new(),
            server: String::new(),
        };
        log_specs(&tree).into_iter().map(|s| (s.path, s.template, s.place)).collect()
    }

    #[test]
    fn nginx_logs_have_the_format_they_name() {
        let text = "log_format cf escape=json '$remote_addr '\n  '$http_cf_ray';\nserver { access_log /var/log/a.log cf buffer=32k; }\n\
                    access_log /b.log buffer=8k; access_log off; access_log syslog:server=x cf; access_log /c.log unheard;";
        let got = specs(Software::Nginx, text);
        assert_eq!(got[0], (None, "$remote_addr $http_cf_ray".to_owned(), "x:1".to_owned()));
        assert_eq!(got[1], (Some("/var/log/a.log".to_owned()), "$remote_addr $http_cf_ray".to_owned(), "x:3".to_owned()));
        assert_eq!(got[2], (Some("/b.log".to_owned()), COMBINED.to_owned(), "x:4".to_owned()));
        assert_eq!(got.len(), 3);
    }

    #[test]
    fn apache_and_fpm_logs() {
        let text = "LogFormat \"%h \\\"%r\\\" %{CF-Ray}i\" cf\nErrorLogFormat \"[%t] %M\"\nErrorLog ${APACHE_LOG_DIR}/error.log\n\
                    <VirtualHost *>\nCustomLog ${APACHE_LOG_DIR}/a.log cf\nCustomLog \"|rotate x\" cf\nCustomLog b.log \"%h %B\" env=x\n</VirtualHost>\n";
        let got = specs(Software::Apache, text);
        let paths: Vec<_> = got.iter().map(|s| (s.0.as_deref().unwrap_or(""), s.1.as_str())).collect();
        assert_eq!(
            paths,
            [
                ("", "%h \"%r\" %{CF-Ray}i"),
                ("${APACHE_LOG_DIR}/error.log", "[%t] %M"),
                ("${APACHE_LOG_DIR}/a.log", "%h \"%r\" %{CF-Ray}i"),
                ("b.log", "%h %B")
            ]
        );
        let got = specs(Software::Fpm, "[www]\naccess.log = /var/log/$pool.access.log\naccess.format = \"%R %s\"\n[b]\naccess.log = /x\n");
        assert_eq!(got, [(Some("/var/log/www.access.log".to_owned()), "%R %s".to_owned(), "x:2".to_owned())]);
    }
}
