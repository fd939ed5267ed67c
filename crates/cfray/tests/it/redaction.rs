//! `--redact`: a report that may be shown to strangers. Everything that the input says of clients and their secrets is a
//! word of its own here; none may be in any output, and with secrets masked none of those.

use crate::support::{RAY, Site};
use base64::Engine;
use std::fs;
use std::io::Read;

/// Values that only `--redact` takes out.
const ADDRESSES: [&str; 8] =
    ["198.51.100.77", "2001:db8:77:1::beef", "192.0.2.10", "172.70.1.1", "203.0.113.9", "198.51.100.88", "2001:DB8:88::1", "198.51.100.99"];
/// Values that are masked always.
const SECRETS: [&str; 14] = [
    "hunter2token",
    "sekretkey",
    "cookieval1",
    "sidval2",
    "basicb64==",
    "bearerxyz",
    "urlpassw0rd",
    "otp991",
    "jwtpart3",
    "sessval4",
    "apikeyval5",
    "formpass6",
    "stackarg7",
    "refsecret8",
];

fn site() -> Site {
    let site = Site::new();
    let uri = "/page/33?token=hunter2token&q=shoes&api_key=sekretkey&ip=198.51.100.77&otp=otp991";
    let fields = "\"ClientRequestReferer\":\"https://joe:urlpassw0rd@shop.example.com/?session=sessval4&sig=refsecret8\",\
        \"ClientRequestUserAgent\":\"curl/8 (client 2001:db8:77:1::beef; token=hunter2token)\",\
        \"RequestHeaders\":{\"cookie\":\"sid=sidval2; a=cookieval1\",\"authorization\":\"Basic basicb64==\",\"x-api-key\":\"apikeyval5\"},";
    let edge = site
        .read("logs/edge.ndjson")
        .replace("/page/33", uri)
        .replace("\"ClientRequestUserAgent\":\"curl/8\",", "")
        .replace(&format!("{{\"RayID\":\"{RAY}\","), &format!("{{{fields}\"RayID\":\"{RAY}\","));
    fs::write(site.file("logs/edge.ndjson"), edge).unwrap();
    let tail = format!(
        ", client: 172.70.1.1, server: shop.example.com, request: \"GET {uri} HTTP/1.1\", upstream: \"fastcgi://127.0.0.1:9000\", host: \"shop.example.com\", referrer: \"https://x/?jwt=jwtpart3\""
    );
    let lines = [
        format!(
            "2026/11/22 12:24:07 [error] 4242#4242: *9 FastCGI sent in stderr: \"PHP message: PHP Fatal error:  Uncaught Error: no user for 2001:DB8:88::1 (198.51.100.88) Authorization: Bearer bearerxyz Cookie: sid=sidval2; b=cookieval1 in /srv/x.php:3\nStack trace:\n#0 /srv/x.php(3): login('stackarg7', '198.51.100.99')\n#1 {{main}}\n  thrown in /srv/x.php on line 3\" while reading response header from upstream{tail}"
        ),
        format!(
            "2026/11/22 12:24:07 [error] 4242#4242: *9 recv() failed (104: Connection reset by peer) while reading response header from upstream{tail}"
        ),
    ];
    fs::write(site.file("logs/error.log"), site.read("logs/error.log") + &lines.join("\n") + "\n").unwrap();
    let line = format!(
        "172.70.1.1 - joe [22/Nov/2026:12:24:07 +0000] \"GET {uri} HTTP/1.1\" 444 0 \"https://x/?password=formpass6\" \"curl/8\" {RAY}-FRA\n"
    );
    fs::write(site.file("logs/access.log"), site.read("logs/access.log") + &line).unwrap();
    site
}

/// Every output of a run: name and text.
fn outputs(site: &Site, extra: &[&str]) -> Vec<(String, String)> {
    let files = ["r.csv", "r.json", "r.ndjson", "r.html", "r.md", "r.parquet"];
    let mut args = vec!["analyze", "logs", "--color", "always"];
    args.extend(files.iter().flat_map(|f| ["-o", *f]));
    args.extend(extra);
    let ran = site.run(&args).ended(0);
    let mut all = vec![("stdout".to_owned(), ran.stdout), ("stderr".to_owned(), ran.stderr)];
    all.extend(files.iter().map(|f| (f.to_string(), unpacked(&fs::read(site.file(f)).unwrap()))));
    let mut args = vec!["ray", RAY, "logs"];
    args.extend(extra);
    all.push(("cfray ray".to_owned(), site.run(&args).ended(0).stdout));
    all
}

/// The bytes as text, and behind them what is packed in them: the deflated data of the page, the zstd pages of Parquet.
fn unpacked(bytes: &[u8]) -> String {
    let mut text = String::from_utf8_lossy(bytes).into_owned();
    for run in bytes.split(|b| !(b.is_ascii_alphanumeric() || b"+/=".contains(b))).filter(|run| run.len() > 200) {
        let Ok(packed) = base64::engine::general_purpose::STANDARD.decode(run) else { continue };
        let mut plain = Vec::new();
        if flate2::read::DeflateDecoder::new(packed.as_slice()).read_to_end(&mut plain).is_ok() {
            text += &String::from_utf8_lossy(&plain);
        }
    }
    for at in 0..bytes.len() {
        if bytes[at..].starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
            let mut plain = Vec::new();
            let _end_of_the_frame = zstd::Decoder::with_buffer(&bytes[at..]).unwrap().single_frame().read_to_end(&mut plain);
            text += &String::from_utf8_lossy(&plain);
        }
    }
    text
}

fn holds(text: &str, word: &str) -> bool {
    text.to_ascii_lowercase().contains(&word.to_ascii_lowercase())
}

#[test]
fn redacted_reports_hold_no_address_cookie_or_token() {
    let site = site();
    let open = outputs(&site, &["--show-secrets"]);
    // The words do come as far as a report, so their absence below means something.
    let seen = |word: &str| open.iter().any(|(_, text)| holds(text, word));
    let shown: Vec<&str> = ADDRESSES.iter().chain(&SECRETS).copied().filter(|word| seen(word)).collect();
    for word in ["hunter2token", "sekretkey", "otp991", "203.0.113.9", "192.0.2.10", "198.51.100.77", "2001:db8:77:1::beef"] {
        assert!(shown.contains(&word), "{word} is in no report even with --show-secrets; these are: {shown:?}");
    }
    assert!(shown.len() >= 12, "{shown:?}");
    for (name, text) in open.iter().filter(|(name, _)| name.starts_with("r.")) {
        assert!(holds(text, "hunter2token") && holds(text, "198.51.100.77"), "{name} was not read as far as its rows");
    }
    for (name, text) in outputs(&site, &["--redact"]) {
        for word in ADDRESSES.iter().chain(&SECRETS).chain(&["shoes"]) {
            assert!(!holds(&text, word), "{word} in {name}:\n{text}");
        }
    }
    for (name, text) in outputs(&site, &[]) {
        for word in SECRETS {
            assert!(!holds(&text, word), "{word} in {name}:\n{text}");
        }
    }
}
