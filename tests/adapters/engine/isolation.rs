//! The keys that change what the kernel gives the container, as the app in it sees them, and what the engine says when it cannot.

use std::collections::BTreeMap;

use berth::io::docker::{EngineError, Mounted};
use berth_config::Config;
use berth_core::message::container::Creation;
use berth_core::message::error::ErrorClass;

use super::bench::{Bench, SLEEP, unique, words};

impl Bench {
    /// What this prints in a container that is made so.
    async fn prints(&mut self, script: &str, edit: impl FnOnce(&mut Config)) -> String {
        let image = self.busybox(&[]).await;
        let creation = self
            .creation(&image, |config| {
                config.command = Some(words(&["sh", "-c", script]));
                edit(config);
            })
            .await;
        self.run_to_end(&creation, None).await.1
    }

    /// Why it cannot be created, or started.
    async fn refuses(&mut self, creation: &Creation) -> EngineError {
        self.and_remove(format!("DELETE /containers/{}?force=1&v=1", creation.config.container_name()));
        match self.engine.create(creation, Mounted::Nothing).await {
            Ok(id) => self.engine.start(&id, &[]).await.unwrap_err(),
            Err(error) => error,
        }
    }
}

fn sysctl(name: &str, value: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(name.to_owned(), value.to_owned())])
}

#[tokio::test]
async fn the_app_sees_what_the_keys_say() {
    let mut bench = Bench::new().await;
    let seen = bench
        .prints("cat /proc/sys/net/core/somaxconn /proc/sys/kernel/shmmax", |config| {
            config.sysctls = sysctl("net.core.somaxconn", "1234");
            config.sysctls.extend(sysctl("kernel.shmmax", "99999"));
        })
        .await;
    assert_eq!(seen, "1234\n99999\n");
    let seen = bench.prints("id -G", |config| config.group_add = words(&["4242"])).await;
    assert!(seen.split_whitespace().any(|group| group == "4242"), "{seen}");
    let seen = bench
        .prints("cat /etc/resolv.conf", |config| {
            config.dns = vec!["10.9.8.7".parse().unwrap()];
            config.dns_search = words(&["inside.test"]);
        })
        .await;
    assert!(seen.contains("nameserver 10.9.8.7") && seen.contains("search inside.test"), "{seen}");
    let seen = bench.prints("cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null", |config| {
        config.pids_limit = Some(77);
    });
    assert_eq!(seen.await, "77\n");
    let seen = bench.prints("cat /proc/self/oom_score_adj", |config| config.oom_score_adj = Some(421)).await;
    assert_eq!(seen, "421\n");
    let namespaces = "cd /proc/self/ns && ls -l ipc pid | tail -n 2";
    let host = |name: &str| std::fs::read_link(format!("/proc/self/ns/{name}")).unwrap().display().to_string();
    let image = bench.image(&["sh", "ls", "tail"], &[], &[]).await;
    let creation = bench
        .creation(&image, |config| {
            config.command = Some(words(&["sh", "-c", namespaces]));
            (config.pid, config.ipc, config.init) = (Some("host".to_owned()), Some("host".to_owned()), false);
        })
        .await;
    let seen = bench.run_to_end(&creation, None).await.1;
    assert!(seen.contains(&host("ipc")) && seen.contains(&host("pid")), "{seen}");
}

#[tokio::test]
async fn privileges_are_gained_only_where_the_config_says_so() {
    let mut bench = Bench::new().await;
    let status = "cat /proc/self/status";
    assert!(bench.prints(status, |_| {}).await.contains("NoNewPrivs:\t1"));
    let seen = bench.prints(status, |config| config.security_opt = words(&["no-new-privileges=false"])).await;
    assert!(seen.contains("NoNewPrivs:\t0"), "{seen}");
    assert!(bench.prints(status, |_| {}).await.contains("Seccomp:\t2"));
    let seen = bench.prints(status, |config| config.security_opt = words(&["seccomp=unconfined"])).await;
    // An emulated process 1 of the engine's may leave a filter of its own behind; without one it is 0.
    assert!(seen.contains("Seccomp:\t0"), "{seen}");
}

#[tokio::test]
async fn a_seccomp_profile_is_read_from_its_file() {
    let mut bench = Bench::new().await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("no-chmod.json");
    let profile = r#"{ "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{ "names": ["chmod", "fchmod", "fchmodat", "fchmodat2"], "action": "SCMP_ACT_ERRNO" }] }"#;
    std::fs::write(&path, profile).unwrap();
    let image = bench.image(&["sh", "chmod", "touch"], &[], &[]).await;
    let with = |option: String| {
        move |config: &mut Config| {
            config.command = Some(words(&["sh", "-c", "touch /x && chmod 700 /x"]));
            config.security_opt = vec![option];
        }
    };
    let creation = bench.creation(&image, with(format!("seccomp={}", path.display()))).await;
    let (exit, output) = bench.run_to_end(&creation, None).await;
    assert!(exit.code != 0 && output.contains("not permitted"), "{exit}: {output}");
    let creation = bench.creation(&image, with("seccomp=/nowhere/profile.json".to_owned())).await;
    let error = bench.refuses(&creation).await;
    assert_eq!(error.class(), ErrorClass::Misconfigured);
    assert!(error.to_string().contains("/nowhere/profile.json (`security_opt`): No such file"), "{error}");
}

#[tokio::test]
async fn what_the_engine_does_not_have_is_named_with_its_key() {
    /// A change of the config, the class of what comes of it, and the key that it is about.
    type Case = (fn(&mut Config), ErrorClass, &'static str);
    let cases: [Case; 9] = [
        (
            |c| c.runtime = Some("nope".to_owned()),
            ErrorClass::Misconfigured,
            "`runtime`: the engine has none of that name",
        ),
        (
            |c| c.runtime = Some("io.containerd.nope.v1".to_owned()),
            ErrorClass::Misconfigured,
            "`runtime`: the engine has none of that name",
        ),
        (
            |c| c.security_opt = words(&["foo=bar"]),
            ErrorClass::Misconfigured,
            "`security_opt`: this engine does not know",
        ),
        (|c| c.group_add = words(&["nope"]), ErrorClass::Broken, "`group_add`: the image's /etc/group"),
        (
            |c| c.sysctls = sysctl("net.nope", "1"),
            ErrorClass::Misconfigured,
            "`sysctls`: this kernel has no such setting",
        ),
        (
            |c| c.sysctls = sysctl("kernel.msgmax", "x"),
            ErrorClass::Misconfigured,
            "`sysctls`: the kernel refuses the value",
        ),
        (|c| c.ipc = Some("container:nope".to_owned()), ErrorClass::Transient, "`network`, `ipc` or `pid` names it"),
        (|c| c.pid = Some("container:nope".to_owned()), ErrorClass::Transient, "`network`, `ipc` or `pid` names it"),
        (
            |c| c.network = Some("container:nope".to_owned()),
            ErrorClass::Transient,
            "`network`, `ipc` or `pid` names it",
        ),
    ];
    let mut bench = Bench::new().await;
    let image = bench.busybox(&[SLEEP]).await;
    for (edit, class, message) in cases {
        let creation = bench.creation(&image, edit).await;
        let error = bench.refuses(&creation).await;
        assert!(error.to_string().contains(message), "{message}: {error}");
        assert_eq!(error.class(), class, "{error}");
    }
}

#[tokio::test]
async fn the_memory_of_a_container_that_shares_is_another_one_s() {
    let mut bench = Bench::new().await;
    let image = bench.busybox(&[SLEEP]).await;
    let own = unique("donor");
    let donor = |ipc: &'static str| {
        let name = own.clone();
        move |config: &mut Config| {
            config.name = format!("{name}-{ipc}");
            config.ipc = Some(ipc.to_owned());
        }
    };
    for (ipc, shares) in [("shareable", true), ("private", false)] {
        let creation = bench.creation(&image, donor(ipc)).await;
        let name = creation.config.container_name();
        bench.run(&creation, None).await;
        let creation = bench.creation(&image, |config| config.ipc = Some(format!("container:{name}"))).await;
        if shares {
            bench.run(&creation, None).await;
        } else {
            let error = bench.refuses(&creation).await;
            assert!(error.to_string().contains("`ipc`: the other container must be created with"), "{error}");
            assert_eq!(error.class(), ErrorClass::Misconfigured);
        }
    }
}
