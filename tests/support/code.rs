//! Rust source text without what is not code.

/// The text with comments and the contents of string literals blanked out, line by line as before.
///
/// Character literals are told from lifetimes by their closing quote; raw strings by their hashes.
pub(crate) fn code_only(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let (kept, skipped) = next_piece(rest);
        out.push_str(&rest[..kept]);
        out.extend(
            rest[kept..kept + skipped]
                .chars()
                .map(|c| if c == '\n' { '\n' } else { ' ' }),
        );
        rest = &rest[kept + skipped..];
    }
    out
}

/// How many bytes to keep and then how many to blank.
fn next_piece(rest: &str) -> (usize, usize) {
    if rest.starts_with("//") {
        return (0, rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return (0, rest.find("*/").map_or(rest.len(), |at| at + 2));
    }
    if let Some(raw) = rest.strip_prefix('r') {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            let close = format!("\"{}", "#".repeat(hashes));
            let open = hashes + 2;
            return (
                0,
                rest[open..]
                    .find(&close)
                    .map_or(rest.len(), |at| open + at + close.len()),
            );
        }
    }
    if let Some(string) = rest.strip_prefix('"') {
        return (0, 1 + literal_end(string, '"'));
    }
    if let Some(character) = rest.strip_prefix('\'') {
        let mut chars = character.chars();
        let is_literal = match chars.next() {
            Some('\\') => true,
            Some(_) => chars.next() == Some('\''),
            None => false,
        };
        return if is_literal {
            (0, 1 + literal_end(character, '\''))
        } else {
            (1, 0)
        };
    }
    // A whole word at once, so that the r of `for"` is not taken for a raw string.
    let end = word(rest).len();
    if end > 0 && !rest.starts_with("r\"") && !rest.starts_with("r#") {
        return (end, 0);
    }
    (rest.chars().next().map_or(0, char::len_utf8), 0)
}

/// The length of a literal's rest with its closing quote.
fn literal_end(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (offset, c) in text.char_indices() {
        if !escaped && c == quote {
            return offset + c.len_utf8();
        }
        escaped = !escaped && c == '\\';
    }
    text.len()
}

/// The word that the text begins with, perhaps an empty one.
pub(crate) fn word(text: &str) -> &str {
    let end = text
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(text.len());
    &text[..end]
}
