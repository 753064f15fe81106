//! The CA certificates that verify a server: those of a bundle that the config or the environment names, else those of the host.
//!
//! ```text
//!   ca_bundle → AWS_CA_BUNDLE → SSL_CERT_FILE, SSL_CERT_DIR → the distribution's
//! ```
//! A bundle replaces the host's certificates, as in the SDKs and the AWS CLI.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::{ClientConfig, RootCertStore};
use rustls_native_certs::{CertificateResult, ErrorKind, load_certs_from_paths, load_native_certs};
use thiserror::Error;

use crate::io::http::tls_provider::hybrid;

/// Bytes of a bundle. All public authorities together have about 250 KB.
const MOST: u64 = 16 << 20;

/// A file with certificates in PEM, and what names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bundle {
    /// The file.
    pub(super) file: PathBuf,
    /// `ca_bundle` or `AWS_CA_BUNDLE`
    pub(super) from: &'static str,
}

/// There are no CA certificates.
#[derive(Clone, Debug, Error)]
pub enum TrustError {
    /// The host has none.
    #[error("no CA certificates on this host{detail}: install the package ca-certificates, or set SSL_CERT_FILE")]
    NoRoots {
        /// The first error, in parentheses after a space; may be empty.
        detail: String,
    },
    /// The bundle cannot be read.
    #[error("cannot read the CA bundle {} ({from})", .file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The key or the variable that names it.
        from: &'static str,
        /// Why not.
        source: Arc<io::Error>,
    },
    /// The bundle has no certificate.
    #[error("the CA bundle {} ({from}) holds no certificate in PEM (`-----BEGIN CERTIFICATE-----`)", .file.display())]
    Empty {
        /// The file.
        file: PathBuf,
        /// The key or the variable that names it.
        from: &'static str,
    },
}

/// The certificates of one client, read at the first TLS handshake, since parsing them takes longer than the rest of the agent's start.
#[derive(Debug)]
pub(super) struct Trust {
    bundle: Option<Bundle>,
    config: Mutex<Option<Arc<ClientConfig>>>,
}

impl Trust {
    pub(super) fn new(bundle: Option<Bundle>) -> Self {
        Self { bundle, config: Mutex::default() }
    }

    /// Reads the certificates once. If there are none, they are read again at the next request.
    pub(super) fn tls_config(&self) -> Result<Arc<ClientConfig>, TrustError> {
        let mut cached = self.config.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = &*cached {
            return Ok(config.clone());
        }
        let config = Arc::new(tls_config(self.roots()?)?);
        *cached = Some(config.clone());
        Ok(config)
    }

    /// The certificates; at least one.
    pub(super) fn roots(&self) -> Result<RootCertStore, TrustError> {
        match &self.bundle {
            Some(bundle) => bundle.roots(),
            None => host_roots(),
        }
    }

    /// The file that replaces the host's certificates, and what names it.
    pub(super) fn bundle(&self) -> Option<(&Path, &'static str)> {
        self.bundle.as_ref().map(|bundle| (bundle.file.as_path(), bundle.from))
    }
}

impl Bundle {
    fn roots(&self) -> Result<RootCertStore, TrustError> {
        let Self { file, from } = self.clone();
        if let Err(error) = finite(&file) {
            return Err(TrustError::Unreadable { file, from, source: Arc::new(error) });
        }
        let found = load_certs_from_paths(Some(&file), None);
        let unreadable = found.errors.iter().find_map(|error| match &error.kind {
            ErrorKind::Io { inner, .. } => Some(io::Error::new(inner.kind(), inner.to_string())),
            _ => None,
        });
        if let Some(error) = unreadable {
            return Err(TrustError::Unreadable { file, from, source: Arc::new(error) });
        }
        parsed(found).ok_or(TrustError::Empty { file, from })
    }
}

/// Checks that a file is regular and not too long: a pipe would block the whole agent, and `/dev/zero` fill its memory.
fn finite(file: &Path) -> io::Result<()> {
    let about = std::fs::metadata(file)?;
    if !about.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    if about.len() > MOST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("longer than {MOST} bytes")));
    }
    Ok(())
}

fn host_roots() -> Result<RootCertStore, TrustError> {
    const FROM: &str = "SSL_CERT_FILE";
    if let Some(file) = std::env::var_os(FROM).filter(|file| !file.is_empty()).map(PathBuf::from)
        && let Err(error) = finite(&file)
    {
        return Err(TrustError::Unreadable { file, from: FROM, source: Arc::new(error) });
    }
    let found = load_native_certs();
    let detail = found.errors.first().map(|error| format!(" ({error})")).unwrap_or_default();
    parsed(found).ok_or(TrustError::NoRoots { detail })
}

/// The certificates that can be parsed, if there are any.
fn parsed(found: CertificateResult) -> Option<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let (added, _unusable) = roots.add_parsable_certificates(found.certs);
    (added > 0).then_some(roots)
}

fn tls_config(roots: RootCertStore) -> Result<ClientConfig, TrustError> {
    let builder = ClientConfig::builder_with_provider(hybrid())
        .with_safe_default_protocol_versions()
        .map_err(|error| TrustError::NoRoots { detail: format!(" ({error})") })?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_that_has_no_end_or_keeps_a_reader_waiting_is_refused_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let long = directory.path().join("long");
        std::fs::File::create(&long).unwrap().set_len(MOST + 1).unwrap();
        for file in [pipe, "/dev/zero".into(), directory.path().to_owned(), long] {
            let refused = Bundle { file: file.clone(), from: "ca_bundle" }.roots().unwrap_err();
            assert!(matches!(refused, TrustError::Unreadable { .. }), "{}: {refused}", file.display());
        }
    }
}
