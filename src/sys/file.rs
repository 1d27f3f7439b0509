//! Files that others replace while we run.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

/// What tells one version of a file from another: which file it is, its size, and when it was last touched. stat(2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    file: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Version {
    /// The version that `metadata` was read from.
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            file: (metadata.dev(), metadata.ino()),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}
