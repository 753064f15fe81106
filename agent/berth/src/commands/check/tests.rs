use berth_config::Code;
use expect_test::{Expect, expect};
use serde_json::Value;

use super::*;

fn checked(files: &[(&str, &str)], print: Print) -> Checked {
    let mut layers = Layers::new();
    for (source, text) in files {
        add(&mut layers, source, text.as_bytes());
    }
    check(&layers, print)
}

fn printed(source: &str, text: &str, print: Print) -> String {
    match checked(&[(source, text)], print) {
        Checked { text, verdict: Ok(()), .. } => text,
        Checked { text, verdict: Err(errors), .. } => format!("{text}{errors}"),
    }
}

#[track_caller]
fn shows(source: &str, text: &str, expected: Expect) {
    let output = printed(source, text, Print::Text);
    expected.assert_eq(&output.lines().map(str::trim_end).collect::<Vec<_>>().join("\n"));
}

#[test]
fn the_ports_of_target_groups_are_printed() {
    let web = "arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/web/73e2d6bc24d8a067";
    let targets = |words: &str| -> Vec<String> {
        let text = printed("-", &format!("berth image=x:1 {words}").replace("WEB", web), Print::Text);
        let lines = text.lines().filter(|line| line.starts_with("target "));
        lines.map(|line| line.trim_start_matches("target").trim().to_owned()).collect()
    };
    assert_eq!(
        targets("port=0:8080,9000 target_groups=WEB,WEB#9000"),
        [
            "web: port 8080 of the container, host port chosen by berth",
            "web: port 9000 of the container, host port 9000"
        ]
    );
    assert_eq!(
        targets("port=127.0.0.1:81:80,82:80 target_groups=WEB"),
        ["web: port 80 of the container, host port 82"]
    );
    assert_eq!(targets("network=host target_groups=WEB#9000"), ["web: port 9000 of the container, host port 9000"]);
    assert_eq!(targets("port=80"), [""; 0]);
    let json = printed("-", &format!("berth image=x:1 port=80 target_groups={web}"), Print::Json);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["targets"], serde_json::json!(["web: port 80 of the container, host port 80"]));
}

#[test]
fn what_would_run_is_printed() {
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
            secret     checked every 1h, a change causes a restart
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
fn how_a_change_of_the_document_is_released_is_printed() {
    shows(
        "-",
        "berth config=s3://prod-berth/api follow=15s release.board=s3://prod-berth/board\n",
        expect![[r#"
            image      given by s3://prod-berth/api
            health     the image's HEALTHCHECK, else healthy once it has run for 5s; every 5s, 2s to answer, unhealthy after 3 failures, healthy within 2m of the start
            readiness  http://0.0.0.0:9911/ready
            release    looks every 15s, moves by readiness unless s3://prod-berth/api says otherwise: the instance is out of the load balancer from 503 until the new container is healthy, and takes a lock
            note       more keys come from s3://prod-berth/api, which is not read here

            config         s3://prod-berth/api    stdin line 1 column 7
            follow         15s                    stdin line 1 column 34
            release.board  s3://prod-berth/board  stdin line 1 column 45"#]],
    );
    let json = printed("-", "berth config=ssm:/x follow=15s release.move=restart", Print::Json);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["release"]["follow"], &json["release"]["move"]), (&"15s".into(), &"restart".into()));
    // A document of its own follows nothing.
    let alone = printed("document.toml", "image = 'x:1'\nfollow = '15s'\nrelease.move = 'restart'\n", Print::Text);
    assert!(alone.starts_with("document.toml line 2 column 1: `follow`: needs `config=`"), "{alone}");
}

#[test]
fn every_key_is_in_the_table_with_its_default_if_all_are_asked_for() {
    assert!(!printed("-", "berth image=x:1", Print::Text).contains("  default"));
    let output = printed("-", "berth image=x:1", Print::All);
    for row in ["boot.timeout ", "spot ", "env.NAME ", "listen "] {
        assert!(output.lines().any(|line| line.starts_with(row) && line.ends_with("  default")), "{row}\n{output}");
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
            "`image`: is required, and the user-data has no config (a line that begins with `berth ` or `#berth `)"
        ],
    );
}

#[test]
fn user_data_stands_above_the_file_of_defaults() {
    let output = checked(
        &[
            ("ami.toml", "image = 'x:old'\nport = 80\n[env]\nA = 'b'\n"),
            ("-", "#cloud-config\n  #berth image=x:new port=81\n"),
        ],
        Print::Text,
    );
    assert!(output.verdict.is_ok());
    let lines: Vec<_> = output.text.lines().collect();
    assert_eq!(lines[0], "image      docker.io/library/x:new (the tag's digest is looked up at boot)");
    assert!(lines.contains(&"port       81 -> 81/tcp") && !output.text.contains("80 -> 80"), "{}", output.text);
    for row in ["image  x:new        stdin line 2 column 10", "env.A  (not shown)  ami.toml line 4 column 1"] {
        assert!(lines.contains(&row), "{row}\n{}", output.text);
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
        let output = checked(&[("ami.toml", "image = 'x:1'"), ("-", user_data)], Print::Text);
        assert!(output.verdict.is_ok());
        assert!(
            output.text.contains(&format!("note       the user-data is {what} and holds no config\n")),
            "{}",
            output.text
        );
    }
}

#[test]
fn warnings_stand_beside_the_answer_and_beside_errors() {
    let words = "berth image=x:1 env.DB_PASSWORD=hunter2 volumes=/:/host";
    let output = checked(&[("-", words)], Print::Json);
    assert!(output.verdict.is_ok() && output.warnings.iter().count() == 2, "{}", output.warnings);
    let json: Value = serde_json::from_str(&output.text).unwrap();
    let warning = &json["warnings"][0];
    assert_eq!((&warning["place"], &warning["key"]), (&"stdin line 1 column 17".into(), &"env.DB_PASSWORD".into()));
    assert_eq!(
        (&warning["code"], &warning["line"], &warning["column"]),
        (&"plain_secret".into(), &1.into(), &17.into())
    );
    assert!(warning["message"].as_str().is_some_and(|message| message.contains("`secret.DB_PASSWORD=…`")), "{warning}");
    assert!(!output.text.contains("hunter2"));

    let wrong = checked(&[("-", &format!("{words} prot=80"))], Print::Text);
    assert!(wrong.verdict.is_err() && wrong.warnings.iter().count() == 2);
}

#[test]
fn json_says_the_same() {
    let output = printed("-", "berth image=x:1 port=80 env.A=hunter2 spot=drain", Print::Json);
    assert!(!output.contains("hunter2"));
    let mut output: Value = serde_json::from_str(&output).unwrap();
    let keys = output["keys"].take();
    let row = |key: &str| (keys[key]["value"].clone(), keys[key]["from"].clone());
    assert_eq!(row("port"), ("80".into(), "stdin line 1 column 17".into()));
    assert_eq!(row("env.A"), (Value::Null, "stdin line 1 column 25".into()));
    assert_eq!(row("boot.timeout"), ("10m".into(), "default".into()));
    assert_eq!(keys["boot.timeout"]["about"], "the boot fails after this; at least 1s");
    expect![[r#"
        {
          "config": null,
          "container": "berth-x",
          "env": [
            "A"
          ],
          "errors": [],
          "health": "the image's HEALTHCHECK, else a TCP connection to port 80",
          "image": "docker.io/library/x:1",
          "keys": null,
          "layers": [
            "stdin"
          ],
          "listen": "0.0.0.0:9911",
          "name": "x",
          "notes": [],
          "ok": true,
          "pinned": false,
          "ports": [
            "80 -> 80/tcp"
          ],
          "release": null,
          "secrets": [],
          "targets": [],
          "version": "1",
          "warnings": []
        }"#]]
    .assert_eq(&format!("{output:#}"));
}

#[test]
fn errors_are_json_too_each_with_its_code_its_place_and_what_helps() {
    let text = "berth imgae=x:1 env=a port=hunter2 health=none health=none env.B=1 secret.B=hunter2 alone";
    let output = checked(&[("ami.toml", "port = 'x"), ("-", text)], Print::Json);
    assert!(output.verdict.is_err() && !output.text.contains("hunter2"), "{}", output.text);
    let json: Value = serde_json::from_str(&output.text).unwrap();
    assert_eq!((&json["ok"], &json["layers"]), (&false.into(), &serde_json::json!(["ami.toml", "stdin"])));
    let errors = json["errors"].as_array().unwrap();
    let shown = errors.iter().map(|error| {
        let word = |name: &str| error[name].as_str().unwrap_or("-").to_owned();
        format!("{} {} {} {}", word("code"), word("key"), word("suggestion"), word("place"))
    });
    expect![[r#"
        syntax - - ami.toml line 1 column 10
        unknown_key imgae image stdin line 1 column 7
        unknown_key env env.NAME stdin line 1 column 17
        invalid_value port - stdin line 1 column 23
        given_twice health - stdin line 1 column 48
        conflict secret.B - stdin line 1 column 68
        no_equals - - stdin line 1 column 85"#]]
    .assert_eq(&shown.collect::<Vec<_>>().join("\n"));
    for error in errors {
        assert!(
            ["message", "help"].iter().all(|part| error[part].as_str().is_some_and(|text| text.len() > 10)),
            "{error}"
        );
    }
    let port = errors.iter().find(|error| error["key"] == "port").unwrap();
    assert!(port["help"].as_str().unwrap().ends_with("; for example `port=8080`"), "{port}");

    let missing = checked(&[("-", "berth port=80")], Print::Json);
    let json: Value = serde_json::from_str(&missing.text).unwrap();
    assert_eq!((&json["errors"][0]["code"], &json["errors"][0]["place"]), (&"missing".into(), &Value::Null));
    let unreadable: Value = serde_json::from_str(&json::unreadable("cannot read x: no")).unwrap();
    assert_eq!((&unreadable["ok"], &unreadable["errors"][0]["code"]), (&false.into(), &"unreadable".into()));
}

#[test]
fn every_error_and_warning_has_the_code_of_its_kind() {
    for (source, text, code) in [
        ("-", "#cloud-config\nberth: {image: x}\n", Code::NotAConfig),
        ("-", "{\"image\":", Code::Syntax),
        ("-", "berth image = x:1", Code::Syntax),
        ("-", "berth image='x:1", Code::Syntax),
        ("-", "berth image=x:1 alone", Code::NoEquals),
        ("-", "berth image=x:1 helth=/", Code::UnknownKey),
        ("-", "{\"image\": \"x:1\", \"mountPoints\": [{\"sourceVolume\": \"a\"}]}", Code::UnknownKey),
        ("-", "{\"image\": \"x:1\", \"labels\": [{\"a\": \"b\"}]}", Code::InvalidValue),
        ("-", "{\"image\": \"x:1\", \"port\": null}", Code::InvalidValue),
        ("-", "berth image=x:1 image=x:2", Code::GivenTwice),
        ("-", "berth image=x", Code::InvalidValue),
        ("-", "berth port=80", Code::Missing),
        ("-", "berth image=x:1 health=/", Code::Missing),
        ("-", "berth image=x:1 port=80:81 network=host", Code::Conflict),
        ("a.toml", "berth image=x:1", Code::NotAConfig),
        ("-", "#berth\n", Code::EmptyConfig),
        ("-", "{}", Code::EmptyConfig),
        ("-", "berth \n", Code::EmptyConfig),
    ] {
        let Checked { warnings, verdict, .. } = checked(&[(source, text)], Print::Text);
        let errors = verdict.err().unwrap_or_default();
        let codes: Vec<_> = errors.iter().chain(warnings.iter()).map(|error| error.code).collect();
        assert!(codes.contains(&code), "{text}: {codes:?}");
    }
    let mut layers = Layers::new();
    layers.add_pointed(&berth_config::Pointer::Ssm("/x".into()), b"berth config=ssm:/y");
    assert_eq!(layers.errors_so_far().iter().map(|error| error.code).collect::<Vec<_>>(), [Code::NestedPointer]);
}

#[test]
fn a_config_without_keys_and_one_too_long_for_ec2_are_warned_of() {
    let output = |text: &str| {
        let output = checked(&[("ami.toml", "image = 'x:1'"), ("-", text)], Print::Text);
        assert!(output.verdict.is_ok(), "{text}");
        output.warnings.to_string()
    };
    assert_eq!(output("#berth\n"), "stdin: has a config without keys: the other layers decide what runs");
    assert_eq!(output("#!/bin/sh\n"), "");
    let long = format!("berth port=80 env.A={}", "x".repeat(16 << 10));
    assert!(output(&long).starts_with("stdin: is longer than 16 KB"), "{}", output(&long));
    // As the package brings it.
    let shipped = checked(&[("ami.toml", "# image = 'x:1'\n"), ("-", "berth image=x:1")], Print::Text);
    assert_eq!(shipped.warnings.to_string(), "");
}

#[test]
fn a_file_of_defaults_stands_in_the_place_of_the_ami_s_and_user_data_above_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("berth.toml");
    std::fs::write(&file, "image = 'x:ami'\nport = 80\n").unwrap();
    let sources = |file_is_required| ConfigSources { file: file.clone(), file_is_required, words: Vec::new() };
    let image = |file_is_required, source: &str, text: &str| {
        let layers = layered(&sources(file_is_required), source, text.as_bytes()).unwrap();
        let image = layers.resolve_in_part().0.image.to_string();
        (image, layers.sources().len(), layers.listen().is_some())
    };
    assert_eq!(image(false, "-", "berth image=x:1").0, "docker.io/library/x:1");
    assert_eq!(image(false, "-", "berth port=81").0, "docker.io/library/x:ami");
    assert_eq!(image(false, "-", "berth port=81").1, 2);
    assert_eq!(image(false, "other.toml", "image = 'x:2'").1, 1);
    assert_eq!(image(true, "other.toml", "image = 'x:2'"), ("docker.io/library/x:2".into(), 2, false));
    let none = ConfigSources { file: folder.path().join("none"), file_is_required: false, words: Vec::new() };
    assert_eq!(layered(&none, "-", b"berth image=x:1").unwrap().sources(), ["stdin"]);
}

#[test]
fn what_has_no_end_and_what_is_no_file_is_an_error() {
    let refused = |file: &str| read(Path::new(file)).unwrap_err();
    assert!(refused("/dev/zero").contains("cannot read /dev/zero: longer than 1 MiB"), "{}", refused("/dev/zero"));
    assert!(refused("/nowhere").starts_with("cannot read /nowhere: "));
    let words = refused("env.KEY=hunter2");
    assert!(words.contains("takes a file") && !words.contains("hunter2"), "{words}");
}
