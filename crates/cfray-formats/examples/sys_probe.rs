//! scratch
#![allow(clippy::print_stdout)]
use cfray_formats::*;
fn main() {
    let verbose = std::env::var("V").is_ok();
    for path in std::env::args().skip(1) {
        let data = std::fs::read(&path).unwrap();
        let sample = Sample::from_bytes(&data);
        println!("=== {path}");
        for f in FORMATS { if let Some(d) = (f.detect)(&sample) { println!("   cand {} {} {}", f.name, d.score, d.why); } }
        let Some(d) = detect(&sample) else { println!("   NOT DETECTED"); continue };
        let mut recs: Vec<(usize, Vec<u8>)> = vec![];
        for (n, l) in data.split(|b| *b == b'\n').enumerate() {
            let l = l.strip_suffix(b"\r").unwrap_or(l);
            if l.is_empty() { continue }
            match recs.last_mut() { Some((_, r)) if d.parser.continues(r, l) => { r.push(b'\n'); r.extend_from_slice(l); } _ => recs.push((n + 1, l.to_vec())) }
        }
        let (mut ok, mut bad) = (0, 0);
        let mut sigs = std::collections::BTreeMap::new();
        let mut kinds = std::collections::BTreeMap::new();
        for (n, r) in &recs {
            match d.parser.parse(r) {
                Ok(l) => { ok += 1; let s = signature(&l); *sigs.entry(s.as_ref().map_or("-", |s| s.sig.name())).or_insert(0) += 1; *kinds.entry(format!("{:?}/{:?}", l.kind, l.stack)).or_insert(0) += 1;
                    if verbose { println!("   {n}: {:?} {:?} t={:?} lvl={:?} pid={:?} cid={:?} ray={:?} client={:?} m={:?} u={:?} mod={:?} raw={} sig={:?} file={:?} msg={:?}", l.kind, l.stack, l.time.map(|t| (cfray_model::Stamp(t.stated_ns()).to_rfc3339_ms(), t.offset_s)), l.level, l.pid, l.cid, l.ray, l.client.as_deref().map(String::from_utf8_lossy), l.method.as_deref().map(String::from_utf8_lossy), l.uri.as_deref().map(String::from_utf8_lossy), l.module.as_deref().map(String::from_utf8_lossy), l.raw_text, s, php_fault_file(&l.message), String::from_utf8_lossy(&l.message).chars().take(100).collect::<String>()); } }
                Err(e) => { bad += 1; println!("   REJECT {n}: {e}: {}", String::from_utf8_lossy(r).chars().take(120).collect::<String>()); }
            }
        }
        println!("   -> {} ok {ok} bad {bad} kinds {kinds:?} sigs {sigs:?}", d.parser.format());
    }
}
