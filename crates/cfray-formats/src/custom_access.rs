//! An access log of nginx or Apache in a format of one's own, learned from its lines: fields in any order, with or without quotes,
//! `name=value`, LTSV, separated by `|`. What cannot be learned with certainty is not read; `--log-format` gives it as a template.

use crate::clf::free::Free;
use crate::clf::free_learn;
use crate::clf::learn;
use crate::nginx_access::share;
use crate::spec::{Detection, FormatSpec, LineError, RecordParser, Sample};
use cfray_model::{Line, Stack};

/// The registry's entry.
pub static FORMAT: FormatSpec = FormatSpec {
    name: "custom-access",
    title: "access log in a format of one's own, its fields learned",
    docs: "https://nginx.org/en/docs/http/ngx_http_log_module.html#log_format",
    stack: Stack::Nginx,
    detect,
    samples: &[
        r#"2026-11-22T12:29:19+00:00 172.65.190.85 "9e0ad3fd6a195b49-FRA" www.example.org "GET /basket HTTP/1.1" 200 9122 0.053 "Mozilla/5.0 (X11; Linux x86_64)""#,
        r#"2026-11-22T12:29:20+00:00 162.159.170.162 "9e0ad402c9afa703-BOM" www.example.org "GET /c/lamp?page=3 HTTP/1.1" 200 5230 0.027 "okhttp/5.1.0""#,
        r#"2026-11-22T12:29:22+00:00 104.16.196.159 "9e0ad402c9afa711-IAD" www.example.org "POST /order HTTP/1.1" 444 0 0.009 "curl/8.14.1""#,
    ],
};

/// Parser of one file.
#[derive(Clone, Debug)]
pub struct CustomAccess {
    free: Free,
}

impl RecordParser for CustomAccess {
    fn format(&self) -> &'static str {
        FORMAT.name
    }

    fn parse<'a>(&self, record: &'a [u8]) -> Result<Line<'a>, LineError> {
        self.free.parse(record)
    }
}

fn detect(sample: &Sample<'_>) -> Option<Detection> {
    let lesson = free_learn::better(sample, &learn::learn(sample))?;
    let of = sample.lines.len();
    let ray =
        if lesson.with_ray > 0 { format!("a field holds the ray ({} lines)", lesson.with_ray) } else { "no field holds a ray".to_owned() };
    let why = format!(
        "{} of {of} lines have the same {} fields, with time, client, request and status; {ray}",
        lesson.lines,
        lesson.free.fields.len()
    );
    // Formats whose text is known come first, wrappers above all: their header would only be fields like others.
    Some(Detection { score: share(lesson.lines, of) * 8 / 10, why, parser: Box::new(CustomAccess { free: lesson.free }) })
}
