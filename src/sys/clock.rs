//! The time of day, here and in this place's time zone.

use std::mem::MaybeUninit;
use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970-01-01 00:00:00 UTC; negative before.
pub fn now() -> i64 {
    let seconds =
        |duration: std::time::Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => seconds(since),
        Err(until) => -seconds(until.duration()),
    }
}

/// The time of the last tick, with which the kernel stamps files, as seconds since 1970 and nanoseconds. clock_gettime(2),
/// `CLOCK_REALTIME_COARSE`.
pub fn tick() -> (i64, i64) {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is of one timespec, and the clock is one that Linux has; a failure would leave it zero.
    unsafe { libc::clock_gettime(libc::CLOCK_REALTIME_COARSE, &raw mut time) };
    (time.tv_sec, time.tv_nsec)
}

/// `seconds` since 1970 as local time: `Fri Nov 20 21:49:20 2026`, the day padded with a blank. localtime_r(3).
pub fn local(seconds: i64) -> String {
    const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let mut fields = MaybeUninit::<libc::tm>::zeroed();
    // SAFETY: the first pointer is of a valid time_t, the second has room for one tm.
    unsafe { libc::localtime_r(&raw const seconds, fields.as_mut_ptr()) };
    // SAFETY: zeroed bytes are a valid tm (its pointer may be null), whatever the call wrote of it.
    let fields = unsafe { fields.assume_init() };
    let name = |names: &[&'static str], index: i32| {
        let name = usize::try_from(index)
            .ok()
            .and_then(|index| names.get(index).copied());
        name.unwrap_or("???")
    };
    format!(
        "{} {} {:2} {:02}:{:02}:{:02} {}",
        name(&DAYS, fields.tm_wday),
        name(&MONTHS, fields.tm_mon),
        fields.tm_mday,
        fields.tm_hour,
        fields.tm_min,
        fields.tm_sec,
        i64::from(fields.tm_year) + 1900
    )
}
