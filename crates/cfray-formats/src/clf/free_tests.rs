#![allow(clippy::unwrap_used, clippy::expect_used)]
use crate::detect;
use crate::spec::Sample;
use cfray_model::RayId;
use proptest::prelude::*;

/// One request as a server knows it.
struct Served {
    at: u64,
    status: u16,
    size: u64,
    uri: String,
    ray: String,
    client: String,
}

fn served(i: u64) -> Served {
    let (status, size) = match i % 6 {
        0 => (444, 0),
        1 => (301, 373),
        2 => (404, 9_146),
        _ => (200, 2_300 + i * 431),
    };
    let (colo, net) = (["FRA", "IAD", "BOM"][i as usize % 3], 16 + i % 7);
    Served {
        at: i,
        status,
        size,
        uri: format!("/p/{i}-lamp?page={i}"),
        ray: format!("{:016x}-{colo}", 0x9e0a_d402_c9af_a700 + i),
        client: format!("172.64.{net}.{i}"),
    }
}

/// Writes a request the way nginx and Apache fill in a format.
fn render(format: &str, s: &Served) -> String {
    let agents = [
        "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0",
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Safari/605.1.15",
        "okhttp/5.1.0",
    ];
    let upstream = if s.status == 200 { ("127.0.0.1:9000", "200", "0.031", "0.000") } else { ("-", "-", "-", "-") };
    let referer = if s.at % 2 == 0 { "https://www.google.com/" } else { "-" };
    let (micros, seconds) = (7_000 + s.at * 113, format!("0.{:03}", 3 + s.at));
    [
        ("$time_iso8601", format!("2026-11-22T12:30:{:02}+01:00", s.at)),
        ("$time_local", format!("22/Nov/2026:12:30:{:02} +0100", s.at)),
        ("$msec", format!("{}.{:03}", 1_795_347_000 + s.at, s.at)),
        ("$plain_time", format!("2026-11-22 12:30:{:02}", s.at)),
        ("$remote_addr", s.client.clone()),
        ("$remote_user", "-".to_owned()),
        ("$remote_port", (40_000 + s.at).to_string()),
        ("$http_cf_ray", s.ray.clone()),
        ("$http_cf_connecting_ip", format!("198.51.100.{}", s.at)),
        ("$http_x_forwarded_for", format!("198.51.100.{}", s.at)),
        ("$host", "www.example.org".to_owned()),
        ("$request_method", "GET".to_owned()),
        ("$request_uri", s.uri.clone()),
        ("$request_length", (600 + s.at).to_string()),
        ("$request_time", seconds),
        ("$request", format!("GET {} HTTP/1.1", s.uri)),
        ("$server_protocol", "HTTP/1.1".to_owned()),
        ("$upstream_addr", upstream.0.to_owned()),
        ("$upstream_status", upstream.1.to_owned()),
        ("$upstream_response_time", upstream.2.to_owned()),
        ("$upstream_connect_time", upstream.3.to_owned()),
        ("$status", s.status.to_string()),
        ("$body_bytes_sent", s.size.to_string()),
        ("$bytes_sent", (s.size + 412).to_string()),
        ("$http_referer", referer.to_owned()),
        ("$http_user_agent", agents[s.at as usize % 3].to_owned()),
        ("$scheme", "https".to_owned()),
        ("$ssl_protocol", "TLSv1.3".to_owned()),
        ("$connection", (70 + s.at).to_string()),
        ("$micros", micros.to_string()),
    ]
    .iter()
    .fold(format.to_owned(), |text, (name, value)| text.replace(name, value))
}

fn file(format: &str) -> String {
    (0..40).map(|i| render(format, &served(i)) + "\n").collect()
}

/// Formats as people write them, in which everything that matters must be found.
const READ: [&str; 37] = [
    r#"$time_iso8601 $remote_addr "$http_cf_ray" $host "$request" $status $body_bytes_sent $request_time "$http_user_agent""#,
    r#"$time_iso8601 $remote_addr $host "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" $http_cf_ray"#,
    r#"$host $remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" "$http_cf_ray""#,
    r#"$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" rt=$request_time uct="$upstream_connect_time" urt="$upstream_response_time" cf_ray=$http_cf_ray"#,
    r#"$remote_addr - [$time_local] "$host" "$request" $status $body_bytes_sent [$http_cf_ray] "$http_user_agent""#,
    r#"[$time_local] $http_cf_ray $remote_addr "$request" $status $body_bytes_sent"#,
    r#"[$time_local] "$request" "$host" $status $body_bytes_sent $remote_addr "$http_cf_ray" "$http_user_agent""#,
    r#"$remote_addr "$http_cf_ray" [$time_local] "$request" $status $body_bytes_sent"#,
    "$time_iso8601|$remote_addr|$http_cf_ray|$host|$request|$status|$body_bytes_sent|$request_time|$http_user_agent",
    r#"$time_local | $remote_addr | $host | "$request" | $status | $body_bytes_sent | $http_cf_ray | "$http_referer" | "$http_user_agent""#,
    "time:$time_iso8601\thost:$remote_addr\treq:$request\tstatus:$status\tsize:$body_bytes_sent\treferer:$http_referer\tua:$http_user_agent\tvhost:$host\treqtime:$request_time\tcf_ray:$http_cf_ray",
    "time:$time_local\tremote_addr:$remote_addr\tmethod:$request_method\turi:$request_uri\tstatus:$status\tbytes:$body_bytes_sent\tcfray:$http_cf_ray\tua:$http_user_agent",
    "$time_iso8601\t$remote_addr\t$request_method\t$request_uri\t$status\t$body_bytes_sent\t$http_cf_ray\t$http_user_agent",
    "$time_local $remote_addr $request $status $body_bytes_sent $request_time $http_cf_ray",
    "$remote_addr [$http_cf_ray] $time_local $request $status $body_bytes_sent",
    r#"$status $time_iso8601 $remote_addr "$request" $body_bytes_sent $http_cf_ray"#,
    r#"ip=$remote_addr time="$time_local" req="$request" status=$status size=$body_bytes_sent ray=$http_cf_ray ua="$http_user_agent""#,
    "time=$time_iso8601 ip=$remote_addr method=$request_method uri=$request_uri status=$status bytes=$body_bytes_sent rt=$request_time ray=$http_cf_ray",
    r#"[$time_local] [$remote_addr] [$http_cf_ray] [$host] [$request] [$status] [$body_bytes_sent]"#,
    r#"$time_iso8601 "$http_cf_connecting_ip" $remote_addr $http_cf_ray "$request" $status $body_bytes_sent "$upstream_addr" $upstream_status"#,
    r#""$time_iso8601","$remote_addr","$http_cf_ray","$request","$status","$body_bytes_sent","$http_user_agent""#,
    r#"$time_iso8601;$remote_addr;$http_cf_ray;"$request";$status;$body_bytes_sent;"$http_user_agent""#,
    r#"$msec $remote_addr $http_cf_ray "$request" $status $body_bytes_sent"#,
    r#"$plain_time $remote_addr:$remote_port $request_method $host $request_uri $server_protocol $status $body_bytes_sent $http_cf_ray"#,
    "$time_iso8601 $remote_addr $http_cf_ray $request_method $request_uri $status $body_bytes_sent $http_user_agent",
    r#"$time_iso8601 [ray:$http_cf_ray] client:$remote_addr status:$status size:$body_bytes_sent request:"$request" ua:"$http_user_agent""#,
    r#"$host:443 $remote_addr $remote_user $remote_user [$time_local] "$request" $status $body_bytes_sent $micros $http_cf_ray "$http_referer" "$http_user_agent""#,
    r#"$remote_addr, $time_iso8601, $http_cf_ray, $request, $status, $body_bytes_sent"#,
    r#"$remote_addr - - [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" "cf_ray=$http_cf_ray""#,
    r#"$time_iso8601 "CF-RAY: $http_cf_ray" [ip:$remote_addr] "$request" $status $body_bytes_sent"#,
    "$time_iso8601 - $remote_addr - $http_cf_ray - \"$request\" - $status - $body_bytes_sent",
    "$time_iso8601^$remote_addr^$http_cf_ray^$request^$status^$body_bytes_sent^$http_user_agent",
    "$time_iso8601 || $remote_addr || $request || $status || $body_bytes_sent || $http_cf_ray || $http_user_agent",
    r#"time=$time_iso8601, ip=$remote_addr, host=$host, req="$request", status=$status, bytes=$body_bytes_sent, ray=$http_cf_ray"#,
    r#"$remote_addr - $http_cf_ray [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent""#,
    r#"access: $time_iso8601 $remote_addr ($http_x_forwarded_for) "$request" $status $body_bytes_sent $request_time ($http_cf_ray)"#,
    r#"$scheme $ssl_protocol $remote_addr $time_iso8601 '$request' $upstream_status $status $body_bytes_sent $http_cf_ray"#,
];

#[test]
fn formats_as_people_write_them() {
    let mut wrong = Vec::new();
    for format in READ {
        let text = file(format);
        let Some(found) = detect(&Sample::from_bytes(text.as_bytes())) else {
            wrong.push(format!("not read: {format}"));
            continue;
        };
        for (i, record) in text.lines().enumerate() {
            let want = served(i as u64);
            let Ok(line) = found.parser.parse(record.as_bytes()) else {
                wrong.push(format!("{i} rejected by {}: {format}", found.parser.format()));
                break;
            };
            let size = line.size.or(line.body_bytes);
            let ok = line.ray == RayId::parse(want.ray.as_bytes())
                && line.client.as_deref() == Some(want.client.as_bytes())
                && line.status == Some(want.status)
                && size == Some(want.size)
                && line.method.as_deref() == Some(b"GET")
                && line.uri.as_deref() == Some(want.uri.as_bytes())
                && line.time.is_some_and(|t| t.civil_ns / 1_000_000_000 % 60 == i64::from(i as u32 % 60));
            if !ok {
                wrong.push(format!("{} ({}): {format}\n    {record}\n    {line:?}", found.parser.format(), found.why));
                break;
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Without what ties a line to a request, no line is read as one.
#[test]
fn formats_that_do_not_say_enough_stay_unread() {
    for format in [
        "$remote_addr $request $status $body_bytes_sent $http_cf_ray",
        "$time_iso8601 $host $request $status $body_bytes_sent $http_cf_ray",
        "$time_iso8601 $remote_addr $request $body_bytes_sent $http_cf_ray",
        "$time_iso8601 $remote_addr $status $body_bytes_sent $http_cf_ray $host",
        // A logger of an application, and text that may hold anything in the middle.
        r#"$plain_time INFO $remote_addr "$request" $status $http_cf_ray"#,
        "$time_iso8601 $remote_addr $http_user_agent $request $status $http_cf_ray",
    ] {
        let text = file(format);
        let found = detect(&Sample::from_bytes(text.as_bytes())).filter(|d| d.parser.format() != "app");
        assert!(found.is_none(), "{format}: {}", found.unwrap().why);
    }
}

#[test]
fn the_usual_formats_stay_with_their_readers() {
    for (format, name) in [
        (
            r#"$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent""#,
            "nginx-access",
        ),
        (
            r#"$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" "$http_cf_ray""#,
            "nginx-access",
        ),
        (r#"$host:443 $remote_addr - $remote_user [$time_local] "$request" $status - "$http_referer" "$http_user_agent""#, "apache-access"),
    ] {
        let text = file(format);
        assert_eq!(detect(&Sample::from_bytes(text.as_bytes())).unwrap().parser.format(), name, "{format}");
    }
}

/// A header in front is a wrapper's, and what it wraps is read as without it.
#[test]
fn wrapped_lines_belong_to_the_wrapper() {
    for (header, name) in [
        ("Nov 22 12:30:01 web1 nginx: ", "syslog"),
        ("<190>Nov 22 12:30:01 web1 nginx[88]: ", "syslog"),
        ("web-1  | ", "container"),
        ("2026-11-22T12:24:07.143100201Z stdout F ", "container"),
    ] {
        let want = served(3);
        let text: String = file(READ[0]).lines().map(|line| format!("{header}{line}\n")).collect();
        let found = detect(&Sample::from_bytes(text.as_bytes())).unwrap();
        let line = found.parser.parse(text.lines().nth(3).unwrap().as_bytes()).unwrap();
        assert_eq!(found.parser.format(), name);
        assert_eq!((line.ray, line.client.as_deref()), (RayId::parse(want.ray.as_bytes()), Some(want.client.as_bytes())), "{header}");
    }
}

/// In the place that combined gives to the referrer, a value is the client's own, whatever it looks like.
#[test]
fn a_ray_in_the_referrers_place_never_counts() {
    for format in [
        r#"$time_iso8601 $remote_addr $host "$request" $status $body_bytes_sent "$http_cf_ray" "$http_user_agent""#,
        r#"$remote_addr - - [$time_local] "$request" $status $body_bytes_sent "$http_cf_ray" "$http_user_agent""#,
    ] {
        let text = file(format);
        let found = detect(&Sample::from_bytes(text.as_bytes())).expect(format);
        let line = found.parser.parse(text.lines().nth(3).unwrap().as_bytes()).unwrap();
        assert_eq!((line.ray, line.status), (None, Some(200)), "{format}");
    }
}

/// What a client writes into one field cannot become another.
#[test]
fn forged_fields() {
    let other = "00000000deadbeef-FRA";
    for (format, evil) in [
        // Spaces in a bare request, a pipe in an agent, a tab would be escaped.
        ("$time_iso8601 $remote_addr $request $status $body_bytes_sent $http_cf_ray", "/ HTTP/1.1 200 5 00000000deadbeef-FRA x"),
        ("$time_iso8601|$remote_addr|$request|$status|$body_bytes_sent|$http_cf_ray", "/|200|5|00000000deadbeef-FRA"),
        (
            "$time_iso8601 $remote_addr $request_method $request_uri $status $body_bytes_sent $http_cf_ray $http_user_agent",
            "/ 200 5 00000000deadbeef-FRA",
        ),
        (
            r#"$time_iso8601 $remote_addr $host "$request" $status $body_bytes_sent "$http_cf_ray""#,
            r#"/ HTTP/1.1" 200 5 "00000000deadbeef-FRA"#,
        ),
    ] {
        let text = file(format);
        let found = detect(&Sample::from_bytes(text.as_bytes())).expect(format);
        let forged = render(format, &Served { uri: evil.to_owned(), ..served(3) });
        let line = found.parser.parse(forged.as_bytes());
        assert!(line.is_err() || line.is_ok_and(|l| l.ray != RayId::parse(other.as_bytes())), "{format}: {forged}");
    }
}

#[test]
fn long_hostile_lines_take_linear_time() {
    let format = READ[0];
    let text = file(format);
    let found = detect(&Sample::from_bytes(text.as_bytes())).unwrap();
    for part in ["\"x", "[", "a=", "1, ", "GET ", "'", "x:\"", "{\"", "|", "\t"] {
        let line = format!("2026-11-22T12:30:00+01:00 192.0.2.1 {}", part.repeat(150_000));
        let _ = found.parser.parse(line.as_bytes());
        let _ = super::learn(&Sample { lines: vec![line.as_bytes(), line.as_bytes(), line.as_bytes()] });
    }
}

proptest! {
    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200), format in 0..READ.len()) {
        let text = file(READ[format]);
        let mut lines: Vec<&[u8]> = text.lines().take(12).map(str::as_bytes).collect();
        lines.push(&bytes);
        if let Some(lesson) = super::learn(&Sample { lines }) {
            let _ = lesson.free.parse(&bytes);
        }
    }
}
