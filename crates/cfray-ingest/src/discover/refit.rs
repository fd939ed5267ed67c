//! Logs are read with the formats that the server's configuration gives them.
//!
//! A log that the configuration names is read with that format if its lines fit. Any other access log is read
//! with a format of the configuration only where that says more than what was learned from the lines.

use super::rotated;
use super::sniff::{self, Found, Probe, Sniffed, What};
use super::walk::{Candidate, Opening};
use crate::options::Options;
use cfray_formats::serverconf::{LogSpec, log_specs};
use cfray_formats::template::directive::Origin;
use cfray_formats::{RecordParser, Sample, from_format};
use cfray_model::LineKind;
use cfray_model::serverconf::ConfTree;
use std::path::Path;
use std::sync::Arc;

/// A format with its parser.
struct Known {
    spec: LogSpec,
    parser: Arc<dyn RecordParser>,
}

/// Formats of one run that are tried on a log without being named for it.
const TRIED: usize = 40;

/// Gives logs the parsers of the formats that the configurations define.
pub fn refit(all: &mut [Sniffed], trees: &[ConfTree], options: &Options) {
    let mut known: Vec<Known> = Vec::new();
    for spec in trees.iter().flat_map(log_specs) {
        if !known.iter().any(|k| k.spec == spec)
            && let Ok(parser) = from_format(spec.origin, &spec.template)
        {
            known.push(Known { spec, parser: Arc::from(parser) });
        }
    }
    if known.is_empty() {
        return;
    }
    for one in all.iter_mut() {
        let (candidate, small, now) = match one {
            Sniffed::Found(f) if !f.is_edge() && !f.forced => (&f.candidate, f.small.as_deref(), Some(&f.probe)),
            Sniffed::Unknown(u, _) => (&u.candidate, None, None),
            _ => continue,
        };
        let stream = !matches!(candidate.opening, Opening::File { .. });
        let text = match (small, stream) {
            (Some(text), _) => text.to_vec(),
            (None, false) => match sniff::head(candidate, options) {
                Some(text) => text,
                None => continue,
            },
            (None, true) => continue,
        };
        let sample = Sample::from_bytes(&text);
        let Some((parser, probe, why)) = choose(&known, candidate, &sample, now) else { continue };
        match one {
            Sniffed::Found(found) => {
                found.format = parser.format().to_owned();
                found.what = What::Origin(parser);
                found.probe = probe;
                found.why = why;
            }
            Sniffed::Unknown(unknown, _) => {
                let found: Found = rotated::found(unknown, parser, probe, sample.lines.len(), why);
                *one = Sniffed::Found(Box::new(found));
            }
            _ => {}
        }
    }
}

type Choice = (Arc<dyn RecordParser>, Probe, String);

fn choose(known: &[Known], candidate: &Candidate, sample: &Sample<'_>, now: Option<&Probe>) -> Option<Choice> {
    let learned = now.map_or(0, |p| p.parsed);
    // Named for this file: the longest common end of the paths counts.
    let ends = |k: &Known| k.spec.path.as_deref().map_or(0, |path| common_end(&candidate.path, path));
    let longest = known.iter().map(ends).max().unwrap_or(0);
    let named: Vec<&Known> = known.iter().filter(|k| longest > 0 && ends(k) == longest).collect();
    let fit = |k: &Known| sniff::probe(&*k.parser, sample);
    let best = named.into_iter().map(|k| (k, fit(k))).max_by_key(|(_, p)| (p.parsed, p.fields));
    if let Some((k, probe)) = best
        && probe.parsed * 2 >= probe.records.max(1)
        && probe.parsed * 10 >= learned * 9
        && probe.parsed > 0
    {
        let named = if k.spec.name.is_empty() { String::new() } else { format!(" {}", k.spec.name) };
        let why = format!("{} gives this log its format{named}; {} of {} lines fit", k.spec.place, probe.parsed, probe.records);
        return Some((Arc::clone(&k.parser), probe, why));
    }
    let access = now.is_none_or(|p| p.kinds.keys().all(|k| *k == LineKind::Access));
    if !access {
        return None;
    }
    let score = |p: &Probe| (p.parsed, p.fields);
    let mut fits: Vec<(&Known, Probe)> =
        known.iter().filter(|k| k.spec.origin != Origin::ApacheError).take(TRIED).map(|k| (k, fit(k))).collect();
    fits.retain(|(_, p)| p.parsed * 10 >= p.records.max(1) * 9 && now.is_none_or(|now| score(p) > score(now)));
    fits.sort_by_key(|(_, p)| std::cmp::Reverse(score(p)));
    let mut fits = fits.into_iter();
    let (k, probe) = fits.next()?;
    // Two formats that fit equally well and differ: which one it is cannot be told.
    if fits.any(|(other, p)| score(&p) == score(&probe) && other.spec.template != k.spec.template) {
        return None;
    }
    let why = format!("{} of {} lines fit the format {} of {}", probe.parsed, probe.records, k.spec.name, k.spec.place);
    Some((Arc::clone(&k.parser), probe, why))
}

/// Number of equal parts at the end of two paths, the file's name compared without what rotation adds.
fn common_end(file: &Path, configured: &str) -> usize {
    let name = file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let mut mine = vec![rotated::stem(&name).to_owned()];
    mine.extend(file.parent().into_iter().flat_map(|p| p.components().rev()).map(|c| c.as_os_str().to_string_lossy().into_owned()));
    let theirs: Vec<String> = Path::new(configured).components().rev().map(|c| c.as_os_str().to_string_lossy().into_owned()).collect();
    mine.iter().zip(&theirs).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::common_end;
    use std::path::Path;

    #[test]
    fn paths_agree_from_the_end() {
        let n = |file: &str, configured: &str| common_end(Path::new(file), configured);
        assert_eq!(n("logs/nginx/shop.log.2.gz", "/var/log/nginx/shop.log"), 2);
        assert_eq!(n("logs/shop.log", "${APACHE_LOG_DIR}/shop.log"), 1);
        assert_eq!(n("logs/shop.log", "/var/log/nginx/blog.log"), 0);
    }
}
