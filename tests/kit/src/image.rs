//! Images built in memory, in Docker's schema 2: layers, config, manifest.

use std::collections::BTreeMap;
use std::io::Write as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Map, Value, json};

use crate::text::sha256_hex;

/// The media type of a manifest.
pub const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// The media type of a list of manifests, one a platform.
pub(crate) const MANIFEST_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// The architecture of this machine, in Go's word.
pub const ARCHITECTURE: &str = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };

/// The demo app's binary (demo_app.rs), static.
pub static DEMO_APP: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/demo-app"));

/// An image in the making.
#[derive(Clone)]
pub struct Image {
    /// Each an uncompressed tar.
    layers: Vec<Vec<u8>>,
    config: Map<String, Value>,
    architecture: &'static str,
    flaw: Option<Flaw>,
}

/// What is wrong with an image although every digest in it is right: no other pull makes it better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Nothing is wrong, but its layers are compressed with zstd, which Docker Engine unpacks since 23.0.
    Zstd,
    /// The config has other `diff_ids` than its layers.
    DiffId,
    /// The config has one layer more than the manifest.
    LayerCount,
    /// Its layers are no tar.
    NotATar,
    /// Its layers end in the middle of the gzip stream.
    CutGzip,
    /// Its config is no JSON.
    Config,
    /// It is no image but an artifact of another kind: a Helm chart.
    Artifact,
    /// Its layers have a media type that nobody knows.
    LayerType,
    /// It has more layers than Docker stores.
    Layers,
}

/// An image as a registry holds it.
#[derive(Clone)]
pub struct Built {
    /// `sha256:…` of the manifest.
    pub digest: String,
    /// `sha256:…` of the layers, the lowest first.
    pub layers: Vec<String>,
    /// The manifest, Docker's schema 2.
    pub manifest: Bytes,
    /// The machine that it is built for.
    architecture: &'static str,
    /// Config and layers by digest.
    pub blobs: BTreeMap<String, Bytes>,
}

impl Image {
    /// `FROM scratch`
    pub fn scratch() -> Self {
        Self { layers: Vec::new(), config: Map::new(), architecture: ARCHITECTURE, flaw: None }
    }

    /// The demo app at `/app`, on port 8080, unlike any other image through some random bytes.
    pub fn demo_app() -> Self {
        Self::scratch().file("/app", DEMO_APP, 0o755).layer_of_random(64).entrypoint(&["/app"]).expose(8080)
    }

    /// Built for another machine than this, in Go's word.
    #[must_use]
    pub fn built_for(self, architecture: &'static str) -> Self {
        Self { architecture, ..self }
    }

    /// The same with this flaw.
    #[must_use]
    pub fn with(self, flaw: Flaw) -> Self {
        Self { flaw: Some(flaw), ..self }
    }

    /// One more layer with one file.
    #[must_use]
    pub fn file(self, path: &str, bytes: &[u8], mode: u32) -> Self {
        self.layer(&[(path, bytes, mode)])
    }

    /// One more layer with some files.
    #[must_use]
    pub fn layer(mut self, files: &[(&str, &[u8], u32)]) -> Self {
        let mut tar = tar::Builder::new(Vec::new());
        for (path, bytes, mode) in files {
            let mut header = tar::Header::new_ustar();
            header.set_size(bytes.len() as u64);
            header.set_mode(*mode);
            tar.append_data(&mut header, path.trim_start_matches('/'), *bytes).expect("a path that fits a tar");
        }
        self.layers.push(tar.into_inner().expect("a tar in memory"));
        self
    }

    /// One more layer of so many bytes that do not compress and exist nowhere else.
    #[must_use]
    pub fn layer_of_random(self, bytes: usize) -> Self {
        let mut noise = vec![0; bytes];
        fastrand::fill(&mut noise);
        let path = format!("/noise-{}", self.layers.len());
        self.file(&path, &noise, 0o644)
    }

    /// ENTRYPOINT
    #[must_use]
    pub fn entrypoint(self, words: &[&str]) -> Self {
        self.set("Entrypoint", json!(words))
    }

    /// CMD
    #[must_use]
    pub fn cmd(self, words: &[&str]) -> Self {
        self.set("Cmd", json!(words))
    }

    /// USER
    #[must_use]
    pub fn user(self, user: &str) -> Self {
        self.set("User", json!(user))
    }

    /// WORKDIR
    #[must_use]
    pub fn workdir(self, path: &str) -> Self {
        self.set("WorkingDir", json!(path))
    }

    /// HEALTHCHECK `CMD` with these words.
    #[must_use]
    pub fn healthcheck(self, words: &[&str]) -> Self {
        let test: Vec<&str> = ["CMD"].iter().chain(words).copied().collect();
        self.set("Healthcheck", json!({ "Test": test, "Interval": 1_000_000_000_u64, "Timeout": 5_000_000_000_u64 }))
    }

    /// ENV
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        let list = self.config.entry("Env").or_insert_with(|| json!([]));
        list.as_array_mut().expect("a list").push(json!(format!("{name}={value}")));
        self
    }

    /// LABEL
    #[must_use]
    pub fn label(mut self, name: &str, value: &str) -> Self {
        self.config.entry("Labels").or_insert_with(|| json!({}))[name] = json!(value);
        self
    }

    /// EXPOSE of a TCP port
    #[must_use]
    pub fn expose(mut self, port: u16) -> Self {
        self.config.entry("ExposedPorts").or_insert_with(|| json!({}))[format!("{port}/tcp")] = json!({});
        self
    }

    /// VOLUME
    #[must_use]
    pub fn volume(mut self, path: &str) -> Self {
        self.config.entry("Volumes").or_insert_with(|| json!({}))[path] = json!({});
        self
    }

    fn set(mut self, key: &str, value: Value) -> Self {
        self.config.insert(key.into(), value);
        self
    }

    /// Packs it.
    pub fn build(&self) -> Built {
        if self.flaw == Some(Flaw::Layers) {
            let small = |image: Self, number| image.file(&format!("/layer-{number}"), b"", 0o644);
            return (0..130).fold(Self { flaw: None, ..self.clone() }, small).build();
        }
        let mut blobs = BTreeMap::new();
        let (mut layers, mut digests) = (Vec::new(), Vec::new());
        let is = |flaw| self.flaw == Some(flaw);
        let layer_type = match self.flaw {
            Some(Flaw::Zstd) => "application/vnd.oci.image.layer.v1.tar+zstd",
            Some(Flaw::LayerType) => "application/vnd.example.layer.v1",
            Some(Flaw::Artifact) => "application/vnd.cncf.helm.chart.content.v1.tar+gzip",
            _ => "application/vnd.docker.image.rootfs.diff.tar.gzip",
        };
        let config_type = match self.flaw {
            Some(Flaw::Artifact) => "application/vnd.cncf.helm.config.v1+json",
            _ => "application/vnd.docker.container.image.v1+json",
        };
        for tar in &self.layers {
            let mut blob = match self.flaw {
                Some(Flaw::Zstd) => zstd(tar),
                Some(Flaw::NotATar) => gzip(&tar[1..]),
                _ => gzip(tar),
            };
            if is(Flaw::CutGzip) {
                blob.truncate(blob.len() / 2);
            }
            let blob = Bytes::from(blob);
            let digest = digest(&blob);
            layers.push(json!({ "mediaType": layer_type, "size": blob.len(), "digest": digest }));
            digests.push(digest.clone());
            blobs.insert(digest, blob);
        }
        let mut diff_ids: Vec<String> = self.layers.iter().map(|tar| digest(tar)).collect();
        if is(Flaw::DiffId) {
            diff_ids.iter_mut().for_each(|id| *id = digest(id.as_bytes()));
        }
        if is(Flaw::LayerCount) {
            diff_ids.push(digest(b"a layer that the manifest does not have"));
        }
        let config = json!({
            "architecture": self.architecture, "os": "linux",
            "config": self.config, "created": "2026-01-01T00:00:00Z",
            "history": self.layers.iter().map(|_| json!({ "created_by": "berth-kit" })).collect::<Vec<_>>(),
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        });
        let config = Bytes::from(if is(Flaw::Config) { format!("no JSON {config}") } else { config.to_string() });
        let manifest = Bytes::from(
            json!({
                "schemaVersion": 2, "mediaType": MANIFEST, "layers": layers,
                "config": { "mediaType": config_type, "size": config.len(), "digest": digest(&config) },
            })
            .to_string(),
        );
        blobs.insert(digest(&config), config);
        Built { digest: digest(&manifest), layers: digests, manifest, architecture: self.architecture, blobs }
    }
}

impl Built {
    /// A list of manifests with this image for its architecture and something else for another one: its digest and bytes.
    pub(crate) fn list(&self) -> (String, Bytes) {
        let entry = |digest: &str, architecture: &str| {
            json!({
                "mediaType": MANIFEST, "size": self.manifest.len(), "digest": digest,
                "platform": { "architecture": architecture, "os": "linux" },
            })
        };
        let other = digest(b"an image that nobody has");
        let list = json!({
            "schemaVersion": 2, "mediaType": MANIFEST_LIST,
            "manifests": [entry(&other, "s390x"), entry(&self.digest, self.architecture)],
        });
        let bytes = Bytes::from(list.to_string());
        (digest(&bytes), bytes)
    }

    /// A list of the manifests of these images, each for its architecture: its digest and bytes.
    pub(crate) fn list_of(images: &[Self]) -> (String, Bytes) {
        let entry = |image: &Self| {
            json!({
                "mediaType": MANIFEST, "size": image.manifest.len(), "digest": image.digest,
                "platform": { "architecture": image.architecture, "os": "linux" },
            })
        };
        let manifests: Vec<_> = images.iter().map(entry).collect();
        let list = json!({ "schemaVersion": 2, "mediaType": MANIFEST_LIST, "manifests": manifests });
        let bytes = Bytes::from(list.to_string());
        (digest(&bytes), bytes)
    }

    /// The bytes that a pull of it transfers, without the manifest.
    pub fn size(&self) -> usize {
        self.blobs.values().map(Bytes::len).sum()
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(bytes).expect("gzip in memory");
    gzip.finish().expect("gzip in memory")
}

/// A frame of zstd whose blocks are stored as they are (RFC 8878, sections 3.1.1.1 and 3.1.1.2).
fn zstd(bytes: &[u8]) -> Vec<u8> {
    const BLOCK: usize = 128 * 1024;
    let size = u32::try_from(bytes.len()).expect("a layer of less than 4 GB");
    // One segment, with its size in four bytes.
    let mut frame = [&[0x28, 0xb5, 0x2f, 0xfd, 0xa0][..], &size.to_le_bytes()].concat();
    let mut blocks = bytes.chunks(BLOCK).peekable();
    while let Some(block) = blocks.next() {
        let is_last = u32::from(blocks.peek().is_none());
        let header = u32::try_from(block.len()).expect("a block") << 3 | is_last;
        frame.extend(&header.to_le_bytes()[..3]);
        frame.extend(block);
    }
    frame
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", sha256_hex(bytes))
}
