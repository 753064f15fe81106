//! Reads the config from its sources: the file of the AMI, the user-data, what `config=` points to, the command line.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use berth_config::Layers;
use berth_core::message::error::{ErrorClass, JobError};

use crate::io::aws::Aws;
use crate::io::aws::document::{self, Document};
use crate::io::aws::imds::Imds;

/// The longest file. A config has at most 64 KiB, and the unpacked form of a packed one has at most this.
const LONGEST: u64 = 1 << 20;

/// The sources of the config, beside the user-data.
#[derive(Clone, Debug)]
pub struct ConfigSources {
    /// The file with AMI-wide defaults.
    pub file: PathBuf,
    /// Whether it must exist.
    pub file_is_required: bool,
    /// `key=value` words of the command line.
    pub words: Vec<String>,
}

/// The file with AMI-wide defaults cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}", .file.display())]
pub struct FileError {
    /// The file.
    pub file: PathBuf,
    /// Why not.
    pub source: io::Error,
}

impl FileError {
    /// What to do about it.
    pub fn class(&self) -> ErrorClass {
        ErrorClass::Misconfigured
    }
}

impl ConfigSources {
    /// All layers, not validated yet, and the document that `config=` points to.
    pub async fn read(&self, imds: &Imds, aws: &Aws) -> Result<(Layers, Option<Document>), JobError> {
        let mut layers = self.read_unpointed(imds).await?;
        let document = follow(&mut layers, aws).await?;
        Ok((layers, document))
    }

    /// The layers that need no AWS call: all but what `config=` points to.
    pub async fn read_unpointed(&self, imds: &Imds) -> Result<Layers, JobError> {
        let mut layers = self.read_file()?;
        if let Some(user_data) = imds.user_data().await? {
            layers.add_user_data(&user_data);
        }
        layers.add_words(&self.words);
        Ok(layers)
    }

    /// Only the AMI-wide defaults.
    pub fn read_file(&self) -> Result<Layers, JobError> {
        let mut layers = Layers::new();
        match read_bounded(&self.file) {
            Ok(bytes) => layers.add_file(&self.file.display().to_string(), &bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !self.file_is_required => {}
            Err(error) => {
                let error = FileError { file: self.file.clone(), source: error };
                return Err(JobError::from_error(error.class(), &error));
            }
        }
        Ok(layers)
    }
}

/// The bytes of a file, up to a limit: `/dev/zero` has no end.
pub fn read_bounded(file: &Path) -> io::Result<Vec<u8>> {
    bounded(File::open(file)?)
}

/// All bytes of a reader, up to a limit.
pub fn bounded(from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(LONGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LONGEST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "longer than 1 MiB, which no config is"));
    }
    Ok(bytes)
}

/// Adds what the layers point to, if they do. It is fetched with the network settings of the layers so far, and later calls use those of all layers.
pub async fn follow(layers: &mut Layers, aws: &Aws) -> Result<Option<Document>, JobError> {
    configure(layers, aws)?;
    let Some(pointer) = layers.pointer() else { return Ok(None) };
    let Some(document) = document::read(aws, &pointer, None).await? else { return Ok(None) };
    layers.add_pointed(&pointer, &document.bytes);
    // Its errors are reported with all others, when the layers are validated.
    let _ = configure(layers, aws);
    Ok(Some(document))
}

/// Applies the network settings of the layers so far.
pub fn configure(layers: &Layers, aws: &Aws) -> Result<(), JobError> {
    let network = layers.network().map_err(|errors| JobError::new(ErrorClass::Misconfigured, errors.to_string()))?;
    aws.configure(&network);
    Ok(())
}
