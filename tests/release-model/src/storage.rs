//! S3: one object at a time, strongly consistent, with conditions. Nothing here knows the protocol.

use crate::state::{Etag, Instance, Lock, Release, State, Time, Write};
use crate::{Flaw, Fleet};

impl Fleet {
    /// What `Date` says: whole seconds.
    pub fn date(&self, state: &State) -> Time {
        state.now / self.bounds.grain
    }

    /// A write takes effect, or its condition is not met. The ETag is that of what was written.
    pub fn effect(&self, state: &mut State, write: Write) -> Option<Etag> {
        match write {
            Write::Lock { number, read, holder, release } => self.write_lock(state, number, read, holder, release),
            Write::Unlock { number, read, .. } => {
                let lock = state.locks.get_mut(usize::from(number))?;
                let is_met = read.is_none() || lock.map(|lock| lock.etag) == read;
                is_met.then(|| lock.take()).flatten().map(|lock| lock.etag)
            }
            Write::Unmark { instance, release } => {
                state.unmark(instance, release);
                None
            }
            Write::Verdict { instance, release, word } => {
                let entry = state.board.get_mut(usize::from(release))?;
                match word {
                    crate::state::Word::Ok => entry.ok.put(instance),
                    crate::state::Word::Bad => entry.bad.put(instance),
                }
                None
            }
        }
    }

    fn write_lock(
        &self,
        state: &mut State,
        number: u8,
        read: Option<Etag>,
        holder: Instance,
        release: Release,
    ) -> Option<Etag> {
        let modified = self.date(state);
        // The hash of the content: without a nonce the same content is the same ETag.
        let etag = if self.flaw == Some(Flaw::SameContent) { 100 + holder * 8 + release } else { state.next_etag };
        let lock = state.locks.get_mut(usize::from(number))?;
        if lock.map(|lock| lock.etag) != read {
            return None;
        }
        *lock = Some(Lock { holder, release, etag, modified });
        state.next_etag += 1;
        Some(etag)
    }
}
