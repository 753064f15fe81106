use super::*;

const ARN: &str = "arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/web/73e2d6bc24d8a067";

/// Follows an object, with a board.
const FOLLOWED: &str = "follow=15s config=s3://prod-berth/api release.board=s3://prod-berth/board";

fn layers(words: &str) -> Layers {
    let words = words.replace("ARN", ARN).replace("FOLLOWED", FOLLOWED);
    let mut layers = Layers::new();
    layers.add_user_data(format!("berth image=x:1 {words}").as_bytes());
    layers
}

/// The code, the location and the text of the only error.
#[track_caller]
fn refused(words: &str, code: Code, key: &str, reason: &str) {
    let errors = layers(words).resolve().expect_err(words);
    let one: Vec<_> = errors.iter().collect();
    let [one] = one.as_slice() else { panic!("{words}: {errors}") };
    assert!(one.location.is_some(), "{words}: {errors}");
    assert_eq!((one.code, one.key.as_deref()), (code, Some(key)), "{words}: {errors}");
    assert!(one.reason.starts_with(reason), "{words}: {errors}");
}

#[track_caller]
fn allowed(words: &str) {
    assert_eq!(layers(words).resolve().err().map(|errors| errors.to_string()), None, "{words}");
}

/// The only warning, if there is one.
#[track_caller]
fn warned(words: &str) -> Option<(Code, String)> {
    let layers = layers(words);
    let config = layers.resolve().unwrap_or_else(|errors| panic!("{words}: {errors}"));
    let mut warnings = ConfigErrors::default();
    layers.warn_of_releases(&config, &mut warnings);
    let all: Vec<_> = warnings.iter().collect();
    assert!(all.len() < 2, "{words}: {warnings}");
    all.first().map(|one| (one.code, format!("{}: {}", one.key.as_deref().unwrap_or_default(), one.reason)))
}

#[test]
fn what_follows_nothing_is_refused() {
    refused("follow=15s release.move=restart", Code::Missing, "follow", "needs `config=`");
    // A pointer that is refused has its own error.
    refused("follow=15s config=prod/api release.move=restart", Code::InvalidValue, "config", "is not");
    refused("follow=0s config=ssm:/x release.move=restart", Code::InvalidValue, "follow", "is shorter");
    allowed("follow=15s config=ssm:/x release.move=restart");
    allowed("FOLLOWED");
    allowed("follow=off");
    // The keys of a source that cannot be read are unknown, not missing.
    let mut broken = Layers::new();
    broken.add_file("berth.toml", b"image = 'x:1'\nfollow = '15s'\n");
    broken.add_user_data(b"berth config='ssm:/x");
    let reported = broken.resolve().unwrap_err().to_string();
    assert!(reported.contains("is never closed") && reported.lines().count() == 1, "{reported}");
    let mut alone = Layers::new();
    alone.add_file("document.toml", b"image = 'x:1'\nfollow = '15s'\nrelease.move = 'restart'\n");
    let (_, errors) = alone.resolve_what_is_written(false);
    assert!(errors.to_string().starts_with("document.toml line 2 column 1: `follow`: needs `config=`"), "{errors}");
}

#[test]
fn a_fleet_that_would_go_all_at_once_is_refused() {
    let why = "needs `release.board`: without it every instance of a fleet would be away at once";
    refused("follow=15s config=s3://prod-berth/api", Code::Missing, "follow", why);
    refused("follow=15s config=s3://prod-berth/api release.move=readiness", Code::Missing, "follow", why);
    refused("follow=15s config=s3://prod-berth/api release.move=auto port=80", Code::Missing, "follow", why);
    allowed("follow=15s config=s3://prod-berth/api target_groups=ARN port=0:80");
    allowed("follow=15s config=s3://prod-berth/api release.move=targets target_groups=ARN port=0:80");
    allowed("follow=15s config=s3://prod-berth/api release.move=restart");
    // A board that is refused has its own error.
    refused("follow=15s config=s3://prod-berth/api release.board=x", Code::InvalidValue, "release.board", "is not");
}

#[test]
fn what_the_document_may_add_is_not_missing_yet() {
    let errors = |words: &str| layers(words).resolve_what_is_written(true).1.to_string();
    assert_eq!(errors("follow=15s config=s3://prod-berth/api"), "");
    assert_eq!(errors("follow=15s config=s3://prod-berth/api release.move=targets port=0:80"), "");
    // The document may say `release.move=restart`.
    assert_eq!(errors("follow=15s config=s3://prod-berth/api target_groups=ARN port=80"), "");
    assert_eq!(errors("follow=15s config=s3://prod-berth/api network=host"), "");
    let reported = errors("follow=15s config=s3://prod-berth/api release.move=targets port=80");
    assert!(reported.contains("`port`: has a fixed host port"), "{reported}");
    let reported = errors("follow=15s config=s3://prod-berth/api release.move=readiness network=host");
    assert!(reported.contains("`network`: "), "{reported}");
    // What it adds is checked with the rest.
    let mut layers = layers("follow=15s config=s3://prod-berth/api");
    layers.add_pointed(&layers.pointer().unwrap(), b"berth port=80");
    let reported = layers.resolve().unwrap_err().to_string();
    assert!(reported.starts_with("user-data line 1 column 17: `follow`: needs `release.board`"), "{reported}");
}

#[test]
fn targets_without_target_groups_are_refused() {
    refused("release.move=targets", Code::Missing, "release.move", "`targets` needs `target_groups`");
    refused("FOLLOWED release.move=targets", Code::Missing, "release.move", "`targets` needs `target_groups`");
    // Target groups that are refused have their own error.
    refused("release.move=targets target_groups=web", Code::InvalidValue, "target_groups", "is not");
}

#[test]
fn a_port_that_two_containers_cannot_have_is_refused() {
    for words in [
        "FOLLOWED target_groups=ARN port=80",
        "FOLLOWED target_groups=ARN port=0:80,9000",
        "FOLLOWED target_groups=ARN port=0:80,53:53/udp",
        "FOLLOWED target_groups=ARN port=0:80,127.0.0.1:9000:9000",
        "FOLLOWED target_groups=ARN,ARN#81 port=0:80,81",
        "release.move=targets target_groups=ARN port=80",
    ] {
        refused(words, Code::Conflict, "port", "has a fixed host port, which two containers cannot have at once");
    }
    refused(
        "FOLLOWED target_groups=ARN ports=8080:80,81",
        Code::Conflict,
        "ports",
        "has a fixed host port, which two containers cannot have at once while traffic moves by `targets`: let berth choose it, \
         as in `ports=0:80`, or write `release.move=restart`",
    );
    // A port that is refused has its own error.
    refused("FOLLOWED target_groups=ARN port=80,x", Code::InvalidValue, "port", "entry 2");
    refused(
        "FOLLOWED target_groups=ARN port=80,80:81",
        Code::Conflict,
        "port",
        "has two entries for the same host port",
    );
    refused(
        "FOLLOWED target_groups=ARN port=80 release.move=rolling",
        Code::InvalidValue,
        "release.move",
        "is not one of",
    );
    allowed("FOLLOWED target_groups=ARN port=0:80,0:53/udp");
    allowed("FOLLOWED target_groups=ARN port=80 release.move=restart");
    allowed("target_groups=ARN port=80");
    allowed("target_groups=ARN port=80 release.move=auto");
    allowed("FOLLOWED port=80,53:53/udp");
}

#[test]
fn a_network_without_ports_of_its_own_is_refused() {
    refused("FOLLOWED target_groups=ARN#80 network=host", Code::Conflict, "network", "`host` has one set of ports");
    refused(
        "release.move=targets target_groups=ARN#80 network=host",
        Code::Conflict,
        "network",
        "`host` has one set of ports",
    );
    for network in ["none", "container:db"] {
        let words = format!("FOLLOWED target_groups=ARN#80 health=none network={network}");
        refused(&words, Code::Conflict, "target_groups", "`web` needs a port that is published");
    }
    for (words, network) in [
        ("FOLLOWED network=host", "host"),
        ("FOLLOWED release.move=readiness network=host", "host"),
        ("FOLLOWED network=container:db health=none", "container:NAME"),
    ] {
        let reason = format!("with `{network}` the new container would share its ports with the old one");
        refused(words, Code::Conflict, "network", &reason);
    }
    for words in [
        "FOLLOWED network=host release.move=restart",
        "FOLLOWED network=container:db health=none release.move=restart",
        "FOLLOWED target_groups=ARN#80 network=host release.move=restart",
        "FOLLOWED network=none health=none",
        "FOLLOWED network=web port=80",
        "release.move=readiness network=host",
        "target_groups=ARN#80 network=host",
    ] {
        allowed(words);
    }
}

#[test]
fn readiness_cannot_register_the_port_of_a_target_again() {
    refused(
        "FOLLOWED release.move=readiness target_groups=ARN port=80",
        Code::Conflict,
        "release.move",
        "`readiness` would register the same port",
    );
    allowed("release.move=readiness target_groups=ARN port=80");
}

#[test]
fn a_time_of_health_without_a_probe_is_allowed() {
    allowed("FOLLOWED release.healthy_for=1m health=none");
    assert_eq!(warned("FOLLOWED release.healthy_for=1m health=none"), None);
}

#[test]
fn a_key_of_a_release_that_never_is_is_a_warning() {
    for words in [
        "release.move=restart",
        "release.healthy_for=0s",
        "release.bake=0s",
        "release.failures=2",
        "release.waves=100%@1m",
        "release.board=s3://prod-berth/board",
    ] {
        let key = words.split('=').next().unwrap();
        let (code, text) = warned(words).unwrap();
        assert!(
            code == Code::UnusedKey && text.starts_with(&format!("{key}: has no effect without `follow`")),
            "{text}"
        );
    }
    assert_eq!(warned("release.move=restart secrets=a secrets_refresh=1h"), None);
    assert_eq!(warned("release.move=restart config=s3://prod-berth/api"), None, "the document may say `follow`");
    let mut pointed = layers("release.bake=1m config=s3://prod-berth/api");
    pointed.add_pointed(&pointed.pointer().unwrap(), b"berth port=80");
    let reported = pointed.warnings(&pointed.resolve().unwrap()).to_string();
    assert!(reported.contains("`release.bake`: has no effect without `follow`"), "{reported}");
}

#[test]
fn a_limit_without_a_board_is_a_warning() {
    for words in ["release.max_parallel=2", "release.failures=2"] {
        let (key, _) = words.split_once('=').unwrap();
        let mut pointed = layers(&format!("{words} follow=15s config=s3://prod-berth/api"));
        pointed.add_pointed(&pointed.pointer().unwrap(), b"berth release.move=targets");
        pointed.add_words(&[format!("target_groups={ARN}"), "port=0:80".to_owned()]);
        let reported = pointed.warnings(&pointed.resolve().unwrap()).to_string();
        let expected = format!("user-data line 1 column 17: `{key}`: has no effect without `release.board`");
        assert!(reported.starts_with(&expected) && reported.lines().count() == 1, "{reported}");
        let (code, _) = warned(&format!("FOLLOWED {words}")).unwrap();
        assert_eq!(code, Code::LimitOutsideDocument);
        let unread = format!("{words} follow=15s config=s3://prod-berth/api target_groups=ARN port=0:80");
        assert_eq!(warned(&unread), None, "the document may name a board");
    }
}

#[test]
fn a_limit_that_the_document_does_not_have_is_a_warning() {
    for words in ["release.max_parallel=2", "release.failures=2"] {
        let (key, _) = words.split_once('=').unwrap();
        let (code, text) = warned(&format!("FOLLOWED {words}")).unwrap();
        let expected = format!("{key}: belongs into the document: `berth release` reads it there alone");
        assert!(code == Code::LimitOutsideDocument && text.starts_with(&expected), "{text}");
        // The user-data wins over a document that has it too.
        let with = |user_data: &str, defaults: &str, document: Option<&str>| {
            let mut layers = Layers::new();
            layers.add_file("berth.toml", defaults.as_bytes());
            layers.add_user_data(format!("berth image=x:1 {}", user_data.replace("FOLLOWED", FOLLOWED)).as_bytes());
            if let Some(document) = document {
                layers.add_pointed(&layers.pointer().unwrap(), format!("berth port=80 {document}").as_bytes());
            }
            let (config, _) = layers.resolve_what_is_written(document.is_none());
            let mut warnings = ConfigErrors::default();
            layers.warn_of_releases(&config, &mut warnings);
            warnings.to_string()
        };
        let reported = with(&format!("FOLLOWED {words}"), "", Some(words));
        assert!(reported.contains(&format!("`{key}`: belongs into the document")), "{reported}");
        assert_eq!(with("FOLLOWED", "", Some(words)), "");
        // The document wins over the file: whether it has the key is unknown until it is read.
        let file = words.replace("=", " = ");
        assert_eq!(with("FOLLOWED", &file, None), "");
        assert_eq!(with("FOLLOWED", &file, Some(words)), "");
        let reported = with("FOLLOWED", &file, Some(""));
        assert!(reported.starts_with(&format!("berth.toml line 1 column 9: `{key}`: belongs into")), "{reported}");
    }
    // `berth release` publishes to S3 alone, and counts nothing without a board.
    assert_eq!(warned("release.failures=2 follow=15s config=ssm:/x release.board=s3://prod-berth/board"), None);
    assert_eq!(warned("release.bake=2m FOLLOWED"), None, "it counts for each instance alone");
}

#[test]
fn a_volume_that_two_containers_write_to_is_a_warning() {
    for words in [
        "FOLLOWED volumes=/mnt/data:/data",
        "FOLLOWED volumes=/a:/a:ro,data:/data",
        "FOLLOWED volumes=data:/data target_groups=ARN port=0:80",
    ] {
        let (code, text) = warned(words).unwrap();
        assert_eq!(code, Code::SharedVolume);
        assert!(text.starts_with("volumes: is mounted in two containers at once during a release"), "{text}");
    }
    for words in [
        "volumes=/mnt/data:/data",
        "FOLLOWED volumes=/mnt/data:/data:ro",
        "FOLLOWED volumes=/data",
        "FOLLOWED volumes=/var/run/docker.sock:/var/run/docker.sock",
    ] {
        assert_eq!(warned(words), None, "{words}");
    }
}

#[test]
fn a_release_that_takes_the_app_away_is_a_warning() {
    let (code, text) = warned("follow=15s config=ssm:/x release.move=restart").unwrap();
    assert_eq!(code, Code::AwayDuringRelease);
    assert!(text.starts_with("release.move: the app is away from the stop"), "{text}");
    // Nothing is there twice.
    let (code, _) = warned("follow=15s config=ssm:/x release.move=restart volumes=/mnt/data:/data").unwrap();
    assert_eq!(code, Code::AwayDuringRelease);
}

#[test]
fn a_parameter_that_is_read_too_often_is_a_warning() {
    let board = "release.board=s3://prod-berth/board";
    let (code, text) = warned(&format!("follow=4999ms config=ssm:/x {board}")).unwrap();
    assert!(code == Code::FastFollow && text.starts_with("follow: reads the parameter every 4s999ms"), "{text}");
    for words in ["follow=5s config=ssm:/x", "follow=1s config=s3://prod-berth/x", "follow=1s config=secretsmanager:x"]
    {
        assert_eq!(warned(&format!("{words} {board}")), None, "{words}");
    }
}
