//! The phases of a life and what leads from one to the other, as agent/core/src/machine/mod.rs decides it.

use berth_core::message::outcome::Outcome;
use berth_core::view::PhaseName;

use super::Picture;

/// Where a phase is: left and top of its box, and how the box looks.
fn place(phase: PhaseName) -> (u32, u32, &'static str) {
    match phase {
        PhaseName::Boot => (90, 110, ""),
        PhaseName::Serve => (370, 110, "good"),
        PhaseName::Release => (640, 185, "good"),
        PhaseName::Drain => (640, 110, ""),
        PhaseName::Gone => (850, 110, ""),
        PhaseName::Warm => (90, 240, ""),
        PhaseName::Failing => (370, 240, "bad"),
        PhaseName::Hold => (370, 330, "bad"),
    }
}

const WIDE: u32 = 120;
const HIGH: u32 = 40;

pub(super) fn svg() -> String {
    let mut picture = Picture::new(
        1000,
        "The phases of an instance's life",
        "Boot leads to serve when the app is healthy, serve to release and back when the next version takes its place, \
         serve to drain at a notice, drain to gone. A failed boot or a lost app leads through \
         failing to gone; a boot that is held waits in hold. In a warm pool, boot leads to warm and back.",
    );
    let phases = [
        PhaseName::Boot,
        PhaseName::Serve,
        PhaseName::Release,
        PhaseName::Drain,
        PhaseName::Gone,
        PhaseName::Warm,
        PhaseName::Failing,
        PhaseName::Hold,
    ];
    picture.arrow("M210,130 H369", "");
    picture.text(290, 122, "small middle", "healthy");
    picture.arrow("M490,130 H639", "");
    picture.text(564, 104, "small middle", "notice, SIGTERM,");
    picture.text(564, 120, "small middle", "berth drain");
    picture.arrow("M490,142 L639,197", "");
    picture.arrow("M640,213 L478,151", "");
    picture.text(654, 176, "small", "next version");
    picture.arrow("M760,130 H849", "");
    picture.text(804, 122, "small middle", &codes(&[Outcome::Done, Outcome::DrainCut]));
    picture.arrow("M150,110 C150,30 700,30 700,109", "");
    picture.text(425, 42, "small middle", "a notice, SIGTERM or berth drain, from every phase");
    picture.arrow("M115,150 V239", "");
    picture.text(108, 192, "small end", "prepared,");
    picture.text(108, 207, "small end", "in the pool");
    picture.arrow("M140,240 V151", "");
    picture.text(146, 200, "small", "InService");
    picture.arrow("M210,140 C260,165 300,245 369,258", "");
    picture.text(292, 200, "small", "failed");
    picture.arrow("M430,150 V239", "");
    picture.text(438, 192, "small", "app cannot be kept running,");
    picture.text(438, 207, "small", "launch hook refused");
    picture.arrow("M490,260 H910 V151", "");
    picture.text(804, 252, "small middle", &codes(&[Outcome::Usage, Outcome::BootFailed, Outcome::AppFailed]));
    picture.arrow("M208,148 C225,270 290,345 369,350", "");
    picture.text(292, 312, "small", "failed, boot.on_failure=hold");
    picture.arrow("M490,350 H670 V151", "");
    picture.text(578, 342, "small middle", "notice, SIGTERM");
    picture.arrow("M730,150 V410 H120 V281", "");
    picture.text(430, 402, "small middle", "back to the warm pool");
    for phase in phases {
        let (x, y, class) = place(phase);
        let name = format!("{phase:?}").to_lowercase();
        picture.add(&format!(
            "<rect x=\"{x}\" y=\"{y}\" width=\"{WIDE}\" height=\"{HIGH}\" rx=\"6\" class=\"box {class}\"/>"
        ));
        picture.text(x + WIDE / 2, y + 25, "name middle", &name);
    }
    picture.to_svg(430)
}

/// How the agent exits.
fn codes(outcomes: &[Outcome]) -> String {
    let codes: Vec<String> = outcomes.iter().map(|outcome| outcome.code().to_string()).collect();
    format!("exit {}", codes.join(", "))
}
