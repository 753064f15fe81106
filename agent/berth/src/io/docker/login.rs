//! The credentials for a registry in the form that the engine reads: the `X-Registry-Auth` header.
//!
//! bollard encodes that header in the standard base64 alphabet. The engine reads the URL-safe one, and treats a header that it cannot read as no
//! credentials. So the header is made here, and the password passes through no other type.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use bollard::Docker;
use http::HeaderValue;
use serde::Serialize;
use zeroize::Zeroizing;

use super::error::EngineError;
use crate::io::secret::Secret;

/// A registry's username and password.
#[derive(Clone, Copy, Debug)]
pub struct Login<'a> {
    /// The username, `AWS` for ECR.
    pub username: &'a str,
    /// The password.
    pub password: &'a Secret,
}

/// The engine's `AuthConfig`, as far as a login by password needs it.
#[derive(Serialize)]
struct AuthConfig<'a> {
    username: &'a str,
    password: &'a str,
    /// An engine on the containerd image store sends the credentials to this host only.
    serveraddress: &'a str,
}

/// The handle with the credentials for the registry of `repository` (host and path) on all its requests.
pub(super) fn log_in(docker: Docker, repository: &str, login: Option<Login<'_>>) -> Result<Docker, EngineError> {
    let Some(login) = login else { return Ok(docker) };
    let header = header(repository, login)?;
    Ok(docker.with_request_modifier(move |mut request| {
        request.headers_mut().insert("X-Registry-Auth", header.clone());
        request
    }))
}

fn header(repository: &str, login: Login<'_>) -> Result<HeaderValue, EngineError> {
    let host = repository.split_once('/').map_or(repository, |(host, _)| host);
    let unreadable = || EngineError::UnreadableLogin(host.to_owned());
    let auth = AuthConfig {
        username: login.username,
        password: std::str::from_utf8(login.password.expose()).map_err(|_| unreadable())?,
        serveraddress: if host == "docker.io" { "https://index.docker.io/v1/" } else { host },
    };
    let json = Zeroizing::new(serde_json::to_vec(&auth).map_err(|_| unreadable())?);
    let encoded = Zeroizing::new(URL_SAFE.encode(&*json));
    let mut header = HeaderValue::from_str(&encoded).map_err(|_| unreadable())?;
    header.set_sensitive(true);
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_in_the_alphabet_that_the_engine_reads() {
        // Three of each, so that one of them falls on the offset where the alphabets differ.
        let password = Secret::new("???>>>~~~");
        let header = header("registry.example:5000/team/api", Login { username: "u", password: &password }).unwrap();
        let text = header.to_str().unwrap();
        assert!(text.contains(['-', '_']), "the password does not tell the alphabets apart: {text}");
        assert!(!text.contains(['+', '/']));
        let json: serde_json::Value = serde_json::from_slice(&URL_SAFE.decode(text).unwrap()).unwrap();
        assert_eq!(json["password"], "???>>>~~~");
        assert_eq!(json["serveraddress"], "registry.example:5000");
    }

    #[test]
    fn docker_hub_has_an_address_of_its_own() {
        let password = Secret::new("p");
        let header = header("docker.io/library/nginx", Login { username: "u", password: &password }).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&URL_SAFE.decode(header.as_bytes()).unwrap()).unwrap();
        assert_eq!(json["serveraddress"], "https://index.docker.io/v1/");
    }

    #[test]
    fn a_password_that_is_no_text_is_refused_without_showing_it() {
        let password = Secret::new([0xff, 0xfe]);
        let error = header("host/path", Login { username: "u", password: &password }).unwrap_err();
        assert_eq!(error.to_string(), "the password for host is not UTF-8 text");
    }
}
