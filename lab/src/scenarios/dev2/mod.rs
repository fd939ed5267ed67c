//! A second set for developing against: stacks, frames around the lines and faults that the rules were not
//! written with. Read it while mending rules, unlike `held2`.

mod apps;
mod doubt;
mod fronts;
mod rules;
mod wire;
mod wsgi;

use super::Scenario;

pub fn table() -> Vec<Scenario> {
    [apps::table, rules::table, wire::table, wsgi::table, fronts::table, doubt::table].iter().flat_map(|t| t()).collect()
}
