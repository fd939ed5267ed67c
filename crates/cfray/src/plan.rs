//! What a command line and a configuration mean together.

use crate::args::{MaskArgs, Mmap, ReadArgs, SelectArgs};
use crate::config::{self, Config};
use crate::exit::{Failure, Outcome};
use crate::inputs::Inputs;
use crate::values::{Statuses, glob};
use cfray_causes::serverconf::Ranges;
use cfray_causes::settings::ZoneSpec;
use cfray_ingest::{MmapPolicy, Options};
use cfray_model::{EdgeFilter, Stamp};
use cfray_report::RenderOptions;
use globset::GlobMatcher;
use std::path::{Path, PathBuf};

/// How input is read: the same for every command that reads.
#[derive(Debug)]
pub struct Reading {
    /// What is read.
    pub inputs: Inputs,
    /// Options of discovery and scans.
    pub options: Options,
    /// Zones by file name, the last match counts.
    pub zones: Vec<(Option<GlobMatcher>, ZoneSpec)>,
    /// Patterns for file names that were given, with what each was given for.
    pub patterns: Vec<(String, String)>,
    /// Cloudflare's networks.
    pub ranges: Ranges,
    /// The configuration, for what only some commands use.
    pub config: Config,
    /// The user's own causes.
    pub own: config::Own,
    /// Remarks for the summary.
    pub notes: Vec<String>,
    /// Options that were set, as `name value`. Options that cannot change the result are left out.
    pub set: Vec<String>,
}

/// Settles how input is read.
pub fn reading(paths: &[PathBuf], args: &ReadArgs) -> Outcome<Reading> {
    let inputs = Inputs::choose(paths);
    let found = config::find(args.config.as_deref(), args.no_config, &inputs.paths())?;
    let config = found.config;
    let mut set = Vec::new();
    let mut patterns: Vec<(String, String)> = Vec::new();

    let mut zones: Vec<(Option<GlobMatcher>, ZoneSpec)> = Vec::new();
    let by_config = config.tz.iter().map(|zone| (None, zone)).chain(config.zones.iter().map(|(pattern, zone)| (Some(pattern), zone)));
    let by_args = args.tz.iter().map(|pair| (pair.glob.as_ref(), &pair.value));
    for (pattern, zone) in by_config.chain(by_args) {
        let matcher = pattern.map(|p| glob::matcher(p)).transpose().map_err(|error| Failure::new("--tz", error))?;
        patterns.extend(pattern.map(|p| ("--tz".to_owned(), p.clone())));
        set.push(format!("tz {}{}", pattern.map(|p| format!("{p}=")).unwrap_or_default(), zone_name(&zone.0)));
        zones.push((matcher, zone.0.clone()));
    }

    // The first server that matches counts, so the command line goes first.
    let mut servers = args.server.clone();
    for (name, patterns) in &config.servers {
        servers.extend(Vec::from(patterns.clone()).into_iter().map(|pattern| (name.clone(), pattern)));
    }
    patterns.extend(servers.iter().map(|(name, pattern)| (format!("--server {name}"), pattern.clone())));
    set.extend(servers.iter().map(|(name, pattern)| format!("server {name}={pattern}")));

    let mut log_formats: Vec<(Option<String>, String)> = args.log_format.iter().map(|f| (f.glob.clone(), f.value.clone())).collect();
    log_formats.extend(config.formats.iter().map(|(pattern, template)| (Some(pattern.clone()), template.clone())));
    log_formats.extend(config.log_format.iter().map(|template| (None, template.clone())));
    patterns.extend(log_formats.iter().filter_map(|(pattern, _)| Some(("--log-format".to_owned(), pattern.clone()?))));
    set.extend(
        log_formats
            .iter()
            .map(|(pattern, template)| format!("log-format {}{template}", pattern.as_ref().map(|p| format!("{p}=")).unwrap_or_default())),
    );

    let server_configs = pick(&args.server_config, config.server_config.clone());
    set.extend(server_configs.iter().map(|path| format!("server-config {}", path.display())));
    let ranges = match args.cloudflare_ips.as_ref().or(config.cloudflare_ips.as_ref()) {
        Some(path) => {
            set.push(format!("cloudflare-ips {}", path.display()));
            cloudflare_ips(path)?
        }
        None => Ranges::default(),
    };

    let defaults = Options::default();
    let csv_fields = pick(&args.csv_fields, config.csv_fields.clone()).iter().map(|f| f.trim().to_owned()).collect::<Vec<_>>();
    if !csv_fields.is_empty() {
        set.push(format!("csv-fields {}", csv_fields.join(",")));
    }
    set.extend(config.fields.iter().map(|(theirs, ours)| format!("field {theirs}={ours}")));
    set.extend(config.thresholds.iter().map(|(name, value)| format!("threshold {name}={value}")));
    set.extend(config.cause.iter().map(|cause| format!("cause {}", cause.name)));
    let own = config::own(&config.cause).map_err(|error| Failure::new("[[cause]] in the configuration", error))?;
    let mmap = match args.mmap.or(config.mmap) {
        Some(Mmap::Never) => MmapPolicy::Never,
        Some(Mmap::Auto) | None => MmapPolicy::Auto,
    };
    let max_memory = args.max_memory.or(config.max_memory).map(|size| size.0);
    let options = Options {
        threads: args.threads.or(config.threads).map_or(defaults.threads, usize::from),
        mmap,
        servers,
        log_formats,
        server_configs,
        csv_fields,
        field_map: config.fields.clone(),
        own: own.patterns.clone(),
        max_inflate: args.max_inflate.or(config.max_inflate).map_or(defaults.max_inflate, |size| size.0),
        max_ratio: args.max_ratio.or(config.max_ratio).unwrap_or(defaults.max_ratio),
        max_memory,
        incidents_at_once: max_memory.map_or(defaults.incidents_at_once, at_once),
        ..defaults
    };
    Ok(Reading { inputs, options, zones, patterns, ranges, config, own, notes: found.note.into_iter().collect(), set })
}

/// Incidents that are analysed at once within some memory: one with its lines, ties and verdict takes about 2.5 KB; the rest is for
/// what stays of the others and for the reading.
fn at_once(max_memory: u64) -> usize {
    usize::try_from(max_memory / 8 / 2560).unwrap_or(usize::MAX).clamp(10_000, Options::default().incidents_at_once)
}

/// Reads a list of networks that replaces the built-in one.
fn cloudflare_ips(path: &Path) -> Outcome<Ranges> {
    let what = || format!("--cloudflare-ips {}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| Failure::new(what(), error))?;
    let help = "one network a line, as on https://www.cloudflare.com/ips-v4 and ips-v6";
    Ranges::parse(&text, &path.display().to_string()).map_err(|error| Failure::new(what(), error).help(help))
}

fn zone_name(zone: &ZoneSpec) -> String {
    match zone {
        ZoneSpec::Named(tz) => tz.name().to_owned(),
        ZoneSpec::Fixed(seconds) => {
            let minutes = seconds.abs() / 60;
            format!("{}{:02}:{:02}", if *seconds < 0 { '-' } else { '+' }, minutes / 60, minutes % 60)
        }
    }
}

/// The command line's list, else the configuration's.
fn pick<T: Clone>(args: &[T], config: Option<config::Many<T>>) -> Vec<T> {
    if args.is_empty() { config.map(Vec::from).unwrap_or_default() } else { args.to_vec() }
}

/// Which requests become incidents.
#[derive(Debug)]
pub struct Selection {
    /// For the edge pass.
    pub filter: EdgeFilter,
    /// Chosen statuses, as given.
    pub statuses: Statuses,
    /// A list of rays that stands in for Logpush.
    pub rays: Option<PathBuf>,
}

/// Settles which requests are looked at.
pub fn selection(args: &SelectArgs, reading: &mut Reading, now: Stamp) -> Outcome<Selection> {
    let config = &reading.config;
    let statuses = args.status.clone().or_else(|| config.status.clone()).unwrap_or_default();
    let since = args.since.as_ref().or(config.since.as_ref()).map(|m| m.at(now));
    let until = args.until.as_ref().or(config.until.as_ref()).map(|m| m.at(now));
    if let (Some(since), Some(until)) = (since, until)
        && since >= until
    {
        let why = format!("--since {} is not before --until {}", since.to_rfc3339_ms(), until.to_rfc3339_ms());
        return Err(Failure::new("no request can be chosen", why));
    }
    let trimmed = |list: Vec<String>| -> Vec<String> { list.iter().map(|s| s.trim().to_owned()).filter(|s| !s.is_empty()).collect() };
    let hosts: Vec<String> = trimmed(pick(&args.host, config.host.clone())).iter().map(|h| h.to_ascii_lowercase()).collect();
    let colos: Vec<String> = trimmed(pick(&args.colo, config.colo.clone())).iter().map(|c| c.to_ascii_uppercase()).collect();
    let rays = args.rays.clone().or_else(|| config.rays.clone());

    let set = &mut reading.set;
    set.extend(since.map(|t| format!("since {}", t.to_rfc3339_ms())));
    set.extend(until.map(|t| format!("until {}", t.to_rfc3339_ms())));
    set.extend(hosts.iter().map(|h| format!("host {h}")));
    set.extend(colos.iter().map(|c| format!("colo {c}")));
    set.extend(rays.iter().map(|path| format!("rays {}", path.display())));
    if statuses != Statuses::default() {
        set.push(format!("status {}", statuses.text));
    }
    let filter = EdgeFilter { statuses: statuses.ranges.clone(), since, until, hosts, colos, ..EdgeFilter::default() };
    Ok(Selection { filter, statuses, rays })
}

/// What reports may show.
pub fn render_options(mask: &MaskArgs, csv_raw: bool, config: &Config) -> Outcome<RenderOptions> {
    // The command line counts more: asking for one switches the other off.
    let redact = mask.redact || (config.redact && !mask.show_secrets);
    let show_secrets = mask.show_secrets || (config.show_secrets && !mask.redact);
    let mut options = RenderOptions { csv_raw: csv_raw || config.csv_raw, show_secrets, ..RenderOptions::default() };
    if redact {
        let mut key = [0u8; 32];
        getrandom::fill(&mut key).map_err(|error| Failure::new("cannot make the key for --redact", error))?;
        options.redact = Some(key);
    }
    Ok(options)
}

/// The time of the run, only for lengths such as `--since 2h`.
pub fn now() -> Stamp {
    Stamp(chrono::Utc::now().timestamp_nanos_opt().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use crate::values::GlobPair;

    fn with_config(config: Config) -> Reading {
        let mut reading = reading(&["logs".into()], &ReadArgs { no_config: true, ..ReadArgs::default() }).unwrap();
        reading.config = config;
        reading
    }

    #[test]
    fn the_command_line_counts_more_than_the_configuration() {
        let config = config::parse("status = \"530\"\nhost = \"A.example\"\ncolo = [\"fra\"]").unwrap();
        let mut reading = with_config(config);
        let args = SelectArgs { status: Some("520-527".parse().unwrap()), ..SelectArgs::default() };
        let selection = selection(&args, &mut reading, Stamp(0)).unwrap();
        assert_eq!(selection.filter.statuses, [(520, 527)]);
        assert_eq!(selection.filter.hosts, ["a.example"]);
        assert_eq!(selection.filter.colos, ["FRA"]);
        assert_eq!(reading.set, ["host a.example", "colo FRA", "status 520-527"]);
    }

    #[test]
    fn an_empty_span_is_refused() {
        let args = SelectArgs { since: Some("2h".parse().unwrap()), until: Some("3h".parse().unwrap()), ..SelectArgs::default() };
        assert!(selection(&args, &mut with_config(Config::default()), now()).is_err());
    }

    #[test]
    fn later_zones_count_more_and_are_named() {
        let tz = ["UTC", "web1/*=Asia/Kolkata", "*.err=-03:30"].iter().map(|t| GlobPair::parse(t).unwrap()).collect();
        let reading = reading(&["logs".into()], &ReadArgs { tz, no_config: true, ..ReadArgs::default() }).unwrap();
        assert_eq!(reading.set, ["tz +00:00", "tz web1/*=Asia/Kolkata", "tz *.err=-03:30"]);
        let settings = cfray_causes::settings::Settings { zones: reading.zones, ..Default::default() };
        assert_eq!(settings.zone_of("logs/web1/x.err"), Some(&ZoneSpec::Fixed(-12_600)));
        assert_eq!(settings.zone_of("logs/web2/x.log"), Some(&ZoneSpec::Fixed(0)));
    }

    #[test]
    fn masks_exclude_each_other_and_keys_differ() {
        let config = config::parse("show-secrets = true").unwrap();
        let redact = MaskArgs { redact: true, ..MaskArgs::default() };
        let one = render_options(&redact, false, &config).unwrap();
        let two = render_options(&redact, false, &config).unwrap();
        assert!(!one.show_secrets);
        assert!(one.redact.is_some() && one.redact != two.redact);
        assert!(render_options(&MaskArgs::default(), false, &config).unwrap().show_secrets);
    }
}
