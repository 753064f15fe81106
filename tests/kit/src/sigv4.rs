//! AWS Signature Version 4, computed again from the request as it arrived.
//!
//! Written from the specification and checked against its published vectors; not the crate that the agent signs with,
//! since an independent check is the point.

use std::collections::BTreeMap;

use http::Request;
use sha2::{Digest as _, Sha256};

use crate::text::{hex, percent_decode, percent_encode, sha256_hex};

/// The `Authorization` header, taken apart.
#[derive(Debug, PartialEq)]
pub(crate) struct Authorization {
    pub(crate) access_key: String,
    pub(crate) date: String,
    pub(crate) region: String,
    pub(crate) service: String,
    pub(crate) signed_headers: Vec<String>,
    pub(crate) signature: String,
}

impl Authorization {
    /// `AWS4-HMAC-SHA256 Credential=AKID/20150830/us-east-1/service/aws4_request, SignedHeaders=host;…, Signature=…`
    pub(crate) fn parse(header: &str) -> Option<Self> {
        let fields: BTreeMap<&str, &str> = header
            .strip_prefix("AWS4-HMAC-SHA256 ")?
            .split(',')
            .filter_map(|field| field.trim().split_once('='))
            .collect();
        let scope: Vec<&str> = fields.get("Credential")?.split('/').collect();
        let &[access_key, date, region, service, "aws4_request"] = scope.as_slice() else { return None };
        Some(Self {
            access_key: access_key.into(),
            date: date.into(),
            region: region.into(),
            service: service.into(),
            signed_headers: fields.get("SignedHeaders")?.split(';').map(str::to_owned).collect(),
            signature: (*fields.get("Signature")?).into(),
        })
    }

    /// The signature that this request must have under this secret key.
    pub(crate) fn expected(&self, secret_key: &str, request: &Request<impl AsRef<[u8]>>) -> String {
        let moment = header(request, "x-amz-date");
        let scope = format!("{}/{}/{}/aws4_request", self.date, self.region, self.service);
        let hash = sha256_hex(self.canonical(request).as_bytes());
        let to_sign = format!("AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hash}");
        let mut key = hmac(format!("AWS4{secret_key}").as_bytes(), self.date.as_bytes());
        for part in [self.region.as_str(), &self.service, "aws4_request"] {
            key = hmac(&key, part.as_bytes());
        }
        hex(&hmac(&key, to_sign.as_bytes()))
    }

    fn canonical(&self, request: &Request<impl AsRef<[u8]>>) -> String {
        // The path of S3 is not encoded a second time.
        let part = |part: &str| match self.service == "s3" {
            true => percent_encode(&percent_decode(part, false)),
            false => percent_encode(part.as_bytes()),
        };
        let path: Vec<String> = request.uri().path().split('/').map(part).collect();
        let mut query: Vec<String> = request
            .uri()
            .query()
            .unwrap_or_default()
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                let [key, value] = [key, value].map(|part| percent_encode(&percent_decode(part, false)));
                format!("{key}={value}")
            })
            .collect();
        query.sort();
        let headers: String =
            self.signed_headers.iter().map(|name| format!("{name}:{}\n", header(request, name))).collect();
        format!(
            "{}\n{}\n{}\n{headers}\n{}\n{}",
            request.method(),
            path.join("/"),
            query.join("&"),
            self.signed_headers.join(";"),
            sha256_hex(request.body().as_ref())
        )
    }
}

/// A header's values, each trimmed and with single spaces, joined by commas.
fn header(request: &Request<impl AsRef<[u8]>>, name: &str) -> String {
    let values = request.headers().get_all(name).iter().map(|value| {
        let text = String::from_utf8_lossy(value.as_bytes());
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    });
    values.collect::<Vec<_>>().join(",")
}

/// HMAC-SHA256 (RFC 2104).
fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut block = [0_u8; 64];
    if key.len() > block.len() {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let inner = Sha256::new().chain_update(block.map(|byte| byte ^ 0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(block.map(|byte| byte ^ 0x5c)).chain_update(inner).finalize().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The suite's key, not a secret of anybody.
    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

    /// The signatures of AWS's published test suite (aws-sig-v4-test-suite), by the name of the case.
    #[test]
    fn the_published_vectors_come_out() {
        let token = "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==";
        for (name, method, uri, headers, signed, signature) in [
            (
                "get-vanilla",
                "GET",
                "/",
                vec![],
                "host;x-amz-date",
                "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
            ),
            (
                "get-vanilla-query-order-key-case",
                "GET",
                "/?Param2=value2&Param1=value1",
                vec![],
                "host;x-amz-date",
                "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
            ),
            (
                "post-vanilla",
                "POST",
                "/",
                vec![],
                "host;x-amz-date",
                "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
            ),
            (
                "post-sts-header-before",
                "POST",
                "/",
                vec![("x-amz-security-token", token)],
                "host;x-amz-date;x-amz-security-token",
                "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead",
            ),
        ] {
            let mut request = Request::builder()
                .method(method)
                .uri(uri)
                .header("host", "example.amazonaws.com")
                .header("x-amz-date", "20150830T123600Z");
            for (key, value) in headers {
                request = request.header(key, value);
            }
            let authorization = Authorization::parse(&format!(
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
                 SignedHeaders={signed}, Signature={signature}"
            ))
            .unwrap();
            assert_eq!(authorization.expected(SECRET, &request.body(b"").unwrap()), authorization.signature, "{name}");
        }
    }

    #[test]
    fn a_header_of_another_scheme_is_not_taken_apart() {
        assert_eq!(Authorization::parse("Basic QVdTOng="), None);
        assert_eq!(Authorization::parse("AWS4-HMAC-SHA256 Credential=a/b/c, SignedHeaders=host, Signature=0"), None);
    }
}
