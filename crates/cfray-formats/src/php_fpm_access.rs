//! PHP-FPM's access log in its built-in form, `%R - %u %t "%m %r%Q%q" %s`, maybe with further
//! fields behind. Another `access.format` is given as a template.

use crate::nginx_access::share;
use crate::php_fpm;
use crate::spec::{Detection, FormatSpec, LineError, RecordParser, Sample};
use crate::template::engine::Template;
use crate::template::fpm;
use cfray_model::{Line, Stack};

/// The registry's entry.
pub static FORMAT: FormatSpec = FormatSpec {
    name: "php-fpm-access",
    title: "PHP-FPM access log",
    docs: "https://www.php.net/manual/en/install.fpm.configuration.php#access-format",
    stack: Stack::Fpm,
    detect,
    samples: &[
        "127.0.0.1 -  22/Nov/2026:12:30:52 +0000 \"GET /index.php\" 200",
        "- -  22/Nov/2026:12:30:52 +0000 \"POST /index.php?id=7\" 500",
        "172.17.0.1 - alice 22/Nov/2026:12:30:53 +0530 \"GET /status\" 200 /srv/www/status.php 12.345 2048 10.00%",
    ],
};

/// Parser of one file.
#[derive(Clone, Debug)]
struct FpmAccess {
    template: Template,
}

impl FpmAccess {
    fn new() -> Option<Self> {
        let tokens = fpm::tokens("%R - %u %t \"%m %r%Q%q\" %s").ok()?;
        let template = crate::template::engine::compile(tokens, Stack::Fpm, FORMAT.name).ok()?;
        Some(Self { template: template.open_ended() })
    }
}

impl RecordParser for FpmAccess {
    fn format(&self) -> &'static str {
        FORMAT.name
    }

    fn parse<'a>(&self, record: &'a [u8]) -> Result<Line<'a>, LineError> {
        // Containers often write this and the main log to one stream.
        self.template.parse(record).or_else(|error| php_fpm::parse(record).ok_or(error))
    }
}

fn detect(sample: &Sample<'_>) -> Option<Detection> {
    let parser = FpmAccess::new()?;
    let read = sample.lines.iter().filter(|line| parser.template.parse(line).is_ok_and(|l| l.method.is_some())).count();
    if read == 0 {
        return None;
    }
    let of = sample.lines.len();
    Some(Detection {
        score: share(read, of),
        why: format!("{read} of {of} lines have the built-in form of FPM's access.format"),
        parser: Box::new(parser),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn default_form() {
        let parser = FpmAccess::new().unwrap();
        let line = parser.parse(FORMAT.samples[2].as_bytes()).unwrap();
        assert_eq!((line.status, line.time_is_start, line.stack), (Some(200), true, Stack::Fpm));
        assert_eq!(line.uri.as_deref(), Some(&b"/status"[..]));
        assert!(parser.parse(b"172.17.0.1 - - [22/Nov/2026:12:30:53 +0530] \"GET / HTTP/1.1\" 200 1").is_err());
    }
}
