//! `berth exec` beside a serving agent: the shipped binary and a real engine. The container of the demo app has this machine's programs, read
//! only.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::thread;

use berth_kit::{Agent, World};
use nix::pty::{OpenptyResult, Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::tcgetattr;
use nix::unistd::Pid;
use rustix::termios::tcsetwinsize;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

use crate::commands::{berth, err, out};
use crate::steps::{container, until};
use crate::{BERTH, SOON};

const SECRET: &str = "correct horse battery staple";

/// A serving instance, with a secret and without one.
async fn serving(more: &str) -> (World, Agent) {
    let world = World::start().await;
    world.secrets.put("prod/api", &format!(r#"{{"PASSWORD":"{SECRET}"}}"#));
    world.ami_defaults("drain = { settle = \"100ms\", idle = \"100ms\" }");
    let programs = ["/usr", "/bin", "/lib", "/lib64"].into_iter().filter(|path| std::fs::exists(path).unwrap());
    let programs: Vec<_> = programs.map(|path| format!("{path}:{path}:ro")).collect();
    let image = world.app_image().by_tag();
    world.user_data(&format!("berth image={image} port=0:8080 health=/health volumes={} {more}", programs.join(",")));
    let agent = world.launch(BERTH.as_ref()).await;
    agent.ready_within(SOON).await;
    (world, agent)
}

const WITH_SECRET: &str = "secrets=prod/api";

/// A command that runs, with pipes for its streams.
fn start(world: &World, words: &[&str]) -> Child {
    let mut command = Command::from(world.launcher(BERTH.as_ref()).command());
    command.arg("exec").args(words).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

async fn exec(world: &World, words: &[&str]) -> (Option<i32>, String, String) {
    let ended = berth(world, &[&["exec"], words].concat()).await;
    (ended.status.code(), out(&ended), err(&ended))
}

async fn code(child: &mut Child) -> Option<i32> {
    tokio::time::timeout(SOON, child.wait()).await.expect("it ends").unwrap().code()
}

fn signal(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id().expect("it runs").cast_signed()), signal).unwrap();
}

/// Reads the standard output until it holds this.
async fn read_until(child: &mut Child, text: &str) {
    let mut read = Vec::new();
    let reading = async {
        while !String::from_utf8_lossy(&read).contains(text) {
            if child.stdout.as_mut().unwrap().read_buf(&mut read).await.unwrap() == 0 {
                let mut error = String::new();
                child.stderr.as_mut().unwrap().read_to_string(&mut error).await.unwrap();
                panic!("{:?} instead of {text:?}, {:?}, {error}", String::from_utf8_lossy(&read), child.wait().await);
            }
        }
    };
    tokio::time::timeout(SOON, reading).await.unwrap_or_else(|_| panic!("no {text}"));
}

/// The command lines of the container's processes.
async fn processes(world: &World) -> String {
    let path = format!("/containers/{}/top?ps_args=axww%20-o%20pid,args", world.container());
    world.engine.call("GET", &path, None).await.text()
}

#[tokio::test]
async fn a_command_has_the_secret_environment_and_nothing_shows_a_value() {
    let (world, _agent) = serving(WITH_SECRET).await;
    let hash: String = Sha256::digest(SECRET).iter().map(|byte| format!("{byte:02x}")).collect();
    let hashed = exec(&world, &["--", "sh", "-c", "printf %s \"$PASSWORD\" | sha256sum"]).await;
    assert_eq!(hashed, (Some(0), format!("{hash}  -\n"), String::new()));
    // Any user may read what only this container sees.
    let hashed =
        exec(&world, &["--user", "65534:65534", "--", "sh", "-c", "id -u; printf %s \"$PASSWORD\" | sha256sum"]).await;
    assert_eq!(hashed, (Some(0), format!("65534\n{hash}  -\n"), String::new()));

    let mut child = start(&world, &["-i", "--", "cat"]);
    until("the command runs", async || !container(&world).await["ExecIDs"].is_null()).await;
    let ids = container(&world).await["ExecIDs"].clone();
    let mut shown = vec![processes(&world).await];
    for id in ids.as_array().unwrap() {
        shown.push(world.engine.call("GET", &format!("/exec/{}/json", id.as_str().unwrap()), None).await.text());
    }
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        shown.extend(
            std::fs::read(entry.path().join("cmdline")).map(|line| String::from_utf8_lossy(&line).into_owned()),
        );
    }
    assert!(shown[1].contains("/.berth/berth") && shown[1].contains("cat"), "{}", shown[1]);
    assert!(shown.iter().all(|text| !text.contains(SECRET)));
    drop(child.stdin.take());
    assert_eq!(code(&mut child).await, Some(0));
}

#[tokio::test]
async fn the_exit_code_is_the_command_s() {
    let (world, _agent) = serving(WITH_SECRET).await;
    let (bare, _other) = serving("").await;
    for world in [&world, &bare] {
        for wanted in [0, 1, 42, 255] {
            assert_eq!(exec(world, &["sh", "-c", &format!("exit {wanted}")]).await.0, Some(wanted));
        }
        assert_eq!(exec(world, &["--", "sh", "-c", "kill -9 $$"]).await.0, Some(137));
        let (code, output, error) = exec(world, &["--", "/usr/lib/os-release"]).await;
        assert!(
            code == Some(126) && format!("{output}{error}").contains("ermission denied"),
            "{code:?} {output} {error}"
        );
        let (code, output, error) = exec(world, &["--", "nonsense"]).await;
        let printed = format!("{output}{error}");
        // The shim's 127, or the engine's own: old ones return 126.
        assert!(code == Some(127) || code == Some(126) && printed.contains("OCI"), "{code:?} {printed}");
        assert!(printed.contains("not found") || printed.contains("No such file"), "{printed}");
    }
    // It goes on without its output.
    let late = exec(&world, &["--", "sh", "-c", "exec >&- 2>&-; sleep 1; exit 9"]).await;
    assert_eq!(late.0, Some(9));
    let nobody = exec(&world, &["--user", "nobody-of-that-name", "--", "true"]).await;
    assert_eq!(nobody.0, Some(126), "{nobody:?}");
}

#[tokio::test]
async fn fifty_megabytes_go_in_and_come_out_as_they_were() {
    let (world, _agent) = serving("").await;
    let sent: Vec<u8> =
        (0..50 * 1024 * 1024_u64).map(|at| (at.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8).collect();
    let mut child = start(&world, &["-i", "--", "sh", "-c", "tee /dev/stderr"]);
    let (mut input, mut output, mut errors) =
        (child.stdin.take().unwrap(), child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let (mut one, mut two) = (Vec::new(), Vec::new());
    let both = async {
        tokio::join!(
            async {
                input.write_all(&sent).await.unwrap();
                drop(input);
            },
            async { output.read_to_end(&mut one).await.unwrap() },
            async { errors.read_to_end(&mut two).await.unwrap() },
        )
    };
    tokio::time::timeout(SOON, both).await.expect("all of it");
    assert_eq!(code(&mut child).await, Some(0));
    let hash = Sha256::digest(&sent);
    assert!(Sha256::digest(&one) == hash && Sha256::digest(&two) == hash, "{} and {} bytes", one.len(), two.len());
}

#[tokio::test]
async fn output_that_nobody_reads_is_waited_for_and_costs_no_memory() {
    let (world, _agent) = serving("").await;
    let mut child = start(&world, &["--", "head", "-c", "300M", "/dev/zero"]);
    let mut output = child.stdout.take().unwrap();
    let (mut chunk, mut read, mut peak) = (vec![0; 1 << 20], 0_usize, 0);
    let status = format!("/proc/{}/status", child.id().unwrap());
    let reading = async {
        read += output.read(&mut chunk).await.unwrap();
        // Time enough for a command that is not held back to be through.
        for _ in 0..3 {
            assert_eq!(exec(&world, &["--", "head", "-c", "30M", "/dev/zero"]).await.0, Some(0));
        }
        loop {
            match output.read(&mut chunk).await.unwrap() {
                0 => break,
                length => read += length,
            }
            if let Ok(status) = std::fs::read_to_string(&status) {
                let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0 kB");
                peak = peak.max(line.trim().trim_end_matches(" kB").parse().unwrap());
            }
        }
    };
    tokio::time::timeout(SOON, reading).await.expect("all of it");
    assert_eq!((code(&mut child).await, read), (Some(0), 300 << 20));
    assert!((1..40_000).contains(&peak), "{peak} kB");
}

#[tokio::test]
async fn a_reader_that_goes_away_ends_the_command() {
    let (world, _agent) = serving("").await;
    let mut child = start(&world, &["--", "yes", "for-nobody"]);
    read_until(&mut child, "for-nobody\n").await;
    drop(child.stdout.take());
    assert_eq!(code(&mut child).await, Some(141), "as one that SIGPIPE ended");
    until("the command is gone", async || !processes(&world).await.contains("for-nobody")).await;
}

#[tokio::test]
async fn a_signal_is_the_command_s_and_the_second_one_ends_berth() {
    let (world, _agent) = serving(WITH_SECRET).await;
    let trap = "trap 'echo caught; exit 7' INT; echo started; while :; do sleep 0.1; done";
    let mut child = start(&world, &["--", "sh", "-c", trap]);
    read_until(&mut child, "started\n").await;
    signal(&child, Signal::SIGINT);
    read_until(&mut child, "caught\n").await;
    assert_eq!(code(&mut child).await, Some(7));

    let mut child = start(&world, &["--", "sh", "-c", "echo started; sleep 1001 | sleep 1002"]);
    read_until(&mut child, "started\n").await;
    until("both sleep", async || processes(&world).await.matches("sleep 100").count() >= 3).await;
    signal(&child, Signal::SIGTERM);
    assert_eq!(code(&mut child).await, Some(143));
    until("the whole pipeline is gone", async || !processes(&world).await.contains("sleep 100")).await;

    let mut child = start(&world, &["--", "sh", "-c", "trap '' TERM; echo started; sleep 1003"]);
    read_until(&mut child, "started\n").await;
    until("it sleeps", async || processes(&world).await.contains("\"sleep 1003\"")).await;
    signal(&child, Signal::SIGTERM);
    // The first one has been passed on when the engine was asked for the process.
    tokio::time::timeout(std::time::Duration::from_millis(500), child.wait())
        .await
        .expect_err("it waits for the command");
    signal(&child, Signal::SIGTERM);
    assert_eq!(code(&mut child).await, Some(143));
    assert!(processes(&world).await.contains("sleep 1003"));
}

/// A terminal with `berth exec` in front of it.
struct Terminal {
    master: File,
    slave: OwnedFd,
    shown: Arc<Mutex<Vec<u8>>>,
    child: Child,
    /// Its modes before `berth exec` had it.
    before: String,
}

impl Terminal {
    fn start(world: &World, words: &[&str]) -> Self {
        let size = Winsize { ws_row: 33, ws_col: 101, ws_xpixel: 0, ws_ypixel: 0 };
        let OpenptyResult { master, slave } = openpty(&size, None).unwrap();
        let before = modes(&slave);
        let (master, shown) = (File::from(master), Arc::new(Mutex::new(Vec::new())));
        let (mut screen, seen) = (master.try_clone().unwrap(), Arc::clone(&shown));
        thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(length @ 1..) = screen.read(&mut chunk) {
                seen.lock().unwrap().extend_from_slice(&chunk[..length]);
            }
        });
        let berth = world.launcher(BERTH.as_ref()).command();
        // It becomes berth, in a session whose terminal this is.
        let mut command = Command::new("setsid");
        command.arg("--ctty").arg(berth.get_program()).args(berth.get_args()).arg("exec").args(words);
        command.env_clear().envs(berth.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let stream = || Stdio::from(slave.try_clone().unwrap());
        let child = command.stdin(stream()).stdout(stream()).stderr(stream()).kill_on_drop(true).spawn().unwrap();
        Self { master, slave, shown, child, before }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().unwrap()).into_owned()
    }

    fn key(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    async fn shows(&self, text: &str) {
        until(&format!("{text:?} on the terminal"), async || {
            let shown = self.text();
            shown.contains(text) || {
                assert!(!shown.contains("berth: "), "{shown}");
                false
            }
        })
        .await;
    }

    fn modes(&self) -> String {
        modes(&self.slave)
    }
}

fn modes(terminal: &OwnedFd) -> String {
    format!("{:?}", tcgetattr(terminal).unwrap().local_flags)
}

#[tokio::test]
async fn a_terminal_has_its_size_its_keys_and_its_modes_back() {
    let (world, _agent) = serving(WITH_SECRET).await;
    let mut terminal = Terminal::start(
        &world,
        &[
            "-it",
            "--",
            "sh",
            "-c",
            "trap 'echo inter''rupted' INT; stty -ixon; while [ \"$(stty size)\" != '33 101' ]; do :; done; stty size; read x; stty size; while ! read y; do :; done; echo y=$y; exit 5",
        ],
    );
    terminal.shows("33 101\r\n").await;
    assert_ne!(terminal.modes(), terminal.before, "raw");
    tcsetwinsize(&terminal.slave, rustix::termios::Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 })
        .unwrap();
    // The new size is there when a command in the container says so, and not before.
    let seen = async || {
        let asked = exec(&world, &["--", "sh", "-c", "for t in /dev/pts/[0-9]*; do stty size <$t; done"]).await;
        asked.1.contains("24 80")
    };
    until("the new size", seen).await;
    terminal.key("x\r");
    terminal.shows("24 80\r\n").await;
    terminal.key("\u{3}");
    terminal.shows("interrupted\r\n").await;
    // Neither Docker's keys to detach nor any other are kept.
    terminal.key("\u{10}\u{11}yes\r");
    terminal.shows("y=\u{10}\u{11}yes\r\n").await;
    assert_eq!(code(&mut terminal.child).await, Some(5));
    assert_eq!(terminal.modes(), terminal.before);
}

#[tokio::test]
async fn a_terminal_that_is_closed_ends_the_command() {
    let (world, _agent) = serving("").await;
    for (sent, wanted) in [(Signal::SIGTERM, 143), (Signal::SIGHUP, 129)] {
        let mut terminal = Terminal::start(&world, &["-i", "-t", "--", "sh", "-c", "echo started; sleep 1004"]);
        terminal.shows("started\r\n").await;
        until("it sleeps", async || processes(&world).await.contains("\"sleep 1004\"")).await;
        signal(&terminal.child, sent);
        assert_eq!(code(&mut terminal.child).await, Some(wanted));
        assert_eq!(terminal.modes(), terminal.before);
        until("the command is gone", async || !processes(&world).await.contains("sleep 1004")).await;
    }
}

#[tokio::test]
async fn a_terminal_for_a_pipe_is_an_error() {
    let (world, _agent) = serving("").await;
    let mut child = start(&world, &["-it", "--", "sh"]);
    let mut error = String::new();
    child.stderr.as_mut().unwrap().read_to_string(&mut error).await.unwrap();
    assert_eq!(code(&mut child).await, Some(2), "{error}");
    assert!(error.contains("standard input is not a terminal"), "{error}");
    // One that only shows may be read by another program.
    let (code, shown, error) = exec(&world, &["-t", "--", "tty"]).await;
    assert!(code == Some(0) && shown.starts_with("/dev/pts/"), "{shown} {error}");
}

#[tokio::test]
async fn a_command_ends_with_the_container_and_the_next_one_runs_in_the_next() {
    let (world, agent) = serving("restart.backoff=100ms").await;
    let mut child = start(&world, &["--", "sh", "-c", "echo started; sleep 1005"]);
    read_until(&mut child, "started\n").await;
    let started = container(&world).await["State"]["StartedAt"].clone();
    world.engine.call("POST", &format!("/containers/{}/kill", world.container()), None).await;
    assert_eq!(code(&mut child).await, Some(137));
    until("the next start", async || container(&world).await["State"]["StartedAt"] != started).await;
    agent.ready_within(SOON).await;
    assert_eq!(exec(&world, &["--", "echo", "again"]).await, (Some(0), "again\n".into(), String::new()));
}

#[tokio::test]
async fn the_container_is_the_agent_s_until_the_end_and_without_an_agent_the_one_that_it_left() {
    let (world, agent) = serving("drain.settle=20s").await;
    agent.kill9().await;
    let (code, output, error) = exec(&world, &["--", "echo", "here"]).await;
    assert_eq!((code, output.as_str()), (Some(0), "here\n"), "{error}");
    assert!(error.contains("no berth agent is running") && error.contains("in the container that it left"), "{error}");

    let agent = world.launch(BERTH.as_ref()).await;
    agent.ready_within(SOON).await;
    assert_eq!(berth(&world, &["drain"]).await.status.code(), Some(0));
    agent.phase_within("drain", SOON).await;
    assert_eq!(exec(&world, &["--", "echo", "still"]).await, (Some(0), "still\n".into(), String::new()));
    agent.signal("TERM");
    agent.signal("TERM");
    agent.exit_within(SOON).await;
    let (code, output, error) = exec(&world, &["--", "true"]).await;
    assert_eq!((code, output.as_str()), (Some(1), ""));
    assert!(error.contains("has no running container of this instance"), "{error}");
}

#[tokio::test]
async fn without_a_container_the_reason_is_given() {
    let world = World::start().await;
    let missing = world.app_image().by_tag().replace(":v1", ":v9");
    world.user_data(&format!("berth image={missing} port=0:8080 boot.on_failure=hold"));
    let agent = world.launch(BERTH.as_ref()).await;
    agent.phase_within("hold", SOON).await;
    let (code, _, error) = exec(&world, &["--", "true"]).await;
    assert_eq!(code, Some(1), "{error}");
    assert!(error.starts_with("berth: the app has no container: hold, ") && error.contains(":v9"), "{error}");
}
