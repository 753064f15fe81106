//! What happened in how many fleets.

/// The rows of a count, and what each is called.
macro_rules! rows {
    ($($row:ident $text:literal,)*) => {
        /// Something that is to happen in some fleets.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Row {
            $($row,)*
        }

        /// What they are called.
        pub(super) const ROWS: &[&str] = &[$($text),*];
    };
}

rows! {
    Hung "a call hung",
    AnswerLost "an answer was lost after the write",
    LandedLate "a write landed late",
    LockTaken "a lock was taken",
    OwnLockAgain "an own lock was taken again",
    TakenOver "a lock was taken over after its lease",
    RaceLost "a race for a lock was lost",
    LockLost "a renewal found another holder",
    MarkTakenBack "a mark was taken back",
    MostMoved "max_parallel moved at once",
    Refused "a release was refused after the mark",
    Late "a confirmation took too long",
    LeaseOver "the lease was over before the move",
    LeaseOverInMove "the lease was over within the move",
    DocumentMoved "the document moved on before the move",
    WentBack "a bake ended since the document went back",
    FailedBefore "it was bad before the move",
    FailedInMove "it was bad within the move",
    FailedInBake "it was bad in the bake",
    CrashedBefore "a crash before the move",
    CrashedInMove "a crash within the move",
    CrashedInBake "a crash in the bake",
    CrashedServing "a crash of one that serves",
    Rebooted "a reboot",
    Vanished "an instance vanished in a release",
    Left "an instance left in a release",
    Frozen "a process stood still in a release",
    Cut "an instance reached nothing in a release",
    Halted "a halt while instances were at it",
    ResumedHalt "a halted release was resumed",
    Pardoned "bad verdicts were pardoned",
    TakenForLost "a mark was taken for lost",
    LivedOn "an instance that was taken for lost lived",
    RolledBack "a rollback",
    Overtaken "a release was published over one that went on",
    BootedNewest "a boot of the newest release, which is proven",
    BootedOlder "a boot of an older release, which is proven",
    BootedUnproven "a boot while nothing is proven",
    BootedBad "a boot of a bad release",
    StoppedByVerdicts "bad verdicts stopped a release",
    StoppedByMarks "marks without a verdict stopped a release",
    MostTouched "a bad release touched as many as it may",
    ReachedAll "a good release reached all",
}

const _: () = assert!(ROWS.len() <= 64);

/// A bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts(pub(super) u64);

impl Counts {
    pub(super) fn saw(&mut self, row: Row) {
        self.0 |= 1 << row as u32;
    }
}
