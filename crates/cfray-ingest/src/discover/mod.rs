//! What each input is, and of which server.
//!
//! ```text
//! inputs -> walk -> candidates -> sniff (content) -> edge | origin | something else, named
//!                                                     └─ rotated sets, copies, scopes, servers
//! ```

mod copies;
mod kinds;
mod plan;
mod rotated;
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
    let candidates = walk::walk(inputs, options, &mut skipped);
    let sniff_all = || -> Vec<Sniffed> { candidates.into_par_iter().map(|c| sniff::sniff(c, &overrides, options)).collect() };
    let sniffed = match rayon::ThreadPoolBuilder::new().num_threads(options.workers()).build() {
        Ok(pool) => pool.install(sniff_all),
        Err(_) => sniff_all(),
    };
    let sniffed = rotated::share_parsers(sniffed);
    let mut found: Vec<Found> = Vec::new();
    for one in sniffed {
        match one {
            Sniffed::Found(one) => found.push(*one),
            Sniffed::Unknown(_, skip) | Sniffed::Other(skip) => skipped.push(skip),
        }
    }
    servers::scopes(&mut found);
    copies::drop_copies(&mut found, &mut skipped, options);
    let hosts = servers::servers(&mut found, options);
    found.sort_by(|a, b| (!a.is_edge(), &a.candidate.name, &a.candidate.path).cmp(&(!b.is_edge(), &b.candidate.name, &b.candidate.path)));
    skipped.sort();
    skipped.dedup();
    plan::assemble(found, skipped, hosts)
}
