//! What the kit's registry answers, beside what Debian's does: an engine reads status, headers and error codes.

use std::collections::BTreeMap;
use std::time::Duration;

use berth::io::http::Http;
use berth_kit::Image;
use berth_kit::docker_registry::{PASSWORD, basic};
use berth_kit::image::{Built, MANIFEST};
use bytes::Bytes;
use http::{Request, header};
use http_body_util::Full;
use serde_json::Value;

use super::stock::{Debian, Kit, Stock};

/// A request: method, path below the repository, a header more.
type Asked<'a> = (&'a str, &'a str, Option<(header::HeaderName, &'a str)>);

/// What an engine looks at.
#[derive(Debug, PartialEq)]
struct Answered {
    status: u16,
    headers: BTreeMap<&'static str, String>,
    /// Of an error.
    code: Option<String>,
}

async fn ask(stock: &mut impl Stock, image: &Built, asked: &[Asked<'_>]) -> Vec<Answered> {
    let reference = stock.put("v1", image).await;
    let mut all = Vec::new();
    for (method, path, more) in asked {
        let path = if path.is_empty() { "/v2/".to_owned() } else { format!("/v2/{}/{path}", reference.repository) };
        let mut request = Request::builder().method(*method).uri(format!("http://{}{path}", reference.registry));
        request = request.header(header::ACCEPT, MANIFEST);
        if let Some((name, value)) = more {
            request = request.header(name, *value);
        }
        let request = request.body(Full::new(Bytes::new())).unwrap();
        let answer = Http::default().send(request, Duration::from_secs(20), 1 << 20).await.unwrap();
        let read = |name: &'static str| Some((name, answer.headers().get(name)?.to_str().unwrap().to_owned()));
        let names = [
            "accept-ranges",
            "content-length",
            "content-range",
            "content-type",
            "docker-content-digest",
            "docker-distribution-api-version",
            "www-authenticate",
        ];
        let mut headers: BTreeMap<_, _> = names.into_iter().filter_map(read).collect();
        if !answer.status().is_success() {
            headers.remove("content-length");
        }
        // The realm is each one's own.
        headers.entry("www-authenticate").and_modify(|challenge| challenge.truncate("Basic realm=".len()));
        let error: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
        let code = error["errors"][0]["code"].as_str().map(str::to_owned);
        all.push(Answered { status: answer.status().as_u16(), headers, code });
    }
    all
}

fn assert_same(asked: &[Asked<'_>], theirs: &[Answered], ours: &[Answered]) {
    assert_eq!(theirs.len(), asked.len());
    for (asked, (theirs, ours)) in asked.iter().zip(theirs.iter().zip(ours)) {
        assert_eq!(ours, theirs, "left the kit, right docker-registry: {asked:?}");
    }
}

#[tokio::test]
async fn the_kit_s_registry_answers_as_docker_registry_does() {
    let image = Image::scratch().layer_of_random(1000).build();
    let paths = [
        String::new(),
        "manifests/v1".to_owned(),
        format!("manifests/{}", image.digest),
        format!("blobs/{}", image.layers[0]),
        "manifests/v2".to_owned(),
        format!("manifests/sha256:{}", "0".repeat(64)),
        format!("blobs/sha256:{}", "0".repeat(64)),
    ];
    let mut asked: Vec<Asked<'_>> =
        paths.iter().flat_map(|path| ["GET", "HEAD"].map(|method| (method, path.as_str(), None))).collect();
    // Beyond the end, docker-registry's answer promises more bytes than it has.
    for range in ["bytes=0-", "bytes=10-"] {
        asked.push(("GET", &paths[3], Some((header::RANGE, range))));
    }
    let theirs = ask(&mut Debian::open().await, &image, &asked).await;
    let ours = ask(&mut Kit::open().await, &image, &asked).await;
    assert_same(&asked, &theirs, &ours);
}

#[tokio::test]
async fn the_kit_s_registry_asks_for_a_password_as_docker_registry_does() {
    let image = Image::scratch().layer_of_random(1000).build();
    let (right, wrong) = (basic(PASSWORD), basic("wrong"));
    let mut asked: Vec<Asked<'_>> = Vec::new();
    for path in ["", "manifests/v1", "manifests/v2"] {
        for password in [None, Some(&wrong), Some(&right)] {
            asked.push(("GET", path, password.map(|password| (header::AUTHORIZATION, password.as_str()))));
        }
    }
    let theirs = ask(&mut Debian::with_password().await, &image, &asked).await;
    let ours = ask(&mut Kit::with_password().await, &image, &asked).await;
    assert_same(&asked, &theirs, &ours);
}
