//! `berth.service(8)`: the unit, its signals, its files, and how to change it. The directives and their reasons come from
//! systemd/berth.service itself.

use berth::io::host::signals;

use crate::roff::Page;
use crate::text::{Block, Inline, line, paragraph, term};
use crate::{exits, files};

/// The unit.
const UNIT: &str = include_str!("../../../systemd/berth.service");

/// The page.
pub fn page() -> Page {
    let environment = vec![
        paragraph("Set variables of berth(1) and of the AWS SDKs with a drop-in; see OVERRIDING. systemd itself sets:"),
        term(
            "RUNTIME_DIRECTORY",
            "`/run/berth`, on a tmpfs. It is kept when the agent ends: the container may go on with the secrets that are there.",
        ),
        term("STATE_DIRECTORY", "`/var/lib/berth`."),
        term(
            "NOTIFY_SOCKET",
            "Where the agent reports that its endpoint is bound (`READY=1`) and how much longer a drain takes.",
        ),
        term("WATCHDOG_USEC", "How often the agent must report that its loop turns."),
        term("LISTEN_FDS", "The endpoint's listener of the agent before this one, from the file descriptor store."),
    ];
    Page {
        name: "berth.service".to_owned(),
        section: 8,
        about: "the systemd unit of the berth agent".to_owned(),
        synopsis: vec![
            line("`berth.service`"),
            line("`systemctl start berth` | `systemctl stop berth` | `berth handover`"),
        ],
        sections: vec![
            ("DESCRIPTION", description()),
            ("UNIT", unit()),
            ("SIGNALS", signals()),
            ("EXIT STATUS", exit_status()),
            ("ENVIRONMENT", environment),
            ("FILES", files::of_service()),
            ("OVERRIDING", overriding()),
            ("EXAMPLES", examples()),
        ],
        see_also: [
            ("berth", 1),
            ("berth-run", 1),
            ("berth-handover", 1),
            ("berth.toml", 5),
            ("systemd.service", 5),
            ("systemd.exec", 5),
            ("journalctl", 1),
        ]
        .map(|(name, section)| (name.to_owned(), section))
        .to_vec(),
    }
}

fn description() -> Vec<Block> {
    vec![
        paragraph(
            "`berth.service` runs `berth run`: it boots the container that the config names, serves it, and drains it when the \
             instance is terminated. The package enables the unit and does not start it, so every instance of the AMI boots it.",
        ),
        paragraph(
            "The unit counts as started when the readiness endpoint is bound. Whether the app is ready, `/ready` on that endpoint and \
             `berth wait ready` say.",
        ),
        paragraph(
            "`systemctl stop berth` and a shutdown drain: the instance answers 503, connections end, the app is stopped, and the \
             termination hook is completed. `systemctl restart berth` drains as well; for an upgrade use `berth handover`.",
        ),
        paragraph(
            "The agent starts beside the network and the engine. `berth-drain.service`, which it pulls in, has the order at a shutdown: its stop \
             is `berth drain --wait`, and systemd stops the engine and the network when that has ended. Do not mask it.",
        ),
    ]
}

/// A group of directives and the comment above them.
#[derive(Debug, Default)]
struct Group {
    reason: Vec<&'static str>,
    directives: Vec<&'static str>,
}

/// The unit in groups, each below the heading of its section.
fn unit() -> Vec<Block> {
    let mut all = Vec::new();
    let mut group = Group::default();
    let mut is_file_head = true;
    for row in UNIT.lines() {
        // The comment at the top is about the file, not about a directive.
        is_file_head &= row.starts_with('#');
        if is_file_head {
            continue;
        }
        match row {
            "" => end_group(&mut all, &mut group),
            row if row.starts_with('[') => {
                end_group(&mut all, &mut group);
                all.push(Block::Heading(line(row)));
            }
            row => match row.strip_prefix('#') {
                Some(comment) => {
                    if !group.directives.is_empty() {
                        end_group(&mut all, &mut group);
                    }
                    group.reason.push(comment.trim());
                }
                None => group.directives.push(row),
            },
        }
    }
    end_group(&mut all, &mut group);
    all
}

fn end_group(all: &mut Vec<Block>, group: &mut Group) {
    let Group { reason, directives } = std::mem::take(group);
    let Some((last, others)) = directives.split_last() else { return };
    let code = |directive: &&str| vec![Inline::Code((*directive).to_owned())];
    all.extend(others.iter().map(|directive| Block::Term(code(directive), Vec::new())));
    let reason = if reason.is_empty() { Vec::new() } else { vec![paragraph(&reason.join(" "))] };
    all.push(Block::Term(code(last), reason));
}

fn signals() -> Vec<Block> {
    vec![
        term("SIGTERM, SIGINT", "Drain. A second one means now: the app is stopped at once and the agent ends."),
        term(
            &signals::ignored().join(", "),
            "Named in the log and ignored, and so are the real-time signals. There is nothing to reload.",
        ),
        term(
            "SIGQUIT, SIGABRT, SIGTRAP, SIGSYS, SIGKILL",
            "End the agent at once, without a core dump and without a drain. systemd starts it again, and the next agent adopts the \
             running container.",
        ),
    ]
}

fn exit_status() -> Vec<Block> {
    let mut blocks = exits::agent_blocks();
    blocks.push(paragraph(
        "systemd starts the agent again after 70 and after every signal that kills it, and not after 0, 2, 3, 4 and 5: those are \
         deliberate exits (`RestartPreventExitStatus=`).",
    ));
    blocks
}

fn overriding() -> Vec<Block> {
    vec![
        paragraph("`systemctl edit berth` writes a drop-in, which survives an upgrade of the package. In an AMI, write the file:"),
        Block::Code(
            "# /etc/systemd/system/berth.service.d/local.conf\n[Unit]\nRequiresMountsFor=/mnt/data\n\n[Service]\nEnvironment=BERTH_LOG=debug\n"
                .to_owned(),
        ),
        paragraph(
            "An empty assignment takes back what the unit says (`ReadWritePaths=`). What the drop-in sets for the process comes into \
             force with the next start of the unit, not with `berth handover`.",
        ),
        paragraph(
            "A drain that takes longer than `TimeoutStopSec=` is not cut off: the agent asks systemd for more time. A rootless engine's \
             socket is below `/run/user`, which the unit hides: set `ProtectHome=read-only`.",
        ),
    ]
}

fn examples() -> Vec<Block> {
    vec![
        paragraph("Why a boot failed:"),
        Block::Code("berth status\njournalctl -u berth --boot --priority warning\n".to_owned()),
        paragraph("What the unit is, with its drop-ins:"),
        Block::Code("systemctl cat berth\n".to_owned()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_directive_is_in_the_page_once() {
        let page = page().to_roff("2026-11-28").replace("\\-", "-");
        let directives: Vec<&str> =
            UNIT.lines().filter(|line| !line.starts_with(['#', '[']) && !line.is_empty()).collect();
        assert!(directives.len() > 30, "{directives:?}");
        for directive in directives {
            let shown = directive.replace('~', "\\(ti");
            assert_eq!(page.matches(&format!("\\fB{shown}\\fR")).count(), 1, "{directive}");
        }
    }
}
