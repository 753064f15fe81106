//! The HTTP client through a proxy, which is Debian's squid, and with a CA bundle.

use std::error::Error as _;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use berth::io::aws::imds::Imds;
use berth::io::http::dns::Resolver;
use berth::io::http::{Http, HttpError, ProxyError, TrustError};
use berth_config::{Layers, Network};
use berth_core::message::error::{ErrorClass, JobError};
use berth_kit::certificate::Certificate;
use berth_kit::proxy::{FORBIDDEN, PASSWORD, Proxy, TlsFront, USERNAME};
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::server::{Server, answer};

const LONG: Duration = Duration::from_secs(20);
const NAME: &str = "aws.berth.test";
/// The server behind it, without TLS.
const PLAIN: &str = "plain.berth.test";

/// A host file that knows these names and a resolver that asks nobody else.
struct Names {
    files: TempDir,
}

impl Names {
    fn of(names: &[(&str, SocketAddr)]) -> Self {
        let files = tempfile::tempdir().unwrap();
        let hosts: String = names.iter().map(|(name, at)| format!("{} {name}\n", at.ip())).collect();
        std::fs::write(files.path().join("hosts"), hosts).unwrap();
        Self { files }
    }

    fn resolver(&self) -> Resolver {
        let path = |name| self.files.path().join(name);
        Resolver { hosts: path("hosts"), resolv_conf: path("resolv.conf"), ..Resolver::default() }
    }
}

/// A client with this environment that knows no names.
fn client(environment: &[(&str, &str)]) -> Http {
    client_with(environment, &Names::of(&[]))
}

fn client_with(environment: &[(&str, &str)], names: &Names) -> Http {
    let env = |name: &str| environment.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    Http::from_env(&env, names.resolver()).unwrap()
}

async fn get(http: &Http, url: &str) -> Result<Bytes, HttpError> {
    let request = Request::get(url).body(Full::default()).unwrap();
    http.send(request, LONG, 1000).await.map(|answer| answer.into_body())
}

/// What a person reads of it.
fn sentence(error: &HttpError) -> String {
    JobError::from_error(error.class(), error).reason
}

fn of_proxy(error: &HttpError) -> &ProxyError {
    match error {
        HttpError::Proxy { source, .. } => source,
        other => panic!("{other:?}"),
    }
}

fn network(words: &str) -> Network {
    let mut layers = Layers::new();
    layers.add_user_data(format!("berth image=x:1 {words}").as_bytes());
    layers.network().unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

async fn hello() -> Server {
    Server::start(|_| answer(200, "hello")).await
}

fn address(server: &Server) -> SocketAddr {
    server.base.strip_prefix("http://").unwrap().parse().unwrap()
}

/// A server behind TLS for a name that only the proxy knows.
async fn behind_tls() -> (Server, TlsFront) {
    let server = hello().await;
    let front = TlsFront::start(NAME, address(&server)).await;
    (server, front)
}

#[tokio::test]
async fn an_https_host_is_reached_through_a_tunnel() {
    let (server, front) = behind_tls().await;
    let proxy = Proxy::open(&[front.named()]).await;
    let bundle = ("AWS_CA_BUNDLE", text(&front.certificate.pem));
    let http = client(&[("HTTPS_PROXY", &proxy.url()), bundle]);
    for _ in 0..3 {
        assert_eq!(get(&http, &front.url()).await.unwrap(), "hello");
    }
    drop(http);
    // One tunnel for all of them, and in it requests as to anybody.
    let tunnel = format!("CONNECT {NAME}:{} 200 -", front.address.port());
    proxy.asked(|requests| requests == [tunnel.as_str()]).await;
    let seen = server.seen();
    assert_eq!((server.asked().len(), seen[0].path.as_str()), (3, "/"));
    assert!(!seen[0].headers.contains_key("proxy-authorization"), "{:?}", seen[0].headers);

    // The control: without the proxy there is no way.
    let error = get(&client(&[bundle]), &front.url()).await.unwrap_err();
    assert!(matches!(error, HttpError::Resolve { .. }), "{error:?}");
    assert_eq!((server.asked().len(), proxy.requests().len()), (3, 1));
}

#[tokio::test]
async fn a_proxy_that_asks_for_a_password_gets_it_and_no_other_server_does() {
    let (server, front) = behind_tls().await;
    let proxy = Proxy::with_password(&[front.named(), (PLAIN, address(&server))]).await;
    let bundle = ("AWS_CA_BUNDLE", text(&front.certificate.pem));
    let plain = format!("http://{PLAIN}:{}/x", address(&server).port());
    let all = client(&[("ALL_PROXY", &proxy.url_with_login()), bundle]);
    assert_eq!(get(&all, &front.url()).await.unwrap(), "hello");
    assert_eq!(get(&all, &plain).await.unwrap(), "hello");
    drop(all);
    let seen = server.seen();
    assert_eq!(seen[1].path, "/x");
    assert!(seen.iter().all(|seen| !seen.headers.contains_key("proxy-authorization")), "{seen:?}");
    let tunnel = format!("CONNECT {NAME}:{} 200 {USERNAME}", front.address.port());
    proxy
        .asked(|requests| requests.contains(&tunnel) && requests.contains(&format!("GET {plain} 200 {USERNAME}")))
        .await;

    for login in ["", "berth@", "berth:hunter2@"] {
        let url = format!("http://{login}{}", proxy.address);
        let http = client(&[("HTTPS_PROXY", &url), ("HTTP_PROXY", &url), bundle]);
        for (target, what) in
            [(front.url(), format!("CONNECT {NAME}:{}", front.address.port())), (plain.clone(), "the request".into())]
        {
            let error = get(&http, &target).await.unwrap_err();
            assert!(matches!(of_proxy(&error), ProxyError::Refused { .. }), "{error:?}");
            assert_eq!(error.class(), ErrorClass::Misconfigured);
            let message = sentence(&error);
            let refused = format!(
                "the proxy http://{} refused {what} with 407 Proxy Authentication Required: set its user",
                proxy.address
            );
            assert!(message.contains(&refused) && !message.contains("hunter2"), "{message}");
        }
    }
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn what_the_proxy_refuses_is_reported_as_the_proxy_s() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let proxy = Proxy::open(&[(NAME, closed)]).await;
    let http = client(&[("HTTPS_PROXY", &proxy.url())]);
    for (host, status, class) in [
        (format!("{FORBIDDEN}:443"), "403 Forbidden", ErrorClass::Misconfigured),
        (format!("{NAME}:{}", closed.port()), "503 Service Unavailable", ErrorClass::Transient),
    ] {
        let error = get(&http, &format!("https://{host}")).await.unwrap_err();
        assert_eq!(error.class(), class, "{error:?}");
        let message = sentence(&error);
        let expected =
            format!("cannot reach https://{host}: the proxy {} refused CONNECT {host} with {status}: ", proxy.url());
        assert!(message.starts_with(&expected), "{message}");
    }
}

#[tokio::test]
async fn a_proxy_that_is_down_or_unknown_is_reported_with_its_own_address() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for (proxy, message) in [
        (
            format!("http://u:hunter2@127.0.0.1:{port}"),
            format!("cannot connect to the proxy http://127.0.0.1:{port}: Connection refused (os error 111)"),
        ),
        (
            "http://u:hunter2@proxy.berth.test:3128".to_owned(),
            "cannot reach the proxy http://proxy.berth.test:3128: proxy.berth.test was not resolved: ".to_owned(),
        ),
    ] {
        let error = get(&client(&[("HTTPS_PROXY", &proxy)]), "https://x.berth.test/secret").await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::Transient);
        let expected = format!("cannot reach https://x.berth.test: {message}");
        assert!(sentence(&error).starts_with(&expected), "{}", sentence(&error));
    }
}

/// Accepts one connection, reads the request, and says this; then it hangs, or with `closes` it ends the connection.
async fn one_answer(bytes: &'static [u8], closes: bool) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 4096];
        let _ = stream.read(&mut request).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        if !closes {
            std::future::pending::<()>().await;
        }
    });
    url
}

#[tokio::test]
async fn a_proxy_that_says_nothing_of_use_is_a_transient_error_of_its_own() {
    for bytes in [&b""[..], b"SSH-2.0-x\r\n", b"HTTP/1.1 200", b"\x16\x03\x01"] {
        let proxy = one_answer(bytes, true).await;
        let error = get(&client(&[("HTTPS_PROXY", &proxy)]), "https://x.berth.test").await.unwrap_err();
        assert!(matches!(of_proxy(&error), ProxyError::Broken { .. }), "{error:?}");
        assert_eq!(error.class(), ErrorClass::Transient);
        let message = sentence(&error);
        assert!(
            message
                .starts_with(&format!("cannot reach https://x.berth.test: the proxy {proxy} did not answer CONNECT: ")),
            "{message}"
        );
    }
    let proxy = one_answer(b"", false).await;
    let http = client(&[("HTTPS_PROXY", &proxy)]);
    let request = Request::get("https://x.berth.test/secret").body(Full::default()).unwrap();
    let error = http.send(request, Duration::from_millis(50), 5).await.unwrap_err();
    assert_eq!(error.to_string(), format!("https://x.berth.test through the proxy {proxy} did not answer within 50ms"));
    // What it says behind its answer is the host's, and that is no TLS.
    let proxy = one_answer(b"HTTP/1.1 200 OK\r\n\r\nhello, I am no TLS", true).await;
    let certificate = Certificate::of("x.berth.test");
    let http = client(&[("HTTPS_PROXY", &proxy), ("AWS_CA_BUNDLE", text(&certificate.pem))]);
    let error = get(&http, "https://x.berth.test").await.unwrap_err();
    assert!(
        matches!(&error, HttpError::Tls { to, .. } if to.ends_with(&format!("through the proxy {proxy}"))),
        "{error:?}"
    );
}

#[tokio::test]
async fn an_exception_is_reached_directly() {
    let server = hello().await;
    let at = address(&server);
    let names = [("a.berth.test", at), ("b.berth.test", at)];
    let proxy = Proxy::open(&names).await;
    let url = |host: &str| format!("http://{host}:{}/", at.port());
    let names = Names::of(&names);
    for (exceptions, host, is_proxied) in [
        ("", "a.berth.test", true),
        ("a.berth.test", "a.berth.test", false),
        ("a.berth.test", "b.berth.test", true),
        ("example.com, .berth.test", "b.berth.test", false),
        ("erth.test", "a.berth.test", true),
        ("10.0.0.0/8", "a.berth.test", true),
        ("*", "a.berth.test", false),
    ] {
        let http = client_with(&[("HTTP_PROXY", &proxy.url()), ("NO_PROXY", exceptions)], &names);
        let before = proxy.requests().len();
        assert_eq!(get(&http, &url(host)).await.unwrap(), "hello");
        let expected = before + usize::from(is_proxied);
        proxy.asked(|requests| requests.len() == expected).await;
        assert_eq!(
            server.seen().last().unwrap().headers.contains_key("via"),
            is_proxied,
            "NO_PROXY={exceptions:?} {host}"
        );
    }
}

#[tokio::test]
async fn the_metadata_and_loopback_are_asked_of_no_proxy() {
    let server =
        Server::start(|seen| answer(200, if seen.method == "PUT" { "token" } else { "i-0123456789abcdef0" })).await;
    let names = [("metadata.berth.test", address(&server))];
    let proxy = Proxy::open(&names).await;
    let names = Names::of(&names);
    let http = client_with(&[("ALL_PROXY", &proxy.url()), ("NO_PROXY", "")], &names);
    let base = format!("http://metadata.berth.test:{}", address(&server).port());
    // Wherever the metadata are: by a name that only this host knows, too.
    let imds = Imds::at(&base.parse().unwrap(), http.clone());
    assert!(imds.user_data().await.unwrap().is_some());
    http.configure(&network("https_proxy=http://127.0.0.1:1 no_proxy="));
    assert!(imds.user_data().await.unwrap().is_some());
    for url in [&server.base, &server.base.replace("127.0.0.1", "localhost")] {
        get(&http, url).await.unwrap();
    }
    assert!(server.seen().iter().all(|seen| !seen.headers.contains_key("via")), "{:?}", server.seen());
    assert!(proxy.requests().is_empty(), "{:?}", proxy.requests());
    // The control: the same address is proxied for anybody else.
    get(&http, &base).await.unwrap();
    assert!(server.seen().last().unwrap().headers.contains_key("via"));
    proxy.asked(|requests| requests.len() == 1).await;
}

#[tokio::test]
async fn what_the_config_says_counts_from_the_next_request_on() {
    let (_server, front) = behind_tls().await;
    let [first, second] = [Proxy::open(&[front.named()]).await, Proxy::open(&[front.named()]).await];
    let names = Names::of(&[front.named()]);
    let http = client_with(&[("HTTPS_PROXY", &first.url())], &names);
    let bundle = format!("ca_bundle={}", text(&front.certificate.pem));
    let error = get(&http, &front.url()).await.unwrap_err();
    assert!(matches!(error, HttpError::Tls { .. }), "{error:?}");
    http.configure(&network(&bundle));
    assert_eq!(get(&http.clone(), &front.url()).await.unwrap(), "hello");
    // No connection of before is used again.
    http.configure(&network(&format!("{bundle} https_proxy={}", second.url())));
    assert_eq!(get(&http, &front.url()).await.unwrap(), "hello");
    first.asked(|requests| requests.len() == 2).await;
    http.configure(&network(&format!("{bundle} https_proxy={} no_proxy=.berth.test", second.url())));
    assert_eq!(get(&http, &front.url()).await.unwrap(), "hello");
    assert_eq!(http.route(&front.url()).to_string(), "directly (no_proxy)");
    second.asked(|requests| requests.len() == 1).await;
    // The environment again.
    http.configure(&network(&bundle));
    assert_eq!(get(&http, &front.url()).await.unwrap(), "hello");
    drop(http);
    first.asked(|requests| requests.len() == 3).await;
    assert_eq!(second.requests().len(), 1);
}

#[tokio::test]
async fn a_proxy_is_spoken_to_over_tls_if_its_url_says_so() {
    let (server, front) = behind_tls().await;
    let plain = format!("http://{PLAIN}:{}/", address(&server).port());
    let proxy = Proxy::with_tls(&[front.named(), (PLAIN, address(&server))]).await;
    let names = Names::of(&[("proxy.berth.test", proxy.address)]);
    let certificate = proxy.certificate.as_ref().unwrap();
    let both = [certificate, &front.certificate].map(|of| std::fs::read_to_string(&of.pem).unwrap()).concat();
    let bundle = names.files.path().join("both.pem");
    std::fs::write(&bundle, both).unwrap();
    let url = proxy
        .url_with_login()
        .replace(&proxy.address.ip().to_string(), "proxy.berth.test")
        .replace("http://", "https://");
    let http = client_with(&[("ALL_PROXY", &url), ("AWS_CA_BUNDLE", text(&bundle))], &names);
    assert_eq!(get(&http, &front.url()).await.unwrap(), "hello");
    assert_eq!(get(&http, &plain).await.unwrap(), "hello");
    drop(http);
    proxy.asked(|requests| requests.len() == 2 && requests.iter().all(|request| request.ends_with(" 200 berth"))).await;

    // A certificate that is not trusted is the proxy's.
    let http = client_with(&[("HTTPS_PROXY", &url), ("AWS_CA_BUNDLE", text(&front.certificate.pem))], &names);
    let error = get(&http, &front.url()).await.unwrap_err();
    assert!(matches!(of_proxy(&error), ProxyError::Tls { .. }), "{error:?}");
    assert_eq!(error.class(), ErrorClass::Misconfigured);
    let expected = format!("TLS handshake with the proxy https://proxy.berth.test:{} failed: ", proxy.address.port());
    assert!(sentence(&error).contains(&expected) && !sentence(&error).contains(PASSWORD), "{}", sentence(&error));
}

#[tokio::test]
async fn a_ca_bundle_replaces_what_the_host_trusts_and_the_config_s_comes_first() {
    let (_server, front) = behind_tls().await;
    let names = Names::of(&[front.named()]);
    let (good, other) = (&front.certificate, Certificate::of("other.berth.test"));
    let empty = names.files.path().join("empty.pem");
    std::fs::write(&empty, "# nothing\n").unwrap();
    let missing = names.files.path().join("missing.pem");
    let ask = async |variable: Option<&Path>, key: Option<&Path>| {
        let variables: Vec<_> = variable.iter().map(|file| ("AWS_CA_BUNDLE", text(file))).collect();
        let http = client_with(&variables, &names);
        http.configure(&network(&key.map(|file| format!("ca_bundle={}", text(file))).unwrap_or_default()));
        get(&http, &front.url()).await
    };
    for (variable, key) in [(Some(&good.pem), None), (None, Some(&good.pem)), (Some(&missing), Some(&good.pem))] {
        assert_eq!(ask(variable.map(|file| file.as_path()), key.map(|file| file.as_path())).await.unwrap(), "hello");
    }
    for (variable, key) in [(None, None), (Some(&*other.pem), None), (Some(&*good.pem), Some(&*other.pem))] {
        let error = ask(variable, key).await.unwrap_err();
        assert!(matches!(error, HttpError::Tls { .. }), "{error:?}");
        assert_eq!(error.class(), ErrorClass::Misconfigured);
    }
    for (file, message) in [
        (&*missing, "cannot read the CA bundle FILE (FROM): No such file or directory (os error 2)"),
        (names.files.path(), "cannot read the CA bundle FILE (FROM): not a regular file"),
        (&*empty, "the CA bundle FILE (FROM) holds no certificate in PEM (`-----BEGIN CERTIFICATE-----`)"),
        (&*good.der, "the CA bundle FILE (FROM) holds no certificate in PEM (`-----BEGIN CERTIFICATE-----`)"),
    ] {
        for (variable, key, from) in [(Some(file), None, "AWS_CA_BUNDLE"), (None, Some(file), "ca_bundle")] {
            let error = ask(variable, key).await.unwrap_err();
            assert!(
                matches!(error, HttpError::Trust(TrustError::Empty { .. } | TrustError::Unreadable { .. })),
                "{error:?}"
            );
            assert_eq!(error.class(), ErrorClass::Misconfigured);
            assert_eq!(sentence(&error), message.replace("FILE", text(file)).replace("FROM", from));
        }
    }
}

#[tokio::test]
async fn an_error_can_be_carried_by_others() {
    let error = get(&client(&[]), "https://x.berth.test").await.unwrap_err();
    let carried = error.clone();
    assert_eq!(carried.source().unwrap().to_string(), error.source().unwrap().to_string());
}
