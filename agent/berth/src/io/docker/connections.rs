//! How many connections the app's clients hold, as the kernel lists them for the container's network namespace (proc(5)).
//!
//! A client's connection goes to a port that a process in the container listens on, and comes from outside. What the app itself opened (to a
//! database) and what comes over loopback (a health check) is not counted. An idle keep-alive connection counts: a request may be on its way in
//! it. On the host's network, where other processes listen too, only the ports that the container exposes count. UDP has no connections, so
//! HTTP/3 is not seen.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use berth_core::message::container::ContainerId;
use berth_core::message::error::ErrorClass;
use bollard::query_parameters::InspectContainerOptions;

use super::engine::{Engine, SHORT};
use super::error::EngineError;
use super::refusal;

/// Bytes of one table that are read, more than 400,000 sockets: more of them change no decision.
const MAX_TABLE: u64 = 64 << 20;

/// The states of include/net/tcp_states.h that matter.
const ESTABLISHED: u8 = 1;
const FIN_WAIT1: u8 = 4;
const CLOSE_WAIT: u8 = 8;
const LAST_ACK: u8 = 9;
const LISTEN: u8 = 10;
const CLOSING: u8 = 11;

/// The container does not run, so it has no connections.
fn ended() -> EngineError {
    EngineError::NoAnswer { doing: doing(), class: ErrorClass::Transient, source: "the container does not run".into() }
}

impl Engine {
    /// Counts the connections that the app's clients hold. A container that does not run is an error: it may have ended with clients.
    pub async fn connections(&self, id: &ContainerId) -> Result<u32, EngineError> {
        let Some(app) = self.running_app(id).await? else { return Err(ended()) };
        let (container, pid) = (id.0.clone(), app.pid);
        // Milliseconds in the kernel, more with a great many sockets: the endpoint must answer meanwhile.
        let counted = tokio::task::spawn_blocking(move || count(&app, &container)).await;
        match counted.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(count) => Ok(count),
            Err(source) => {
                if self.running_app(id).await?.is_none_or(|now| now.pid != pid) {
                    return Err(ended());
                }
                let class = match source.kind() {
                    io::ErrorKind::PermissionDenied => ErrorClass::Denied,
                    _ => ErrorClass::Broken,
                };
                Err(EngineError::NoAnswer { doing: doing(), class, source: source.into() })
            }
        }
    }

    /// None if the container does not run.
    async fn running_app(&self, id: &ContainerId) -> Result<Option<RunningApp>, EngineError> {
        let fail = |error| refusal::of(doing(), error, refusal::plain);
        let docker = self.within(SHORT).map_err(fail)?;
        match docker.inspect_container(&id.0, None::<InspectContainerOptions>).await {
            Ok(inspected) => {
                let exposed = inspected.config.and_then(|config| config.exposed_ports).unwrap_or_default();
                let ports = exposed.iter().filter_map(|port| port.strip_suffix("/tcp")?.parse().ok()).collect();
                let pid = inspected.state.and_then(|state| state.pid).filter(|pid| *pid > 0);
                Ok(pid.map(|pid| RunningApp { pid, ports }))
            }
            Err(error) if refusal::is_not_found(&error) => Ok(None),
            Err(error) => Err(fail(error)),
        }
    }
}

/// A container that runs.
struct RunningApp {
    /// Its first process.
    pid: i64,
    /// What it exposes: the config's ports and those of the image.
    ports: BTreeSet<u16>,
}

fn doing() -> String {
    "count the connections of the container".to_owned()
}

fn count(app: &RunningApp, container: &str) -> io::Result<u32> {
    let process = PathBuf::from(format!("/proc/{}", app.pid));
    if !is_of(&process, container)? {
        return Err(io::Error::other("the engine runs in another process namespace"));
    }
    // Each network namespace has tables of its own, which their inode identifies. `ns/net` and `fd` would be more direct, but need the right to
    // trace the process: with that right the agent could read the memory of every process on the instance.
    let network = |process: &Path| fs::metadata(process.join("net/tcp")).map(|table| table.ino());
    let on_host = network(&process)? == network(Path::new("/proc/self"))?;
    let mut census = Census { only: on_host.then(|| app.ports.clone()), ..Census::default() };
    census.read_tables(&process)?;
    Ok(census.clients())
}

/// The TCP ports that something listens on in the agent's own network namespace, which is the host's.
pub(super) fn listening_on_host() -> io::Result<BTreeSet<u16>> {
    let mut census = Census::default();
    census.read_tables(Path::new("/proc/self"))?;
    Ok(census.listening)
}

/// Whether a process belongs to the container: the name of its control group has the id.
fn is_of(process: &Path, container: &str) -> io::Result<bool> {
    Ok(!container.is_empty() && fs::read_to_string(process.join("cgroup"))?.contains(container))
}

/// The sockets of one network namespace.
#[derive(Debug, Default)]
struct Census {
    /// The only ports that count; none: all of them.
    only: Option<BTreeSet<u16>>,
    listening: BTreeSet<u16>,
    /// Connections from other addresses, by the local port.
    open: BTreeMap<u16, u32>,
}

impl Census {
    /// Reads both tables of a process's network namespace.
    fn read_tables(&mut self, process: &Path) -> io::Result<()> {
        self.read(File::open(process.join("net/tcp"))?)?;
        match File::open(process.join("net/tcp6")) {
            Ok(table) => self.read(table),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()), // a kernel without IPv6
            Err(error) => Err(error),
        }
    }

    /// Reads one table of the kernel.
    fn read(&mut self, table: impl Read) -> io::Result<()> {
        for line in BufReader::new(table.take(MAX_TABLE)).lines() {
            if let Some(socket) = parse(&line?) {
                self.take(&socket);
            }
        }
        Ok(())
    }

    fn take(&mut self, socket: &TcpSocket) {
        if socket.state == LISTEN {
            if self.only.as_ref().is_none_or(|only| only.contains(&socket.port)) {
                self.listening.insert(socket.port);
            }
        } else if socket.is_in_use() && !socket.peer.to_canonical().is_loopback() {
            let open = self.open.entry(socket.port).or_default();
            *open = open.saturating_add(1);
        }
    }

    /// The connections to the ports that are listened on.
    fn clients(&self) -> u32 {
        let to_listeners = self.open.iter().filter(|(port, _)| self.listening.contains(port));
        to_listeners.fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }
}

/// A line of the table.
#[derive(Debug, PartialEq)]
struct TcpSocket {
    port: u16,
    peer: IpAddr,
    state: u8,
    /// Bytes that the peer has not acknowledged; a FIN is one.
    unsent: u32,
}

impl TcpSocket {
    /// Whether a stop of the container would break it. A peer that has closed its side may still wait for a response. An app that has closed its own
    /// side is done, but its last bytes may not have arrived yet.
    fn is_in_use(&self) -> bool {
        match self.state {
            ESTABLISHED | CLOSE_WAIT => true,
            FIN_WAIT1 | CLOSING | LAST_ACK => self.unsent > 1,
            _ => false,
        }
    }
}

/// `0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 …`; the heading is not one.
fn parse(line: &str) -> Option<TcpSocket> {
    let mut words = line.split_ascii_whitespace().skip(1);
    let (_, port) = words.next()?.split_once(':')?;
    let (peer, _) = words.next()?.split_once(':')?;
    let state = words.next()?;
    let (unsent, _) = words.next()?.split_once(':')?;
    Some(TcpSocket {
        port: u16::from_str_radix(port, 16).ok()?,
        peer: address(peer)?,
        state: u8::from_str_radix(state, 16).ok()?,
        unsent: u32::from_str_radix(unsent, 16).ok()?,
    })
}

/// An address, four bytes at a time as one number in the byte order of this machine.
fn address(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| u32::from_str_radix(hex.get(at..at + 8)?, 16).ok().map(u32::to_ne_bytes);
    match hex.len() {
        8 => Some(IpAddr::V4(Ipv4Addr::from(word(0)?))),
        32 => {
            let words = [word(0)?, word(8)?, word(16)?, word(24)?];
            Some(IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(words.concat()).ok()?)))
        }
        _ => None,
    }
}

#[cfg(test)]
#[cfg(target_endian = "little")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEADING: &str =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";

    /// Lines of a table: local and remote as the kernel writes them, the state, the bytes unsent.
    fn table(sockets: &[(&str, &str, u8, u32)]) -> String {
        let lines = sockets.iter().enumerate().map(|(at, (local, peer, state, unsent))| {
            format!(
                "{at:4}: {local} {peer} {state:02X} {unsent:08X}:00000000 00:00000000 00000000     0        0 1655 1 \
                 ffff888003a8c000 100 0 0 10 0                     \n"
            )
        });
        HEADING.to_owned() + &lines.collect::<String>()
    }

    fn clients(tables: &[String], only: Option<&[u16]>) -> u32 {
        let mut census = Census { only: only.map(|ports| ports.iter().copied().collect()), ..Census::default() };
        tables.iter().for_each(|table| census.read(table.as_bytes()).unwrap());
        census.clients()
    }

    const ANY: &str = "00000000:0000";
    const HTTP: &str = "00000000:1F90";
    const LOCAL: &str = "020011AC:1F90";
    const PEER: &str = "010011AC:C350";

    #[test]
    fn a_line_of_the_kernel_s_is_read() {
        let line = "   3: 020011AC:1F90 010011AC:D2F0 08 0000000B:00000001 00:00000000 00000000  1000        0 1655 1 ffff 20 4 30 10 -1";
        let peer = IpAddr::V4(Ipv4Addr::new(172, 17, 0, 1));
        assert_eq!(parse(line), Some(TcpSocket { port: 8080, peer, state: CLOSE_WAIT, unsent: 11 }));
        let line = line.replace("010011AC:", "0000000000000000FFFF0000010011AC:");
        assert_eq!(parse(&line).unwrap().peer.to_canonical(), peer);
        assert_eq!(parse(HEADING), None);
    }

    #[test]
    fn connections_to_a_listening_port_are_counted_and_others_are_not() {
        let sockets = [
            (HTTP, ANY, LISTEN, 0),
            (LOCAL, PEER, ESTABLISHED, 0),
            (LOCAL, "0100000A:C350", ESTABLISHED, 0), // not accepted yet
            ("020011AC:C001", "0500000A:1538", ESTABLISHED, 0), // the app's own, to a database
            (LOCAL, "0100007F:C350", ESTABLISHED, 0),
        ];
        assert_eq!(clients(&[table(&sockets)], None), 2);
        assert_eq!(clients(&[table(&sockets[1..])], None), 0, "nobody listens");
        assert_eq!(clients(&[], None), 0);
    }

    #[test]
    fn a_listener_of_both_families_has_its_ipv4_clients_in_the_other_table() {
        let mapped = |last: &str| format!("0000000000000000FFFF0000{last}");
        let (local, peer) = (mapped(LOCAL), mapped(PEER));
        let (inside, itself) = (mapped("0100007F:C350"), "00000000000000000000000001000000:C350");
        let six = table(&[
            ("00000000000000000000000000000000:1F90", "00000000000000000000000000000000:0000", LISTEN, 0),
            (&local, &peer, ESTABLISHED, 0),
            (&local, &inside, ESTABLISHED, 0),
            (&local, itself, ESTABLISHED, 0),
            (&local, "B80D0120000000000000000001000000:C350", ESTABLISHED, 0),
        ]);
        assert_eq!(clients(&[table(&[]), six], None), 2);
    }

    #[test]
    fn a_connection_counts_until_nobody_would_miss_it() {
        const TIME_WAIT: u8 = 6;
        for (state, unsent, counts) in [
            (ESTABLISHED, 0, 1),
            (CLOSE_WAIT, 0, 1),
            (FIN_WAIT1, 1, 0),
            (FIN_WAIT1, 2, 1),
            (LAST_ACK, 1, 0),
            (LAST_ACK, 900, 1),
            (CLOSING, 900, 1),
            (TIME_WAIT, 900, 0),
            (3, 0, 0),
            (5, 0, 0),
        ] {
            let sockets = [(HTTP, ANY, LISTEN, 0), (LOCAL, PEER, state, unsent)];
            assert_eq!(clients(&[table(&sockets)], None), counts, "state {state}, {unsent} unsent");
        }
    }

    #[test]
    fn on_the_hosts_network_only_the_containers_ports_count() {
        let other = "020011AC:0016";
        let sockets = [
            (HTTP, ANY, LISTEN, 0),
            ("00000000:0016", ANY, LISTEN, 0),
            (LOCAL, PEER, ESTABLISHED, 0),
            (other, PEER, ESTABLISHED, 0),
            (other, "010011AC:C351", ESTABLISHED, 0),
        ];
        assert_eq!(clients(&[table(&sockets)], None), 3);
        assert_eq!(clients(&[table(&sockets)], Some(&[8080])), 1);
        assert_eq!(clients(&[table(&sockets)], Some(&[])), 0);
    }

    proptest! {
        #[test]
        fn no_line_makes_it_panic(line in "[0-9A-F: é]{0,80}") {
            let _ = parse(&line);
        }

        #[test]
        fn no_line_close_to_a_real_one_makes_it_panic(at in 0_usize..90, put in "[0-9A-Z: -]{0,3}", cut in 0_usize..40) {
            let real = table(&[(LOCAL, PEER, ESTABLISHED, 0)]).replace(HEADING, "");
            let line = format!("{}{put}{}", &real[..at], &real[(at + cut).min(real.len())..]);
            prop_assert!(clients(&[line], None) == 0);
        }

        #[test]
        fn as_many_as_there_are_are_counted(clients_of in prop::collection::vec(0_u32..20, 1..5)) {
            let mut text = table(&[]);
            for (at, count) in (0_u16..).zip(&clients_of) {
                let local = format!("020011AC:{:04X}", 8080 + at);
                text += &table(&[(&local, ANY, LISTEN, 0)]);
                (0..*count).for_each(|_| text += &table(&[(&local, PEER, ESTABLISHED, 0)]));
            }
            prop_assert_eq!(clients(&[text], None), clients_of.iter().sum::<u32>());
        }
    }
}
