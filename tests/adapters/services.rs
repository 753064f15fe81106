//! AWS, played twice: by moto, which is somebody else's, and by the kit. A test of what both have is one function over
//! [`Services`], which [`on_moto_and_kit`] runs on each; so the kit's answers are held against moto's.

use std::time::Duration;

use berth::io::aws::Aws;
use serde_json::Value;

/// What both groups of [`Services::join_group`] give their two hooks, `launch` and `terminate`.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(300);

/// An AWS that a test can put things into. It may be shared: names are the test's own.
pub(crate) trait Services {
    /// A client of it, with identity and region.
    async fn aws(&self) -> Aws;

    /// Creates a secret, or gives it a new version; returns its ARN and the version's id.
    async fn put_secret(&self, name: &str, value: &str) -> (String, String);

    /// Creates a secret of bytes.
    async fn put_binary_secret(&self, name: &str, value: &[u8]);

    /// Schedules a secret for deletion.
    async fn delete_secret(&self, name: &str);

    /// Creates a `SecureString`, or gives it a new version; returns its ARN.
    async fn put_parameter(&self, name: &str, value: &str) -> String;

    /// What goes with the user `AWS` of the account's registry.
    fn registry_password(&self) -> String;

    /// An instance in service, in a group with the hooks `launch` and `terminate`.
    async fn join_group(&self) -> Membership;

    /// A target group on port 8080 that a load balancer uses, and an instance that runs and is not registered there. A target is
    /// healthy at once, and gone as soon as it is deregistered.
    async fn balance(&self) -> Balanced;

    /// The group attaches the target group: it registers its instances there by itself.
    async fn attach(&self, membership: &Membership, balanced: &Balanced);

    /// Stops the instance: it cannot be registered after this.
    async fn stop(&self, balanced: &Balanced);

    /// Creates a bucket; its name.
    async fn bucket(&self) -> String;

    /// Lets boto3 make these calls, see [`berth_kit::oracle::call`].
    async fn boto3(&self, calls: &[Value]) -> Vec<Value>;

    /// What the group thinks of the instance.
    async fn is_healthy(&self, membership: &Membership) -> bool;
}

/// Which instance is in which group.
pub(crate) struct Membership {
    pub(crate) group: String,
    pub(crate) instance_id: String,
}

/// Which instance may be registered where.
pub(crate) struct Balanced {
    /// The ARN of the target group.
    pub(crate) target_group: String,
    pub(crate) instance_id: String,
    /// The deregistration delay that the target group has.
    pub(crate) delay: Duration,
}

/// Makes of each `async fn test(services: &impl Services)` the tests `test::moto` and `test::kit`.
macro_rules! on_moto_and_kit {
    ($($test:ident),+ $(,)?) => {$(
        mod $test {
            #[tokio::test]
            async fn moto() {
                super::$test(&crate::moto::Moto).await;
            }

            #[tokio::test]
            async fn kit() {
                super::$test(&berth_kit::World::start().await).await;
            }
        }
    )+};
}

pub(crate) use on_moto_and_kit;
