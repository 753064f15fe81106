//! What `berth doctor` and `berth bake` found, as text and as JSON.

use std::fmt::Write;

use berth_config::printable::escaped;
use berth_core::message::error::{ErrorClass, JobError};
use serde::Serialize;

use crate::commands::paint::Paint;
use crate::commands::policy::Statement;

/// The result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Passed.
    Ok,
    /// A boot works, but an operator should look at it.
    Warn,
    /// A boot would fail.
    Fail,
    /// Not tried, because the call has a side effect.
    Untried,
}

/// One check and its result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// `secret`
    pub name: &'static str,
    /// The result.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
    /// What the role's policy must allow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statement: Option<Statement>,
}

impl Finding {
    /// A check that passed.
    pub fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Ok, found: found.into(), advice: None, statement: None }
    }

    /// A warning.
    pub fn warn(name: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { verdict: Verdict::Warn, advice: Some(advice.into()), ..Self::ok(name, found) }
    }

    /// An error that a boot would fail with.
    pub fn fail(name: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { verdict: Verdict::Fail, advice: Some(advice.into()), ..Self::ok(name, found) }
    }

    /// A call to AWS that failed. Its IAM statement is shown only if the call was denied.
    pub fn refused(name: &'static str, what: &str, error: &JobError, statement: Option<&Statement>) -> Self {
        let found = if what.is_empty() { error.reason.clone() } else { format!("{what}: {}", error.reason) };
        let advice = match error.class {
            // The key's policy may deny it as well.
            ErrorClass::Denied if error.denied_action.as_deref().is_some_and(|action| action.starts_with("kms:")) => {
                "allow kms:Decrypt on the key that it is encrypted with, in the role's policy and in the key's"
            }
            ErrorClass::Denied => match statement {
                Some(statement) => {
                    return Self::fail(name, found, "the role's policy must allow it:").allowing(Some(statement));
                }
                None => "check the role of the instance profile and its policy",
            },
            ErrorClass::Transient | ErrorClass::Expired => {
                "it may pass; if it stays, check the route and the security group, or add a VPC endpoint"
            }
            ErrorClass::Throttled => "it may pass; other callers in this account use up the quota",
            ErrorClass::Broken | ErrorClass::Gone => "create what is missing, or correct the config",
            ErrorClass::Misconfigured => "correct the config or the environment",
        };
        Self::fail(name, found, advice)
    }

    /// Adds an IAM statement that an operator can paste.
    pub fn allowing(self, statement: Option<&Statement>) -> Self {
        Self { statement: statement.cloned(), ..self }
    }
}

/// Whether an instance can boot.
#[derive(Debug, Serialize)]
pub struct DoctorReport {
    /// Whether no check failed.
    pub ok: bool,
    /// Every check.
    pub checks: Vec<Finding>,
}

impl DoctorReport {
    /// The report over these findings.
    pub fn new(checks: Vec<Finding>) -> Self {
        Self { ok: checks.iter().all(|check| check.verdict != Verdict::Fail), checks }
    }

    fn count(&self, verdict: Verdict) -> usize {
        self.checks.iter().filter(|check| check.verdict == verdict).count()
    }

    /// One line a check, and below it what to do. A statement that several findings need is shown once.
    ///
    /// The last line is `good` or `bad`.
    pub fn to_text(&self, good: &str, bad: &str, paint: Paint) -> String {
        let width = self.checks.iter().map(|check| check.name.len()).max().unwrap_or_default();
        let mut text = String::new();
        let mut shown: Vec<&Statement> = Vec::new();
        for check in &self.checks {
            let verdict = match check.verdict {
                Verdict::Ok => paint.green("ok   "),
                Verdict::Warn => paint.yellow("warn "),
                Verdict::Fail => paint.red("FAIL "),
                Verdict::Untried => "-    ".to_owned(),
            };
            // Writing to a String cannot fail.
            let _ = write!(text, "{verdict} {:<width$}  ", check.name);
            indented(&mut text, width, &check.found);
            let is_shown = check.statement.as_ref().is_some_and(|statement| shown.contains(&statement));
            let advice = if is_shown { Some("the statement above allows it") } else { check.advice.as_deref() };
            let statement = check.statement.as_ref().filter(|_| !is_shown);
            let json = statement.map(Statement::to_json);
            for below in advice.into_iter().chain(json.as_deref()) {
                let _ = write!(text, "{:1$}", "", width + 8);
                indented(&mut text, width, below.trim_end());
            }
            shown.extend(statement);
        }
        let many = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        let (failed, warned) = (self.count(Verdict::Fail), self.count(Verdict::Warn));
        let _ = match (failed, warned) {
            (0, 0) => writeln!(text, "\n{good}"),
            (0, _) => writeln!(text, "\n{good}, with {}", many(warned, "warning")),
            (..) => writeln!(text, "\n{bad}: {}", many(failed, "error")),
        };
        text
    }
}

/// Indents the lines after the first. Control characters of text from elsewhere are escaped.
fn indented(text: &mut String, width: usize, lines: &str) {
    for (at, line) in lines.lines().enumerate() {
        let margin = if at == 0 { 0 } else { width + 8 };
        let line: String = escaped(line).collect();
        let _ = writeln!(text, "{:margin$}{line}", "");
    }
}

#[cfg(test)]
mod tests {
    use berth_config::Layers;
    use expect_test::expect;

    use super::*;
    use crate::commands::policy::{ArnScope, Policy};

    fn statement() -> Statement {
        let mut layers = Layers::new();
        layers.add_user_data(b"berth image=x:1 secret.A=a");
        let policy = Policy::of(&layers, &layers.resolve().unwrap(), &ArnScope::default());
        policy.allowing("secretsmanager:GetSecretValue").unwrap().clone()
    }

    #[test]
    fn a_statement_that_two_findings_need_is_shown_once_and_is_indented() {
        let denied = JobError::new(ErrorClass::Denied, "not allowed\x1b[2J\n(AccessDeniedException)");
        let mut checks = vec![Finding::ok("metadata", "i-1")];
        checks.extend(["prod/a", "prod/b"].map(|what| Finding::refused("secret", what, &denied, Some(&statement()))));
        checks.push(Finding::warn("clock", "7 min behind", "start chronyd"));
        expect![[r#"
            ok    metadata  i-1
            FAIL  secret    prod/a: not allowed\u{1b}[2J
                            (AccessDeniedException)
                            the role's policy must allow it:
                            {
                              "Sid": "BerthSecrets",
                              "Effect": "Allow",
                              "Action": [
                                "secretsmanager:GetSecretValue"
                              ],
                              "Resource": [
                                "arn:aws:secretsmanager:*:*:secret:a-??????"
                              ]
                            }
            FAIL  secret    prod/b: not allowed\u{1b}[2J
                            (AccessDeniedException)
                            the statement above allows it
            warn  clock     7 min behind
                            start chronyd

            bad: 2 errors
        "#]]
        .assert_eq(&DoctorReport::new(checks).to_text("good", "bad", Paint::NONE));
    }

    #[test]
    fn a_warning_and_an_untried_check_are_no_failure() {
        let untried = Finding { verdict: Verdict::Untried, ..Finding::ok("hook", "not tried") };
        let report = DoctorReport::new(vec![Finding::warn("clock", "7 min behind", "start chronyd"), untried]);
        assert!(report.ok);
        assert!(
            report.to_text("good", "bad", Paint::NONE).ends_with("\ngood, with 1 warning\n"),
            "{}",
            report.to_text("good", "bad", Paint::NONE)
        );
        assert!(DoctorReport::new(vec![]).to_text("good", "bad", Paint::NONE).ends_with("\ngood\n"));
    }

    #[test]
    fn a_denied_kms_key_has_its_own_advice() {
        let denied = JobError::new(ErrorClass::Denied, "AccessDeniedException: Access to KMS is not allowed");
        let denied = denied.denied(Some("kms:Decrypt".to_owned()));
        let check = Finding::refused("secret", "prod/a", &denied, Some(&statement()));
        assert!(check.advice.unwrap().contains("kms:Decrypt") && check.statement.is_none());
    }
}
