//! How AWS says no, and yes, in its two protocols: JSON 1.1, and Query with XML answers.

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use serde_json::json;

use crate::imds::ROLE;
use crate::server::{Reply, reply};
use crate::text::{random_hex, xml};

/// AWS refuses the call.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) message: String,
}

impl Refusal {
    pub(crate) fn new(code: &str, message: impl Into<String>) -> Self {
        Self { status: 400, code: code.into(), message: message.into() }
    }
}

/// How a service speaks.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Protocol {
    Json,
    Query,
    /// S3: the path and the head say what is asked, and only errors and lists are XML.
    RestXml,
}

/// The refusal of a caller that is not allowed.
pub(crate) fn denied(service: &str, operation: &str, resource: &str) -> Refusal {
    let message = format!(
        "User: arn:aws:sts::123456789012:assumed-role/{}/i is not authorized to perform: {service}:{operation} on \
         resource: {resource} because no identity-based policy allows the {service}:{operation} action",
        ROLE
    );
    Refusal::new("AccessDeniedException", message)
}

/// The refusal of credentials whose time is over.
pub(crate) fn expired(protocol: Protocol) -> Refusal {
    let message = "The security token included in the request is expired";
    match protocol {
        Protocol::Json => Refusal::new("ExpiredTokenException", message),
        Protocol::Query => Refusal { status: 403, ..Refusal::new("ExpiredToken", message) },
        Protocol::RestXml => Refusal::new("ExpiredToken", "The provided token has expired."),
    }
}

/// The output of a call.
pub(crate) fn accept(protocol: Protocol, output: Bytes) -> Reply {
    match protocol {
        Protocol::Json => signed_off(reply(StatusCode::OK, "application/x-amz-json-1.1", output)),
        Protocol::Query | Protocol::RestXml => signed_off(reply(StatusCode::OK, "text/xml", output)),
    }
}

/// A refusal in the words of its protocol.
pub(crate) fn refuse(service: &str, protocol: Protocol, refusal: &Refusal) -> Reply {
    let status = StatusCode::from_u16(refusal.status).expect("a refusal's status is an HTTP status");
    let Refusal { code, message, .. } = refusal;
    if protocol == Protocol::RestXml {
        let (code, message) = (xml(code), xml(message));
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message><RequestId>{}\
             </RequestId><HostId>x</HostId></Error>",
            request_id()
        );
        let mut answer = reply(status, "application/xml", body);
        crate::s3::sign_off(&mut answer);
        return answer;
    }
    signed_off(match protocol {
        Protocol::Json => {
            // The services do not agree on the case of this key.
            let key = if service == "secretsmanager" { "Message" } else { "message" };
            reply(status, "application/x-amz-json-1.1", json!({ "__type": code, key: message }).to_string())
        }
        Protocol::Query | Protocol::RestXml => {
            let body = format!(
                "<ErrorResponse xmlns=\"{}\">\n  <Error>\n    \
                 <Type>Sender</Type>\n    <Code>{}</Code>\n    <Message>{}</Message>\n  </Error>\n  \
                 <RequestId>{}</RequestId>\n</ErrorResponse>\n",
                namespace(service),
                xml(code),
                xml(message),
                request_id()
            );
            reply(status, "text/xml", body)
        }
    })
}

/// Of the XML of a Query service.
pub(crate) fn namespace(service: &str) -> &'static str {
    match service {
        "elasticloadbalancing" => "http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/",
        "sts" => "https://sts.amazonaws.com/doc/2011-06-15/",
        _ => "http://autoscaling.amazonaws.com/doc/2011-01-01/",
    }
}

fn signed_off(mut answer: Reply) -> Reply {
    answer.headers_mut().insert("x-amzn-requestid", HeaderValue::from_str(&request_id()).expect("hex"));
    answer
}

pub(crate) fn request_id() -> String {
    format!("{}-{}-{}-{}-{}", random_hex(8), random_hex(4), random_hex(4), random_hex(4), random_hex(12))
}
