//! `berth release publish --wait` and `rollback --wait`: until the instances call the release good, or it cannot become good.
//!
//! A release that comes back has the verdicts from before. So an instance counts when it called the release good, and if it has run another
//! one since, when it has begun this one again and has given its lock back.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::{IsTerminal, Write, stderr};
use std::time::Duration;

use berth_config::{Board, duration_text};
use berth_core::message::error::JobError;
use berth_core::message::release::ReleaseId;
use serde_json::json;
use tokio::time::{sleep, timeout};

use super::limits::Limits;
use super::{Failure, Fleet, Report, instance, patiently};
use crate::cli::WaitingArgs;
use crate::commands::note;
use crate::io::aws::autoscaling;
use crate::io::aws::publisher::{self, LockView, Mark, Verdicts};
use crate::io::aws::s3;

/// Between two looks at the board, at least and at most.
const LOOK: (u64, u64) = (2_500, 4_500);

/// Which instances must call the release good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// So many.
    Instances(u32),
    /// All that are in service in this group.
    Group(String),
}

/// What one look saw.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Seen {
    verdicts: Verdicts,
    locks: Vec<LockView>,
    /// The release that the document is by now, if it is another.
    superseded_by: Option<ReleaseId>,
    /// The instances of the group that are in service.
    in_service: Vec<String>,
    /// The marks without a verdict, if they may hold the release.
    begun: Vec<Mark>,
    /// The instances that run another release, and have to come back to this one.
    away: BTreeSet<String>,
}

/// What that means.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Judgement {
    Waiting,
    Good,
    Stopped,
    /// By instances that are lost.
    Held,
    Halted,
    Superseded(ReleaseId),
    TimedOut,
    /// The board cannot be read.
    Failed(String),
}

/// A wait for one release.
pub(super) struct Wait<'f> {
    pub(super) fleet: &'f Fleet,
    pub(super) board: Board,
    pub(super) release: ReleaseId,
    pub(super) limits: Limits,
    pub(super) need: Need,
    /// The releases that instances leave for this one although they called it good before.
    pub(super) left: Vec<ReleaseId>,
}

/// How it ended.
pub(super) struct Waited {
    judgement: Judgement,
    seen: Seen,
    sentence: String,
}

/// Refuses a wait for nobody.
pub(super) fn check(args: &WaitingArgs) -> Result<(), Failure> {
    if args.wait && args.instances.is_none() && args.group.is_none() {
        return Err(Failure::usage(
            "--wait needs --instances N or --group NAME: how many instances must call the release good",
        ));
    }
    Ok(())
}

/// What is waited for; none without `--wait`.
pub(super) async fn need(fleet: &Fleet, args: &WaitingArgs) -> Result<Option<Need>, Failure> {
    let Some(group) = &args.group else { return Ok(args.instances.map(Need::Instances)) };
    match patiently(async || autoscaling::in_service(&fleet.aws, group).await).await? {
        None => Err(Failure::usage(format!(
            "there is no Auto Scaling group {group:?} in {}: check --group, AWS_REGION and the account",
            fleet.aws.region().unwrap_or_default()
        ))),
        Some(_) => Ok(Some(Need::Group(group.clone()))),
    }
}

impl Wait<'_> {
    /// Looks at the board until the end, or for as long as the command may wait.
    pub(super) async fn run(&self, patience: Duration, is_silent: bool) -> Waited {
        let last = RefCell::new(Seen::default());
        let progress = Progress { is_silent, last: RefCell::default() };
        let ended = timeout(patience, self.watch(&last, &progress)).await;
        progress.end();
        let (seen, judgement) = (last.into_inner(), ended.unwrap_or(Judgement::TimedOut));
        let sentence = self.sentence(&judgement, &seen, patience);
        Waited { judgement, seen, sentence }
    }

    async fn watch(&self, last: &RefCell<Seen>, progress: &Progress) -> Judgement {
        loop {
            match self.look().await {
                Ok(seen) => {
                    let judgement = judge(&self.need, &self.limits, &seen);
                    progress.show(&line(&self.need, &seen));
                    last.replace(seen);
                    if judgement != Judgement::Waiting {
                        return judgement;
                    }
                }
                Err(error) if error.is_transient() => progress.show(&error.reason),
                Err(error) => return Judgement::Failed(error.reason),
            }
            sleep(Duration::from_millis(fastrand::u64(LOOK.0..LOOK.1))).await;
        }
    }

    async fn look(&self) -> Result<Seen, JobError> {
        let (aws, board) = (&self.fleet.aws, &self.board);
        let left = self.look_at_left().await?;
        let document = s3::get(aws, &self.fleet.at, None);
        let (verdicts, locks, document) =
            tokio::join!(publisher::verdicts(aws, board, &self.release), publisher::locks(aws, board), document);
        let (verdicts, locks) = (verdicts?, locks?);
        // The marks were read before the document: a mark that was written after it is younger.
        let document = document?;
        let published = document.as_ref().map(|object| object.age).unwrap_or_default();
        let there = document.map(|object| ReleaseId::of(&object.body));
        let begun = match self.limits.is_held(&verdicts.state()) {
            true => publisher::marks(aws, board, &self.release, &verdicts.begun).await?,
            false => Vec::new(),
        };
        let in_service = match &self.need {
            Need::Instances(_) => Vec::new(),
            Need::Group(group) => autoscaling::in_service(aws, group).await?.unwrap_or_default(),
        };
        Ok(Seen {
            away: left.away(&locks, published),
            verdicts,
            locks,
            superseded_by: there.filter(|there| *there != self.release),
            in_service,
            begun,
        })
    }

    async fn look_at_left(&self) -> Result<Left, JobError> {
        let (aws, board) = (&self.fleet.aws, &self.board);
        let mut left = Left::default();
        for release in &self.left {
            let verdicts = publisher::verdicts(aws, board, release).await?;
            left.good.extend(verdicts.ok);
            left.begun.extend(verdicts.begun);
        }
        left.good.sort();
        left.good.dedup();
        left.marks = publisher::marks(aws, board, &self.release, &left.good).await?;
        Ok(left)
    }

    fn sentence(&self, judgement: &Judgement, seen: &Seen, patience: Duration) -> String {
        let (release, pointer, state) = (&self.release, &self.fleet.pointer, seen.verdicts.state());
        let look = format!("look at `berth release status {pointer}`");
        match judgement {
            Judgement::Good => format!("release {release} is good: {}", line(&self.need, seen)),
            Judgement::Stopped => {
                format!(
                    "release {release} is stopped: {state}, and release.failures is {}; {look}",
                    self.limits.failures
                )
            }
            Judgement::Held => {
                let lost: Vec<&str> = self.limits.lost(&seen.begun).map(|mark| instance(&mark.user)).collect();
                format!(
                    "release {release} is stopped: {}; these began it and are taken for lost: {}; {look}, and if they died for \
                     another reason, `berth release resume {pointer}` lets it go on",
                    self.limits.why_stopped(&state).unwrap_or_default(),
                    lost.join(", ")
                )
            }
            Judgement::Halted => format!("release {release} was halted ({state}); {look}"),
            Judgement::Superseded(there) => {
                format!("release {release} was superseded: {pointer} is release {there} now")
            }
            Judgement::Failed(reason) => {
                format!("release {release} cannot be watched: {}", crate::commands::plain(reason))
            }
            Judgement::TimedOut | Judgement::Waiting => format!(
                "release {release} is not good within {}: {}; {look}",
                duration_text(patience),
                line(&self.need, seen)
            ),
        }
    }
}

impl Waited {
    /// The report of the publication, with how the wait ended.
    pub(super) fn over(self, done: Report) -> Report {
        let is_met = self.judgement == Judgement::Good;
        let word = match &self.judgement {
            Judgement::Good => "good",
            Judgement::Stopped | Judgement::Held => "stopped",
            Judgement::Halted => "halted",
            Judgement::Superseded(_) => "superseded",
            Judgement::TimedOut | Judgement::Waiting => "timeout",
            Judgement::Failed(_) => "failed",
        };
        let mut json = done.json;
        if let Some(object) = json.as_object_mut() {
            let (state, good) = (self.seen.verdicts.state(), good(&self.seen).count());
            object.insert("ok".to_owned(), is_met.into());
            object.insert(
                "wait".to_owned(),
                json!({ "ended": word, "good": good, "bad": state.bad, "unsettled": state.unsettled, "reason": self.sentence }),
            );
        }
        Report { is_met, text: format!("{}\n", self.sentence), json }
    }
}

/// The instances that called good a release that is left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Left {
    /// Who called it good, and so left this one.
    good: Vec<String>,
    /// Who began it and has written no verdict: it goes back within the bake, without a mark.
    begun: Vec<String>,
    /// The marks of the first ones on the release that comes back.
    marks: Vec<Mark>,
}

impl Left {
    /// Which instances are not back yet, if the release came back so long ago.
    fn away(&self, locks: &[LockView], published: Duration) -> BTreeSet<String> {
        let has_lock = |user: &&String| locks.iter().any(|lock| lock.holder.as_deref() == Some(instance(user)));
        let is_back = |user: &&String| self.marks.iter().any(|mark| mark.user == **user && mark.age < published);
        let away = self.good.iter().filter(|user| !is_back(user) || has_lock(user));
        away.chain(self.begun.iter().filter(has_lock)).map(|user| instance(user).to_owned()).collect()
    }
}

/// What one look means. A stopped release is not good, however many call it so.
fn judge(need: &Need, limits: &Limits, seen: &Seen) -> Judgement {
    let state = seen.verdicts.state();
    if state.is_halted {
        return Judgement::Halted;
    }
    if state.is_stopped(limits.failures) {
        return Judgement::Stopped;
    }
    let is_good = match need {
        // Nobody knows which of them are gone: each has to be back.
        Need::Instances(count) => seen.away.is_empty() && good(seen).count() >= usize_of(*count),
        Need::Group(_) => !seen.in_service.is_empty() && good_of(seen) == seen.in_service.len(),
    };
    match &seen.superseded_by {
        _ if is_good => Judgement::Good,
        Some(there) => Judgement::Superseded(there.clone()),
        None if limits.is_held_by_the_lost(&state, &seen.begun) => Judgement::Held,
        None => Judgement::Waiting,
    }
}

/// The instances that call it good, and run it.
fn good(seen: &Seen) -> impl Iterator<Item = &str> {
    let mut all: Vec<&str> = seen.verdicts.ok.iter().map(|user| instance(user)).collect();
    all.sort_unstable();
    all.dedup();
    all.into_iter().filter(|id| !seen.away.contains(*id))
}

/// How many instances that are in service call it good.
fn good_of(seen: &Seen) -> usize {
    good(seen).filter(|id| seen.in_service.iter().any(|there| there == id)).count()
}

fn usize_of(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

/// `2 of 6 good, 0 bad, 1 without a verdict; i-0123 has a lock`
fn line(need: &Need, seen: &Seen) -> String {
    let state = seen.verdicts.state();
    let good = match need {
        Need::Instances(count) => format!("{} of {count} good", good(seen).count()),
        Need::Group(_) => format!("{} of {} in service good", good_of(seen), seen.in_service.len()),
    };
    let holders: Vec<&str> = seen.locks.iter().filter_map(|lock| lock.holder.as_deref()).collect();
    let locks = match holders.as_slice() {
        [] => String::new(),
        [one] => format!("; {one} has a lock"),
        several => format!("; {} have locks", several.join(", ")),
    };
    let away = match seen.away.len() {
        0 => String::new(),
        count => format!(", {count} not back yet"),
    };
    let unsettled = match state.unsettled {
        0 => String::new(),
        count => format!(", {count} without a verdict"),
    };
    crate::commands::plain(&format!("{good}{away}, {} bad{unsettled}{locks}", state.bad))
}

/// One line on a terminal, which is written over; elsewhere a line for each change.
struct Progress {
    is_silent: bool,
    last: RefCell<String>,
}

impl Progress {
    fn show(&self, line: &str) {
        if self.is_silent || *self.last.borrow() == line {
            return;
        }
        self.last.replace(line.to_owned());
        if stderr().is_terminal() {
            let _ = write!(stderr(), "\r\x1b[2K{line}");
        } else {
            note(line);
        }
    }

    fn end(&self) {
        if !self.is_silent && stderr().is_terminal() && !self.last.borrow().is_empty() {
            let _ = writeln!(stderr());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(ok: &[&str], bad: &[&str]) -> Seen {
        let users = |ids: &[&str]| ids.iter().map(|id| format!("AROA:{id}")).collect();
        Seen { verdicts: Verdicts { ok: users(ok), bad: users(bad), ..Verdicts::default() }, ..Seen::default() }
    }

    fn limits(failures: u32) -> Limits {
        Limits { failures, max_parallel: 1, lost_after: Duration::from_secs(390) }
    }

    fn begun(seen: Seen, ages: &[u64]) -> Seen {
        let mark = |age: &u64| Mark { user: format!("AROA:i-old-{age}"), age: Duration::from_secs(*age) };
        let marks: Vec<Mark> = ages.iter().map(mark).collect();
        let users = marks.iter().map(|mark| mark.user.clone()).collect();
        Seen { verdicts: Verdicts { begun: users, ..seen.verdicts }, begun: marks, ..seen }
    }

    #[test]
    fn a_release_is_good_when_enough_instances_say_so_and_it_is_not_stopped() {
        let two = Need::Instances(2);
        let judge = |failures, seen: &Seen| judge(&two, &limits(failures), seen);
        assert_eq!(judge(1, &seen(&["i-1"], &[])), Judgement::Waiting);
        assert_eq!(judge(1, &seen(&["i-1", "i-2"], &[])), Judgement::Good);
        assert_eq!(judge(1, &seen(&["i-1", "i-2", "i-3"], &["i-4"])), Judgement::Stopped);
        assert_eq!(judge(2, &seen(&["i-1", "i-2", "i-3"], &["i-4"])), Judgement::Good);
        assert_eq!(judge(1, &seen(&[], &["i-4"])), Judgement::Stopped);
        let mut pardoned = seen(&["i-1"], &["i-4"]);
        pardoned.verdicts.pardoned = 1;
        assert_eq!(judge(1, &pardoned), Judgement::Waiting);
        let mut halted = seen(&["i-1", "i-2"], &[]);
        halted.verdicts.is_halted = true;
        assert_eq!(judge(1, &halted), Judgement::Halted);
        let other = ReleaseId::of(b"other");
        let superseded = |ok: &[&str]| Seen { superseded_by: Some(other.clone()), ..seen(ok, &[]) };
        assert_eq!(judge(1, &superseded(&["i-1"])), Judgement::Superseded(other.clone()));
        assert_eq!(judge(1, &superseded(&["i-1", "i-2"])), Judgement::Good, "it was, before the next one came");
    }

    #[test]
    fn marks_of_lost_instances_end_the_wait_once_no_other_one_can_begin() {
        let judge = |seen: &Seen| judge(&Need::Instances(2), &limits(1), seen);
        for (ages, expected) in [
            (&[500][..], Judgement::Waiting),
            (&[500, 20], Judgement::Waiting),
            (&[500, 390], Judgement::Held),
            (&[500, 400, 20], Judgement::Held),
        ] {
            assert_eq!(judge(&begun(seen(&["i-1"], &[]), ages)), expected, "{ages:?}");
        }
        let enough = begun(seen(&["i-1", "i-2"], &[]), &[500, 390]);
        assert_eq!(judge(&enough), Judgement::Good, "no other one has to begin");
    }

    #[test]
    fn a_release_that_comes_back_is_good_when_those_that_left_it_are_back() {
        let user = |id: &str| format!("AROA:{id}");
        let mark = |id: &str, age| Mark { user: user(id), age: Duration::from_secs(age) };
        let lock =
            |id: &str| LockView { number: "0".into(), holder: Some(id.into()), release: None, left: Duration::ZERO };
        let published = Duration::from_secs(60);
        let left = |marks: Vec<Mark>| Left { good: vec![user("i-1")], begun: vec![user("i-2")], marks };
        let away = |left: Left, locks: &[LockView]| left.away(locks, published).into_iter().collect::<Vec<_>>();
        assert_eq!(away(left(vec![]), &[]), ["i-1"], "it was booted as the other release");
        assert_eq!(away(left(vec![mark("i-1", 300)]), &[]), ["i-1"], "its mark is of the first time");
        assert_eq!(away(left(vec![mark("i-1", 50)]), &[lock("i-1")]), ["i-1"], "it moves, or bakes");
        assert!(away(left(vec![mark("i-1", 50)]), &[]).is_empty());
        assert_eq!(away(left(vec![mark("i-1", 50)]), &[lock("i-2")]), ["i-2"], "it goes back within the bake");

        let all = || seen(&["i-1", "i-2", "i-3"], &[]);
        let with = |need: &Need, ids: &[&str], in_service: &[&str]| {
            let of = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
            let away = of(ids).into_iter().collect();
            judge(need, &limits(1), &Seen { away, in_service: of(in_service), ..all() })
        };
        assert_eq!(with(&Need::Instances(2), &["i-1"], &[]), Judgement::Waiting);
        assert_eq!(with(&Need::Instances(2), &[], &[]), Judgement::Good);
        let group = Need::Group("web".into());
        assert_eq!(with(&group, &["i-1"], &["i-1", "i-2"]), Judgement::Waiting);
        assert_eq!(with(&group, &["i-1"], &["i-2", "i-3"]), Judgement::Good, "it is not in service any more");
    }

    #[test]
    fn every_instance_of_a_group_that_is_in_service_counts_and_no_other() {
        let group = Need::Group("web".into());
        let of = |in_service: &[&str], ok: &[&str]| {
            let in_service = in_service.iter().map(|id| (*id).to_owned()).collect();
            judge(&group, &limits(1), &Seen { in_service, ..seen(ok, &[]) })
        };
        assert_eq!(of(&["i-1", "i-2"], &["i-1", "i-2"]), Judgement::Good);
        // One that called it good was terminated, and another one has come.
        assert_eq!(of(&["i-1", "i-3"], &["i-1", "i-2"]), Judgement::Waiting);
        assert_eq!(of(&["i-1"], &["i-11"]), Judgement::Waiting);
        assert_eq!(of(&[], &["i-1"]), Judgement::Waiting, "nothing serves");
    }

    #[test]
    fn the_progress_says_who_has_a_lock() {
        let lock = |id: &str| LockView {
            number: "0".into(),
            holder: Some(id.into()),
            release: None,
            left: Duration::from_secs(9),
        };
        let with = |locks: Vec<LockView>| Seen { locks, ..seen(&["i-1"], &["i-2"]) };
        let two = Need::Instances(2);
        assert_eq!(line(&two, &with(vec![])), "1 of 2 good, 1 bad");
        assert_eq!(line(&two, &with(vec![lock("i-3")])), "1 of 2 good, 1 bad; i-3 has a lock");
        assert_eq!(line(&two, &with(vec![lock("i-3"), lock("i-4")])), "1 of 2 good, 1 bad; i-3, i-4 have locks");
        let group = Seen { in_service: vec!["i-1".into(), "i-5".into()], ..with(vec![]) };
        assert_eq!(line(&Need::Group("web".into()), &group), "1 of 2 in service good, 1 bad");
        let back = Seen { away: ["i-1".to_owned()].into(), ..begun(with(vec![]), &[20]) };
        assert_eq!(line(&two, &back), "0 of 2 good, 1 not back yet, 1 bad, 1 without a verdict");
    }
}
