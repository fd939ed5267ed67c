#![no_main]
// What uses the common pool runs here and now: waiting for another thread would take most of the time of an input.
// The check starts threads of its own for some inputs.
libfuzzer_sys::fuzz_target!(
    init: {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build_global();
        assert!(pool.is_ok());
    },
    |data: &[u8]| cfray_fuzz::checks::pipeline(data)
);
