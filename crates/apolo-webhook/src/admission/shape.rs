//! How deeply JSON is nested.
//!
//! What we do not read is skipped without recursion, so depth is no danger; but nothing that the API server sends comes
//! near this, so what does is no review.

/// How deep a body may be. The API server's own limit is 10,000 (Go's encoding/json).
pub(super) const MOST: usize = 4096;

/// Whether a text, if it is JSON, is nested more than `most` levels deep.
///
/// Cheap for every honest body: one with no more brackets than that cannot be, and they are counted at memory's speed.
pub(super) fn exceeds(text: &[u8], most: usize) -> bool {
    // `[` and `{` differ in one bit. Counted in bytes, 255 at a time, which the compiler does for many at once.
    let in_chunk = |chunk: &[u8]| chunk.iter().map(|byte| u8::from(*byte | 0x20 == b'{')).sum::<u8>();
    let opening: usize = text.chunks(usize::from(u8::MAX)).map(|chunk| usize::from(in_chunk(chunk))).sum();
    opening > most && deepest(text) > most
}

fn deepest(text: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0usize, 0, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_levels_outside_strings() {
        assert_eq!(deepest(br#"{"a":[{"b":"[[[\"[["}],"c":{}}"#), 3);
        assert!(exceeds(b"[[[[", 3) && !exceeds(b"[[[]]]", 3) && !exceeds(b"[][][][][]", 3));
    }
}
