//! The form of an input that is somebody's answer:
//!
//! ```text
//!   a0                       what the agent asks (`a` the first of the target's questions), the status (`0` is 200)
//!   content-type: text/html  headers, up to an empty line
//!
//!   <html>…                  the body
//! ```
//! Every input is one: what is not there is the first question, 200, no header, an empty body.

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

/// `0` to `9`
const STATUSES: [u16; 10] = [200, 400, 401, 403, 404, 409, 429, 500, 503, 204];

/// An answer, and to what.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script {
    /// Which of the target's questions; any number.
    pub(crate) question: usize,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Script {
    pub(crate) fn read(bytes: &[u8]) -> Self {
        let (first, mut rest) = line(bytes);
        let letter = |at: usize, base: u8| first.get(at).map_or(0, |byte| usize::from(byte.wrapping_sub(base)));
        let status = STATUSES[letter(1, b'0') % STATUSES.len()];
        let mut headers = HeaderMap::new();
        while !rest.is_empty() {
            let (header, after) = line(rest);
            rest = after;
            if header.is_empty() {
                break;
            }
            let mut parts = header.splitn(2, |byte| *byte == b':');
            let (name, value) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default().trim_ascii());
            if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
                && ![CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE].contains(&name)
                && headers.len() < 32
            {
                headers.append(name, value);
            }
        }
        let status = StatusCode::from_u16(status).unwrap();
        Self { question: letter(0, b'a'), status, headers, body: Bytes::copy_from_slice(rest) }
    }
}

/// The first line without its end, and what follows it.
fn line(bytes: &[u8]) -> (&[u8], &[u8]) {
    let at = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    (bytes[..at].trim_ascii_end(), bytes.get(at + 1..).unwrap_or_default())
}
