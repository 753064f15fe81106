//! `berth check [FILE|-]`: what a config or a whole user-data would run, told offline.
//!
//! It shows references to secrets, names of environment variables and of log options, and never their values.

use std::fmt::Write;
use std::fs;
use std::io::{IsTerminal, Read, stdin};
use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};

use crate::cli::{self, Global};
use crate::config::{
    Config, ConfigFault, Faults, Health, Layers, OnChange, Row, SecretRef, SecretsAs, Statuses, duration_text,
};
use crate::edge::Sources;
use crate::exit::Outcome;

/// How the answer is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Print {
    /// For people: what would run, and the keys that are written.
    #[default]
    Text,
    /// For people, with every key that has its default.
    All,
    /// JSON, with every key.
    Json,
}

/// What a config comes to.
#[derive(Debug)]
pub struct Checked {
    /// What to print on standard output; nothing if there are errors.
    pub text: String,
    /// What is legal and unwise.
    pub warnings: Faults,
    /// Whether it would run, or every error.
    pub verdict: Result<(), Faults>,
}

/// The whole command.
pub fn main(global: &Global, args: &cli::Check) -> ExitCode {
    let layers = match offline(global, &args.file) {
        Ok(layers) => layers,
        Err(reason) => return super::failed(Outcome::Usage, &reason),
    };
    let print = match (args.json, args.all) {
        (true, _) => Print::Json,
        (false, true) => Print::All,
        (false, false) => Print::Text,
    };
    let Checked { text, warnings, verdict } = check(&layers, print);
    super::say(&text);
    for warning in warnings.iter() {
        super::note(&format!("warning: {warning}"));
    }
    match verdict {
        Ok(()) => ExitCode::SUCCESS,
        Err(errors) => super::failed(Outcome::Usage, &errors.to_string()),
    }
}

/// What `berth run` would layer, offline: the file of --config if that is given, and above it FILE, the user-data.
pub(super) fn offline(global: &Global, file: &Path) -> Result<Layers, String> {
    let mut layers = match global.config_file() {
        (file, true) => Sources { file, file_is_required: true, words: Vec::new() }.read_file(),
        (_, false) => Ok(Layers::new()),
    }
    .map_err(|fault| fault.reason)?;
    add(&mut layers, &file.display().to_string(), &read(file)?);
    Ok(layers)
}

/// The bytes of a file, or with `-` of standard input.
fn read(file: &Path) -> Result<Vec<u8>, String> {
    let read = if file == Path::new("-") {
        if stdin().is_terminal() {
            super::note("reads a config from standard input: type it and end it with Ctrl-D, or name a FILE");
        }
        let mut bytes = Vec::new();
        stdin().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        fs::read(file)
    };
    read.map_err(|error| format!("cannot read {}: {error}", file.display()))
}

/// Adds the bytes of `source`, a file's name or `-`: a file of defaults by its name, all else user-data.
pub fn add(layers: &mut Layers, source: &str, bytes: &[u8]) {
    let name = if source == "-" { "stdin" } else { source };
    if source.ends_with(".toml") {
        layers.add_file(name, bytes);
    } else {
        layers.add_user_data_from(name, bytes);
    }
}

/// The config as far as these layers tell without anybody being asked.
pub(super) fn believe_offline(layers: &Layers) -> Result<Config, Faults> {
    match believe_in_part(layers) {
        (config, errors) if errors.is_empty() => Ok(config),
        (_, errors) => Err(errors),
    }
}

fn believe_in_part(layers: &Layers) -> (Config, Faults) {
    match layers.pointer() {
        None => layers.believe_in_part(),
        Some(_) => layers.believe_what_is_written(true),
    }
}

/// Checks what these layers say.
pub fn check(layers: &Layers, print: Print) -> Checked {
    let (config, errors) = believe_in_part(layers);
    let warnings = layers.warnings(&config);
    if !errors.is_empty() {
        return Checked { text: String::new(), warnings, verdict: Err(errors) };
    }
    let text = match print {
        Print::Json => as_value(layers, &config, &warnings),
        Print::Text | Print::All => as_text(layers, &config, print == Print::All),
    };
    Checked { text, warnings, verdict: Ok(()) }
}

fn as_text(layers: &Layers, config: &Config, all: bool) -> String {
    let mut lines: Vec<(&str, String)> = vec![("image", image(layers, config))];
    if !config.name.is_empty() {
        lines.push(("container", config.container_name()));
    }
    lines.extend(config.ports.iter().map(|port| ("port", port.to_string())));
    lines.push(("health", format!("{}{}", health(config), rhythm(config))));
    lines.extend(secrets(config).into_iter().map(|secret| ("secret", secret)));
    if !config.env.is_empty() {
        lines.push(("env", config.env.keys().map(String::as_str).collect::<Vec<_>>().join(", ")));
    }
    lines.push(("readiness", format!("http://{}/ready", config.listen)));
    lines.extend(notes(layers).into_iter().map(|note| ("note", note)));

    let mut text = String::new();
    for (label, line) in lines {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{label:<11}{line}");
    }
    let rows: Vec<_> = layers.rows().into_iter().filter(|row| all || row.from.is_some()).collect();
    let width = |of: fn(&Row) -> usize| rows.iter().map(of).max().unwrap_or_default().min(40);
    let (keys, values) = (width(|row| row.key.chars().count()), width(|row| shown_value(row).chars().count()));
    text.push('\n');
    for row in &rows {
        let from = row.from.as_deref().unwrap_or("default");
        let _ = writeln!(text, "{:<keys$}  {:<values$}  {from}", row.key, shown_value(row));
    }
    text
}

fn as_value(layers: &Layers, config: &Config, warnings: &Faults) -> String {
    let warning = |ConfigFault { place, key, reason, .. }: &ConfigFault| json!({ "place": place.as_ref().map(ToString::to_string), "key": key, "reason": reason });
    let keys = layers.rows().into_iter().map(|row| {
        let from = row.from.unwrap_or_else(|| "default".to_owned());
        (row.key, json!({ "value": row.value, "from": from, "about": row.about }))
    });
    let image = Some(config.image.to_string()).filter(|_| has_image(config));
    let value = json!({
        "image": image,
        "pinned": config.image.digest.is_some(),
        "name": config.name,
        "version": config.version(),
        "container": config.container_name(),
        "ports": config.ports.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "health": health(config),
        "secrets": secrets(config),
        "env": config.env.keys().collect::<Vec<_>>(),
        "listen": config.listen,
        "config": layers.pointer_name(),
        "notes": notes(layers),
        "warnings": warnings.iter().map(warning).collect::<Vec<_>>(),
        "keys": keys.collect::<serde_json::Map<String, Value>>(),
    });
    format!("{value:#}\n")
}

fn shown_value(row: &Row) -> &str {
    row.value.as_deref().unwrap_or("(not shown)")
}

fn has_image(config: &Config) -> bool {
    !config.image.repository.is_empty()
}

fn image(layers: &Layers, config: &Config) -> String {
    match (has_image(config), &config.image.digest) {
        (true, Some(_)) => config.image.to_string(),
        (true, None) => format!("{} (the tag's digest is looked up at boot)", config.image),
        (false, _) => format!("given by {}", layers.pointer_name().unwrap_or_default()),
    }
}

fn health(config: &Config) -> String {
    let port = config.first_tcp_port().map_or("the first port".to_owned(), |port| format!("port {port}"));
    let http = &config.probe.http;
    let mut told = http.host.as_ref().map(|host| format!(" as {host}")).unwrap_or_default();
    if http.expect != Statuses::default() {
        told.push_str(&format!(", {} passes", http.expect));
    }
    let how = |health: Health| match health {
        Health::Path(path) => format!("GET {path} on {port}{told}"),
        Health::Port { tls, port, path } => {
            format!("GET {path} over {} on port {port}{told}", if tls { "TLS" } else { "HTTP" })
        }
        Health::Url(url) => format!("GET {url}{told}"),
        Health::Tcp(None) => format!("a TCP connection to {port}"),
        Health::Tcp(Some(port)) => format!("a TCP connection to port {port}"),
        Health::Cmd(words) => format!("in the container: {}", words.join(" ")),
        Health::Docker => "the image's HEALTHCHECK".to_owned(),
        Health::None => format!("healthy once it has run for {}", duration_text(config.probe.running_for)),
    };
    match &config.health {
        Some(health) => how(health.clone()),
        None => format!("{}, else {}", how(Health::Docker), how(config.effective_health(false))),
    }
}

fn rhythm(config: &Config) -> String {
    if config.health == Some(Health::None) {
        return String::new();
    }
    let probe = &config.probe;
    format!(
        "; every {}, {} to answer, unhealthy after {} failures, healthy within {} of the start",
        duration_text(probe.interval),
        duration_text(probe.timeout_for(None)),
        probe.unhealthy,
        duration_text(probe.start_limit(None)),
    )
}

fn secrets(config: &Config) -> Vec<String> {
    let into = match config.secrets_as {
        SecretsAs::Env => "in the environment",
        SecretsAs::Files => "in /run/secrets",
    };
    let whole = config.secrets.iter().map(|secret| format!("every key of {}, {into}", reference(secret)));
    let single = config.secret.iter().map(|(name, secret)| format!("{name} from {}, {into}", reference(secret)));
    let mut told: Vec<_> = whole.chain(single).collect();
    if let Some(refresh) = &config.secrets_refresh {
        let what = match &refresh.on_change {
            OnChange::Restart => "a restart".to_owned(),
            OnChange::Signal(name) => format!("SIG{name}"),
        };
        told.push(format!("looked at again every {}, a change means {what}", duration_text(refresh.every)));
    }
    told
}

fn reference(secret: &SecretRef) -> String {
    match secret {
        SecretRef::Managed { version_stage: Some(version), .. }
        | SecretRef::Managed { version_id: Some(version), .. } => {
            format!("{secret} ({version})")
        }
        _ => secret.to_string(),
    }
}

fn notes(layers: &Layers) -> Vec<String> {
    let more = layers.pointer_name().map(|pointer| format!("more keys come from {pointer}, which is not read here"));
    let foreign = layers.foreign().map(|foreign| format!("the user-data is {foreign} and holds no config"));
    more.into_iter().chain(foreign).collect()
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn checked(files: &[(&str, &str)], print: Print) -> Checked {
        let mut layers = Layers::new();
        for (source, text) in files {
            add(&mut layers, source, text.as_bytes());
        }
        check(&layers, print)
    }

    fn told(source: &str, text: &str, print: Print) -> String {
        match checked(&[(source, text)], print) {
            Checked { text, verdict: Ok(()), .. } => text,
            Checked { text, verdict: Err(errors), .. } => format!("{text}{errors}"),
        }
    }

    #[track_caller]
    fn shows(source: &str, text: &str, expected: Expect) {
        let told = told(source, text, Print::Text);
        expected.assert_eq(&told.lines().map(str::trim_end).collect::<Vec<_>>().join("\n"));
    }

    #[test]
    fn what_would_run_is_told() {
        shows(
            "user-data.txt",
            "#cloud-config\n#berth image=nginx:1.27 port=80:8080 health=/health secrets=prod/api secret.K=ssm:/k env.LEVEL=hunter2 \
             log_opt.max-size=hunter2 labels=a=hunter2 drain.settle=5s\n",
            expect![[r#"
                image      docker.io/library/nginx:1.27 (the tag's digest is looked up at boot)
                container  berth-nginx
                port       80 -> 8080/tcp
                health     GET /health on port 8080; every 5s, 2s to answer, unhealthy after 3 failures, healthy within 2m of the start
                secret     every key of prod/api, in the environment
                secret     K from ssm:/k, in the environment
                env        LEVEL
                readiness  http://0.0.0.0:9911/ready

                image             nginx:1.27   user-data.txt line 2 column 8
                port              80:8080      user-data.txt line 2 column 25
                health            /health      user-data.txt line 2 column 38
                env.LEVEL         (not shown)  user-data.txt line 2 column 86
                secret.K          ssm:/k       user-data.txt line 2 column 70
                secrets           prod/api     user-data.txt line 2 column 53
                labels            a            user-data.txt line 2 column 129
                log_opt.max-size  (not shown)  user-data.txt line 2 column 104
                drain.settle      5s           user-data.txt line 2 column 146"#]],
        );
        shows(
            "x.toml",
            "image = 'nginx:1.27'\nsecrets_refresh = '1h'\n",
            expect![[r#"
                image      docker.io/library/nginx:1.27 (the tag's digest is looked up at boot)
                container  berth-nginx
                health     the image's HEALTHCHECK, else healthy once it has run for 5s; every 5s, 2s to answer, unhealthy after 3 failures, healthy within 2m of the start
                secret     looked at again every 1h, a change means a restart
                readiness  http://0.0.0.0:9911/ready

                image            nginx:1.27  x.toml line 1 column 1
                secrets_refresh  1h          x.toml line 2 column 1"#]],
        );
    }

    #[test]
    fn what_a_pointer_will_add_is_not_missed() {
        shows(
            "-",
            "berth config=ssm:/prod/berth health=/x\n",
            expect![[r#"
                image      given by ssm:/prod/berth
                health     GET /x on the first port; every 5s, 2s to answer, unhealthy after 3 failures, healthy within 2m of the start
                readiness  http://0.0.0.0:9911/ready
                note       more keys come from ssm:/prod/berth, which is not read here

                health  /x               stdin line 1 column 30
                config  ssm:/prod/berth  stdin line 1 column 7"#]],
        );
    }

    #[test]
    fn every_key_is_in_the_table_with_its_default_if_all_are_asked_for() {
        assert!(!told("-", "berth image=x:1", Print::Text).contains("  default"));
        let told = told("-", "berth image=x:1", Print::All);
        for row in ["boot.timeout ", "spot ", "env.NAME ", "listen "] {
            assert!(told.lines().any(|line| line.starts_with(row) && line.ends_with("  default")), "{row}\n{told}");
        }
    }

    #[test]
    fn faults_come_alone_with_the_name_of_the_file() {
        shows(
            "a.txt",
            "berth prot=80",
            expect![[r#"
            a.txt line 1 column 7: `prot`: unknown key, did you mean `port`?
            `image`: is required"#]],
        );
        shows(
            "a.toml",
            "prot = 80",
            expect![[r#"
            a.toml line 1 column 1: `prot`: unknown key, did you mean `port`?
            `image`: is required"#]],
        );
        shows(
            "-",
            "#!/bin/sh\n",
            expect![
                "`image`: is required, and the user-data holds no config (a line that begins with `berth ` or `#berth `)"
            ],
        );
    }

    #[test]
    fn user_data_stands_above_the_file_of_defaults() {
        let told = checked(
            &[
                ("ami.toml", "image = 'x:old'\nport = 80\n[env]\nA = 'b'\n"),
                ("-", "#cloud-config\n  #berth image=x:new port=81\n"),
            ],
            Print::Text,
        );
        assert!(told.verdict.is_ok());
        let lines: Vec<_> = told.text.lines().collect();
        assert_eq!(lines[0], "image      docker.io/library/x:new (the tag's digest is looked up at boot)");
        assert!(lines.contains(&"port       81 -> 81/tcp") && !told.text.contains("80 -> 80"), "{}", told.text);
        for row in ["image  x:new        stdin line 2 column 10", "env.A  (not shown)  ami.toml line 4 column 1"] {
            assert!(lines.contains(&row), "{row}\n{}", told.text);
        }
        let broken = checked(&[("ami.toml", "prot = 80\n"), ("-", "berth helth=/x\n")], Print::Text);
        expect![[r#"
            ami.toml line 1 column 1: `prot`: unknown key, did you mean `port`?
            stdin line 1 column 7: `helth`: unknown key, did you mean `health`?
            `image`: is required"#]]
        .assert_eq(&broken.verdict.unwrap_err().to_string());
    }

    #[test]
    fn user_data_of_others_is_noted_where_a_file_says_what_runs() {
        for (user_data, what) in
            [("#!/bin/bash\nyum update -y\n", "a script"), ("{\"ignition\":{\"version\":\"3.3.0\"}}", "for Ignition")]
        {
            let told = checked(&[("ami.toml", "image = 'x:1'"), ("-", user_data)], Print::Text);
            assert!(told.verdict.is_ok());
            assert!(
                told.text.contains(&format!("note       the user-data is {what} and holds no config\n")),
                "{}",
                told.text
            );
        }
    }

    #[test]
    fn warnings_stand_beside_the_answer_and_beside_errors() {
        let words = "berth image=x:1 env.DB_PASSWORD=hunter2 volumes=/:/host";
        let told = checked(&[("-", words)], Print::Json);
        assert!(told.verdict.is_ok() && told.warnings.iter().count() == 2, "{}", told.warnings);
        let json: Value = serde_json::from_str(&told.text).unwrap();
        let warning = &json["warnings"][0];
        assert_eq!((&warning["place"], &warning["key"]), (&"stdin line 1 column 17".into(), &"env.DB_PASSWORD".into()));
        assert!(
            warning["reason"].as_str().is_some_and(|reason| reason.contains("`secret.DB_PASSWORD=…`")),
            "{warning}"
        );
        assert!(!told.text.contains("hunter2"));

        let wrong = checked(&[("-", &format!("{words} prot=80"))], Print::Text);
        assert!(wrong.verdict.is_err() && wrong.warnings.iter().count() == 2);
    }

    #[test]
    fn json_says_the_same() {
        let told = told("-", "berth image=x:1 port=80 env.A=hunter2 spot=drain", Print::Json);
        assert!(!told.contains("hunter2"));
        let mut told: Value = serde_json::from_str(&told).unwrap();
        let keys = told["keys"].take();
        let row = |key: &str| (keys[key]["value"].clone(), keys[key]["from"].clone());
        assert_eq!(row("port"), ("80".into(), "stdin line 1 column 17".into()));
        assert_eq!(row("env.A"), (Value::Null, "stdin line 1 column 25".into()));
        assert_eq!(row("boot.timeout"), ("10m".into(), "default".into()));
        assert_eq!(keys["boot.timeout"]["about"], "give up booting after this; at least 1s");
        expect![[r#"
            {
              "config": null,
              "container": "berth-x",
              "env": [
                "A"
              ],
              "health": "the image's HEALTHCHECK, else a TCP connection to port 80",
              "image": "docker.io/library/x:1",
              "keys": null,
              "listen": "0.0.0.0:9911",
              "name": "x",
              "notes": [],
              "pinned": false,
              "ports": [
                "80 -> 80/tcp"
              ],
              "secrets": [],
              "version": "1",
              "warnings": []
            }"#]]
        .assert_eq(&format!("{told:#}"));
    }
}
