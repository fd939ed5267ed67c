#![no_main]
use std::sync::LazyLock;

/// Place of the format that CFRAY_FORMAT names, in the registry.
static CHOSEN: LazyLock<Option<usize>> = LazyLock::new(|| {
    let name = std::env::var("CFRAY_FORMAT").ok()?;
    let at = cfray_formats::FORMATS.iter().position(|format| format.name == name);
    assert!(at.is_some(), "CFRAY_FORMAT={name}: no such format");
    at
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| match *CHOSEN {
    Some(at) => cfray_fuzz::checks::one_format(cfray_formats::FORMATS[at], data),
    None => cfray_fuzz::checks::format(data),
});
