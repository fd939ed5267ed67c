#![allow(clippy::unwrap_used, clippy::expect_used)]
use super::*;
use proptest::prelude::*;

#[test]
fn secrets_go_and_the_line_stays() {
    let cases = [
        // Queries.
        ("/cart?id=5&token=abc&x=1", "/cart?id=5&token=***&x=1"),
        ("/cart?api_key=abc#top", "/cart?api_key=***"),
        ("/cb?user%5Bpassword%5D=hunter2&b=1", "/cb?user%5Bpassword%5D=***&b=1"),
        ("/login?next=%2Fhome%3Ftoken%3Dabc%26x%3D1", "/login?next=%2Fhome%3Ftoken%3D***%26x%3D1"),
        ("/a;jsessionid=0A1B?x=1", "/a;jsessionid=***"),
        ("/search?keyword=shoes&author=joe", "/search?keyword=shoes&author=joe"),
        ("/x?token=&y=1", "/x?token=&y=1"),
        // Access lines.
        (
            r#"1.2.3.4 - - [22/Nov/2026:12:20:01 +0000] "GET /p?sid=7 HTTP/1.1" 444 0 "-" "curl/8""#,
            r#"1.2.3.4 - - [22/Nov/2026:12:20:01 +0000] "GET /p?sid=*** HTTP/1.1" 444 0 "-" "curl/8""#,
        ),
        (
            r#""GET /product/1300 HTTP/1.1" 444 0 "-" "Mozilla/5.0" "PHPSESSID=abcd; theme=dark""#,
            r#""GET /product/1300 HTTP/1.1" 444 0 "-" "Mozilla/5.0" "PHPSESSID=***; theme=dark""#,
        ),
        // JSON, plain, escaped and as lists.
        (r#"{"cookie":"a=b; c=d","status":"444"}"#, r#"{"cookie":"***","status":"444"}"#),
        (r#"{"authorization":["Bearer abc"],"a":1}"#, r#"{"authorization":[***],"a":1}"#),
        (r#"{\"password\":\"a b\",\"x\":1}"#, r#"{\"password\":\"***\",\"x\":1}"#),
        (r#"\x22token\x22:\x22abc\x22,\x22n\x22:1"#, r#"\x22token\x22:\x22***\x22,\x22n\x22:1"#),
        (r#"{"uri":"/a?token=abc\",\"x\":1"}"#, r#"{"uri":"/a?token=***\",\"x\":1"}"#),
        (r#"{"request_body":"a=1&b=2"}"#, r#"{"request_body":"***"}"#),
        (r#"{"body_bytes_sent":153}"#, r#"{"body_bytes_sent":153}"#),
        // Headers.
        ("Cookie: a=b; c=d\nHost: x", "Cookie: ***\nHost: x"),
        (r#"header: "Authorization: Basic am9lOnB3", host"#, r#"header: "Authorization: ***", host"#),
        ("X-Api-Key: 123 next", "X-Api-Key: *** next"),
        ("-H 'X-Auth-Token: Bearer abc'", "-H 'X-Auth-Token: ***'"),
        // URLs.
        ("redis://joe:pw@10.0.0.1:6379/0", "redis://***@10.0.0.1:6379/0"),
        ("https://medium.example/@joe", "https://medium.example/@joe"),
        ("/verify/eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln/ok", "/verify/***/ok"),
        // Frames.
        ("#0 /srv/a.php(12): Db->login('joe', 'it's (x)')\n#1 {main}", "#0 /srv/a.php(12): Db->login(***)\n#1 {main}"),
        ("#0 [internal function]: f(Array) #1 /srv/b.php(3): g()", "#0 [internal function]: f(***) #1 /srv/b.php(3): g()"),
        ("PHP   3. login($user = 'joe') /srv/a.php:12", "PHP   3. login(***) /srv/a.php:12"),
        // ModSecurity.
        (
            "Matched \"Operator `Rx'\" against variable `ARGS:pw' (Value: `hunter2' ) [file \"x\"]",
            "Matched \"Operator `Rx'\" against variable `ARGS:pw' (Value: `***' ) [file \"x\"]",
        ),
        (
            r#"[data "Matched Data: q found within ARGS:q: 1 or 1=1"] [id "9"]"#,
            r#"[data "Matched Data: q found within ARGS:q: ***"] [id "9"]"#,
        ),
        ("--a1-C--\na=1&b=2\n--a1-F--\nHTTP/1.1 200", "--a1-C--\n***\n--a1-F--\nHTTP/1.1 200"),
    ];
    for (given, wanted) in cases {
        assert_eq!(mask(given), wanted);
        assert_eq!(mask(wanted), wanted, "masking twice changes nothing");
    }
}

#[test]
fn proving_lines_stay_as_they_are() {
    for line in [
        "2026/11/22 12:20:11 [alert] 1#1: worker process 12748 exited on signal 11",
        "[core:notice] [pid 1:tid 2] AH00051: child pid 4 exit signal Segmentation fault (11), possible coredump in /tmp",
        "2026/11/22 12:23:10 [error] 1#1: *93 connect() to unix:/run/php/www.sock failed (11: Resource temporarily unavailable) while connecting to upstream, client: 172.70.240.118, server: www.example.com, request: \"GET /a HTTP/1.1\"",
        "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,task=php-fpm8.2,pid=9,uid=33",
        "[authz_core:error] [pid 9] [client 1.2.3.4:5] AH01630: client denied by server configuration: /var/www/auth.php",
        "PHP Fatal error:  Uncaught Error: Call to undefined method Auth::login() in /srv/token.php:12",
        "[UFW BLOCK] IN=eth0 OUT= MAC=aa:bb SRC=162.158.0.1 DST=192.0.2.1 LEN=60 PROTO=TCP SPT=5 DPT=443",
        "AH02039: Certificate Verification: Error (2): unable to get issuer certificate",
    ] {
        assert_eq!(mask(line), line);
    }
}

/// With CFRAY_LINES naming a file of log lines, prints those that masking changes: to look for false alarms.
#[test]
fn lines_to_look_at() {
    if let Some(path) = std::env::var_os("CFRAY_LINES") {
        let lines = std::fs::read(path).unwrap();
        let text = String::from_utf8_lossy(&lines);
        let changed: Vec<String> = text.lines().filter(|line| mask(line) != *line).map(|line| mask(line).into_owned()).collect();
        std::fs::write(std::env::var_os("CFRAY_MASKED").unwrap(), changed.join("\n")).unwrap();
    }
}

#[test]
fn pseudonyms_are_consistent_and_leave_no_address() {
    let masker = Masker::new(&RenderOptions { redact: Some([7; 32]), show_secrets: true, ..RenderOptions::default() });
    let line = r#"172.70.240.118 - - "GET /a?u=5&token=abc HTTP/1.1" 444 0 "https://x.example/b?u=5" "Mozilla/5.0 Chrome/120.0.0.0" [2001:DB8::1]:443 ::ffff:172.70.240.118"#;
    let shown = masker.text(line).into_owned();
    let edge = masker.address("172.70.240.118").into_owned();
    assert_eq!(shown.matches(&edge).count(), 2, "{shown}");
    assert!(shown.contains(&*masker.address("2001:db8:0:0::1")), "{shown}");
    assert!(shown.contains("token=***") && shown.contains("Chrome/120.0.0.0") && shown.contains("HTTP/1.1\" 444 0"), "{shown}");
    assert!(!shown.contains("u=5") && !shown.contains("172.70") && !shown.contains("DB8"), "{shown}");
    let value = shown.split("u=").nth(1).unwrap().split('&').next().unwrap();
    assert_eq!(shown.matches(value).count(), 2, "equal values stay equal: {shown}");
    assert_ne!(masker.text("/a?u=6"), masker.text("/a?u=7"));
    assert_eq!(masker.own("12:24:07 Foo::bar 1.2.3"), "12:24:07 Foo::bar 1.2.3");
    let other = Masker::new(&RenderOptions { redact: Some([8; 32]), ..RenderOptions::default() });
    assert_ne!(other.address("172.70.240.118"), edge);
}

#[test]
fn shown_on_request() {
    let masker = Masker::new(&RenderOptions { show_secrets: true, ..RenderOptions::default() });
    assert_eq!(masker.text("/a?token=abc"), "/a?token=abc");
}

proptest! {
    #[test]
    fn any_text_is_masked_without_panic(text in any::<String>(), key in any::<[u8; 32]>()) {
        let once = mask(&text).into_owned();
        prop_assert!(once.len() <= text.len() * 4 + 8);
        let masker = Masker::new(&RenderOptions { redact: Some(key), ..RenderOptions::default() });
        let _ = masker.text(&text);
    }

    #[test]
    fn a_secret_never_survives(
        name in "(x_)?(token|api_key|client_secret|password|auth|session|sid|sig|jwt|otp)",
        secret in "S3CRET[A-Za-z0-9_.|/+-]{8,24}",
        before in "[ -~]{0,12}[ ?&;\"]",
        after in "(&[ -~]{0,12}|;[ -~]{0,12}|\"[ -~]{0,12}|)",
    ) {
        let text = format!("{before}{name}={secret}{after}");
        prop_assert!(!mask(&text).contains(&secret), "{}", mask(&text));
        let json = format!("{{\"a\":1,\"{name}\":\"{secret}\",\"b\":2}}");
        prop_assert!(!mask(&json).contains(&secret));
        let header = format!("{name}: {secret}");
        prop_assert!(!mask(&header).contains(&secret));
    }

    #[test]
    fn no_address_survives(v4 in any::<[u8; 4]>(), v6 in any::<[u16; 8]>(), before in "[ =\\[(,\"]", after in "[ ,;:\\])\"]") {
        let masker = Masker::new(&RenderOptions { redact: Some([1; 32]), ..RenderOptions::default() });
        let v4 = std::net::Ipv4Addr::from(v4).to_string();
        let v6 = std::net::Ipv6Addr::from(v6).to_string();
        let shown = masker.text(&format!("x{before}{v4}{after} y{before}{v6}{after}")).into_owned();
        prop_assert!(!shown.contains(&v4) && !shown.contains(&v6), "{}", shown);
    }
}
