//! What a plain scalar means: the rules of goyaml v2, which kubectl reads with (its `resolve.go`), and the JSON that
//! encoding/json makes of the result.

use serde_json::{Number, Value};

use crate::tree::{Form, Scalar, Tag};

/// What a scalar resolves to.
#[derive(Debug, PartialEq)]
pub(crate) enum Resolved {
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    /// Its own text.
    Text,
}

/// Resolves a scalar; nothing where its tag does not fit its text.
pub(crate) fn resolve(scalar: &Scalar) -> Option<Resolved> {
    let plain = || plain(&scalar.text);
    match scalar.tag {
        None if matches!(scalar.form, Form::Plain | Form::Json) => Some(plain()),
        None | Some(Tag::Str) => Some(Resolved::Text),
        Some(tag) => match (tag, plain()) {
            (Tag::Float, Resolved::Integer(integer)) => {
                i64::try_from(integer).ok().map(|it| Resolved::Float(it as f64))
            }
            (Tag::Float, resolved @ Resolved::Float(_))
            | (Tag::Int, resolved @ Resolved::Integer(_))
            | (Tag::Bool, resolved @ Resolved::Bool(_))
            | (Tag::Null, resolved @ Resolved::Null) => Some(resolved),
            _ => None,
        },
    }
}

/// What plain text means.
pub(crate) fn plain(text: &str) -> Resolved {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Resolved::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Resolved::Bool(true);
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Resolved::Bool(false);
        }
        ".nan" | ".NaN" | ".NAN" => return Resolved::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Resolved::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Resolved::Float(f64::NEG_INFINITY),
        _ => {}
    }
    match text.bytes().next() {
        Some(b'.') if has_lone_separators(text) => Resolved::Text,
        Some(b'.') => float(&text.replace('_', "")),
        Some(b'+' | b'-' | b'0'..=b'9') => number(&text.replace('_', "")),
        _ => Resolved::Text,
    }
}

/// Whether a `_` stands elsewhere than between two digits, which strconv minds in a float that begins with its point.
fn has_lone_separators(text: &str) -> bool {
    let is_digit = |byte: Option<char>| byte.is_some_and(|it| it.is_ascii_digit());
    text.match_indices('_').any(|(at, _)| {
        let (before, behind) = text.split_at(at);
        !is_digit(before.chars().next_back()) || !is_digit(behind.chars().nth(1))
    })
}

fn number(text: &str) -> Resolved {
    integer(text).map_or_else(|| float(text), Resolved::Integer)
}

/// An integer as Go's strconv takes it with base 0, and goyaml's own binary form.
fn integer(text: &str) -> Option<i128> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    let signed = digits.len() != text.len();
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, digits.get(2..)?),
        [b'0', b'b', b'+' | b'-', ..] if !signed => return binary(digits.get(2..)?),
        [b'0', b'b' | b'B', ..] => (2, digits.get(2..)?),
        [b'0', b'o' | b'O', ..] => (8, digits.get(2..)?),
        [b'0', _, ..] => (8, digits.get(1..)?),
        _ => (10, digits),
    };
    let value = i128::from(unsigned(digits, radix)?);
    let value = if negative { -value } else { value };
    let most = if signed { i128::from(i64::MAX) } else { i128::from(u64::MAX) };
    (i128::from(i64::MIN)..=most).contains(&value).then_some(value)
}

fn binary(digits: &str) -> Option<i128> {
    i64::from_str_radix(digits, 2).ok().map(i128::from)
}

fn unsigned(digits: &str, radix: u32) -> Option<u64> {
    digits.starts_with(|c: char| c.is_ascii_alphanumeric()).then(|| u64::from_str_radix(digits, radix).ok()).flatten()
}

/// A float in decimal; out of range, it stays text.
fn float(text: &str) -> Resolved {
    let decimal = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
    match text.parse::<f64>() {
        Ok(value) if decimal && value.is_finite() => Resolved::Float(value),
        _ => Resolved::Text,
    }
}

/// A float as JSON, an integral one as the integer that encoding/json writes; nothing for what JSON has not.
pub(crate) fn json_number(value: f64) -> Option<Value> {
    if value.trunc() == value && value.abs() < 1e21 {
        let digits = value.to_string();
        let integer =
            digits.parse().map(|it: i64| Value::from(it)).or_else(|_| digits.parse().map(|it: u64| Value::from(it)));
        if let Ok(integer) = integer {
            return Some(integer);
        }
    }
    Number::from_f64(value).map(Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_means_what_goyaml_says() {
        let table = [
            ("0400", Resolved::Integer(256)),
            ("0o400", Resolved::Integer(256)),
            ("08", Resolved::Float(8.0)),
            ("1_000", Resolved::Integer(1000)),
            ("-0x1F", Resolved::Integer(-31)),
            ("0b101", Resolved::Integer(5)),
            ("0b-1", Resolved::Integer(-1)),
            ("-0b1", Resolved::Integer(-1)),
            ("18446744073709551615", Resolved::Integer(18_446_744_073_709_551_615)),
            ("+18446744073709551615", Resolved::Float(18_446_744_073_709_551_615.0)),
            ("1e3", Resolved::Float(1000.0)),
            (".5", Resolved::Float(0.5)),
            ("1.", Resolved::Float(1.0)),
            (".51_0", Resolved::Float(0.51)),
            (".5__1", Resolved::Text),
            (".5_", Resolved::Text),
            ("._5", Resolved::Text),
            ("1e999", Resolved::Text),
            ("_1", Resolved::Text),
            ("0x", Resolved::Text),
            ("0x+1", Resolved::Text),
            ("-", Resolved::Text),
            ("+", Resolved::Text),
            (".", Resolved::Text),
            ("190:20:30", Resolved::Text),
            ("2001-12-14", Resolved::Text),
            ("y", Resolved::Bool(true)),
            ("Off", Resolved::Bool(false)),
            ("oFF", Resolved::Text),
            ("~", Resolved::Null),
            ("<<", Resolved::Text),
            ("infinity", Resolved::Text),
        ];
        for (text, expected) in table {
            assert_eq!(plain(text), expected, "{text}");
        }
    }
}
