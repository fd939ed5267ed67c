//! Access lines as JSON objects: nginx `escape=json`, an Apache `LogFormat` that spells JSON, Caddy.

use crate::access::{Role, put};
use crate::fields::number::integer;
use crate::json::learn::{Keys, learn};
use crate::json::scan::scan;
use crate::nginx_access::share;
use crate::signatures::peer_of_handshake;
use crate::spec::{Detection, FormatSpec, LineError, RecordParser, Sample};
use cfray_model::{Level, Line, LineKind, Stack};
use std::borrow::Cow;

/// The registry's entry.
pub static FORMAT: FormatSpec = FormatSpec {
    name: "json-access",
    title: "JSON access log (nginx, Apache, Caddy, loggers of Node)",
    docs: "https://nginx.org/en/docs/http/ngx_http_log_module.html#log_format",
    stack: Stack::Nginx,
    detect,
    samples: &[
        r#"{"time":"2026-11-22T12:27:43+00:00","remote_addr":"172.70.240.118","host":"www.example.com","request_method":"GET","request_uri":"/","protocol":"HTTP/1.1","status":200,"body_bytes_sent":9122,"request_time":0.010,"upstream_addr":"unix:/run/php/www.sock","upstream_status":"200","http_user_agent":"curl/8.14.1","cf_ray":"9fef46c6d38a0720-FRA","cf_connecting_ip":"198.51.100.91"}"#,
        r#"{"t":"2026-11-22T12:27:43+00:00","ms":"1795350463.123","ray":"9fef46c6d38a0720-FRA","cip":"172.70.240.118","conn":"17","host":"h","m":"GET","uri":"/a?b","proto":"HTTP/1.1","st":"499","bs":"0","bbs":"0","rt":0.010,"ust":"","urt":,"uht":,"ua":"127.0.0.1:9000","rc":""}"#,
        r#"{"time":"[22/Nov/2026:12:27:43 +0530]","remoteIP":"172.70.240.118","request":"GET /?q=\xc3\xa9 HTTP/1.1","status":"200","bytes":"512","duration":"10433","userAgent":"x","referer":"-","cfRay":"9fef46c6d38a0720-FRA"}"#,
        r#"{"level":"info","ts":1795350463.601,"logger":"http.log.access","msg":"handled request","request":{"remote_ip":"172.70.240.118","client_ip":"198.51.100.91","proto":"HTTP/2.0","method":"GET","host":"www.example.com","uri":"/x","headers":{"User-Agent":["curl/8"],"Cf-Ray":["9fef46c6d38a0720-FRA"]}},"duration":0.0124,"size":512,"status":200}"#,
    ],
};

/// Parser of one file.
#[derive(Clone, Debug)]
pub struct JsonAccess {
    keys: Keys,
}

impl JsonAccess {
    /// A parser with known keys.
    pub const fn new(keys: Keys) -> Self {
        Self { keys }
    }
}

impl RecordParser for JsonAccess {
    fn format(&self) -> &'static str {
        FORMAT.name
    }

    fn parse<'a>(&self, record: &'a [u8]) -> Result<Line<'a>, LineError> {
        parse(record, &self.keys)
    }
}

/// Parses one object with known keys.
pub fn parse<'a>(record: &'a [u8], keys: &Keys) -> Result<Line<'a>, LineError> {
    let mut line = Line::new(LineKind::Access, keys.stack);
    let mut query: Option<Cow<'a, [u8]>> = None;
    let mut ray_values = 0;
    let mut at = 0;
    let mut said: Option<Cow<'a, [u8]>> = None;
    let mut level = None;
    scan(record, &mut |name, value| {
        if name == b"msg" {
            said = Some(value.plain());
        } else if keys.node && name == b"level" {
            level = node_level(&value.plain());
        }
        let count = keys.roles.len();
        let found =
            (0..count).map(|i| (at + i) % count).find_map(|i| keys.roles.get(i).filter(|(key, _)| **key == *name).map(|k| (i, k.1)));
        let Some((index, role)) = found else { return };
        at = index + 1;
        let value = value.plain();
        match role {
            // Written after the path or before it.
            Role::Query => query = Some(value),
            Role::Ray => {
                // A second key of the name can only come from text that was not escaped.
                ray_values += 1;
                put(&mut line, role, value);
            }
            _ => put(&mut line, role, value),
        }
    })
    .map_err(|at| LineError::new("not a JSON object from here on", at))?;
    if ray_values > 1 {
        line.ray = None;
    }
    if let Some(query) = query {
        put(&mut line, Role::Query, query);
    }
    if keys.node && line.status.is_none() {
        return Ok(node_line(record, line, level));
    }
    if line.status.is_none() && line.uri.is_none() {
        // Caddy's other lines stand beside its access lines: what Go says of a refused handshake names the peer.
        let peer = said.as_deref().and_then(peer_of_handshake).map(<[u8]>::to_vec);
        if let (Some(peer), Some(said)) = (peer, said) {
            let mut refused = Line::new(LineKind::Other, Stack::App);
            (refused.time, refused.client, refused.message) = (line.time, Some(Cow::Owned(peer)), said);
            return Ok(refused);
        }
    }
    if line.status.is_none() && line.method.is_none() && line.uri.is_none() {
        return Err(LineError::new("an object without status and request: not an access line", 0));
    }
    Ok(line)
}

/// Levels of pino and bunyan are numbers (pino lib/levels.js), winston's are words.
fn node_level(value: &[u8]) -> Option<Level> {
    Some(match integer(value) {
        Some(60..) => Level::Crit,
        Some(50..) => Level::Error,
        Some(40..) => Level::Warn,
        Some(30..) => Level::Info,
        Some(_) => Level::Debug,
        None => return crate::support::level(value),
    })
}

/// A line without a response: the application's own words, about a request or not. What it says of a request's address,
/// agent and path is the logger's, so that it may be tied to the request.
fn node_line<'a>(record: &'a [u8], parsed: Line<'a>, level: Option<Level>) -> Line<'a> {
    let mut line = Line::new(LineKind::Other, Stack::App);
    let named = parsed.method.is_some() && parsed.uri.is_some();
    if named {
        line = Line { kind: LineKind::Other, ..parsed };
    } else {
        (line.time, line.pid) = (parsed.time, parsed.pid);
    }
    line.level = level;
    line.raw_text = !named;
    line.message = Cow::Borrowed(record);
    line
}

fn detect(sample: &Sample<'_>) -> Option<Detection> {
    let lesson = learn(sample)?;
    let has = |role| lesson.keys.roles.iter().any(|(_, r)| *r == role);
    let names_request = has(Role::Request) || (has(Role::Method) && (has(Role::Uri) || has(Role::Path)));
    if lesson.cloudflare || lesson.lines == 0 || !has(Role::Status) || !names_request {
        return None;
    }
    let name_of = |role| lesson.keys.roles.iter().find(|(_, r)| *r == role).map(|(k, _)| String::from_utf8_lossy(k).into_owned());
    let ray = match name_of(Role::Ray) {
        Some(key) => format!("the ray stands under \"{key}\" ({} lines)", lesson.with_ray),
        None => "no key holds a ray".to_owned(),
    };
    let of = sample.lines.len();
    Some(Detection {
        score: share(lesson.lines, of),
        why: format!("{} of {of} lines are JSON objects with request and status; {ray}", lesson.lines),
        parser: Box::new(JsonAccess { keys: lesson.keys }),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use cfray_model::RayId;
    use proptest::prelude::*;

    fn line(text: &str) -> Line<'_> {
        let found = detect(&Sample::from_bytes(text.as_bytes())).expect(text);
        // The keys live in the parser; what the line borrows lives in the text.
        found.parser.parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_handshake_that_caddy_refused() {
        let found = detect(&Sample::from_bytes(FORMAT.samples[3].as_bytes())).expect("Caddy");
        let said = |what: &str| {
            format!(
                r#"{{"level":"debug","ts":1795421012.730663,"logger":"http.stdlib","msg":"http: TLS handshake error from 172.70.240.118:37062: {what}"}}"#
            )
        };
        let text = said("tls: client didn't provide a certificate");
        let l = found.parser.parse(text.as_bytes()).unwrap();
        assert_eq!((l.kind, l.stack, l.client.as_deref()), (LineKind::Other, Stack::App, Some(&b"172.70.240.118"[..])));
        assert!(l.time.is_some());
        assert!(found.parser.parse(said("EOF").as_bytes()).is_err());
    }

    #[test]
    fn nginx_names() {
        let l = line(FORMAT.samples[0]);
        assert_eq!((l.status, l.body_bytes, l.duration_us, l.upstream_status), (Some(200), Some(9122), Some(10_000), Some(200)));
        assert_eq!((l.uri.as_deref(), l.host.as_deref()), (Some(&b"/"[..]), Some(&b"www.example.com"[..])));
        assert_eq!(l.ray, RayId::parse(b"9fef46c6d38a0720"));
        assert_eq!(l.visitor.as_deref(), Some(&b"198.51.100.91"[..]));
        assert_eq!(l.stack, Stack::Nginx);
    }

    #[test]
    fn short_names_and_empty_numbers() {
        let l = line(FORMAT.samples[1]);
        assert_eq!((l.status, l.bytes_sent, l.body_bytes, l.cid), (Some(499), Some(0), Some(0), Some(17)));
        assert_eq!(l.time.unwrap().precision_ns, 1_000_000, "$msec is finer than $time_iso8601");
        assert_eq!(l.upstream.as_deref(), Some(&b"127.0.0.1:9000"[..]), "ua is the upstream here");
        assert_eq!((l.agent, l.upstream_status), (None, None));
        assert_eq!(l.uri.as_deref(), Some(&b"/a?b"[..]));
    }

    #[test]
    fn apache_and_caddy() {
        let l = line(FORMAT.samples[2]);
        assert_eq!((l.stack, l.time_is_start, l.duration_us, l.referer.as_deref()), (Stack::Apache, true, Some(10_433), None));
        assert_eq!(l.method.as_deref(), Some(&b"GET"[..]));
        let l = line(FORMAT.samples[3]);
        assert_eq!((l.stack, l.duration_us, l.client.as_deref()), (Stack::App, Some(12_400), Some(&b"172.70.240.118"[..])));
        assert_eq!((l.visitor.as_deref(), l.ray), (Some(&b"198.51.100.91"[..]), RayId::parse(b"9fef46c6d38a0720")));
        assert_eq!(l.agent.as_deref(), Some(&b"curl/8"[..]));
    }

    #[test]
    fn loggers_of_node() {
        let text = concat!(
            r#"{"level":30,"time":1795420738624,"pid":905,"hostname":"web1","req":{"id":1,"method":"POST","url":"/v1/collect?a=1","headers":{"host":"api.example.com","user-agent":"okhttp/5","cf-ray":"9fef46c6d38a0720-FRA","cf-connecting-ip":"198.51.100.7"},"remoteAddress":"172.67.67.166","remotePort":4711},"res":{"statusCode":201},"responseTime":23,"msg":"request completed"}"#,
            "\n",
            r#"{"level":40,"time":1795420740898,"pid":905,"hostname":"web1","req":{"id":44,"method":"GET","url":"/favicon.ico","headers":{"user-agent":"Scrapy/2"},"remoteAddress":"104.23.109.23"},"msg":"blocked"}"#,
            "\n",
            r#"{"level":30,"time":1795420740899,"pid":905,"hostname":"web1","msg":"Server listening at http://192.0.2.157:80"}"#,
        );
        let found = detect(&Sample::from_bytes(text.as_bytes())).expect("pino");
        let lines: Vec<Line<'_>> = text.lines().map(|l| found.parser.parse(l.as_bytes()).unwrap()).collect();
        let [done, open, start] = &lines[..] else { panic!("three lines") };
        assert_eq!((done.kind, done.stack, done.status, done.duration_us), (LineKind::Access, Stack::App, Some(201), Some(23_000)));
        assert_eq!((done.uri.as_deref(), done.method.as_deref()), (Some(&b"/v1/collect?a=1"[..]), Some(&b"POST"[..])));
        assert_eq!((done.host.as_deref(), done.agent.as_deref()), (Some(&b"api.example.com"[..]), Some(&b"okhttp/5"[..])));
        assert_eq!((done.client.as_deref(), done.visitor.as_deref()), (Some(&b"172.67.67.166"[..]), Some(&b"198.51.100.7"[..])));
        assert_eq!((done.ray, done.time.unwrap().precision_ns), (RayId::parse(b"9fef46c6d38a0720"), 1_000_000));
        assert_eq!((open.kind, open.level, open.uri.as_deref()), (LineKind::Other, Some(Level::Warn), Some(&b"/favicon.ico"[..])));
        assert_eq!((start.kind, start.uri.as_deref(), start.raw_text), (LineKind::Other, None, true));
        let flat = r#"{"name":"shop","hostname":"web1","pid":7,"level":30,"remote-address":"172.67.67.166","method":"GET","url":"/a","user-agent":"x","response-time":12.5,"status-code":200,"time":"2026-11-22T12:24:07.123Z","v":0}"#;
        assert_eq!((line(flat).duration_us, line(flat).status, line(flat).stack), (Some(12_500), Some(200), Stack::App));
        let winston = r#"{"level":"info","message":"HTTP GET /a","timestamp":"2026-11-22T12:24:07.123Z","meta":{"req":{"url":"/a","headers":{"host":"h"},"method":"GET","httpVersion":"1.1","originalUrl":"/a"},"res":{"statusCode":200},"responseTime":7}}"#;
        assert_eq!(
            (line(winston).duration_us, line(winston).status, line(winston).uri.as_deref()),
            (Some(7_000), Some(200), Some(&b"/a"[..]))
        );
    }

    #[test]
    fn path_and_query_in_any_order() {
        let l = line(r#"{"time":"2026-11-22T12:27:43Z","args":"a=1","uri":"/p","method":"GET","status":200}"#);
        assert_eq!(l.uri.as_deref(), Some(&b"/p?a=1"[..]));
    }

    #[test]
    fn cloudflare_rows_and_application_logs_are_refused() {
        for text in [
            r#"{"RayID":"9fef46c6d38a0720","EdgeStartTimestamp":"2026-11-22T12:27:43Z","ClientRequestMethod":"GET","ClientRequestURI":"/","EdgeResponseStatus":520}"#,
            r#"{"edgeresponsestatus":200,"method":"GET","uri":"/","status":200}"#,
            r#"{"rayid":"9fef46c6d38a0720","ClientIP":"192.0.2.1","method":"GET","uri":"/","status":200}"#,
            r#"{"level":"info","ts":1795350463.6,"msg":"started"}"#,
            r#"{"MESSAGE":"x","_PID":"1","__REALTIME_TIMESTAMP":"1795350463000000"}"#,
        ] {
            assert!(detect(&Sample::from_bytes(text.as_bytes())).is_none(), "{text}");
        }
        assert!(
            line(r#"{"time":"2026-11-22T12:27:43Z","rayid":"9fef46c6d38a0720-FRA","request":"GET / HTTP/1.1","status":200}"#).ray.is_some()
        );
    }

    #[test]
    fn a_ray_that_a_client_wrote_never_counts() {
        for text in [
            r#"{"time":"2026-11-22T12:27:43Z","request":"GET / HTTP/1.1","status":200,"http_user_agent":"9fef46c6d38a0720-FRA"}"#,
            r#"{"time":"2026-11-22T12:27:43Z","request":"GET / HTTP/1.1","status":200,"cookie_id":"9fef46c6d38a0720-FRA"}"#,
            r#"{"time":"2026-11-22T12:27:43Z","request":"GET / HTTP/1.1","status":200,"ua":"x","cf_ray":"9fef46c6d38a0720-FRA","cf_ray":"9fef46c6d38a0721-FRA"}"#,
            r#"{"time":"2026-11-22T12:27:43Z","request":"GET / HTTP/1.1","status":200,"span":"9fef46c6d38a0720"}"#,
        ] {
            assert_eq!(line(text).ray, None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let keys = learn(&Sample { lines: vec![FORMAT.samples[0].as_bytes()] }).unwrap().keys;
            let _ = parse(&bytes, &keys);
            let mut object = b"{\"status\":200,\"request_uri\":\"".to_vec();
            object.extend_from_slice(&bytes);
            let _ = parse(&object, &keys);
            let _ = detect(&Sample { lines: vec![&object, &bytes] });
        }

        #[test]
        fn rendered_objects_read_back(uri in "/.{0,40}", status in 100u16..600, host in "[a-z.]{1,20}") {
            let text = serde_json::json!({"time": "2026-11-22T12:27:43Z", "host": host, "request_method": "GET", "request_uri": uri, "status": status}).to_string();
            let keys = learn(&Sample { lines: vec![FORMAT.samples[0].as_bytes()] }).unwrap().keys;
            let line = parse(text.as_bytes(), &keys).unwrap();
            prop_assert_eq!(line.uri.as_deref(), Some(uri.as_bytes()));
            prop_assert_eq!((line.status, line.host.as_deref()), (Some(status), Some(host.as_bytes())));
        }
    }
}
