//! Counting what became of connections.

/// Why a connection was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The rules say so.
    Rule,
    /// Too many are open.
    Limit,
    /// They come too often.
    Rate,
    /// Its source has misbehaved.
    Penalty,
    /// The machine has too much to do.
    Load,
    /// It could not be decided.
    Error,
}

impl Reason {
    /// All of them, in the order in which they are told.
    pub(crate) const ALL: [Self; 6] = [
        Self::Rule,
        Self::Limit,
        Self::Rate,
        Self::Penalty,
        Self::Load,
        Self::Error,
    ];

    /// The word for it, in every log and answer.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Rule => "rule",
            Self::Limit => "limit",
            Self::Rate => "rate",
            Self::Penalty => "penalty",
            Self::Load => "load",
            Self::Error => "error",
        }
    }
}
