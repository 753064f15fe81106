//! `berth release status`: the current release, what the instances say of it, and those before it.

use std::fmt::Write;
use std::time::Duration;

use berth_core::message::release::{Release, Verdict};
use serde_json::{Value, json};

use super::history::{self, Past};
use super::{Failure, Fleet, Report, document, patiently, source};
use crate::cli::FollowedArgs;
use crate::commands::humanize::span;
use crate::commands::plain;
use crate::io::aws::publisher::{self, Halt, LockView, Verdicts, WrittenVerdict};

/// So many earlier releases are shown.
const SHOWN: usize = 5;
/// So many bad verdicts are read.
const READ: usize = 50;

/// All that is shown.
#[derive(Clone, Debug)]
struct View {
    pointer: String,
    release: Release,
    version: String,
    image: String,
    notes: Option<String>,
    failures: u32,
    verdicts: Verdicts,
    /// Each bad verdict, by who wrote it.
    bad: Vec<(String, WrittenVerdict)>,
    locks: Vec<LockView>,
    halt: Option<Halt>,
    before: Vec<Past>,
}

/// The command.
pub(super) async fn run(args: &FollowedArgs) -> Result<Report, Failure> {
    let fleet = Fleet::read(args).await?;
    let (current, board) = (fleet.current()?, fleet.board()?);
    let (aws, id) = (&fleet.aws, &current.release.id);
    let verdicts = patiently(async || publisher::verdicts(aws, &board, id).await).await?;
    let shown: Vec<String> = verdicts.bad.iter().take(READ).cloned().collect();
    let bad = patiently(async || publisher::written(aws, &board, id, Verdict::Bad, &shown).await).await?;
    let locks = patiently(async || publisher::locks(aws, &board).await).await?;
    let halt = patiently(async || publisher::halted(aws, &board, id).await).await?;
    let before = history::before(aws, &fleet.pointer, &board, current, SHOWN, |_| false).await?;
    let config = source::read(&fleet.pointer, Some(&board), None, &current.bytes).config;
    let view = View {
        pointer: fleet.pointer.to_string(),
        release: current.release.clone(),
        version: config.version(),
        image: config.image.to_string(),
        notes: document::comment(&current.bytes).and_then(|comment| comment.notes.map(str::to_owned)),
        failures: config.release.failures,
        verdicts,
        bad,
        locks,
        halt,
        before,
    };
    Ok(Report { is_met: !view.is_stopped(), text: view.text(), json: view.json() })
}

impl View {
    fn is_stopped(&self) -> bool {
        self.verdicts.state().is_stopped(self.failures)
    }

    /// What the board says of the release, in one sentence.
    fn state(&self) -> String {
        let state = self.verdicts.state();
        if let Some(halt) = &self.halt {
            let part = |name: &str, text: &str| if text.is_empty() { String::new() } else { format!("{name}{text}") };
            let (by, at) = (part(" by ", &halt.by), part(" at ", &halt.time));
            return format!("halted{by}{at}{}", part(": ", &halt.reason));
        }
        match (state.is_stopped(self.failures), state.pardoned) {
            (true, _) if state.is_halted => "halted".to_owned(),
            (true, 0) => format!("stopped: {} bad, and release.failures is {}", state.bad, self.failures),
            (true, pardoned) => format!(
                "stopped: {} bad after it was resumed with {pardoned}, and release.failures is {}",
                state.bad.saturating_sub(pardoned),
                self.failures
            ),
            (false, 0) => "goes on".to_owned(),
            (false, pardoned) => format!("resumed, with {pardoned} bad pardoned"),
        }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        let mut line = |label: &str, rest: &str| {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{label:<10}{}", plain(rest).trim_end());
        };
        let how = if self.release.is_rollback { "rolled back to" } else { "published" };
        line("release", &format!("{}, {how} {} ago to {}", self.release.id, age(self.release.age), self.pointer));
        if !self.version.is_empty() {
            line("version", &format!("{}, {}", self.version, self.image));
        }
        if let Some(notes) = &self.notes {
            line("notes", notes);
        }
        line("state", &self.state());
        line("verdicts", &format!("{} ok, {} bad", self.verdicts.ok.len(), self.verdicts.bad.len()));
        for (user, verdict) in &self.bad {
            line("", &format!("{}: {}", instance(user), verdict.reason));
            for output in &verdict.last_lines {
                line("", &format!("  | {output}"));
            }
        }
        let unread = self.verdicts.bad.len().saturating_sub(self.bad.len());
        if unread > 0 {
            line("", &format!("and {unread} more"));
        }
        for lock in &self.locks {
            let holder = lock.holder.as_deref().unwrap_or("of unknown form");
            let release = lock.release.as_ref().map(|release| format!(" for release {release}")).unwrap_or_default();
            let left = match lock.left.as_secs() {
                0 => "its lease has run out".to_owned(),
                left => format!("{left} s left"),
            };
            line("lock", &format!("{}: {holder}{release}, {left}", lock.number));
        }
        let mut label = "before";
        for past in &self.before {
            let what = match &past.document {
                None => "the board has no document of it".to_owned(),
                Some(_) => format!("{}  {}", past.version, past.verdicts.state()),
            };
            let notes = notes_of(past).map(|notes| format!("  {notes}")).unwrap_or_default();
            line(label, &format!("{}  {what}{notes}", past.id));
            label = "";
        }
        text
    }

    fn json(&self) -> Value {
        let bad = self.bad.iter().map(|(user, verdict)| {
            json!({
                "instance": instance(user),
                "reason": verdict.reason,
                "time": verdict.time,
                "last_lines": verdict.last_lines,
            })
        });
        let locks = self.locks.iter().map(|lock| {
            json!({
                "number": lock.number,
                "holder": lock.holder,
                "release": lock.release,
                "seconds_left": lock.left.as_secs(),
            })
        });
        let before = self.before.iter().map(|past| {
            let state = past.verdicts.state();
            json!({
                "release": past.id,
                "version": past.version,
                "notes": notes_of(past),
                "ok": state.ok,
                "bad": state.bad,
                "halted": state.is_halted,
                "proven": past.is_proven(),
            })
        });
        let state = self.verdicts.state();
        json!({
            "ok": !self.is_stopped(),
            "release": self.release.id,
            "version": self.version,
            "image": self.image,
            "seconds_old": self.release.age.as_secs(),
            "notes": self.notes,
            "previous": self.release.previous,
            "rollback": self.release.is_rollback,
            "state": self.state(),
            "stopped": self.is_stopped(),
            "halted": state.is_halted,
            "halt": self.halt,
            "pardoned": state.pardoned,
            "ok_count": state.ok,
            "bad_count": state.bad,
            "bad": bad.collect::<Vec<_>>(),
            "locks": locks.collect::<Vec<_>>(),
            "before": before.collect::<Vec<_>>(),
        })
    }
}

/// The instance of a user `ROLEID:INSTANCE`.
fn instance(user: &str) -> &str {
    user.rsplit(':').next().unwrap_or(user)
}

fn notes_of(past: &Past) -> Option<&str> {
    document::comment(&past.document.as_ref()?.bytes)?.notes
}

fn age(age: Duration) -> String {
    match age.as_secs() {
        0..172_800 => span(age.as_secs_f64()),
        seconds => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use berth_core::message::release::ReleaseId;
    use bytes::Bytes;
    use expect_test::expect;

    use super::*;
    use crate::io::aws::document::Document;
    use crate::io::aws::s3::{About, Object};

    fn view() -> View {
        let document = Document::from(Object {
            body: Bytes::from_static(b"# published 2026-11-21T03:34:32Z: the good one\nberth image=x:1"),
            etag: String::new(),
            age: Duration::ZERO,
            about: About::default(),
        });
        let past = Past {
            id: document.release.id.clone(),
            document: Some(document),
            verdicts: Verdicts { ok: vec!["A:i-1".into(), "A:i-2".into()], ..Verdicts::default() },
            failures: 1,
            version: "1".into(),
        };
        let lost = Past { id: ReleaseId::of(b"lost"), document: None, verdicts: Verdicts::default(), ..past.clone() };
        let verdict = WrittenVerdict {
            reason: "it exited with 1\u{1b}[2J".into(),
            time: "2026-11-21T03:40:00Z".into(),
            last_lines: vec!["panic: no database".into()],
        };
        View {
            pointer: "s3://prod-berth/api".into(),
            release: Release {
                id: ReleaseId::of(b"current"),
                revision: String::new(),
                age: Duration::from_secs(192),
                previous: Some(past.id.clone()),
                is_rollback: false,
            },
            version: "2".into(),
            image: "docker.io/library/x:2".into(),
            notes: Some("larger pool".into()),
            failures: 1,
            verdicts: Verdicts {
                ok: vec!["A:i-1".into()],
                bad: vec!["A:i-2".into(), "A:i-3".into()],
                ..Verdicts::default()
            },
            bad: vec![("A:i-2".into(), verdict)],
            locks: vec![LockView {
                number: "0".into(),
                holder: Some("i-3".into()),
                release: Some(ReleaseId::of(b"current")),
                left: Duration::from_secs(80),
            }],
            halt: None,
            before: vec![past, lost],
        }
    }

    #[test]
    fn a_stopped_release_is_shown_with_who_stopped_it_and_why() {
        expect![[r#"
            release   97b0560280ed60a5, published 3 min 12 s ago to s3://prod-berth/api
            version   2, docker.io/library/x:2
            notes     larger pool
            state     stopped: 2 bad, and release.failures is 1
            verdicts  1 ok, 2 bad
                      i-2: it exited with 1\u{1b}[2J
                        | panic: no database
                      and 1 more
            lock      0: i-3 for release 97b0560280ed60a5, 80 s left
            before    4daabb663aaa2729  1  2 ok, 0 bad  the good one
                      76f75e6129fe3013  the board has no document of it
        "#]]
        .assert_eq(&view().text());
    }

    #[test]
    fn the_state_is_one_sentence() {
        let with = |change: &dyn Fn(&mut View)| {
            let mut view = view();
            change(&mut view);
            (view.state(), view.is_stopped())
        };
        let one = "stopped: 2 bad, and release.failures is 1".to_owned();
        assert_eq!(with(&|_| {}), (one, true));
        assert_eq!(with(&|view| view.failures = 3), ("goes on".into(), false));
        assert_eq!(with(&|view| view.verdicts.pardoned = 2), ("resumed, with 2 bad pardoned".into(), false));
        let again = "stopped: 1 bad after it was resumed with 1, and release.failures is 1".to_owned();
        assert_eq!(with(&|view| view.verdicts.pardoned = 1), (again, true));
        let halted = |view: &mut View| {
            view.verdicts.is_halted = true;
            view.halt = Some(Halt { reason: "checkout".into(), by: "AIDA:anna".into(), time: "T".into() });
        };
        assert_eq!(with(&halted), ("halted by AIDA:anna at T: checkout".into(), true));
        let unreadable = |view: &mut View| {
            halted(view);
            view.halt = Some(Halt::default());
        };
        assert_eq!(with(&unreadable), ("halted".into(), true));
    }

    #[test]
    fn json_has_all_of_it() {
        let json = view().json();
        assert_eq!((&json["ok"], &json["stopped"], &json["bad_count"]), (&false.into(), &true.into(), &2.into()));
        assert_eq!(json["bad"][0]["instance"], "i-2");
        assert_eq!(json["bad"][0]["last_lines"][0], "panic: no database");
        assert_eq!((&json["locks"][0]["holder"], &json["locks"][0]["seconds_left"]), (&"i-3".into(), &80.into()));
        assert_eq!((&json["before"][0]["proven"], &json["before"][1]["proven"]), (&true.into(), &false.into()));
        assert_eq!(json["before"][0]["notes"], "the good one");
    }
}
