//! Mending text from outside so that it can be parsed, stored and shown.

use std::borrow::Cow;

/// Replaces NUL with U+FFFD: Postgres refuses NUL in `text`, and one such comment must not fail a batch.
pub fn storable(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) }
}

/// Replaces escapes of lone surrogates (`\ud83d` without its partner) in JSON source with `\ufffd`.
///
/// Reddit passes them through from users; JSON parsers that insist on Unicode reject the whole
/// document. Escaped backslashes are respected, pairs are left alone.
pub fn mend_surrogates(json: &str) -> Cow<'_, str> {
    let bytes = json.as_bytes();
    let mut mended: Option<Vec<u8>> = None;
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] != b'\\' {
            at += 1;
            continue;
        }
        match surrogate_at(bytes, at) {
            Some(Surrogate::High) if surrogate_at(bytes, at + 6) == Some(Surrogate::Low) => at += 12,
            Some(_) => {
                let copy = mended.get_or_insert_with(|| bytes.to_vec());
                copy[at + 2..at + 6].copy_from_slice(b"fffd");
                at += 6;
            }
            // Any other escape: skip the escaped character too, it may itself be a backslash.
            None => at += 2,
        }
    }
    match mended.map(String::from_utf8) {
        Some(Ok(text)) => Cow::Owned(text),
        // Only ASCII was exchanged for ASCII, so the copy is valid whenever there is one.
        Some(Err(_)) | None => Cow::Borrowed(json),
    }
}

#[derive(PartialEq, Eq)]
enum Surrogate {
    High,
    Low,
}

fn surrogate_at(bytes: &[u8], at: usize) -> Option<Surrogate> {
    let escape = bytes.get(at..at + 6)?;
    let digits = std::str::from_utf8(escape.strip_prefix(b"\\u")?).ok()?;
    match u16::from_str_radix(digits, 16).ok()? {
        0xD800..=0xDBFF => Some(Surrogate::High),
        0xDC00..=0xDFFF => Some(Surrogate::Low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(json: &str) -> String {
        serde_json::from_str(&mend_surrogates(json)).expect("mended JSON parses")
    }

    #[test]
    fn lone_surrogates_become_replacement_characters() {
        assert_eq!(parse(r#""a\ud83db""#), "a\u{fffd}b");
        assert_eq!(parse(r#""\udc00\ud83d""#), "\u{fffd}\u{fffd}");
    }

    #[test]
    fn pairs_and_escaped_backslashes_stay() {
        assert_eq!(parse(r#""\ud83d\ude00""#), "😀");
        assert_eq!(parse(r#""C:\\ud83d""#), r"C:\ud83d");
    }

    #[test]
    fn nul_is_not_stored() {
        assert_eq!(storable("a\0b"), "a\u{fffd}b");
    }

    proptest! {
        #[test]
        fn valid_json_is_left_alone(text in any::<String>()) {
            let json = serde_json::to_string(&text).expect("strings serialise");
            prop_assert_eq!(mend_surrogates(&json), json.as_str());
        }

        #[test]
        fn any_surrogate_soup_parses(units in proptest::collection::vec(0xD700u16..0xE100, 0..20)) {
            let body: String = units.iter().map(|u| format!("\\u{u:04x}")).collect();
            let json = format!("\"{body}\"");
            prop_assert_eq!(parse(&json), String::from_utf16_lossy(&units));
        }
    }
}
