//! What each input is, and of which server.
//!
//! ```text
//! inputs -> walk -> candidates -> sniff (content) -> edge | origin | something else, named
//!                                                     └─ rotated sets, copies, scopes, servers
//! ```

mod copies;
mod kinds;
mod plan;
mod refit;
mod rotated;
mod serverconf;
mod servers;
mod sniff;
mod walk;

#[cfg(test)]
mod tests;

pub use plan::{Discovery, OriginPlan, Plan};

use crate::options::{Input, Options};
use rayon::prelude::*;
use sniff::{Found, Sniffed};

/// Looks at every input and decides what it is. Reads the first 64 KB of each file (and copies
/// whole, to compare them); what cannot be read or is no log is named in [`Discovery::skipped`].
pub fn discover(inputs: &[Input], options: &Options) -> Discovery {
    let mut skipped = Vec::new();
    let overrides = sniff::Overrides::compile(options, &mut skipped);
    let look = |candidates: Vec<walk::Candidate>| -> Vec<Sniffed> {
        // One worker or one file: a pool would be started for nothing.
        if options.workers() == 1 || candidates.len() < 2 {
            return candidates.into_iter().map(|c| sniff::sniff(c, &overrides, options)).collect();
        }
        let sniff_all = || candidates.into_par_iter().map(|c| sniff::sniff(c, &overrides, options)).collect();
        match rayon::ThreadPoolBuilder::new().num_threads(options.workers()).build() {
            Ok(pool) => pool.install(sniff_all),
            Err(_) => sniff_all(),
        }
    };
    let mut confs = Vec::new();
    let mut sniffed = Vec::new();
    for one in look(walk::walk(inputs, options, &mut skipped)) {
        match one {
            Sniffed::Conf(conf) => confs.push(*conf),
            other => sniffed.push(other),
        }
    }
    let named = server_configs(&look, options, &mut skipped);
    let mut configs = serverconf::collect(confs, named, inputs, options);
    drop_used(&mut skipped, &configs.used);
    skipped.append(&mut configs.skipped);
    let mut sniffed = rotated::share_parsers(sniffed);
    refit::refit(&mut sniffed, &configs.trees, options);
    let mut found: Vec<Found> = Vec::new();
    let mut others = Vec::new();
    for one in sniffed {
        match one {
            Sniffed::Found(one) => found.push(*one),
            Sniffed::Unknown(_, skip) | Sniffed::Other(skip) => others.push(skip),
            Sniffed::Conf(_) => {}
        }
    }
    drop_used(&mut others, &configs.used);
    skipped.append(&mut others);
    servers::scopes(&mut found);
    let places: Vec<(Vec<String>, String)> = found.iter().map(|f| (f.candidate.dir.clone(), f.scope.clone())).collect();
    for tree in &mut configs.trees {
        serverconf::scope(tree, &places);
    }
    copies::drop_copies(&mut found, &mut skipped, options);
    let hosts = servers::servers(&mut found, options);
    found.sort_by(|a, b| (!a.is_edge(), &a.candidate.name, &a.candidate.path).cmp(&(!b.is_edge(), &b.candidate.name, &b.candidate.path)));
    skipped.sort();
    skipped.dedup();
    let mut discovery = plan::assemble(found, skipped, hosts);
    discovery.configs = configs.trees;
    discovery
}

/// What `--server-config` names. A file that is given so and is none is a failure.
fn server_configs(
    look: &dyn Fn(Vec<walk::Candidate>) -> Vec<Sniffed>,
    options: &Options,
    skipped: &mut Vec<cfray_model::source::Skipped>,
) -> Vec<sniff::Conf> {
    let mut out = Vec::new();
    for path in &options.server_configs {
        let before = out.len();
        let mut failed = Vec::new();
        let candidates = walk::walk(&[Input::Path(path.clone())], options, &mut failed);
        failed.retain(|s| s.failed);
        out.extend(look(candidates).into_iter().filter_map(|one| if let Sniffed::Conf(conf) = one { Some(*conf) } else { None }));
        if out.len() == before && failed.is_empty() {
            failed.push(cfray_model::source::Skipped {
                name: walk::show(path),
                what: "--server-config: no configuration of nginx, Apache or PHP-FPM".to_owned(),
                hint: "give the main file, its directory, or the output of nginx -T".to_owned(),
                failed: true,
            });
        }
        skipped.append(&mut failed);
    }
    out
}

/// Files that were read as configuration are not listed as something else.
fn drop_used(skipped: &mut Vec<cfray_model::source::Skipped>, used: &std::collections::BTreeSet<std::path::PathBuf>) {
    if !used.is_empty() {
        skipped.retain(|s| s.failed || std::path::Path::new(&s.name).canonicalize().map_or(true, |real| !used.contains(&real)));
    }
}
