//! The keys for how the agent reaches AWS.

use crate::config::network;
use crate::keys::key::KeyDefault::Words;
use crate::keys::key::{ForeignWord, Key, Section, same};

/// The keys of the way to AWS.
pub(super) static SECTION: Section = Section {
    title: "The way to AWS",
    intro: "How the agent itself reaches AWS, also for the document that `config=` points to. A key wins over the environment variable of the \
                agent; see [proxies and private CAs](operations.md#proxies-and-private-cas). The engine and the app have their own settings.",
    keys: &[&[
        Key {
            name: "https_proxy",
            about: "URL of the proxy for `https://` endpoints: `http://HOST:PORT` or `https://HOST:PORT`, with `USER:PASSWORD@` before \
                 the host if it needs a login, percent-encoded; requests to the instance metadata and to loopback never use it",
            default: Words("`HTTPS_PROXY`, `ALL_PROXY`, else none"),
            examples: &["http://proxy.example.com:3128"],
            resolve: |_, v, _| network::check("https_proxy", v),
        },
        Key {
            name: "no_proxy",
            about: "list of what is reached without the proxy: a name and every name below it, an IP address, a network, or `*` for \
                 everything; an empty list overrides the environment's",
            default: Words("`NO_PROXY`, else none"),
            examples: &[".us-east-2.amazonaws.com,10.0.0.0/8"],
            resolve: |_, v, _| network::check("no_proxy", v),
        },
        Key {
            name: "ca_bundle",
            about: "path of a PEM file on the host, with the certificates that are trusted for AWS instead of the host's",
            default: Words("`AWS_CA_BUNDLE`, else the host's CAs"),
            examples: &["/etc/ssl/certs/corp.pem"],
            resolve: |_, v, _| network::check("ca_bundle", v),
        },
        Key {
            name: "aws.fips",
            about: "boolean: AWS's FIPS endpoints",
            default: Words("`AWS_USE_FIPS_ENDPOINT`, else false"),
            examples: &["true"],
            resolve: |_, v, _| network::check("aws.fips", v),
        },
        Key {
            name: "aws.dual_stack",
            about: "boolean: AWS's dual-stack endpoints, which have IPv6 too",
            default: Words("`AWS_USE_DUALSTACK_ENDPOINT`, else true on a host without IPv4"),
            examples: &["true"],
            resolve: |_, v, _| network::check("aws.dual_stack", v),
        },
    ]],
    foreign: &[FOREIGN],
};

/// Words of other programs.
static FOREIGN: &[ForeignWord] = &[
    same(
        "http_proxy all_proxy proxy proxy_url aws.https_proxy aws.http_proxy aws.proxy",
        "https_proxy",
        "AWS's endpoints are `https://`; the app gets its own in `env.HTTPS_PROXY=…`",
    ),
    same("proxy_exclude aws.no_proxy", "no_proxy", ""),
    same("aws_ca_bundle aws.ca_bundle ssl_cert_file", "ca_bundle", "the path of a PEM file on the host"),
    same("use_fips_endpoint aws_use_fips_endpoint aws.use_fips_endpoint", "aws.fips", ""),
    same("use_dualstack_endpoint aws_use_dualstack_endpoint aws.use_dualstack_endpoint", "aws.dual_stack", ""),
];
