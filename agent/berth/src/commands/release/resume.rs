//! `berth release resume`: the current release goes on, and the bad verdicts that it has now are pardoned.
//!
//! An instance that began it and has written no verdict for longer than that takes counts as one that may be bad. It is lost: it gets a bad
//! verdict, which is pardoned as well.

use serde_json::json;

use super::limits::Limits;
use super::{Failure, Fleet, Report, patiently, source};
use crate::cli::FollowedArgs;
use crate::commands::humanize::span;
use crate::io::aws::publisher;

/// The command.
pub(super) async fn run(args: &FollowedArgs) -> Result<Report, Failure> {
    let fleet = Fleet::read(args).await?;
    let (current, board) = (fleet.current()?, fleet.board()?);
    let (release, aws) = (current.release.clone(), &fleet.aws);
    let config = source::read(&fleet.pointer, fleet.board.as_ref(), None, &current.bytes).config;
    let halt = patiently(async || publisher::halt_etag(aws, &board, &release.id).await).await?;
    let verdicts = patiently(async || publisher::verdicts(aws, &board, &release.id).await).await?;
    let marks = patiently(async || publisher::marks(aws, &board, &release.id, &verdicts.begun).await).await?;
    let limits = Limits::of(&config);
    let lost: Vec<String> = limits.lost(&marks).map(|mark| mark.user.clone()).collect();
    for user in &lost {
        patiently(async || publisher::write_lost(aws, &board, &release.id, user).await).await?;
    }
    let bad = verdicts.state().bad.saturating_add(u32::try_from(lost.len()).unwrap_or(u32::MAX));
    let done = patiently(async || publisher::resume(aws, &board, &release.id, bad, halt.as_deref()).await).await?;
    if !done {
        let why = "somebody halted it again since this command read it: look at `berth release status`";
        return Err(Failure::unmet(format!("release {} stays halted: {why}", release.id)));
    }
    let why = limits.why_stopped(&limits.resumed(&verdicts.state(), &marks));
    let was = match (halt.is_some(), &why) {
        (true, None) => "was halted and goes on",
        (false, None) => "was not halted, and goes on",
        (true, Some(_)) => "is not halted any more, and does not go on yet",
        (false, Some(_)) => "was not halted, and does not go on yet",
    };
    let pardoned = match bad {
        0 => "no bad verdict is pardoned".to_owned(),
        1 => "its bad verdict is pardoned: a new one counts".to_owned(),
        bad => format!("its {bad} bad verdicts are pardoned: new ones count"),
    };
    let mut text = format!("release {} {was}; {pardoned}\n", release.id);
    for user in &lost {
        text.push_str(&format!("{user} began it and has written no verdict: it counts as lost\n"));
    }
    if let Some(why) = &why {
        let after = span(limits.lost_after.as_secs_f64());
        text.push_str(&format!("{why}: they are lost {after} after they began, and then this command lets it go on\n"));
    }
    let is_met = why.is_none();
    let json = json!({
        "ok": is_met, "release": release.id, "was_halted": halt.is_some(), "pardoned": bad, "lost": lost, "stopped_by": why,
    });
    Ok(Report { is_met, text, json })
}
