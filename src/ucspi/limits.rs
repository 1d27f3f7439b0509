//! What a rule limits by settings that the server itself obeys, with `--rule-limits`.
//!
//! Source of the names: the "tcpserver limits" patch (MAXLOAD, MAXCONNIP, MAXCONNC, DIEMSG), ucspi-tcp6 (MAXCONIP) and
//! indimail (MAXPERIP). They are settings like others: the program gets them too.

use crate::cli::number;
use crate::rules::Verdict;
use crate::service::{Allowance, Entered, Rate, Reason};
use crate::sys::load;

/// Settings that limit how many connections of a source are open at once, all the same.
const OPEN: [&str; 3] = ["MAXCONNIP", "MAXCONIP", "MAXPERIP"];

/// What the rule of a connection has against it. A limit that cannot be read lets nobody in.
pub(super) fn objection(verdict: &Verdict, entered: &Entered) -> Option<Reason> {
    let refusal = || {
        let allowance = allowance(verdict)?;
        if let Some(max) = setting(verdict, "MAXLOAD", number)?
            && load::hundredths().map_err(|_| Reason::Error)? >= u64::from(max)
        {
            return Err(Reason::Load);
        }
        entered.hold_to(&allowance)
    };
    refusal().err()
}

fn allowance(verdict: &Verdict) -> Result<Allowance, Reason> {
    let mut allowance = Allowance {
        open: None,
        neighbours: setting(verdict, "MAXCONNC", number)?,
        rate: setting(verdict, "MAXRATE", Rate::parse)?,
    };
    for name in OPEN {
        let max = setting(verdict, name, number)?;
        allowance.open = allowance.open.into_iter().chain(max).min();
    }
    Ok(allowance)
}

/// The setting `name`, read by `parse`; nothing if the rule has none.
fn setting<T>(
    verdict: &Verdict,
    name: &str,
    parse: impl FnOnce(&[u8]) -> Option<T>,
) -> Result<Option<T>, Reason> {
    let value = verdict.setting(name);
    value
        .map(|value| parse(value).ok_or(Reason::Error))
        .transpose()
}

/// What to tell a peer that is refused, if its rule says so: DIEMSG and a line end.
pub(super) fn message(verdict: &Verdict) -> Option<Vec<u8>> {
    let text = verdict.setting("DIEMSG")?;
    Some([text, b"\r\n"].concat())
}
