//! `berth release rollback`: an earlier release is published again, as it was.

use berth_core::message::release::ReleaseId;
use serde_json::json;

use super::history::{self, Past};
use super::{Failure, Fleet, Report, Written, source, wait};
use crate::cli::RollbackArgs;
use crate::commands::{note, say};
use crate::io::aws::s3::About;

/// So many releases are looked at.
const LOOKED_AT: usize = 20;

/// The command.
pub(super) async fn run(args: &RollbackArgs) -> Result<Report, Failure> {
    wait::check(&args.waiting)?;
    let fleet = Fleet::read(&args.followed).await?;
    let need = wait::need(&fleet, &args.waiting).await?;
    let (current, board) = (fleet.current()?, fleet.board()?);
    let id = &current.release.id;
    let before = async |is_target: &dyn Fn(&Past) -> bool| {
        history::before(&fleet.aws, &fleet.pointer, &board, current, LOOKED_AT, is_target).await
    };
    let (target, between) = match &args.to {
        Some(to) if to == id => return Err(Failure::unmet(format!("{} is release {to} already", fleet.pointer))),
        Some(to) => {
            let target = history::past(&fleet.aws, &fleet.pointer, &board, to).await?;
            // Those in between are of interest to a wait alone.
            (target, if need.is_some() { before(&|past| past.id == *to).await? } else { Vec::new() })
        }
        None => {
            let past = before(&Past::is_proven).await?;
            let target = target(past.clone()).map_err(|looked_at| none_to_go_back_to(id, &looked_at))?;
            (target, past)
        }
    };
    let Some(document) = &target.document else {
        return Err(Failure::unmet(format!(
            "the board has no document of release {}: publish a FILE instead",
            target.id
        )));
    };
    let state = target.verdicts.state();
    if state.is_stopped(target.limits.failures) {
        return Err(Failure::unmet(format!(
            "release {} is stopped ({state}): no instance would begin it; name another one, or publish its document again",
            target.id
        )));
    }
    if !args.followed.json {
        for remark in remarks(&fleet, &target, &document.bytes) {
            note(&remark);
        }
    }
    let about = About { previous: Some(id.clone()), is_rollback: true };
    if let Written::Lost(there) = fleet.write(&document.bytes, &about).await? {
        return Err(fleet.lost(there));
    }
    let version = if target.version.is_empty() { String::new() } else { format!(" ({})", target.version) };
    let text = format!(
        "{} goes back from release {id} to release {}{version}: every instance follows as soon as it gets a lock, without waves\n",
        fleet.pointer, target.id
    );
    let json = json!({
        "ok": true, "release": target.id, "version": target.version, "previous": id, "rollback": true,
    });
    let done = Report { is_met: true, text, json };
    let Some(need) = need else { return Ok(done) };
    if !args.followed.json {
        say(&done.text);
    }
    let left = left(id, &between, &target.id);
    let wait = wait::Wait { fleet: &fleet, board, release: target.id, limits: target.limits, need, left };
    Ok(wait.run(args.waiting.timeout, args.followed.json).await.over(done))
}

/// The newest release to go back to; or all that were looked at.
fn target(past: Vec<Past>) -> Result<Past, Vec<Past>> {
    match past.iter().position(Past::is_proven) {
        Some(at) => past.into_iter().nth(at).ok_or_else(Vec::new),
        None => Err(past),
    }
}

/// The releases after the target, the newest first: instances leave them. If the target is not among those that are known, only the
/// current one is sure to be after it.
fn left(current: &ReleaseId, before: &[Past], target: &ReleaseId) -> Vec<ReleaseId> {
    let at = before.iter().position(|past| past.id == *target).unwrap_or_default();
    std::iter::once(current).chain(before.iter().take(at).map(|past| &past.id)).cloned().collect()
}

/// What an operator who named the release should know.
fn remarks(fleet: &Fleet, target: &Past, document: &[u8]) -> Vec<String> {
    let state = target.verdicts.state();
    let mut remarks = Vec::new();
    if state.ok == 0 {
        remarks.push(format!("no instance has called release {} good", target.id));
    }
    if state.ok > 0 && target.limits.is_held(&state) {
        remarks.push(format!(
            "release {} has marks without a verdict ({state}): no other instance begins it before `berth release resume {}`",
            target.id, fleet.pointer
        ));
    }
    if let Some(current) = &fleet.current {
        let read = |bytes: &[u8]| source::read(&fleet.pointer, fleet.board.as_ref(), None, bytes).config;
        let keys = read(&current.bytes).needs_new_instance(&read(document));
        if !keys.is_empty() {
            let keys = keys.join("`, `");
            remarks
                .push(format!("`{keys}` changes, which only new instances take: those that run refuse this release"));
        }
    }
    remarks
}

fn none_to_go_back_to(current: &ReleaseId, looked_at: &[Past]) -> Failure {
    let why = |past: &Past| match &past.document {
        None => format!("{}: the board has no document of it", past.id),
        Some(_) => format!("{}: {}", past.id, past.verdicts.state()),
    };
    let looked_at: Vec<String> = looked_at.iter().map(why).collect();
    let what = match looked_at.is_empty() {
        true => "none is known before it".to_owned(),
        false => format!("none of those before it is good and not stopped ({})", looked_at.join("; ")),
    };
    Failure::unmet(format!("release {current} cannot be rolled back: {what}; name one with --to, or publish a FILE"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;

    use super::*;
    use crate::commands::release::limits::Limits;
    use crate::io::aws::document::Document;
    use crate::io::aws::publisher::Verdicts;
    use crate::io::aws::s3::Object;

    fn past(number: usize, ok: usize, bad: usize) -> Past {
        let object = Object {
            body: Bytes::from(format!("berth image=x:{number}")),
            etag: "\"e\"".into(),
            age: Duration::ZERO,
            about: About::default(),
        };
        let users = |count: usize| (0..count).map(|number| format!("A:i-{number}")).collect();
        let document = Document::from(object);
        Past {
            id: document.release.id.clone(),
            document: Some(document),
            verdicts: Verdicts { ok: users(ok), bad: users(bad), ..Verdicts::default() },
            limits: Limits { failures: 1, max_parallel: 1, lost_after: Duration::from_secs(390) },
            version: number.to_string(),
        }
    }

    #[test]
    fn instances_leave_the_releases_after_the_target() {
        let all = vec![past(3, 1, 0), past(2, 0, 1), past(1, 1, 0)];
        let (current, ids) = (ReleaseId::of(b"current"), all.iter().map(|past| past.id.clone()).collect::<Vec<_>>());
        assert_eq!(left(&current, &all, &ids[2]), [current.clone(), ids[0].clone(), ids[1].clone()]);
        assert_eq!(left(&current, &all, &ids[0]), std::slice::from_ref(&current));
        // Whether these are older or newer than the target is not known.
        assert_eq!(left(&current, &all, &ReleaseId::of(b"other")), std::slice::from_ref(&current));
    }

    #[test]
    fn the_newest_release_that_is_good_and_not_stopped_is_the_target() {
        let halted = |mut past: Past| {
            past.verdicts.is_halted = true;
            past
        };
        let unknown = |mut past: Past| {
            past.document = None;
            past
        };
        let all = vec![
            past(5, 0, 0),
            past(4, 3, 1),
            halted(past(3, 3, 0)),
            unknown(past(2, 9, 0)),
            past(1, 1, 0),
            past(0, 9, 0),
        ];
        assert_eq!(target(all.clone()).unwrap().version, "1");
        let mut pardoned = all.clone();
        pardoned[1].verdicts.pardoned = 1;
        assert_eq!(target(pardoned).unwrap().version, "4");
        let mut lenient = all.clone();
        lenient[1].limits.failures = 2;
        assert_eq!(target(lenient).unwrap().version, "4");
        let none = target(all.into_iter().take(4).collect()).unwrap_err();
        assert_eq!(none.len(), 4);
        let current = ReleaseId::of(b"current");
        let reported = none_to_go_back_to(&current, &none).reason;
        assert!(reported.contains("3 ok, 1 bad; ") && reported.contains("3 ok, 0 bad, halted; "), "{reported}");
        assert!(
            reported.ends_with("the board has no document of it); name one with --to, or publish a FILE"),
            "{reported}"
        );
        let reported = none_to_go_back_to(&current, &[]);
        assert_eq!((reported.code, reported.reason.contains("none is known before it")), (1, true));
    }
}
