//! What a process takes of the machine, as the kernel reports it: proc(5).

use std::fs;

/// Since its start.
#[derive(Clone, Copy)]
pub(crate) struct Usage {
    /// MiB, the most so far and what it is.
    pub(crate) peak: f64,
    pub(crate) resident: f64,
    /// Page faults that a page in memory answered, and those that had to be read from a disk.
    pub(crate) minor: f64,
    pub(crate) major: f64,
    /// Seconds on a core.
    pub(crate) cpu: f64,
}

impl Usage {
    pub(crate) fn of(pid: i32) -> Self {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let megabytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.trim().strip_suffix(" kB")).unwrap();
            line.trim().parse::<f64>().unwrap() / 1024.0
        };
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        // The name of the command, in parentheses, may hold anything. After it come state, ppid, pgrp, session, tty_nr, tpgid,
        // flags, minflt, cminflt, majflt.
        let fields: Vec<&str> = stat[stat.rfind(')').unwrap() + 1..].split_whitespace().collect();
        let field = |index: usize| fields[index].parse::<f64>().unwrap();
        Self {
            peak: megabytes("VmHWM:"),
            resident: megabytes("VmRSS:"),
            minor: field(7),
            major: field(9),
            cpu: on_a_core(pid),
        }
    }
}

/// User and system time of all threads in seconds. `stat` counts it in hundredths, too coarse for an agent that sleeps;
/// `schedstat` has the same in nanoseconds.
fn on_a_core(pid: i32) -> f64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let nanoseconds = threads.map(|thread| {
        let text =
            fs::read_to_string(thread.unwrap().path().join("schedstat")).expect("a kernel with CONFIG_SCHED_INFO");
        text.split_whitespace().next().unwrap().parse::<f64>().unwrap()
    });
    nanoseconds.sum::<f64>() / 1e9
}
