//! The demo app: a small HTTP server on std alone, which build.rs compiles and the images carry.
//!
//! `/` `/health` `/sick` `/env/NAME` `/file?path=` `/args` `/cmdline` `/uid` `/slow?ms=` `/eat?mb=` `/exit?code=`
//! `/echo` (a WebSocket). Of an environment variable or a file it returns the SHA-256, so that a test can know that a secret arrived
//! without its being shown. As `demo-app probe` it asks its own `/health` and exits with 0 or 1. Environment: `PORT` (8080),
//! `START_DELAY_MS` (unwell for so long), `EXIT_AT_START` (a code to exit with at once, or after `EXIT_AFTER_MS`),
//! `SAY_AT_START` (variables that it prints at its start, as no app should).

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::ffi::OsStrExt;
use std::process::exit;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

#[path = "demo_app/websocket.rs"]
mod websocket;

static SICK: AtomicBool = AtomicBool::new(false);

fn main() {
    let port: u16 = number("PORT").unwrap_or(8080) as u16;
    if env::args().nth(1).as_deref() == Some("probe") {
        exit(if probe(port) { 0 } else { 1 });
    }
    for name in env::var("SAY_AT_START").iter().flat_map(|names| names.split(',')) {
        println!("demo-app: {name}={}", env::var(name).unwrap_or_default());
    }
    if let Some(code) = number("EXIT_AT_START") {
        thread::sleep(Duration::from_millis(number("EXIT_AFTER_MS").unwrap_or(0)));
        eprintln!("demo-app: EXIT_AT_START={code}");
        exit(code as i32);
    }
    let well_at = Instant::now() + Duration::from_millis(number("START_DELAY_MS").unwrap_or(0));
    let listener = match TcpListener::bind(("0.0.0.0", port)) {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("demo-app: cannot listen on port {port}: {error}");
            exit(1);
        }
    };
    println!("demo-app: listening on port {port}");
    for stream in listener.incoming().flatten() {
        thread::spawn(move || serve(stream, well_at));
    }
}

fn number(name: &str) -> Option<u64> {
    env::var(name).ok()?.parse().ok()
}

fn probe(port: u16) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line)?;
        Ok(line.starts_with("HTTP/1.1 200"))
    };
    ask().unwrap_or(false)
}

fn serve(stream: TcpStream, well_at: Instant) {
    let Ok(mut writer) = stream.try_clone() else { return };
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let (mut close, mut length, mut key) = (false, 0_u64, None);
        loop {
            let mut header = String::new();
            if reader.read_line(&mut header).unwrap_or(0) == 0 {
                return;
            }
            let (name, value) = header.split_once(':').unwrap_or((&header, ""));
            match name.trim().to_ascii_lowercase().as_str() {
                "" => break,
                "connection" => close = value.trim().eq_ignore_ascii_case("close"),
                "content-length" => length = value.trim().parse().unwrap_or(0),
                "sec-websocket-key" => key = Some(value.trim().to_owned()),
                _ => {}
            }
        }
        let _ = std::io::copy(&mut (&mut reader).take(length), &mut std::io::sink());
        let mut words = line.split_whitespace();
        let (method, target) = (words.next().unwrap_or(""), words.next().unwrap_or("/"));
        if let ("/echo", Some(key)) = (target, key) {
            let _ = websocket::echo(&key, &mut reader, &mut writer);
            return;
        }
        let (status, body) = answer(method, target, well_at);
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: {}\r\n\r\n",
            body.len(),
            if close { "close" } else { "keep-alive" }
        );
        if writer.write_all(&[head.as_bytes(), &body].concat()).is_err() || close {
            return;
        }
    }
}

fn answer(method: &str, target: &str, well_at: Instant) -> (&'static str, Vec<u8>) {
    const OK: &str = "200 OK";
    const NOT_FOUND: &str = "404 Not Found";
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let parameter = |name: &str| {
        query.split('&').filter_map(|pair| pair.split_once('=')).find(|pair| pair.0 == name).map(|pair| pair.1)
    };
    let figure = |name: &str| parameter(name).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    match path {
        "/" => {
            let version = env::var("BERTH_VERSION").unwrap_or_else(|_| "?".into());
            (OK, format!("hello from berth's demo app, version {version}\n").into())
        }
        "/health" if SICK.load(Ordering::Relaxed) => ("503 Service Unavailable", b"sick\n".into()),
        "/health" if Instant::now() < well_at => ("503 Service Unavailable", b"starting\n".into()),
        "/health" => (OK, b"well\n".into()),
        "/sick" if method == "POST" => {
            SICK.store(true, Ordering::Relaxed);
            (OK, b"sick after this\n".into())
        }
        "/args" => (OK, env::args().collect::<Vec<_>>().join("\n").into()),
        "/cmdline" => (OK, fs::read("/proc/self/cmdline").unwrap_or_default()),
        "/uid" => {
            let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap_or("");
            (OK, line.split_whitespace().next().unwrap_or("?").into())
        }
        "/file" => match fs::read(parameter("path").unwrap_or("")) {
            Ok(bytes) => (OK, sha256_hex(&bytes).into()),
            Err(error) => (NOT_FOUND, error.to_string().into()),
        },
        "/slow" => {
            thread::sleep(Duration::from_millis(figure("ms")));
            (OK, b"at last\n".into())
        }
        "/eat" => {
            std::mem::forget(vec![1_u8; (figure("mb") as usize) << 20]);
            (OK, b"eaten\n".into())
        }
        "/exit" => {
            eprintln!("demo-app: asked to exit with {}", figure("code"));
            exit(figure("code") as i32)
        }
        _ => match path.strip_prefix("/env/").and_then(env::var_os) {
            Some(value) => (OK, sha256_hex(value.as_bytes()).into()),
            None => (NOT_FOUND, b"not found\n".into()),
        },
    }
}

/// SHA-256 (FIPS 180-4); std has none. Its constants are the fractions of the roots of the first primes.
fn sha256_hex(message: &[u8]) -> String {
    let fraction = |root: f64| (root.fract() * 4_294_967_296.0) as u32;
    let primes: Vec<u32> = (2..312).filter(|n| (2..*n).all(|d| n % d != 0)).collect();
    let k: Vec<u32> = primes.iter().map(|&p| fraction(f64::from(p).cbrt())).collect();
    let mut state: Vec<u32> = primes[..8].iter().map(|&p| fraction(f64::from(p).sqrt())).collect();
    let mut padded = message.to_vec();
    padded.push(0x80);
    while padded.len() % 64 != 56 {
        padded.push(0);
    }
    padded.extend((message.len() as u64 * 8).to_be_bytes());
    for block in padded.chunks_exact(64) {
        let mut w: Vec<u32> = block.chunks_exact(4).map(|c| u32::from_be_bytes([c[0], c[1], c[2], c[3]])).collect();
        for i in 16..64 {
            let s0 = w[i - 15].rotate_right(7) ^ w[i - 15].rotate_right(18) ^ (w[i - 15] >> 3);
            let s1 = w[i - 2].rotate_right(17) ^ w[i - 2].rotate_right(19) ^ (w[i - 2] >> 10);
            w.push(w[i - 16].wrapping_add(s0).wrapping_add(w[i - 7]).wrapping_add(s1));
        }
        let mut v = state.clone();
        for i in 0..64 {
            let s1 = v[4].rotate_right(6) ^ v[4].rotate_right(11) ^ v[4].rotate_right(25);
            let choice = (v[4] & v[5]) ^ (!v[4] & v[6]);
            let t1 = v[7].wrapping_add(s1).wrapping_add(choice).wrapping_add(k[i]).wrapping_add(w[i]);
            let s0 = v[0].rotate_right(2) ^ v[0].rotate_right(13) ^ v[0].rotate_right(22);
            let t2 = s0.wrapping_add((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
            v.rotate_right(1);
            v[4] = v[4].wrapping_add(t1);
            v[0] = t1.wrapping_add(t2);
        }
        for (sum, value) in state.iter_mut().zip(v) {
            *sum = sum.wrapping_add(value);
        }
    }
    state.iter().map(|word| format!("{word:08x}")).collect()
}
