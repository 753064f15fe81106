//! Secrets all the way into the process: through the shim, and as files.

use std::io::Write as _;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::time::Duration;

use berth::io::app::probe::probe;
use berth::io::docker::{EngineError, Mounted};
use berth::io::secret::deliver::{DeliverError, Delivery};
use berth_config::{HttpProbe, ProbeMethod, SecretsAs, Ulimit};
use berth_core::message::container::ContainerId;
use berth_core::message::error::ErrorClass;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::bench::{Bench, SLEEP, secrets, within, words};

const VALUE: &str = "hunter2\nsecond line = \"x\"";

#[tokio::test]
async fn a_secret_reaches_the_environment_and_no_inspection() {
    let mut bench = Bench::new().await;
    let image = bench.busybox(&["ENTRYPOINT [\"/bin/sh\", \"-c\"]", "CMD [\"env\"]", "ENV PLAIN=image"]).await;
    let creation = bench
        .creation(&image, |config| {
            config.env.insert("DB_PASSWORD".to_owned(), "a plain value that must lose".to_owned());
        })
        .await;
    let secrets = secrets(&[("DB_PASSWORD", VALUE), ("EMPTY", "")]);
    let (exit, output) = bench.run_to_end(&creation, Some(&secrets)).await;
    assert_eq!(exit.code, 0, "{output}");
    assert!(output.contains(&format!("DB_PASSWORD={VALUE}\n")), "{output}");
    assert!(output.contains("\nEMPTY=\n"), "{output}");
    assert!(output.contains("PLAIN=image\n"), "{output}");
    assert!(!output.contains("must lose"), "{output}");
    for line in ["AWS_REGION=us-east-2", "BERTH_VERSION=v1", "BERTH_AZ=us-east-2a"] {
        assert!(output.contains(line), "{line} is not in {output}");
    }
    let name = creation.config.container_name();
    let inspected = serde_json::to_string(&bench.docker.inspect_container(&name, None).await.unwrap()).unwrap();
    assert!(inspected.contains("/.berth/berth"));
    assert!(!inspected.contains("hunter2") && !inspected.contains("second line"), "{inspected}");
}

#[tokio::test]
async fn the_shim_runs_what_the_engine_would_have_run() {
    let mut bench = Bench::new().await;
    let (full, bare) = (["ENTRYPOINT [\"/bin/env\"]", "CMD [\"-i\", \"id\"]"], ["CMD [\"/bin/env\"]"]);
    let images = [bench.busybox(&full).await, bench.busybox(&bare).await];
    let entrypoints = [None, Some(words(&["/bin/sh", "-c"])), Some(words(&[""]))];
    let commands = [None, Some(words(&["/bin/id", "-u"]))];
    for image in &images {
        for entrypoint in &entrypoints {
            for command in &commands {
                let creation = bench
                    .creation(image, |config| {
                        config.entrypoint = entrypoint.clone();
                        config.command = command.clone();
                    })
                    .await;
                let plain = bench.engine.create(&creation, Mounted::Nothing).await;
                if entrypoint == &Some(words(&[""])) && command.is_none() {
                    assert!(matches!(plain, Err(EngineError::NoCommand(_))), "{plain:?}");
                    continue;
                }
                let plain = plain.unwrap();
                let expected = argv(&bench, &plain).await;
                bench.engine.remove(&plain).await.unwrap();
                let shimmed = bench.create(&creation, Some(&secrets(&[]))).await;
                let shown = argv(&bench, &shimmed).await;
                bench.engine.remove(&shimmed).await.unwrap();
                assert_eq!(shown, [words(&["/.berth/berth", "shim"]), expected].concat());
            }
        }
    }
}

/// What the engine will execute.
async fn argv(bench: &Bench, id: &ContainerId) -> Vec<String> {
    let inspected = bench.inspect(id).await;
    inspected.path.into_iter().chain(inspected.args.unwrap()).collect()
}

#[tokio::test]
async fn an_image_of_nothing_but_one_program_gets_its_secrets() {
    let mut bench = Bench::new().await;
    let busybox = std::fs::read("/bin/busybox").unwrap();
    let image = bench
        .image(
            &[],
            &[("busybox", &busybox, 0o755)],
            &["USER 65532:65532", "ENTRYPOINT [\"/busybox\"]", "CMD [\"env\"]"],
        )
        .await;
    let creation = bench.creation(&image, |config| config.read_only = true).await;
    let (exit, output) = bench.run_to_end(&creation, Some(&secrets(&[("TOKEN", "t0ken")]))).await;
    assert_eq!(exit.code, 0, "{output}");
    assert!(output.contains("TOKEN=t0ken\n"), "{output}");
}

#[tokio::test]
async fn the_largest_environment_that_is_fetched_is_one_that_a_process_starts_with() {
    let mut bench = Bench::new().await;
    let image = bench.busybox(&["CMD [\"/bin/sh\", \"-c\", \"echo started\"]"]).await;
    // 15 × 131,072 are the 1,966,080 of adapters/exec_limits.rs, and each is the longest that a variable can be.
    let value = "x".repeat(128 * 1024 - "S00=".len() - 1 - size_of::<usize>());
    let names: Vec<String> = (0..15).map(|number| format!("S{number:02}")).collect();
    let pairs: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), value.as_str())).collect();
    let creation = bench.creation(&image, |_| {}).await;
    let (exit, output) = bench.run_to_end(&creation, Some(&secrets(&pairs))).await;
    assert_eq!((exit.code, output.as_str()), (0, "started\n"));
}

#[tokio::test]
async fn secret_files_can_be_read_by_any_user_and_written_by_none() {
    let mut bench = Bench::new().await;
    let script = "id -u; cat /run/secrets/password; touch /run/secrets/new 2> /dev/null || echo refused";
    let image = bench.busybox(&["USER 1000", &format!("CMD [\"/bin/sh\", \"-c\", \"{script}\"]")]).await;
    let creation = bench
        .creation(&image, |config| {
            config.secrets_as = SecretsAs::Files;
            config.read_only = true;
            config.tmpfs.insert("/run".to_owned(), String::new());
        })
        .await;
    let (exit, output) = bench.run_to_end(&creation, Some(&secrets(&[("password", VALUE)]))).await;
    assert_eq!(exit.code, 0, "{output}");
    assert_eq!(output, format!("1000\n{VALUE}refused\n"));
}

#[tokio::test]
async fn signals_and_exit_codes_pass_through_the_shim() {
    let script = "trap 'exit 42' TERM; echo ready; while :; do sleep 0.05; done";
    for init in [true, false] {
        let mut bench = Bench::new().await;
        let image = bench.busybox(&[]).await;
        let creation = bench
            .creation(&image, |config| {
                config.init = init;
                config.command = Some(words(&["sh", "-c", script]));
            })
            .await;
        let app = bench.run(&creation, Some(&secrets(&[("A", "1")]))).await;
        assert!(app.shim);
        bench.says(&app.id, "ready").await;
        within(bench.engine.stop(&app.id, Duration::from_secs(30))).await.unwrap();
        let exit = within(bench.engine.watch(&app.id)).await.unwrap();
        assert_eq!(exit.code, 42, "init={init}");
    }
}

/// What may be dumped belongs to its user in /proc, all else to root (`proc(5)`).
fn owner(pid: i64) -> u32 {
    std::fs::metadata(format!("/proc/{pid}/environ")).unwrap().uid()
}

/// The soft limit of core files, as /proc/PID/limits has it.
fn core_limit(pid: i64) -> String {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max core file size")).unwrap();
    line.split_whitespace().next().unwrap().to_owned()
}

#[tokio::test]
async fn the_shim_can_not_be_dumped_and_the_app_is_as_it_would_be_without_it() {
    let mut bench = Bench::new().await;
    let image = bench.busybox(&["USER 1000", "CMD [\"sh\", \"-c\", \"echo runs; sleep 600\"]"]).await;
    let creation = bench
        .creation(&image, |config| {
            config.init = false;
            config.ulimits.push(Ulimit { name: "core".to_owned(), soft: 4096, hard: 8192 });
        })
        .await;
    let id = bench.create(&creation, Some(&secrets(&[("A", "1")]))).await;
    let directory = bench.delivery.prepare(&creation.config.container_name(), SecretsAs::Env).unwrap();
    // The shim waits at a pipe in place of the file, with whatever it read so far in its memory.
    let file = directory.join("env");
    mkfifo(&file, Mode::from_bits_truncate(0o666)).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o444)).unwrap();
    bench.engine.start(&id, &[]).await.unwrap();
    let pid = bench.inspect(&id).await.state.unwrap().pid.unwrap();
    let mut options = std::fs::File::options();
    options.write(true).custom_flags(OFlag::O_NONBLOCK.bits());
    let mut pipe = within(async {
        loop {
            // Refused as long as nobody reads.
            if let Ok(pipe) = options.open(&file) {
                return pipe;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert_eq!((owner(pid), core_limit(pid)), (0, "0".to_owned()));

    pipe.write_all(b"A=1\0").unwrap();
    drop(pipe);
    bench.says(&id, "runs").await;
    assert_eq!((owner(pid), core_limit(pid)), (1000, "4096".to_owned()));
}

#[tokio::test]
async fn a_command_of_a_probe_sees_the_secrets() {
    let mut bench = Bench::new().await;
    let image = bench.busybox(&[SLEEP]).await;
    let creation = bench.creation(&image, |_| {}).await;
    let app = bench.run(&creation, Some(&secrets(&[("TOKEN", "t0ken")]))).await;
    let asks = |token: &str| ProbeMethod::Cmd(words(&["sh", "-c", &format!("[ \"$TOKEN\" = {token} ]")]));
    let timeout = Duration::from_secs(30);
    assert_eq!(probe(&bench.engine, &app, &asks("t0ken"), None, &HttpProbe::default(), timeout).await, Ok(()));
    let other = probe(&bench.engine, &app, &asks("other"), None, &HttpProbe::default(), timeout).await.unwrap_err();
    assert_eq!(other.reason, "sh exits with 1");
}

#[tokio::test]
async fn the_shim_says_why_it_cannot_run_the_app() {
    let mut bench = Bench::new().await;
    let image = bench.image(&["sh"], &[("notes", b"no program", 0o644)], &[]).await;
    for (command, code) in [("nope", 127), ("/notes", 126)] {
        let creation = bench.creation(&image, |config| config.command = Some(words(&[command]))).await;
        let (exit, output) = bench.run_to_end(&creation, Some(&secrets(&[("TOKEN", "t0ken")]))).await;
        assert_eq!(exit.code, code, "{output}");
        assert!(output.starts_with(&format!("berth shim: cannot run {command}: ")), "{output}");
        assert!(!output.contains("t0ken"));
    }
    // Started before its secrets are there.
    let creation = bench.creation(&image, |config| config.command = Some(words(&["sh"]))).await;
    let id = bench.create(&creation, Some(&secrets(&[]))).await;
    bench.engine.start(&id, &[]).await.unwrap();
    assert_eq!(within(bench.engine.watch(&id)).await.unwrap().code, 125);
    assert!(bench.output(&id).await.contains("cannot read /.berth/secrets/env"));
}

#[tokio::test]
async fn a_container_whose_secrets_are_gone_does_not_start_on_a_directory_on_disk() {
    let mut bench = Bench::new().await;
    let image = bench.busybox(&["CMD [\"env\"]"]).await;
    let creation = bench.creation(&image, |_| {}).await;
    let id = bench.create(&creation, Some(&secrets(&[("A", "1")]))).await;
    bench.delivery.forget(&creation.config.container_name()).unwrap();
    let error = bench.engine.start(&id, &[]).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Misconfigured, "{error}");
}

#[test]
fn files_are_replaced_in_a_directory_that_stays() {
    let run_dir = tempfile::tempdir_in("/dev/shm").unwrap();
    let delivery = Delivery::new(run_dir.path());
    let directory = delivery.prepare("berth-app", SecretsAs::Files).unwrap();
    let inode = std::fs::metadata(&directory).unwrap().ino();
    delivery.write("berth-app", SecretsAs::Files, &secrets(&[("a", "1"), ("b", "2")])).unwrap();
    delivery.write("berth-app", SecretsAs::Files, &secrets(&[("b", "3")])).unwrap();
    assert_eq!(std::fs::metadata(&directory).unwrap().ino(), inode);
    let names: Vec<_> = std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["b"]);
    assert_eq!(std::fs::read(directory.join("b")).unwrap(), b"3");
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&directory.join("b")), 0o444);
    assert_eq!(mode(&directory), 0o755);
    assert_eq!(mode(&run_dir.path().join("secrets")), 0o700);
    delivery.forget("berth-app").unwrap();
    delivery.forget("berth-app").unwrap();
    assert_eq!(std::fs::read_dir(run_dir.path().join("secrets")).unwrap().count(), 0);
}

#[test]
fn what_is_in_place_is_distinguished_from_anything_else() {
    let run_dir = tempfile::tempdir_in("/dev/shm").unwrap();
    let delivery = Delivery::new(run_dir.path());
    for how in [SecretsAs::Env, SecretsAs::Files] {
        let holds = |values: &[(&str, &str)]| delivery.holds("berth-app", how, &secrets(values)).unwrap();
        assert_eq!(holds(&[("a", "1")]), None);
        let given = [("a", "1"), ("b", "x\ny=z")];
        delivery.write("berth-app", how, &secrets(&given)).unwrap();
        assert_eq!(holds(&given), Some(true));
        for other in [&given[..1], &[("a", "2"), given[1]], &[given[0], given[1], ("c", "")], &[]] {
            assert_eq!(holds(other), Some(false), "{how:?} {other:?}");
        }
    }
    std::fs::write(run_dir.path().join("secrets/berth-app/files/.berth-unfinished"), "cut off").unwrap();
    let given = secrets(&[("a", "1"), ("b", "x\ny=z")]);
    assert_eq!(delivery.holds("berth-app", SecretsAs::Files, &given).unwrap(), Some(true));
}

#[test]
fn no_secret_is_written_to_a_disk() {
    let on_disk = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let delivery = Delivery::new(on_disk.path());
    let error = delivery.write("berth-app", SecretsAs::Env, &secrets(&[("A", "1")])).unwrap_err();
    assert!(matches!(error, DeliverError::OnDisk { .. }), "{error}");
    assert_eq!(error.class(), ErrorClass::Misconfigured);
    assert_eq!(std::fs::read_dir(on_disk.path()).unwrap().count(), 0);
}

#[test]
fn what_cannot_be_delivered_is_named_and_its_value_is_not() {
    let run_dir = tempfile::tempdir_in("/dev/shm").unwrap();
    let delivery = Delivery::new(run_dir.path());
    let cases = [
        (SecretsAs::Env, "A", "nul\0here"),
        (SecretsAs::Env, "A=B", "nul"),
        (SecretsAs::Files, "../escape", "nul"),
        (SecretsAs::Files, "..", "nul"),
    ];
    for (how, name, value) in cases {
        let error = delivery.write("berth-app", how, &secrets(&[(name, value)])).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
        assert!(!error.to_string().contains("here"), "{error}");
    }
    assert_eq!(std::fs::read_dir(run_dir.path()).unwrap().count(), 0);
}
