//! What `berth doctor` asks the board of releases, on moto's S3 and on the kit's: it reads what is there, and writes nothing.

use std::time::Duration;

use berth::commands::doctor::releases::ReleaseQuestion;
use berth::commands::doctor::report::Verdict as Found;
use berth::commands::policy::{ArnScope, Policy};
use berth::io::aws::board::{self, Holder};
use berth::io::aws::publisher;
use berth::io::aws::s3::{self, ObjectName};
use berth_config::{Board, Layers};
use berth_core::message::release::ReleaseId;

use crate::services::{Services, on_moto_and_kit};

on_moto_and_kit!(the_board_is_read_and_not_written);

async fn the_board_is_read_and_not_written(services: &impl Services) {
    let (aws, bucket) = (services.aws().await, services.bucket().await);
    let board = Board { bucket: bucket.clone(), prefix: "boards/api".to_owned() };
    let document = b"berth image=x:1";
    let release = ReleaseId::of(document);
    let mut layers = Layers::new();
    let words =
        format!("berth image=x:1 config=s3://{bucket}/api follow=15s release.board=s3://{bucket}/{}", board.prefix);
    layers.add_user_data(words.as_bytes());
    let policy = Policy::of(&layers, &layers.resolve().unwrap(), &ArnScope::default());
    let question =
        ReleaseQuestion { aws: &aws, instance_id: "i-1", group: None, release: Some(&release), policy: &policy };
    let whole = ObjectName { bucket: bucket.clone(), key: String::new() };

    // As it is before the first release, and with everything that a board can have.
    for is_used in [false, true] {
        if is_used {
            publisher::copy(&aws, &board, &release, document, None).await.unwrap();
            board::mark_begun(&aws, &board, &release, "AROAEXAMPLE:i-2").await.unwrap();
            let lease = Duration::from_secs(60);
            let holder = Holder { instance_id: "i-2".to_owned(), release: release.clone(), lease };
            board::take(&aws, &board, &holder, 1).await.unwrap().unwrap();
        }
        let before = s3::list(&aws, &whole).await.unwrap();
        let checks = question.board(&board, &release).await;
        let unsettled = if is_used { ", 1 without a verdict" } else { "" };
        assert_eq!(checks[0].found, format!("s3://{bucket}/boards/api: release {release}, 0 ok, 0 bad{unsettled}"));
        let verdicts: Vec<_> = checks.iter().map(|check| check.verdict).collect();
        assert_eq!(verdicts, [Found::Ok, Found::Untried, Found::Untried, Found::Untried], "{checks:?}");
        assert!(checks[1..].iter().all(|check| check.statement.is_some()), "{checks:?}");
        assert_eq!(s3::list(&aws, &whole).await.unwrap(), before);
    }

    let none = Board { bucket: format!("{bucket}-none"), ..board };
    let checks = question.board(&none, &release).await;
    assert_eq!((checks.len(), checks[0].verdict), (1, Found::Fail), "{checks:?}");
    assert!(checks[0].found.contains("NoSuchBucket"), "{checks:?}");
}
