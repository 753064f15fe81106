//! A WebSocket (RFC 6455) as a client has it: as much as the demo app's `/echo` asks for.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// The opcodes of section 5.2 that matter.
const TEXT: u8 = 1;
const CLOSE: u8 = 8;

/// An open WebSocket to `/echo`. Dropped, it ends without a word, as a client does that is switched off.
pub struct WebSocket {
    connection: BufReader<TcpStream>,
}

impl WebSocket {
    /// Connects and shakes hands.
    ///
    /// # Errors
    /// If nothing listens, or what listens proves no WebSocket.
    pub async fn open(address: SocketAddr) -> io::Result<Self> {
        Self::over(TcpStream::connect(address).await?).await
    }

    /// Shakes hands over a connection that is there.
    ///
    /// # Errors
    /// If what listens proves no WebSocket.
    pub async fn over(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let mut connection = BufReader::new(stream);
        // Key and proof are the example of section 1.3.
        let request = "GET /echo HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
        connection.write_all(request.as_bytes()).await?;
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if connection.read_line(&mut head).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let proven = head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        if head.starts_with("HTTP/1.1 101 ") && proven { Ok(Self { connection }) } else { Err(io::Error::other(head)) }
    }

    /// Sends a short message and reads the one that comes back.
    ///
    /// # Errors
    /// If it does not come back as it was.
    pub async fn echo(&mut self, message: &str) -> io::Result<()> {
        self.frame(TEXT, message.as_bytes()).await
    }

    /// Closes it, as a client does that has nothing more to send.
    ///
    /// # Errors
    /// If the other side does not close it too.
    pub async fn close(mut self) -> io::Result<()> {
        self.frame(CLOSE, &1000_u16.to_be_bytes()).await
    }

    async fn frame(&mut self, opcode: u8, payload: &[u8]) -> io::Result<()> {
        let (mask, length) = ([1, 2, 3, 4], u8::try_from(payload.len()).expect("a short message"));
        let masked = payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask);
        let frame: Vec<u8> = [0x80 | opcode, 0x80 | length].into_iter().chain(mask).chain(masked).collect();
        self.connection.write_all(&frame).await?;
        let mut back = vec![0; payload.len() + 2];
        self.connection.read_exact(&mut back).await?;
        let same = back.first() == Some(&(0x80 | opcode)) && back.get(2..) == Some(payload);
        if same { Ok(()) } else { Err(io::Error::other(format!("another frame came back: {back:?}"))) }
    }
}
