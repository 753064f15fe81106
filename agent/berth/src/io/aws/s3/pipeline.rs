//! The SDK's pipeline around a request to S3: the cache of credentials, the signature, the one HTTP client.

use std::error::Error;
use std::fmt;

use aws_config::SdkConfig;
use aws_runtime::auth::sigv4::{SCHEME_ID, SigV4AuthScheme};
use aws_runtime::auth::{SigV4OperationSigningConfig, SigningOptions};
use aws_smithy_runtime::client::orchestrator::operation::Operation as Pipeline;
use aws_smithy_runtime_api::client::auth::static_resolver::StaticAuthSchemeOptionResolver;
use aws_smithy_runtime_api::client::auth::{
    AuthSchemeOptionResolverParams, SharedAuthScheme, SharedAuthSchemeOptionResolver,
};
use aws_smithy_runtime_api::client::identity::SharedIdentityResolver;
use aws_smithy_runtime_api::client::orchestrator::{HttpResponse, OrchestratorError};
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponentsBuilder;
use aws_smithy_runtime_api::client::runtime_plugin::StaticRuntimePlugin;
use aws_smithy_types::config_bag::Layer;
use aws_smithy_types::error::metadata::{ErrorMetadata, ProvideErrorMetadata};
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SigningName;
use aws_types::region::SigningRegion;
use http::StatusCode;

use super::page;
use super::request::{Answer, Request};
use crate::io::aws::service::Operation;

/// An error of S3: its code, and its message.
#[derive(Debug)]
pub(super) struct Refusal(ErrorMetadata);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("S3 refused the call")
    }
}

impl Error for Refusal {}

impl ProvideErrorMetadata for Refusal {
    fn meta(&self) -> &ErrorMetadata {
        &self.0
    }
}

/// Sends the request once. `is_named` is whether the environment names the endpoint.
pub(super) fn send(
    config: &SdkConfig,
    operation: Operation,
    request: Request,
    is_named: bool,
) -> impl Future<Output = Result<Answer, SdkError<Refusal, HttpResponse>>> + use<> {
    let pipeline = prepare(config, operation, &request, is_named);
    async move {
        match pipeline {
            Some(pipeline) => pipeline.invoke(()).await,
            None => Err(SdkError::construction_failure("the request is not valid")),
        }
    }
}

fn prepare(
    config: &SdkConfig,
    operation: Operation,
    request: &Request,
    is_named: bool,
) -> Option<Pipeline<(), Answer, Refusal>> {
    let (endpoint, bucket) = address(config.endpoint_url()?, &request.at.bucket, is_named);
    // Built here, so that a bucket or a key that cannot be sent is an error before anything is.
    let http = request.to_http(&bucket)?;
    let pipeline = Pipeline::builder()
        .service_name(operation.service.signing_name())
        .operation_name(operation.name)
        .http_client(config.http_client()?)
        .endpoint_url(&endpoint)
        .no_retry()
        .timeout_config(TimeoutConfig::disabled())
        .sleep_impl(config.sleep_impl()?)
        .time_source(config.time_source()?)
        .runtime_plugin(signing(config, operation)?)
        .serializer(move |()| http.try_clone().ok_or_else(|| "the body is a stream".into()))
        .deserializer(read);
    Some(pipeline.build())
}

/// Signature version 4 as S3 has it: of the body too, and of the path as it is sent.
fn signing(config: &SdkConfig, operation: Operation) -> Option<StaticRuntimePlugin> {
    let region = SigningRegion::from(config.region()?.clone());
    let mut options = SigningOptions::default();
    options.double_uri_encode = false;
    options.content_sha256_header = true;
    options.normalize_uri_path = false;
    let mut layer = Layer::new("signature");
    layer.store_put(AuthSchemeOptionResolverParams::new(()));
    layer.store_put(SigV4OperationSigningConfig {
        region: Some(region),
        name: Some(SigningName::from_static(operation.service.signing_name())),
        signing_options: options,
        ..SigV4OperationSigningConfig::default()
    });
    let scheme = SharedAuthSchemeOptionResolver::new(StaticAuthSchemeOptionResolver::new(vec![SCHEME_ID]));
    let components = RuntimeComponentsBuilder::new("signature")
        .with_auth_scheme(SharedAuthScheme::new(SigV4AuthScheme::new()))
        .with_auth_scheme_option_resolver(Some(scheme))
        .with_identity_cache(config.identity_cache())
        .with_identity_resolver(SCHEME_ID, SharedIdentityResolver::new(config.credentials_provider()?));
    Some(StaticRuntimePlugin::new().with_config(layer.freeze()).with_runtime_components(components))
}

/// The endpoint of a bucket, and the part of the path that names it. The bucket is a part of the host, unless the environment names the host, or the
/// bucket cannot be a part of one. With a dot it would be more than one, which no certificate of S3 allows.
fn address(endpoint: &str, bucket: &str, is_named: bool) -> (String, String) {
    match endpoint.split_once("://") {
        Some((scheme, host)) if !is_named && is_label(bucket) => (format!("{scheme}://{bucket}.{host}"), String::new()),
        _ => (endpoint.to_owned(), format!("/{bucket}")),
    }
}

fn is_label(bucket: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (3..=63).contains(&bucket.len())
        && bucket.bytes().all(is_inner)
        && !bucket.starts_with('-')
        && !bucket.ends_with('-')
}

fn read(answer: &HttpResponse) -> Result<Answer, OrchestratorError<Refusal>> {
    let status = answer.status();
    if status.is_success() || status.as_u16() == StatusCode::NOT_MODIFIED.as_u16() {
        return Ok(Answer::of(answer));
    }
    let error = page::read_error(answer.body().bytes().unwrap_or_default());
    let (code, mut message) = error.unwrap_or_default();
    // A bucket of another region: 301, or 400 if the signature was looked at first.
    let region = answer.headers().try_get("x-amz-bucket-region").and_then(Result::ok);
    if let Some(region) = region.filter(|_| ["PermanentRedirect", "AuthorizationHeaderMalformed"].contains(&&*code)) {
        message = format!("the bucket is in {region}: it must be in the region of the instance");
    }
    let mut refusal = ErrorMetadata::builder().code(code);
    if !message.is_empty() {
        refusal = refusal.message(message);
    }
    Err(OrchestratorError::operation(Refusal(refusal.build())))
}
