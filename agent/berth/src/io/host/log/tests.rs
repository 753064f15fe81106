//! Standard error in every form: read, not read, never read again.

use std::io::{Read, Seek};
use std::os::unix::net::UnixStream;

use super::*;

const BOUND: Duration = Duration::from_secs(20);

/// Both ends of what a process may have as its standard error, by name.
fn outlets() -> Vec<(&'static str, File, LineWriter)> {
    let (pipe, pipe_s) = io::pipe().unwrap();
    let (socket, socket_s) = UnixStream::pair().unwrap();
    let (other, other_s) = io::pipe().unwrap();
    let mut waiting = Arc::into_inner(LineWriter::new(other_s.into()).0).unwrap();
    // As if it could not be opened again.
    waiting.at_once = AtOnce::Never;
    vec![
        ("a pipe", File::from(OwnedFd::from(pipe)), LineWriter::new(pipe_s.into())),
        ("a socket", File::from(OwnedFd::from(socket)), LineWriter::new(socket_s.into())),
        ("what can only be waited for", File::from(OwnedFd::from(other)), LineWriter(Arc::new(waiting))),
    ]
}

fn line(number: u64) -> Vec<u8> {
    format!("line {number} {}\n", "x".repeat(100)).into_bytes()
}

/// Reads so many lines, and looks at each: whole, and in their order.
fn numbers(reader: &mut File, count: u64) -> Vec<u64> {
    let mut numbers = Vec::new();
    let mut text = Vec::new();
    let mut part = [0; 4096];
    while (numbers.len() as u64) < count {
        let length = reader.read(&mut part).unwrap();
        assert!(length > 0, "it ended after {} lines", numbers.len());
        text.extend_from_slice(&part[..length]);
        while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
            let rest = text.split_off(end + 1);
            let number = std::str::from_utf8(&text).unwrap().split(' ').nth(1).unwrap().parse().unwrap();
            assert_eq!(text, line(number));
            numbers.push(number);
            text = rest;
        }
    }
    numbers
}

#[test]
fn a_line_that_is_taken_at_once_is_out_before_anything_follows_and_needs_no_thread() {
    for (name, mut reader, writer) in outlets() {
        if name == "what can only be waited for" {
            continue;
        }
        for number in 0..3 {
            writer.put(&line(number));
            assert_eq!(numbers(&mut reader, 1), [number], "{name}");
        }
        assert!(!writer.0.lock().has_thread, "{name}");
    }
}

#[test]
fn a_reader_that_does_not_read_stops_nobody_and_what_is_dropped_is_counted() {
    for (name, mut reader, writer) in outlets() {
        let all = 20_000;
        for number in 0..all {
            writer.put(&line(number));
        }
        let dropped = writer.dropped();
        assert!(dropped > 0 && dropped < all, "{name}: {dropped}");
        assert!(writer.0.lock().bytes <= QUEUE_BYTES + line(all).len(), "{name}");
        assert_eq!(writer.unreported(), 0, "{name}: not before the log has space for the report");
        assert!(!writer.flush_within(Duration::from_millis(10)), "{name}");

        let seen = numbers(&mut reader, all - dropped);
        assert!(seen.is_sorted_by(|one, next| one < next), "{name}: in their order");
        assert_eq!(seen.first(), Some(&0), "{name}: the oldest are kept");
        assert!(writer.flush_within(BOUND), "{name}");
        assert_eq!((writer.unreported(), writer.unreported()), (dropped, 0), "{name}");

        // It goes on as if nothing had been.
        writer.put(&line(all));
        assert_eq!(numbers(&mut reader, 1), [all], "{name}");
        assert_eq!(writer.dropped(), dropped, "{name}");
    }
}

#[test]
fn a_reader_that_is_gone_costs_lines_and_nothing_else() {
    for (name, reader, writer) in outlets() {
        drop(reader);
        for number in 0..3 {
            writer.put(&line(number));
        }
        assert!(writer.flush_within(BOUND), "{name}");
        assert_eq!(writer.dropped(), 3, "{name}");
    }
}

#[test]
fn a_line_longer_than_a_pipe_comes_whole() {
    for (name, mut reader, writer) in outlets() {
        let long = vec![b'x'; 1_000_000];
        writer.put(&long);
        let mut read = vec![0; long.len()];
        reader.read_exact(&mut read).unwrap();
        assert!(read == long, "{name}");
        assert!(writer.flush_within(BOUND), "{name}");
    }
}

#[test]
fn a_regular_file_gets_every_line() {
    let mut file = tempfile::tempfile().unwrap();
    let writer = LineWriter::new(file.try_clone().unwrap().into());
    for number in 0..100 {
        writer.put(&line(number));
    }
    assert!(writer.flush_within(BOUND));
    file.rewind().unwrap();
    assert_eq!(numbers(&mut file, 100), (0..100).collect::<Vec<_>>());
}
