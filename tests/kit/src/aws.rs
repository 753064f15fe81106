//! The one AWS endpoint (`AWS_ENDPOINT_URL`): checks the signature, finds the service and hands the call over.
//!
//! A call is known by its `X-Amz-Target` (JSON 1.1) or its `Action` (Query form in, XML out), and must be signed for that
//! service and region with the credentials that the metadata service handed out.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Method, Request, header};
use serde_json::Value;

use crate::autoscaling::AutoScaling;
use crate::clock::{self, amz_date, http_date};
use crate::credentials::Credentials;
use crate::ecr::Ecr;
use crate::exchange::{Exchange, Exchanges};
use crate::faults::{self, Fault, Faults};
use crate::form::Form;
use crate::iam::Iam;
use crate::journal::Journal;
use crate::parameter_store::ParameterStore;
use crate::refusal::{Protocol, Refusal, accept, denied, expired, namespace, refuse, request_id};
use crate::s3::{self, Caller, S3};
use crate::secrets_manager::SecretsManager;
use crate::server::{Fake, Reply};
use crate::sigv4::Authorization;
use crate::sts::Sts;
use crate::target_groups::TargetGroups;
use crate::text::sha256_hex;

/// A call as it came in.
enum Input {
    Json(Value),
    Query(Form),
    Rest(s3::Call),
}

/// The endpoint.
pub struct Aws {
    pub(crate) address: SocketAddr,
    pub(crate) regions: Mutex<BTreeSet<String>>,
    pub(crate) credentials: Arc<Credentials>,
    pub(crate) journal: Journal,
    pub(crate) exchanges: Exchanges,
    pub(crate) faults: Faults,
    pub(crate) iam: Iam,
    pub(crate) ahead: AtomicI64,
    pub(crate) secrets: Arc<SecretsManager>,
    pub(crate) parameters: Arc<ParameterStore>,
    pub(crate) ecr: Arc<Ecr>,
    pub(crate) autoscaling: Arc<AutoScaling>,
    pub(crate) target_groups: TargetGroups,
    pub(crate) s3: S3,
    pub(crate) sts: Sts,
}

impl Aws {
    /// For `AWS_ENDPOINT_URL`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every call so far, as it was on the wire.
    pub fn exchanges(&self) -> Vec<Exchange> {
        self.exchanges.all()
    }

    /// Lets calls that are signed for this region be good too, e.g. for a registry elsewhere.
    pub fn also_in(&self, region: &str) {
        self.regions.lock().unwrap().insert(region.into());
    }

    /// Sets the services' clock ahead of this machine's, as if this machine's were that much behind.
    pub fn set_clock_ahead(&self, by: Duration) {
        self.ahead.store(by.as_secs().cast_signed(), Ordering::Relaxed);
    }

    /// Sets the services' clock behind this machine's, as if this machine's were that much ahead.
    pub fn set_clock_behind(&self, by: Duration) {
        self.ahead.store(-by.as_secs().cast_signed(), Ordering::Relaxed);
    }

    fn now(&self) -> SystemTime {
        clock::shifted(clock::wall(), self.ahead.load(Ordering::Relaxed))
    }

    /// Whether the role may. Secrets and parameters are asked about where they are found.
    fn authorize(&self, service: &str, operation: &str, input: &Input) -> Result<(), Refusal> {
        let resource = match (service, input) {
            ("secretsmanager" | "ssm" | "s3" | "sts", _) => return Ok(()),
            ("autoscaling", Input::Query(_)) if !operation.starts_with("Describe") => self.autoscaling.arn(),
            ("elasticloadbalancing", Input::Query(form)) => TargetGroups::resource(operation, form),
            _ => "*".to_owned(),
        };
        if self.iam.allows(&format!("{service}:{operation}"), &resource) {
            return Ok(());
        }
        let refusal = denied(service, operation, &resource);
        Err(match input {
            Input::Json(_) => refusal,
            Input::Query(_) | Input::Rest(_) => Refusal { status: 403, code: "AccessDenied".into(), ..refusal },
        })
    }

    /// Whether the caller is the instance, and the request as it was signed.
    fn authenticate(&self, service: &str, protocol: Protocol, request: &Request<Bytes>) -> Result<(), Refusal> {
        let text = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        // The Query services' names for the same refusals, and their 403.
        let refusal = |json: &str, query: &str, message: &str| match protocol {
            Protocol::Json => Refusal::new(json, message),
            Protocol::Query => Refusal { status: 403, code: query.into(), message: message.into() },
            Protocol::RestXml => {
                let code = match query {
                    "MissingAuthenticationToken" => "AccessDenied",
                    "InvalidClientTokenId" => "InvalidAccessKeyId",
                    other => other,
                };
                Refusal { status: 403, code: code.into(), message: message.into() }
            }
        };
        let missing = || refusal("MissingAuthenticationTokenException", "MissingAuthenticationToken", "Missing Token");
        let wrong = |why: &str| refusal("InvalidSignatureException", "SignatureDoesNotMatch", why);
        let unknown = || {
            let message = "The security token included in the request is invalid.";
            refusal("UnrecognizedClientException", "InvalidClientTokenId", message)
        };

        let authorization = Authorization::parse(text("authorization")).ok_or_else(missing)?;
        if authorization.service != service {
            return Err(wrong(&format!("Credential should be scoped to correct service: '{service}'.")));
        }
        if !self.regions.lock().unwrap().contains(&authorization.region) {
            return Err(wrong("Credential should be scoped to a valid region."));
        }
        let credential = self.credentials.find(&authorization.access_key).ok_or_else(unknown)?;
        if text("x-amz-security-token") != credential.token {
            return Err(unknown());
        }
        for name in ["host", "x-amz-date", "x-amz-security-token"] {
            if !authorization.signed_headers.iter().any(|signed| signed == name) {
                return Err(wrong(&format!("'{name}' must be a 'SignedHeader' in the AWS Authorization.")));
            }
        }
        let (now, skew) = (self.now(), Duration::from_secs(300));
        let moment = text("x-amz-date");
        if protocol == Protocol::RestXml {
            let is_near = (amz_date(now - skew)..=amz_date(now + skew)).contains(&moment.to_owned());
            let message = "The difference between the request time and the current time is too large.";
            if !is_near {
                return Err(Refusal { status: 403, ..Refusal::new("RequestTimeTooSkewed", message) });
            }
            let (given, computed) = (text("x-amz-content-sha256"), sha256_hex(request.body()));
            if given != computed && given != "UNSIGNED-PAYLOAD" {
                let message = "The provided 'x-amz-content-sha256' header does not match what was computed.";
                return Err(Refusal::new("XAmzContentSHA256Mismatch", message));
            }
        }
        let (present, earliest, latest) = (amz_date(now), amz_date(now - skew), amz_date(now + skew));
        if moment < earliest.as_str() {
            let why = format!("Signature expired: {moment} is now earlier than {earliest} ({present} - 5 min.)");
            return Err(wrong(&why));
        }
        if moment > latest.as_str() {
            let why = format!("Signature not yet current: {moment} is still later than {latest} ({present} + 5 min.)");
            return Err(wrong(&why));
        }
        if !moment.starts_with(&authorization.date) {
            return Err(wrong("Date in Credential scope does not match the date of the request."));
        }
        if authorization.signature != authorization.expected(&credential.secret_key, request) {
            return Err(wrong(
                "The request signature we calculated does not match the signature you provided. Check your AWS Secret \
                 Access Key and signing method.",
            ));
        }
        if credential.expires <= now {
            return Err(expired(protocol));
        }
        Ok(())
    }

    fn perform(&self, service: &str, operation: &str, input: &Input) -> Result<Bytes, Refusal> {
        let output = match (service, input) {
            ("secretsmanager", Input::Json(input)) => self.secrets.call(operation, input)?.to_string(),
            ("ssm", Input::Json(input)) => self.parameters.call(operation, input)?.to_string(),
            ("ecr", Input::Json(_)) => self.ecr.call(operation)?.to_string(),
            ("autoscaling", Input::Query(form)) => {
                envelope(service, operation, self.autoscaling.call(operation, form)?)
            }
            ("elasticloadbalancing", Input::Query(form)) => {
                envelope(service, operation, Some(self.target_groups.call(operation, form)?))
            }
            ("sts", Input::Query(_)) => envelope(service, operation, Some(self.sts.call(operation)?)),
            _ => return Err(Refusal::new("UnknownOperationException", "the fake has no such service")),
        };
        Ok(output.into())
    }
}

impl Fake for Aws {
    async fn answer(&self, request: Request<Bytes>) -> Reply {
        let mut reply = self.reply(request).await;
        let date = http_date(self.now()).parse().expect("a date fits a header");
        reply.headers_mut().insert(header::DATE, date);
        reply
    }
}

impl Aws {
    async fn reply(&self, request: Request<Bytes>) -> Reply {
        let number = self.exchanges.arrived(&request);
        let (service, operation, input) = match read(&request) {
            Ok(call) => call,
            Err(why) => {
                self.journal.arrived("aws", "unreadable", String::new()).answered(404);
                return refuse(
                    "",
                    Protocol::Json,
                    &Refusal { status: 404, ..Refusal::new("UnknownOperationException", why) },
                );
            }
        };
        let (protocol, detail) = match &input {
            Input::Json(input) => (Protocol::Json, names(service, input)),
            Input::Rest(call) => (Protocol::RestXml, call.detail()),
            Input::Query(form) if service == "elasticloadbalancing" => (Protocol::Query, TargetGroups::names(form)),
            Input::Query(form) => (Protocol::Query, AutoScaling::names(form)),
        };
        let region = request
            .headers()
            .get(header::AUTHORIZATION)
            .and_then(|header| Authorization::parse(header.to_str().ok()?))
            .map_or_else(|| "unsigned".into(), |authorization| authorization.region);
        let detail = if service == "ecr" { region } else { detail };
        let noted = self.journal.arrived(service, &operation, detail);
        let fault = self.faults.meet(&noted);
        let answer = match self.faults.before(fault.as_ref()).await {
            Some(answer) => answer,
            None => {
                let output = match (&fault, protocol) {
                    (Some(Fault::Throttle), Protocol::Json) => {
                        Err(Refusal::new("ThrottlingException", "Rate exceeded"))
                    }
                    (Some(Fault::Throttle), Protocol::Query) => Err(Refusal::new("Throttling", "Rate exceeded")),
                    (Some(Fault::Throttle), Protocol::RestXml) => {
                        Err(Refusal { status: 503, ..Refusal::new("SlowDown", "Please reduce your request rate.") })
                    }
                    (Some(Fault::Refuses(status, code)), _) => {
                        Err(Refusal { status: *status, ..Refusal::new(code, "as the test says") })
                    }
                    (Some(Fault::ExpiredToken), protocol) => Err(expired(protocol)),
                    (Some(Fault::AccessDenied), Protocol::Json) => Err(denied(service, &operation, "*")),
                    (Some(Fault::AccessDenied), Protocol::Query | Protocol::RestXml) => {
                        let message = denied(service, &operation, "*").message;
                        Err(Refusal { status: 403, ..Refusal::new("AccessDenied", message) })
                    }
                    _ => self
                        .authenticate(service, protocol, &request)
                        .and_then(|()| self.authorize(service, &operation, &input))
                        .and_then(|()| match &input {
                            Input::Rest(call) => {
                                let ahead = self.ahead.load(Ordering::Relaxed);
                                Ok(self.s3.call(call, &request, &Caller { iam: &self.iam, ahead }))
                            }
                            _ => Ok(accept(protocol, self.perform(service, &operation, &input)?)),
                        }),
                };
                let answer = output.unwrap_or_else(|refusal| refuse(service, protocol, &refusal));
                self.exchanges.answered(number, answer).await
            }
        };
        noted.answered(answer.status().as_u16());
        faults::after(fault.as_ref(), answer).await
    }
}

/// Which service, which operation, and what is asked.
fn read(request: &Request<Bytes>) -> Result<(&'static str, String, Input), &'static str> {
    let text = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if let Some(call) = s3::Call::read(request) {
        return Ok(("s3", call.operation.to_owned(), Input::Rest(call)));
    }
    if request.method() != Method::POST || request.uri().path() != "/" {
        return Err("every call but those of S3 is a POST of /");
    }
    let target = text("x-amz-target");
    if target.is_empty() {
        let form = Form::parse(request.body());
        let service = match form.get("Version") {
            Some("2011-01-01") => "autoscaling",
            Some("2015-12-01") => "elasticloadbalancing",
            Some("2011-06-15") => "sts",
            _ => return Err("neither X-Amz-Target nor an Action of a version that the fake has"),
        };
        let operation = form.get("Action").ok_or("no Action")?.to_owned();
        return Ok((service, operation, Input::Query(form)));
    }
    let (name, operation) = target.split_once('.').ok_or("X-Amz-Target has no dot")?;
    let service = match name {
        "secretsmanager" => "secretsmanager",
        "AmazonSSM" => "ssm",
        "AmazonEC2ContainerRegistry_V20150921" => "ecr",
        _ => return Err("the fake has no such service"),
    };
    if text("content-type") != "application/x-amz-json-1.1" {
        return Err("the content type is not application/x-amz-json-1.1");
    }
    let input = serde_json::from_slice(request.body()).map_err(|_| "the body is not JSON")?;
    Ok((service, operation.to_owned(), Input::Json(input)))
}

/// The answer of a Query service; an operation may have no `…Result`.
fn envelope(service: &str, operation: &str, output: Option<String>) -> String {
    let result = output.map(|output| format!("<{operation}Result>{output}</{operation}Result>\n"));
    format!(
        "<{operation}Response xmlns=\"{}\">\n{}<ResponseMetadata><RequestId>{}</RequestId></ResponseMetadata>\n\
         </{operation}Response>\n",
        namespace(service),
        result.unwrap_or_default(),
        request_id()
    )
}

/// What a JSON call is about, for the journal.
fn names(service: &str, input: &Value) -> String {
    let listed = |key: &str| -> Vec<String> {
        let list = input[key].as_array().into_iter().flatten();
        list.filter_map(|name| Some(name.as_str()?.to_owned())).collect()
    };
    match service {
        "secretsmanager" => {
            let one = ["SecretId", "VersionStage", "VersionId"].map(|key| input[key].as_str().unwrap_or_default());
            let mut words: Vec<String> = one.iter().filter(|word| !word.is_empty()).map(|&word| word.into()).collect();
            words.extend(listed("SecretIdList"));
            words.join(" ")
        }
        "ssm" => listed("Names").join(" "),
        _ => String::new(),
    }
}
