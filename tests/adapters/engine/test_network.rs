//! Two addresses that a container's packets are forwarded to: a network namespace behind a pair of virtual interfaces, with a
//! server in it.

use std::process::{Child, Command, Stdio};

use berth_core::message::container::ContainerId;
use berth_kit::needs;

/// The namespace and what leads there; gone when it is dropped.
pub(super) struct TestNetwork {
    namespace: String,
    link: String,
    /// Another namespace that leads there; none if this one does.
    pub(super) instance: Option<String>,
    server: Option<Child>,
    /// Where the instance's metadata is meant to be.
    pub(super) metadata: String,
    /// Somebody else.
    pub(super) other: String,
    /// The same on IPv6.
    pub(super) metadata6: String,
    /// Somebody else on IPv6.
    pub(super) other6: String,
    /// A subnet for containers that nobody else has.
    pub(super) network6: String,
}

impl TestNetwork {
    /// None where a test is to be left out because it may not make one.
    pub(super) fn open() -> Option<Self> {
        Self::make(false)
    }

    /// One that is led to from a namespace in which an engine can be.
    pub(super) fn open_beside_an_engine() -> Option<Self> {
        Self::make(true)
    }

    fn make(beside_an_engine: bool) -> Option<Self> {
        if !needs::root("sets iptables rules and makes network namespaces") {
            return None;
        }
        // 198.18.0.0/15 is for tests between networks (RFC 2544): nobody is there.
        let (a, b, c) = (fastrand::u8(18..20), fastrand::u8(..), fastrand::u8(..) & 0xf8);
        let (six, mark) = (fastrand::u32(..), fastrand::u32(..));
        let v4 = |host: u8| format!("198.{a}.{b}.{}", c + host);
        let v6 = |net: u8, host: &str| format!("fd00:be47:{:x}:{:x}{net:x}::{host}", six >> 16, (six & 0xfff));
        let net = Self {
            namespace: format!("berth-{mark:x}"),
            link: format!("bs{mark:x}"),
            instance: beside_an_engine.then(|| format!("berth-{mark:x}-own")),
            server: None,
            metadata: v4(2),
            other: v4(3),
            metadata6: v6(0, "2"),
            other6: v6(0, "3"),
            network6: format!("{}/64", v6(1, "")),
        };
        Some(net.build(&v4(1), &v6(0, "1")))
    }

    fn build(mut self, host: &str, host6: &str) -> Self {
        let (namespace, link) = (self.namespace.clone(), self.link.clone());
        sh(&format!("ip netns add {namespace}"));
        let here = self.instance.as_ref().map(|name| format!("-n {name}")).unwrap_or_default();
        if let Some(name) = &self.instance {
            sh(&format!("ip netns add {name} && ip {here} link set lo up"));
        }
        sh(&format!("ip {here} link add {link} type veth peer name eth0 netns {namespace}"));
        let ends = [
            (&here, &link, vec![(host, 29), (host6, 64)]),
            (
                &format!("-n {namespace}"),
                &"eth0".to_owned(),
                vec![(&*self.metadata, 29), (&*self.other, 29), (&*self.metadata6, 64), (&*self.other6, 64)],
            ),
        ];
        for (at, link, addresses) in ends {
            for (address, prefix) in addresses {
                let nodad = if address.contains(':') { "nodad" } else { "" };
                sh(&format!("ip {at} addr add {address}/{prefix} dev {link} {nodad}"));
            }
            sh(&format!("ip {at} link set {link} up"));
        }
        sh(&format!("ip -n {namespace} route add default via {host}"));
        sh(&format!("ip -n {namespace} -6 route add default via {host6}"));
        let mut server = Command::new("ip");
        server.args(["netns", "exec", &namespace, "busybox", "httpd", "-f", "-p", "80", "-h", "/mnt"]);
        self.server = Some(server.stdin(Stdio::null()).spawn().expect("a server"));
        let from = self.instance.as_ref().map(|name| format!("ip netns exec {name}")).unwrap_or_default();
        let asks = format!("{from} busybox nc -w 3 {} 80 < /dev/null 2> /dev/null", self.metadata);
        sh(&format!("timeout 60 sh -c 'until {asks}; do :; done'"));
        self
    }
}

impl Drop for TestNetwork {
    fn drop(&mut self) {
        if let Some(server) = &mut self.server {
            let _ = server.kill();
            let _ = server.wait();
        }
        // Freed at once, unlike with the namespace.
        let here = self.instance.as_ref().map(|name| format!("-n {name}")).unwrap_or_default();
        let mut lines = vec![format!("ip {here} link del {}", self.link), format!("ip netns del {}", self.namespace)];
        lines.extend(self.instance.as_ref().map(|name| format!("ip netns del {name}")));
        for line in lines {
            let _ = Command::new("sh").args(["-c", &line]).status();
        }
    }
}

/// The rules that bear this container's id, as `iptables -S` and `ip6tables -S` list them.
pub(super) fn rules(id: &ContainerId) -> Vec<String> {
    let listed = ["iptables", "ip6tables"].map(|command| sh(&format!("{command} -w 5 -t raw -S PREROUTING")));
    let rules = listed.iter().flat_map(|listed| listed.lines()).filter_map(|line| line.strip_prefix("-A "));
    rules.filter(|rule| rule.contains(&id.0)).map(str::to_owned).collect()
}

/// Deletes this one.
pub(super) fn delete(rule: &str) {
    sh(&format!("iptables -w 5 -t raw -D {rule} 2> /dev/null || ip6tables -w 5 -t raw -D {rule}"));
}

/// Runs a line, which must succeed: what it printed.
pub(super) fn sh(line: &str) -> String {
    let ran = Command::new("sh").args(["-c", line]).output().expect("a shell");
    assert!(ran.status.success(), "{line}: {}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8_lossy(&ran.stdout).into_owned()
}
