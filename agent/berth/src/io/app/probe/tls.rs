//! TLS to the app, as in a load balancer's health check: encrypted, and without verifying the certificate.
//!
//! The address is the container's own or one of this host, where a certificate of a public authority cannot be had: apps behind a
//! balancer sign their own. Application Load Balancers and ECS verify no target certificate either. The probe sends no secret, and from the
//! answer only its status counts.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConfig, Resumption};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use berth_core::message::error::find;
use berth_core::message::probe_failure::{ProbeFailure, ProbeFailureKind as Kind};

/// Performs the handshake. `host` is the server name (SNI), perhaps with a port. For an IP address no name is sent (RFC 6066, section 3).
pub(super) async fn handshake(
    at: SocketAddr,
    host: &str,
    stream: TcpStream,
) -> Result<TlsStream<TcpStream>, ProbeFailure> {
    let config = config().map_err(|error| failure(at, &error.to_string()))?;
    let name =
        host.parse::<http::uri::Authority>().ok().and_then(|host| ServerName::try_from(host.host().to_owned()).ok());
    let name = name.unwrap_or_else(|| ServerName::from(at.ip()));
    TlsConnector::from(config).connect(name, stream).await.map_err(|error| {
        match find::<rustls::Error>(&error) {
            Some(rustls::Error::InvalidMessage(_)) => {
                failure(at, "the answer is not TLS; for an app that listens with plain HTTP write `health=/path` or `health=http:PORT/path`")
            }
            Some(cause) => failure(at, &cause.to_string()),
            None => failure(at, &error.kind().to_string()),
        }
    })
}

/// The TLS error of a connection that ended later: a server that requires a client certificate may report it only then (RFC 8446,
/// section 4.4.2.4).
pub(super) fn later(at: SocketAddr, error: &hyper::Error) -> Option<ProbeFailure> {
    // A request that was not sent yet is cancelled, with the connection's error as the source.
    Some(failure(at, &find::<rustls::Error>(error)?.to_string()))
}

fn failure(at: SocketAddr, why: &str) -> ProbeFailure {
    ProbeFailure::new(Kind::Tls, format!("TLS handshake with {at} failed: {why}"))
}

/// One configuration for all probes. No session is resumed, since the handshake is a part of the probe.
fn config() -> Result<Arc<ClientConfig>, rustls::Error> {
    static CONFIG: OnceLock<Result<Arc<ClientConfig>, rustls::Error>> = OnceLock::new();
    let make = || {
        let provider = crate::io::http::tls_provider::classical();
        let builder = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
        let mut config = builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    };
    CONFIG.get_or_init(make).clone()
}

/// Accepts every certificate, whatever its issuer, name and time.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    // Checking that the server has the key of a certificate that anybody may have made would show nothing, and would refuse those that are
    // too old for the parser (X.509 version 1).
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
