//! HTTP/2 (RFC 9113) as written by hand, so that it can be written wrongly.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

/// `END_STREAM`.
pub(crate) const END: u8 = 1;
/// `END_HEADERS`.
pub(crate) const WHOLE: u8 = 4;

/// One frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// What a client sends first, with a payload of SETTINGS.
pub(crate) fn preface(settings: &[u8]) -> Vec<u8> {
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &*frame(SETTINGS, 0, 0, settings)].concat()
}

/// The header block of `POST /pods/mutate` (HPACK, RFC 7541: two fields of its static table, two literals).
pub(crate) fn post() -> Vec<u8> {
    [b"\x83\x87\x04\x0c/pods/mutate\x01\x09localhost".as_slice()].concat()
}

/// Reads a frame: its kind, its stream and its payload.
pub(crate) async fn read(from: &mut (impl AsyncRead + Unpin)) -> io::Result<(u8, u32, Vec<u8>)> {
    let mut head = [0; 9];
    from.read_exact(&mut head).await?;
    let [l2, l1, l0, kind, _, s3, s2, s1, s0] = head;
    let mut payload = vec![0; u32::from_be_bytes([0, l2, l1, l0]) as usize];
    from.read_exact(&mut payload).await?;
    Ok((kind, u32::from_be_bytes([s3, s2, s1, s0]), payload))
}
