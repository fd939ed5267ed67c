//! `cfray har FILE...`: what a browser recorded, held against Cloudflare's limits for headers.

use crate::args::{HarArgs, HarFormat};
use crate::config::Config;
use crate::exit::{Failure, Outcome, Status};
use crate::text::{self, Paint};
use crate::{diag, plan};
use cfray_causes::limits;
use cfray_formats::har::{self, HarEntry};
use cfray_report::Masker;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{IsTerminal, Read};
use std::path::Path;

/// Largest archive that is read, in bytes.
const MOST: u64 = 2 << 30;

/// One address: its largest answer.
#[derive(Serialize)]
struct Page {
    url: String,
    method: String,
    status: u16,
    requests: u64,
    started: String,
    response_headers: u64,
    response_limit: u64,
    request_headers: u64,
    request_limit: u64,
    largest: Vec<Size>,
    set_cookies: Vec<Size>,
    source: String,
}

/// A name and its bytes.
#[derive(Serialize, Clone)]
struct Size {
    name: String,
    bytes: u64,
}

/// A cookie over all requests.
#[derive(Serialize, Default)]
struct Cookie {
    name: String,
    set: u64,
    set_bytes: u64,
    largest_set: u64,
    sent: u64,
    sent_bytes: u64,
    largest_sent: u64,
}

#[derive(Serialize)]
struct Document {
    entries: u64,
    over_limit: u64,
    urls: Vec<Page>,
    cookies: Vec<Cookie>,
    problems: Vec<String>,
}

/// Runs it.
pub fn run(args: &HarArgs) -> Outcome<Status> {
    let options = plan::render_options(&args.mask, false, &Config::default())?;
    let masker = Masker::new(&options);
    let mut pages: BTreeMap<String, Page> = BTreeMap::new();
    let mut cookies: BTreeMap<String, Cookie> = BTreeMap::new();
    let (mut entries, mut over, mut problems, mut unread) = (0u64, 0u64, Vec::new(), 0usize);
    for path in &args.files {
        let shown = path.display().to_string();
        let bytes = match bytes(path) {
            Ok(bytes) => bytes,
            Err(why) => {
                unread += 1;
                diag::warning(&format!("{shown}: {why}"));
                problems.push(format!("{shown}: {why}"));
                continue;
            }
        };
        let mut here = 0u64;
        let found = har::read(&bytes, |entry| {
            here += 1;
            over += u64::from(entry.response_headers > response_limit(&entry));
            add(entry, &shown, &masker, &mut pages, &mut cookies);
        });
        entries += here;
        unread += usize::from(here == 0 && !found.is_empty());
        for p in found {
            let text = format!("{shown}:{}: byte {}: {}", p.line, p.byte, p.what);
            diag::warning(&text);
            problems.push(text);
        }
    }
    if unread == args.files.len() {
        return Err(Failure::new("no HTTP archive could be read", "").help("save one in the browser: developer tools, Network, Export HAR"));
    }
    let mut urls: Vec<Page> = pages.into_values().collect();
    urls.sort_by(|a, b| (b.response_headers, &a.url).cmp(&(a.response_headers, &b.url)));
    urls.truncate(args.top);
    let mut cookies: Vec<Cookie> = cookies.into_values().collect();
    cookies.sort_by(|a, b| (b.set_bytes + b.sent_bytes, &a.name).cmp(&(a.set_bytes + a.sent_bytes, &b.name)));
    cookies.truncate(args.top);
    let document = Document { entries, over_limit: over, urls, cookies, problems };
    match args.format {
        HarFormat::Json => {
            let mut text =
                serde_json::to_string_pretty(&document).map_err(|error| Failure::new("cannot write the answer as JSON", error))?;
            text.push('\n');
            diag::stdout(&text)?;
        }
        HarFormat::Text => {
            let color = text::color(args.color.color.unwrap_or_default(), std::io::stdout().is_terminal());
            diag::stdout(&render(&document, Paint(color)))?;
        }
    }
    Ok(Status::Done)
}

fn bytes(path: &Path) -> Result<Vec<u8>, String> {
    let mut text = Vec::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(MOST + 1).read_to_end(&mut text)
    } else {
        match path.metadata() {
            Ok(meta) if meta.is_dir() => return Err("is a directory; give the .har files".to_owned()),
            Ok(meta) if !meta.is_file() => return Err("is no regular file; give it on standard input (-)".to_owned()),
            _ => std::fs::File::open(path).and_then(|file| file.take(MOST + 1).read_to_end(&mut text)),
        }
    };
    read.map_err(|error| error.to_string())?;
    if text.len() as u64 > MOST { Err(format!("is larger than {} GB", MOST >> 30)) } else { Ok(text) }
}

/// Cloudflare's limit for response headers when the request was sent.
fn response_limit(entry: &HarEntry) -> u64 {
    let at = chrono::DateTime::parse_from_rfc3339(&entry.started).map_or(i64::MAX, |t| t.timestamp());
    limits::header_limit(at)
}

fn request_limit() -> u64 {
    limits::limit_at("cloudflare.request_header", i64::MAX).and_then(|l| u64::try_from(l.value).ok()).unwrap_or(128 << 10)
}

fn add(entry: HarEntry, source: &str, masker: &Masker, pages: &mut BTreeMap<String, Page>, cookies: &mut BTreeMap<String, Cookie>) {
    for (name, bytes) in &entry.set_cookies {
        let c = cookies.entry(name.clone()).or_insert_with(|| Cookie { name: name.clone(), ..Cookie::default() });
        (c.set, c.set_bytes, c.largest_set) = (c.set + 1, c.set_bytes + bytes, c.largest_set.max(*bytes));
    }
    for (name, bytes) in &entry.sent_cookies {
        let c = cookies.entry(name.clone()).or_insert_with(|| Cookie { name: name.clone(), ..Cookie::default() });
        (c.sent, c.sent_bytes, c.largest_sent) = (c.sent + 1, c.sent_bytes + bytes, c.largest_sent.max(*bytes));
    }
    let url = masker.text(&entry.url).into_owned();
    let sizes = |list: &[(String, u64)]| list.iter().map(|(name, bytes)| Size { name: name.clone(), bytes: *bytes }).collect::<Vec<_>>();
    let mut set = sizes(&entry.set_cookies);
    set.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.name.cmp(&b.name)));
    set.truncate(8);
    let page = Page {
        method: masker.text(&entry.method).into_owned(),
        status: entry.status,
        requests: 1,
        response_headers: entry.response_headers,
        response_limit: response_limit(&entry),
        request_headers: entry.request_headers,
        request_limit: request_limit(),
        largest: sizes(&entry.largest),
        set_cookies: set,
        source: format!("{source}:{}", entry.line),
        started: entry.started.chars().take(40).collect(),
        url: url.clone(),
    };
    match pages.get_mut(&url) {
        None => {
            pages.insert(url, page);
        }
        Some(old) => {
            let requests = old.requests + 1;
            let sent = old.request_headers.max(page.request_headers);
            if page.response_headers > old.response_headers {
                *old = page;
            }
            (old.requests, old.request_headers) = (requests, sent);
        }
    }
}

fn kb(bytes: u64) -> String {
    if bytes < 1024 { format!("{bytes} B") } else { format!("{:.1} KB", bytes as f64 / 1024.0) }
}

fn list(sizes: &[Size], most: usize) -> String {
    sizes.iter().take(most).map(|s| format!("{} {}", diag::safe(&s.name), kb(s.bytes))).collect::<Vec<_>>().join(", ")
}

fn render(d: &Document, paint: Paint) -> String {
    let mut out =
        format!("{}\n", paint.heading(&format!("{} requests, {} over Cloudflare's limit for response headers", d.entries, d.over_limit)));
    out.push_str(
        "What a browser got, after Cloudflare added and removed headers of its own: an answer that was over the limit shows as a 520.\n\n",
    );
    out.push_str(&format!("{}\n", paint.heading("Largest response headers")));
    for p in &d.urls {
        let share = p.response_headers as f64 * 100.0 / p.response_limit.max(1) as f64;
        let size = format!("{:>9}  {share:>5.1} % of {}", kb(p.response_headers), kb(p.response_limit));
        let size = if share > 100.0 { paint.bad(&size) } else { size };
        out.push_str(&format!("  {size}  {} {} {}\n", p.status, diag::safe(&p.method), diag::safe(&p.url)));
        out.push_str(&format!("             headers: {}\n", list(&p.largest, 4)));
        if !p.set_cookies.is_empty() {
            out.push_str(&format!("             cookies set: {}\n", list(&p.set_cookies, 4)));
        }
        let share = p.request_headers * 100 / p.request_limit.max(1);
        if share >= 10 {
            out.push_str(&format!("             request headers: {} ({share} % of {})\n", kb(p.request_headers), kb(p.request_limit)));
        }
    }
    if !d.cookies.is_empty() {
        out.push_str(&format!("\n{}\n", paint.heading("Cookies by name (values are not shown)")));
        for c in &d.cookies {
            out.push_str(&format!(
                "  {}: set {} times, {} in all, largest {}; sent {} times, {} in all, largest {}\n",
                paint.name(&diag::safe(&c.name)),
                c.set,
                kb(c.set_bytes),
                kb(c.largest_set),
                c.sent,
                kb(c.sent_bytes),
                kb(c.largest_sent)
            ));
        }
    }
    out
}
