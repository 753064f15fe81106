//! One boot and one drain of an instance in a group behind a load balancer, message by message.

use super::Picture;

/// Who takes part, from the left.
#[derive(Clone, Copy)]
enum Who {
    Group,
    Balancer,
    Berth,
    Aws,
    Engine,
    App,
}

enum Step {
    /// A heading over everything.
    Part(&'static str),
    /// A message.
    Ask(Who, Who, &'static str),
    /// An answer.
    Answer(Who, Who, &'static str),
    /// What happens with one of them.
    At(Who, &'static str),
}

use Step::{Answer, Ask, At, Part};
use Who::{App, Aws, Balancer, Berth, Engine, Group};

const ALL: [(Who, &str); 6] = [
    (Group, "Auto Scaling group"),
    (Balancer, "load balancer"),
    (Berth, "berth"),
    (Aws, "AWS and registry"),
    (Engine, "Docker Engine"),
    (App, "app"),
];

const STEPS: &[Step] = &[
    Part("boot"),
    At(Group, "launches the instance: Pending:Wait"),
    At(Berth, "binds the endpoint first"),
    Ask(Balancer, Berth, "GET /ready"),
    Answer(Berth, Balancer, "503 starting"),
    Ask(Berth, Aws, "identity, user-data (IMDSv2)"),
    At(Berth, "checks the whole config"),
    Ask(Berth, Aws, "secrets, registry login"),
    Ask(Berth, Engine, "ping, at the same time"),
    Ask(Berth, Aws, "tag to digest"),
    Ask(Berth, Engine, "pull by digest, create, start"),
    Ask(Engine, App, "start"),
    Ask(Berth, Group, "heartbeats while slow"),
    Ask(Berth, App, "probe, every 100 ms at first"),
    Answer(App, Berth, "healthy"),
    Ask(Balancer, Berth, "GET /ready"),
    Answer(Berth, Balancer, "200 ok"),
    Ask(Berth, Group, "launch hook: CONTINUE"),
    At(Group, "InService"),
    Ask(Balancer, App, "requests"),
    Part("drain"),
    At(Group, "wants the instance back: Terminating:Wait"),
    Ask(Berth, Aws, "target state, every 2 s"),
    Answer(Aws, Berth, "Terminated"),
    Ask(Balancer, Berth, "GET /ready"),
    Answer(Berth, Balancer, "503 draining"),
    At(Berth, "drain.settle: the app still serves"),
    At(Balancer, "sends no new requests"),
    At(Berth, "until no connection is open, or drain.timeout"),
    Ask(Berth, Group, "heartbeats all along"),
    Ask(Berth, Engine, "stop"),
    Ask(Engine, App, "SIGTERM, then SIGKILL"),
    Ask(Berth, Group, "termination hook: CONTINUE"),
    At(Group, "terminates the instance"),
];

const WIDTH: u32 = 1160;
const FIRST: u32 = 110;
const APART: u32 = 188;
const STEP: u32 = 34;
const TOP: u32 = 60;

fn x(who: Who) -> u32 {
    FIRST + APART * (who as u32)
}

pub(super) fn svg() -> String {
    let mut picture = Picture::new(
        WIDTH,
        "A boot and a drain, message by message",
        "At boot, berth answers 503, reads metadata and config, fetches secrets, pulls and starts the app, answers 200 when it is healthy and \
         completes the launch hook. At the end it answers 503, lets connections end, stops the app and completes the termination hook.",
    );
    let mut y = TOP;
    let mut drawn = Picture::new(WIDTH, "", "");
    for step in STEPS {
        y += STEP;
        match step {
            Part(words) => {
                drawn
                    .add(&format!("<rect x=\"0\" y=\"{}\" width=\"{WIDTH}\" height=\"24\" class=\"stripe\"/>", y - 16));
                drawn.text(16, y + 1, "name", words);
            }
            Ask(from, to, words) => message(&mut drawn, (*from, *to), y, words, ""),
            Answer(from, to, words) => message(&mut drawn, (*from, *to), y, words, "back"),
            At(who, words) => {
                let wide = 7 * u32::try_from(words.len()).unwrap_or(40) + 20;
                let left = x(*who).saturating_sub(wide / 2).max(6);
                drawn.add(&format!(
                    "<rect x=\"{left}\" y=\"{}\" width=\"{wide}\" height=\"24\" rx=\"4\" class=\"box\"/>",
                    y - 16
                ));
                drawn.text(left + wide / 2, y + 1, "middle", words);
            }
        }
    }
    let end = y + 24;
    for (who, name) in ALL {
        let x = x(who);
        picture.add(&format!("<line x1=\"{x}\" y1=\"44\" x2=\"{x}\" y2=\"{end}\" class=\"life\"/>"));
        picture.add(&format!("<rect x=\"{}\" y=\"12\" width=\"170\" height=\"32\" rx=\"6\" class=\"box\"/>", x - 85));
        picture.text(x, 33, "name middle", name);
    }
    picture.add(&drawn.body);
    picture.to_svg(end + 16)
}

/// An arrow from one to another, its words in the gap beside whoever sends it.
fn message(picture: &mut Picture, (from, to): (Who, Who), y: u32, words: &str, class: &str) {
    let (begin, end) = (x(from), x(to));
    picture.arrow(&format!("M{begin},{y} H{}", if begin < end { end - 1 } else { end + 1 }), class);
    let middle = if begin < end { begin + APART / 2 } else { begin - APART / 2 };
    picture.text(middle, y - 6, "small middle", words);
}
