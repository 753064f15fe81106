//! One account in one region: token buckets that all instances share. What is over the rate is refused at once.
//!
//! The rates are the quotas of a fresh account where AWS publishes them; Auto Scaling's are not published ("API request rate" of its
//! API reference says no more than that there are token buckets), so a low one is assumed. Of Elastic Load Balancing's two, `Describe*` is
//! published ("Request throttling for the ELB API"), and the other is what aws-load-balancer-controller keeps to.

use std::collections::BTreeMap;
use std::time::Duration;

/// What is asked, with a bucket of its own each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Api {
    /// SSM `GetParameters`.
    Parameters,
    /// Secrets Manager `BatchGetSecretValue`.
    Secrets,
    /// ECR `GetAuthorizationToken`.
    Token,
    /// ECR's registry, manifests: `BatchGetImage`.
    Manifest,
    /// ECR's registry, layers: `GetDownloadUrlForLayer`.
    Layer,
    /// Auto Scaling, all that reads and writes.
    Group,
    /// Elastic Load Balancing, `RegisterTargets` and `DeregisterTargets` together.
    Targets,
    /// Elastic Load Balancing, `Describe*`.
    TargetHealth,
}

impl Api {
    /// Calls a second, and how many may come at once.
    fn rate(self) -> (f64, f64) {
        match self {
            Self::Parameters => (40.0, 40.0),
            Self::Secrets => (100.0, 100.0),
            Self::Token => (200.0, 200.0),
            Self::Manifest => (2_000.0, 2_000.0),
            Self::Layer => (3_000.0, 3_000.0),
            Self::Group => (25.0, 100.0),
            Self::Targets => (4.0, 20.0),
            Self::TargetHealth => (10.0, 40.0),
        }
    }
}

/// The account, and who called when.
#[derive(Debug, Default)]
pub(crate) struct Account {
    /// What is left in a bucket, and since when.
    buckets: BTreeMap<Api, (f64, Duration)>,
    /// Every call: when, and whose.
    pub(crate) calls: BTreeMap<Api, Vec<(Duration, usize)>>,
    refused: BTreeMap<Api, usize>,
}

impl Account {
    /// One call at that moment; no call came later yet. Whether it is answered.
    pub(crate) fn call(&mut self, api: Api, who: usize, now: Duration) -> bool {
        self.calls.entry(api).or_default().push((now, who));
        let (rate, most) = api.rate();
        let (left, since) = self.buckets.get(&api).copied().unwrap_or((most, now));
        let left = ((now - since).as_secs_f64().mul_add(rate, left)).min(most);
        let answered = left >= 1.0;
        self.buckets.insert(api, (if answered { left - 1.0 } else { left }, now));
        *self.refused.entry(api).or_default() += usize::from(!answered);
        answered
    }

    /// The most calls within any second from that moment on.
    pub(crate) fn peak(&self, api: Api, from: Duration) -> usize {
        let Some(calls) = self.calls.get(&api) else { return 0 };
        let (mut peak, mut first) = (0, 0);
        for (last, (at, _)) in calls.iter().enumerate().filter(|(_, (at, _))| *at >= from) {
            while calls[first].0 < from || *at - calls[first].0 >= Duration::from_secs(1) {
                first += 1;
            }
            peak = peak.max(last - first + 1);
        }
        peak
    }

    /// The most calls of one instance, and the mean of those that called.
    pub(crate) fn per_instance(&self, api: Api) -> (usize, f64) {
        let mut of: BTreeMap<usize, usize> = BTreeMap::new();
        for (_, who) in self.calls.get(&api).into_iter().flatten() {
            *of.entry(*who).or_default() += 1;
        }
        let all: usize = of.values().sum();
        (of.values().max().copied().unwrap_or(0), all as f64 / of.len().max(1) as f64)
    }

    /// For people.
    pub(crate) fn table(&self) -> String {
        let row = |(api, calls): (&Api, &Vec<(Duration, usize)>)| {
            let ((most, mean), refused) = (self.per_instance(*api), self.refused.get(api).copied().unwrap_or(0));
            let seconds = |of: Option<&(Duration, usize)>| of.map_or(0.0, |(at, _)| at.as_secs_f64());
            format!(
                "{api:?}: {} calls, {refused} refused, {mean:.2} an instance, {most} at the most, {:.1} to {:.1} s, \
                 peaks {} {} {} {} from 0, 1, 10, 30 s on",
                calls.len(),
                seconds(calls.first()),
                seconds(calls.last()),
                self.peak(*api, Duration::ZERO),
                self.peak(*api, seconds_from(calls, 1)),
                self.peak(*api, seconds_from(calls, 10)),
                self.peak(*api, seconds_from(calls, 30)),
            )
        };
        self.calls.iter().map(row).collect::<Vec<_>>().join("\n")
    }
}

/// When the last of so many callers is answered that ask at once, and as soon as there may be a token again. Nobody is faster.
fn last_of(callers: usize, api: Api) -> Duration {
    let (mut account, mut now, mut left) = (Account::default(), Duration::ZERO, callers);
    loop {
        while left > 0 && account.call(api, left, now) {
            left -= 1;
        }
        if left == 0 {
            return now;
        }
        now += Duration::from_millis(10);
    }
}

#[test]
fn a_thousand_targets_are_registered_in_no_less_than_245_s_and_asked_about_in_96() {
    let seconds = |api| last_of(1_000, api).as_secs_f64().round() as u64;
    assert_eq!((seconds(Api::Targets), seconds(Api::TargetHealth)), (245, 96));
    // Those who deregister take the same tokens.
    let mut account = Account::default();
    let answered = (0..40).filter(|who| account.call(Api::Targets, *who, Duration::ZERO)).count();
    assert_eq!(answered, 20);
    assert!(account.call(Api::TargetHealth, 0, Duration::ZERO), "a bucket of its own");
}

/// So long after the first call.
fn seconds_from(calls: &[(Duration, usize)], seconds: u64) -> Duration {
    calls.first().map_or(Duration::ZERO, |(at, _)| *at) + Duration::from_secs(seconds)
}
