//! The output of a command in a container, as the engine's connection carries it.
//!
//! Without a terminal the engine puts standard output and standard error into frames: a header of eight bytes, whose first names the stream and whose
//! last four are the length, and then the bytes ("Stream format" of Docker's API, `ContainerAttach`). With a
//! terminal there is one stream of bytes and no frame. A frame is passed on piece by piece, so that its length, which the engine chooses, costs no
//! memory.

use bytes::{Buf, BytesMut};

/// The length of a frame's header.
const HEADER: usize = 8;

/// Where a piece of output goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// Standard output, and all output on a terminal.
    Output,
    /// Standard error.
    Error,
}

/// The connection carries something that is not a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the engine sent output with the unknown frame type {0}")]
pub struct NoFrame(u8);

/// Splits the stream into its frames.
#[derive(Debug)]
pub struct Frames {
    terminal: bool,
    /// What is left of the frame that has begun.
    begun: Option<(Channel, usize)>,
}

impl Frames {
    /// For a command with a terminal, or without one.
    pub fn new(terminal: bool) -> Self {
        Self { terminal, begun: None }
    }

    /// The next piece of the output, none until more is received.
    pub fn next(&mut self, received: &mut BytesMut) -> Result<Option<(Channel, BytesMut)>, NoFrame> {
        if self.terminal {
            return Ok((!received.is_empty()).then(|| (Channel::Output, received.split())));
        }
        loop {
            let (channel, left) = match self.begun {
                Some(begun) => begun,
                None => match received.first_chunk::<HEADER>() {
                    Some(header) => {
                        let begun = parse(*header)?;
                        received.advance(HEADER);
                        begun
                    }
                    None => return Ok(None),
                },
            };
            let taken = left.min(received.len());
            self.begun = (left > taken).then_some((channel, left - taken));
            if taken > 0 {
                return Ok(Some((channel, received.split_to(taken))));
            }
            if left > 0 {
                return Ok(None);
            }
        }
    }

    /// Whether a frame is incomplete: a connection that ends here was interrupted.
    pub fn is_incomplete(&self, received: &BytesMut) -> bool {
        self.begun.is_some() || !received.is_empty()
    }
}

fn parse(header: [u8; HEADER]) -> Result<(Channel, usize), NoFrame> {
    let [kind, _, _, _, length @ ..] = header;
    let channel = match kind {
        // Docker's own client shows standard input as output.
        0 | 1 => Channel::Output,
        // 3 is an error of the engine itself.
        2 | 3 => Channel::Error,
        other => return Err(NoFrame(other)),
    };
    Ok((channel, u32::from_be_bytes(length) as usize))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&[kind, 0, 0, 0][..], &length, payload].concat()
    }

    fn all(frames: &mut Frames, chunks: &[&[u8]]) -> Result<Vec<(Channel, Vec<u8>)>, NoFrame> {
        let (mut received, mut pieces): (_, Vec<(Channel, Vec<u8>)>) = (BytesMut::new(), Vec::new());
        for chunk in chunks {
            received.extend_from_slice(chunk);
            while let Some((channel, piece)) = frames.next(&mut received)? {
                assert!(!piece.is_empty());
                match pieces.last_mut() {
                    Some((last, bytes)) if *last == channel => bytes.extend_from_slice(&piece),
                    _ => pieces.push((channel, piece.to_vec())),
                }
            }
        }
        assert!(!frames.is_incomplete(&received));
        Ok(pieces)
    }

    #[test]
    fn what_a_terminal_shows_is_handed_on_as_it_is() {
        let shown: &[u8] = b"\x01\x00\x00\x00\x00\x00\x00\x01frame-like\x00";
        assert_eq!(all(&mut Frames::new(true), &[shown]).unwrap(), [(Channel::Output, shown.to_vec())]);
    }

    #[test]
    fn a_frame_that_claims_four_gigabytes_is_handed_on_as_it_comes() {
        let mut received = BytesMut::from(&b"\x01\0\0\0\xff\xff\xff\xffbegin"[..]);
        let mut frames = Frames::new(false);
        assert_eq!(frames.next(&mut received).unwrap(), Some((Channel::Output, BytesMut::from(&b"begin"[..]))));
        assert_eq!(frames.next(&mut received).unwrap(), None);
        assert!(frames.is_incomplete(&received));
    }

    #[test]
    fn what_is_no_frame_is_an_error() {
        assert_eq!(all(&mut Frames::new(false), &[b"HTTP/1.1 500"]), Err(NoFrame(b'H')));
    }

    proptest! {
        #[test]
        fn frames_come_out_in_their_order_wherever_the_chunks_are_cut(
            frames in prop::collection::vec((0..4_u8, prop::collection::vec(any::<u8>(), 0..40)), 0..20),
            chunk in 1..30_usize,
        ) {
            let sent: Vec<u8> = frames.iter().flat_map(|(kind, payload)| frame(*kind, payload)).collect();
            let chunks: Vec<&[u8]> = sent.chunks(chunk).collect();
            let mut expected: Vec<(Channel, Vec<u8>)> = Vec::new();
            for (kind, payload) in frames.iter().filter(|(_, payload)| !payload.is_empty()) {
                let channel = if *kind < 2 { Channel::Output } else { Channel::Error };
                match expected.last_mut() {
                    Some((last, bytes)) if *last == channel => bytes.extend(payload),
                    _ => expected.push((channel, payload.clone())),
                }
            }
            prop_assert_eq!(all(&mut Frames::new(false), &chunks).unwrap(), expected);
        }
    }
}
