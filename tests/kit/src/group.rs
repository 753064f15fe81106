//! A model of one instance in one Auto Scaling group: lifecycle states, hooks, their timers. No HTTP, no clock.

use std::time::{Duration, Instant};

/// The launch or the termination of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transition {
    /// `autoscaling:EC2_INSTANCE_LAUNCHING`
    Launching,
    /// `autoscaling:EC2_INSTANCE_TERMINATING`
    Terminating,
}

impl Transition {
    /// AWS's word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Launching => "autoscaling:EC2_INSTANCE_LAUNCHING",
            Self::Terminating => "autoscaling:EC2_INSTANCE_TERMINATING",
        }
    }
}

/// A lifecycle hook as the group defines it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// Its name.
    pub name: String,
    /// What it holds up.
    pub transition: Transition,
    /// 30 s to 7200 s in the real API; any here.
    pub heartbeat_timeout: Duration,
    /// `CONTINUE` or `ABANDON`, the result when the timer runs out.
    pub default_result: String,
}

/// A hook that was completed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// The hook.
    pub hook: String,
    /// `CONTINUE` or `ABANDON`
    pub result: String,
    /// Whether the timer did it.
    pub by_timeout: bool,
}

/// A hook that holds the instance up.
#[derive(Clone, Debug)]
struct Active {
    hook: Hook,
    began: Instant,
    deadline: Instant,
}

/// The instance as its group sees it.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) hooks: Vec<Hook>,
    /// The states gone through, the current one last.
    pub(crate) states: Vec<String>,
    pub(crate) health: String,
    pub(crate) completions: Vec<Completion>,
    pub(crate) heartbeats: usize,
    /// Calls that are still refused although the hook is active (the race that users report).
    pub(crate) refusals: usize,
    /// The retention trigger `TerminateHookAbandon=retain`.
    pub(crate) retains: bool,
    active: Vec<Active>,
}

/// The action is not active: too early, over, or never there. AWS answers all three alike.
#[derive(Debug, PartialEq)]
pub(crate) struct NotActive;

impl Member {
    pub(crate) fn new(hooks: Vec<Hook>) -> Self {
        Self {
            hooks,
            states: vec!["Pending".into()],
            health: "Healthy".into(),
            completions: Vec::new(),
            heartbeats: 0,
            refusals: 0,
            retains: false,
            active: Vec::new(),
        }
    }

    pub(crate) fn state(&self) -> &str {
        self.states.last().expect("there is always a state")
    }

    pub(crate) fn enter(&mut self, state: &str) {
        self.states.push(state.into());
    }

    /// The hooks of the transition begin to hold the instance up: `Pending` → `Pending:Wait` and the like. Without any, it
    /// goes on at once.
    pub(crate) fn begin_wait(&mut self, now: Instant) {
        let Some(transition) = self.transition() else { return };
        let hooks = self.hooks.iter().filter(|hook| hook.transition == transition).cloned();
        self.active = hooks.map(|hook| Active { began: now, deadline: now + hook.heartbeat_timeout, hook }).collect();
        if self.active.is_empty() {
            self.proceed("CONTINUE");
        } else {
            self.enter(&format!("{}:Wait", self.state()));
        }
    }

    pub(crate) fn complete(&mut self, hook: &str, result: &str, now: Instant) -> Result<(), NotActive> {
        self.expire(now);
        let index = self.find(hook)?;
        self.active.remove(index);
        self.finish(hook, result, false);
        Ok(())
    }

    pub(crate) fn heartbeat(&mut self, hook: &str, now: Instant) -> Result<(), NotActive> {
        self.expire(now);
        let index = self.find(hook)?;
        let active = &mut self.active[index];
        let global = (active.hook.heartbeat_timeout * 100).min(Duration::from_secs(172_800));
        active.deadline = (now + active.hook.heartbeat_timeout).min(active.began + global);
        self.heartbeats += 1;
        Ok(())
    }

    /// Lets the timers run out that have.
    pub(crate) fn expire(&mut self, now: Instant) {
        while let Some(index) = self.active.iter().position(|active| active.deadline <= now) {
            let hook = self.active.remove(index).hook;
            self.finish(&hook.name, &hook.default_result, true);
        }
    }

    /// Lets the timer of every active hook run out.
    pub(crate) fn time_out(&mut self, now: Instant) {
        for active in &mut self.active {
            active.deadline = now;
        }
        self.expire(now);
    }

    fn find(&mut self, hook: &str) -> Result<usize, NotActive> {
        let index = self.active.iter().position(|active| active.hook.name == hook).ok_or(NotActive)?;
        if self.refusals > 0 {
            self.refusals -= 1;
            return Err(NotActive);
        }
        Ok(index)
    }

    fn finish(&mut self, hook: &str, result: &str, by_timeout: bool) {
        self.completions.push(Completion { hook: hook.into(), result: result.into(), by_timeout });
        if result == "ABANDON" {
            self.active.clear();
        }
        if self.active.is_empty() {
            self.proceed(result);
        }
    }

    /// Where the instance goes when nothing holds it up any more.
    fn proceed(&mut self, result: &str) {
        let base = self.state().trim_end_matches(":Wait").to_owned();
        match (base.as_str(), result) {
            ("Pending", "ABANDON") => self.enter("Terminating"),
            ("Warmed:Pending", "ABANDON") => self.enter("Warmed:Terminating"),
            ("Terminating", "ABANDON") if self.retains => self.enter("Terminating:Retained"),
            _ => self.enter(&format!("{base}:Proceed")),
        }
        match base.as_str() {
            "Pending" if result != "ABANDON" => self.enter("InService"),
            "Warmed:Pending" if result != "ABANDON" => self.enter("Warmed:Running"),
            _ => {}
        }
    }

    fn transition(&self) -> Option<Transition> {
        match self.state() {
            "Pending" | "Warmed:Pending" => Some(Transition::Launching),
            "Terminating" | "Warmed:Terminating" | "ReplacingRootVolume" => Some(Transition::Terminating),
            _ => None,
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an instant to count from")]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn hook(name: &str, transition: Transition) -> Hook {
        Hook { name: name.into(), transition, heartbeat_timeout: MINUTE, default_result: "ABANDON".into() }
    }

    fn waiting() -> (Member, Instant) {
        let mut member =
            Member::new(vec![hook("launch", Transition::Launching), hook("terminate", Transition::Terminating)]);
        let now = Instant::now();
        member.begin_wait(now);
        (member, now)
    }

    #[test]
    fn continue_takes_a_waiting_instance_into_service() {
        let (mut member, now) = waiting();
        assert_eq!(member.state(), "Pending:Wait");
        assert_eq!(member.complete("launch", "CONTINUE", now), Ok(()));
        assert_eq!(member.states, ["Pending", "Pending:Wait", "Pending:Proceed", "InService"]);
    }

    #[test]
    fn abandon_takes_a_waiting_instance_away() {
        let (mut member, now) = waiting();
        member.complete("launch", "ABANDON", now).unwrap();
        assert_eq!(member.states, ["Pending", "Pending:Wait", "Terminating"]);
    }

    #[test]
    fn an_action_is_refused_before_it_is_active_and_after_it_was_completed() {
        let mut member = Member::new(vec![hook("launch", Transition::Launching)]);
        let now = Instant::now();
        assert_eq!(member.complete("launch", "CONTINUE", now), Err(NotActive));
        member.begin_wait(now);
        assert_eq!(member.complete("other", "CONTINUE", now), Err(NotActive));
        assert_eq!(member.complete("launch", "CONTINUE", now), Ok(()));
        assert_eq!(member.complete("launch", "CONTINUE", now), Err(NotActive));
        assert_eq!(member.heartbeat("launch", now), Err(NotActive));
        assert_eq!(member.completions.len(), 1);
    }

    #[test]
    fn heartbeats_put_the_timeout_off_and_without_them_the_default_result_comes() {
        let (mut member, now) = waiting();
        assert_eq!(member.heartbeat("launch", now + MINUTE / 2), Ok(()));
        member.expire(now + MINUTE);
        assert_eq!(member.state(), "Pending:Wait");
        member.expire(now + MINUTE * 3 / 2);
        assert_eq!(member.state(), "Terminating");
        assert!(member.completions[0].by_timeout);
        assert_eq!(member.complete("launch", "CONTINUE", now + MINUTE * 2), Err(NotActive));
    }

    #[test]
    fn heartbeats_end_at_the_global_timeout() {
        let (mut member, now) = waiting();
        for half in 1..200 {
            assert_eq!(member.heartbeat("launch", now + MINUTE / 2 * half), Ok(()), "{half}");
        }
        assert_eq!(member.heartbeat("launch", now + MINUTE * 100), Err(NotActive));
    }

    #[test]
    fn an_active_action_can_be_refused_for_a_while() {
        let (mut member, now) = waiting();
        member.refusals = 2;
        let results: Vec<_> = (0..3).map(|_| member.complete("launch", "CONTINUE", now).is_ok()).collect();
        assert_eq!(results, [false, false, true]);
    }

    #[test]
    fn a_termination_waits_for_its_own_hook() {
        let (mut member, now) = waiting();
        member.complete("launch", "CONTINUE", now).unwrap();
        member.enter("Terminating");
        assert_eq!(member.complete("terminate", "CONTINUE", now), Err(NotActive));
        member.begin_wait(now);
        assert_eq!(member.state(), "Terminating:Wait");
        member.complete("terminate", "CONTINUE", now).unwrap();
        assert_eq!(member.state(), "Terminating:Proceed");
    }

    #[test]
    fn an_abandoned_termination_is_retained_if_the_group_says_so_and_one_that_timed_out_too() {
        let leaving = |retains| {
            let (mut member, now) = waiting();
            member.retains = retains;
            member.complete("launch", "CONTINUE", now).unwrap();
            member.enter("Terminating");
            member.begin_wait(now);
            (member, now)
        };
        for (retains, result, state) in [
            (true, "ABANDON", "Terminating:Retained"),
            (true, "CONTINUE", "Terminating:Proceed"),
            (false, "ABANDON", "Terminating:Proceed"),
        ] {
            let (mut member, now) = leaving(retains);
            member.complete("terminate", result, now).unwrap();
            assert_eq!(member.state(), state);
        }
        let (mut member, now) = leaving(true);
        member.time_out(now);
        assert_eq!(member.state(), "Terminating:Retained");
    }

    #[test]
    fn a_root_volume_replacement_waits_for_the_termination_hook() {
        let (mut member, now) = waiting();
        member.complete("launch", "CONTINUE", now).unwrap();
        member.enter("ReplacingRootVolume");
        assert_eq!(member.complete("terminate", "CONTINUE", now), Err(NotActive));
        member.begin_wait(now);
        assert_eq!(member.state(), "ReplacingRootVolume:Wait");
        member.complete("terminate", "CONTINUE", now).unwrap();
        assert_eq!(member.state(), "ReplacingRootVolume:Proceed");
    }

    #[test]
    fn without_hooks_an_instance_goes_straight_into_service() {
        let mut member = Member::new(Vec::new());
        member.begin_wait(Instant::now());
        assert_eq!(member.state(), "InService");
    }
}
