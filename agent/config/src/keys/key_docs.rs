//! What each key means, told to people: docs/configuration.md has its tables from here, and `berth check --json` its
//! descriptions. How a value is validated, and its default, is in keys.rs.

use std::fmt::Write;

use crate::keys::{KEYS, Key, KeyDefault};

/// One key in words.
pub(crate) struct Words {
    /// As in the table of keys.
    pub(crate) key: &'static str,
    /// What it means and in which forms, in Markdown.
    pub(crate) about: &'static str,
    /// Values as they stand in the one line; of a table, whole words.
    examples: &'static [&'static str],
}

/// Keys that belong together.
pub(crate) struct Section {
    title: &'static str,
    /// What holds for all of them, in Markdown; may be empty.
    intro: &'static str,
    pub(crate) keys: &'static [Words],
}

const fn words(key: &'static str, about: &'static str, examples: &'static [&'static str]) -> Words {
    Words { key, about, examples }
}

/// Every key there is, in the order of the table of keys.
pub(crate) static SECTIONS: &[Section] = &[
    Section {
        title: "The app",
        intro: "",
        keys: &[
            words(
                "image",
                "what to run, as docker writes it; needs a tag other than `latest`, or a digest, or both (then the \
                 digest counts)",
                &["nginx:1.27", "r.example.com/app@sha256:…"],
            ),
            words("name", "name of the app: container `berth-<name>`, log tag, metrics label", &["web"]),
            words(
                "port",
                "list of `PORT` (the same on both sides), `HOST:CONTAINER`, `ADDRESS:HOST:CONTAINER`, each also with \
                 `/udp`; IPv6 in brackets; host port 0 lets the engine choose",
                &["8080", "127.0.0.1:80:8080", "[::1]:53:53/udp"],
            ),
            words("ports", "the same list as `port`", &["80:8080,443:8443"]),
            words(
                "health",
                "`/path`: HTTP on the first TCP port · `http:PORT/path`, `https:PORT/path`: on this port of the container · `http://…`, `https://…`: an \
                 address on the host, by IP or `localhost` · `tcp`: the first TCP port accepts · `tcp:PORT` · `cmd:…`: a command in the container, split as a shell does, without a shell, 0 \
                 passes · `docker`: the image's HEALTHCHECK · `none`: healthy once it has run for `probe.running_for`",
                &["/health", "'cmd:pg_isready -U app'"],
            ),
            words(
                "probe.interval",
                "between two probes; while the app starts it is asked every 100 ms, sooner at first; at least 100ms",
                &["10s"],
            ),
            words(
                "probe.timeout",
                "for one probe; at least 100ms. A HEALTHCHECK without `--timeout` has 30s, as in Docker",
                &["500ms"],
            ),
            words("probe.healthy", "passes in a row that make it healthy", &["2"]),
            words("probe.unhealthy", "failures in a row that make it unhealthy", &["5"]),
            words(
                "probe.start_timeout",
                "from the start of the container to the first time healthy; with `health=none`, `probe.running_for` is added",
                &["10m"],
            ),
            words(
                "probe.running_for",
                "with `health=none`: how long the app must have run before it counts as healthy; an exit before that counts as a \
                 restart, past `restart.limit` the boot fails, and 126 or 127 at the first start fails it at once; `0s` counts it as healthy once it is started",
                &["30s"],
            ),
            words(
                "probe.host",
                "for HTTP probes: the Host header, and the server name (SNI) over TLS; a name is sent and never looked up",
                &["app.example.com"],
            ),
            words(
                "probe.expect",
                "for HTTP probes: list of statuses and ranges that pass; a redirect is an answer and is not followed",
                &["200,204", "200-399,401"],
            ),
            words(
                "env.NAME",
                "plain environment; `AWS_REGION`, `AWS_DEFAULT_REGION`, `BERTH_VERSION`, `BERTH_INSTANCE_ID`, `BERTH_AZ` \
                 are there unless set here; an `AWS_REGION` set here is the `AWS_DEFAULT_REGION` too",
                &["env.LOG_LEVEL=info"],
            ),
        ],
    },
    Section {
        title: "Secrets and the registry",
        intro: "",
        keys: &[
            words(
                "secret.NAME",
                "one secret, or one key of one, into one name; or a text that holds several, each as `${…}` (`$${` is the text `${`); see below",
                &["secret.DB_PASSWORD=prod/db#password", "secret.DB_URL='postgres://app:${prod/db#password}@db/app'"],
            ),
            words(
                "secrets",
                "list of secrets that are JSON objects; each key becomes a name; a later one wins, `secret.NAME` wins \
                 over all",
                &["prod/api,prod/jwt"],
            ),
            words(
                "secrets_as",
                "`env`: set in the process, not in `docker inspect` and not on disk; `files`: one file each in \
                 `/run/secrets`, on tmpfs",
                &["files"],
            ),
            words(
                "secrets_refresh",
                "how often to look for rotated values, and what a change does: `1h` or `1h,restart` (restart the \
                 app), `1h,signal:HUP` (send it a signal), `off`",
                &["1h,signal:HUP"],
            ),
            words(
                "registry_auth",
                "`auto`: ECR's login if the image's host is ECR, else none · `ecr` · `none` · a secret holding \
                 `{\"username\":…,\"password\":…}`",
                &["prod/registry"],
            ),
        ],
    },
    Section {
        title: "The container",
        intro: "As `docker run` means them. Beyond the defaults below, the engine's restart policy is always off: only berth restarts the app.",
        keys: &[
            words("command", "a command: replaces the image's CMD", &["'serve --port 80'"]),
            words("entrypoint", "a command: replaces the image's ENTRYPOINT and drops its CMD", &["/bin/app"]),
            words("user", "`USER` or `USER:GROUP`, names or numbers", &["1000:1000"]),
            words("workdir", "absolute path", &["/srv"]),
            words(
                "volumes",
                "list of `SOURCE:TARGET`, `SOURCE:TARGET:ro`, `TARGET`; the source is an absolute path or the name of \
                 a volume; a path that is not there is made by the engine, empty: `after` waits for a disk",
                &["data:/var/lib/app,/etc/ssl:/etc/ssl:ro"],
            ),
            words(
                "tmpfs",
                "list of `/PATH` or `/PATH:OPTIONS`; the options may hold commas",
                &["/run,/tmp:size=64m,noexec"],
            ),
            words("read_only", "boolean: the root filesystem is read-only", &["true"]),
            words("memory", "size, at least 6m", &["512m"]),
            words(
                "memory_swap",
                "size of `memory` and swap together, not less than `memory`; the same size is no swap, `-1` no limit",
                &["-1"],
            ),
            words("cpus", "number, at least 0.01", &["0.5"]),
            words("pids_limit", "most processes and threads; `-1` is no limit", &["512"]),
            words("ulimits", "list of `NAME=SOFT` or `NAME=SOFT:HARD`; -1 is no limit", &["nofile=65536,core=0"]),
            words("cap_add", "list of capabilities", &["NET_ADMIN"]),
            words("cap_drop", "list of capabilities", &["ALL"]),
            words("group_add", "list of further groups of the app's user, names or numbers", &["audio,2000"]),
            words(
                "security_opt",
                "list of `no-new-privileges=true` or `false`, `apparmor=PROFILE`, `seccomp=FILE` (an absolute path on the host, JSON), \
                 `seccomp=unconfined`, `label=disable`, `label=type:TYPE` and its kind, `systempaths=unconfined`, `writable-cgroups=true`",
                &["seccomp=unconfined,label=disable"],
            ),
            words(
                "sysctls",
                "list of `NAME=VALUE`: `net.*`, `fs.mqueue.*`, `kernel.msg*`, `kernel.sem`, `kernel.shm*`",
                &["net.core.somaxconn=4096"],
            ),
            words("devices", "list of `HOST`, `HOST:CONTAINER`, `HOST:CONTAINER:rwm`", &["/dev/fuse"]),
            words("gpus", "`all`, a number, or `device=ID,ID`", &["all"]),
            words(
                "network",
                "`bridge`, `host`, `none`, `container:NAME` or a network's name; with `host`, a port is the same on \
                 both sides",
                &["host"],
            ),
            words("hostname", "host name", &["web-1"]),
            words("extra_hosts", "list of `NAME:ADDRESS`; `host-gateway` is the host", &["db:10.0.0.5"]),
            words("dns", "list of name servers, by IP", &["169.254.169.253"]),
            words("dns_search", "list of domains; `.` is none", &["ec2.internal"]),
            words(
                "ipc",
                "`none`, `private`, `shareable`, `host`, or `container:NAME`: whose shared memory and message queues",
                &["host"],
            ),
            words("pid", "`host` or `container:NAME`: whose processes the app sees", &["host"]),
            words("shm_size", "size of `/dev/shm`", &["1g"]),
            words(
                "labels",
                "list of `NAME=VALUE` (in TOML and JSON a list too, not a table); names that begin with `berth` are \
                 berth's own",
                &["team=web,tier=front"],
            ),
            words(
                "platform",
                "`linux/ARCH` or `linux/ARCH/VARIANT`: which image of a multi-platform one; another than the machine's needs \
                 emulation (binfmt_misc)",
                &["linux/amd64"],
            ),
            words("runtime", "one of the engine's runtimes (`docker info` lists them)", &["runc"]),
            words("init", "boolean: the engine's init as process 1", &["false"]),
            words("privileged", "boolean", &["true"]),
            words("stop_signal", "name or number", &["SIGQUIT"]),
            words(
                "log_driver",
                "one of the engine's log drivers; `awslogs` needs `log_opt.awslogs-group`; `engine`: whichever the engine has by default, with \
                 its own options",
                &["awslogs", "engine"],
            ),
            words(
                "log_opt.NAME",
                "an option of the log driver; one of another driver is an error",
                &["log_opt.max-size=50m"],
            ),
            words(
                "imds",
                "`allow` or `block`: keep the container from the instance metadata, and so from the instance role; not with `network=host` or `container:NAME`; see below",
                &["block"],
            ),
        ],
    },
    Section {
        title: "The instance's life",
        intro: "",
        keys: &[
            words("listen", "address and port of the readiness endpoint", &["[::]:9911"]),
            words(
                "after",
                "list of paths on the host that must be there before the container is created, within `boot.timeout`; a path on a mount \
                 point that `/etc/fstab` or a mount unit names is there once that is mounted; see below",
                &["/mnt/data"],
            ),
            words("boot.timeout", "give up booting after this; at least 1s", &["20m"]),
            words(
                "boot.on_failure",
                "`abandon`: complete the launch hook with ABANDON, without a hook mark the instance unhealthy · \
                 `hold`: keep the instance for debugging, not ready",
                &["hold"],
            ),
            words("restart.backoff", "wait before the first restart of an app that exited; doubles", &["500ms"]),
            words("restart.backoff_max", "the longest wait", &["5m"]),
            words(
                "restart.limit",
                "restarts within the window; with one more the boot fails, or the instance that serves is marked unhealthy; 0 allows none",
                &["10"],
            ),
            words("restart.window", "the window", &["1h"]),
            words("drain.settle", "keep serving this long after readiness turned 503", &["35s"]),
            words("drain.timeout", "wait at most this long for connections to end", &["15m"]),
            words("drain.idle", "no connection for this long counts as ended", &["5s"]),
            words(
                "drain.on_failure",
                "how a drain that was cut short completes the termination hook: `continue` · `abandon`: with ABANDON, so \
                 that a group with the retention trigger `TerminateHookAbandon=retain` keeps the instance",
                &["abandon"],
            ),
            words("stop_timeout", "duration from the stop signal to SIGKILL", &["2m"]),
            words("lifecycle.poll", "how often the group's target state is looked at; at least 100ms", &["5s"]),
            words("lifecycle.group", "the Auto Scaling group", &["web"]),
            words("lifecycle.launch_hook", "the launch hook", &["launching"]),
            words("lifecycle.terminate_hook", "the termination hook", &["terminating"]),
            words("lifecycle.heartbeat", "between two heartbeats, 1s to 2h", &["30s"]),
            words("spot", "on a spot interruption: `drain` or `ignore`", &["ignore"]),
            words("rebalance", "on a rebalance recommendation: `drain` or `ignore`", &["drain"]),
            words("maintenance", "on a scheduled event: `drain` or `ignore`", &["drain"]),
            words(
                "config",
                "where more keys are: `ssm:NAME` or `secretsmanager:NAME`; must hold a config in one of the forms and \
                 cannot point on",
                &["ssm:/prod/berth"],
            ),
        ],
    },
    Section {
        title: "The way to AWS",
        intro: "How the agent itself reaches AWS, the fetch of what `config=` points to included. A key wins over the environment variable of the \
                agent; see [proxies and private CAs](operations.md#proxies-and-private-cas). The engine and the app have settings of their own.",
        keys: &[
            words(
                "https_proxy",
                "URL of the proxy for `https://` endpoints: `http://HOST:PORT` or `https://HOST:PORT`, with `USER:PASSWORD@` before the host where it \
                 asks for them, percent-encoded; the instance metadata and loopback are never proxied",
                &["http://proxy.example.com:3128"],
            ),
            words(
                "no_proxy",
                "list of what is reached directly: a name and all below it, an IP address, a network, or `*` for everything; empty drops the \
                 environment's list",
                &[".us-east-2.amazonaws.com,10.0.0.0/8"],
            ),
            words(
                "ca_bundle",
                "path of a PEM file on the host, whose certificates are trusted for AWS instead of the host's",
                &["/etc/ssl/certs/corp.pem"],
            ),
            words("aws.fips", "boolean: AWS's FIPS endpoints", &["true"]),
            words("aws.dual_stack", "boolean: AWS's dual-stack endpoints, which have IPv6 too", &["true"]),
        ],
    },
];

/// What the key means; empty for none that is known.
pub(crate) fn about(key: &str) -> &'static str {
    let mut all = SECTIONS.iter().flat_map(|section| section.keys);
    all.find(|words| words.key == key).map_or("", |words| words.about)
}

/// One key, as the documentation shows it.
#[derive(Clone, Debug)]
pub struct KeyDoc {
    /// Its name; `env.NAME` stands for every name.
    pub key: &'static str,
    /// What it means and in which forms, in Markdown.
    pub about: &'static str,
    /// The default, in Markdown.
    pub default: String,
    /// Values as they stand in the one line; of a table, whole words.
    pub examples: &'static [&'static str],
}

/// Keys that belong together, as the documentation shows them.
#[derive(Clone, Debug)]
pub struct KeySection {
    /// The heading.
    pub title: &'static str,
    /// What holds for all of them, in Markdown; may be empty.
    pub intro: &'static str,
    /// The keys, in the order of the table of keys.
    pub keys: Vec<KeyDoc>,
}

/// Every key there is, by section.
pub fn key_sections() -> Vec<KeySection> {
    let doc = |words: &Words| {
        let default = match KEYS.iter().find(|known| known.name == words.key).map(|known| &known.default) {
            Some(KeyDefault::Value(text)) => format!("`{text}`"),
            Some(KeyDefault::Words(text)) => (*text).to_owned(),
            None => String::new(),
        };
        KeyDoc { key: words.key, about: words.about, default, examples: words.examples }
    };
    let section = |section: &Section| KeySection {
        title: section.title,
        intro: section.intro,
        keys: section.keys.iter().map(doc).collect(),
    };
    SECTIONS.iter().map(section).collect()
}

/// What a key takes, with an example: for whoever wrote something else. None for a key that is not known.
pub(crate) fn help(key: &str) -> Option<String> {
    let Words { key: name, about, .. } = of(key)?;
    let example = example(key).map(|example| format!("; for example `{example}`"));
    Some(format!("`{name}`: {about}{}", example.unwrap_or_default()))
}

/// A key with a value, as it is written in the one line.
pub(crate) fn example(key: &str) -> Option<String> {
    let Words { key, examples, .. } = of(key)?;
    let example = examples.iter().find(|example| !example.contains('…'))?;
    Some(if key.ends_with(".NAME") { (*example).to_owned() } else { format!("{key}={example}") })
}

fn of(key: &str) -> Option<&'static Words> {
    let (known, _) = Key::find(key)?;
    SECTIONS.iter().flat_map(|section| section.keys).find(|words| words.key == known.name)
}

/// The tables of keys in Markdown, a section each: what docs/configuration.md holds.
pub fn key_tables() -> String {
    let mut text = String::new();
    for KeySection { title, intro, keys } in key_sections() {
        let gap = if intro.is_empty() { "" } else { "\n\n" };
        // Writing to a String cannot fail.
        let _ = write!(text, "\n### {title}\n\n{intro}{gap}");
        text.push_str("| key | meaning and forms | default | example |\n|---|---|---|---|\n");
        for KeyDoc { key, about, default, examples } in keys {
            let examples: Vec<_> = examples.iter().map(|example| format!("`{example}`")).collect();
            let _ = writeln!(text, "| `{key}` | {about} | {default} | {} |", examples.join(", "));
        }
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use std::fs;

    use expect_test::expect_file;

    use super::*;
    use crate::parse::layers::Layers;

    const BEGIN: &str = "<!-- the tables are made from agent/config/src/keys/key_docs.rs: UPDATE_EXPECT=1 cargo test -p berth-config key_docs -->\n";
    const END: &str = "<!-- end of the tables -->\n";

    #[test]
    fn the_keys_in_words_are_the_keys_of_the_table() {
        let told: Vec<_> = SECTIONS.iter().flat_map(|section| section.keys).map(|words| words.key).collect();
        let known: Vec<_> = KEYS.iter().map(|key| key.name).collect();
        assert_eq!(told, known);
    }

    #[test]
    fn every_example_is_believed() {
        for words in SECTIONS.iter().flat_map(|section| section.keys) {
            assert!(!words.examples.is_empty(), "{} has no example", words.key);
            for example in words.examples.iter().filter(|example| !example.contains('…')) {
                let written = match words.key.ends_with(".NAME") {
                    true => (*example).to_owned(),
                    false => format!("{}={example}", words.key),
                };
                // What some of them need beside them; said first, so that the example wins.
                let needed = match *example {
                    "awslogs" => "log_opt.awslogs-group = 'g'",
                    _ => "",
                };
                let mut layers = Layers::new();
                layers.add_file("needed", format!("image = 'x:1'\nport = 80\n{needed}").as_bytes());
                layers.add_user_data(format!("berth {written}").as_bytes());
                assert_eq!(layers.resolve().err().map(|errors| errors.to_string()), None, "{written}");
            }
        }
    }

    #[test]
    fn the_documentation_has_these_tables() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
        #[expect(clippy::disallowed_methods, reason = "the page is made from this table")]
        let page = fs::read_to_string(path).unwrap();
        let (before, rest) = page.split_once(BEGIN).unwrap();
        let (_, after) = rest.split_once(END).unwrap();
        expect_file![path].assert_eq(&format!("{before}{BEGIN}{}{END}{after}", key_tables()));
    }
}
