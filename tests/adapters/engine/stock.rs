//! A registry with images in it that the engine has not got: Debian's in its three forms, and the kit's own, open and
//! behind a password. What is true of a pull is one function over [`Stock`], run on each of them.

use berth::io::docker::Login;
use berth::io::secret::Secret;
use berth_config::ImageRef;
use berth_kit::World;
use berth_kit::docker_registry::{DockerRegistry, PASSWORD, USERNAME};
use berth_kit::image::Built;

use super::bench::{call, unique};

/// A registry that a test can put images into.
pub(super) trait Stock {
    /// Puts an image into this test's own repository: its reference by tag.
    async fn put(&mut self, tag: &str, image: &Built) -> ImageRef;

    /// What it asks for; none if everybody may pull.
    fn login(&self) -> Option<Login<'_>>;
}

/// Debian's. What the engine pulled from it goes when this does.
pub(super) struct Debian {
    pub(super) registry: DockerRegistry,
    repository: String,
    password: Option<Secret>,
    pulled: Vec<String>,
}

impl Debian {
    fn new(registry: DockerRegistry, password: Option<Secret>) -> Self {
        Self { registry, repository: unique("berth-adapters"), password, pulled: Vec::new() }
    }

    pub(super) async fn open() -> Self {
        Self::new(DockerRegistry::open().await, None)
    }

    pub(super) async fn with_password() -> Self {
        Self::new(DockerRegistry::with_password().await, Some(Secret::new(PASSWORD)))
    }

    pub(super) async fn with_tls() -> Self {
        Self::new(DockerRegistry::with_tls().await, None)
    }
}

impl Stock for Debian {
    async fn put(&mut self, tag: &str, image: &Built) -> ImageRef {
        self.registry.hold(&self.repository, tag, image).await;
        let reference = reference(self.registry.address(), &self.repository, tag);
        self.pulled.push(reference.at(image.digest.clone()).to_string());
        reference
    }

    fn login(&self) -> Option<Login<'_>> {
        self.password.as_ref().map(|password| Login { username: USERNAME, password })
    }
}

impl Drop for Debian {
    fn drop(&mut self) {
        for image in &self.pulled {
            call(&format!("DELETE /images/{image}?force=1"));
        }
    }
}

/// The kit's. A world takes its images from the engine itself.
pub(super) struct Kit {
    pub(super) world: World,
    password: Option<Secret>,
}

impl Kit {
    pub(super) async fn open() -> Self {
        Self { world: World::start().await, password: None }
    }

    pub(super) async fn with_password() -> Self {
        let world = World::start().await;
        world.registry.require(USERNAME, PASSWORD);
        Self { world, password: Some(Secret::new(PASSWORD)) }
    }
}

impl Stock for Kit {
    async fn put(&mut self, tag: &str, image: &Built) -> ImageRef {
        self.world.registry.push(&self.world.name, tag, image);
        reference(self.world.registry.host(), &self.world.name, tag)
    }

    fn login(&self) -> Option<Login<'_>> {
        self.password.as_ref().map(|password| Login { username: USERNAME, password })
    }
}

fn reference(registry: String, repository: &str, tag: &str) -> ImageRef {
    ImageRef { registry, repository: repository.to_owned(), tag: Some(tag.to_owned()), digest: None }
}

/// Makes of each `async fn test(stock: impl Stock)` a test for every registry.
macro_rules! on_every_registry {
    ($($test:ident),+ $(,)?) => {$(
        mod $test {
            use crate::engine::stock::{Debian, Kit, on_every_registry};

            on_every_registry!(@one $test, docker_registry, Debian::open);
            on_every_registry!(@one $test, docker_registry_with_password, Debian::with_password);
            on_every_registry!(@one $test, docker_registry_with_tls, Debian::with_tls);
            on_every_registry!(@one $test, kit, Kit::open);
            on_every_registry!(@one $test, kit_with_password, Kit::with_password);
        }
    )+};
    (@one $test:ident, $name:ident, $stock:path) => {
        #[tokio::test]
        async fn $name() {
            super::$test($stock().await).await;
        }
    };
}

pub(super) use on_every_registry;
