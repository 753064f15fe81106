//! The memory that the host has left. The unit hides `/proc/meminfo` from the agent (`ProcSubset=pid`), so it is counted as the kernel counts
//! `MemAvailable`, from what `/sys` has of each memory node.

use std::fs;
use std::path::Path;

/// Where the kernel shows its memory nodes: `node0/meminfo` and so on.
const NODES: &str = "/sys/devices/system/node";
/// The kernel keeps so much of all memory for itself, in hundredths: its reserve and the low watermarks of its zones.
const RESERVED: u64 = 2;

/// Bytes that a new process can have without another one being swapped out; none if the kernel does not show it.
pub fn available() -> Option<u64> {
    available_in(Path::new(NODES))
}

fn available_in(nodes: &Path) -> Option<u64> {
    let mut sum = None;
    for entry in fs::read_dir(nodes).ok()?.flatten() {
        let is_node =
            entry.file_name().to_str().and_then(|name| name.strip_prefix("node")?.parse::<u32>().ok()).is_some();
        if is_node {
            let text = fs::read_to_string(entry.path().join("meminfo")).ok()?;
            sum = Some(sum.unwrap_or_default() + of_node(&text)?);
        }
    }
    sum
}

/// Free, or pages of files, or memory of the kernel that it can give back.
fn of_node(meminfo: &str) -> Option<u64> {
    let figure = |name: &str| -> Option<u64> {
        // Node 0 MemFree:         5138496 kB
        let line = meminfo.lines().find_map(|line| line.split_once(&format!(" {name}:")))?.1;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
    };
    let free = figure("MemFree")? + figure("Active(file)")? + figure("Inactive(file)")?;
    // KReclaimable since Linux 4.20.
    let reclaimable = figure("KReclaimable").or(figure("SReclaimable")).unwrap_or_default();
    let reserved = figure("MemTotal")? / 100 * RESERVED;
    Some((free + reclaimable).saturating_sub(reserved) * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: &str = "Node 0 MemTotal:       1000000 kB
Node 0 MemFree:         100000 kB
Node 0 MemUsed:         900000 kB
Node 0 Active(anon):    400000 kB
Node 0 Active(file):     30000 kB
Node 0 Inactive(file):   40000 kB
Node 0 KReclaimable:      5000 kB
Node 0 SReclaimable:      4000 kB
";

    #[test]
    fn what_can_be_given_back_counts_and_what_the_kernel_keeps_does_not() {
        assert_eq!(of_node(NODE), Some((100_000 + 70_000 + 5_000 - 20_000) * 1024));
        assert_eq!(of_node(&NODE.replace("KReclaimable", "Other")), Some((100_000 + 70_000 + 4_000 - 20_000) * 1024));
        assert_eq!(of_node("Node 0 MemTotal: 1000 kB\n"), None);
        assert_eq!(of_node(""), None);
    }

    #[test]
    fn the_nodes_are_added_up() {
        let nodes = tempfile::tempdir().unwrap();
        assert_eq!(available_in(nodes.path()), None);
        for node in ["node0", "node1", "node-of-others"] {
            let directory = nodes.path().join(node);
            fs::create_dir(&directory).unwrap();
            fs::write(directory.join("meminfo"), NODE).unwrap();
        }
        assert_eq!(available_in(nodes.path()), Some(2 * 155_000 * 1024));
        assert_eq!(available_in(Path::new("/nowhere")), None);
    }

    #[test]
    fn it_is_about_what_the_kernel_calls_available() {
        let meminfo = fs::read_to_string("/proc/meminfo").unwrap();
        let figure = |name: &str| {
            let line = meminfo.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap() * 1024
        };
        let (counted, known) = (available().unwrap(), figure("MemAvailable:"));
        assert!(counted.abs_diff(known) < figure("MemTotal:") / 10, "{counted} {known}");
    }
}
