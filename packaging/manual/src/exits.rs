//! What the agent and each command exit with. docs/exit-codes.md has its tables from here, a manual page its EXIT STATUS.

use std::fmt::Write;

use berth_core::message::outcome::Outcome;

use crate::text::{Block, Inline};

/// A code and what it says, in Markdown.
pub type Exit = (u8, &'static str);

/// What a command exits with.
#[derive(Clone, Copy, Debug)]
pub struct Exits {
    /// The command, with the words that make a difference: `wait ready`.
    pub command: &'static str,
    /// In the order of the codes.
    pub codes: &'static [Exit],
}

/// Every command but `run`, in the order of `berth --help`.
pub const COMMANDS: &[Exits] = &[
    Exits {
        command: "check",
        codes: &[
            (0, "the config is good, with warnings or without"),
            (2, "it has errors, each with its place, or cannot be read"),
        ],
    },
    Exits {
        command: "status",
        codes: &[(0, "the agent answered"), (1, "no agent runs (the last one is shown), or this user may not ask it")],
    },
    Exits {
        command: "status --watch",
        codes: &[
            (0, "the agent ended, or Ctrl-C"),
            (1, "no agent runs (the last one is shown), or this user may not ask it"),
        ],
    },
    Exits {
        command: "timeline",
        codes: &[
            (0, "the agent answered, or the last one has left its record"),
            (1, "no agent runs and none has left a record, or this user may not ask it"),
        ],
    },
    Exits {
        command: "drain",
        codes: &[
            (0, "the agent will drain; also if it drains already"),
            (1, "no agent runs, this user may not ask it, or the agent is about to exit"),
        ],
    },
    Exits {
        command: "drain --wait",
        codes: &[
            (0, "the agent has drained"),
            (
                1,
                "no agent runs, this user may not ask it, or the agent ended without reporting how and did not come back within five seconds",
            ),
            (5, "the drain was cut short; every other code is the agent's own, too"),
        ],
    },
    Exits {
        command: "exec",
        codes: &[
            (0, "the command ended with 0; every other code of the command is passed on, 128 + N if signal N ended it"),
            (
                1,
                "before the command was started: no agent and no container, the container does not run, or this user may not ask",
            ),
            (2, "before the command was started: invalid usage, or `-i -t` without a terminal"),
            (125, "the engine failed, or the connection to it was lost; also from the command"),
            (126, "the command cannot be executed, or there is no such `--user`"),
            (127, "the image has no such command"),
        ],
    },
    Exits {
        command: "handover",
        codes: &[
            (0, "the next agent runs and has the app"),
            (1, "no agent runs, it is on its way out, or the next one did not take over in 30 s"),
        ],
    },
    Exits {
        command: "wait ready",
        codes: &[
            (0, "the instance is ready"),
            (1, "not in time, on its way out, or this user may not ask"),
            (3, "the boot failed, or is held"),
        ],
    },
    Exits {
        command: "wait drained",
        codes: &[
            (0, "the agent has drained, or no agent runs"),
            (1, "not in time, or the agent ended without reporting how and did not come back within five seconds"),
            (5, "the drain was cut short; every other code is the agent's own, too"),
        ],
    },
    Exits {
        command: "bake",
        codes: &[
            (0, "the host is ready to be an AMI"),
            (2, "the config or an `--image` is invalid"),
            (3, "the host is not ready, or an image could not be pulled"),
        ],
    },
    Exits {
        command: "doctor",
        codes: &[
            (0, "the instance can boot, with warnings or without"),
            (2, "the config has errors"),
            (3, "it could not boot"),
        ],
    },
    Exits {
        command: "policy",
        codes: &[(0, "the policy is printed"), (2, "the config has errors, or cannot be read")],
    },
    Exits {
        command: "release publish",
        codes: &[
            (0, "the release is published, or is the current one already"),
            (
                1,
                "somebody else published meanwhile, the same document failed before, the tag has no digest here, or a call failed",
            ),
            (
                2,
                "the document or the usage is invalid, or keys change that only a new instance takes; nothing is written",
            ),
        ],
    },
    Exits {
        command: "release publish --wait",
        codes: &[
            (0, "the instances call the release good"),
            (1, "as without `--wait`; or the release is stopped, halted or superseded, or not good in time"),
            (2, "as without `--wait`"),
        ],
    },
    Exits {
        command: "release status",
        codes: &[
            (0, "the current release is neither stopped nor halted"),
            (1, "it is stopped or halted, there is none, or a call failed"),
            (2, "invalid usage, or no board is known"),
        ],
    },
    Exits {
        command: "release halt",
        codes: &[
            (0, "the current release is halted"),
            (1, "there is none, or a call failed"),
            (2, "invalid usage, or no board is known"),
        ],
    },
    Exits {
        command: "release resume",
        codes: &[
            (0, "the current release goes on"),
            (1, "it does not go on yet, there is none, or a call failed"),
            (2, "invalid usage, or no board is known"),
        ],
    },
    Exits {
        command: "release rollback",
        codes: &[
            (0, "the earlier release is published again"),
            (1, "there is none to go back to, somebody else published meanwhile, or a call failed"),
            (2, "invalid usage, or no board is known"),
        ],
    },
    Exits {
        command: "release rollback --wait",
        codes: &[
            (0, "the instances call the earlier release good, and run it"),
            (1, "as without `--wait`; or the release is stopped, halted or superseded, or not good in time"),
            (2, "as without `--wait`"),
        ],
    },
    Exits { command: "completions", codes: &[(0, "the completions are printed")] },
];

/// What the agent says with a code, and whether systemd starts it again after it, in Markdown.
fn of_agent(outcome: Outcome) -> (&'static str, &'static str) {
    match outcome {
        Outcome::Done => (
            "drained, or done; also when the termination hook could not be completed: the last line on the console says so, and \
             `berth_hook_failed` is 1 until the end",
            "no: it ended well",
        ),
        Outcome::Usage => (
            "invalid usage or config; every error is in the log. After an invalid config the launch hook was completed with ABANDON, \
             or the instance was marked unhealthy, as for 3",
            "no: the same user-data has the same errors",
        ),
        Outcome::BootFailed => (
            "the boot failed, or the launch hook can never be completed; the launch hook was completed with ABANDON, or the instance \
             was marked unhealthy",
            "no: the group is replacing the instance, another boot would race with that",
        ),
        Outcome::AppFailed => ("the app cannot be kept running; the instance was marked unhealthy", "no: the same"),
        Outcome::DrainCut => (
            "the drain was cut short: by its deadline, by a second SIGTERM, by an app that could not be stopped, or by one that ended \
             while it still served",
            "no: the instance is on its way out, and must not come back into traffic",
        ),
        Outcome::Bug => ("a bug in berth", "yes: the next start adopts the running container"),
    }
}

/// The table of the agent's codes, in Markdown.
pub fn agent_table() -> String {
    let mut text = "| code | meaning | systemd starts it again |\n|---|---|---|\n".to_owned();
    for outcome in Outcome::ALL {
        let (meaning, again) = of_agent(outcome);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "| {} | {meaning} | {again} |", outcome.code());
    }
    text
}

/// The table of the commands, in Markdown.
pub fn command_table() -> String {
    let mut text = "| command | code | when |\n|---|---|---|\n".to_owned();
    for Exits { command, codes } in COMMANDS {
        for (at, (code, when)) in codes.iter().enumerate() {
            let name = if at == 0 { format!("`berth {command}`") } else { String::new() };
            let _ = writeln!(text, "| {name} | {code} | {when} |");
        }
    }
    text
}

/// The agent's codes for a manual page.
pub fn agent_blocks() -> Vec<Block> {
    Outcome::ALL.into_iter().map(|outcome| code(outcome.code(), of_agent(outcome).0)).collect()
}

/// The codes of a command for its manual page; `run` is the agent.
pub fn command_blocks(command: &str) -> Vec<Block> {
    if command == "run" {
        return agent_blocks();
    }
    let is_its = |exits: &&Exits| format!("{} ", exits.command).starts_with(&format!("{command} "));
    let rows: Vec<&Exits> = COMMANDS.iter().filter(is_its).collect();
    let mut blocks = Vec::new();
    for exits in &rows {
        if rows.len() > 1 {
            blocks.push(Block::Heading(vec![Inline::Code(format!("berth {}", exits.command))]));
        }
        blocks.extend(exits.codes.iter().map(|(number, when)| code(*number, when)));
    }
    if !blocks.is_empty() && !rows.iter().any(|exits| exits.codes.iter().any(|(code, _)| *code == 2)) {
        if rows.len() > 1 {
            blocks.push(Block::Heading(vec![Inline::Plain("In every form".to_owned())]));
        }
        blocks.push(code(2, "invalid usage"));
    }
    blocks
}

fn code(number: u8, meaning: &str) -> Block {
    Block::Term(vec![Inline::Code(number.to_string())], vec![Block::Paragraph(crate::markdown::sentence(meaning))])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use crate::made;

    #[test]
    fn the_documentation_has_these_tables() {
        made::holds("exit-codes.md", "agent", &super::agent_table());
        made::holds("exit-codes.md", "commands", &super::command_table());
    }
}
