//! Apache's access log in the CLF family: common, combined, combinedio, vhost_combined, and these
//! with further fields such as `%{CF-Ray}i` behind. Another `LogFormat` is given as a template.
//!
//! `%t` is the request's start. The text of combined is the same as nginx's; what tells Apache is
//! its escapes (`\"`, `\xc3` in lower case), `-` as a size, `host:port` in front, its own dummy
//! requests. Without any of these a file counts as nginx's until a neighbouring error log says otherwise.

use crate::clf::{self, Learned, free_learn, learn};
use crate::fields::time::ClfMemo;
use crate::nginx_access::{share, why};
use crate::spec::{Detection, FormatSpec, Glance, LineError, RecordParser, Sample};
use cfray_model::{Line, Stack};

/// The registry's entry.
pub static FORMAT: FormatSpec = FormatSpec {
    name: "apache-access",
    title: "Apache access log (common, combined and relatives)",
    docs: "https://httpd.apache.org/docs/2.4/mod/mod_log_config.html",
    stack: Stack::Apache,
    detect,
    samples: &[
        r#"www.example.com:443 172.70.240.118 - - [22/Nov/2026:12:37:46 +0000] "GET /product/1042 HTTP/1.1" 200 5587 "-" "Mozilla/5.0 (compatible)""#,
        r#"198.51.100.45 - - [22/Nov/2026:12:29:19 +0000] "GET / HTTP/1.1" 304 - "-" "Mozilla/5.0 (X11; Linux x86_64)" 9e0ad3fd6a195b49-FRA"#,
        r#"::1 - - [22/Nov/2026:12:29:19 +0000] "OPTIONS * HTTP/1.0" 200 126 "-" "Apache/2.4.62 (Debian) (internal dummy connection)""#,
        r#"172.68.70.33 - "" [22/Nov/2026:12:30:52 +0530] "GET /?q=\"a\xc3\xa9 HTTP/1.1" 200 12"#,
    ],
};

/// Parser of one file.
#[derive(Clone, Debug, Default)]
pub struct ApacheAccess {
    learned: Learned,
}

impl ApacheAccess {
    /// A parser for the file that a sample is from.
    pub fn learned(sample: &Sample<'_>) -> Self {
        Self { learned: learn::learn(sample).learned }
    }
}

impl RecordParser for ApacheAccess {
    fn format(&self) -> &'static str {
        FORMAT.name
    }

    fn glance<'a>(&self, record: &'a [u8], memo: &mut ClfMemo) -> Option<Glance<'a>> {
        clf::glance::glance(record, Stack::Apache, &self.learned, memo)
    }

    fn parse<'a>(&self, record: &'a [u8]) -> Result<Line<'a>, LineError> {
        clf::parse(record, Stack::Apache, &self.learned).or_else(|error| crate::apache_error::parse(record).map_err(|_| error))
    }
}

fn detect(sample: &Sample<'_>) -> Option<Detection> {
    let lesson = learn::learn(sample);
    if lesson.lines == 0 || lesson.apache <= lesson.nginx || (lesson.ray_place.is_empty() && free_learn::better(sample, &lesson).is_some())
    {
        return None;
    }
    let score = share(lesson.lines, sample.lines.len());
    Some(Detection { score, why: why(&lesson, sample.lines.len()), parser: Box::new(ApacheAccess { learned: lesson.learned }) })
}
