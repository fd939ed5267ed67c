//! Pieces that several formats share: times, quoted text, numbers, addresses.

pub mod addr;
pub mod modsec;
pub mod number;
pub mod request;
pub mod suffix;
pub mod text;
pub mod time;
