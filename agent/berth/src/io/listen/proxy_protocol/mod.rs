//! A PROXY protocol header in front of the first request of a connection is skipped.
//!
//! A balancer that sends one to the app often sends one to the health check, too (HAProxy's `check-send-proxy`, a Network Load
//! Balancer whose target group has `proxy_protocol_v2`). Its content is not used: it is read up to a limit and
//! discarded. Versions 1 and 2 as <https://www.haproxy.org/download/2.6/doc/proxy-protocol.txt> has them. Its time counts
//! towards the limit for request headers, which begins with the connection.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::pin::Pin;
use std::str::FromStr;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The longest header of version 1, with its line end.
const LONGEST_LINE: usize = 107;
/// Version 2 begins so.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family, length.
const FIXED: usize = 16;
/// The longest rest of a version 2 header, addresses and TLVs; 65,535 can be written. What balancers send has a few hundred bytes.
const LONGEST_REST: usize = 4096;

/// A connection whose first bytes may be such a header.
#[derive(Debug)]
pub(crate) struct Skipping<S> {
    stream: S,
    state: State,
}

#[derive(Debug)]
enum State {
    /// These bytes were received, and they may begin a header.
    Looking(Vec<u8>),
    /// So many bytes of the header are still to come.
    Discarding(usize),
    /// These bytes were received and are not a header; after them comes the rest of the connection.
    Handing(Vec<u8>),
}

/// What the first bytes of a connection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// They may begin a header.
    Incomplete,
    /// They begin with a header of this length, which may be incomplete.
    Header(usize),
    /// They do not.
    NoHeader,
    /// They begin an invalid header.
    Invalid,
}

impl<S> Skipping<S> {
    /// Reads the stream after its header, if it has one.
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, state: State::Looking(Vec::new()) }
    }
}

fn start(bytes: &[u8]) -> Start {
    let begins_as = |magic: &[u8]| bytes.iter().zip(magic).all(|(one, other)| one == other);
    if begins_as(SIGNATURE) {
        version_2(bytes)
    } else if begins_as(b"PROXY ") {
        version_1(bytes)
    } else {
        Start::NoHeader
    }
}

/// `PROXY TCP4 192.0.2.1 198.51.100.1 56324 443`, CR LF.
fn version_1(bytes: &[u8]) -> Start {
    let line = bytes.get(..LONGEST_LINE).unwrap_or(bytes);
    let Some(end) = line.windows(2).position(|pair| pair == b"\r\n") else {
        return if bytes.len() < LONGEST_LINE { Start::Incomplete } else { Start::Invalid };
    };
    let Ok(text) = std::str::from_utf8(line.get(..end).unwrap_or_default()) else { return Start::Invalid };
    let is_valid = match *text.split(' ').collect::<Vec<_>>() {
        ["PROXY", "UNKNOWN", ..] => true,
        ["PROXY", "TCP4", from, to, ..] if Ipv4Addr::from_str(from).and(Ipv4Addr::from_str(to)).is_err() => false,
        ["PROXY", "TCP6", from, to, ..] if Ipv6Addr::from_str(from).and(Ipv6Addr::from_str(to)).is_err() => false,
        ["PROXY", "TCP4" | "TCP6", _, _, from, to] => u16::from_str(from).and(u16::from_str(to)).is_ok(),
        _ => false,
    };
    if is_valid { Start::Header(end + 2) } else { Start::Invalid }
}

fn version_2(bytes: &[u8]) -> Start {
    let Some([command, family, high, low]) = bytes.get(SIGNATURE.len()..FIXED) else { return Start::Incomplete };
    let rest = usize::from(u16::from_be_bytes([*high, *low]));
    let addresses = match (command, family) {
        // LOCAL: the balancer's own connection; its addresses are to be ignored.
        (0x20, _) => 0,
        // PROXY: unspecified, TCP and UDP over IPv4 and IPv6, unix sockets.
        (0x21, 0x00) => 0,
        (0x21, 0x11 | 0x12) => 12,
        (0x21, 0x21 | 0x22) => 36,
        (0x21, 0x31 | 0x32) => 216,
        _ => return Start::Invalid,
    };
    if (addresses..=LONGEST_REST).contains(&rest) { Start::Header(FIXED + rest) } else { Start::Invalid }
}

impl<S: AsyncRead + Unpin> AsyncRead for Skipping<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { stream, state } = &mut *self;
        loop {
            let mut buffer = [0; 256];
            match state {
                State::Handing(held) if held.is_empty() => return Pin::new(stream).poll_read(cx, buf),
                State::Handing(held) => {
                    let length = held.len().min(buf.remaining());
                    buf.put_slice(held.get(..length).unwrap_or_default());
                    held.drain(..length);
                    return Poll::Ready(Ok(()));
                }
                State::Discarding(0) => *state = State::Handing(Vec::new()),
                State::Discarding(left) => {
                    let length = buffer.len().min(*left);
                    let mut part = ReadBuf::new(buffer.get_mut(..length).unwrap_or_default());
                    ready!(Pin::new(&mut *stream).poll_read(cx, &mut part))?;
                    match part.filled().len() {
                        0 => return Poll::Ready(Ok(())), // the end
                        read => *left -= read,
                    }
                }
                State::Looking(held) => {
                    let mut part = ReadBuf::new(&mut buffer);
                    ready!(Pin::new(&mut *stream).poll_read(cx, &mut part))?;
                    held.extend_from_slice(part.filled());
                    match start(held) {
                        // It ended in the middle of what may have been a header.
                        _ if part.filled().is_empty() => *state = State::Handing(std::mem::take(held)),
                        Start::Incomplete => {}
                        Start::NoHeader => *state = State::Handing(std::mem::take(held)),
                        Start::Header(length) if length <= held.len() => {
                            *state = State::Handing(held.split_off(length))
                        }
                        Start::Header(length) => *state = State::Discarding(length - held.len()),
                        Start::Invalid => return Poll::Ready(Err(io::ErrorKind::InvalidData.into())),
                    }
                }
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Skipping<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
