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
        Self { layers: Vec::new(), config: Map::new(), architecture: ARCHITECTURE }
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
        let mut blobs = BTreeMap::new();
        let (mut layers, mut digests) = (Vec::new(), Vec::new());
        for tar in &self.layers {
            let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
            gzip.write_all(tar).expect("gzip in memory");
            let blob = Bytes::from(gzip.finish().expect("gzip in memory"));
            let digest = digest(&blob);
            layers.push(json!({
                "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", "size": blob.len(), "digest": digest,
            }));
            digests.push(digest.clone());
            blobs.insert(digest, blob);
        }
        let config = json!({
            "architecture": self.architecture, "os": "linux",
            "config": self.config, "created": "2026-01-01T00:00:00Z",
            "history": self.layers.iter().map(|_| json!({ "created_by": "berth-kit" })).collect::<Vec<_>>(),
            "rootfs": { "type": "layers", "diff_ids": self.layers.iter().map(|tar| digest(tar)).collect::<Vec<_>>() },
        });
        let config = Bytes::from(config.to_string());
        let manifest = Bytes::from(
            json!({
                "schemaVersion": 2, "mediaType": MANIFEST, "layers": layers,
                "config": {
                    "mediaType": "application/vnd.docker.container.image.v1+json", "size": config.len(),
                    "digest": digest(&config),
                },
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

    /// The bytes that a pull of it transfers, without the manifest.
    pub fn size(&self) -> usize {
        self.blobs.values().map(Bytes::len).sum()
    }
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", sha256_hex(bytes))
}
