//! Why an instance cannot get traffic: a target group refuses it, or does not call it healthy in time.

use berth_config::{Config, TargetGroup};

use super::registration::Reason;
use super::{Targets, Wish, show};
use crate::clock::Uptime;
use crate::hook::explain;
use crate::message::error::JobError;
use crate::message::failure_reason::FailureReason;
use crate::phase::failing::Failure;
use crate::view::ReadyReason;

impl Targets {
    /// Why the instance cannot get traffic, if that is so.
    pub fn failure(&self, config: &Config, now: Uptime) -> Option<Failure> {
        if let Some(error) = &self.refused {
            return Some(refusal(error, |answer| FailureReason::PortsRefused { answer }));
        }
        // An instance in traffic is not given up for it.
        if let Some(group) = self.attached_with_open_port(config).filter(|_| !self.were_in) {
            let reason = FailureReason::AttachedWithOpenPort { target_group: group.name().to_owned() };
            return Some(Failure::of_boot(ReadyReason::TargetRefused, reason.to_string()));
        }
        let late = |reason: &FailureReason| Failure::of_boot(ReadyReason::TargetNotHealthy, reason.to_string());
        let wanted = match &self.wish {
            Wish::In(wanted) => wanted,
            Wish::Impossible { container, target_group } => {
                let reason = FailureReason::NotPublished { port: *container, target_group: target_group.clone() };
                return Some(Failure::of_boot(ReadyReason::TargetRefused, reason.to_string()));
            }
            Wish::Entering(entry)
                if entry.go_on.is_none() && !entry.config.target_groups.is_empty() && entry.limit.at <= now =>
            {
                let last = self.attached.error().unwrap_or("no answer came").to_owned();
                return Some(late(&FailureReason::GroupNotDescribed { last }));
            }
            Wish::Out | Wish::Entering(_) => return None,
        };
        let mut failed = self.registrations.iter().filter(|one| wanted.contains(one.target()));
        failed.find_map(|one| {
            let target = one.target().clone();
            Some(match one.failure(now)? {
                Reason::Refused(error) => refusal(error, |answer| FailureReason::TargetRefused { target, answer }),
                Reason::Late => {
                    let (proving, boot) = (config.target_timeout, config.boot.timeout);
                    late(&FailureReason::TargetNotHealthy { target, proving, boot, last: show::last_word(one) })
                }
            })
        })
    }

    /// A target group that the group attaches although berth chooses the port.
    fn attached_with_open_port<'c>(&self, config: &'c Config) -> Option<&'c TargetGroup> {
        let attached = &self.attached.get()?.target_groups;
        let is_open = |group: &TargetGroup| {
            let port = config.target_port(group);
            config.ports.iter().any(|one| one.is_open() && Some(one.container) == port)
        };
        config.target_groups.iter().find(|group| attached.contains(&group.arn) && is_open(group))
    }
}

fn refusal(error: &JobError, reason: impl FnOnce(String) -> FailureReason) -> Failure {
    let ready = ReadyReason::TargetRefused.or_denied(error);
    let reason = reason(explain(error, None, None, None)).to_string();
    Failure { reason, ..Failure::of_error(ready, error) }
}
