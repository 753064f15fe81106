//! The life of a container, and what the engine says when it cannot be.

use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::time::Duration;

use berth::io::docker::{Engine, EngineError, Mounted};
use berth_config::{Config, Device, Port, Protocol, Volume};
use berth_core::message::container::Exit;
use berth_core::message::container::{Address, ContainerId, RunningContainer};
use berth_core::message::error::ErrorClass;
use bollard::models::ContainerCreateBody;
use bollard::query_parameters::CreateContainerOptions;

use super::bench::{Bench, SLEEP, identity, unique, within, words};

/// A change to a config, the class of its error, and words of the engine in it.
type Case<'a> = (&'a dyn Fn(&mut Config), ErrorClass, &'a str);

fn publish(host: u16) -> Vec<Port> {
    vec![Port { host_ip: Some(Ipv4Addr::LOCALHOST.into()), host, container: 8080, protocol: Protocol::Tcp }]
}

#[tokio::test]
async fn a_running_container_is_found_with_all_that_adopting_it_takes() {
    let mut bench = Bench::new().await;
    let image = bench.busybox(&[SLEEP, "HEALTHCHECK CMD test -f /well"]).await;
    let creation = bench.creation(&image, |config| config.ports = publish(0)).await;
    let name = creation.config.container_name();
    let started = bench.run(&creation, None).await;
    assert!(matches!(started.address, Address::At(IpAddr::V4(address)) if address.is_private()), "{}", started.address);
    assert!(matches!(started.published[..], [(8080, host)] if host.port() > 0 && host.ip().is_loopback()));
    assert_eq!(
        started.healthcheck.as_ref().map(|own| own.command.clone()),
        Some(words(&["/bin/sh", "-c", "test -f /well"]))
    );
    assert!(!started.shim);

    let found = bench.engine.find_containers("berth-nothing", &identity().instance_id).await.unwrap();
    let found: Vec<_> = found.into_iter().filter(|container| container.name == name).collect();
    assert_eq!(found.len(), 1);
    let running = found[0].running.clone().unwrap();
    assert!(
        running.running_for > started.running_for && running.running_for < Duration::from_secs(60),
        "{:?}",
        running.running_for
    );
    assert_eq!(RunningContainer { running_for: started.running_for, ..running }, started);
    assert_eq!(found[0].image, Some(creation.image.clone()));
    assert_eq!(found[0].fingerprint, Some(creation.config.fingerprint()));

    within(bench.engine.stop(&started.id, Duration::ZERO)).await.unwrap();
    let found = bench.engine.find_containers(&name, "i-another").await.unwrap();
    assert_eq!(found.len(), 1, "it is found by its name too");
    assert_eq!(found[0].running, None);
    assert!(bench.engine.find_containers("berth-nothing", "i-another").await.unwrap().is_empty());
}

#[tokio::test]
async fn of_the_containers_with_the_name_only_berth_s_is_found() {
    let mut bench = Bench::new().await;
    let image = bench.busybox(&[SLEEP]).await;
    let creation = bench.creation(&image, |_| {}).await;
    let name = creation.config.container_name();
    bench.and_remove(format!("DELETE /containers/{name}?force=1"));
    for of_another_instance in [true, false] {
        let options = CreateContainerOptions { name: Some(name.clone()), ..Default::default() };
        let labels = of_another_instance.then(|| [("berth.instance".to_owned(), "i-another".to_owned())].into());
        let body = ContainerCreateBody { image: Some(creation.image.to_string()), labels, ..Default::default() };
        let id = bench.docker.create_container(Some(options), body).await.unwrap().id;

        let found = bench.engine.find_containers(&name, &identity().instance_id).await.unwrap();
        let holder = found.iter().find(|container| container.name == name);
        let error = bench.engine.create(&creation, Mounted::Nothing).await.unwrap_err();
        if of_another_instance {
            let holder = holder.expect("it is removed for its name");
            assert_eq!((&holder.fingerprint, &holder.image), (&None, &None));
            assert!(matches!(&error, EngineError::NameTaken(taken) if *taken == name), "{error}");
            bench.engine.remove(&holder.id).await.unwrap();
        } else {
            assert!(holder.is_none(), "it is nobody's here");
            assert!(matches!(&error, EngineError::NotOurs { id: short, .. } if id.starts_with(short)), "{error}");
            assert_eq!(error.class(), ErrorClass::Broken);
        }
    }
}

#[tokio::test]
async fn a_container_on_the_host_s_network_answers_on_loopback() {
    let mut bench = Bench::new().await;
    let image = bench.busybox(&[SLEEP]).await;
    let creation = bench.creation(&image, |config| config.network = Some("host".to_owned())).await;
    assert_eq!(bench.run(&creation, None).await.address, Address::At(IpAddr::V4(Ipv4Addr::LOCALHOST)));
}

#[tokio::test]
async fn an_exit_is_reported_with_its_code() {
    let mut bench = Bench::new().await;
    let image = bench.busybox(&[]).await;
    let run = |script: &str| {
        let script = script.to_owned();
        move |config: &mut Config| config.command = Some(words(&["sh", "-c", &script]))
    };
    let creation = bench.creation(&image, run("exit 7")).await;
    assert_eq!(bench.run_to_end(&creation, None).await.0, Exit { code: 7, oom_killed: false });

    let creation = bench
        .creation(&image, |config| {
            run("tail /dev/zero")(config);
            config.memory = Some(16 << 20);
        })
        .await;
    assert_eq!(bench.run_to_end(&creation, None).await.0, Exit { code: 137, oom_killed: true });
}

#[tokio::test]
async fn a_stop_kills_after_its_timeout_and_a_second_stop_is_no_error() {
    let mut bench = Bench::new().await;
    let image = bench.busybox(&[]).await;
    let creation = bench
        .creation(&image, |config| {
            // What the container was made with does not count.
            config.stop_timeout = Duration::from_secs(600);
            config.command = Some(words(&["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done"]));
        })
        .await;
    let app = bench.run(&creation, None).await;
    bench.says(&app.id, "ready").await;
    within(bench.engine.stop(&app.id, Duration::from_millis(500))).await.unwrap();
    assert_eq!(within(bench.engine.watch(&app.id)).await.unwrap().code, 137);
    within(bench.engine.stop(&app.id, Duration::ZERO)).await.unwrap();
    bench.engine.stop(&ContainerId(unique("gone")), Duration::ZERO).await.unwrap();
}

#[tokio::test]
async fn a_stop_signal_reaches_the_app() {
    let mut bench = Bench::new().await;
    let image = bench.busybox(&[]).await;
    let creation = bench
        .creation(&image, |config| {
            config.stop_signal = Some("SIGUSR1".to_owned());
            config.command = Some(words(&["sh", "-c", "trap 'exit 3' USR1; echo ready; while :; do sleep 0.05; done"]));
        })
        .await;
    let app = bench.run(&creation, None).await;
    bench.says(&app.id, "ready").await;
    within(bench.engine.stop(&app.id, Duration::from_secs(30))).await.unwrap();
    assert_eq!(within(bench.engine.watch(&app.id)).await.unwrap().code, 3);
}

#[tokio::test]
async fn a_removed_container_is_gone_with_its_anonymous_volumes() {
    let mut bench = Bench::new().await;
    let image = bench.busybox(&[SLEEP]).await;
    let creation = bench
        .creation(&image, |config| {
            config.volumes = vec![Volume { source: None, target: "/data".to_owned(), read_only: false }];
        })
        .await;
    let app = bench.run(&creation, None).await;
    let volume = bench.inspect(&app.id).await.mounts.unwrap()[0].name.clone().unwrap();
    let watched = bench.engine.clone();
    let id = app.id.clone();
    let watch = tokio::spawn(async move { watched.watch(&id).await });
    assert_eq!(within(bench.engine.remove(&app.id)).await.unwrap(), Some(creation.config.container_name()));
    assert_eq!(within(watch).await.unwrap().unwrap().code, 137, "the watch reports that it was killed");
    assert!(bench.docker.inspect_volume(&volume).await.is_err());
    assert_eq!(bench.engine.remove(&app.id).await.unwrap(), None);
    assert_eq!(bench.engine.watch(&app.id).await.unwrap().code, 137);
}

#[tokio::test]
async fn what_cannot_start_is_reported_in_the_engine_s_words() {
    let mut bench = Bench::new().await;
    let image = bench.busybox(&[SLEEP]).await;
    let held = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = held.local_addr().unwrap().port();
    let cases: [Case<'_>; 5] = [
        (&|c| c.ports = publish(port), ErrorClass::Misconfigured, "address already in use"),
        (&|c| c.command = Some(words(&["nope"])), ErrorClass::Broken, "executable file not found"),
        (&|c| c.user = Some("nobody-here".to_owned()), ErrorClass::Broken, "unable to find user"),
        (&|c| c.devices = vec![missing_device()], ErrorClass::Misconfigured, "/dev/berth-missing"),
        (&|c| c.network = Some("berth-missing".to_owned()), ErrorClass::Broken, "not found"),
    ];
    for (edit, class, says) in cases {
        let creation = bench.creation(&image, |config| {
            config.init = false;
            edit(config);
        });
        let creation = creation.await;
        let id = bench.create(&creation, None).await;
        let error = bench.engine.start(&id, &creation.config.ports).await.unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
        assert_eq!(error.class(), class, "{error}");
    }
}

fn missing_device() -> Device {
    let path = "/dev/berth-missing".to_owned();
    Device { host: path.clone(), container: path, permissions: "rwm".to_owned() }
}

#[tokio::test]
async fn what_cannot_be_created_is_reported_in_the_engine_s_words() {
    let mut bench = Bench::new().await;
    let image = bench.busybox(&[SLEEP]).await;
    let cases: [Case<'_>; 3] = [
        (
            &|c| drop(c.log_opt.insert("nope".to_owned(), String::new())),
            ErrorClass::Misconfigured,
            "unknown log opt 'nope'",
        ),
        (&|c| c.stop_signal = Some("SIGNOPE".to_owned()), ErrorClass::Misconfigured, "SIGNOPE"),
        (&|c| c.memory = Some(1024), ErrorClass::Misconfigured, "memory limit"),
    ];
    for (edit, class, says) in cases {
        let creation = bench.creation(&image, edit).await;
        let error = match bench.engine.create(&creation, Mounted::Nothing).await {
            Err(error) => error,
            Ok(id) => {
                let started = bench.engine.start(&id, &creation.config.ports).await;
                bench.engine.remove(&id).await.unwrap();
                panic!("{says}: it was created: {started:?}")
            }
        };
        assert!(error.to_string().contains(says), "{error}");
        assert_eq!(error.class(), class, "{error}");
    }
    let mut creation = bench.creation(&image, |_| {}).await;
    creation.facts.command.clear();
    creation.facts.entrypoint.clear();
    let error = bench.engine.create(&creation, Mounted::Nothing).await.unwrap_err();
    assert!(matches!(error, EngineError::NoCommand(_)), "{error}");
}

#[tokio::test]
async fn an_engine_that_is_away_is_a_transient_error() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("engine.sock");
    let engine = Engine::new(Some(&format!("unix://{}", socket.display()))).unwrap();
    assert_eq!(engine.ping().await.unwrap_err().class(), ErrorClass::Transient, "no socket");
    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    drop(listener);
    assert_eq!(engine.ping().await.unwrap_err().class(), ErrorClass::Transient, "nobody listens");
    assert_eq!(engine.watch(&ContainerId("x".to_owned())).await.unwrap_err().class(), ErrorClass::Transient);
    let there = Engine::new(Some(&format!("unix://{}", super::bench::socket()))).unwrap();
    there.ping().await.unwrap();
}
