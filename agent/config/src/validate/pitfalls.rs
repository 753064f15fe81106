//! Warnings about values that do not do what they seem to: waits that another key cuts short, limits that are never
//! reached, options that disable a default.

use std::time::Duration;

use crate::config::Config;
use crate::config::policy::{OnChange, OnNotice, RegistryAuth, SecretsAs};
use crate::error::ConfigErrors;
use crate::error::code::Code;
use crate::parse::layers::Layers;
use crate::value::Value;
use crate::value::health::ProbeMethod;
use crate::value::scalar::duration_text;

/// A later notice leaves much less than the two minutes of a spot interruption.
const SLOW_POLL: Duration = Duration::from_secs(30);

impl Layers {
    /// Adds the warnings about what this config seems to do and does not.
    pub(crate) fn warn_of_pitfalls(&self, config: &Config, warnings: &mut ConfigErrors) {
        let mut warn = |code, key: &str, reason: String| {
            // A default is not a mistake.
            if let Some(location) = self.location(key) {
                warnings.add(code, Some(location), Some(key), || reason);
            }
        };
        for key in self.slash_names() {
            warn(
                Code::SlashName,
                &key,
                "is read from Secrets Manager: write `ssm:/…` for a parameter, or `secretsmanager:/…` for a secret"
                    .into(),
            );
        }
        if let Some(refresh) = &config.secrets_refresh {
            if !config.has_secrets() && self.pointer().is_none() {
                warn(Code::UnusedKey, "secrets_refresh", "has no effect: this config has no secret".into());
            } else if matches!(refresh.on_change, OnChange::Signal(_)) && config.secrets_as == SecretsAs::Env {
                warn(
                    Code::SignalWithoutChange,
                    "secrets_refresh",
                    "a signal cannot deliver new values to the environment of a running app: use `secrets_as=files`, or `restart`".into(),
                );
            }
        }
        if config.registry_auth == RegistryAuth::None && config.image.registry.contains(".dkr.ecr.") {
            warn(
                Code::NoLogin,
                "registry_auth",
                "`none` cannot pull from a private ECR repository: remove the key".into(),
            );
        }
        if config.probe.start_timeout.is_some_and(|start| start >= config.boot.timeout) {
            let boot = duration_text(config.boot.timeout);
            warn(
                Code::StartAfterBoot,
                "probe.start_timeout",
                format!(
                    "is never reached: `boot.timeout` ends the boot after {boot}; set `boot.timeout` to more than this and the time of the pull"
                ),
            );
        }
        if config.probe.unhealthy == 1 && config.health != Some(ProbeMethod::None) {
            warn(
                Code::OneFailure,
                "probe.unhealthy",
                "a single failed probe takes the instance out of traffic and restarts the app: use 2 or more".into(),
            );
        }
        if config.stop_timeout.is_zero() {
            warn(
                Code::NoTimeToStop,
                "stop_timeout",
                "SIGKILL follows the stop signal at once: give the app a few seconds to stop".into(),
            );
        }
        let noticed = [config.spot, config.rebalance, config.maintenance].contains(&OnNotice::Drain);
        if noticed && config.lifecycle.poll > SLOW_POLL {
            let poll = duration_text(config.lifecycle.poll);
            warn(
                Code::SlowPoll,
                "lifecycle.poll",
                format!("a spot interruption is seen up to {poll} late, and leaves 2 minutes: use 30s or less"),
            );
        }
        if let Some(waits) = out_of_reach(config) {
            let written = ["restart.limit", "restart.window", "restart.backoff", "restart.backoff_max"];
            let key = written.into_iter().find(|key| self.location(key).is_some()).unwrap_or("restart.limit");
            let (limit, window) = (config.restart.limit, duration_text(config.restart.window));
            warn(
                Code::LimitOutOfReach,
                key,
                format!(
                    "an app that exits at once is restarted forever: {limit} restarts take about {}, longer than `restart.window` ({window})",
                    duration_text(Duration::from_secs(waits.as_secs()))
                ),
            );
        }
        if config.log_driver == "json-file" && !config.log_opt.contains_key("max-size") {
            let key = config.log_opt.keys().next().map(|name| format!("log_opt.{name}"));
            warn(
                Code::UnboundedLog,
                &key.unwrap_or_default(),
                "without `log_opt.max-size` the log grows until the disk is full: add `log_opt.max-size=10m log_opt.max-file=3`".into(),
            );
        }
    }

    /// Keys with a secret whose name looks like a parameter.
    fn slash_names(&self) -> Vec<String> {
        let takes_one = |key: &str| key.starts_with("secret.") || key == "secrets" || key == "registry_auth";
        let is_slash = |value: &Value| match value {
            // In a template, the text may begin with `/`, the references must not.
            Value::Text(text) if text.contains("${") => text.replace("$${", "").contains("${/"),
            value => value.list().iter().any(|text| text.starts_with('/')),
        };
        let written = self.keys.iter().filter(|(key, written)| takes_one(key) && is_slash(&written.value));
        written.map(|(key, _)| key.clone()).collect()
    }
}

/// The time until the limit of restarts is reached, if that is longer than the window.
fn out_of_reach(config: &Config) -> Option<Duration> {
    let restart = &config.restart;
    let waits = waits(restart.backoff, restart.backoff_max, restart.limit);
    (restart.limit > 0 && waits >= restart.window).then_some(waits)
}

/// The average time of the waits before so many restarts: each is between half and all of the doubled wait (retry.rs).
fn waits(first: Duration, longest: Duration, count: u32) -> Duration {
    let (mut total, mut wait, mut left) = (0.0, first, count);
    while left > 0 && wait < longest {
        total += wait.as_secs_f64();
        wait = wait.saturating_mul(2);
        left -= 1;
    }
    total += longest.as_secs_f64() * f64::from(left);
    Duration::try_from_secs_f64(total * 0.75).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warnings(words: &str) -> ConfigErrors {
        let mut layers = Layers::new();
        layers.add_user_data(format!("berth image=x:1 {words}").as_bytes());
        let config = layers.resolve().unwrap_or_else(|errors| panic!("{words}: {errors}"));
        layers.warnings(&config)
    }

    #[test]
    fn a_value_that_does_not_do_what_it_seems_to_gets_a_warning() {
        for (words, code, reported) in [
            ("secret.A=/prod/key", Code::SlashName, "`secret.A`: is read from Secrets Manager"),
            ("secret.A=x:${/prod/key}", Code::SlashName, "`secret.A`: is read from Secrets Manager"),
            ("secrets=prod/api,/prod/key", Code::SlashName, "`secrets`: is read from"),
            ("registry_auth=/prod/registry", Code::SlashName, "`registry_auth`: is read from"),
            ("secrets_refresh=1h", Code::UnusedKey, "this config has no secret"),
            (
                "secrets_refresh=1h,signal:HUP secrets=a",
                Code::SignalWithoutChange,
                "use `secrets_as=files`, or `restart`",
            ),
            ("probe.start_timeout=10m port=80", Code::StartAfterBoot, "`boot.timeout` ends the boot after 10m"),
            ("probe.unhealthy=1 port=80", Code::OneFailure, "use 2 or more"),
            ("stop_timeout=0s", Code::NoTimeToStop, "SIGKILL follows"),
            ("lifecycle.poll=1m", Code::SlowPoll, "up to 1m late"),
            (
                "restart.limit=20",
                Code::LimitOutOfReach,
                "20 restarts take about 11m17s, longer than `restart.window` (10m)",
            ),
            ("restart.window=20s", Code::LimitOutOfReach, "5 restarts take about 23s"),
            ("restart.limit=4000000000", Code::LimitOutOfReach, "restarted forever"),
            ("log_opt.tag=web", Code::UnboundedLog, "add `log_opt.max-size=10m log_opt.max-file=3`"),
        ] {
            let warnings = warnings(words);
            let text = warnings.to_string();
            assert!(text.starts_with("user-data line 1 column 17: ") && text.contains(reported), "{words}: {text}");
            assert_eq!(warnings.iter().map(|warning| warning.code).collect::<Vec<_>>(), [code], "{words}");
        }
        let with_ecr = "image=123456789012.dkr.ecr.us-east-2.amazonaws.com/x:1 registry_auth=none";
        let mut layers = Layers::new();
        layers.add_user_data(format!("berth {with_ecr}").as_bytes());
        let warnings = layers.warnings(&layers.resolve().unwrap());
        assert_eq!(warnings.iter().map(|warning| warning.code).collect::<Vec<_>>(), [Code::NoLogin]);
    }

    #[test]
    fn a_value_that_does_what_it_says_gets_no_warning() {
        for words in [
            "",
            "secret.A=ssm:/prod/key secrets=secretsmanager:/prod/api secrets_refresh=1h",
            "secrets=a secrets_as=files secrets_refresh=1h,signal:HUP",
            "config=ssm:/more secrets_refresh=1h",
            "port=80 probe.start_timeout=9m",
            "port=80 probe.start_timeout=15m boot.timeout=20m",
            "lifecycle.poll=1m spot=ignore",
            "restart.limit=10",
            "restart.limit=0 restart.window=1s restart.backoff=1ms",
            "log_opt.max-size=1m",
            "log_driver=journald log_opt.tag=web",
            "stop_timeout=1s probe.unhealthy=2 registry_auth=none",
        ] {
            assert_eq!(warnings(words).to_string(), "", "{words}");
        }
    }
}
