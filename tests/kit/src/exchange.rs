//! Every call of a service of AWS as it was on the wire, so that [`crate::oracle`] can compare it with the service's model.

use std::sync::Mutex;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};

use crate::server::Reply;

/// A request, and what the service answered: nothing if it has not yet, or if a fault answered in its place.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// As it arrived.
    pub request: Request<Bytes>,
    /// Before any fault cut it.
    pub answer: Option<Response<Bytes>>,
}

/// All exchanges of a world, in the order in which the requests arrived.
#[derive(Default)]
pub(crate) struct Exchanges(Mutex<Vec<Exchange>>);

impl Exchanges {
    /// Records a request; its number.
    pub(crate) fn arrived(&self, request: &Request<Bytes>) -> usize {
        let mut all = self.0.lock().unwrap();
        all.push(Exchange { request: request.clone(), answer: None });
        all.len() - 1
    }

    /// Records the answer to the request of this number, and hands it on.
    pub(crate) async fn answered(&self, number: usize, answer: Reply) -> Reply {
        let (head, body) = answer.into_parts();
        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        self.0.lock().unwrap()[number].answer = Some(Response::from_parts(head.clone(), body.clone()));
        Reply::from_parts(head, Full::new(body).map_err(|never| match never {}).boxed_unsync())
    }

    pub(crate) fn all(&self) -> Vec<Exchange> {
        self.0.lock().unwrap().clone()
    }
}
