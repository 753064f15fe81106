//! From keys as written to a config: every value, then the cross-checks (cross_checks.rs), with all errors at once.

use crate::config::Config;
use crate::error::code::Code;
use crate::error::{ConfigErrors, Location};
use crate::keys::{Key, app};
use crate::parse::layers::{Layer, Layers, Written};
use crate::validate::hints;

impl Layers {
    /// The config, or every error of all layers.
    pub fn resolve(&self) -> Result<Config, ConfigErrors> {
        let (config, errors) = self.resolve_in_part();
        if errors.is_empty() { Ok(config) } else { Err(errors) }
    }

    /// The config as far as it is valid. A missing `image` is an error.
    pub fn resolve_in_part(&self) -> (Config, ConfigErrors) {
        let (config, mut errors) = self.resolve_what_is_written(false);
        if !self.keys.contains_key("image") && !self.broken {
            errors.add(Code::Missing, None, Some("image"), || match self.foreign {
                Some(_) => {
                    "is required, and the user-data has no config (a line that begins with `berth ` or `#berth `)"
                }
                None => "is required",
            });
            errors.sort();
        }
        (config, errors)
    }

    /// The config according to these layers; an `image` that is not set is empty. If `config=` points to more keys,
    /// something missing is not an error yet.
    pub fn resolve_what_is_written(&self, more_follows: bool) -> (Config, ConfigErrors) {
        let mut errors = self.errors.clone();
        let mut config = Config::defaults();
        let mut in_order: Vec<(&String, &Written)> =
            self.keys.iter().filter(|(key, _)| !self.is_overridden(key)).collect();
        in_order.sort_by_key(|(_, written)| written.order);
        for (key, written) in in_order {
            let Some((known, name)) = Key::find(key) else { continue };
            if let Err(reasons) = (known.resolve)(&mut config, &written.value, name) {
                let hint = hints::for_value(key, &written.value);
                for reason in reasons.0 {
                    let reason = hint.map_or(reason.clone(), |hint| format!("{reason}; {hint}").into());
                    errors.add(Code::InvalidValue, Some(written.location.clone()), Some(key), || reason);
                }
            }
        }
        self.fill_in(&mut config, &mut errors);
        self.check_combinations(&config, &mut errors);
        self.check_releases(&config, more_follows, &mut errors);
        if !more_follows {
            self.check_missing(&config, &mut errors);
        }
        errors.sort();
        (config, errors)
    }

    /// Whether a later layer sets the same thing by another key: `port` and `ports` are one list, and a
    /// name has one value, from `env` or from `secret`.
    fn is_overridden(&self, key: &str) -> bool {
        let other = match (key.strip_prefix("env."), key.strip_prefix("secret."), key) {
            (Some(name), ..) => format!("secret.{name}"),
            (_, Some(name), _) => format!("env.{name}"),
            (.., "port") => "ports".to_owned(),
            (.., "ports") => "port".to_owned(),
            _ => return false,
        };
        self.layer(&other) > self.layer(key)
    }

    /// Sets keys that are not set and follow from others.
    fn fill_in(&self, config: &mut Config, errors: &mut ConfigErrors) {
        if !self.keys.contains_key("name") {
            let last = config.image.repository.rsplit('/').next().unwrap_or_default();
            match app::app_name(last) {
                Ok(name) => config.name = name,
                Err(_) if last.is_empty() => {}
                Err(_) => errors.add(
                    Code::Missing,
                    None,
                    Some("name"),
                    || "is required: the last part of the repository is not a valid name",
                ),
            }
        }
        if config.log_driver == "json-file" && config.log_opt.is_empty() {
            let rotated = [("max-size", "10m"), ("max-file", "3")];
            config.log_opt.extend(rotated.map(|(key, value)| (key.to_owned(), value.to_owned())));
        }
    }

    pub(crate) fn location(&self, key: &str) -> Option<Location> {
        self.keys.get(key).map(|written| written.location.clone())
    }

    fn layer(&self, key: &str) -> Option<Layer> {
        self.keys.get(key).map(|written| written.layer)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use expect_test::{Expect, expect};

    use super::*;
    use crate::value::pointer::Pointer;
    use crate::value::port::Port;

    fn validated(user_data: &str) -> Result<Config, ConfigErrors> {
        let mut layers = Layers::new();
        layers.add_user_data(user_data.as_bytes());
        layers.resolve()
    }

    #[track_caller]
    fn errors(user_data: &str, expected: Expect) {
        let reported = validated(user_data).map_or_else(|errors| errors.to_string(), |_| "none".into());
        expected.assert_eq(&reported);
    }

    /// The parts of the config that differ from `berth image=x:1`.
    #[track_caller]
    fn check(user_data: &str, expected: Expect) {
        let lines = |config: &Config| {
            let json = serde_json::to_value(config).unwrap();
            let members = json.as_object().unwrap().iter().map(|(key, value)| format!("{key}={value}"));
            members.collect::<Vec<_>>()
        };
        let plain = lines(&validated("berth image=x:1").unwrap());
        let config = validated(user_data).unwrap_or_else(|errors| panic!("{errors}"));
        let changed: Vec<_> = lines(&config).into_iter().filter(|line| !plain.contains(line)).collect();
        expected.assert_eq(&changed.join("\n"));
    }

    #[test]
    fn the_one_line_of_the_readme_is_resolved() {
        check(
            "berth image=123456789012.dkr.ecr.us-east-2.amazonaws.com/ap-api:a1b2c3d port=8080 health=/health secrets=prod/api",
            expect![[r#"
                health={"path":"/health"}
                image={"digest":null,"registry":"123456789012.dkr.ecr.us-east-2.amazonaws.com","repository":"ap-api","tag":"a1b2c3d"}
                name="ap-api"
                ports=[{"container":8080,"host":8080,"host_ip":null,"protocol":"tcp"}]
                secrets=[{"Managed":{"id":"prod/api","json_key":null,"version_id":null,"version_stage":null}}]"#]],
        );
    }

    #[test]
    fn every_key_of_a_container_is_resolved() {
        check(
            "berth image=x:1 name=web entrypoint=/bin/app command='serve --port 80' user=1000:1000 workdir=/srv \
             volumes=data:/data,/etc/ssl:/etc/ssl:ro tmpfs=/tmp:size=64m,noexec read_only=true memory=512m cpus=0.5 \
             ulimits=nofile=1024:2048 cap_add=net_admin cap_drop=ALL devices=/dev/fuse gpus=device=0,1 network=host \
             hostname=web-1 extra_hosts=db:10.0.0.1 shm_size=1g labels=a=b,c=d init=false privileged=true \
             stop_signal=QUIT log_driver=journald log_opt.tag=x",
            expect![[r#"
                cap_add=["NET_ADMIN"]
                cap_drop=["ALL"]
                command=["serve","--port","80"]
                cpus=500000000
                devices=[{"container":"/dev/fuse","host":"/dev/fuse","permissions":"rwm"}]
                entrypoint=["/bin/app"]
                extra_hosts=["db:10.0.0.1"]
                gpus={"devices":["0","1"]}
                hostname="web-1"
                init=false
                labels={"a":"b","c":"d"}
                log_driver="journald"
                log_opt={"tag":"x"}
                memory=536870912
                name="web"
                network="host"
                privileged=true
                read_only=true
                shm_size=1073741824
                stop_signal="SIGQUIT"
                tmpfs={"/tmp":"size=64m,noexec"}
                ulimits=[{"hard":2048,"name":"nofile","soft":1024}]
                user="1000:1000"
                volumes=[{"read_only":false,"source":"data","target":"/data"},{"read_only":true,"source":"/etc/ssl","target":"/etc/ssl"}]
                workdir="/srv""#]],
        );
    }

    #[test]
    fn every_key_of_the_agent_is_resolved() {
        check(
            "berth image=x:1 listen=[::]:80 probe.interval=1s probe.timeout=1s probe.healthy=2 probe.unhealthy=5 \
             probe.start_timeout=1m env.A= env.a.b='x y' secret.P=prod/api#p secret.Q=ssm:/q secrets_as=files \
             secrets_refresh=1h,signal:HUP registry_auth=prod/registry imds=block boot.timeout=5m boot.on_failure=hold \
             restart.backoff=2s restart.backoff_max=10s restart.limit=0 restart.window=1m drain.settle=0s \
             drain.timeout=1m drain.idle=1s drain.on_failure=abandon stop_timeout=10s lifecycle.poll=5s lifecycle.group='my group' \
             lifecycle.launch_hook=up lifecycle.terminate_hook=down lifecycle.heartbeat=15s spot=ignore rebalance=drain \
             maintenance=drain config=ssm:/more",
            expect![[r#"
                boot={"on_failure":"hold","timeout":{"nanos":0,"secs":300}}
                drain={"idle":{"nanos":0,"secs":1},"on_failure":"abandon","settle":{"nanos":0,"secs":0},"timeout":{"nanos":0,"secs":60}}
                env={"A":"","a.b":"x y"}
                imds="block"
                lifecycle={"group":"my group","heartbeat":{"nanos":0,"secs":15},"launch_hook":"up","poll":{"nanos":0,"secs":5},"terminate_hook":"down"}
                listen="[::]:80"
                maintenance="drain"
                probe={"expect":"200-399","healthy":2,"host":null,"interval":{"nanos":0,"secs":1},"running_for":{"nanos":0,"secs":5},"start_timeout":{"nanos":0,"secs":60},"timeout":{"nanos":0,"secs":1},"unhealthy":5}
                rebalance="drain"
                registry_auth={"secret":{"Managed":{"id":"prod/registry","json_key":null,"version_id":null,"version_stage":null}}}
                restart={"backoff":{"nanos":0,"secs":2},"backoff_max":{"nanos":0,"secs":10},"limit":0,"window":{"nanos":0,"secs":60}}
                secret={"P":{"Managed":{"id":"prod/api","json_key":"p","version_id":null,"version_stage":null}},"Q":{"Parameter":{"json_key":null,"name":"/q"}}}
                secrets_as="files"
                secrets_refresh={"every":{"nanos":0,"secs":3600},"on_change":{"signal":"HUP"}}
                spot="ignore"
                stop_timeout={"nanos":0,"secs":10}"#]],
        );
    }

    #[test]
    fn every_form_says_the_same() {
        let line = "berth image=x:1 port=80,53:53/udp env.A=1 env.B=true probe.interval=1s cpus=0.5 labels=a=b \
                    log_opt.max-size=1m secrets_refresh=1h,restart command='a b'";
        let toml = "#berth\nimage = 'x:1'\nport = [80, '53:53/udp']\ncpus = 0.5\nlabels = ['a=b']\nsecrets_refresh = '1h'\n\
                    command = ['a', 'b']\nlog_opt.max-size = '1m'\n[env]\nA = 1\nB = true\n[probe]\ninterval = '1s'\n";
        let json = r#"{"image":"x:1","port":[80,"53:53/udp"],"env":{"A":1,"B":true},"probe.interval":"1s","cpus":0.5,
                    "labels":"a=b","log_opt":{"max-size":"1m"},"secrets_refresh":"1h","command":["a","b"]}"#;
        assert_eq!(validated(line), validated(toml));
        assert_eq!(validated(line), validated(json));
        assert!(validated(line).is_ok());
    }

    #[test]
    fn all_errors_are_reported_at_once_each_with_its_location() {
        errors(
            "berth helth=/x port=80:80:80 hunter2 memory=lots probe.healthy=0 image=nginx",
            expect![[r#"
                user-data line 1 column 7: `helth`: unknown key, did you mean `health`?
                user-data line 1 column 16: `port`: does not begin with an IP address: IPv6 needs `[…]`
                user-data line 1 column 30: this word has no `=`: every word is `key=value`; quote a value with spaces
                user-data line 1 column 38: `memory`: is not a size like `512m` or `1g`
                user-data line 1 column 50: `probe.healthy`: is less than 1
                user-data line 1 column 66: `image`: is not pinned: add a tag or, better, a digest (`…@sha256:…`)"#]],
        );
        errors(
            "#!/bin/sh\r\n#berth image=x:1 port=1,x,0\r\n",
            expect![[r#"
            user-data line 2 column 18: `port`: entry 2 is not a port like `8080`, `80:8080` or `127.0.0.1:80:8080/udp`
            user-data line 2 column 18: `port`: entry 3 has container port 0: only the host port may be 0, as in `0:8080`"#]],
        );
        errors(
            "#berth\nimage = 'nginx'\n[probe]\n  intervall = '5s'\ntimeout = 5\n[env]\nA = [1]\n[labels]\nx = 1\n",
            expect![[r#"
                user-data line 2 column 1: `image`: is not pinned: add a tag or, better, a digest (`…@sha256:…`)
                user-data line 4 column 3: `probe.intervall`: unknown key, did you mean `probe.interval`?
                user-data line 5 column 1: `probe.timeout`: needs a unit: `ms`, `s`, `m` or `h`
                user-data line 7 column 1: `env.A`: takes a single value, not a list
                user-data line 9 column 1: `labels.x`: unknown key: `labels` is a value or a list, not a table"#]],
        );
        errors(
            r#"{"image":"x:1","probe":{"interval":5,"x":1},"env":"A=1","cap_add":null,"a":{}}"#,
            expect![[r#"
            user-data: `probe.x`: unknown key
            user-data: `env`: needs a name: `env.NAME=…`
            user-data: `cap_add`: is null: remove the key
            user-data: `a`: unknown key
            user-data: `probe.interval`: needs a unit: `ms`, `s`, `m` or `h`"#]],
        );
    }

    #[test]
    fn broken_syntax_is_reported_without_keys_that_are_missing_because_of_it() {
        errors("berth image='x:1", expect!["user-data line 1 column 13: this ' is never closed"]);
        errors(
            "#berth\nimage = \"x:1\nport = \n",
            expect![[r#"
            user-data line 2 column 13: not TOML: invalid basic string, expected `"`
            user-data line 3 column 8: not TOML: string values must be quoted, expected literal string"#]],
        );
        errors(
            "{\"image\":\n \"x:1\",}",
            expect!["user-data line 2 column 8: not JSON: a comma before the end: remove it"],
        );
        errors("{\"image\":", expect!["user-data line 1 column 9: not JSON: it ends too early"]);
        errors(
            "#!/bin/sh\n",
            expect![
                "`image`: is required, and the user-data has no config (a line that begins with `berth ` or `#berth `)"
            ],
        );
        errors("berth image=x:1 image=y:1\n", expect!["user-data line 1 column 17: `image`: is given twice"]);
    }

    #[test]
    fn a_later_layer_wins_key_by_key_and_the_line_wins_over_what_it_points_to() {
        let mut layers = Layers::new();
        layers.add_user_data(b"berth image=x:2 config=ssm:/more env.B=line ports=81 secret.D=prod/d");
        layers.add_file(
            "/etc/berth/berth.toml",
            b"image = 'x:0'\nstop_timeout = '9s'\nport = 80\n[env]\nA = 'file'\nD = 'x'\n",
        );
        assert_eq!(layers.pointer(), Some(Pointer::Ssm("/more".into())));
        layers.add_pointed(&Pointer::Ssm("/more".into()), b"berth image=x:1 env.A=pointed env.B=pointed env.C=pointed");
        layers.add_words(&["env.C=words".into()]);
        let config = layers.resolve().unwrap();
        assert_eq!(config.image.tag.as_deref(), Some("2"));
        assert_eq!(config.stop_timeout, Duration::from_secs(9));
        assert_eq!(config.ports, [Port::parse("81").unwrap()], "`ports` of a later layer replaces `port`");
        let env: Vec<_> = config.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(env, ["A=pointed", "B=line", "C=words"]);
        assert!(config.secret.contains_key("D"), "the name was given to a secret by a later layer");
    }

    #[test]
    fn port_and_ports_are_one_list_in_the_order_written() {
        let ports = |line: &str| validated(line).unwrap().ports.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(ports("berth image=x:1 ports=90,91 port=80"), ["90 -> 90/tcp", "91 -> 91/tcp", "80 -> 80/tcp"]);
        assert_eq!(ports("#berth\nports = [90]\nport = 80\nimage = 'x:1'"), ["90 -> 90/tcp", "80 -> 80/tcp"]);
    }

    #[test]
    fn what_is_pointed_to_must_hold_a_config_and_not_point_on() {
        let reported = |bytes: &[u8]| {
            let mut layers = Layers::new();
            layers.add_user_data(b"berth image=x:1 config=secretsmanager:prod/berth");
            layers.add_pointed(&layers.pointer().unwrap(), bytes);
            layers.resolve().map_or_else(|errors| errors.to_string(), |_| "none".into())
        };
        expect!["secretsmanager:prod/berth line 1 column 7: `config`: a config that `config=` points to cannot have `config=` itself"]
            .assert_eq(&reported(b"berth config=ssm:/x"));
        expect!["secretsmanager:prod/berth: has no config: a config is a line that begins with `berth ` or `#berth `, TOML below a first line `#berth`, or a JSON object"].assert_eq(&reported(b"hunter2"));
        expect!["secretsmanager:prod/berth line 1 column 7: `prot`: unknown key, did you mean `port`?"]
            .assert_eq(&reported(b"berth prot=1"));
        assert_eq!(reported(b"{\"port\":80}"), "none");
        errors(
            "berth image=x:1 config=/etc/berth",
            expect![
                "user-data line 1 column 17: `config`: is not `ssm:NAME`, `secretsmanager:NAME` or `s3://BUCKET/KEY`: a parameter is `ssm:/NAME`"
            ],
        );
    }

    #[test]
    fn words_of_a_command_line_have_their_number() {
        let mut layers = Layers::new();
        layers.add_words(&["image=x:1".into(), "hunter2".into(), "prot=80".into(), "port=a b".into()]);
        expect![[r#"
            command line word 2: this word has no `=`: every word is `key=value`; quote a value with spaces
            command line word 3: `prot`: unknown key, did you mean `port`?
            command line word 4: `port`: is not a port like `8080`, `80:8080` or `127.0.0.1:80:8080/udp`"#]]
        .assert_eq(&layers.resolve().unwrap_err().to_string());
    }

    #[test]
    fn listen_is_known_before_validation() {
        let listen = |line: &str| {
            let mut layers = Layers::new();
            layers.add_user_data(line.as_bytes());
            layers.listen()
        };
        assert_eq!(listen("berth listen=127.0.0.1:0 prot=x"), Some("127.0.0.1:0".parse().unwrap()));
        assert_eq!(listen("berth listen=x"), None);
        assert_eq!(listen("berth image=x:1"), None);
    }
}
