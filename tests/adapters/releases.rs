//! The jobs of a release, as the machine orders them: what `config=` points to is read, followed, kept and read again; the board.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use berth::io::Adapters;
use berth::io::aws::board as locks;
use berth_config::{Board, Config};
use berth_core::message::error::{ErrorClass, JobError};
use berth_core::message::event::Event;
use berth_core::message::job::{Job, Ticket};
use berth_core::message::release::{BoardState, Release, ReleaseId, Verdict};
use berth_kit::{Fault, World};

use serde_json::json;

use crate::services::Services as _;
use crate::whole;

const KEY: &str = "prod/config";

/// An instance that follows a document in S3.
struct Following {
    world: World,
    adapters: Adapters,
}

impl Following {
    async fn start(user_data: &str) -> Self {
        let world = World::start().await;
        world.s3.create("fleet");
        world.user_data(user_data);
        let adapters = whole::following(&world).await;
        Self { world, adapters }
    }

    async fn in_s3(document: &str) -> Self {
        let this = Self::start("berth config=s3://fleet/prod/config env.FROM=line").await;
        this.publish(document);
        this
    }

    fn publish(&self, document: &str) -> ReleaseId {
        self.world.s3.put("fleet", KEY, document.to_owned(), &[]);
        ReleaseId::of(document.as_bytes())
    }

    async fn perform(&self, job: Job) -> Event {
        self.adapters.perform(Ticket(1), job).await
    }

    async fn read(&self) -> (Arc<Config>, Release) {
        read(self.perform(Job::ReadConfig).await)
    }

    async fn follow(&self, revision: &str) -> Event {
        self.perform(Job::FollowConfig { revision: revision.to_owned() }).await
    }

    /// The calls of a service since the last look at this.
    fn calls(&self, before: usize, service: &str) -> usize {
        self.world.journal.count(service) - before
    }
}

#[track_caller]
fn read(event: Event) -> (Arc<Config>, Release) {
    match event {
        Event::ConfigRead(config, Some(release)) => (config, *release),
        other => panic!("{} {other}", other.name()),
    }
}

#[track_caller]
fn failed(event: Event) -> JobError {
    match event {
        Event::Failed(_, error) => error,
        other => panic!("{} {other}", other.name()),
    }
}

fn board() -> Board {
    Board { bucket: "fleet".to_owned(), prefix: "board".to_owned() }
}

#[tokio::test]
async fn a_document_in_s3_is_a_release_with_its_metadata() {
    let this = Following::start("berth config=s3://fleet/prod/config env.FROM=line").await;
    let previous = ReleaseId::of(b"before");
    let about = [("berth-previous", &*previous.0), ("berth-rollback", "true")];
    let document = "# 2026-11-30: a note\nberth image=x:2 env.FROM=document env.A=b";
    let etag = this.world.s3.put("fleet", KEY, document, &about);
    this.world.s3.age("fleet", KEY, Duration::from_secs(3600));
    let (config, release) = this.read().await;
    assert_eq!(
        (config.image.to_string(), &*config.env["FROM"], &*config.env["A"]),
        ("docker.io/library/x:2".into(), "line", "b")
    );
    assert_eq!((&release.id, &release.revision), (&ReleaseId::of(document.as_bytes()), &etag));
    assert!((3600..3660).contains(&release.age.as_secs()), "{release:?}");
    assert_eq!((release.previous, release.is_rollback), (Some(previous), true));
    // What is no id is none.
    this.world.s3.put("fleet", KEY, "berth image=x:3", &[("berth-previous", "../../x"), ("berth-rollback", "yes")]);
    let (_, release) = this.read().await;
    assert_eq!((release.previous, release.is_rollback), (None, false));
}

#[tokio::test]
async fn the_age_of_a_release_is_by_the_clock_of_s3_alone() {
    let this = Following::in_s3("berth image=x:1").await;
    this.world.s3.age("fleet", KEY, Duration::from_secs(100));
    this.world.aws.set_clock_ahead(Duration::from_secs(250));
    let (_, release) = this.read().await;
    assert!((100..160).contains(&release.age.as_secs()), "{release:?}");
}

#[tokio::test]
async fn a_config_without_a_pointer_is_no_release() {
    let this = Following::start("berth image=x:1").await;
    let read = this.perform(Job::ReadConfig).await;
    assert!(matches!(read, Event::ConfigRead(_, None)), "{read}");
    let error = failed(this.follow("1").await);
    assert_eq!(error.class, ErrorClass::Misconfigured, "{error}");
}

#[tokio::test]
async fn one_call_a_period_says_whether_it_changed() {
    let this = Following::in_s3("berth image=x:1 port=8080").await;
    let (_, first) = this.read().await;
    let (s3, imds) = (this.world.journal.count("s3"), this.world.journal.count("imds"));
    assert_eq!(this.follow(&first.revision).await, Event::ConfigUnchanged);
    assert_eq!((this.calls(s3, "s3"), this.calls(imds, "imds")), (1, 0));
    this.world.journal.in_order(&["s3 GetObject fleet/prod/config 304"]);
    let id = this.publish("berth image=x:2 port=8080 env.FROM=document");
    let (config, second) = read(this.follow(&first.revision).await);
    assert_eq!((&*config.env["FROM"], &second.id), ("line", &id));
    assert_eq!(this.calls(s3, "s3"), 2);
    assert_eq!(this.follow(&second.revision).await, Event::ConfigUnchanged);
}

#[tokio::test]
async fn a_parameter_and_a_secret_are_followed_by_their_version() {
    for (pointer, service, is_secret) in
        [("ssm:/prod/config", "ssm", false), ("secretsmanager:prod/config", "secretsmanager", true)]
    {
        let this = Following::start(&format!("berth config={pointer}")).await;
        let publish = |text: &str| match is_secret {
            true => drop(this.world.secrets.put("prod/config", text)),
            false => drop(this.world.parameters.put_secure("/prod/config", text)),
        };
        publish("berth image=x:1");
        let (_, first) = this.read().await;
        assert_eq!((&first.id, &first.previous), (&ReleaseId::of(b"berth image=x:1"), &None));
        assert!(first.age < Duration::from_secs(60), "{first:?}");
        let before = this.world.journal.count(service);
        assert_eq!(this.follow(&first.revision).await, Event::ConfigUnchanged);
        assert_eq!(this.calls(before, service), 1);
        publish("berth image=x:2");
        let (config, second) = read(this.follow(&first.revision).await);
        assert_eq!(this.calls(before, service), 2);
        assert_eq!(config.image.to_string(), "docker.io/library/x:2");
        assert_ne!(second.revision, first.revision);
    }
}

#[tokio::test]
async fn a_release_that_makes_no_config_is_refused_with_its_revision() {
    let this = Following::in_s3("berth image=x:1").await;
    let (_, first) = this.read().await;
    let id = this.publish("berth image=x:2 no_such_key=1 health=\"");
    let refused = this.follow(&first.revision).await;
    let Event::ConfigRefused { release, error } = &refused else { panic!("{refused}") };
    assert_eq!((&release.id, error.class), (&id, ErrorClass::Misconfigured));
    assert!(refused.is_warning() && refused.to_string().starts_with(&format!("release {id}: ")), "{refused}");
    assert_eq!(this.follow(&release.revision).await, Event::ConfigUnchanged, "it is reported once");
    // At a boot there is nothing that could go on.
    assert_eq!(failed(this.perform(Job::ReadConfig).await).class, ErrorClass::Misconfigured);
}

#[tokio::test]
async fn what_s3_says_no_to_has_its_class() {
    let this = Following::in_s3("berth image=x:1").await;
    let (_, first) = this.read().await;
    let answer_to = async |fault: Fault| {
        this.world.fault("s3 GetObject", fault);
        failed(this.follow(&first.revision).await)
    };
    let denied = answer_to(Fault::AccessDenied).await;
    assert_eq!((denied.class, denied.denied_action.as_deref()), (ErrorClass::Denied, Some("s3:GetObject")));
    assert!(
        denied.reason.starts_with("s3://fleet/prod/config: s3:GetObject is not allowed (AccessDenied): "),
        "{denied}"
    );
    assert!(
        denied.reason.ends_with("without s3:ListBucket, S3 says this of an object that does not exist too"),
        "{denied}"
    );
    assert_eq!(answer_to(Fault::Throttle).await.class, ErrorClass::Throttled);
    assert_eq!(answer_to(Fault::Refuses(409, "ConditionalRequestConflict")).await.class, ErrorClass::Transient);
    assert_eq!(answer_to(Fault::Refuses(500, "InternalError")).await.class, ErrorClass::Transient);
    assert_eq!(answer_to(Fault::Refuses(307, "TemporaryRedirect")).await.class, ErrorClass::Transient);
    assert_eq!(answer_to(Fault::ExpiredToken).await.class, ErrorClass::Transient);
    assert_eq!(answer_to(Fault::Status(503)).await.class, ErrorClass::Transient);
    assert_eq!(answer_to(Fault::ErrorPage(200)).await.class, ErrorClass::Transient, "a login page is no document");
    assert_eq!(answer_to(Fault::ErrorPage(404)).await.class, ErrorClass::Transient);
    assert_eq!(answer_to(Fault::Cut).await.class, ErrorClass::Transient);
    assert_eq!(this.follow(&first.revision).await, Event::ConfigUnchanged, "credentials are fetched again");
    this.world.s3.delete("fleet", KEY);
    let gone = failed(this.follow(&first.revision).await);
    assert_eq!(gone.class, ErrorClass::Broken);
    assert!(gone.reason.contains("NoSuchKey"), "{gone}");
}

#[tokio::test]
async fn a_bucket_of_another_region_is_named_with_it() {
    let this = Following::start("berth config=s3://elsewhere/config").await;
    this.world.s3.create_in("elsewhere", "eu-west-1");
    let error = failed(this.perform(Job::ReadConfig).await);
    assert_eq!(error.class, ErrorClass::Broken);
    let reason = "s3://elsewhere/config: s3:GetObject failed with 301 Moved Permanently PermanentRedirect: the bucket is in eu-west-1: \
                  it must be in the region of the instance";
    assert_eq!(error.reason, reason);
}

#[tokio::test]
async fn a_clock_that_is_wrong_is_mended_by_s3_too() {
    let this = Following::in_s3("berth image=x:1").await;
    this.world.aws.set_clock_ahead(Duration::from_secs(3600));
    let error = failed(this.perform(Job::ReadConfig).await);
    assert_eq!(error.class, ErrorClass::Transient);
    assert!(error.reason.contains("3600 s behind") || error.reason.contains("3599 s behind"), "{error}");
    this.read().await;
}

#[tokio::test]
async fn an_earlier_release_is_read_from_here_or_from_the_board() {
    let this = Following::in_s3("berth image=x:1").await;
    let (_, first) = this.read().await;
    for number in 2..=6 {
        let document = format!("berth image=x:{number}");
        this.publish(&document);
        this.read().await;
        let about = [("berth-previous", &*first.id.0)];
        this.world.s3.put("fleet", &format!("board/{}/document", ReleaseId::of(document.as_bytes())), document, &about);
    }
    let earlier = async |document: &str, board: Option<Board>| {
        let release = ReleaseId::of(document.as_bytes());
        let before = this.world.journal.count("s3");
        let event = this.perform(Job::ReadRelease { board, release }).await;
        (event, this.calls(before, "s3"))
    };
    let (event, calls) = earlier("berth image=x:5", None).await;
    let (config, release) = read(event);
    assert_eq!((config.image.to_string(), &*config.env["FROM"], calls), ("docker.io/library/x:5".into(), "line", 0));
    assert_eq!(release.id, ReleaseId::of(b"berth image=x:5"));
    // Only the newest four are kept.
    let error = failed(earlier("berth image=x:2", None).await.0);
    assert_eq!(error.class, ErrorClass::Broken);
    assert!(error.reason.contains("is not kept here any more"), "{error}");
    let (event, calls) = earlier("berth image=x:2", Some(board())).await;
    let (config, release) = read(event);
    assert_eq!(
        (config.image.to_string(), release.previous, calls),
        ("docker.io/library/x:2".into(), Some(first.id.clone()), 1)
    );
    let (event, calls) = earlier("berth image=x:2", Some(board())).await;
    assert_eq!((read(event).0.image.to_string(), calls), ("docker.io/library/x:2".into(), 0), "it is kept now");
    // Nobody wrote it.
    assert!(failed(earlier("berth image=x:1", Some(board())).await.0).reason.contains("has no copy of the document"));
    // Somebody wrote something else there.
    this.world.s3.put("fleet", &format!("board/{}/document", first.id), "berth image=evil:1", &[]);
    let error = failed(earlier("berth image=x:1", Some(board())).await.0);
    assert_eq!(error.class, ErrorClass::Broken);
    let other = ReleaseId::of(b"berth image=evil:1");
    let reason = format!("the board has the document of release {other} in the place of that of release {}", first.id);
    assert_eq!(error.reason, reason);
}

#[tokio::test]
async fn the_copy_of_a_release_that_a_rollback_published_says_what_it_replaced_itself() {
    let this = Following::in_s3("berth image=x:1").await;
    let (_, first) = this.read().await;
    let (document, later) = ("berth image=x:2", ReleaseId::of(b"berth image=x:3"));
    let id = ReleaseId::of(document.as_bytes());
    let about = [("berth-previous", &*first.id.0)];
    this.world.s3.put("fleet", &format!("board/{id}/document"), document, &about);
    this.world.s3.put("fleet", KEY, document, &[("berth-previous", &*later.0), ("berth-rollback", "true")]);
    let (_, followed) = this.read().await;
    assert_eq!((&followed.id, followed.previous, followed.is_rollback), (&id, Some(later), true));
    // It is kept here as it was followed.
    let before = this.world.journal.count("s3");
    let (config, copy) = read(this.perform(Job::ReadCopy { board: board(), release: id.clone() }).await);
    assert_eq!((config.image.to_string(), this.calls(before, "s3")), ("docker.io/library/x:2".into(), 1));
    assert_eq!((copy.id, copy.previous, copy.is_rollback), (id, Some(first.id.clone()), false));
    assert!(
        failed(this.perform(Job::ReadCopy { board: board(), release: first.id }).await)
            .reason
            .contains("has no copy of the document")
    );
}

#[tokio::test]
async fn a_kept_document_that_was_changed_is_not_used() {
    let this = Following::in_s3("berth image=x:1").await;
    let (_, first) = this.read().await;
    let file: PathBuf = this.world.run_dir().join("releases").join(&first.id.0);
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("x:1", "x:9")).unwrap();
    let error = failed(this.perform(Job::ReadRelease { board: None, release: first.id.clone() }).await);
    assert_eq!(error.class, ErrorClass::Broken);
    this.world.s3.put("fleet", &format!("board/{}/document", first.id), "berth image=x:1", &[]);
    let (config, _) = read(this.perform(Job::ReadRelease { board: Some(board()), release: first.id }).await);
    assert_eq!(config.image.to_string(), "docker.io/library/x:1");
}

/// The user-data cannot change while the instance runs, but the file with AMI-wide defaults can.
#[tokio::test]
async fn a_pointer_that_points_elsewhere_by_now_is_followed_there() {
    let this = Following::start("berth env.A=b").await;
    this.world.ami_defaults("config = 's3://fleet/prod/config'");
    this.publish("berth image=x:1");
    let (_, first) = this.read().await;
    this.world.ami_defaults("config = 's3://fleet/other'");
    this.world.s3.put("fleet", "other", "berth image=x:7", &[]);
    assert_eq!(this.follow(&first.revision).await, Event::ConfigUnchanged, "nobody looks at the file for nothing");
    this.publish("berth image=x:2");
    assert_eq!(read(this.follow(&first.revision).await).0.image.to_string(), "docker.io/library/x:7");
}

#[tokio::test]
async fn the_jobs_of_a_board_answer_with_what_is_there() {
    let this = Following::in_s3("berth image=x:1").await;
    let (_, release) = this.read().await;
    let (id, lease) = (release.id, Duration::from_secs(60));
    let take = || Job::TakeLock { board: board(), release: id.clone(), locks: 1, lease };
    let Event::LockTaken(lock) = this.perform(take()).await else { panic!("a lock") };
    let renew = Job::RenewLock { board: board(), release: id.clone(), lock, lease };
    let Event::LockTaken(lock) = this.perform(renew).await else { panic!("the lock") };
    let verdict = |verdict| Job::WriteVerdict {
        board: board(),
        release: id.clone(),
        verdict,
        reason: "healthy".into(),
        output: None,
    };
    assert_eq!(this.perform(verdict(Verdict::Ok)).await, Event::VerdictWritten);
    assert_eq!(this.perform(verdict(Verdict::Ok)).await, Event::VerdictWritten);
    assert_eq!(this.world.journal.count("sts GetCallerIdentity"), 1);
    let own = format!("board/{id}/ok/AROA3XFRBF535PLBIFPI4:{}", this.world.instance_id);
    assert!(this.world.s3.object("fleet", &own).is_some(), "{:?}", this.world.s3.keys("fleet"));
    let state = this.perform(Job::ReadBoard { board: board(), release: id.clone() }).await;
    assert_eq!(state, Event::BoardRead(BoardState { ok: 1, own: Some(Verdict::Ok), ..BoardState::default() }));
    let release = Job::ReleaseLock { board: board(), lock: lock.clone() };
    assert_eq!(this.perform(release).await, Event::LockReleased);
    let renew = Job::RenewLock { board: board(), release: id.clone(), lock, lease };
    assert_eq!(this.perform(renew).await, Event::LockLost);
    // Another instance's.
    this.world.s3.put("fleet", "board/locks/0", r#"{"holder":"i-2","release":"0","lease_ms":60000,"nonce":"x"}"#, &[]);
    assert_eq!(this.perform(take()).await, Event::LocksBusy);
    this.world.s3.age("fleet", "board/locks/0", Duration::from_secs(60));
    assert!(matches!(this.perform(take()).await, Event::LockTaken(_)));
}

#[tokio::test]
async fn a_lock_whose_answer_was_lost_is_this_instance_s_own() {
    let this = Following::in_s3("berth image=x:1").await;
    let (_, release) = this.read().await;
    let take =
        || Job::TakeLock { board: board(), release: release.id.clone(), locks: 2, lease: Duration::from_secs(60) };
    for (fault, class) in [
        (Fault::Cut, ErrorClass::Transient),
        (Fault::Refuses(409, "ConditionalRequestConflict"), ErrorClass::Transient),
    ] {
        this.world.fault("s3 PutObject", fault);
        assert_eq!(failed(this.perform(take()).await).class, class);
    }
    assert!(matches!(this.perform(take()).await, Event::LockTaken(_)));
    let locks = this.world.s3.keys("fleet").into_iter().filter(|key| key.starts_with("board/locks/")).count();
    assert_eq!(locks, 1);
    // One that lost the race for the only lock looks no further.
    this.world.s3.delete("fleet", "board/locks/0");
    this.world.s3.delete("fleet", "board/locks/1");
    let take = Job::TakeLock { board: board(), release: release.id.clone(), locks: 1, lease: Duration::from_secs(60) };
    this.world.fault("s3 PutObject", Fault::Refuses(412, "PreconditionFailed"));
    assert_eq!(this.perform(take).await, Event::LocksBusy);
}

#[tokio::test]
async fn of_many_instances_each_lock_has_one_holder() {
    let world = World::start().await;
    world.s3.create("fleet");
    let aws = world.aws().await;
    let taken = futures_util::future::join_all((0..40).map(|number| {
        let (aws, board) = (&aws, board());
        async move {
            let (instance_id, release) = (format!("i-{number}"), ReleaseId::of(b"x"));
            let holder = locks::Holder { instance_id, release, lease: Duration::from_secs(60) };
            locks::take(aws, &board, &holder, 3).await.unwrap()
        }
    }));
    let mut numbers: Vec<u32> = taken.await.into_iter().flatten().map(|lock| lock.number).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [0, 1, 2]);
}

#[tokio::test]
async fn a_copy_that_is_not_there_is_no_refusal_where_only_the_board_may_be_listed() {
    let this = Following::in_s3("berth image=x:1").await;
    let (_, first) = this.read().await;
    let get = json!({ "Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::fleet/board/*" });
    let list = json!({
        "Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::fleet",
        "Condition": { "StringLike": { "s3:prefix": "board/*" } },
    });
    let copy = async || failed(this.perform(Job::ReadCopy { board: board(), release: first.id.clone() }).await);
    this.world.iam.enforce(&json!({ "Version": "2012-10-17", "Statement": [get, list.clone()] }));
    let error = copy().await;
    assert_eq!(error.class, ErrorClass::Broken, "{error}");
    assert!(error.reason.contains("has no copy of the document"), "{error}");
    // What is there, and may not be read, is a refusal.
    this.world.s3.put("fleet", &format!("board/{}/document", first.id), "berth image=x:1", &[]);
    this.world.iam.enforce(&json!({ "Version": "2012-10-17", "Statement": [list] }));
    assert_eq!(copy().await.class, ErrorClass::Denied);
}
