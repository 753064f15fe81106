//! Which certificates a server is checked with: those of a bundle that the config or the environment names, else the host's.
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

use crate::edge::tls_provider::hybrid;

/// A file with certificates in PEM, and who names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bundle {
    /// The file.
    pub(super) file: PathBuf,
    /// `ca_bundle` or `AWS_CA_BUNDLE`
    pub(super) from: &'static str,
}

/// No certificate can be checked.
#[derive(Clone, Debug, Error)]
pub enum TrustError {
    /// The host has none.
    #[error("no CA certificates on this host{detail}: install the package ca-certificates, or set SSL_CERT_FILE")]
    NoRoots {
        /// What was found instead, in parentheses behind a space; may be empty.
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
    /// There is none in the bundle.
    #[error("the CA bundle {} ({from}) holds no certificate in PEM (`-----BEGIN CERTIFICATE-----`)", .file.display())]
    Empty {
        /// The file.
        file: PathBuf,
        /// The key or the variable that names it.
        from: &'static str,
    },
}

/// The certificates of one client, read at the first TLS handshake: to parse them takes longer than the rest of the agent's start.
#[derive(Debug)]
pub(super) struct Trust {
    bundle: Option<Bundle>,
    config: Mutex<Option<Arc<ClientConfig>>>,
}

impl Trust {
    pub(super) fn new(bundle: Option<Bundle>) -> Self {
        Self { bundle, config: Mutex::default() }
    }

    /// Reads the certificates once; where there are none they are looked for again at the next request.
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

    /// The file that replaces the host's certificates, and who names it.
    pub(super) fn bundle(&self) -> Option<(&Path, &'static str)> {
        self.bundle.as_ref().map(|bundle| (bundle.file.as_path(), bundle.from))
    }
}

impl Bundle {
    fn roots(&self) -> Result<RootCertStore, TrustError> {
        let Self { file, from } = self.clone();
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

fn host_roots() -> Result<RootCertStore, TrustError> {
    let found = load_native_certs();
    let detail = found.errors.first().map(|error| format!(" ({error})")).unwrap_or_default();
    parsed(found).ok_or(TrustError::NoRoots { detail })
}

/// Those that can be used, if there are any.
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
