//! A wall clock that tests set: loaded into a process before its C library (`LD_PRELOAD`), it adds to the time
//! what stands in the file `$LAB_CLOCK`, nanoseconds in 8 bytes. Timers, which run by the monotonic clock, do not
//! notice: so it is when an operator, or NTP, sets the clock of a machine. Linux on x86_64 and arm64;
//! `lab/clock.py` builds it.

use std::ffi::{c_char, c_int, c_long, c_void};
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};

#[repr(C)]
pub struct Time {
    seconds: i64,
    nanoseconds: i64,
}

unsafe extern "C" {
    fn syscall(number: c_long, ...) -> c_long;
    fn getenv(name: *const c_char) -> *const c_char;
    fn open(path: *const c_char, flags: c_int, ...) -> c_int;
    fn mmap(at: *mut c_void, length: usize, protection: c_int, flags: c_int, file: c_int, from: i64) -> *mut c_void;
}

/// In place of that of the C library.
///
/// # Safety
///
/// As there: `time` is null or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: c_int, time: *mut Time) -> c_int {
    let done = unsafe { syscall(CLOCK_GETTIME, clock, time) };
    if done != 0 || time.is_null() || !WALL.contains(&clock) {
        return done as c_int;
    }
    let time = unsafe { &mut *time };
    let now = i128::from(time.seconds) * SECOND + i128::from(time.nanoseconds) + i128::from(offset());
    time.seconds = now.div_euclid(SECOND) as i64;
    time.nanoseconds = now.rem_euclid(SECOND) as i64;
    0
}

fn offset() -> i64 {
    static SHARED: OnceLock<Option<&'static AtomicI64>> = OnceLock::new();
    SHARED.get_or_init(|| unsafe { shared() }).map_or(0, |shared| shared.load(Ordering::Relaxed))
}

/// The file, in memory.
unsafe fn shared() -> Option<&'static AtomicI64> {
    let path = unsafe { getenv(c"LAB_CLOCK".as_ptr()) };
    if path.is_null() {
        return None;
    }
    let file = unsafe { open(path, 0) };
    let (read, together) = (1, 1);
    let at = unsafe { mmap(ptr::null_mut(), 8, read, together, file, 0) };
    (at as isize != -1).then(|| unsafe { &*at.cast::<AtomicI64>() })
}

const SECOND: i128 = 1_000_000_000;
/// `CLOCK_REALTIME`, `CLOCK_REALTIME_COARSE`.
const WALL: [c_int; 2] = [0, 5];
#[cfg(target_arch = "x86_64")]
const CLOCK_GETTIME: c_long = 228;
#[cfg(target_arch = "aarch64")]
const CLOCK_GETTIME: c_long = 113;
