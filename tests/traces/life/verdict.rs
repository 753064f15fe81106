//! How a life ended: the exit code, and what must have been reached by then.

use std::time::Duration;

use berth_core::message::group::HookResult;
use berth_core::message::job::JobKind;
use berth_core::view::PhaseName;

use super::engine::Container;
use super::group::Which;
use super::plan::RELEASES;
use super::promises::Broken;
use super::table::{BootFault, CHANGED, End};
use super::twist::Twist;
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
            // Served for a moment: the launch hook can never be completed, or the load balancer never calls the target healthy.
            (Some(_), _) if self.seen.hook_refused || self.plan.registers() => &[3, 4],
            (Some(_), _) => &[4],
            (None, true) => &[0, 5],
            (None, false) => &[],
        };
        if !expected.contains(&code) {
            return self.breaks(0, format!("exit code {code}, and not one of {expected:?}"));
        }
        let trouble = self.excuses.engine || self.app_is_excused();
        let short = self.excuses.spot || self.seen.hurried || self.excuses.long;
        let away = self.excuses.services || self.excuses.aws || self.excuses.metadata;
        // The next agent drains once it knows which instance it is on, and the time goes on.
        let killed = self.plan.has(|twist| matches!(twist, Twist::Kill(_) | Twist::KillAt { .. }));
        let listens = self.plan.troubles(&[JobKind::Listen]);
        match code {
            2 if !self.seen.misconfigured => self.breaks(0, "exit code 2 with a config that is right"),
            3 if !(trouble || away || listens || self.excuses.boot || self.seen.misconfigured) => {
                self.breaks(0, "a boot fails for no reason")
            }
            4 if !trouble => self.breaks(0, "an app is given up for no reason"),
            // A version that is no good may end in the middle of it.
            5 if !(trouble
                || short
                || !self.engine.bad_ports.is_empty()
                || self.excuses.aws
                || (killed && self.excuses.metadata)) =>
            {
                self.breaks(0, "a drain is cut for no reason")
            }
            0 | 3 | 4 => {
                // A boot that fails may not have come to those of another config yet.
                let left = |one: &&Container| code == 0 || (Some(&*one.fingerprint) == self.wants() && !one.stopping);
                let running = self.engine.running().filter(left).count();
                let unknown =
                    self.excuses.metadata || self.seen.phases.get(1).is_some_and(|(_, at)| self.is_early(*at));
                // Nor does a boot that may not read which release runs here.
                let unknown = unknown || (self.plan.follows() && self.plan.troubles(&RELEASES));
                let failed = code != 0 && (self.excuses.engine || self.seen.hurried);
                if running > 0 && !unknown && !failed {
                    self.breaks(0, format!("exit code {code}, and {running} containers run on"));
                }
            }
            _ => {}
        }
    }

    /// Whether the agent may not have known its identity yet.
    fn is_early(&self, at: Duration) -> bool {
        // Which release runs here is asked for in addition.
        let early = ms(if self.plan.follows() { 100 } else { 20 });
        self.agent.as_ref().is_some_and(|one| at.saturating_sub(one.started) < early)
    }

    /// When the life is over.
    pub(crate) fn judge(&self) -> Option<Broken> {
        let broken = |promise, what: String| Some(Broken { promise, what });
        if self.seen.killed_by_systemd && !self.plan.troubles(&[JobKind::ExtendStop]) {
            return broken(6, "systemd had to kill the agent".to_owned());
        }
        // A changed config replaces the app at the next start, with clients connected.
        let replaced = self.seen.met & (1 << CHANGED) != 0;
        // Requests go on to a port that the app had before, if nobody may deregister it there.
        let stale =
            self.plan.says("port=0:8080") && self.plan.has(|twist| *twist == Twist::Denied(JobKind::DeregisterTarget));
        let calm =
            !self.app_is_excused() && !self.excuses.engine && !self.seen.crashed_while_leaving && !replaced && !stale;
        // The next agent does not know that a drain was cut short if the one before was killed first.
        let untold = (self.excuses.spot || self.excuses.long) && self.agents > 1;
        if self.seen.code == Some(0) && calm && !untold && !self.seen.powered_off {
            let since = self.seen.leaving_since.unwrap_or(Duration::MAX);
            let is_lost = |(at, port): &&(Duration, u16)| *at >= since && !self.engine.bad_ports.contains(port);
            let lost = self.balancer.failed.iter().filter(is_lost).count();
            if lost > 0 {
                return broken(100, format!("{lost} requests failed in a drain that had the time"));
            }
        }
        if matches!(self.seen.code, Some(0 | 5)) && !self.excuses.aws && !self.seen.hurried && !self.excuses.spot {
            let waiting = self.group.waiting().filter(|(which, _)| *which == Which::Terminate);
            let excused = self.excuses.metadata || self.plan.outlasts_hooks();
            if waiting.is_some_and(|(_, since)| since + secs(10) < self.now) && !excused {
                return broken(8, "gone, and the termination hook still waits".to_owned());
            }
        }
        if matches!(self.seen.code, Some(2..=4)) && !self.excuses.aws && !self.excuses.metadata {
            let reported = self.group.marked_unhealthy > 0
                || self.group.described().is_none_or(|state| state.contains("Terminat"))
                || self.group.ended.iter().any(|one| one.result == Some(HookResult::Abandon));
            // Two minutes are what it is tried for; four refusals of each of three calls may take longer.
            let refused = self.plan.boot_faults().any(|fault| matches!(fault, BootFault::Throttled(4..)));
            // On the way back into the pool it is not known which of the two hooks waits.
            let refused = refused || self.plan.has(|twist| matches!(twist, Twist::Return(_)));
            if !reported && !self.seen.hurried && !refused {
                return broken(8, "given up, and the group does not know".to_owned());
            }
        }
        let alone = || self.judge_boot_fault().or_else(|| self.judge_alone());
        // A fault that was healed comes to something else than one that lasts.
        self.plan
            .heals
            .is_none()
            .then(alone)
            .flatten()
            .or_else(|| self.judge_spot(calm))
            .or_else(|| self.judge_releases())
    }

    /// A refusal, or a replacement, that is all that happens.
    fn judge_alone(&self) -> Option<Broken> {
        let [twist] = self.plan.twists.as_slice() else { return None };
        let broken = |promise, what: &str| Some(Broken { promise, what: what.to_owned() });
        let time = self.plan.end.saturating_sub(self.plan.shape.os_boots_in);
        match twist {
            // The group terminates it by itself if it is reported in time.
            Twist::Denied(JobKind::FindGroup | JobKind::CompleteHook) if self.plan.shape.launch_hook.is_some() => {
                let named = *twist == Twist::Denied(JobKind::FindGroup) && self.excuses.blind;
                let late = time < secs(60) || self.group.ended.iter().any(|one| one.result.is_none());
                let failed = self.seen.code == Some(3) || self.seen.held;
                if !named && !late && !failed {
                    return broken(8, "the launch hook is refused for good, and that is no failed boot");
                }
                None
            }
            Twist::Replace { .. } => {
                let replaced = self.group.replaced.filter(|at| *at + secs(60) < self.plan.end)?;
                let known = !self.app_is_excused() && self.seen.code != Some(3);
                if known && self.seen.served_at < replaced.saturating_sub(secs(17)) {
                    return broken(6, "not served again after its root volume was replaced");
                }
                None
            }
            _ => None,
        }
    }

    /// A life with one fault of the table and nothing else ends as the table says.
    fn judge_boot_fault(&self) -> Option<Broken> {
        let broken = |what: String| Some(Broken { promise: 101, what });
        let [twist] = self.plan.twists.as_slice() else { return None };
        let Twist::BootFault(fault) = twist else { return None };
        let time = self.plan.end.saturating_sub(self.plan.shape.os_boots_in);
        // In the pool nothing is started; what did not happen comes to nothing; and whether a hook may run out is another promise.
        let ran_out = self.excuses.blind || self.group.ended.iter().any(|one| one.result.is_none());
        if self.plan.shape.pool.is_some() || ran_out || self.seen.met & (1 << fault.row()) == 0 {
            return None;
        }
        let end = fault.end(&self.plan);
        if time < end.within() {
            return None;
        }
        let hold = self.plan.says("boot.on_failure=hold");
        match (end, self.seen.code) {
            (End::Served(_), _) if !self.seen.served => broken(format!("{fault:?}: the app was never served")),
            (End::Served(_), Some(2..=4)) => broken(format!("{fault:?} ends with {:?}", self.seen.code)),
            (End::GivenUp(..), _) if self.seen.served => broken(format!("{fault:?}, and the app was served")),
            (End::GivenUp(3, _), _) if hold && !self.seen.held => broken(format!("{fault:?} is not held")),
            (End::GivenUp(3, _), Some(3)) if hold => broken(format!("{fault:?}: the hold ends by itself")),
            (End::GivenUp(3, _), _) if hold => None,
            (End::GivenUp(code, _), is) if is != Some(code) => {
                broken(format!("{fault:?} ends with {is:?}, not {code}"))
            }
            _ => None,
        }
    }

    fn judge_spot(&self, calm: bool) -> Option<Broken> {
        let heard = !self.plan.says("spot=ignore") && !self.excuses.metadata;
        let prompt = calm && !self.excuses.late && !self.excuses.aws;
        if self.seen.spot_ended && self.seen.powered_off && heard && prompt {
            return Some(Broken {
                promise: 6,
                what: "the spot interruption came before the agent had ended".to_owned(),
            });
        }
        None
    }
}
