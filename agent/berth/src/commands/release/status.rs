//! `berth release status`: the current release, what the instances say of it, and those before it.

use std::fmt::Write;
use std::time::Duration;

use berth_core::message::release::{Release, Verdict};
use serde_json::{Value, json};

use super::history::{self, Past};
use super::limits::Limits;
use super::{Failure, Fleet, Report, document, instance, patiently, source};
use crate::cli::FollowedArgs;
use crate::commands::humanize::span;
use crate::commands::plain;
use crate::io::aws::publisher::{self, Halt, LockView, Mark, Verdicts, WrittenVerdict};

/// So many earlier releases are shown.
const SHOWN: usize = 5;
/// So many bad verdicts, and so many marks, are read.
const READ: usize = 50;

/// All that is shown.
#[derive(Clone, Debug)]
struct View {
    pointer: String,
    release: Release,
    version: String,
    image: String,
    notes: Option<String>,
    limits: Limits,
    verdicts: Verdicts,
    /// The marks without a verdict, the oldest first.
    begun: Vec<Mark>,
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
    let begun: Vec<String> = verdicts.begun.iter().take(READ).cloned().collect();
    let begun = patiently(async || publisher::marks(aws, &board, id, &begun).await).await?;
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
        limits: Limits::of(&config),
        verdicts,
        begun,
        bad,
        locks,
        halt,
        before,
    };
    Ok(Report { is_met: !view.is_stopped(), text: view.text(), json: view.json() })
}

impl View {
    fn is_stopped(&self) -> bool {
        self.limits.is_stopped(&self.verdicts.state())
    }

    /// What the board says of the release, in one sentence.
    fn state(&self) -> String {
        let state = self.verdicts.state();
        if let Some(halt) = &self.halt {
            let part = |name: &str, text: &str| if text.is_empty() { String::new() } else { format!("{name}{text}") };
            let (by, at) = (part(" by ", &halt.by), part(" at ", &halt.time));
            return format!("halted{by}{at}{}", part(": ", &halt.reason));
        }
        match (self.limits.why_stopped(&state), state.pardoned) {
            _ if state.is_halted => "halted".to_owned(),
            (Some(why), _) => format!("stopped: {why}"),
            (None, 0) => "goes on".to_owned(),
            (None, pardoned) => format!("resumed, with {pardoned} bad pardoned"),
        }
    }

    /// What an operator can do about instances that began and have written no verdict.
    fn advice(&self) -> Option<String> {
        let (state, limits) = (self.verdicts.state(), &self.limits);
        let held = limits.is_held(&state) && !state.is_stopped(limits.failures);
        let resume = format!("`berth release resume {}`", self.pointer);
        let goes_on = !limits.is_stopped(&limits.resumed(&state, &self.begun));
        match (limits.is_held_by_the_lost(&state, &self.begun), goes_on) {
            _ if !held => None,
            (true, true) => {
                Some(format!("no instance begins it any more: if they died for another reason, {resume} lets it go on"))
            }
            (false, true) => Some(format!("one of them may still write its verdict; {resume} lets it go on at once")),
            (_, false) => Some(format!(
                "they may still write their verdicts, and are lost {} after they began: then {resume} lets it go on",
                span(limits.lost_after.as_secs_f64())
            )),
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
        let unsettled = match self.verdicts.begun.len() {
            0 => String::new(),
            count => format!(", {count} without a verdict"),
        };
        line("verdicts", &format!("{} ok, {} bad{unsettled}", self.verdicts.ok.len(), self.verdicts.bad.len()));
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
        for mark in &self.begun {
            let lost = if mark.age >= self.limits.lost_after { ", and is taken for lost" } else { "" };
            line("begun", &format!("{}: {} ago{lost}", instance(&mark.user), age(mark.age)));
        }
        let unread = self.verdicts.begun.len().saturating_sub(self.begun.len());
        if unread > 0 {
            line("", &format!("and {unread} more"));
        }
        if let Some(advice) = self.advice() {
            line("", &advice);
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
        let begun = self.begun.iter().map(|mark| {
            json!({
                "instance": instance(&mark.user),
                "seconds_old": mark.age.as_secs(),
                "lost": mark.age >= self.limits.lost_after,
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
            "unsettled_count": state.unsettled,
            "begun": begun.collect::<Vec<_>>(),
            "advice": self.advice(),
            "locks": locks.collect::<Vec<_>>(),
            "before": before.collect::<Vec<_>>(),
        })
    }
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

    const LIMITS: Limits = Limits { failures: 1, max_parallel: 1, lost_after: Duration::from_secs(390) };

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
            limits: LIMITS,
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
            limits: LIMITS,
            verdicts: Verdicts {
                ok: vec!["A:i-1".into()],
                bad: vec!["A:i-2".into(), "A:i-3".into()],
                ..Verdicts::default()
            },
            begun: Vec::new(),
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
        assert_eq!(with(&|view| view.limits.failures = 3), ("goes on".into(), false));
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

    /// Stopped by nothing but instances whose marks are so old, in seconds.
    fn held(ages: &[u64]) -> View {
        let mark = |age: &u64| Mark { user: format!("A:i-{age}"), age: Duration::from_secs(*age) };
        let begun: Vec<Mark> = ages.iter().map(mark).collect();
        let users = begun.iter().map(|mark| mark.user.clone()).collect();
        let verdicts = Verdicts { ok: vec!["A:i-1".into()], begun: users, ..Verdicts::default() };
        View { verdicts, begun, bad: Vec::new(), locks: Vec::new(), before: Vec::new(), ..view() }
    }

    #[test]
    fn instances_that_began_and_wrote_no_verdict_are_shown_with_their_age_and_what_to_do() {
        expect![[r#"
            release   97b0560280ed60a5, published 3 min 12 s ago to s3://prod-berth/api
            version   2, docker.io/library/x:2
            notes     larger pool
            state     stopped: 0 bad and 2 without a verdict, and release.failures + release.max_parallel is 2
            verdicts  1 ok, 0 bad, 2 without a verdict
            begun     i-700: 11 min 40 s ago, and is taken for lost
            begun     i-400: 6 min 40 s ago, and is taken for lost
                      no instance begins it any more: if they died for another reason, `berth release resume s3://prod-berth/api` lets it go on
        "#]]
        .assert_eq(&held(&[700, 400]).text());
        let resume = "`berth release resume s3://prod-berth/api` lets it go on";
        let some = held(&[400, 20]);
        let advice = format!("one of them may still write its verdict; {resume} at once");
        assert_eq!((some.is_stopped(), some.advice()), (true, Some(advice)));
        let none = held(&[30, 20]);
        let advice =
            format!("they may still write their verdicts, and are lost 6 min 30 s after they began: then {resume}");
        assert_eq!((none.is_stopped(), none.advice()), (true, Some(advice)));
        // One that is at it stops nothing.
        let one = held(&[20]);
        assert_eq!((one.state().as_str(), one.is_stopped(), one.advice()), ("goes on", false, None));
        assert!(one.text().contains("\nbegun     i-20: 20.0 s ago\n"), "{}", one.text());

        let json = held(&[700, 20]).json();
        assert_eq!((&json["ok"], &json["stopped"], &json["unsettled_count"]), (&false.into(), &true.into(), &2.into()));
        assert_eq!(json["begun"][0], json!({ "instance": "i-700", "seconds_old": 700, "lost": true }));
        assert_eq!(json["begun"][1], json!({ "instance": "i-20", "seconds_old": 20, "lost": false }));
        assert!(json["advice"].as_str().unwrap().contains("resume"), "{json}");
        assert_eq!(view().json()["advice"], Value::Null, "bad verdicts are for an operator to look at");
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
