//! Words of a shell.

/// Appends `word` so that a shell takes it as it is.
///
/// With a dollar sign or a backquote it stands between double quotes, which nobody takes for an oversight.
pub fn push(text: &mut Vec<u8>, word: &[u8]) {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_./:=@%+,-".contains(byte);
    if !word.is_empty() && word.iter().all(is_plain) {
        text.extend_from_slice(word);
    } else if word.iter().any(|byte| b"'$`".contains(byte)) {
        text.push(b'"');
        for &byte in word {
            if b"\"\\$`".contains(&byte) {
                text.push(b'\\');
            }
            text.push(byte);
        }
        text.push(b'"');
    } else {
        text.push(b'\'');
        text.extend_from_slice(word);
        text.push(b'\'');
    }
}

/// The words, with blanks between them.
pub fn line<'a>(words: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut text = Vec::new();
    for word in words {
        if !text.is_empty() {
            text.push(b' ');
        }
        push(&mut text, word);
    }
    text
}
