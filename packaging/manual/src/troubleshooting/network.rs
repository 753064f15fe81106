//! No answer: DNS, connections, TLS.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use berth::io::http::dns::DnsError;
use berth::io::http::{HttpError, ProxyError, TrustError, VariableError};
use berth_core::message::error::ErrorClass;
use http::StatusCode;

use super::Advice::{Passes, Source, Transparent};
use super::{Section, entry, rows};

fn to() -> String {
    "https://HOST".to_owned()
}

rows! { http, HttpError, |error| Some(error.class());
    HttpError::Timeout { .. }, HttpError::Timeout { to: to(), after: Duration::from_secs(10) } => Passes;
    HttpError::Resolve { source: DnsError::NotAName { .. }, .. }, HttpError::Resolve {
        to: to(),
        source: DnsError::NotAName { name: "HOST".to_owned() },
    } => Source;
    HttpError::Resolve { .. }, HttpError::Resolve { to: to(), source: DnsError::NotFound { name: "HOST".to_owned() } } => Passes;
    HttpError::Connect { .. }, HttpError::Connect {
        to: to(),
        source: Arc::new(io::Error::from_raw_os_error(111)),
    } => Passes;
    HttpError::Tls { source, .. } if is_untrusted(source), HttpError::Tls {
        to: to(),
        source: Box::new(rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer)),
    } => entry(
        Section::Network,
        "The certificate of the server is not signed by a CA that this host trusts. Mostly a proxy that inspects TLS, a private CA, or an \
         AMI with old CA certificates. Or `ca_bundle` or `AWS_CA_BUNDLE` names a file without this CA: it replaces the host's.",
        "update `ca-certificates`, or add the CA to the host or to the bundle. See who answers:",
        &["openssl s_client -connect HOST:443 -servername HOST </dev/null | openssl x509 -noout -issuer -subject -dates"],
    );
    HttpError::Tls { .. }, HttpError::Tls { to: to(), source: Box::new(rustls::Error::DecryptError) } => Passes;
    HttpError::Trust(TrustError::NoRoots { .. }), HttpError::Trust(no_roots()) => Transparent;
    HttpError::Trust(_), HttpError::Trust(TrustError::Empty { file: "FILE".into(), from: "ca_bundle" }) => Transparent;
    HttpError::Proxy { source, .. } if is_final(source), HttpError::Proxy { to: to(), source: Box::new(refused(407)) } => Source;
    HttpError::Proxy { .. }, HttpError::Proxy { to: to(), source: Box::new(refused(503)) } => Passes;
    HttpError::Broken { .. }, HttpError::Broken { to: to(), source: Arc::from(reason()) } => Passes;
    HttpError::TooLarge { .. }, HttpError::TooLarge { to: to(), limit: 65_536 } => Passes;
}

fn is_untrusted(error: &rustls::Error) -> bool {
    use rustls::CertificateError::{Expired, ExpiredContext, NotValidYet, NotValidYetContext};
    match error {
        rustls::Error::InvalidCertificate(
            Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. },
        ) => false,
        rustls::Error::InvalidCertificate(_) => true,
        _ => false,
    }
}

fn reason() -> Box<dyn Error + Send + Sync> {
    "REASON".into()
}

fn no_roots() -> TrustError {
    TrustError::NoRoots { detail: " (DETAIL)".to_owned() }
}

const PROXY: &str = "http://PROXY:PORT";

fn refused(status: u16) -> ProxyError {
    ProxyError::refused(PROXY, "CONNECT HOST:PORT".to_owned(), StatusCode::from_u16(status).unwrap_or_default())
}

fn is_final(error: &ProxyError) -> bool {
    !error.class().is_transient()
}

rows! { trust, TrustError, |error| Some(HttpError::Trust(error.clone()).class());
    TrustError::NoRoots { .. }, no_roots() => entry(
        Section::Network,
        "The host has no CA certificates, so no server can be trusted.",
        "install them into the AMI:",
        &["apt-get install ca-certificates    # Debian, Ubuntu", "dnf install ca-certificates        # Amazon Linux 2023"],
    );
    TrustError::Unreadable { .. }, TrustError::Unreadable {
        file: "FILE".into(),
        from: "ca_bundle",
        source: Arc::new(io::Error::from_raw_os_error(2)),
    } => entry(
        Section::Network,
        "The file that `ca_bundle` or the environment variable `AWS_CA_BUNDLE` names cannot be read by the agent. Its unit hides `/home`, `/root` and \
         `/tmp` from it.",
        "put the file into the AMI, below `/etc/ssl`, and give its path.",
        &[],
    );
    TrustError::Empty { .. }, TrustError::Empty { file: "FILE".into(), from: "ca_bundle" } => entry(
        Section::Network,
        "The file that `ca_bundle` or `AWS_CA_BUNDLE` names has no certificate in PEM: it is empty, cut, or in DER.",
        "write one `-----BEGIN CERTIFICATE-----` block for each CA. From DER:",
        &["openssl x509 -inform der -in corp.crt -out corp.pem"],
    );
}

rows! { proxy, ProxyError, |error| Some(error.class());
    ProxyError::Resolve { source: DnsError::NotAName { .. }, .. }, ProxyError::Resolve {
        proxy: PROXY.to_owned(),
        source: DnsError::NotAName { name: "PROXY".to_owned() },
    } => Source;
    ProxyError::Resolve { .. }, ProxyError::Resolve {
        proxy: PROXY.to_owned(),
        source: DnsError::NotFound { name: "PROXY".to_owned() },
    } => Passes;
    ProxyError::Connect { .. }, ProxyError::Connect {
        proxy: PROXY.to_owned(),
        source: Arc::new(io::Error::from_raw_os_error(111)),
    } => Passes;
    ProxyError::Tls { source, .. } if is_untrusted(source), ProxyError::Tls {
        proxy: PROXY.to_owned(),
        source: Box::new(rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer)),
    } => entry(
        Section::Network,
        "The proxy is reached over TLS (`https://` in its URL), and its certificate is not signed by a CA that berth trusts.",
        "add its CA to the host's or to `ca_bundle`, or write `http://` if it does not speak TLS to its clients: what goes through it to AWS is \
         encrypted in either case.",
        &[],
    );
    ProxyError::Tls { .. }, ProxyError::Tls { proxy: PROXY.to_owned(), source: Box::new(rustls::Error::DecryptError) } => Passes;
    ProxyError::Refused { status, .. } if *status == StatusCode::PROXY_AUTHENTICATION_REQUIRED, refused(407) => entry(
        Section::Network,
        "The proxy asks for a user and a password, and `https_proxy` or `HTTPS_PROXY` has none, or others.",
        "write them into the URL, percent-encoded; or have the proxy allow the instances by their addresses. A proxy that takes only NTLM or Kerberos \
         needs such a rule.",
        &["curl --proxy http://USER:PASSWORD@PROXY:PORT --head https://HOST"],
    );
    ProxyError::Refused { status, .. } if is_final(&refused(status.as_u16())), refused(403) => entry(
        Section::Network,
        "The proxy's rules do not allow a connection to this host and port.",
        "allow `CONNECT` to port 443 of AWS's endpoints; or reach them directly, by VPC endpoints and `no_proxy`.",
        &["curl --proxy http://PROXY:PORT --head https://HOST"],
    );
    ProxyError::Refused { .. }, refused(503) => Passes;
    ProxyError::Broken { .. }, ProxyError::Broken { proxy: PROXY.to_owned(), source: Arc::from(reason()) } => Passes;
}

rows! { variables, VariableError, |_| Some(ErrorClass::Misconfigured);
    VariableError { .. }, VariableError { variable: "HTTPS_PROXY", reason: "REASON".to_owned() } => entry(
        Section::Network,
        "A variable of the agent's environment (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`) is not the URL of a proxy that berth can use. Its value is not \
         shown, because it may hold a password.",
        "correct it; `http://HOST:PORT` is the common form, and what is no letter and no digit in a user or a password is percent-encoded.",
        &["systemctl show berth --property Environment"],
    );
}

// Its class is that of the request that needed the name; `NotAName` has its entry there.
rows! { dns, DnsError, |error| Some(HttpError::Resolve { to: to(), source: error.clone() }.class());
    DnsError::NotFound { .. }, DnsError::NotFound { name: "HOST".to_owned() } => Passes;
    DnsError::NotAName { .. }, DnsError::NotAName { name: "NAME".to_owned() } => entry(
        Section::Network,
        "An endpoint or a proxy in the environment (`AWS_ENDPOINT_URL`, `HTTPS_PROXY`) or in the config has no name that the DNS could know.",
        "correct it; on an instance no `AWS_ENDPOINT_URL` is needed.",
        &["systemctl show berth --property Environment"],
    );
    DnsError::NoAnswer { .. }, DnsError::NoAnswer { name: "HOST".to_owned(), why: "REASON".to_owned() } => Passes;
}
