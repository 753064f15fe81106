//! Headers as the specification has them, cut anywhere, and what is none.

use futures_util::FutureExt;
use proptest::prelude::*;
use tokio::io::AsyncReadExt;

use super::*;

/// A version 2 header.
fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [SIGNATURE.as_slice(), &[command, family], &length, rest].concat()
}

fn headers() -> Vec<Vec<u8>> {
    let lines = [
        "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n",
        "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
        "PROXY TCP6 2001:db8::1 2001:db8::2 56324 443\r\n",
        "PROXY UNKNOWN\r\n",
        "PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n",
        "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
    ];
    let mut headers: Vec<Vec<u8>> = lines.map(|line| line.as_bytes().to_vec()).into();
    headers.push(v2(0x20, 0x00, &[]));
    headers.push(v2(0x20, 0x11, &[1; 12]));
    headers.push(v2(0x21, 0x00, &[]));
    headers.push(v2(0x21, 0x11, &[2; 12]));
    headers.push(v2(0x21, 0x21, &[3; 36]));
    headers.push(v2(0x21, 0x31, &[4; 216]));
    // With the TLVs of a Network Load Balancer: its checksum and the VPC endpoint's id.
    headers.push(v2(0x21, 0x11, &[5; 12 + 7 + 26]));
    headers.push(v2(0x21, 0x11, &[6; LONGEST_REST]));
    headers
}

/// What is read through it when the bytes come in pieces of this size.
fn read(bytes: &[u8], piece: usize) -> io::Result<Vec<u8>> {
    let (mut client, server) = tokio::io::duplex(bytes.len().max(1));
    let mut stream = Skipping::new(server);
    let mut read = Vec::new();
    let conversation = async {
        let mut buffer = vec![0; 7];
        for part in bytes.chunks(piece) {
            tokio::io::AsyncWriteExt::write_all(&mut client, part).await?;
            // As much as there is: it waits for more, and must not lose what it has.
            while let Some(length) = stream.read(&mut buffer).now_or_never() {
                read.extend_from_slice(&buffer[..length?]);
            }
        }
        drop(client);
        stream.read_to_end(&mut read).await?;
        io::Result::Ok(())
    };
    conversation.now_or_never().expect("everything is there")?;
    Ok(read)
}

const REQUEST: &[u8] = b"GET /ready HTTP/1.1\r\nHost: x\r\n\r\n";

#[test]
fn a_header_is_skipped_however_it_is_cut() {
    for header in headers() {
        let whole = [&header, REQUEST].concat();
        for piece in [1, 2, 5, 16, 17, 100, whole.len()] {
            assert_eq!(read(&whole, piece).unwrap(), REQUEST, "{}", header.escape_ascii());
        }
    }
}

#[test]
fn only_the_first_header_of_a_connection_is_skipped() {
    let header = b"PROXY UNKNOWN\r\n".as_slice();
    assert_eq!(read(&[header, header, REQUEST].concat(), 1000).unwrap(), [header, REQUEST].concat());
}

#[test]
fn what_is_no_header_comes_as_it_is() {
    let others: [&[u8]; 9] = [
        REQUEST,
        b"",
        b"P",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"POST /ready HTTP/1.1\r\n\r\n",
        b"PROXYING / HTTP/1.1\r\n\r\n",
        b"\r\n\r\nGET /live HTTP/1.1\r\n\r\n",
        b"\r\n\r\n\0\r\nQUIX\n",
        b"\x16\x03\x01",
    ];
    for bytes in others {
        for piece in [1, 3, 1000] {
            assert_eq!(read(bytes, piece).unwrap(), bytes, "{}", bytes.escape_ascii());
        }
    }
}

#[test]
fn an_invalid_header_ends_the_connection() {
    let lines = [
        "PROXY \r\n",
        "PROXY TCP4\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 56324\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443 x\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 56324 65536\r\n",
        "PROXY TCP4 2001:db8::1 2001:db8::2 56324 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100 56324 443\r\n",
        "PROXY TCP6 192.0.2.1 198.51.100.1 56324 443\r\n",
        "PROXY UDP4 192.0.2.1 198.51.100.1 56324 443\r\n",
        "PROXY unknown\r\n",
    ];
    let mut invalid: Vec<Vec<u8>> = lines.map(|line| line.as_bytes().to_vec()).into();
    invalid.push([b"PROXY UNKNOWN ".as_slice(), &[b'x'; LONGEST_LINE]].concat());
    invalid.push(b"PROXY TCP4 \xff\r\n".into());
    invalid.push(v2(0x22, 0x11, &[0; 12]));
    invalid.push(v2(0x11, 0x11, &[0; 12]));
    invalid.push(v2(0x21, 0x13, &[0; 12]));
    invalid.push(v2(0x21, 0x41, &[0; 12]));
    invalid.push(v2(0x21, 0x11, &[0; 11]));
    invalid.push(v2(0x21, 0x21, &[0; 12]));
    invalid.push(v2(0x21, 0x11, &[0; LONGEST_REST + 1]));
    invalid.push(v2(0x20, 0x00, &[0; 65_535]));
    for bytes in invalid {
        let error = read(&[&bytes, REQUEST].concat(), 1000).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{}", bytes.escape_ascii());
    }
}

proptest! {
    #[test]
    fn bytes_come_whole_or_not_at_all(header in prop::sample::select(headers()), cut in 0..5000_usize, rest: Vec<u8>, piece in 1..300_usize) {
        let cut = cut.min(header.len());
        let bytes = [&header[..cut], &rest].concat();
        if let Ok(read) = read(&bytes, piece) {
            prop_assert!(bytes.ends_with(&read), "{} of {}", read.escape_ascii(), bytes.escape_ascii());
        }
    }
}
