//! nginx's access log in the CLF family: `combined`, `main`, Cloudflare's documented form with
//! `$http_cf_ray` behind, and the like. A `log_format` of another shape is given as a template.

use crate::clf::{self, Learned, free_learn, learn};
use crate::fields::time::ClfMemo;
use crate::spec::{Detection, FormatSpec, Glance, LineError, RecordParser, Sample};
use cfray_model::{Line, Stack};

/// The registry's entry.
pub static FORMAT: FormatSpec = FormatSpec {
    name: "nginx-access",
    title: "nginx access log (combined and relatives)",
    docs: "https://nginx.org/en/docs/http/ngx_http_log_module.html",
    stack: Stack::Nginx,
    detect,
    samples: &[
        r#"172.70.240.118 - - [22/Nov/2026:12:37:46 +0000] "GET /product/1042 HTTP/1.1" 200 5587 "https://www.google.com/" "Mozilla/5.0 (compatible; Googlebot/2.1)""#,
        r#"198.51.100.45 - - [22/Nov/2026:12:29:19 +0000] "GET / HTTP/1.1" 200 9122 "-" "Mozilla/5.0 (X11; Linux x86_64)" "9e0ad3fd6a195b49-FRA""#,
        r#"172.68.70.33 - - [22/Nov/2026:12:30:52 +0000] "GET /product/136 HTTP/1.1" 200 5507 "-" "curl/8.14.1" 0.043"#,
        r#"172.68.70.33 - alice [22/Nov/2026:12:30:52 +0000] "\x16\x03\x01" 400 157 "-" "-" "198.51.100.7""#,
    ],
};

/// Parser of one file.
#[derive(Clone, Debug, Default)]
pub struct NginxAccess {
    learned: Learned,
}

impl NginxAccess {
    /// A parser for the file that a sample is from.
    pub fn learned(sample: &Sample<'_>) -> Self {
        Self { learned: learn::learn(sample).learned }
    }
}

impl RecordParser for NginxAccess {
    fn format(&self) -> &'static str {
        FORMAT.name
    }

    fn continues(&self, record_so_far: &[u8], line: &[u8]) -> bool {
        // Containers often write both logs to one stream; access lines themselves never go on.
        crate::nginx_error::NginxError::default().continues(record_so_far, line)
    }

    fn glance<'a>(&self, record: &'a [u8], memo: &mut ClfMemo) -> Option<Glance<'a>> {
        clf::glance::glance(record, Stack::Nginx, &self.learned, memo)
    }

    fn parse<'a>(&self, record: &'a [u8]) -> Result<Line<'a>, LineError> {
        clf::parse(record, Stack::Nginx, &self.learned).or_else(|error| crate::nginx_error::parse(record).map_err(|_| error))
    }
}

fn detect(sample: &Sample<'_>) -> Option<Detection> {
    let lesson = learn::learn(sample);
    if lesson.lines == 0 || lesson.apache > lesson.nginx || (lesson.ray_place.is_empty() && free_learn::better(sample, &lesson).is_some()) {
        return None;
    }
    let score = share(lesson.lines, sample.lines.len());
    Some(Detection { score, why: why(&lesson, sample.lines.len()), parser: Box::new(NginxAccess { learned: lesson.learned }) })
}

/// Lines recognised of lines seen, in thousandths.
pub(crate) fn share(lines: usize, of: usize) -> u32 {
    u32::try_from(lines * 1000 / of.max(1)).unwrap_or(0)
}

/// The sentence that `cfray formats` shows.
pub(crate) fn why(lesson: &learn::Lesson, of: usize) -> String {
    let family = match (lesson.combined, lesson.with_host * 2 > lesson.lines) {
        (true, true) => "vhost_combined",
        (true, false) => "combined",
        (false, true) => "common access (virtual host in front)",
        (false, false) => "common access",
    };
    let family = if family.ends_with("combined") { format!("{family} access") } else { family.to_owned() };
    if lesson.ray_place.is_empty() {
        format!("{} of {of} lines are {family} lines; no field holds a ray", lesson.lines)
    } else {
        format!("{} of {of} lines are {family} lines; the ray stands {} ({} lines)", lesson.lines, lesson.ray_place, lesson.with_ray)
    }
}
