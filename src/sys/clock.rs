//! The time of day, here and in this place's time zone.

use std::mem::MaybeUninit;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Seconds since 1970-01-01 00:00:00 UTC; negative before.
pub fn now() -> i64 {
    let seconds = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => seconds(since),
        Err(until) => -seconds(until.duration()),
    }
}

/// `time` in UTC, as in RFC 3339, with microseconds: `2026-11-20T21:49:20.012345Z`. A time before 1970 is shown as 1970.
pub fn utc(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    // Years that begin in March, so that a leap day is the last one, in eras of 400 years, from 0000-03-01 on.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = if month < 10 {
        (era * 400 + year, month + 3)
    } else {
        (era * 400 + year + 1, month - 9)
    };
    let (hour, minute) = (second / 3600, second / 60 % 60);
    format!(
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{:02}.{:06}Z",
        second % 60,
        since.subsec_micros()
    )
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

/// The time since some moment in the past, which nobody sets. CLOCK_MONOTONIC_RAW, clock_gettime(2).
pub fn monotonic() -> Duration {
    let mut time = MaybeUninit::<libc::timespec>::zeroed();
    // SAFETY: the pointer has room for one timespec.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_RAW, time.as_mut_ptr()) };
    // SAFETY: zeroed bytes are a valid timespec, whatever the call wrote of it.
    let time = unsafe { time.assume_init() };
    let part = |number| u64::try_from(number).unwrap_or(0);
    Duration::from_secs(part(time.tv_sec)) + Duration::from_nanos(part(time.tv_nsec))
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

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::utc;

    #[test]
    fn utc_knows_leap_years_and_ends_of_months() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000007Z"),
            (951_782_399, "2000-02-28T23:59:59.000007Z"),
            (951_782_400, "2000-02-29T00:00:00.000007Z"),
            (951_868_800, "2000-03-01T00:00:00.000007Z"),
            (1_709_164_800, "2024-02-29T00:00:00.000007Z"),
            (1_798_761_599, "2026-12-31T23:59:59.000007Z"),
            (1_798_761_600, "2027-01-01T00:00:00.000007Z"),
            (4_107_542_399, "2100-02-28T23:59:59.000007Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000007Z"),
        ] {
            let time = UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_micros(7);
            assert_eq!(utc(time), text, "{seconds}");
        }
    }
}
