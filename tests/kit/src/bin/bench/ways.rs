//! The three ways to boot an instance, and what is seen of one boot.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use berth_kit::World;
use berth_kit::registry::Pushed;

use crate::process::Usage;
use crate::{berth, floor, user_data};

/// What boots the app.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Way {
    /// The bare Engine API: nobody can be faster.
    Floor,
    /// The agent.
    Berth,
    /// The user-data that berth replaces.
    Bash,
}

/// One boot. Times are in seconds and count from its start.
pub(crate) struct Boot {
    /// The app answered (floor, bash), `/ready` answered 200 (berth).
    pub(crate) ready: f64,
    /// The launch hook was completed; for the floor, which completes none, the same as `ready`.
    pub(crate) completed: f64,
    /// In the order they began.
    pub(crate) steps: Vec<Step>,
    /// Requests until then, by service.
    pub(crate) calls: BTreeMap<&'static str, usize>,
    /// What the agent took of the machine; nothing for the others.
    pub(crate) usage: Option<Usage>,
}

/// A part of a boot.
pub(crate) struct Step {
    pub(crate) name: String,
    pub(crate) began: f64,
    pub(crate) until: f64,
}

impl Way {
    /// In the order of a round.
    pub(crate) const ALL: [Self; 3] = [Self::Floor, Self::Berth, Self::Bash];

    /// Boots the image; `cold` says that the engine has to pull it.
    pub(crate) async fn boot(self, world: &World, image: &Pushed, berth: &Path, cold: bool) -> Boot {
        let before = world.journal.entries().len();
        let mut boot = match self {
            Self::Floor => floor::boot(world, image, cold).await,
            Self::Berth => berth::boot(world, image, berth).await,
            Self::Bash => user_data::boot(world, image).await,
        };
        for entry in world.journal.entries().iter().skip(before) {
            *boot.calls.entry(entry.service).or_default() += 1;
        }
        boot
    }
}

/// A clock for steps that are taken one after the other.
pub(crate) struct Stopwatch {
    began: Instant,
    steps: Vec<Step>,
}

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self { began: Instant::now(), steps: Vec::new() }
    }

    /// The step that began with the end of the one before ends here.
    pub(crate) fn lap(&mut self, name: &str) {
        let began = self.steps.last().map_or(0.0, |step| step.until);
        self.steps.push(Step { name: name.into(), began, until: self.began.elapsed().as_secs_f64() });
    }

    pub(crate) fn steps(self) -> Vec<Step> {
        self.steps
    }
}
