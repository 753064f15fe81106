//! `berth release halt`: no other instance begins the current release.

use serde_json::json;

use super::{Failure, Fleet, Report, patiently};
use crate::cli::HaltArgs;
use crate::io::aws::{publisher, sts};

/// The command.
pub(super) async fn run(args: &HaltArgs) -> Result<Report, Failure> {
    let fleet = Fleet::read(&args.followed).await?;
    let (release, board) = (fleet.current()?.release.clone(), fleet.board()?);
    let reason = args.reason.as_deref().unwrap_or_default();
    // Who it was is for people: without an answer it is unknown.
    let by = sts::user_id(&fleet.aws).await.unwrap_or_default();
    patiently(async || publisher::halt(&fleet.aws, &board, &release.id, reason, &by).await).await?;
    let pointer = &fleet.pointer;
    let text = format!(
        "release {} is halted: no other instance begins it, and those that run it keep it\n\
         `berth release resume {pointer}` lets it go on, `berth release rollback {pointer}` takes it back\n",
        release.id
    );
    let json = json!({ "ok": true, "release": release.id, "halted": true, "reason": reason, "by": by });
    Ok(Report { is_met: true, text, json })
}
