//! How a life ended: the exit code, and what must have been reached by then.

use std::time::Duration;

use berth::effect::{HookResult, Job};
use berth::view::PhaseName;

use super::group::Which;
use super::promises::Broken;
use super::world::World;
use crate::sim::{ms, secs};

impl World {
    /// The table of exit codes.
    pub(crate) fn judge_code(&mut self) {
        let Some(code) = self.seen.code else { return };
        let phases = &self.seen.phases;
        let from = |phase| phases.iter().position(|(one, _)| *one == phase);
        let before_failing =
            from(PhaseName::Failing).and_then(|at| phases.get(at.checked_sub(1)?)).map(|(one, _)| *one);
        let drained = from(PhaseName::Drain).is_some();
        let expected: &[u8] = match (before_failing, drained) {
            (Some(_), _) if self.seen.misconfigured => &[2, 3],
            (Some(PhaseName::Boot | PhaseName::Hold), _) => &[3],
            (Some(_), _) => &[4],
            (None, true) => &[0, 5],
            (None, false) => &[],
        };
        if !expected.contains(&code) {
            return self.breaks(0, format!("exit code {code}, and not one of {expected:?}"));
        }
        let trouble = self.excuses.engine || self.excuses.app;
        let short = self.excuses.spot || self.seen.hurried || self.excuses.long;
        let away = self.excuses.services || self.excuses.aws || self.excuses.metadata;
        let listens = self.plan.troubles(&[Job::Listen]);
        match code {
            2 if !self.seen.misconfigured => self.breaks(0, "exit code 2 with a config that is right"),
            3 if !(trouble || away || listens || self.seen.misconfigured) => {
                self.breaks(0, "a boot fails for no reason")
            }
            4 if !trouble => self.breaks(0, "an app is given up for no reason"),
            5 if !(trouble || short || self.excuses.aws) => self.breaks(0, "a drain is cut for no reason"),
            0 => {
                let running = self.engine.running().count();
                let unknown =
                    self.excuses.metadata || self.seen.phases.get(1).is_some_and(|(_, at)| self.is_early(*at));
                if running > 0 && !unknown {
                    self.breaks(0, format!("exit code 0, and {running} containers run on"));
                }
            }
            _ => {}
        }
    }

    /// Whether the agent may not have known yet who it is.
    fn is_early(&self, at: Duration) -> bool {
        self.agent.as_ref().is_some_and(|one| at.saturating_sub(one.started) < ms(20))
    }

    /// When the life is over.
    pub(crate) fn judge(&self) -> Option<Broken> {
        let broken = |promise, what: String| Some(Broken { promise, what });
        if self.seen.killed_by_systemd && !self.plan.troubles(&[Job::ExtendStop]) {
            return broken(6, "systemd had to kill the agent".to_owned());
        }
        let calm = !self.excuses.app && !self.excuses.engine && !self.seen.crashed_while_leaving;
        if self.seen.code == Some(0) && calm && !self.seen.powered_off {
            let since = self.seen.leaving_since.unwrap_or(Duration::MAX);
            let lost = self.balancer.failed.iter().filter(|at| **at >= since).count();
            if lost > 0 {
                return broken(100, format!("{lost} requests failed in a drain that had the time"));
            }
        }
        if matches!(self.seen.code, Some(0 | 5)) && !self.excuses.aws && !self.seen.hurried && !self.excuses.spot {
            let waiting = self.group.waiting().filter(|(which, _)| *which == Which::Terminate);
            if waiting.is_some_and(|(_, since)| since + secs(10) < self.now) && !self.excuses.metadata {
                return broken(8, "gone, and the termination hook still waits".to_owned());
            }
        }
        if matches!(self.seen.code, Some(2..=4)) && !self.excuses.aws && !self.excuses.metadata {
            let told = self.group.marked_unhealthy > 0
                || self.group.described().is_none_or(|state| state.contains("Terminat"))
                || self.group.ended.iter().any(|one| one.result == Some(HookResult::Abandon));
            if !told && !self.seen.hurried {
                return broken(8, "given up, and the group does not know".to_owned());
            }
        }
        let heard = !self.plan.says("spot=ignore") && !self.excuses.metadata;
        let prompt = calm && !self.excuses.late && !self.excuses.aws;
        if self.seen.spot_ended && self.seen.powered_off && heard && prompt {
            return broken(6, "spot took the instance away before it was gone".to_owned());
        }
        None
    }
}
