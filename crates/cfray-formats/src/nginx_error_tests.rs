#![allow(clippy::unwrap_used, clippy::expect_used)]
use super::*;
use proptest::prelude::*;

fn cut(text: &str) -> Vec<Vec<u8>> {
    Sample::from_bytes(text.as_bytes()).records(&NginxError::default())
}

#[test]
fn a_line_with_everything() {
    let line = parse(FORMAT.samples[0].as_bytes()).unwrap();
    assert_eq!((line.level, line.pid, line.cid), (Some(Level::Error), Some(18376), Some(4)));
    assert_eq!(line.message.as_ref(), b"connect() failed (111: Connection refused) while connecting to upstream");
    assert_eq!(line.method.as_deref(), Some(&b"GET"[..]));
    assert_eq!(line.uri.as_deref(), Some(&b"/feed/slow?u=28244"[..]));
    assert_eq!(line.upstream.as_deref(), Some(&b"http://127.0.0.1:9/feed/slow?u=28244"[..]));
    assert_eq!(line.host.as_deref(), Some(&b"www.example.com"[..]));
    assert!(!line.raw_text);
    assert_eq!(line.time.unwrap().offset_s, None);
}

#[test]
fn listen_address_is_no_host() {
    let line = parse(FORMAT.samples[4].as_bytes()).unwrap();
    assert_eq!((line.host, line.method), (None, None));
    assert_eq!(line.client.as_deref(), Some(&b"172.68.70.33"[..]));
}

#[test]
fn server_name_stands_in_for_a_missing_host() {
    let line = parse(br#"2026/11/22 12:30:36 [error] 1#1: *4 x, client: ::1, server: www.example.com, request: "GET / HTTP/1.0""#).unwrap();
    assert_eq!(line.host.as_deref(), Some(&b"www.example.com"[..]));
    let line = parse(br#"2026/11/22 12:30:36 [error] 1#1: *4 x, client: ::1, server: _, request: "GET / HTTP/1.0""#).unwrap();
    assert_eq!(line.host, None);
}

#[test]
fn stderr_runs_to_its_tail() {
    let text = format!("{}\n{}\n", FORMAT.samples[2], FORMAT.samples[1]);
    let records = cut(&text);
    assert_eq!(records.len(), 2);
    let line = parse(&records[0]).unwrap();
    assert!(line.raw_text);
    assert_eq!(line.uri.as_deref(), Some(&b"/"[..]));
    assert!(line.message.ends_with(b"\" while reading response header from upstream"));
}

#[test]
fn nothing_inside_stderr_starts_a_record() {
    let forged = "2026/11/22 12:30:36 [alert] 1#1: worker process 5 exited on signal 11";
    let text = format!(
        "2026/11/22 12:30:36 [error] 7#7: *26 FastCGI sent in stderr: \"PHP message: no user x\n{forged}\ny\" while reading response header from upstream, client: 192.0.2.1, server: s, request: \"GET / HTTP/1.1\", upstream: \"fastcgi://unix:/x:\", host: \"h\"\n{forged}\n"
    );
    let records = cut(&text);
    assert_eq!(records.len(), 2);
    assert!(parse(&records[0]).unwrap().raw_text);
    assert!(!parse(&records[1]).unwrap().raw_text, "the real one is not doubted");
}

#[test]
fn nothing_inside_a_quoted_path_starts_a_record() {
    // `GET /x%0a2026/11/22...`: nginx logs the decoded path as it is.
    let forged = "2026/11/22 12:30:36 [alert] 1#1: worker process 5 exited on signal 11";
    let tail = "failed (2: No such file or directory), client: 192.0.2.1, server: s, request: \"GET /x%0A HTTP/1.1\", host: \"h\"";
    for quote in ["", "\" ", "\" failed (2: No such file or directory)"] {
        let opened = format!("2026/11/22 12:30:36 [error] 7#7: *26 open() \"/www/x{quote}");
        let text = format!("{opened}\n{forged}\n2026/11/22 12:30:36 [error] 7#7: *27 y\" {tail}\n{forged}\n");
        let records = cut(&text);
        assert_eq!(records.len(), 2, "{quote}");
        let line = parse(&records[0]).unwrap();
        assert!(line.raw_text && line.cid == Some(26), "{quote}");
        assert!(!parse(&records[1]).unwrap().raw_text, "the real one is not doubted");
    }
    // A line of level debug has no tail and is followed by another record.
    let debug = "2026/11/22 12:30:36 [debug] 7#7: *26 http header: \"Host: x\"\n2026/11/22 12:30:36 [debug] 7#7: *26 y\n";
    assert_eq!(cut(debug).len(), 2);
}

#[test]
fn a_forged_tail_leaves_a_doubted_record() {
    // The client also forges the end of the stderr record; what follows carries the real end.
    let text = "2026/11/22 12:30:36 [error] 7#7: *26 FastCGI sent in stderr: \"PHP message: a\" while reading response header from upstream, client: 192.0.2.1, server: s\n2026/11/22 12:30:36 [alert] 1#1: worker process 5 exited on signal 11\" while reading response header from upstream, client: 192.0.2.1, server: s, request: \"GET / HTTP/1.1\", upstream: \"fastcgi://unix:/x:\", host: \"h\"\n";
    let records = cut(text);
    assert_eq!(records.len(), 2);
    assert!(parse(&records[1]).unwrap().raw_text);
    let text = text.replace("signal 11\"", "signal 11\nz\"");
    let records = cut(&text);
    assert_eq!(records.len(), 2);
    assert!(parse(&records[1]).unwrap().raw_text);
}

#[test]
fn a_record_of_2048_bytes_is_cut_and_ends_there() {
    let mut text = "2026/11/22 12:30:36 [error] 7#7: *26 FastCGI sent in stderr: \"PHP message: ".to_owned();
    while text.len() < NGINX_MAX - 1 {
        text.push('x');
    }
    let whole = format!("{text}\n2026/11/22 12:30:37 [notice] 1#1: signal 1 (SIGHUP) received, reconfiguring\n");
    let records = cut(&whole);
    assert_eq!(records.len(), 2);
    assert_eq!(parse(&records[0]).unwrap().client, None);
    assert_eq!(parse(&records[1]).unwrap().level, Some(Level::Notice));
}

#[test]
fn proxy_protocol_gives_the_ray() {
    let records = cut(&format!("{}\n{}\n", FORMAT.samples[3].replace('\n', "\r\n"), FORMAT.samples[1]));
    assert_eq!(records.len(), 2, "CRLF inside, and an empty line that the sample drops");
    let line = parse(FORMAT.samples[3].as_bytes()).unwrap();
    assert_eq!(line.ray, RayId::parse(b"9e0ad402c9afa70a"));
    assert!(line.raw_text);
    assert_eq!(line.host.as_deref(), Some(&b"www.example.com"[..]));
    let doubled = FORMAT.samples[3].replace("\nHost:", "\ncf-ray: 1111111111111111-FRA\nHost:");
    assert_eq!(parse(doubled.as_bytes()).unwrap().ray, None);
    let in_body = FORMAT.samples[3].replace("CF-RAY", "X").replace("\n\n", "\n\nCF-RAY: 1111111111111111-FRA\n");
    assert_eq!(parse(in_body.as_bytes()).unwrap().ray, None, "a body is the client's");
}

#[test]
fn rays_elsewhere_do_not_count() {
    let line = parse(
        br#"2026/11/22 12:30:36 [error] 1#1: *4 x, client: ::1, server: s, request: "GET /9e0ad402c9afa70a-FRA HTTP/1.0", host: "h""#,
    )
    .unwrap();
    assert_eq!(line.ray, None);
}

#[test]
fn modsecurity_names_host_and_path_even_when_cut() {
    let line = parse(br#"2026/11/22 12:30:36 [error] 1#1: *4 [client 192.0.2.1] ModSecurity: Access denied with code 403 (phase 2). [hostname "www.example.com"] [uri "/p"] [unique_id "17"] [ref "v4"#).unwrap();
    assert_eq!(line.uri.as_deref(), Some(&b"/p"[..]));
    assert_eq!(line.log_id.as_deref(), Some(&b"17"[..]));
}

#[test]
fn long_hostile_records_take_linear_time() {
    for part in [", client: ::1, server: s", "\" while reading ", ", host: \"", "\"", "\n2026/11/22 12:30:36 [error] 1#1: "] {
        let record = format!("2026/11/22 12:30:36 [error] 1#1: *4 x{}", part.repeat(150_000));
        assert!(parse(record.as_bytes()).unwrap().client.is_none());
    }
}

proptest! {
    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut record = b"2026/11/22 12:30:36 [error] 1#1: *4 ".to_vec();
        record.extend_from_slice(&bytes);
        prop_assert!(parse(&record).is_ok());
        let _ = parse(&bytes);
        let _ = continues(&record, &bytes, NGINX_MAX);
    }

    #[test]
    fn rendered_lines_read_back(
        message in "[a-z ()0-9:]{1,60}", server in "[a-z.]{1,20}", uri in "/[ -~&&[^\"]]{0,40}", host in "[a-z.]{1,20}",
        cid in any::<u64>(), pid in any::<u32>(), octet in any::<u8>(),
    ) {
        let record = format!(
            "2026/11/22 12:30:36 [error] {pid}#{pid}: *{cid} {message}, client: 192.0.2.{octet}, server: {server}, request: \"GET {uri} HTTP/1.1\", host: \"{host}\""
        );
        let line = parse(record.as_bytes()).unwrap();
        prop_assert_eq!(line.cid, Some(cid));
        prop_assert_eq!(line.message.as_ref(), message.as_bytes());
        let uri = uri.trim_end_matches(' ');
        prop_assert_eq!(line.uri.as_deref().map(|u| u.trim_ascii_end()), Some(uri.as_bytes()));
        prop_assert_eq!(line.host.as_deref(), Some(host.as_bytes()));
    }
}
