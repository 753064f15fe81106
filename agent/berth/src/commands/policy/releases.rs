//! What releases in place need: the document and the board, for an instance and for a publisher.

use std::collections::BTreeMap;

use berth_config::{Board, Config, Layers, Pointer};

use super::Statement;
use super::arn::ArnBuilder;
use crate::io::aws::Operation;
use crate::io::aws::s3::{DELETE, GET, LIST, PUT};

/// `aws:userid` of an instance is its role's id and its own: each writes only what is its own.
const OWN: &str = "${aws:userid}";

/// Who gets the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    /// An agent on an instance.
    Instance,
    /// The role that publishes releases.
    Publisher,
}

/// The statements for an instance, or for a publisher.
pub(super) fn statements(reader: Reader, layers: &Layers, config: &Config, arn: &ArnBuilder) -> Vec<Statement> {
    let document = match layers.pointer() {
        Some(Pointer::S3 { bucket, key }) => Some(arn.object(&bucket, &key)),
        Some(Pointer::Ssm(_) | Pointer::SecretsManager(_)) | None => None,
    };
    let board = config.release.board.as_ref();
    let on_board = |names: &[&str]| {
        let key = |name: &&str| board.map(|board| arn.object(&board.bucket, &below(board, name)));
        names.iter().filter_map(key).collect::<Vec<_>>()
    };
    let documents = document.into_iter().collect::<Vec<_>>();
    let list = board.map(|board| Statement {
        condition: Some(BTreeMap::from([("StringLike", BTreeMap::from([("s3:prefix", vec![below(board, "*")])]))])),
        ..allow("BerthBoardList", &[LIST], vec![arn.of("s3", Some(""), Some(""), &board.bucket)])
    });
    let own: Vec<String> = ["ok", "bad", "begun"].iter().map(|kind| format!("*/{kind}/{OWN}")).collect();
    let own: Vec<&str> = own.iter().map(String::as_str).collect();
    let mark = format!("*/begun/{OWN}");
    let statements = match reader {
        Reader::Instance => vec![
            allow("BerthDocument", &[GET], documents),
            allow("BerthBoardRead", &[GET], on_board(&["*/document", "locks/*"])),
            allow("BerthBoardLocks", &[PUT, DELETE], on_board(&["locks/*"])),
            allow("BerthBoardOwn", &[PUT], on_board(&own)),
            allow("BerthBoardMark", &[DELETE], on_board(&[mark.as_str()])),
        ],
        Reader::Publisher => vec![
            allow("BerthDocument", &[GET, PUT], documents),
            allow("BerthBoardRead", &[GET], on_board(&["*"])),
            allow("BerthBoardPublish", &[PUT], on_board(&["*/document", "*/halt", "*/resume-*", "*/bad/*"])),
            allow("BerthBoardResume", &[DELETE], on_board(&["*/halt"])),
        ],
    };
    let is_needed = |statement: &Statement| !statement.resource.is_empty();
    statements.into_iter().chain(list).filter(is_needed).collect()
}

fn allow(sid: &'static str, action: &[Operation], resource: Vec<String>) -> Statement {
    let action = action.iter().map(ToString::to_string).collect();
    Statement { sid, effect: "Allow", action, resource, condition: None }
}

fn below(board: &Board, name: &str) -> String {
    if board.prefix.is_empty() { name.to_owned() } else { format!("{}/{name}", board.prefix) }
}
