//! Whether the bytes of an image are the reason of a failed pull. They match their digests, so another pull brings the same ones: such an error is
//! final. Messages about the transfer or this host have other words.

/// The image itself is the reason.
pub(super) const IMAGE: [&str; 21] = [
    // Docker's own store.
    "layers from manifest don't match image configuration",
    "invalid rootfs in image configuration",
    "max depth exceeded",
    "encountered remote",
    "failed to register layer",
    "error processing tar file",
    // containerd's.
    "failed to extract layer",
    "wrong diff id",
    "mismatched image rootfs",
    "no processor for media-type",
    "number of layers and diffids don't match",
    "unmarshal image config",
    // Podman's.
    "does not match config's diffid",
    "unsupported docker v2s2 media type",
    // Both.
    "archive/tar: invalid tar header",
    "unsupported media type",
    "unsupported manifest",
    "unsupported schema version",
    "schema 1",
    "manifest.v1+prettyjws",
    // ECR, of an image in its archive storage class.
    "image_archived",
];

/// Messages of an engine's parser about an image's config, at the beginning of the message. Behind other words they are about other JSON.
pub(super) const CONFIG: [&str; 3] = ["invalid character", "unexpected end of json input", "json: cannot unmarshal"];

/// The host or the transfer is the reason, also while a layer is unpacked.
const HOST: [&str; 17] = [
    "eof",
    // unpigz.
    "incomplete deflate data",
    "no space left on device",
    "quota exceeded",
    "cannot allocate memory",
    "resource temporarily unavailable",
    "device or resource busy",
    "too many open files",
    "input/output error",
    "read-only file system",
    "file exists",
    "broken pipe",
    "connection re",
    "timeout",
    "deadline exceeded",
    "context canceled",
    "signal: ",
];

/// A page, where a registry would have returned JSON.
const PAGE: [&str; 7] = [
    "<html",
    "<!doctype html",
    "error parsing http",
    "error unmarshalling content",
    "text/html",
    "network authentication required",
    "proxy authentication required",
];

/// Whether this engine can never pull the image. `prose` is in lower case.
pub(super) fn is_final(prose: &str) -> bool {
    let says = |words: &[&str]| words.iter().any(|words| prose.contains(words));
    (says(&IMAGE) || CONFIG.iter().any(|words| prose.starts_with(words))) && !says(&HOST)
}

/// Whether something between the engine and the registry responded: a proxy, a login page. The storage of ECR's layers responds in XML, and its
/// refusals are those of AWS.
pub(super) fn is_page(prose: &str) -> bool {
    PAGE.iter().any(|words| prose.contains(words)) && !prose.contains("<code>accessdenied</code>")
}

/// What to do about an image that is the reason.
pub(super) fn advice(prose: &str) -> Option<&'static str> {
    let says = |words: &str| prose.contains(words);
    if !is_final(prose) {
        None
    } else if says("invalid tar header") || (says("zstd") && !says("media type")) {
        Some(
            "if its layers are compressed with zstd, it needs Docker Engine 23.0 or later, or the containerd image store: update the \
             engine, or build the image with gzip",
        )
    } else if says("image_archived") {
        Some("restore it with `aws ecr update-image-storage-class --target-storage-class STANDARD`")
    } else if says("schema 1") || says("prettyjws") {
        Some("push it again from a current engine, as schema 2 or OCI")
    } else if says("max depth exceeded") {
        Some("build it with fewer layers: Docker has at most 125")
    } else if says("encountered remote") || (says("unsupported") && says("media type")) || says("unsupported manifest")
    {
        Some("it must be a container image whose layers are tar, gzip or (Docker Engine 23.0 or later) zstd")
    } else {
        Some("build and push it again")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_image_is_not_one_of_the_host_or_the_transfer() {
        for (is, prose) in [
            (
                true,
                "failed to register layer: Error processing tar file(exit status 1): archive/tar: invalid tar header",
            ),
            (
                true,
                "failed to register layer: ApplyLayer exit status 1 stdout: stderr: archive/tar: invalid tar header",
            ),
            (true, "failed to register layer: max depth exceeded"),
            (true, "failed to register layer: lchown /x: invalid argument"),
            (true, "layers from manifest don't match image configuration"),
            (
                true,
                "failed to extract layer sha256:aa: mount callback failed on /x: archive/tar: invalid tar header: unknown",
            ),
            (true, "wrong diff id calculated on extraction \"sha256:aa\""),
            (true, "number of layers and diffIDs don't match: 1 != 2"),
            (true, "unmarshal image config: invalid character 'o' in literal null (expecting 'u')"),
            (
                true,
                "writing blob: layer 0 (blob \"sha256:aa\"/\"\"/\"sha256:bb\") does not match config's DiffID \"sha256:cc\"",
            ),
            (true, "unsupported docker v2s2 media type: \"application/vnd.cncf.helm.chart.content.v1.tar+gzip\""),
            (true, "invalid character 'o' in literal null (expecting 'u')"),
            (true, "json: cannot unmarshal string into Go struct field Image.rootfs of type image.RootFS"),
            (true, "Encountered remote \"application/vnd.cncf.helm.config.v1+json\"(unknown) when fetching"),
            (true, "unsupported media type application/vnd.example.layer.v1"),
            (
                true,
                "[DEPRECATION NOTICE] Docker Image Format v1 and Docker Image manifest version 2, schema 1 support is disabled by \
                 default",
            ),
            (true, "media type \"application/vnd.docker.distribution.manifest.v1+prettyjws\" is no longer supported"),
            (false, "failed to register layer: Error processing tar file(exit status 1): unexpected EOF"),
            (
                false,
                "failed to register layer: Error processing tar file(exit status 1): write /x: no space left on device",
            ),
            (
                false,
                "failed to extract layer (x) to overlayfs as \"y\": mount callback failed on /x: exit status 1: unpigz: skipping: <stdin>: \
                 corrupted -- incomplete deflate data",
            ),
            (false, "failed to register layer: fork/exec /proc/self/exe: cannot allocate memory"),
            (false, "failed to register layer: rename /a /b: file exists"),
            (false, "failed to register layer: context canceled"),
            (false, "failed to extract layer sha256:aa: failed to mount /x: input/output error: unknown"),
            (false, "filesystem layer verification failed for digest sha256:aa"),
            (false, "image config verification failed for digest sha256:aa"),
            (false, "error unmarshalling content: invalid character '<' looking for beginning of value"),
            (false, "unable to decode token response: invalid character '<' looking for beginning of value"),
        ] {
            assert_eq!(is_final(&prose.to_lowercase()), is, "{prose}");
            assert_eq!(advice(&prose.to_lowercase()).is_some(), is, "{prose}");
        }
    }

    #[test]
    fn a_page_is_not_a_message_of_a_registry() {
        for (is, prose) in [
            (
                true,
                "error parsing HTTP 403 response body: invalid character '<' looking for beginning of value: \"<html>\"",
            ),
            (true, "error parsing HTTP 404 response body: no error details found in HTTP response body: \"{}\""),
            (true, "pull access denied for host/x: denied: <!DOCTYPE html> <html> <h1>403 - Forbidden</h1>"),
            (true, "received unexpected HTTP status: 511 Network Authentication Required"),
            (true, "Get \"https://host/v2/\": Proxy Authentication Required"),
            (true, "unsupported manifest media type and no default available: text/html; charset=utf-8"),
            (
                false,
                "error parsing HTTP 403 response body: invalid character '<': \"<Error><Code>AccessDenied</Code>\"",
            ),
            (false, "unauthorized: authentication required"),
            (false, "unexpected status from HEAD request to https://host/v2/: 403 Forbidden"),
        ] {
            assert_eq!(is_page(&prose.to_lowercase()), is, "{prose}");
        }
    }
}
