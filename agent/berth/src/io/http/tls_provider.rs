//! The one TLS provider of the process: ring, and for connections that carry secrets the hybrid key exchange X25519MLKEM768 before all others,
//! so that a future quantum computer cannot decrypt traffic that is recorded today.
//!
//! ring has no ML-KEM. The hybrid is ring's X25519 beside ML-KEM-768 of the crate ml-kem, put together as draft-ietf-tls-ecdhe-mlkem says:
//! both secrets go into the key schedule of TLS, so the connection is never weaker than with X25519 alone, even if ML-KEM is broken.
//! Why not aws-lc-rs: docs/decisions/0016-tls-provider.md.

use std::sync::Arc;

use ml_kem::kem::{Decapsulate, KeyExport};
use ml_kem::{DecapsulationKey768, Seed};
use rustls::crypto::ring::{default_provider, kx_group::X25519};
use rustls::crypto::{ActiveKeyExchange, CryptoProvider, GetRandomFailed, SharedSecret, SupportedKxGroup};
use rustls::ffdhe_groups::FfdheGroup;
use rustls::{Error, NamedGroup, PeerMisbehaved, ProtocolVersion};
use zeroize::Zeroizing;

/// Bytes of an ML-KEM-768 ciphertext, the first part of a server's share (FIPS 203, table 3). The rest is the share of X25519.
const CIPHERTEXT: usize = 1088;

/// For AWS and every other connection that carries credentials: X25519MLKEM768, X25519, secp256r1, secp384r1, in this order. A share
/// for both of the first two is sent, so a server that knows only X25519 costs no round trip more.
pub fn hybrid() -> Arc<CryptoProvider> {
    let mut provider = default_provider();
    provider.kx_groups.insert(0, &X25519MlKem768);
    Arc::new(provider)
}

/// For probes of the app, which carry no secret: without the hybrid, whose first message is too long for one packet. A few old servers cannot read a
/// message in two packets, and a probe must not fail where the load balancer's health check passes.
pub fn classical() -> Arc<CryptoProvider> {
    Arc::new(default_provider())
}

/// The client's side of the hybrid.
#[derive(Debug)]
struct X25519MlKem768;

impl SupportedKxGroup for X25519MlKem768 {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let mut seed = Zeroizing::new([0; 64]);
        default_provider().secure_random.fill(&mut *seed).map_err(|GetRandomFailed| Error::FailedToGetRandomBytes)?;
        let quantum_safe = DecapsulationKey768::from_seed(Seed::from(*seed));
        let classical = X25519.start()?;
        let share = [quantum_safe.encapsulation_key().to_bytes().as_slice(), classical.pub_key()].concat();
        Ok(Box::new(Started { quantum_safe, classical, share }))
    }

    fn ffdhe_group(&self) -> Option<FfdheGroup<'static>> {
        None
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::X25519MLKEM768
    }

    fn usable_for_version(&self, version: ProtocolVersion) -> bool {
        version == ProtocolVersion::TLSv1_3
    }
}

/// Between the client's share and the server's; the key is used once and wiped.
struct Started {
    quantum_safe: DecapsulationKey768,
    classical: Box<dyn ActiveKeyExchange>,
    share: Vec<u8>,
}

impl ActiveKeyExchange for Started {
    fn complete(self: Box<Self>, share: &[u8]) -> Result<SharedSecret, Error> {
        let invalid = Error::PeerMisbehaved(PeerMisbehaved::InvalidKeyShare);
        let Some((ciphertext, classical)) = share.split_at_checked(CIPHERTEXT) else { return Err(invalid) };
        let Ok(secret) = self.quantum_safe.decapsulate_slice(ciphertext) else { return Err(invalid) };
        let secret = Zeroizing::new(<[u8; 32]>::from(secret));
        let classical = self.classical.complete(classical)?;
        Ok(SharedSecret::from([secret.as_slice(), classical.secret_bytes()].concat()))
    }

    fn hybrid_component(&self) -> Option<(NamedGroup, &[u8])> {
        Some((self.classical.group(), self.classical.pub_key()))
    }

    fn complete_hybrid_component(self: Box<Self>, share: &[u8]) -> Result<SharedSecret, Error> {
        self.classical.complete(share)
    }

    fn pub_key(&self) -> &[u8] {
        &self.share
    }

    fn ffdhe_group(&self) -> Option<FfdheGroup<'static>> {
        None
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::X25519MLKEM768
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ml_kem::EncapsulationKey768;
    use ml_kem::kem::TryKeyInit;
    use proptest::prelude::*;

    /// Bytes of the client's key of ML-KEM-768 (FIPS 203, table 3).
    const KEY: usize = 1184;

    #[test]
    fn the_share_is_a_valid_key_of_ml_kem_and_the_one_of_x25519_that_is_offered_alone_too() {
        let started = X25519MlKem768.start().unwrap();
        let (key, classical) = started.pub_key().split_at_checked(KEY).unwrap();
        assert!(EncapsulationKey768::new_from_slice(key).is_ok());
        assert_eq!(started.hybrid_component(), Some((NamedGroup::X25519, classical)));
        assert_ne!(X25519MlKem768.start().unwrap().pub_key(), started.pub_key());
    }

    #[test]
    fn it_is_never_agreed_on_below_tls_1_3() {
        assert!(X25519MlKem768.usable_for_version(ProtocolVersion::TLSv1_3));
        assert!(!X25519MlKem768.usable_for_version(ProtocolVersion::TLSv1_2));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn a_share_of_any_other_length_is_refused(share in prop::collection::vec(any::<u8>(), 0..2400)) {
            prop_assume!(share.len() != CIPHERTEXT + 32);
            prop_assert!(X25519MlKem768.start().unwrap().complete(&share).is_err());
        }

        /// ML-KEM refuses no ciphertext, it gives another secret (FIPS 203, section 6.3), and the handshake then fails.
        #[test]
        fn a_share_of_the_right_length_is_a_secret_of_64_bytes(share in prop::collection::vec(any::<u8>(), CIPHERTEXT + 32)) {
            let secret = X25519MlKem768.start().unwrap().complete(&share).unwrap();
            prop_assert_eq!(secret.secret_bytes().len(), 64);
        }

        #[test]
        fn a_server_that_chose_x25519_alone_is_answered_with_it(share in any::<[u8; 32]>()) {
            let secret = X25519MlKem768.start().unwrap().complete_hybrid_component(&share).unwrap();
            prop_assert_eq!(secret.secret_bytes().len(), 32);
        }
    }
}
