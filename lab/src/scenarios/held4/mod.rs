//! The fourth unseen set, smaller: the usual stacks in combinations, formats, zones and clocks that the others lack.

mod apache;
mod fpm;
mod fronts;

use super::Scenario;

pub fn table() -> Vec<Scenario> {
    [apache::table, fpm::table, fronts::table].iter().flat_map(|t| t()).collect()
}
