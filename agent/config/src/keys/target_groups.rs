//! The keys for the load balancer's target groups that the instance registers itself with.

use crate::keys::key::KeyDefault::{Value as By, Words};
use crate::keys::key::{ForeignWord, Key, Section, at_least, none, put, same};
use crate::value::target_group::TargetGroup;

/// The keys of the load balancer.
pub(super) static SECTION: Section = Section {
    title: "The load balancer",
    intro: "Without these keys the Auto Scaling group registers its instances by itself, and that is enough for most fleets. \
                [Target groups](target-groups.md) says when to use them.",
    keys: &[&[
        Key {
            name: "target_groups",
            about: "list of `ARN` or `ARN#CONTAINERPORT`: target groups that this instance registers itself with once the app is healthy, and \
                 leaves at once when it drains; without a port it is the first TCP port of `port`. The launch hook is completed when the \
                 load balancer calls the target healthy. A host port 0 is chosen by berth, from 20000 to 29999",
            default: Words("none"),
            examples: &["arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/web/73e2d6bc24d8a067"],
            resolve: |c, v, _| put(&mut c.target_groups, v.each(TargetGroup::parse)),
        },
        Key {
            name: "target.timeout",
            about: "how long the load balancer may take to call the target healthy, within `boot.timeout`; at least 1s",
            default: By("5m"),
            examples: &["10m"],
            resolve: |c, v, _| put(&mut c.target_timeout, at_least(1000, v)),
        },
    ]],
    foreign: &[FOREIGN],
};

/// Words of other programs.
static FOREIGN: &[ForeignWord] = &[
    same(
        "targetGroupARNs targetGroupArn",
        "target_groups",
        "or attach it to the Auto Scaling group, and leave the key out: the load balancer's health check asks `/ready`",
    ),
    none(
        "loadBalancers loadBalancerNames trafficSources",
        "attach it to the Auto Scaling group, and the load balancer's health check asks `/ready`; or name the target group in \
         `target_groups=`",
    ),
];
