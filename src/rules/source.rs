//! Where a compiled rule was written.

use std::io::Read;

use super::set::Sets;
use super::text::rules;
use super::verdict::Verdict;
use crate::cli::Error;

/// Where a rule is in the text that it is said to come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In this line, from 1.
    Line(u64),
    /// In this line, which says something else about it.
    Other(u64),
    /// Nowhere.
    Nowhere,
}

/// Where the rule of `verdict` is in the rules `input`, which may name `sets`; `None` for the verdict without a rule. `name`
/// is that of the text, for messages.
///
/// # Errors
/// A file cannot be read (111), or a line before the rule is none (100).
pub fn origin(
    verdict: &Verdict,
    input: impl Read,
    name: &[u8],
    sets: &Sets,
) -> Result<Option<Origin>, Error> {
    let Some(wanted) = verdict.key() else {
        return Ok(None);
    };
    let mut found = None;
    let reading = [b"read ", name].concat();
    rules(input, &reading, |number, _, rule| {
        if found.is_some() {
            return Ok(());
        }
        sets.keys(
            rule,
            |_, _, _| {},
            |key| {
                // Of equal keys, the first counts.
                if key.bytes == wanted && found.is_none() {
                    found = Some(if verdict.is_of(&rule.data) {
                        Origin::Line(number)
                    } else {
                        Origin::Other(number)
                    });
                }
                Ok(())
            },
        )
    })?;
    Ok(Some(found.unwrap_or(Origin::Nowhere)))
}
