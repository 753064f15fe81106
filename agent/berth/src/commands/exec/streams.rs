//! Standard input, output and error. Reading and writing them may block without a bound, and a signal must be handled meanwhile, so
//! they have threads of their own, which end with the process.
//!
//! Little is buffered between a thread and the connection: a reader that does not read blocks the writer.

use std::io::{self, Read, Write};
use std::thread;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};

use crate::io::docker::exec_output::{Channel, Frames, NoFrame};

/// Bytes that are read at once.
const CHUNK: usize = 64 * 1024;
/// Pieces in the queue at most.
const WAITING: usize = 4;

/// How the output ended.
#[derive(Debug)]
pub(super) enum OutputEnd {
    /// All of it was written.
    Complete,
    /// The connection ended within a piece.
    Truncated,
    /// The connection broke.
    ConnectionLost(io::Error),
    /// A frame is invalid.
    InvalidFrame(NoFrame),
    /// This process's standard output or standard error did not take it.
    WriteFailed(Channel, io::Error),
}

/// Forwards standard input to its end, and then closes the command's input.
pub(super) async fn send_input(mut connection: OwnedWriteHalf) {
    let mut chunks = match read_stdin() {
        Ok(chunks) => chunks,
        // No thread: the command gets an empty input.
        Err(_) => return,
    };
    while let Some(chunk) = chunks.recv().await {
        // The command has ended, or has closed its input.
        if connection.write_all(&chunk).await.is_err() {
            return;
        }
    }
    let _ = connection.shutdown().await;
}

fn read_stdin() -> io::Result<mpsc::Receiver<Bytes>> {
    let (sender, receiver) = mpsc::channel(WAITING);
    let read = move || {
        let (mut stdin, mut chunk) = (io::stdin(), vec![0; CHUNK]);
        loop {
            match stdin.read(&mut chunk) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // A closed terminal is the end as well.
                Ok(0) | Err(_) => return,
                Ok(length) => {
                    let Some(read) = chunk.get(..length) else { return };
                    if sender.blocking_send(Bytes::copy_from_slice(read)).is_err() {
                        return;
                    }
                }
            }
        }
    };
    thread::Builder::new().name("stdin".into()).spawn(read)?;
    Ok(receiver)
}

/// Writes the command's output until it ends.
pub(super) async fn receive_output(begun: &[u8], mut connection: OwnedReadHalf, terminal: bool) -> OutputEnd {
    let (pieces, waiting) = mpsc::channel(WAITING);
    let (ended, end) = oneshot::channel();
    let write = move || {
        let _ = ended.send(write_pieces(waiting, terminal));
    };
    if let Err(error) = thread::Builder::new().name("output".into()).spawn(write) {
        return OutputEnd::WriteFailed(Channel::Output, error);
    }
    let mut frames = Frames::new(terminal);
    let mut received = BytesMut::from(begun);
    let end_of_connection = loop {
        match frames.next(&mut received) {
            Ok(Some(piece)) => {
                if pieces.send(piece).await.is_err() {
                    // The thread's result says why.
                    break OutputEnd::Complete;
                }
            }
            Ok(None) => {
                received.reserve(CHUNK);
                match connection.read_buf(&mut received).await {
                    Ok(0) if frames.is_incomplete(&received) => break OutputEnd::Truncated,
                    Ok(0) => break OutputEnd::Complete,
                    Ok(_) => {}
                    Err(error) => break OutputEnd::ConnectionLost(error),
                }
            }
            Err(invalid) => break OutputEnd::InvalidFrame(invalid),
        }
    };
    drop(pieces);
    match end.await {
        Ok(Err((channel, error))) => OutputEnd::WriteFailed(channel, error),
        Ok(Ok(())) | Err(_) => end_of_connection,
    }
}

/// Writes the pieces in order, until a write fails.
fn write_pieces(mut pieces: mpsc::Receiver<(Channel, BytesMut)>, terminal: bool) -> Result<(), (Channel, io::Error)> {
    // std's handle of standard output buffers what follows the last newline.
    let mut output = unbuffered(io::stdout()).map_err(|error| (Channel::Output, error))?;
    let mut errors =
        if terminal { None } else { Some(unbuffered(io::stderr()).map_err(|error| (Channel::Error, error))?) };
    while let Some((channel, piece)) = pieces.blocking_recv() {
        let written = match (channel, &mut errors) {
            (Channel::Error, Some(errors)) => errors.write_all(&piece),
            _ => output.write_all(&piece),
        };
        written.map_err(|error| (channel, error))?;
    }
    Ok(())
}

fn unbuffered(stream: impl std::os::fd::AsFd) -> io::Result<std::fs::File> {
    Ok(stream.as_fd().try_clone_to_owned()?.into())
}
