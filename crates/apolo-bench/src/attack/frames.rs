//! HTTP/2 (RFC 9113) as written by hand, so that it can be written wrongly.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::mpsc::UnboundedSender;

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;

/// `END_STREAM`.
pub(super) const END: u8 = 1;
/// `END_HEADERS`.
pub(super) const WHOLE: u8 = 4;
/// `SETTINGS_INITIAL_WINDOW_SIZE` is 0: nothing of an answer is taken.
pub(super) const NO_WINDOW: [u8; 6] = [0, 4, 0, 0, 0, 0];
/// The error code `CANCEL`.
pub(super) const CANCEL: [u8; 4] = [0, 0, 0, 8];

/// What a client sends first.
pub(super) fn preface(settings: &[u8]) -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    push(&mut bytes, SETTINGS, 0, 0, settings);
    bytes
}

/// Appends a frame.
pub(super) fn push(bytes: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).unwrap_or_default().to_be_bytes();
    bytes.extend_from_slice(length.get(1..).unwrap_or_default());
    bytes.extend_from_slice(&[kind, flags]);
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
}

/// The header block of `POST path` (HPACK, RFC 7541: two fields of its static table, two literals).
pub(super) fn post(path: &str) -> Vec<u8> {
    let mut block = vec![0x83, 0x87];
    for (index, value) in [(0x04, path), (0x01, "localhost")] {
        block.push(index);
        block.push(u8::try_from(value.len()).unwrap_or_default());
        block.extend_from_slice(value.as_bytes());
    }
    block
}

/// Tells which streams got an answer or a reset, until the server ends the connection.
pub(super) async fn read(mut from: impl AsyncRead + Unpin, answered: UnboundedSender<u32>) -> io::Result<()> {
    let mut payload = vec![0; 1 << 14];
    loop {
        let mut head = [0; 9];
        from.read_exact(&mut head).await?;
        let [l2, l1, l0, kind, _, s3, s2, s1, s0] = head;
        let length = u32::from_be_bytes([0, l2, l1, l0]) as usize;
        let rest = payload.get_mut(..length).ok_or(io::ErrorKind::InvalidData)?;
        from.read_exact(rest).await?;
        if matches!(kind, HEADERS | RST_STREAM) {
            let _ = answered.send(u32::from_be_bytes([s3, s2, s1, s0]));
        }
    }
}
