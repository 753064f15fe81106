//! Every key of the config that makes a container, as the engine then shows it.

use std::collections::BTreeMap;
use std::time::Duration;

use berth_config::{Config, Device, Gpus, Port, Protocol, Ulimit, Volume};
use serde_json::{Value, json};

use super::bench::{Bench, unique, words};

/// A key, how it is set, and where the inspection shows it how.
type Row = (&'static str, fn(&mut Config), &'static str, Value);

fn port(host: u16, container: u16, protocol: Protocol, host_ip: Option<&str>) -> Port {
    Port { host_ip: host_ip.map(|address| address.parse().unwrap()), host, container, protocol }
}

#[tokio::test]
async fn every_key_means_what_docker_run_means() {
    let rows: Vec<Row> = vec![
        ("nothing: entrypoint", |_| {}, "/Config/Entrypoint", json!(["/bin/sh"])),
        ("nothing: command", |_| {}, "/Config/Cmd", json!(["-c", "env"])),
        ("nothing: no-new-privileges", |_| {}, "/HostConfig/SecurityOpt", json!(["no-new-privileges:true"])),
        ("nothing: restart policy", |_| {}, "/HostConfig/RestartPolicy/Name", json!("no")),
        ("nothing: init", |_| {}, "/HostConfig/Init", json!(true)),
        ("nothing: network", |_| {}, "/HostConfig/NetworkMode", json!("default")),
        ("command", |c| c.command = Some(words(&["x", "y"])), "/Config/Cmd", json!(["x", "y"])),
        ("command keeps entrypoint", |c| c.command = Some(words(&["x"])), "/Config/Entrypoint", json!(["/bin/sh"])),
        (
            "entrypoint",
            |c| c.entrypoint = Some(words(&["/bin/env", "-i"])),
            "/Config/Entrypoint",
            json!(["/bin/env", "-i"]),
        ),
        ("entrypoint drops the command", |c| c.entrypoint = Some(words(&["/bin/env"])), "/Config/Cmd", Value::Null),
        (
            "empty entrypoint",
            |c| {
                c.entrypoint = Some(words(&[""]));
                c.command = Some(words(&["env"]));
            },
            "/Path",
            json!("env"),
        ),
        ("user", |c| c.user = Some("1000:1000".to_owned()), "/Config/User", json!("1000:1000")),
        ("workdir", |c| c.workdir = Some("/work".to_owned()), "/Config/WorkingDir", json!("/work")),
        (
            "volumes: bind",
            |c| c.volumes = vec![volume(Some("/dev/shm"), "/data", true)],
            "/HostConfig/Binds",
            json!(["/dev/shm:/data:ro"]),
        ),
        (
            "volumes: anonymous",
            |c| c.volumes = vec![volume(None, "/data", false)],
            "/Mounts/0/Destination",
            json!("/data"),
        ),
        (
            "tmpfs",
            |c| {
                c.tmpfs.insert("/tmp".to_owned(), "size=1m".to_owned());
            },
            "/HostConfig/Tmpfs",
            json!({"/tmp": "size=1m"}),
        ),
        ("read_only", |c| c.read_only = true, "/HostConfig/ReadonlyRootfs", json!(true)),
        ("memory", |c| c.memory = Some(64 << 20), "/HostConfig/Memory", json!(64 << 20)),
        (
            "memory_swap",
            |c| {
                c.memory = Some(64 << 20);
                c.memory_swap = Some(-1);
            },
            "/HostConfig/MemorySwap",
            json!(-1),
        ),
        ("pids_limit", |c| c.pids_limit = Some(99), "/HostConfig/PidsLimit", json!(99)),
        ("oom_score_adj", |c| c.oom_score_adj = Some(-500), "/HostConfig/OomScoreAdj", json!(-500)),
        ("cpus", |c| c.cpus = Some(500_000_000), "/HostConfig/NanoCpus", json!(500_000_000)),
        (
            "ulimits",
            |c| c.ulimits = vec![Ulimit { name: "nofile".to_owned(), soft: 1024, hard: 2048 }],
            "/HostConfig/Ulimits",
            json!([{"Name": "nofile", "Soft": 1024, "Hard": 2048}]),
        ),
        ("cap_add", |c| c.cap_add = words(&["CAP_NET_ADMIN"]), "/HostConfig/CapAdd", json!(["CAP_NET_ADMIN"])),
        ("cap_drop", |c| c.cap_drop = words(&["ALL"]), "/HostConfig/CapDrop", json!(["ALL"])),
        ("group_add", |c| c.group_add = words(&["audio", "99"]), "/HostConfig/GroupAdd", json!(["audio", "99"])),
        (
            "security_opt beside the default",
            |c| c.security_opt = words(&["label=disable", "apparmor=unconfined"]),
            "/HostConfig/SecurityOpt",
            json!(["no-new-privileges:true", "label=disable", "apparmor=unconfined"]),
        ),
        (
            "security_opt in place of the default",
            |c| c.security_opt = words(&["no-new-privileges=false"]),
            "/HostConfig/SecurityOpt",
            json!(["no-new-privileges=false"]),
        ),
        (
            "security_opt: the paths are no option of the engine",
            |c| c.security_opt = words(&["systempaths=unconfined"]),
            "/HostConfig/SecurityOpt",
            json!(["no-new-privileges:true"]),
        ),
        (
            "security_opt: hidden paths",
            |c| c.security_opt = words(&["systempaths=unconfined"]),
            "/HostConfig/MaskedPaths",
            json!([]),
        ),
        (
            "security_opt: read-only paths",
            |c| c.security_opt = words(&["systempaths=unconfined"]),
            "/HostConfig/ReadonlyPaths",
            json!([]),
        ),
        (
            "sysctls",
            |c| c.sysctls = BTreeMap::from([("net.core.somaxconn".to_owned(), "4096".to_owned())]),
            "/HostConfig/Sysctls",
            json!({"net.core.somaxconn": "4096"}),
        ),
        ("dns", |c| c.dns = vec!["10.0.0.2".parse().unwrap()], "/HostConfig/Dns", json!(["10.0.0.2"])),
        ("dns_search", |c| c.dns_search = words(&["a.test"]), "/HostConfig/DnsSearch", json!(["a.test"])),
        ("ipc", |c| c.ipc = Some("shareable".to_owned()), "/HostConfig/IpcMode", json!("shareable")),
        ("pid", |c| c.pid = Some("host".to_owned()), "/HostConfig/PidMode", json!("host")),
        ("runtime", |c| c.runtime = Some("runc".to_owned()), "/HostConfig/Runtime", json!("runc")),
        (
            "devices",
            |c| {
                c.devices = vec![Device {
                    host: "/dev/null".to_owned(),
                    container: "/dev/nil".to_owned(),
                    permissions: "rw".to_owned(),
                }]
            },
            "/HostConfig/Devices",
            json!([{"PathOnHost": "/dev/null", "PathInContainer": "/dev/nil", "CgroupPermissions": "rw"}]),
        ),
        ("gpus: all", |c| c.gpus = Some(Gpus::All), "/HostConfig/DeviceRequests/0/Count", json!(-1)),
        ("gpus: number", |c| c.gpus = Some(Gpus::Count(2)), "/HostConfig/DeviceRequests/0/Count", json!(2)),
        (
            "gpus: capability",
            |c| c.gpus = Some(Gpus::All),
            "/HostConfig/DeviceRequests/0/Capabilities",
            json!([["gpu"]]),
        ),
        (
            "gpus: devices",
            |c| c.gpus = Some(Gpus::Devices(words(&["0", "1"]))),
            "/HostConfig/DeviceRequests/0/DeviceIDs",
            json!(["0", "1"]),
        ),
        ("network", |c| c.network = Some("host".to_owned()), "/HostConfig/NetworkMode", json!("host")),
        ("hostname", |c| c.hostname = Some("api-1".to_owned()), "/Config/Hostname", json!("api-1")),
        ("extra_hosts", |c| c.extra_hosts = words(&["db:10.0.0.1"]), "/HostConfig/ExtraHosts", json!(["db:10.0.0.1"])),
        ("shm_size", |c| c.shm_size = Some(1 << 20), "/HostConfig/ShmSize", json!(1 << 20)),
        (
            "labels",
            |c| {
                c.labels.insert("team".to_owned(), "blue".to_owned());
            },
            "/Config/Labels/team",
            json!("blue"),
        ),
        (
            "labels cannot take berth's",
            |c| {
                c.labels.insert("berth.instance".to_owned(), "i-other".to_owned());
            },
            "/Config/Labels/berth.instance",
            json!(super::bench::identity().instance_id),
        ),
        ("init", |c| c.init = false, "/HostConfig/Init", json!(false)),
        ("privileged", |c| c.privileged = true, "/HostConfig/Privileged", json!(true)),
        ("privileged may gain privileges", |c| c.privileged = true, "/HostConfig/SecurityOpt/1", Value::Null),
        ("stop_signal", |c| c.stop_signal = Some("SIGQUIT".to_owned()), "/Config/StopSignal", json!("SIGQUIT")),
        ("stop_timeout", |c| c.stop_timeout = Duration::from_millis(1500), "/Config/StopTimeout", json!(2)),
        ("log_driver", |c| c.log_driver = "local".to_owned(), "/HostConfig/LogConfig/Type", json!("local")),
        (
            "log_opt",
            |c| {
                c.log_opt = BTreeMap::from([("max-size".to_owned(), "7m".to_owned())]);
            },
            "/HostConfig/LogConfig/Config",
            json!({"max-size": "7m"}),
        ),
        (
            "port",
            |c| c.ports = vec![port(80, 8080, Protocol::Tcp, None)],
            "/HostConfig/PortBindings",
            json!({"8080/tcp": [{"HostIp": "", "HostPort": "80"}]}),
        ),
        (
            "ports: every one",
            |c| {
                c.ports = vec![
                    port(80, 8080, Protocol::Tcp, Some("127.0.0.1")),
                    port(81, 8080, Protocol::Tcp, None),
                    port(0, 53, Protocol::Udp, None),
                ]
            },
            "/HostConfig/PortBindings",
            json!({"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": "80"}, {"HostIp": "", "HostPort": "81"}], "53/udp": [{"HostIp": "", "HostPort": "0"}]}),
        ),
        (
            "ports: exposed",
            |c| c.ports = vec![port(0, 53, Protocol::Udp, None)],
            "/Config/ExposedPorts",
            json!({"53/udp": {}}),
        ),
        (
            "env",
            |c| {
                c.env.insert("LEVEL".to_owned(), "a=b c".to_owned());
            },
            "/Config/Env/5",
            json!("LEVEL=a=b c"),
        ),
        (
            "env wins over berth's own",
            |c| {
                c.env.insert("AWS_REGION".to_owned(), "eu-west-1".to_owned());
            },
            "/Config/Env/1",
            json!("AWS_REGION=eu-west-1"),
        ),
        ("env: the region under its other name", |_| {}, "/Config/Env/0", json!("AWS_DEFAULT_REGION=us-east-2")),
        (
            "env: the other name follows",
            |c| {
                c.env.insert("AWS_REGION".to_owned(), "eu-west-1".to_owned());
            },
            "/Config/Env/0",
            json!("AWS_DEFAULT_REGION=eu-west-1"),
        ),
        (
            "env: the other name wins over berth's own",
            |c| {
                c.env.insert("AWS_DEFAULT_REGION".to_owned(), "eu-west-1".to_owned());
            },
            "/Config/Env/0",
            json!("AWS_DEFAULT_REGION=eu-west-1"),
        ),
    ];
    let mut bench = Bench::new().await;
    let image = bench.busybox(&["ENTRYPOINT [\"/bin/sh\"]", "CMD [\"-c\", \"env\"]"]).await;
    let mut wrong = Vec::new();
    for (key, edit, pointer, expected) in rows {
        let creation = bench.creation(&image, edit).await;
        let id = bench.create(&creation, None).await;
        let inspected = serde_json::to_value(bench.inspect(&id).await).unwrap();
        let shown = inspected.pointer(pointer).cloned().unwrap_or_default();
        // From API 1.48 on the engine shows which network the default one is.
        let is_default = expected == "default" && shown == "bridge";
        if shown != expected && !is_default {
            wrong.push(format!("{key}: {pointer} is {shown}, not {expected}"));
        }
        bench.engine.remove(&id).await.unwrap();
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_volume_by_name_is_one_of_the_engine_s() {
    let mut bench = Bench::new().await;
    let name = unique("berth-adapters-volume");
    bench.and_remove(format!("DELETE /volumes/{name}"));
    let image = bench.busybox(&["CMD [\"sh\", \"-c\", \"touch /data/x && cat /data/x\"]"]).await;
    let creation = bench.creation(&image, |config| config.volumes = vec![volume(Some(&name), "/data", false)]).await;
    let (exit, output) = bench.run_to_end(&creation, None).await;
    assert_eq!(exit.code, 0, "{output}");
    assert!(bench.docker.inspect_volume(&name).await.is_ok());
}

fn volume(source: Option<&str>, target: &str, read_only: bool) -> Volume {
    Volume { source: source.map(str::to_owned), target: target.to_owned(), read_only }
}
