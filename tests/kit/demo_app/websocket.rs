//! A WebSocket (RFC 6455) that sends back what it gets, until the client closes it. A proxy treats it as any other.

use std::io::{self, Read, Write};

/// The opcodes of section 5.2 that matter.
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// Shakes hands and echoes.
pub fn echo(key: &str, reader: &mut impl Read, writer: &mut impl Write) -> io::Result<()> {
    let head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ";
    writer.write_all(format!("{head}{}\r\n\r\n", accept(key)).as_bytes())?;
    loop {
        let mut head = [0; 2];
        reader.read_exact(&mut head)?;
        let opcode = head[0] & 0x0F;
        // A client masks; the demo's messages are short.
        let (masked, length) = (head[1] & 0x80 != 0, head[1] & 0x7F);
        if !masked || length > 125 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let (mut mask, mut payload) = ([0; 4], vec![0; usize::from(length)]);
        reader.read_exact(&mut mask)?;
        reader.read_exact(&mut payload)?;
        payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
        let answer = if opcode == PING { PONG } else { opcode };
        writer.write_all(&[&[0x80 | answer, length], payload.as_slice()].concat())?;
        if opcode == CLOSE {
            return Ok(());
        }
    }
}

/// What proves that the key was read (section 4.2.2).
fn accept(key: &str) -> String {
    base64(&sha1(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11").as_bytes()))
}

/// SHA-1 (RFC 3174).
fn sha1(message: &[u8]) -> [u8; 20] {
    let mut state = [0x6745_2301_u32, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476, 0xC3D2_E1F0];
    let mut padded = message.to_vec();
    padded.push(0x80);
    while padded.len() % 64 != 56 {
        padded.push(0);
    }
    padded.extend((message.len() as u64 * 8).to_be_bytes());
    for block in padded.chunks_exact(64) {
        let mut w: Vec<u32> = block.chunks_exact(4).map(|c| u32::from_be_bytes([c[0], c[1], c[2], c[3]])).collect();
        for i in 16..80 {
            w.push((w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16]).rotate_left(1));
        }
        let [mut a, mut b, mut c, mut d, mut e] = state;
        for (i, word) in w.iter().enumerate() {
            let (f, k) = match i / 20 {
                0 => ((b & c) | (!b & d), 0x5A82_7999),
                1 => (b ^ c ^ d, 0x6ED9_EBA1),
                2 => ((b & c) | (b & d) | (c & d), 0x8F1B_BCDC),
                _ => (b ^ c ^ d, 0xCA62_C1D6_u32),
            };
            let next = a.rotate_left(5).wrapping_add(f).wrapping_add(e).wrapping_add(k).wrapping_add(*word);
            (e, d, c, b, a) = (d, c, b.rotate_left(30), a, next);
        }
        for (sum, value) in state.iter_mut().zip([a, b, c, d, e]) {
            *sum = sum.wrapping_add(value);
        }
    }
    let mut digest = [0; 20];
    digest.chunks_exact_mut(4).zip(state).for_each(|(bytes, word)| bytes.copy_from_slice(&word.to_be_bytes()));
    digest
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let groups = bytes.chunks(3).map(|group| {
        let bits = (0..3).fold(0_u32, |bits, i| bits << 8 | u32::from(*group.get(i).unwrap_or(&0)));
        let digit = |i: usize| if i > group.len() { '=' } else { DIGITS[(bits >> (18 - 6 * i) & 63) as usize] as char };
        [digit(0), digit(1), digit(2), digit(3)]
    });
    groups.flatten().collect()
}
