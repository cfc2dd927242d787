//! How deeply JSON is nested, and how much stands in its lists.
//!
//! What we do not read is skipped without recursion, so depth is no danger; but nothing that the API server sends comes
//! near this, so what does is no review. Elements of lists are what memory is needed for: `{}` is two bytes, and a hundred
//! once it is read as a container.

use super::ReviewError;

/// How deep a body may be. The API server's own limit is 10,000 (Go's encoding/json).
pub(super) const MOST_LEVELS: usize = 4096;

/// Holds a text, if it is JSON, against both bounds: no more levels than may be, and no more objects and lists in its lists, all
/// together, than `most`.
///
/// Cheap for every honest body: one with no more brackets than levels are allowed breaks neither, and they are counted at
/// memory's speed.
///
/// # Errors
/// Which of them it breaks.
pub(super) fn hold(text: &[u8], most: usize) -> Result<(), ReviewError> {
    // `[` and `{` differ in one bit. Counted in bytes, 255 at a time, which the compiler does for many at once.
    let in_chunk = |chunk: &[u8]| chunk.iter().map(|byte| u8::from(*byte | 0x20 == b'{')).sum::<u8>();
    let opening: usize = text.chunks(usize::from(u8::MAX)).map(|chunk| usize::from(in_chunk(chunk))).sum();
    if opening > MOST_LEVELS.min(most) { walk(text, most) } else { Ok(()) }
}

fn walk(text: &[u8], most: usize) -> Result<(), ReviewError> {
    let (mut open, mut elements, mut in_string, mut escaped) = (Vec::new(), 0usize, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => {
                elements += usize::from(open.last() == Some(&b'['));
                if elements > most {
                    return Err(ReviewError::TooMany { most });
                }
                if open.len() == MOST_LEVELS {
                    return Err(ReviewError::TooDeep { most: MOST_LEVELS });
                }
                open.push(*byte);
            }
            b']' | b'}' => drop(open.pop()),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> String {
        hold(text.as_bytes(), 10_000).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn counts_levels_outside_strings() {
        let nested = |levels: usize| format!(r#"{{"a":"[\"[[{{","b":{}{}}}"#, "[".repeat(levels), "]".repeat(levels));
        assert_eq!(told(&nested(4095)), "");
        assert_eq!(told(&nested(4096)), "the body is nested more than 4096 levels deep");
    }

    #[test]
    fn counts_what_stands_in_lists_and_not_what_stands_in_objects() {
        let list = |count: usize| format!(r#"{{"a":[{}],"b":[{{"c":{{"d":{{}}}}}}]}}"#, vec!["{}"; count].join(","));
        assert_eq!(told(&list(9_999)), "");
        assert_eq!(told(&list(10_000)), "the body has more than 10000 objects in its lists");
        let object = (0..20_000).map(|number| format!(r#""{number}":{{}}"#)).collect::<Vec<_>>().join(",");
        assert_eq!(told(&format!("{{{object}}}")), "");
    }
}
