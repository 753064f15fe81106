//! The address of the endpoint: moved, inherited, given up.

use super::*;

#[tokio::test]
async fn moving_binds_the_new_address_before_the_old_one_is_left() {
    let (mut serving, _sender) = start(LIMITS);
    let first = serving.local_addr();
    assert_eq!(serving.move_to(first).await.unwrap(), first);

    let second = serving.move_to("127.0.0.2:0".parse().unwrap()).await.unwrap();
    assert_ne!(second, first);
    assert!(ask(second, "GET", "/live").await.starts_with("HTTP/1.1 200 "));
    gone(first).await;

    // Asked again for port 0, it is where it was asked to be.
    assert_eq!(serving.move_to("127.0.0.2:0".parse().unwrap()).await.unwrap(), second);
}

#[tokio::test]
async fn moving_to_all_addresses_of_the_same_port_and_back_works() {
    let (mut serving, _sender) = start(LIMITS);
    let port = serving.local_addr().port();
    let everywhere = serving.move_to(SocketAddr::new([0, 0, 0, 0].into(), port)).await.unwrap();
    assert_eq!(everywhere.to_string(), format!("0.0.0.0:{port}"));
    assert!(ask(SocketAddr::new([127, 0, 0, 3].into(), port), "GET", "/live").await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn the_old_address_is_taken_back_when_the_new_one_of_its_port_cannot_be_had() {
    // Somebody else has the port on another address, so all addresses together cannot be had.
    let other = std::net::TcpListener::bind("127.0.0.9:0").unwrap();
    let port = other.local_addr().unwrap().port();
    let here = SocketAddr::new([127, 0, 0, 8].into(), port);
    let (_sender, receiver) = watch::channel(Arc::default());
    let mut serving = Endpoint::bind(here).unwrap().serve(receiver);
    let error = serving.move_to(SocketAddr::new([0, 0, 0, 0].into(), port)).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Transient);
    assert_eq!(serving.local_addr(), here);
    assert!(ask(here, "GET", "/live").await.starts_with("HTTP/1.1 200 "));
}

/// An endpoint on a listener of another, whose queue is open.
fn inherit() -> (RunningEndpoint, watch::Sender<Arc<Published>>) {
    let (sender, receiver) = watch::channel(Arc::new(published(Status::Starting)));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    (Endpoint::inherit(listener).unwrap().serve(receiver), sender)
}

#[tokio::test]
async fn an_inherited_endpoint_waits_with_ready_for_the_end_of_the_start() {
    let (serving, sender) = inherit();
    let address = serving.local_addr();
    let found = async {
        assert!(ask(address, "GET", "/live").await.starts_with("HTTP/1.1 200 "));
        sender.send_replace(Arc::new(published(Status::Ok)));
    };
    let (answer, ()) = tokio::join!(ask(address, "GET", "/ready"), found);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn an_inherited_endpoint_does_not_wait_for_long() {
    let (serving, _sender) = inherit();
    assert!(ask(serving.local_addr(), "GET", "/ready").await.starts_with("HTTP/1.1 503 "));
}

#[tokio::test]
async fn a_retired_endpoint_answers_its_connections_and_keeps_its_queue() {
    let (serving, sender) = start(Limits { head: Duration::from_secs(3600), ..LIMITS });
    sender.send_replace(Arc::new(published(Status::Ok)));
    let address = serving.local_addr();
    let question = b"GET /ready HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut early = TcpStream::connect(address).await.unwrap();
    // It has been accepted when another that came after it was answered.
    assert!(ask(address, "GET", "/live").await.starts_with("HTTP/1.1 200 "));
    let ask_late = async {
        early.write_all(question).await.unwrap();
        hear(&mut early).await
    };
    let (kept, answer) = tokio::join!(serving.retire(), ask_late);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.to_lowercase().contains("connection: close\r\n"), "{answer}");

    let mut late = TcpStream::connect(address).await.unwrap();
    late.write_all(question).await.unwrap();
    let listener = Arc::into_inner(kept.unwrap()).unwrap().into_std().unwrap();
    let (_sender, receiver) = watch::channel(Arc::new(published(Status::Ok)));
    let next = Endpoint::inherit(listener).unwrap().serve_within(LIMITS, receiver);
    assert_eq!(next.local_addr(), address);
    let mut heard = [0; 12];
    timeout(BOUND, late.read_exact(&mut heard)).await.unwrap().unwrap();
    assert_eq!(&heard, b"HTTP/1.1 200");
}

#[tokio::test]
async fn a_slow_client_does_not_keep_an_endpoint_from_retiring() {
    let (serving, _sender) = start(Limits { head: Duration::from_secs(3600), ..LIMITS });
    let mut slow = TcpStream::connect(serving.local_addr()).await.unwrap();
    slow.write_all(b"GET /live HTTP/1.1\r\nHost: ").await.unwrap();
    assert!(ask(serving.local_addr(), "GET", "/live").await.starts_with("HTTP/1.1 200 "));
    assert!(timeout(BOUND, serving.retire()).await.unwrap().is_some());
}

#[tokio::test]
async fn an_inherited_endpoint_is_where_its_config_asks_for_it() {
    let (mut serving, _sender) = inherit();
    let address = serving.local_addr();
    assert_eq!(serving.move_to(address).await.unwrap(), address);
    assert_eq!(serving.move_to("127.0.0.1:0".parse().unwrap()).await.unwrap(), address, "any port will do");
    assert_ne!(serving.move_to("127.0.0.2:0".parse().unwrap()).await.unwrap(), address);
    gone(address).await;
}

#[tokio::test]
async fn an_address_that_cannot_be_had_leaves_the_endpoint_where_it_is() {
    let (mut serving, _sender) = start(LIMITS);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let error = serving.move_to(taken.local_addr().unwrap()).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Transient);
    let error = serving.move_to("192.0.2.1:9911".parse().unwrap()).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Misconfigured);
    assert_eq!(error.to_string(), "cannot listen on 192.0.2.1:9911 (`listen`)");
    assert!(ask(serving.local_addr(), "GET", "/live").await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_dropped_endpoint_finishes_and_frees_its_address() {
    let (serving, _sender) = start(Limits { head: Duration::from_secs(3600), ..LIMITS });
    let address = serving.local_addr();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /ready HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut first = [0; 1];
    stream.read_exact(&mut first).await.unwrap();
    drop(serving);
    // The idle connection is ended, not reset.
    assert!(hear(&mut stream).await.starts_with("TTP/1.1 503 "));
    gone(address).await;
}

async fn gone(address: SocketAddr) {
    let refused = async { while TcpStream::connect(address).await.is_ok() {} };
    timeout(BOUND, refused).await.expect("the address is left");
}
