#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| cfray_fuzz::checks::serverconf(data));
