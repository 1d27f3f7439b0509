//! Room for descriptors.

use crate::cli::{Error, Voice};
use crate::sys::limit::Descriptors;

/// What a server itself holds: the runtime's three, the signals twice, the listener.
const OF_SERVER: u64 = 6;
/// The same, and what is open for a moment, amply.
const AMPLY: u64 = 32;

/// Makes room for the server and `least` descriptors more, and for `ample` of them, if that can be; warns where that may not
/// be enough for `whom`. None are needed amply where `ample` is 0. Gives the limits to put back for programs, if they were
/// changed.
///
/// # Errors
/// 111: there is no room for `least`.
pub(crate) fn make_room(
    least: u64,
    ample: u64,
    whom: &str,
    voice: Voice,
) -> Result<Option<Descriptors>, Error> {
    let Ok(inherited) = Descriptors::now() else {
        return Ok(None);
    };
    let least = OF_SERVER + least;
    let ample = if ample > 0 { ample + AMPLY } else { 0 };
    if ample <= inherited.soft && inherited.left(least) == least {
        return Ok(None);
    }
    let is_raised = inherited.soft < inherited.hard && inherited.raise().is_ok();
    let now = if is_raised {
        inherited.hard
    } else {
        inherited.soft
    };
    let counts = Descriptors {
        soft: now,
        ..inherited
    };
    let missing = least - counts.left(least);
    if missing > 0 {
        let needed = now + missing;
        return Err(Error::fatal(format!(
            "a limit of {now} descriptors is too small: {needed} are needed"
        )));
    }
    if ample > now {
        let warning = format!("warning: {now} descriptors may not be enough for {whom}");
        voice.warn(&[warning.as_bytes()]);
    }
    Ok(is_raised.then_some(inherited))
}
