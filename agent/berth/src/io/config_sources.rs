//! Where the config is written, and how it is read: the file of the AMI, the user-data, what `config=` points to, the command line.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use berth_config::Layers;
use berth_core::message::error::{ErrorClass, JobError};

use crate::io::aws::Aws;
use crate::io::aws::imds::Imds;
use crate::io::aws::secrets;

/// No file is longer: a config has at most 64 KiB, and what it is packed in is unpacked to at most as much as this.
const LONGEST: u64 = 1 << 20;

/// Where the config is read from, beside the user-data.
#[derive(Clone, Debug)]
pub struct ConfigSources {
    /// The file with the AMI's defaults.
    pub file: PathBuf,
    /// Whether it must be there.
    pub file_is_required: bool,
    /// `key=value` words of the command line.
    pub words: Vec<String>,
}

/// The file with the AMI's defaults cannot be read.
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
    /// All layers. What they say is not validated yet.
    pub async fn read(&self, imds: &Imds, aws: &Aws) -> Result<Layers, JobError> {
        let mut layers = self.read_unpointed(imds).await?;
        follow(&mut layers, aws).await?;
        Ok(layers)
    }

    /// The layers that are at hand without AWS: all but what `config=` points to.
    pub async fn read_unpointed(&self, imds: &Imds) -> Result<Layers, JobError> {
        let mut layers = self.read_file()?;
        if let Some(user_data) = imds.user_data().await? {
            layers.add_user_data(&user_data);
        }
        layers.add_words(&self.words);
        Ok(layers)
    }

    /// The AMI's defaults alone.
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

/// The bytes of a file, if there are not too many: `/dev/zero` has no end.
pub fn read_bounded(file: &Path) -> io::Result<Vec<u8>> {
    bounded(File::open(file)?)
}

/// The bytes of anything, if there are not too many.
pub fn bounded(from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(LONGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LONGEST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "longer than 1 MiB, which no config is"));
    }
    Ok(bytes)
}

/// Adds what the layers point to, if they do. It is fetched on the way that they say, and everything after it on the way that both say.
pub async fn follow(layers: &mut Layers, aws: &Aws) -> Result<(), JobError> {
    configure(layers, aws)?;
    if let Some(pointer) = layers.pointer() {
        let text = secrets::config_pointer(aws, &pointer.secret_ref()).await?;
        layers.add_pointed(&pointer, &text);
        // What is wrong in there is told with everything else, when the layers are validated.
        let _ = configure(layers, aws);
    }
    Ok(())
}

/// Has AWS reached as the layers say so far.
pub fn configure(layers: &Layers, aws: &Aws) -> Result<(), JobError> {
    let network = layers.network().map_err(|errors| JobError::new(ErrorClass::Misconfigured, errors.to_string()))?;
    aws.configure(&network);
    Ok(())
}
