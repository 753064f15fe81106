//! `berth release publish --wait`: until the instances call the release good, or it cannot become good.

use std::cell::RefCell;
use std::io::{IsTerminal, Write, stderr};
use std::time::Duration;

use berth_config::{Board, duration_text};
use berth_core::message::error::JobError;
use berth_core::message::release::ReleaseId;
use serde_json::json;
use tokio::time::{sleep, timeout};

use super::{Failure, Fleet, Report, patiently};
use crate::cli::PublishArgs;
use crate::commands::note;
use crate::io::aws::autoscaling;
use crate::io::aws::publisher::{self, LockView, Verdicts};
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
}

/// What that means.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Judgement {
    Waiting,
    Good,
    Stopped,
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
    pub(super) failures: u32,
    pub(super) need: Need,
}

/// How it ended.
pub(super) struct Waited {
    judgement: Judgement,
    seen: Seen,
    sentence: String,
}

/// What is waited for; none without `--wait`.
pub(super) async fn need(fleet: &Fleet, args: &PublishArgs) -> Result<Option<Need>, Failure> {
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
    pub(super) async fn run(&self, args: &PublishArgs) -> Waited {
        let last = RefCell::new(Seen::default());
        let progress = Progress { is_silent: args.followed.json, last: RefCell::default() };
        let ended = timeout(args.timeout, self.watch(&last, &progress)).await;
        progress.end();
        let (seen, judgement) = (last.into_inner(), ended.unwrap_or(Judgement::TimedOut));
        let sentence = self.sentence(&judgement, &seen, args.timeout);
        Waited { judgement, seen, sentence }
    }

    async fn watch(&self, last: &RefCell<Seen>, progress: &Progress) -> Judgement {
        loop {
            match self.look().await {
                Ok(seen) => {
                    let judgement = judge(&self.need, self.failures, &seen);
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
        let document = s3::get(aws, &self.fleet.at, None);
        let (verdicts, locks, document) =
            tokio::join!(publisher::verdicts(aws, board, &self.release), publisher::locks(aws, board), document);
        let there = document?.map(|object| ReleaseId::of(&object.body));
        let in_service = match &self.need {
            Need::Instances(_) => Vec::new(),
            Need::Group(group) => autoscaling::in_service(aws, group).await?.unwrap_or_default(),
        };
        Ok(Seen {
            verdicts: verdicts?,
            locks: locks?,
            superseded_by: there.filter(|there| *there != self.release),
            in_service,
        })
    }

    fn sentence(&self, judgement: &Judgement, seen: &Seen, patience: Duration) -> String {
        let (release, pointer, state) = (&self.release, &self.fleet.pointer, seen.verdicts.state());
        let look = format!("look at `berth release status {pointer}`");
        match judgement {
            Judgement::Good => format!("release {release} is good: {}", line(&self.need, seen)),
            Judgement::Stopped => {
                format!("release {release} is stopped: {state}, and release.failures is {}; {look}", self.failures)
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
            Judgement::Stopped => "stopped",
            Judgement::Halted => "halted",
            Judgement::Superseded(_) => "superseded",
            Judgement::TimedOut | Judgement::Waiting => "timeout",
            Judgement::Failed(_) => "failed",
        };
        let mut json = done.json;
        if let Some(object) = json.as_object_mut() {
            let state = self.seen.verdicts.state();
            object.insert("ok".to_owned(), is_met.into());
            object.insert(
                "wait".to_owned(),
                json!({ "ended": word, "good": state.ok, "bad": state.bad, "reason": self.sentence }),
            );
        }
        Report { is_met, text: format!("{}\n", self.sentence), json }
    }
}

/// What one look means. A stopped release is not good, however many call it so.
fn judge(need: &Need, failures: u32, seen: &Seen) -> Judgement {
    let state = seen.verdicts.state();
    if state.is_halted {
        return Judgement::Halted;
    }
    if state.is_stopped(failures) {
        return Judgement::Stopped;
    }
    let is_good = match need {
        Need::Instances(count) => state.ok >= *count,
        Need::Group(_) => !seen.in_service.is_empty() && good_of(seen) == seen.in_service.len(),
    };
    match &seen.superseded_by {
        _ if is_good => Judgement::Good,
        Some(there) => Judgement::Superseded(there.clone()),
        None => Judgement::Waiting,
    }
}

/// How many instances that are in service call it good. A user is `ROLEID:INSTANCE`.
fn good_of(seen: &Seen) -> usize {
    let is_good = |id: &&String| seen.verdicts.ok.iter().any(|user| user.rsplit(':').next() == Some(id.as_str()));
    seen.in_service.iter().filter(is_good).count()
}

/// `2 of 6 good, 0 bad; i-0123 has a lock`
fn line(need: &Need, seen: &Seen) -> String {
    let state = seen.verdicts.state();
    let good = match need {
        Need::Instances(count) => format!("{} of {count} good", state.ok),
        Need::Group(_) => format!("{} of {} in service good", good_of(seen), seen.in_service.len()),
    };
    let holders: Vec<&str> = seen.locks.iter().filter_map(|lock| lock.holder.as_deref()).collect();
    let locks = match holders.as_slice() {
        [] => String::new(),
        [one] => format!("; {one} has a lock"),
        several => format!("; {} have locks", several.join(", ")),
    };
    crate::commands::plain(&format!("{good}, {} bad{locks}", state.bad))
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

    #[test]
    fn a_release_is_good_when_enough_instances_say_so_and_it_is_not_stopped() {
        let two = Need::Instances(2);
        let judge = |failures, seen: &Seen| judge(&two, failures, seen);
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
    fn every_instance_of_a_group_that_is_in_service_counts_and_no_other() {
        let group = Need::Group("web".into());
        let of = |in_service: &[&str], ok: &[&str]| {
            let in_service = in_service.iter().map(|id| (*id).to_owned()).collect();
            judge(&group, 1, &Seen { in_service, ..seen(ok, &[]) })
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
    }
}
