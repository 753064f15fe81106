//! The digest of a tag, by an engine on this machine.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixListener;
use std::path::Path;

use berth::io::aws::document::Document;

use super::{DIGEST, Fleet, OTHER, text};

/// An engine that knows the digest of every tag, and nothing else; what it was asked, line by line.
fn knows_digests(socket: &Path, digest: &'static str) -> std::sync::mpsc::Receiver<String> {
    let listener = UnixListener::bind(socket).unwrap();
    let (asked, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let Some(Ok(request)) = lines.next() else { continue };
            for line in lines.by_ref() {
                if line.unwrap().is_empty() {
                    break;
                }
            }
            let body = match request.contains("/distribution/") {
                true => format!("{{\"Descriptor\":{{\"digest\":\"{digest}\",\"size\":1}},\"Platforms\":[]}}"),
                false => "{\"ApiVersion\":\"1.47\",\"MinAPIVersion\":\"1.24\"}".to_owned(),
            };
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            let _ = asked.send(request);
        }
    });
    receiver
}

#[tokio::test]
async fn a_tag_is_published_with_its_digest_and_the_tag_is_kept() {
    let fleet = Fleet::start().await;
    let asked = knows_digests(&fleet.engine(), OTHER);
    let tagged = fleet.line("r.example/team/x:1", "env.A=b").replace(&format!("@{DIGEST}"), "");
    fleet.publish(&tagged, &[]);
    let line = |document: &Document| text(document).lines().nth(1).unwrap().to_owned() + "\n";
    let with = |tag: &str| tagged.replace("x:1", &format!("x:{tag}@{OTHER}"));
    assert_eq!(line(&fleet.current().await), with("1"));
    assert_eq!(fleet.run(&["publish", "r.example/team/x:2"]).code, 0);
    assert_eq!(line(&fleet.current().await), with("2"));
    let asked: Vec<String> = asked.try_iter().filter(|request| request.contains("/distribution/")).collect();
    assert!(asked.len() == 2 && asked[1].contains("/distribution/r.example/team/x:2/json"), "{asked:?}");
    // The same image again is another release.
    let before = fleet.current().await.release.id;
    assert_eq!(fleet.run(&["publish", &format!("r.example/team/x:2@{OTHER}"), "--notes", "again"]).code, 0);
    let again = fleet.current().await;
    assert_eq!((line(&again), again.release.previous), (with("2"), Some(before)));
}
