//! A document as a config: what is wrong with it alone, without the user-data that points to it.

use berth_config::{Board, Code, Config, ConfigError, ImageRef, Layers, Pointer};

use super::document;

/// A document, read.
#[derive(Debug)]
pub(super) struct Reading {
    /// Its config, as far as it is valid.
    pub(super) config: Config,
    /// Every error that no user-data could mend.
    pub(super) errors: Vec<ConfigError>,
    /// More errors, which are not listed.
    pub(super) more: usize,
    /// What is legal and unwise.
    pub(super) warnings: Vec<ConfigError>,
}

/// Another image cannot be written into a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unplaced {
    /// It is not text.
    Packed,
    /// It has no `image`, or none that can be found in its text.
    NotFound,
}

/// Reads a document as what this pointer points to. `name` is its name in errors, if it is not the pointer.
pub(super) fn read(pointer: &Pointer, board: Option<&Board>, name: Option<&str>, bytes: &[u8]) -> Reading {
    let mut layers = Layers::new();
    // As in the user-data of the instances.
    let mut words = vec![format!("config={pointer}")];
    words.extend(board.map(|board| format!("release.board=s3://{}/{}", board.bucket, board.prefix)));
    layers.add_words(&words);
    layers.add_pointed(pointer, bytes);
    // More follows: what is missing may be in the user-data.
    let (config, _) = layers.resolve_what_is_written(true);
    if config.follow.is_none() {
        // What is published is followed, and a release needs more than a boot.
        layers.add_words(&["follow=15s".to_owned()]);
    }
    let (followed, errors) = layers.resolve_what_is_written(true);
    let source = pointer.to_string();
    let named = |error: &ConfigError| {
        let mut error = error.clone();
        if let (Some(location), Some(name)) = (&mut error.location, name)
            && let Some(rest) = location.source.strip_prefix(&source)
        {
            location.source = format!("{name}{rest}").into();
        }
        error
    };
    let is_its_own = |error: &&ConfigError| error.location.as_ref().is_some_and(|at| at.source.starts_with(&source));
    Reading {
        errors: errors.iter().filter(|error| !may_follow(error)).map(named).collect(),
        more: errors.more(),
        warnings: layers.warnings(&followed).iter().filter(is_its_own).map(named).collect(),
        config,
    }
}

impl Reading {
    /// Every error, one line each; none if there is none.
    pub(super) fn refusal(&self) -> Option<String> {
        let mut lines: Vec<String> = self.errors.iter().map(ToString::to_string).collect();
        if self.more > 0 {
            lines.push(format!("and {} more", self.more));
        }
        (!lines.is_empty()).then(|| lines.join("\n"))
    }

    /// The image, if the document has one.
    pub(super) fn image(&self) -> Option<&ImageRef> {
        Some(&self.config.image).filter(|image| !image.repository.is_empty())
    }
}

/// The document with another image in the place of its own; `replaced` makes it of what is written there.
pub(super) fn with_image(
    pointer: &Pointer,
    bytes: &[u8],
    replaced: impl Fn(&str) -> String,
) -> Result<Vec<u8>, Unplaced> {
    if document::form(bytes) == document::Form::Packed {
        return Err(Unplaced::Packed);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| Unplaced::Packed)?;
    let before = read(pointer, None, None, bytes);
    let is_its_image = |value: &str| ImageRef::parse(value).is_ok_and(|image| Some(&image) == before.image());
    let texts = document::with_other_image(text, |value| is_its_image(value).then(|| replaced(value)));
    let mut meant = texts.into_iter().filter(|text| {
        let after = read(pointer, None, None, text.as_bytes());
        // Nothing but the image has changed, and it has.
        let same =
            Config { image: before.config.image.clone(), name: before.config.name.clone(), ..after.config.clone() };
        after.errors == before.errors && after.config.image != before.config.image && same == before.config
    });
    match (meant.next(), meant.next()) {
        (Some(text), None) => Ok(text.into_bytes()),
        _ => Err(Unplaced::NotFound),
    }
}

/// Something missing that has no place in the document: another layer may have it.
fn may_follow(error: &ConfigError) -> bool {
    error.code == Code::Missing && error.location.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pointer() -> Pointer {
        Pointer::S3 { bucket: "prod-berth".into(), key: "api".into() }
    }

    fn refusal(text: &str) -> Option<String> {
        read(&pointer(), None, Some("api.toml"), text.as_bytes()).refusal()
    }

    #[test]
    fn what_only_the_user_data_may_have_is_not_missing() {
        for text in [
            "berth image=x:1",
            "berth env.A=1",
            "berth health=/health",
            "berth image=x:1 follow=15s",
            "berth image=x:1 release.move=targets",
            "#berth\nimage = 'x:1'\nrelease.move = 'readiness'\n",
            "{\"image\":\"x:1\"}",
        ] {
            assert_eq!(refusal(text), None, "{text}");
        }
        // The app's name cannot be that of this image: the user-data may have `name`.
        assert_eq!(refusal(&format!("berth image=r.example/{}:1", "x".repeat(101))), None);
    }

    #[test]
    fn every_error_of_the_document_itself_is_reported_with_the_name_of_the_file() {
        assert_eq!(
            refusal("berth image=x port=80:80:80 config=ssm:/x").unwrap(),
            "api.toml line 1 column 7: `image`: is not pinned: add a tag or, better, a digest (`…@sha256:…`)\n\
             api.toml line 1 column 15: `port`: does not begin with an IP address: IPv6 needs `[…]`\n\
             api.toml line 1 column 29: `config`: a config that `config=` points to cannot have `config=` itself"
        );
        assert!(refusal("#!/bin/sh\n").unwrap().starts_with("api.toml: has no config"));
        // The instances follow it, whatever the document says.
        let network = refusal("berth image=x:1 release.move=readiness network=host").unwrap();
        assert!(network.starts_with("api.toml line 1 column 40: `network`: with `host`"), "{network}");
    }

    #[test]
    fn only_warnings_about_the_document_itself_are_given() {
        let board = Board { bucket: "prod-berth".into(), prefix: "boards/api".into() };
        let warnings = |text: &str| -> Vec<String> {
            let read = read(&pointer(), Some(&board), Some("api.toml"), text.as_bytes());
            read.warnings.iter().map(ToString::to_string).collect()
        };
        assert!(warnings("berth image=x:1 release.failures=2 release.board=s3://prod-berth/own").is_empty());
        let away = warnings("berth image=x:1 release.move=restart");
        assert!(
            away.len() == 1 && away[0].starts_with("api.toml line 1 column 17: `release.move`: the app is away"),
            "{away:?}"
        );
    }

    #[test]
    fn the_board_of_the_command_line_stands_for_that_of_the_user_data() {
        let board = Board { bucket: "prod-berth".into(), prefix: "boards/api".into() };
        let of = |board: Option<&Board>, text: &str| {
            read(&pointer(), board, None, text.as_bytes()).config.release.board.map(|board| board.prefix)
        };
        assert_eq!(of(None, "berth image=x:1"), None);
        assert_eq!(of(None, "berth image=x:1 release.board=s3://prod-berth/own").as_deref(), Some("own"));
        assert_eq!(
            of(Some(&board), "berth image=x:1 release.board=s3://prod-berth/own").as_deref(),
            Some("boards/api")
        );
    }

    #[test]
    fn the_image_is_replaced_where_it_counts_and_nothing_else_is() {
        let of = |text: &str| {
            with_image(&pointer(), text.as_bytes(), |_| "r.example/y:2".into())
                .map(|bytes| String::from_utf8(bytes).unwrap())
        };
        for text in [
            "berth image=OLD port=8080",
            "# image=x:1\n#!/bin/sh\n#berth port=80 'image=OLD'\n",
            "#berth\n# image = 'x:1'\nimage = 'OLD' # why\n[env]\nimage = 'x:1'\n",
            "#berth\nimage=\"OLD\"\r\nport = 80\r\n",
            "#berth\nlabels = 'image=x:1'\n\"image\" = 'OLD'\n",
            "{ \"env\": {\"image\": \"x:1\"},\n  \"image\" : \"OLD\" }\n",
        ] {
            let expected = text.replace("OLD", "r.example/y:2");
            assert_eq!(of(&text.replace("OLD", "x:1")).as_deref(), Ok(&*expected), "{text}");
        }
        // The name follows the image unless it is written.
        assert!(of("berth image=x:1 name=web").is_ok());
        for text in ["berth port=80", "berth env.image=x:1", "#berth\n\"im\\u0061ge\" = 'x:1'\n"] {
            assert_eq!(of(text), Err(Unplaced::NotFound), "{text}");
        }
        assert_eq!(of("MIME-Version: 1.0\nContent-Type: text/x-berth\n\nberth image=x:1"), Err(Unplaced::Packed));
        assert_eq!(with_image(&pointer(), b"\x1f\x8b\x08", |_| String::new()), Err(Unplaced::Packed));
    }
}
