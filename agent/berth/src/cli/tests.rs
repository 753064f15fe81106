//! The command line as it is read: what is taken where, and how a mistake is answered.

use std::time::Duration;

use clap::CommandFactory;

use super::*;

fn parse(words: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(words.split_whitespace())
}

#[test]
fn the_commands_are_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn run_takes_keys_and_flags_on_either_side() {
    let (at, command) = parse("berth --run-dir /r --config /a run image=x:1 port=80 --config /c").unwrap().into_parts();
    let sources = at.sources(Vec::new());
    assert_eq!((sources.file, sources.file_is_required), (PathBuf::from("/c"), true));
    assert_eq!(at.run_dir(), PathBuf::from("/r"));
    let CommandArgs::Run(run) = command else { panic!("{command:?}") };
    assert_eq!(run.words, ["image=x:1", "port=80"]);
    assert_eq!(run.console, PathBuf::from("/dev/console"));
    let sources = Global::default().sources(Vec::new());
    assert_eq!((sources.file, sources.file_is_required), (PathBuf::from(CONFIG), false));
}

#[test]
fn a_flag_is_shown_and_taken_only_where_it_means_something() {
    const ALL: [&str; 3] = ["--config", "--run-dir", "--state-dir"];
    for (command, used) in [
        ("run", "--config --run-dir --state-dir"),
        ("check -", "--config"),
        ("status", "--run-dir --state-dir"),
        ("timeline", "--run-dir --state-dir"),
        ("drain", "--run-dir"),
        ("handover", "--run-dir"),
        ("exec", "--run-dir --state-dir"),
        ("wait ready", "--run-dir"),
        ("bake", "--config --run-dir --state-dir"),
        ("doctor", "--config --run-dir"),
        ("policy", "--config"),
        ("release status s3://prod/api", ""),
        ("release publish s3://prod/api x:1", ""),
        ("completions bash", ""),
    ] {
        let help = parse(&format!("berth {command} --help")).unwrap_err().to_string();
        for flag in ALL {
            let is_used = used.split(' ').any(|one| one == flag);
            assert_eq!(help.contains(&format!("{flag} <")), is_used, "{command} {flag}\n{help}");
            // Behind these flags stands what is run.
            let rest = if command == "exec" { " true" } else { "" };
            assert_eq!(parse(&format!("berth {command} {flag} /x{rest}")).is_ok(), is_used, "{command} {flag}");
            // In front of the command a script may give them all.
            assert!(parse(&format!("berth {flag} /x {command}{rest}")).is_ok(), "{flag} {command}");
        }
        let command = command.replace("exec", "exec true");
        let (at, _) = parse(&format!("berth --config /c --run-dir /r --state-dir /s {command}")).unwrap().into_parts();
        assert_eq!((at.run_dir(), at.state_dir()), ("/r".into(), "/s".into()), "{command}");
    }
}

#[test]
fn a_wrong_flag_or_command_is_answered_with_the_nearest() {
    for (wrong, meant) in [
        ("berth chek", "check"),
        ("berth statsu", "status"),
        ("berth check --jsn", "--json"),
        ("berth wait redy", "ready"),
        ("berth run --log-fromat json", "--log-format"),
        ("berth status --confg /x", "--"),
    ] {
        let shown = parse(wrong).unwrap_err();
        assert!(shown.exit_code() == 2 && shown.to_string().contains(&format!("'{meant}")), "{wrong}: {shown}");
    }
    assert!(Cli::command().get_subcommands().all(|command| command.get_all_aliases().next().is_none()));
}

#[test]
fn help_is_a_command_too() {
    for words in ["berth help", "berth help status", "berth --help", "berth status --help", "berth help help"] {
        let shown = parse(words).unwrap_err();
        assert_eq!((shown.kind(), shown.exit_code()), (clap::error::ErrorKind::DisplayHelp, 0), "{words}");
    }
    let shown = parse("berth help status").unwrap_err().to_string();
    assert!(shown.contains("Usage: berth status"), "{shown}");
    assert_eq!(parse("berth help nonsense").unwrap_err().exit_code(), 2);
}

#[test]
fn what_follows_the_program_of_exec_is_its_own() {
    let exec = |words: &str| match parse(words).unwrap().command {
        CommandArgs::Exec(exec) => (exec.interactive, exec.terminal, exec.user, exec.command.join(" ")),
        other => panic!("{other:?}"),
    };
    assert_eq!(exec("berth exec -- env"), (false, false, None, "env".into()));
    assert_eq!(exec("berth exec -it sh -c id --user x -i"), (true, true, None, "sh -c id --user x -i".into()));
    assert_eq!(
        exec("berth exec --user 0:0 -i -- -strange --run-dir /r"),
        (true, false, Some("0:0".into()), "-strange --run-dir /r".into())
    );
    for refused in ["berth exec", "berth exec -t", "berth exec --", "berth exec --detach -- env"] {
        assert_eq!(parse(refused).unwrap_err().exit_code(), 2, "{refused}");
    }
}

#[test]
fn wait_offers_what_it_can_wait_for() {
    let CommandArgs::Wait(wait) = parse("berth wait ready --timeout 1h30m").unwrap().command else { panic!() };
    assert_eq!((wait.condition, wait.timeout), (Condition::Ready, Duration::from_secs(5400)));
    for refused in [
        "berth wait",
        "berth wait gone",
        "berth drain because",
        "berth wait ready --timeout 5",
        "berth wait ready --timeout -5s",
        "berth policy --account 1234",
        "berth policy --region Ohio",
        "berth wait ready --timeout 9999999999999999999h",
        "berth wait ready --timeout 169h",
        "berth",
    ] {
        assert_eq!(parse(refused).unwrap_err().exit_code(), 2, "{refused}");
    }
    let negative = parse("berth wait ready --timeout -5s").unwrap_err().to_string();
    assert!(negative.contains("'-5s' for '--timeout <TIME>': is not a duration"), "{negative}");
}

#[test]
fn a_directory_is_the_flag_then_systemds_first_then_the_usual() {
    let fallback = |flag: Option<&str>, environment: Option<&str>| {
        directory(flag.map(Path::new), environment.map(Into::into), "/run/berth")
    };
    assert_eq!(fallback(Some("/flag"), Some("/a:/b")), PathBuf::from("/flag"));
    assert_eq!(fallback(None, Some("/a:/b")), PathBuf::from("/a"));
    assert_eq!(fallback(None, Some("")), PathBuf::from("/run/berth"));
    assert_eq!(fallback(None, None), PathBuf::from("/run/berth"));
}

#[test]
fn a_release_is_of_a_document_in_s3() {
    let release = |words: &str| match parse(words).unwrap().command {
        CommandArgs::Release(release) => release.command,
        other => panic!("{other:?}"),
    };
    let ReleaseCommand::Publish(publish) =
        release("berth release publish s3://prod-berth/api - --board s3://prod-berth/boards/api/ --wait --instances 3")
    else {
        panic!()
    };
    assert_eq!(publish.followed.pointer.to_string(), "s3://prod-berth/api");
    assert_eq!(publish.followed.board.map(|board| board.prefix), Some("boards/api".into()));
    assert_eq!((publish.waiting.instances, publish.waiting.timeout), (Some(3), Duration::from_secs(1800)));
    let ReleaseCommand::Rollback(rollback) =
        release("berth release rollback s3://b-1/api --to 0123456789abcdef --wait --group web --timeout 5m")
    else {
        panic!()
    };
    assert_eq!(rollback.to.map(|to| to.0), Some("0123456789abcdef".into()));
    assert_eq!((rollback.waiting.group.as_deref(), rollback.waiting.timeout), (Some("web"), Duration::from_secs(300)));
    for (refused, why) in [
        ("berth release status ssm:/prod", "publishes to s3://BUCKET/KEY"),
        ("berth release status s3:prod/api", "with two slashes"),
        ("berth release status s3://prod-berth", "has no key after the bucket"),
        ("berth release halt s3://prod-berth/api --board prod", "is not s3://BUCKET/PREFIX"),
        ("berth release rollback s3://prod-berth/api --to 0123", "is not the id of a release"),
        ("berth release publish s3://prod-berth/api x:1 --instances 3", "--wait"),
        ("berth release rollback s3://prod-berth/api --group g", "--wait"),
        ("berth release publish s3://prod-berth/api x:1 --wait --instances 0", "0 is not in"),
        ("berth release publish s3://prod-berth/api x:1 --wait --instances 1 --group g", "cannot be used with"),
        ("berth release publish s3://prod-berth/api x:1 --wait --no-board", "cannot be used with"),
        ("berth release publish s3://prod-berth/api", "FILE|IMAGE"),
        ("berth release", "Usage"),
    ] {
        let shown = parse(refused).unwrap_err();
        assert!(shown.exit_code() == 2 && shown.to_string().contains(why), "{refused}: {shown}");
    }
}
