//! The board on a modelled S3: writes under a condition, times in whole seconds, one list of a release.

use berth_core::message::release::{BoardState, Verdict};

use super::Flaw;

/// Which instance.
pub(super) type Instance = usize;

/// What S3 has.
pub(super) struct Board {
    releases: Vec<Entry>,
    locks: Vec<Option<Lock>>,
    etags: u64,
    flaw: Option<Flaw>,
}

/// What is below the prefix of a release. The counts are those of the instances.
#[derive(Default)]
struct Entry {
    instances: Vec<Keys>,
    ok: u32,
    bad: u32,
    unsettled: u32,
    halt: Option<u64>,
    pardoned: u32,
}

/// The keys of one instance.
#[derive(Clone, Copy, Default)]
struct Keys {
    /// The ETag of its mark, and the second in which it was written.
    begun: Option<(u64, u64)>,
    ok: bool,
    bad: bool,
}

#[derive(Clone, Copy, Debug)]
struct Lock {
    holder: Instance,
    etag: u64,
    written: u64,
    lease: u64,
}

/// The lock that a call would take, and the ETag that it saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Seen {
    pub(super) number: u32,
    pub(super) etag: Option<u64>,
    pub(super) kind: SeenKind,
}

/// In the order in which they are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SeenKind {
    Own,
    Free,
    RunOut,
}

/// What an operator reads who resumes a release.
#[derive(Clone, Debug)]
pub(super) struct Resumption {
    pub(super) release: usize,
    bad: u32,
    lost: Vec<Instance>,
    halt: Option<u64>,
}

impl Entry {
    fn at(&mut self, instance: Instance) -> &mut Keys {
        if self.instances.len() <= instance {
            self.instances.resize(instance + 1, Keys::default());
        }
        &mut self.instances[instance]
    }

    /// Changes the keys of an instance, and the counts with them.
    fn change(&mut self, instance: Instance, change: impl FnOnce(&mut Keys)) {
        let keys = self.at(instance);
        let before = *keys;
        change(keys);
        let after = *keys;
        let replace = |count: &mut u32, is: fn(&Keys) -> bool| {
            *count = *count + u32::from(is(&after)) - u32::from(is(&before));
        };
        replace(&mut self.ok, Keys::is_ok);
        replace(&mut self.bad, |keys| keys.bad);
        replace(&mut self.unsettled, Keys::is_unsettled);
    }
}

impl Keys {
    fn is_ok(&self) -> bool {
        self.ok && !self.bad
    }

    fn is_unsettled(&self) -> bool {
        self.begun.is_some() && !self.ok && !self.bad
    }
}

impl Board {
    pub(super) fn new(releases: usize, flaw: Option<Flaw>) -> Self {
        let releases = (0..releases).map(|_| Entry::default()).collect();
        Self { releases, locks: Vec::new(), etags: 0, flaw }
    }

    fn etag(&mut self) -> u64 {
        self.etags += 1;
        self.etags
    }

    /// What the board has, and an instance reads.
    pub(super) fn state(&self, release: usize, instance: Instance) -> BoardState {
        let entry = &self.releases[release];
        let keys = entry.instances.get(instance).copied().unwrap_or_default();
        let own = if keys.bad { Some(Verdict::Bad) } else { keys.ok.then_some(Verdict::Ok) };
        BoardState {
            ok: entry.ok,
            bad: entry.bad,
            own,
            has_begun: keys.is_unsettled(),
            unsettled: entry.unsettled - u32::from(keys.is_unsettled()),
            is_halted: entry.halt.is_some(),
            pardoned: entry.pardoned,
        }
    }

    /// The same as a broken S3 answers.
    pub(super) fn read(&self, release: usize, instance: Instance) -> BoardState {
        let state = self.state(release, instance);
        match self.flaw {
            Some(Flaw::HaltsHidden) => BoardState { is_halted: false, ..state },
            Some(Flaw::VerdictsHidden) => BoardState { bad: 0, own: None, ..state },
            Some(Flaw::OwnVerdictHidden) => BoardState { own: None, ..state },
            Some(Flaw::MarksForgotten) => BoardState { unsettled: 0, ..state },
            Some(Flaw::AllProven) => BoardState { ok: state.ok.max(1), ..state },
            _ => state,
        }
    }

    /// The first half of taking a lock: the best one.
    pub(super) fn look(&self, locks: u32, instance: Instance, second: u64) -> Option<Seen> {
        let numbers = (0..locks).map(|number| (number + instance as u32) % locks);
        let seen = numbers.filter_map(|number| {
            let Some(lock) = self.lock(number) else { return Some(Seen { number, etag: None, kind: SeenKind::Free }) };
            let is_over = second.saturating_sub(lock.written) >= lock.lease;
            let kind = match self.flaw {
                _ if lock.holder == instance => SeenKind::Own,
                Some(Flaw::LeasesIgnored) => SeenKind::RunOut,
                Some(Flaw::LocksKept) => return None,
                _ if is_over => SeenKind::RunOut,
                _ => return None,
            };
            Some(Seen { number, etag: Some(lock.etag), kind })
        });
        seen.min_by_key(|seen| seen.kind)
    }

    fn lock(&self, number: u32) -> Option<&Lock> {
        self.locks.get(number as usize)?.as_ref()
    }

    fn put_lock(&mut self, number: u32, lock: Option<Lock>) {
        let number = number as usize;
        if self.locks.len() <= number {
            self.locks.resize(number + 1, None);
        }
        self.locks[number] = lock;
    }

    /// The second half: the write, under the condition of what was seen. Its ETag, if the condition held.
    pub(super) fn take(&mut self, seen: Seen, holder: Instance, written: u64, lease: u64) -> Option<u64> {
        let is_met = self.lock(seen.number).map(|lock| lock.etag) == seen.etag;
        if !is_met && self.flaw != Some(Flaw::ConditionsIgnored) {
            return None;
        }
        let etag = self.etag();
        self.put_lock(seen.number, Some(Lock { holder, etag, written, lease }));
        Some(etag)
    }

    /// A renewal by the ETag that its holder knows, or after another look if it is there to look.
    pub(super) fn renew(
        &mut self,
        number: u32,
        etag: u64,
        holder: Instance,
        is_there: bool,
        second: u64,
    ) -> Option<u64> {
        let lock = *self.lock(number)?;
        if lock.etag != etag && !(is_there && lock.holder == holder) {
            return None;
        }
        let etag = self.etag();
        self.put_lock(number, Some(Lock { etag, written: second, ..lock }));
        Some(etag)
    }

    pub(super) fn give_back(&mut self, number: u32, etag: u64, holder: Instance, is_there: bool) {
        let is_own = |lock: &Lock| lock.etag == etag || (is_there && lock.holder == holder);
        if self.lock(number).is_some_and(is_own) && self.flaw != Some(Flaw::LocksKept) {
            self.put_lock(number, None);
        }
    }

    /// Whether the instance has a lock whose lease is not over.
    pub(super) fn is_held_by(&self, holder: Instance, second: u64) -> bool {
        let is_held = |lock: &Lock| lock.holder == holder && second.saturating_sub(lock.written) < lock.lease;
        self.locks.iter().flatten().any(is_held)
    }

    pub(super) fn mark(&mut self, release: usize, instance: Instance, second: u64) -> u64 {
        let etag = self.etag();
        self.releases[release].change(instance, |keys| keys.begun = Some((etag, second)));
        etag
    }

    pub(super) fn take_back_mark(&mut self, release: usize, instance: Instance, etag: u64) {
        self.releases[release].change(instance, |keys| keys.begun = keys.begun.filter(|(found, _)| *found != etag));
    }

    /// Under the condition that there is none of the same.
    pub(super) fn judge(&mut self, release: usize, instance: Instance, verdict: Verdict) {
        self.releases[release].change(instance, |keys| match verdict {
            Verdict::Ok => keys.ok = true,
            Verdict::Bad => keys.bad = true,
        });
    }

    pub(super) fn halt(&mut self, release: usize) {
        self.releases[release].halt = Some(self.etags + 1);
        self.etags += 1;
    }

    /// What there is to pardon, and the marks from before that second, which are taken for lost.
    pub(super) fn read_to_resume(&self, release: usize, before: u64) -> Resumption {
        let entry = &self.releases[release];
        let is_lost = |keys: &Keys| keys.is_unsettled() && keys.begun.is_some_and(|(_, written)| written < before);
        let lost = entry.instances.iter().enumerate().filter(|(_, keys)| is_lost(keys)).map(|(at, _)| at).collect();
        Resumption { release, bad: entry.bad, lost, halt: entry.halt }
    }

    /// The writes of a resumption: verdicts of what is lost, `resume-N`, and the end of the halt that was read. Those that were taken
    /// for lost.
    pub(super) fn resume(&mut self, resumption: Resumption) -> Vec<Instance> {
        let Resumption { release, bad, lost, halt } = resumption;
        for instance in &lost {
            self.judge(release, *instance, Verdict::Bad);
        }
        let entry = &mut self.releases[release];
        entry.pardoned = entry.pardoned.max(bad + lost.len() as u32);
        if entry.halt == halt {
            entry.halt = None;
        }
        lost
    }
}
