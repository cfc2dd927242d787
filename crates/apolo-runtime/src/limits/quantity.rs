//! Sizes and durations as Kubernetes writes them, for flags: `7Mi`, `250ms`.

use std::time::Duration;

/// Bytes of `7340032`, `7168Ki`, `7Mi` or `1Gi`.
///
/// # Errors
/// In words, if the text is something else or does not fit.
pub fn bytes(text: &str) -> Result<usize, String> {
    let units = [("Ki", 1 << 10), ("Mi", 1 << 20), ("Gi", 1 << 30), ("", 1)];
    scaled(text, &units)
        .and_then(|bytes| usize::try_from(bytes).ok())
        .ok_or_else(|| "expected a number of bytes, such as 500Ki or 7Mi".to_owned())
}

/// Duration of `250ms`, `10s`, `2m`, `1h` or `90d`.
///
/// # Errors
/// In words, if the text is something else or does not fit.
pub fn duration(text: &str) -> Result<Duration, String> {
    let units = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
    scaled(text, &units)
        .map(Duration::from_millis)
        .ok_or_else(|| "expected a duration, such as 250ms, 10s, 2m or 90d".to_owned())
}

/// The number before the first unit that ends `text`, times that unit.
fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (number, unit) = units.iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, unit)))?;
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| number.parse::<u64>().ok()?.checked_mul(*unit)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_sizes() {
        let table = [("0", Some(0)), ("512", Some(512)), ("7Mi", Some(7 << 20)), ("1Gi", Some(1 << 30))];
        for (text, bytes_) in table {
            assert_eq!(bytes(text).ok(), bytes_, "{text}");
        }
        for text in ["", "Mi", "-1", "+1", "1.5Mi", "7M", "99999999999999999999", "99999999999Gi"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn reads_durations() {
        let table = [("250ms", 250), ("10s", 10_000), ("2m", 120_000), ("1h", 3_600_000), ("90d", 7_776_000_000)];
        for (text, millis) in table {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "10", "s", "1.5s", "-1s"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
