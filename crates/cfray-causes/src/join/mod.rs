//! The join: origin events get owners among the edge rows, servers among the origins, and every
//! source the time it covers.

mod answering;
mod columns;
pub mod coverage;
pub mod front;
mod gaps;
pub mod index;
pub mod owned;
pub mod ties;
pub mod trips;
pub mod world;

pub use world::{Ev, Span, World};
