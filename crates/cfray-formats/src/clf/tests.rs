#![allow(clippy::unwrap_used, clippy::expect_used)]
use super::*;
use crate::clf::learn::learn;
use crate::spec::Sample;
use cfray_model::RayId;
use proptest::prelude::*;

const AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64)";

fn sample(text: &str) -> Sample<'_> {
    Sample::from_bytes(text.as_bytes())
}

/// Twenty lines with the given rest after the size; `{}` becomes a ray.
fn file(rest: &str) -> String {
    (0..20u64)
        .map(|i| {
            let ray = format!("{:016x}-FRA", 0x9e0a_d402_c9af_a700 + i);
            format!("198.51.100.{i} - - [22/Nov/2026:12:29:{i:02} +0000] \"GET /p/{i} HTTP/1.1\" 200 {i}{}\n", rest.replace("{}", &ray))
        })
        .collect()
}

fn ray_of(rest: &str) -> Option<RayId> {
    let text = file(rest);
    let lesson = learn(&sample(&text));
    let line = text.lines().nth(3).unwrap();
    parse(line.as_bytes(), Stack::Nginx, &lesson.learned).unwrap().ray
}

#[test]
fn the_ray_is_found_wherever_servers_put_it() {
    let want = RayId::parse(b"9e0ad402c9afa703");
    for rest in [
        " \"-\" \"AGENT\" {}",
        " \"-\" \"AGENT\" \"{}\"",
        " \"-\" \"AGENT\" \"-\" \"{}\"",
        " \"-\" \"AGENT\" 0.043 {} 198.51.100.9",
        " \"-\" \"AGENT\" rt=0.043 cf_ray={}",
        " \"-\" \"AGENT\" rt=0.043 ray=\"{}\"",
        " \"-\" \"AGENT\" [{}]",
        " {} \"-\" \"AGENT\"",
        " \"{}\" \"https://r.example/\" \"AGENT\"",
        " {}",
        " \"{}\"",
        " \"-\" \"AGENT\" - {}",
    ] {
        assert_eq!(ray_of(&rest.replace("AGENT", AGENT)), want, "{rest}");
    }
}

#[test]
fn a_ray_that_a_client_wrote_never_counts() {
    for rest in [" \"{}\" \"AGENT\"", " \"-\" \"{}\"", " \"-\" \"AGENT {}\"", " \"https://e/{}\" \"{}\" \"-\""] {
        assert_eq!(ray_of(&rest.replace("AGENT", AGENT)), None, "{rest}");
    }
    // One forged arrangement among good lines: a bare field that the client filled with spaces.
    let mut text = file(&format!(" \"-\" \"{AGENT}\" word"));
    text.push_str("1.2.3.4 - - [22/Nov/2026:12:29:19 +0000] \"GET / HTTP/1.1\" 200 1 \"-\" \"x\" word 9e0ad402c9afa703-FRA\n");
    let learned = learn(&sample(&file(&format!(" \"-\" \"{AGENT}\" word")))).learned;
    let forged = text.lines().last().unwrap();
    assert_eq!(parse(forged.as_bytes(), Stack::Nginx, &learned).unwrap().ray, None);
}

#[test]
fn a_dash_is_no_ray_and_no_error() {
    let text = file(&format!(" \"-\" \"{AGENT}\" {{}}"));
    let learned = learn(&sample(&text)).learned;
    let line = format!("198.51.100.1 - - [22/Nov/2026:12:29:00 +0000] \"GET / HTTP/1.1\" 200 1 \"-\" \"{AGENT}\" -");
    let line = parse(line.as_bytes(), Stack::Nginx, &learned).unwrap();
    assert_eq!((line.ray, line.status, line.size, line.referer), (None, Some(200), Some(1), None));
}

#[test]
fn fields_by_shape() {
    let text = file(&format!(" \"-\" \"{AGENT}\" \"203.0.113.5, 172.68.1.1\" 0.043 unix:/run/x.sock 0.010, 0.020 : 0.003 www.example.com"));
    let lesson = learn(&sample(&text));
    let line = parse(text.lines().next().unwrap().as_bytes(), Stack::Nginx, &lesson.learned).unwrap();
    assert_eq!(line.visitor.as_deref(), Some(&b"203.0.113.5"[..]));
    assert_eq!(line.duration_us, Some(43_000));
    assert_eq!(line.upstream.as_deref(), Some(&b"unix:/run/x.sock"[..]));
    assert_eq!(line.host.as_deref(), Some(&b"www.example.com"[..]));
    assert!(lesson.nginx > lesson.apache);
}

#[test]
fn heads() {
    let tail = "[22/Nov/2026:12:29:00 +0000] \"GET / HTTP/1.1\" 200 1";
    let get = |head: &str| {
        let text = format!("{head} {tail}");
        parse_plain(text.as_bytes(), Stack::Apache).map(|l| (l.client.map(|c| c.into_owned()), l.host.map(|h| h.into_owned())))
    };
    let some = |s: &str| Some(s.as_bytes().to_vec());
    assert_eq!(get("192.0.2.1 - -").unwrap(), (some("192.0.2.1"), None));
    assert_eq!(get("192.0.2.1").unwrap(), (some("192.0.2.1"), None));
    assert_eq!(get("h.example:443 192.0.2.1 - bob smith").unwrap(), (some("192.0.2.1"), some("h.example:443")));
    assert_eq!(get("h.example 2001:db8::1 - -").unwrap(), (some("2001:db8::1"), some("h.example")));
    assert_eq!(get("crawl-1.example.net - -").unwrap(), (some("crawl-1.example.net"), None));
    assert_eq!(get("h.example:80 crawl-1.example.net - -").unwrap(), (some("crawl-1.example.net"), some("h.example:80")));
    assert_eq!(get("203.0.113.5, 172.68.1.1 - -").unwrap().0, some("203.0.113.5"));
    assert_eq!(get("192.0.2.1 - \"\"").unwrap().0, some("192.0.2.1"));
    assert!(get("Nov 22 17:52:14 web1 httpd: 192.0.2.1 - -").is_err(), "wrapped lines belong to the wrapper");
}

#[test]
fn a_forged_time_in_the_user_name_loses() {
    let text = b"192.0.2.1 - x [01/Jan/2000:00:00:00 +0000] y [22/Nov/2026:12:29:00 +0000] \"GET / HTTP/1.1\" 200 1";
    let line = parse_plain(text, Stack::Nginx).unwrap();
    assert_eq!(line.time.unwrap().civil_ns / cfray_model::time::SECOND, 1_795_350_540);
}

#[test]
fn odd_requests() {
    for (request, method) in
        [("", None), ("-", None), (r"\x16\x03\x01", None), ("PRI * HTTP/2.0", Some(&b"PRI"[..])), (r#"GET /\" HTTP/1.1"#, Some(b"GET"))]
    {
        let text = format!("192.0.2.1 - - [22/Nov/2026:12:29:00 +0000] \"{request}\" 400 0 \"-\" \"-\"");
        let line = parse_plain(text.as_bytes(), Stack::Nginx).unwrap();
        assert_eq!((line.method.as_deref(), line.status), (method, Some(400)), "{request}");
    }
}

#[test]
fn bad_lines_say_where() {
    let error = parse_plain(b"192.0.2.1 - - [22/Nov/2026:12:29:00 +0000] \"GET / HTTP/1.1\" abc", Stack::Nginx).unwrap_err();
    assert_eq!((error.reason.as_ref(), error.at), ("no status after the request", 60));
    assert!(parse_plain(b"", Stack::Nginx).is_err());
}

#[test]
fn long_hostile_lines_take_linear_time() {
    // Quadratic work on these would not end within the patience of a test run.
    let head = "192.0.2.1 - - [22/Nov/2026:12:29:00 +0000] ";
    for part in ["\"x", "\\\"", "\" ", "[", "[22/Nov/2026:12:29:00 +0000] ", "\"\"\"", "a=\"b\"c", "1, "] {
        for start in ["", "\"", "\"GET / HTTP/1.1\" 200 1 "] {
            let line = format!("{head}{start}{}", part.repeat(150_000));
            let _ = parse_plain(line.as_bytes(), Stack::Nginx);
            let _ = learn(&Sample { lines: vec![line.as_bytes()] });
        }
    }
}

proptest! {
    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse_plain(&bytes, Stack::Nginx);
        let mut line = b"192.0.2.1 - - [22/Nov/2026:12:29:00 +0000] \"GET / HTTP/1.1\" 200 1 ".to_vec();
        line.extend_from_slice(&bytes);
        let lesson = learn(&Sample { lines: vec![&line, &bytes] });
        let _ = parse(&line, Stack::Nginx, &lesson.learned);
    }

    #[test]
    fn rendered_lines_read_back(
        octet in any::<u8>(), uri in "/[!#-\\[\\]-~]{0,60}", status in 100u16..600, size in any::<u32>(),
        referer in "[!#-\\[\\]-~]{2,40}", agent in "[ !#-\\[\\]-~]{0,10}[!#-\\[\\]-~]{2}", secs in 0u32..60,
    ) {
        let text = format!(
            "192.0.2.{octet} - - [22/Nov/2026:12:29:{secs:02} +0530] \"GET {uri} HTTP/1.1\" {status} {size} \"{referer}\" \"{agent}\""
        );
        let line = parse_plain(text.as_bytes(), Stack::Nginx).unwrap();
        prop_assert_eq!(line.uri.as_deref(), Some(uri.as_bytes()));
        prop_assert_eq!(line.status, Some(status));
        prop_assert_eq!(line.size, Some(u64::from(size)));
        prop_assert_eq!(line.referer.as_deref(), Some(referer.as_bytes()));
        prop_assert_eq!(line.agent.as_deref(), Some(agent.as_bytes()));
        prop_assert_eq!(line.time.unwrap().offset_s, Some(19_800));
    }
}

#[test]
fn the_time_in_other_forms_and_places() {
    let usual = r#"172.70.240.118 - - [22/Nov/2026:12:27:43 +0000] "GET /a HTTP/1.1" 444 0 "-" "curl/8""#;
    let usual = parse_plain(usual.as_bytes(), Stack::Nginx).unwrap();
    for text in [
        r#"172.70.240.118 - - [2026-11-22T12:27:43+00:00] "GET /a HTTP/1.1" 444 0 "-" "curl/8""#,
        r#"172.70.240.118 - - [2026-11-22T12:27:43+0000] "GET /a HTTP/1.1" 444 0 "-" "curl/8""#,
        r#"[22/Nov/2026:12:27:43 +0000] 172.70.240.118 - - "GET /a HTTP/1.1" 444 0 "-" "curl/8""#,
        r#"[2026-11-22T12:27:43+00:00] 172.70.240.118 "GET /a HTTP/1.1" 444 0 "-" "curl/8""#,
        r#"2026-11-22T12:27:43+00:00 172.70.240.118 "GET /a HTTP/1.1" 444 0 "-" "curl/8""#,
        "172.70.240.118\t-\t-\t[22/Nov/2026:12:27:43 +0000]\t\"GET /a HTTP/1.1\"\t444\t0\t\"-\"\t\"curl/8\"",
        "2026-11-22T12:27:43+00:00\twww.example.com\t172.70.240.118\t\"GET /a HTTP/1.1\"\t444\t0\t\"-\"\t\"curl/8\"",
    ] {
        let line = parse_plain(text.as_bytes(), Stack::Nginx).expect(text);
        assert_eq!(
            (line.time, &line.client, &line.uri, line.status, line.size),
            (usual.time, &usual.client, &usual.uri, Some(444), Some(0)),
            "{text}"
        );
        assert_eq!(line.agent, usual.agent, "{text}");
    }
}

#[test]
fn a_time_in_a_user_name_is_not_the_time() {
    let text = r#"172.70.240.118 - [2020-01-01T00:00:00+00:00] [2026-11-22T12:27:43+00:00] "GET /a HTTP/1.1" 444 0"#;
    let line = parse_plain(text.as_bytes(), Stack::Nginx).unwrap();
    assert_eq!(line.time.unwrap().civil_ns / 1_000_000_000 / 86_400, 20_779, "2026-11-22");
}

/// The second log of RHEL's ssl.conf has sizes where others have a status.
#[test]
fn the_request_log_of_mod_ssl_has_no_status() {
    let text = r#"[22/Nov/2026:12:27:43 +0000] 172.70.240.118 TLSv1.3 TLS_AES_256_GCM_SHA384 "GET /a HTTP/1.1" 403"#;
    assert!(parse_plain(text.as_bytes(), Stack::Apache).is_err());
    assert!(!looks_plain(text.as_bytes()));
}
