#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| phiward_fuzz::audit::check(data));
