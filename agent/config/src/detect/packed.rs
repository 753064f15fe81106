//! Decompresses gzip, and converts UTF-16 to UTF-8.

use std::borrow::Cow;
use std::io::Read;

/// The most that gzip may decompress to; user-data itself is at most 16 KB.
const UNPACKED: u64 = 1 << 20;

/// How two bytes make a number: the byte order.
type Order = fn([u8; 2]) -> u16;

/// Converts UTF-16, which Windows editors and PowerShell's `Out-File` write, to UTF-8. UTF-16 has a byte order mark, or NUL in most
/// of every other byte.
pub(crate) fn from_utf16(bytes: &[u8]) -> Cow<'_, [u8]> {
    const LOOKED_AT: usize = 512;
    let pairs = || bytes.chunks_exact(2).take(LOOKED_AT);
    let nul = |half: usize| pairs().filter(|pair| pair.get(half) == Some(&0)).count();
    let (low, high, half) = (nul(0), nul(1), pairs().count() / 2);
    let (little, big): (Order, Order) = (u16::from_le_bytes, u16::from_be_bytes);
    let (rest, order) = match bytes {
        [0xff, 0xfe, 0, 0, ..] => return bytes.into(),
        [0xff, 0xfe, rest @ ..] => (rest, little),
        [0xfe, 0xff, rest @ ..] => (rest, big),
        _ if low == 0 && high > half => (bytes, little),
        _ if high == 0 && low > half => (bytes, big),
        _ => return bytes.into(),
    };
    let units = rest.chunks_exact(2).filter_map(|pair| Some(order(pair.try_into().ok()?)));
    let text: String = char::decode_utf16(units).map(|char| char.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
    text.into_bytes().into()
}

/// Decompresses gzip; other bytes stay as they are.
pub(crate) fn unpack(bytes: &[u8]) -> Result<Cow<'_, [u8]>, &'static str> {
    if !bytes.starts_with(b"\x1f\x8b") {
        return Ok(bytes.into());
    }
    let mut unpacked = Vec::new();
    let mut limited = flate2::read::MultiGzDecoder::new(bytes).take(UNPACKED + 1);
    limited.read_to_end(&mut unpacked).map_err(|_| "begins like gzip and cannot be decompressed")?;
    if unpacked.len() as u64 > UNPACKED { Err("decompresses to more than 1 MiB") } else { Ok(unpacked.into()) }
}
