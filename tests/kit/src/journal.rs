//! One ordered journal that every fake writes to, so that a test can assert an order across services.
//!
//! An entry reads `service operation detail status`, e.g. `autoscaling CompleteLifecycleAction CONTINUE launch 200`. A
//! pattern is some of these words in the same order: `autoscaling CONTINUE` and `autoscaling CompleteLifecycleAction 200`
//! both match. Entries stand in the order in which the requests arrived; the status joins when the answer leaves.
//! Details are names, never values: no secret enters the journal.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::clock;

/// One request that a fake got.
#[derive(Clone, Debug)]
pub struct Entry {
    /// When it arrived, since the world began.
    pub at: Duration,
    /// `imds`, `secretsmanager`, `ssm`, `ecr`, `autoscaling`, `registry`
    pub service: &'static str,
    /// `GetSecretValue`, `GET manifest`
    pub operation: String,
    /// Names, never values.
    pub detail: String,
    /// The HTTP status answered; none while unanswered.
    pub status: Option<u16>,
    /// The scripted fault that was played, e.g. `!Throttle`.
    pub fault: Option<String>,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.service, self.operation)?;
        if !self.detail.is_empty() {
            write!(f, " {}", self.detail)?;
        }
        if let Some(status) = self.status {
            write!(f, " {status}")?;
        }
        if let Some(fault) = &self.fault {
            write!(f, " {fault}")?;
        }
        Ok(())
    }
}

/// The journal of a world. Clones are the same journal.
#[derive(Clone)]
pub struct Journal {
    began: Instant,
    entries: Arc<Mutex<Vec<Entry>>>,
    changes: watch::Sender<u64>,
}

impl Journal {
    pub(crate) fn new() -> Self {
        Self { began: clock::now(), entries: Arc::default(), changes: watch::Sender::new(0) }
    }

    /// Everything so far.
    pub fn entries(&self) -> Vec<Entry> {
        self.entries.lock().unwrap().clone()
    }

    /// How long ago an entry's request arrived.
    pub fn age(&self, entry: &Entry) -> Duration {
        clock::now().duration_since(self.began).saturating_sub(entry.at)
    }

    /// Everything so far, one entry a line, for a failing test's message.
    pub fn text(&self) -> String {
        self.entries().iter().map(|entry| format!("{:>9.3} {entry}\n", entry.at.as_secs_f64())).collect()
    }

    /// How many entries match.
    pub fn count(&self, pattern: &str) -> usize {
        self.entries().iter().filter(|entry| matches(pattern, &entry.to_string())).count()
    }

    /// Asserts that the patterns are matched by entries in this order; others may lie between.
    ///
    /// # Panics
    /// If they are not; the message shows the journal.
    #[track_caller]
    pub fn in_order(&self, patterns: &[&str]) {
        let entries = self.entries();
        let mut rest = entries.iter();
        for pattern in patterns {
            assert!(
                rest.any(|entry| matches(pattern, &entry.to_string())),
                "the journal has no `{pattern}` in the order {patterns:?}:\n{}",
                self.text()
            );
        }
    }

    /// Waits until an entry matches, at most for `bound`.
    ///
    /// # Panics
    /// If none does in time; the message shows the journal.
    pub async fn wait_for(&self, pattern: &str, bound: Duration) -> Entry {
        self.wait_for_count(pattern, 1, bound).await
    }

    /// Waits until `count` entries match, at most for `bound`; the last of them.
    ///
    /// # Panics
    /// If they do not in time; the message shows the journal.
    pub async fn wait_for_count(&self, pattern: &str, count: usize, bound: Duration) -> Entry {
        let mut changes = self.changes.subscribe();
        let found = tokio::time::timeout(bound, async {
            loop {
                let entries = self.entries();
                let mut hits = entries.into_iter().filter(|entry| matches(pattern, &entry.to_string()));
                if let Some(entry) = hits.nth(count - 1) {
                    return entry;
                }
                changes.changed().await.unwrap();
            }
        });
        match found.await {
            Ok(entry) => entry,
            Err(_) => panic!("not {count} × `{pattern}` in the journal within {bound:?}:\n{}", self.text()),
        }
    }

    /// Writes an entry on arrival of a request.
    pub(crate) fn arrived(&self, service: &'static str, operation: impl Into<String>, detail: String) -> Noted {
        let entry = Entry {
            at: clock::now().duration_since(self.began),
            service,
            operation: operation.into(),
            detail,
            status: None,
            fault: None,
        };
        let mut entries = self.entries.lock().unwrap();
        entries.push(entry);
        let index = entries.len() - 1;
        drop(entries);
        self.changes.send_modify(|changes| *changes += 1);
        Noted { journal: self.clone(), index }
    }
}

/// An entry that was written and waits for its status.
pub(crate) struct Noted {
    journal: Journal,
    index: usize,
}

impl Noted {
    /// The entry's words, without a status yet.
    pub(crate) fn line(&self) -> String {
        self.journal.entries.lock().unwrap()[self.index].to_string()
    }

    pub(crate) fn fault(&self, fault: &impl fmt::Debug) {
        self.change(|entry| entry.fault = Some(format!("!{fault:?}")));
    }

    pub(crate) fn answered(&self, status: u16) {
        self.change(|entry| entry.status = Some(status));
    }

    fn change(&self, how: impl FnOnce(&mut Entry)) {
        how(&mut self.journal.entries.lock().unwrap()[self.index]);
        self.journal.changes.send_modify(|changes| *changes += 1);
    }
}

/// Whether the words of `pattern` stand in `line` in this order.
pub(crate) fn matches(pattern: &str, line: &str) -> bool {
    let mut words = line.split_whitespace();
    pattern.split_whitespace().all(|wanted| words.any(|word| word == wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_some_words_of_an_entry_in_its_order() {
        let line = "autoscaling CompleteLifecycleAction CONTINUE launch 200";
        assert!(matches("autoscaling CompleteLifecycleAction CONTINUE", line));
        assert!(matches("CONTINUE 200", line));
        assert!(!matches("CONTINUE CompleteLifecycleAction", line));
        assert!(!matches("auto", line));
    }

    #[test]
    #[should_panic(expected = "the journal has no `imds GET`")]
    fn an_order_that_did_not_happen_is_refused() {
        let journal = Journal::new();
        journal.arrived("imds", "GET", String::new());
        journal.arrived("ecr", "GetAuthorizationToken", String::new());
        journal.in_order(&["ecr GetAuthorizationToken", "imds GET"]);
    }

    #[tokio::test]
    async fn a_wait_ends_with_the_entry_and_with_its_status() {
        let journal = Journal::new();
        let noted = journal.arrived("ecr", "GetAuthorizationToken", "us-east-2".into());
        assert_eq!(journal.count("ecr 200"), 0);
        let (entry, ()) = tokio::join!(journal.wait_for("ecr 200", Duration::from_secs(5)), async {
            noted.answered(200);
        });
        assert_eq!(entry.to_string(), "ecr GetAuthorizationToken us-east-2 200");
    }
}
