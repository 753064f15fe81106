//! Scripted faults: the first n calls that match go wrong in a given way, the others are as ever.
//!
//! Faults that any HTTP server can have are played here; those with a shape of their own (a throttle, an expired token, a
//! denial, a wrong digest) by the fake whose shape it is.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::StatusCode;
use http_body_util::BodyExt as _;
use hyper::body::Frame;
use tokio::sync::watch;

use crate::journal::{Noted, matches};
use crate::server::{Reply, reply, streaming};

/// What goes wrong.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// Too many calls, in the service's own shape: `ThrottlingException` (JSON), `Throttling` (Query), 429 elsewhere.
    Throttle,
    /// This HTTP status and a body that says nothing, as a load balancer in front of a service answers.
    Status(u16),
    /// The call is answered only after this.
    Delay(Duration),
    /// The call is not answered before [`Faults::clear`].
    Hang,
    /// The call takes effect, but the connection is closed in the middle of the answer's body.
    Cut,
    /// The call takes effect, but the answer's body stops in its middle and the connection stays open.
    Stall,
    /// The registry sends other bytes than the digest promises.
    WrongDigest,
    /// The token is not valid any more: 401 (metadata), `ExpiredTokenException` (AWS).
    ExpiredToken,
    /// The credentials do not allow the call.
    AccessDenied,
    /// This status and this error code, in the service's own shape: `Refuses(409, "ConditionalRequestConflict")`.
    Refuses(u16, &'static str),
    /// An XHTML page with this status in place of a value, as the metadata service and proxies send.
    ErrorPage(u16),
    /// This status and this body, whatever the service's own shape is: a hostile or a broken service.
    Says(u16, String),
}

/// The faults of a world. Clones are the same script.
#[derive(Clone, Default)]
pub struct Faults {
    script: Arc<Mutex<Vec<Line>>>,
    /// How often everything was cleared.
    cleared: watch::Sender<u64>,
}

struct Line {
    pattern: String,
    fault: Fault,
    left: usize,
}

/// A fault that was just scripted, once unless [`Scripted::times`] says otherwise.
pub struct Scripted {
    faults: Faults,
    index: usize,
}

impl Scripted {
    /// How many matching calls meet the fault.
    pub fn times(self, times: usize) {
        self.faults.script.lock().unwrap()[self.index].left = times;
    }

    /// Every matching call meets the fault until [`Faults::clear`].
    pub fn always(self) {
        self.times(usize::MAX);
    }
}

impl Faults {
    /// Scripts a fault for calls that match `pattern` (words of a journal entry, without the status).
    pub fn add(&self, pattern: &str, fault: Fault) -> Scripted {
        let mut script = self.script.lock().unwrap();
        script.push(Line { pattern: pattern.into(), fault, left: 1 });
        Scripted { faults: self.clone(), index: script.len() - 1 }
    }

    /// Ends every fault; calls that hang are answered.
    pub fn clear(&self) {
        for line in &mut *self.script.lock().unwrap() {
            line.left = 0;
        }
        self.cleared.send_modify(|times| *times += 1);
    }

    /// The fault that this call meets: the first one scripted that is not used up.
    pub(crate) fn meet(&self, noted: &Noted) -> Option<Fault> {
        let call = noted.line();
        let mut script = self.script.lock().unwrap();
        let line = script.iter_mut().find(|line| line.left > 0 && matches(&line.pattern, &call))?;
        line.left -= 1;
        noted.fault(&line.fault);
        Some(line.fault.clone())
    }

    /// What a fault does before the call takes effect: waits, or answers in its place.
    pub(crate) async fn before(&self, fault: Option<&Fault>) -> Option<Reply> {
        match fault? {
            Fault::Status(code) => Some(reply(status(*code), "text/plain", "")),
            Fault::ErrorPage(code) => Some(error_page(*code)),
            Fault::Says(code, body) => Some(reply(status(*code), "text/plain", body.clone())),
            Fault::Delay(time) => {
                tokio::time::sleep(*time).await;
                None
            }
            Fault::Hang => {
                let _ = self.cleared.subscribe().changed().await;
                None
            }
            _ => None,
        }
    }
}

/// What a fault does to the answer of a call that took effect.
pub(crate) async fn after(fault: Option<&Fault>, whole: Reply) -> Reply {
    let cut = match fault {
        Some(Fault::Cut) => true,
        Some(Fault::Stall) => false,
        _ => return whole,
    };
    let (mut head, body) = whole.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    // One byte more is promised than a body without any has, so that an empty one can be cut too.
    head.headers.insert(http::header::CONTENT_LENGTH, body.len().max(1).into());
    Reply::from_parts(head, streaming(half(body, cut)))
}

fn half(body: Bytes, cut: bool) -> impl futures_util::Stream<Item = std::io::Result<Frame<Bytes>>> + Send + 'static {
    stream::unfold(Some(body.slice(..body.len() / 2)), move |part| async move {
        match part {
            Some(part) => Some((Ok(Frame::data(part)), None)),
            None if cut => {
                // What was sent so far must leave before the connection does.
                tokio::time::sleep(Duration::from_millis(20)).await;
                Some((Err(std::io::ErrorKind::ConnectionReset.into()), None))
            }
            None => std::future::pending().await,
        }
    })
}

/// The small page that the metadata service answers an error with.
pub(crate) fn error_page(code: u16) -> Reply {
    let title = format!("{code} - {}", status(code).canonical_reason().unwrap_or("Error"));
    let page = format!(
        "<?xml version=\"1.0\" encoding=\"iso-8859-1\"?>\n<!DOCTYPE html PUBLIC \"-//W3C//DTD XHTML 1.0 Transitional//EN\"\n\
         \t\"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd\">\n<html xmlns=\"http://www.w3.org/1999/xhtml\" \
         xml:lang=\"en\" lang=\"en\">\n <head>\n  <title>{title}</title>\n </head>\n <body>\n  <h1>{title}</h1>\n \
         </body>\n</html>\n"
    );
    reply(status(code), "text/html", page)
}

fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).expect("a fault's status is an HTTP status")
}
