//! The fifth unseen set: the usual stacks once more, with other mechanisms (lists that reload, pools on TCP, maintenance
//! switches, aborts in native code), versions, formats, zones and jobs.

mod apache;
mod fronts;
mod php;
mod shared;

use super::Scenario;

pub fn table() -> Vec<Scenario> {
    [apache::table, fronts::table, php::table, shared::table].iter().flat_map(|t| t()).collect()
}
