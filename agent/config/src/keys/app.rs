//! The keys for what runs, its ports and its health.

use crate::config::Config;
use crate::keys::key::KeyDefault::{Value as By, Words};
use crate::keys::key::{ForeignWord, Key, Section, at_least, none, put, same, some};
use crate::value::health::ProbeMethod;
use crate::value::port::Port;
use crate::value::probe_http::Statuses;
use crate::value::reference::ImageRef;
use crate::value::scalar::{count, is_name};
use crate::value::{Reason, Reasons, Value, container, probe_http};

/// The keys of the app.
pub(super) static SECTION: Section = Section {
    title: "The app",
    intro: "",
    keys: &[&[
        Key {
            name: "image",
            about: "the image, as Docker writes it; needs a tag other than `latest`, or a digest, or both (then the digest counts)",
            default: Words("required"),
            examples: &["nginx:1.27", "r.example.com/app@sha256:…"],
            resolve: |c, v, _| put(&mut c.image, v.one().and_then(ImageRef::parse)),
        },
        Key {
            name: "name",
            about: "name of the app: container `berth-<name>`, log tag, metrics label",
            default: Words("last part of the repository"),
            examples: &["web"],
            resolve: |c, v, _| put(&mut c.name, v.one().and_then(app_name)),
        },
        Key {
            name: "port",
            about: "list of `PORT` (the same on both sides), `HOST:CONTAINER`, `ADDRESS:HOST:CONTAINER`, each with or without `/udp`; \
                 IPv6 in brackets; with host port 0 the engine chooses one, or berth if a target group needs it",
            default: Words("none"),
            examples: &["8080", "127.0.0.1:80:8080", "[::1]:53:53/udp"],
            resolve: ports,
        },
        Key {
            name: "ports",
            about: "the same list as `port`",
            default: Words("none"),
            examples: &["80:8080,443:8443"],
            resolve: ports,
        },
        Key {
            name: "health",
            about: "`/path`: HTTP on the first TCP port · `http:PORT/path`, `https:PORT/path`: on this port of the container · \
                 `http://…`, `https://…`: a URL on the host, by IP or `localhost` · `tcp`: the first TCP port accepts a connection · \
                 `tcp:PORT` · `cmd:…`: a command in the container, split as a shell does, run without a shell, healthy with exit code \
                 0 · `docker`: the image's HEALTHCHECK · `none`: healthy once it has run for `probe.running_for`",
            default: Words("`docker` if the image has a HEALTHCHECK, else `tcp` on the first port, else `none`"),
            examples: &["/health", "'cmd:pg_isready -U app'"],
            resolve: |c, v, _| put(&mut c.health, v.one().and_then(ProbeMethod::parse).map(Some)),
        },
        Key {
            name: "probe.interval",
            about: "time between two probes, at least 100ms; a starting app is probed every 100 ms, and more often at first",
            default: By("5s"),
            examples: &["10s"],
            resolve: |c, v, _| put(&mut c.probe.interval, at_least(100, v)),
        },
        Key {
            name: "probe.timeout",
            about: "timeout of one probe, at least 100ms. A HEALTHCHECK without `--timeout` has 30s, as in Docker",
            default: Words("the HEALTHCHECK's if that is the probe, else `2s`"),
            examples: &["500ms"],
            resolve: |c, v, _| put(&mut c.probe.timeout, at_least(100, v).map(Some)),
        },
        Key {
            name: "probe.healthy",
            about: "successes in a row until the app is healthy",
            default: By("1"),
            examples: &["2"],
            resolve: |c, v, _| put(&mut c.probe.healthy, v.one().and_then(|text| count(1, text))),
        },
        Key {
            name: "probe.unhealthy",
            about: "failures in a row until the app is unhealthy",
            default: By("3"),
            examples: &["5"],
            resolve: |c, v, _| put(&mut c.probe.unhealthy, v.one().and_then(|text| count(1, text))),
        },
        Key {
            name: "probe.start_timeout",
            about: "time from the start of the container until it must be healthy; with `health=none`, `probe.running_for` is added",
            default: Words("`120s`, plus the HEALTHCHECK's start period if that is the probe"),
            examples: &["10m"],
            resolve: |c, v, _| put(&mut c.probe.start_timeout, at_least(1000, v).map(Some)),
        },
        Key {
            name: "probe.running_for",
            about: "with `health=none`: how long the app must run before it counts as healthy; an earlier exit counts as a restart, past \
                 `restart.limit` the boot fails, and exit code 126 or 127 at the first start fails it at once; with `0s` the app is \
                 healthy once it is started",
            default: By("5s"),
            examples: &["30s"],
            resolve: |c, v, _| put(&mut c.probe.running_for, at_least(0, v)),
        },
        Key {
            name: "probe.host",
            about: "for HTTP probes: the Host header, and the server name (SNI) over TLS; the name is sent and never resolved",
            default: Words("the address of the request"),
            examples: &["app.example.com"],
            resolve: |c, v, _| put(&mut c.probe.http.host, some(v, probe_http::host)),
        },
        Key {
            name: "probe.expect",
            about: "for HTTP probes: list of statuses and ranges that are healthy; a redirect is a response and is not followed",
            default: By("200-399"),
            examples: &["200,204", "200-399,401"],
            resolve: |c, v, _| put(&mut c.probe.http.expect, Statuses::parse(v)),
        },
        Key {
            name: "env.NAME",
            about: "plain environment; `AWS_REGION`, `AWS_DEFAULT_REGION`, `BERTH_VERSION`, `BERTH_INSTANCE_ID`, `BERTH_AZ` are set by \
                 default; an `AWS_REGION` set here also sets `AWS_DEFAULT_REGION`",
            default: Words("none"),
            examples: &["env.LOG_LEVEL=info"],
            resolve: |c, v, name| {
                container::env_name(name)?;
                c.env.insert(name.to_owned(), v.text()?.to_owned());
                Ok(())
            },
        },
    ]],
    foreign: &[FOREIGN],
};

/// Words of other programs.
static FOREIGN: &[ForeignWord] = &[
    same("container_name family", "name", "the container is then `berth-NAME`"),
    same("publish -p portMappings", "port", "`PORT`, `HOST:CONTAINER`, or with `/udp`"),
    same(
        "healthcheck health_cmd healthcheck.test healthcheck.command",
        "health",
        "`/path` for HTTP, `cmd:…` for a command, `docker` for the image's own",
    ),
    same("no_healthcheck healthcheck.disable", "health", "`health=none`"),
    same("health_interval healthcheck.interval", "probe.interval", ""),
    same("health_timeout healthcheck.timeout", "probe.timeout", ""),
    same("health_retries healthcheck.retries", "probe.unhealthy", ""),
    same(
        "health_start_period healthcheck.start_period startTimeout",
        "probe.start_timeout",
        "the time within which the app must become healthy",
    ),
    same("environment -e", "env.NAME", "one key for each variable"),
    none("expose", "a port that other hosts do not connect to needs no key; `port=` publishes one"),
    none("publish_all -P", "name the ports in `port=`; `0:8080` lets the engine choose the host's port"),
    none("health_start_interval healthcheck.start_interval", "an app that starts is probed every 100 ms"),
    none(
        "env_file environmentFiles",
        "write each variable as `env.NAME=…`, or keep them all in one document that `config=` points to",
    ),
];

fn ports(config: &mut Config, value: &Value, _: &str) -> Result<(), Reasons> {
    config.ports.extend(value.each(Port::parse)?);
    Ok(())
}

/// A name that the engine and every log driver accept in `berth-<name>`.
pub(crate) fn app_name(text: &str) -> Result<String, Reason> {
    if is_name(text, "_.-") && text.len() <= 100 {
        Ok(text.to_owned())
    } else {
        Err("is not a name: at most 100 letters, digits and `_.-`".into())
    }
}
