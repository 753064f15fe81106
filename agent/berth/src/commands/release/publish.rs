//! `berth release publish`: the next document of a fleet, and its copy on the board.

use std::path::Path;

use berth_config::{Board, ImageRef};
use berth_core::message::release::{BoardState, ReleaseId};
use serde_json::json;

use super::limits::Limits;
use super::source::{self, Reading, Unplaced};
use super::{Failure, Fleet, Report, Written, document, patiently, resolve, wait};
use crate::cli::PublishArgs;
use crate::commands::{check, note, say};
use crate::io::aws::publisher;
use crate::io::aws::s3::About;

/// What is published.
#[derive(Debug)]
enum What {
    /// The bytes of a document, and its name in errors.
    Document(Vec<u8>, String),
    /// The current document with this image, as it was written.
    Image(String, ImageRef),
}

/// A document that can be published.
struct Draft {
    bytes: Vec<u8>,
    reading: Reading,
    id: ReleaseId,
}

/// The command.
pub(super) async fn run(args: &PublishArgs) -> Result<Report, Failure> {
    let what = What::of(&args.what)?;
    wait::check(&args.waiting)?;
    let fleet = Fleet::read(&args.followed).await?;
    let need = wait::need(&fleet, &args.waiting).await?;
    let (bytes, name) = content(&fleet, what).await?;
    let bytes = pinned(&fleet, bytes, name.as_deref()).await?;
    let draft = draft(&fleet, args, bytes, name.as_deref())?;
    let board = draft.reading.config.release.board.clone().filter(|_| !args.no_board);
    if board.is_none() && !args.no_board {
        return Err(Failure::usage(
            "the document has no `release.board`, and no --board is given: if the user-data has it, give --board s3://BUCKET/PREFIX; \
             if the fleet has none, give --no-board",
        ));
    }
    check_in_place(&fleet, args, &draft)?;
    let current = fleet.current.as_ref().map(|current| &current.release.id);
    if current == Some(&draft.id) {
        return Ok(published(&fleet, &draft, None, false));
    }
    let mut left = Vec::new();
    if let Some(board) = &board {
        if check_not_failed(&fleet, board, &draft).await?.ok > 0 {
            // It comes back: those that called it good may run the current one by now.
            left.extend(current.cloned());
        }
        let copy = async || publisher::copy(&fleet.aws, board, &draft.id, &draft.bytes, current).await;
        patiently(copy).await?;
    }
    let about = About { previous: current.cloned(), is_rollback: false };
    if let Written::Lost(there) = fleet.write(&draft.bytes, &about).await? {
        return Err(fleet.lost(there));
    }
    let done = published(&fleet, &draft, current, true);
    match (need, board) {
        (Some(need), Some(board)) => {
            if !args.followed.json {
                say(&done.text);
            }
            let limits = Limits::of(&draft.reading.config);
            let wait = wait::Wait { fleet: &fleet, board, release: draft.id, limits, need, left };
            Ok(wait.run(args.waiting.timeout, args.followed.json).await.over(done))
        }
        _ => Ok(done),
    }
}

impl What {
    /// A file, standard input, or an image.
    fn of(what: &Path) -> Result<Self, Failure> {
        let text = what.to_string_lossy();
        let image = ImageRef::parse(&text);
        if let (Ok(image), false) = (&image, what.exists()) {
            return Ok(Self::Image(text.into_owned(), image.clone()));
        }
        let bytes = check::read(what).map_err(|reason| match image {
            Err(no_image) if !what.exists() && !text.contains('=') => {
                Failure::usage(format!("{reason}; and as an image, it {no_image}"))
            }
            _ => Failure::usage(reason),
        })?;
        let is_toml = what.extension().is_some_and(|extension| extension == "toml");
        let bytes = if is_toml { document::from_toml_file(bytes) } else { bytes };
        let name = if text == "-" { "stdin".to_owned() } else { crate::commands::plain(&text) };
        Ok(Self::Document(bytes, name))
    }
}

/// The bytes to publish, and their name in errors if it is not that of the current document.
async fn content(fleet: &Fleet, what: What) -> Result<(Vec<u8>, Option<String>), Failure> {
    let (text, image) = match what {
        What::Document(bytes, name) => return Ok((bytes, Some(name))),
        What::Image(text, image) => (text, image),
    };
    let current = fleet.current()?;
    let config = source::read(&fleet.pointer, None, None, &current.bytes).config;
    let written = match &image.digest {
        Some(_) => text,
        None => format!("{text}@{}", resolve::digest(&fleet.aws, &config, &image).await?),
    };
    if ImageRef::parse(&written).is_ok_and(|image| image == config.image) {
        // The same again, as another release.
        return Ok((current.bytes.to_vec(), None));
    }
    let placed = source::with_image(&fleet.pointer, &current.bytes, |_| written.clone());
    Ok((placed.map_err(|why| unplaced(why, &fleet.pointer.to_string(), "publish a FILE with the image"))?, None))
}

/// The document with a digest at its image.
async fn pinned(fleet: &Fleet, bytes: Vec<u8>, name: Option<&str>) -> Result<Vec<u8>, Failure> {
    let reading = source::read(&fleet.pointer, fleet.board.as_ref(), name, &bytes);
    if let Some(refusal) = reading.refusal() {
        return Err(Failure::usage(refusal));
    }
    let Some(image) = reading.image().filter(|image| image.digest.is_none()) else { return Ok(bytes) };
    let digest = resolve::digest(&fleet.aws, &reading.config, image).await?;
    let placed = source::with_image(&fleet.pointer, &bytes, |written| format!("{written}@{digest}"));
    let advice = format!("write the image with its digest: {}@{digest}", image.name());
    placed.map_err(|why| unplaced(why, name.unwrap_or("the document"), &advice))
}

fn unplaced(why: Unplaced, document: &str, advice: &str) -> Failure {
    Failure::usage(match why {
        Unplaced::Packed => {
            format!("{document} is MIME or packed, and its image cannot be replaced in place: {advice}")
        }
        Unplaced::NotFound => format!("{document} has no value of `image` that can be replaced in place: {advice}"),
    })
}

/// The document as it will be: with the comment that makes it another release.
fn draft(fleet: &Fleet, args: &PublishArgs, bytes: Vec<u8>, name: Option<&str>) -> Result<Draft, Failure> {
    let read = |bytes: &[u8]| source::read(&fleet.pointer, fleet.board.as_ref(), name, bytes);
    let plain = read(&bytes);
    if let Some(refusal) = plain.refusal() {
        return Err(Failure::usage(refusal));
    }
    if !args.followed.json {
        for warning in &plain.warnings {
            note(&format!("warning: {warning}"));
        }
    }
    let notes = args.notes.as_deref().filter(|notes| !notes.trim().is_empty());
    let Some(commented) = document::with_comment(&bytes, &publisher::now(&fleet.aws), notes) else {
        if notes.is_some() && !args.followed.json {
            note("--notes is not kept: a document in JSON, MIME or gzip has no place for a comment");
        }
        let id = ReleaseId::of(&bytes);
        return Ok(Draft { id, bytes, reading: plain });
    };
    let reading = read(&commented);
    if reading.config != plain.config || reading.refusal().is_some() {
        return Err(Failure::usage("--notes would be read as a part of the config: leave out what looks like one"));
    }
    Ok(Draft { id: ReleaseId::of(&commented), bytes: commented, reading })
}

/// Refuses what the instances that run would refuse.
fn check_in_place(fleet: &Fleet, args: &PublishArgs, draft: &Draft) -> Result<(), Failure> {
    let Some(current) = &fleet.current else { return Ok(()) };
    let before = source::read(&fleet.pointer, fleet.board.as_ref(), None, &current.bytes).config;
    let keys = before.needs_new_instance(&draft.reading.config);
    if keys.is_empty() || args.force {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "`{}` would change, which only new instances take: those that run refuse such a release; undo the change, or give --force and \
         replace the instances",
        keys.join("`, `")
    )))
}

/// A document without a comment is the same release again, and instances do not begin one that was bad.
async fn check_not_failed(fleet: &Fleet, board: &Board, draft: &Draft) -> Result<BoardState, Failure> {
    let state = patiently(async || publisher::verdicts(&fleet.aws, board, &draft.id).await).await?.state();
    if state.bad == 0 && !state.is_halted {
        return Ok(state);
    }
    Err(Failure::unmet(format!(
        "this document was published before, as release {}, and failed ({state}): instances do not begin it again; change it, for \
         example by another value of a label",
        draft.id
    )))
}

fn published(fleet: &Fleet, draft: &Draft, previous: Option<&ReleaseId>, is_new: bool) -> Report {
    let config = &draft.reading.config;
    let image = draft.reading.image().map(ToString::to_string);
    let version = config.version();
    let mut text = match is_new {
        true => format!("release   {}, published to {}\n", draft.id, fleet.pointer),
        false => format!("release   {} is what {} has already: nothing is published\n", draft.id, fleet.pointer),
    };
    if let Some(previous) = previous {
        text.push_str(&format!("previous  {previous}\n"));
    }
    if let Some(image) = &image {
        text.push_str(&format!("version   {version}, {image}\n"));
    }
    let json = json!({
        "ok": true,
        "release": draft.id,
        "published": is_new,
        "previous": previous,
        "version": version,
        "image": image,
    });
    Report { is_met: true, text, json }
}
