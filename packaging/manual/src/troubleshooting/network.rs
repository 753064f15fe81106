//! No answer: DNS, connections, TLS.

use std::io;
use std::time::Duration;

use berth::edge::dns::DnsError;
use berth::edge::http::{HttpError, NoRoots};

use super::Advice::{Passes, Source};
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
        source: io::Error::from_raw_os_error(111).into(),
    } => Passes;
    HttpError::Tls { source, .. } if is_untrusted(source), HttpError::Tls {
        to: to(),
        source: Box::new(rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer)),
    } => entry(
        Section::Network,
        "The certificate of the server is not signed by a CA that this host trusts. Mostly a proxy that inspects TLS, a private CA, or an \
         AMI with old CA certificates.",
        "update `ca-certificates`, or add the CA to the host. See who answers:",
        &["openssl s_client -connect HOST:443 -servername HOST </dev/null | openssl x509 -noout -issuer -subject -dates"],
    );
    HttpError::Tls { .. }, HttpError::Tls { to: to(), source: Box::new(rustls::Error::DecryptError) } => Passes;
    HttpError::NoRoots(_), HttpError::NoRoots(NoRoots { detail: " (DETAIL)".to_owned() }) => entry(
        Section::Network,
        "The host has no CA certificates, so no server can be trusted.",
        "install them into the AMI:",
        &["apt-get install ca-certificates    # Debian, Ubuntu", "dnf install ca-certificates        # Amazon Linux 2023"],
    );
    HttpError::Broken { .. }, HttpError::Broken { to: to(), source: "REASON".into() } => Passes;
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

// Its class is that of the request that needed the name; `NotAName` has its entry there.
rows! { dns, DnsError, |error| Some(HttpError::Resolve { to: to(), source: error.clone() }.class());
    DnsError::NotFound { .. }, DnsError::NotFound { name: "HOST".to_owned() } => Passes;
    DnsError::NotAName { .. }, DnsError::NotAName { name: "NAME".to_owned() } => entry(
        Section::Network,
        "An endpoint in the environment (`AWS_ENDPOINT_URL`) or an address in the config has no name that the DNS could know.",
        "correct it; on an instance no `AWS_ENDPOINT_URL` is needed.",
        &["systemctl show berth --property Environment"],
    );
    DnsError::NoAnswer { .. }, DnsError::NoAnswer { name: "HOST".to_owned(), why: "REASON".to_owned() } => Passes;
}
