//! deny.toml, held without cargo-deny, which takes minutes to build: licences, bans, duplicates and sources of every crate
//! in Cargo.lock that a release is made of or tested with. Advisories are asked for where cargo-deny is installed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde::Deserialize;

#[derive(Deserialize)]
struct Deny {
    graph: Graph,
    licenses: Licenses,
    bans: Bans,
    sources: Sources,
}

#[derive(Deserialize)]
struct Graph {
    targets: Vec<String>,
}

#[derive(Deserialize)]
struct Licenses {
    allow: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Bans {
    deny: Vec<Named>,
    skip: Vec<Named>,
}

#[derive(Deserialize)]
struct Named {
    #[serde(rename = "crate")]
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Sources {
    allow_registry: Vec<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
}

#[derive(Clone, Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    source: Option<String>,
}

#[test]
fn every_crate_keeps_to_deny_toml() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let deny = std::fs::read_to_string(root.join("deny.toml")).expect("deny.toml");
    let deny: Deny = toml::from_str(&deny).expect("deny.toml as expected here");
    let crates: BTreeMap<String, Package> =
        deny.graph.targets.iter().flat_map(|target| resolved(&root, target)).map(|p| (p.id.clone(), p)).collect();
    assert!(crates.len() > 100, "only {} crates were found", crates.len());

    let violations = violations(&deny, &crates.into_values().collect::<Vec<_>>());
    assert!(violations.is_empty(), "against deny.toml:\n{}", violations.join("\n"));
}

#[test]
fn a_licence_expression_is_met_as_its_words_say() {
    let allow = BTreeSet::from(["MIT".to_owned(), "ISC".to_owned()]);
    for (expression, met) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("GPL-3.0 OR MIT", true),
        ("GPL-3.0/MIT", true),
        ("MIT AND GPL-3.0", false),
        ("MIT AND ISC", true),
        ("(MIT OR GPL-3.0) AND ISC", true),
        ("(MIT OR ISC) AND GPL-3.0", false),
        ("MIT WITH Some-exception", false),
    ] {
        assert_eq!(licence_met(expression, &allow), met, "{expression}");
    }
}

#[test]
fn each_kind_of_violation_is_reported() {
    let deny: Deny = toml::from_str(
        "graph.targets = []\nlicenses.allow = ['MIT']\nsources.allow-registry = ['https://good']\n\
         bans.deny = [{ crate = 'bad' }]\nbans.skip = [{ crate = 'old@1' }]",
    )
    .expect("a deny.toml");
    let package = |name: &str, version: &str, license: Option<&str>, source: Option<&str>| Package {
        id: format!("{name} {version}"),
        name: name.to_owned(),
        version: version.to_owned(),
        license: license.map(str::to_owned),
        source: source.map(str::to_owned),
    };
    let good = Some("registry+https://good");
    let crates = [
        package("ours", "1.0.0", Some("MIT"), None),
        package("bad", "1.0.0", Some("MIT"), good),
        package("silent", "1.0.0", None, good),
        package("stray", "1.0.0", Some("MIT"), Some("git+https://elsewhere")),
        package("old", "1.2.0", Some("MIT"), good),
        package("old", "2.0.0", Some("MIT"), good),
        package("twice", "1.0.0", Some("MIT"), good),
        package("twice", "2.0.0", Some("MIT"), good),
    ];
    assert_eq!(
        violations(&deny, &crates),
        [
            "bad 1.0.0 is banned",
            "silent 1.0.0 has no licence that is allowed: none",
            "stray 1.0.0 comes from git+https://elsewhere",
            "twice is there in versions 1.0.0, 2.0.0",
        ]
    );
}

fn resolved(root: &Path, target: &str) -> Vec<Package> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--locked", "--format-version=1", "--filter-platform", target])
        .current_dir(root)
        .output()
        .expect("cargo");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Metadata = serde_json::from_slice(&output.stdout).expect("cargo's metadata");
    let ids: BTreeSet<String> = metadata.resolve.nodes.into_iter().map(|node| node.id).collect();
    metadata.packages.into_iter().filter(|package| ids.contains(&package.id)).collect()
}

fn violations(deny: &Deny, crates: &[Package]) -> Vec<String> {
    let mut violations = Vec::new();
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for Package { name, version, license, source, .. } in crates {
        if deny.bans.deny.iter().any(|banned| banned.name == *name) {
            violations.push(format!("{name} {version} is banned"));
        }
        if !license.as_deref().is_some_and(|expression| licence_met(expression, &deny.licenses.allow)) {
            let license = license.as_deref().unwrap_or("none");
            violations.push(format!("{name} {version} has no licence that is allowed: {license}"));
        }
        let known = |source: &str| deny.sources.allow_registry.iter().any(|r| source == format!("registry+{r}"));
        if let Some(source) = source.as_deref().filter(|source| !known(source)) {
            violations.push(format!("{name} {version} comes from {source}"));
        }
        if !deny.bans.skip.iter().any(|skip| skipped(&skip.name, name, version)) {
            versions.entry(name).or_default().push(version);
        }
    }
    for (name, versions) in versions.into_iter().filter(|(_, versions)| versions.len() > 1) {
        violations.push(format!("{name} is there in versions {}", versions.join(", ")));
    }
    violations
}

/// `name@1` and `name@0.2` stand for every version that begins so.
fn skipped(skip: &str, name: &str, version: &str) -> bool {
    let Some((skip, prefix)) = skip.split_once('@') else { return skip == name };
    skip == name && version.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// An SPDX expression, as far as crates use it: AND binds tighter than OR, a slash is an OR of old, a licence WITH an
/// exception is a licence of its own.
fn licence_met(expression: &str, allow: &BTreeSet<String>) -> bool {
    let expression = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut words = expression.split_whitespace().peekable();
    any_of(&mut words, allow) && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any_of(words: &mut Words<'_>, allow: &BTreeSet<String>) -> bool {
    let mut met = all_of(words, allow);
    while words.next_if_eq(&"OR").is_some() {
        met |= all_of(words, allow);
    }
    met
}

fn all_of(words: &mut Words<'_>, allow: &BTreeSet<String>) -> bool {
    let mut met = one(words, allow);
    while words.next_if_eq(&"AND").is_some() {
        met &= one(words, allow);
    }
    met
}

fn one(words: &mut Words<'_>, allow: &BTreeSet<String>) -> bool {
    if words.next_if_eq(&"(").is_some() {
        let met = any_of(words, allow);
        return words.next_if_eq(&")").is_some() && met;
    }
    let mut licence = words.next().unwrap_or_default().to_owned();
    if words.next_if_eq(&"WITH").is_some() {
        licence = format!("{licence} WITH {}", words.next().unwrap_or_default());
    }
    allow.contains(&licence)
}
