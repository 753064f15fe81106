//! Releases: the versions of what `config=` points to, and what a fleet writes about them on its board (docs/decisions/0022).

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use strum::{IntoStaticStr, VariantArray};

/// Which release: the first 16 hex digits of the SHA-256 of its document.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ReleaseId(pub String);

/// A release, as its source has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// Which.
    pub id: ReleaseId,
    /// What the source calls this version, to ask whether it is still the newest: the ETag, or the number of the parameter's or secret's
    /// version.
    pub revision: String,
    /// How long ago it was published, by the clock of the source alone.
    pub age: Duration,
    /// The release that it replaced, if its publisher wrote that down.
    pub previous: Option<ReleaseId>,
    /// Whether it was published to go back to an earlier one: then it waits for no wave.
    pub is_rollback: bool,
}

/// What an instance writes about a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Verdict {
    /// It serves, and did for `release.bake`.
    Ok,
    /// It was rolled back.
    Bad,
}

/// What the board has about one release.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BoardState {
    /// Instances with the verdict `ok`.
    pub ok: u32,
    /// Instances with the verdict `bad`.
    pub bad: u32,
    /// This instance's own.
    pub own: Option<Verdict>,
    /// Whether this instance has begun and has written no verdict.
    pub has_begun: bool,
    /// Other instances that began and have written no verdict: they go on, or died.
    pub unsettled: u32,
    /// Whether an operator halted it.
    pub is_halted: bool,
    /// Bad verdicts that an operator knew of when it was resumed: they do not stop it.
    pub pardoned: u32,
}

/// A lock of the board that this instance holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldLock {
    /// Which of the `release.max_parallel` locks.
    pub number: u32,
    /// The ETag of its object as this instance wrote it last: it changes with every write.
    pub etag: String,
}

/// The slots of a fleet (Bottlerocket's updater has as many).
pub const SLOTS: u16 = 2048;

impl ReleaseId {
    /// That of this document.
    pub fn of(document: &[u8]) -> Self {
        Self(Sha256::digest(document).iter().take(8).map(|byte| format!("{byte:02x}")).collect())
    }

    /// An id as somebody wrote it, none if it cannot be one.
    pub fn parse(text: &str) -> Option<Self> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f');
        (text.len() == 16 && text.bytes().all(is_digit)).then(|| Self(text.to_owned()))
    }

    /// Where in the waves of this release the instance stands, below [`SLOTS`]: at another place in every release.
    pub fn slot(&self, instance_id: &str) -> u16 {
        let digest = Sha256::new().chain_update(&self.0).chain_update(instance_id).finalize();
        let number = digest.iter().take(2).fold(0_u16, |number, byte| number << 8 | u16::from(*byte));
        number % SLOTS
    }
}

impl BoardState {
    /// Whether nobody may begin: it was halted, or has too many bad verdicts.
    pub fn is_stopped(&self, failures: u32) -> bool {
        self.is_halted || self.bad.saturating_sub(self.pardoned) >= failures
    }

    /// Whether this instance may begin: it is not stopped, was not rolled back here, and even if all that have begun turn out bad, no
    /// more than `failures + max_parallel` were touched.
    pub fn may_begin(&self, failures: u32, max_parallel: u32) -> bool {
        let is_open = !self.is_stopped(failures) && !self.is_held(failures, max_parallel);
        is_open && self.own != Some(Verdict::Bad)
    }

    /// Whether no other instance may begin until one of those that have begun writes its verdict: they and the bad verdicts are as many
    /// as may be touched.
    pub fn is_held(&self, failures: u32, max_parallel: u32) -> bool {
        let touched = self.bad.saturating_add(self.unsettled).saturating_sub(self.pardoned);
        touched >= failures.saturating_add(max_parallel)
    }

    /// Whether an instance that boots may run it although others have an older one: somebody serves it, and it is not stopped.
    pub fn is_proven(&self, failures: u32) -> bool {
        self.ok > 0 && !self.is_stopped(failures)
    }
}

impl Verdict {
    /// The word that JSON and the board have.
    pub fn word(self) -> &'static str {
        self.into()
    }
}

berth_config::read_as_word!(Verdict);

impl fmt::Display for ReleaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `3 ok, 1 bad, halted`
impl fmt::Display for BoardState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ok, {} bad", self.ok, self.bad)?;
        if self.pardoned > 0 {
            write!(f, " ({} before it was resumed)", self.pardoned)?;
        }
        if self.unsettled > 0 {
            write!(f, ", {} without a verdict", self.unsettled)?;
        }
        f.write_str(if self.is_halted { ", halted" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_its_document_and_an_instance_has_another_slot_in_each() {
        let one = ReleaseId::of(b"berth image=x:1");
        assert_eq!(one.0.len(), 16);
        assert_eq!(one, ReleaseId::of(b"berth image=x:1"));
        let two = ReleaseId::of(b"berth image=x:2");
        assert_ne!(one, two);
        let slots = |release: &ReleaseId| (0..1_000).map(|n| release.slot(&format!("i-{n:017x}"))).collect::<Vec<_>>();
        assert!(slots(&one).iter().all(|slot| *slot < SLOTS));
        let same = slots(&one).iter().zip(slots(&two)).filter(|(one, two)| **one == *two).count();
        assert!(same < 10, "{same}");
        let early = slots(&one).iter().filter(|slot| **slot < SLOTS / 20).count();
        assert!((25..80).contains(&early), "{early} of 1,000 in 5 %");
    }

    #[test]
    fn only_an_id_is_read_as_one() {
        let id = ReleaseId::of(b"x");
        assert_eq!(ReleaseId::parse(&id.0), Some(id.clone()));
        for text in
            ["", "0123456789abcde", "0123456789abcdef0", "0123456789ABCDEF", "../../../etc/pas", "0123456789abcde/"]
        {
            assert_eq!(ReleaseId::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_release_is_stopped_by_an_operator_or_by_verdicts_that_nobody_pardoned() {
        let state = BoardState { ok: 3, bad: 1, ..BoardState::default() };
        assert!(state.is_stopped(1) && !state.is_stopped(2) && state.is_proven(2) && !state.is_proven(1));
        let resumed = BoardState { pardoned: 1, ..state.clone() };
        assert!(!resumed.is_stopped(1) && resumed.is_proven(1));
        assert!(BoardState { bad: 2, ..resumed.clone() }.is_stopped(1));
        assert!(BoardState { is_halted: true, ..resumed }.is_stopped(9));
        assert!(!BoardState::default().is_proven(1), "nobody serves it");
        let held = BoardState { bad: 1, unsettled: 2, ..BoardState::default() };
        assert!(held.is_held(2, 1) && !held.is_stopped(2) && !held.may_begin(2, 1) && held.may_begin(2, 2));
        assert!(BoardState { pardoned: 1, ..held }.may_begin(2, 1));
    }
}
