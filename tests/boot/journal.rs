//! The machine's journal as a test reads it: what happened before what, as systemd and the agent report it.

use serde_json::Value;

use crate::machine::Machine;

/// Everything that was written down, in its order.
pub(crate) struct Journal(Vec<Value>);

/// An entry that a test looks for.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// The unit that the agent's words, or systemd's, are about.
    field: &'static str,
    unit: &'static str,
    /// What the message begins with, or the agent's message.
    text: &'static str,
}

/// A line of the agent's log: an event, an effect, or `phase NAME`.
pub(crate) fn agent(text: &'static str) -> Wanted {
    Wanted { field: "_SYSTEMD_UNIT", unit: "berth.service", text }
}

/// What systemd says of a unit.
pub(crate) fn systemd(unit: &'static str, text: &'static str) -> Wanted {
    Wanted { field: "UNIT", unit, text }
}

impl Journal {
    /// Of all boots; the machine may be off.
    pub(crate) fn of(machine: &Machine) -> Self {
        Self(machine.journal())
    }

    /// Without the first so many entries, which are of earlier.
    pub(crate) fn since(mut self, earlier: usize) -> Self {
        self.0.drain(..earlier);
        self
    }

    /// How many entries are like this and are shown without a debugging log.
    pub(crate) fn count_shown(&self, wanted: &Wanted) -> usize {
        let shown = self.0.iter().filter(|entry| entry["PRIORITY"].as_str() < Some("7"));
        shown.filter(|entry| is(entry, wanted)).count()
    }

    /// How many entries are like this.
    pub(crate) fn count(&self, wanted: &Wanted) -> usize {
        self.0.iter().filter(|entry| is(entry, wanted)).count()
    }

    /// Asserts that there are entries like these in this order, others between them.
    pub(crate) fn in_order(&self, wanted: &[Wanted]) {
        let mut rest = self.0.iter();
        for one in wanted {
            assert!(rest.any(|entry| is(entry, one)), "no {one:?} in its place:\n{}", self.text());
        }
    }

    /// Asserts that the journal knows how serious each line of the agent is, as `journalctl -p` asks it.
    pub(crate) fn has_the_priorities(&self) {
        let lines: Vec<(&str, Value)> = self
            .0
            .iter()
            .filter(|entry| entry["_SYSTEMD_UNIT"] == "berth.service")
            .filter_map(|entry| {
                Some((entry["PRIORITY"].as_str()?, serde_json::from_str(entry["MESSAGE"].as_str()?).ok()?))
            })
            .collect();
        assert!(!lines.is_empty(), "{}", self.text());
        for (priority, line) in lines {
            let expected = match line["level"].as_str() {
                Some("ERROR") => "3",
                Some("WARN") => "4",
                Some("INFO") => "6",
                _ => "7",
            };
            assert_eq!(priority, expected, "{line}");
        }
    }

    /// The entries of the units that matter here, a line each.
    fn text(&self) -> String {
        let lines = self.0.iter().filter_map(|entry| {
            let unit = entry["UNIT"].as_str().or(entry["_SYSTEMD_UNIT"].as_str())?;
            ["berth.service", "berth-drain.service", "docker.service", "network-card.service"]
                .contains(&unit)
                .then(|| format!("{unit}: {}", message(entry)))
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}

fn is(entry: &Value, wanted: &Wanted) -> bool {
    let text = message(entry);
    let of_unit = text.strip_prefix(wanted.unit).map_or(text.as_str(), |rest| rest.trim_start_matches([':', ' ']));
    entry[wanted.field] == wanted.unit && of_unit.starts_with(wanted.text)
}

/// The message; of the agent's JSON its message, and the name of a phase that begins.
fn message(entry: &Value) -> String {
    let message = entry["MESSAGE"].as_str().unwrap_or_default();
    let Ok(line) = serde_json::from_str::<Value>(message) else { return message.to_owned() };
    match (line["message"].as_str(), line["phase"].as_str()) {
        (Some("phase"), Some(phase)) => format!("phase {phase}"),
        (Some(text), _) => text.to_owned(),
        _ => message.to_owned(),
    }
}
