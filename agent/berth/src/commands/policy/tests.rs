//! What is allowed for a config, as documents.

use berth_config::Layers;
use expect_test::{Expect, expect};

use super::*;

const HERE: fn() -> ArnScope = || ArnScope { region: Some("us-east-2".into()), account: Some("123456789012".into()) };

fn policy(line: &str, scope: &ArnScope) -> Policy {
    let mut layers = Layers::new();
    layers.add_user_data(line.as_bytes());
    Policy::of(&layers, &check::resolve_offline(&layers).unwrap(), scope)
}

/// A statement on two lines: what, and on what.
#[track_caller]
fn shows(line: &str, scope: &ArnScope, expected: Expect) {
    let lines = policy(line, scope).statement.into_iter().map(|statement| {
        let Statement { sid, effect, action, resource, condition } = statement;
        assert_eq!(effect, "Allow");
        let condition = condition.map(|condition| format!("    if {condition:?}\n")).unwrap_or_default();
        format!("{sid} {}\n    {}\n{condition}", action.join(" "), resource.join("\n    "))
    });
    expected.assert_eq(&lines.collect::<String>());
}

#[test]
fn the_document_is_as_iam_takes_it() {
    expect![[r#"
        {
          "Version": "2012-10-17",
          "Statement": [
            {
              "Sid": "BerthGroupLookup",
              "Effect": "Allow",
              "Action": [
                "autoscaling:DescribeAutoScalingInstances",
                "autoscaling:DescribeLifecycleHooks"
              ],
              "Resource": [
                "*"
              ]
            },
            {
              "Sid": "BerthGroup",
              "Effect": "Allow",
              "Action": [
                "autoscaling:CompleteLifecycleAction",
                "autoscaling:RecordLifecycleActionHeartbeat",
                "autoscaling:SetInstanceHealth"
              ],
              "Resource": [
                "arn:aws:autoscaling:*:*:autoScalingGroup:*:autoScalingGroupName/*"
              ]
            }
          ]
        }
    "#]]
    .assert_eq(&policy("berth image=nginx:1.27", &ArnScope::default()).to_json());
}

#[test]
fn everything_that_a_config_names_is_in_it_and_no_more() {
    shows(
        "berth image=111122223333.dkr.ecr.eu-west-1.amazonaws.com/team/api:1 secrets=prod/api,prod/jwt secret.A=ssm:/prod/key:3 \
         secret.B=ssm:plain#k secret.C=prod/api#k config=ssm:/berth lifecycle.group=api lifecycle.launch_hook=l \
         lifecycle.terminate_hook=t",
        &HERE(),
        expect![[r#"
            BerthSecrets secretsmanager:GetSecretValue
                arn:aws:secretsmanager:us-east-2:123456789012:secret:prod/api-??????
                arn:aws:secretsmanager:us-east-2:123456789012:secret:prod/jwt-??????
            BerthSecretsAtOnce secretsmanager:BatchGetSecretValue
                *
            BerthParameters ssm:GetParameters
                arn:aws:ssm:us-east-2:123456789012:parameter/berth
                arn:aws:ssm:us-east-2:123456789012:parameter/plain
                arn:aws:ssm:us-east-2:123456789012:parameter/prod/key
            BerthRegistryLogin ecr:GetAuthorizationToken
                *
            BerthImage ecr:BatchGetImage ecr:GetDownloadUrlForLayer
                arn:aws:ecr:eu-west-1:111122223333:repository/team/api
            BerthGroupLookup autoscaling:DescribeAutoScalingInstances
                *
            BerthGroup autoscaling:CompleteLifecycleAction autoscaling:RecordLifecycleActionHeartbeat autoscaling:SetInstanceHealth
                arn:aws:autoscaling:us-east-2:123456789012:autoScalingGroup:*:autoScalingGroupName/api
        "#]],
    );
}

#[test]
fn an_arn_keeps_its_own_region_and_account() {
    let secret = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:prod/api";
    shows(
        &format!(
            "berth image=x:1 registry_auth=login secret.A={secret}-AbCdEf:k:: secret.B={secret} \
             secret.C=arn:aws:ssm:eu-west-1:111122223333:parameter/prod/key:2"
        ),
        &HERE(),
        expect![[r#"
            BerthSecrets secretsmanager:GetSecretValue
                arn:aws:secretsmanager:eu-west-1:111122223333:secret:prod/api-??????
                arn:aws:secretsmanager:eu-west-1:111122223333:secret:prod/api-AbCdEf
                arn:aws:secretsmanager:us-east-2:123456789012:secret:login-??????
            BerthSecretsAtOnce secretsmanager:BatchGetSecretValue
                *
            BerthParameters ssm:GetParameters
                arn:aws:ssm:eu-west-1:111122223333:parameter/prod/key
            BerthGroupLookup autoscaling:DescribeAutoScalingInstances autoscaling:DescribeLifecycleHooks
                *
            BerthGroup autoscaling:CompleteLifecycleAction autoscaling:RecordLifecycleActionHeartbeat autoscaling:SetInstanceHealth
                arn:aws:autoscaling:us-east-2:123456789012:autoScalingGroup:*:autoScalingGroupName/*
        "#]],
    );
}

#[test]
fn a_secret_that_is_read_as_a_parameter_needs_both() {
    shows(
        "berth image=x:1 secret.A=ssm:/aws/reference/secretsmanager/prod/api:AWSPREVIOUS \
         secret.B=arn:aws:ssm:eu-west-1:111122223333:parameter/aws/reference/secretsmanager/jwt lifecycle.group=g",
        &HERE(),
        expect![[r#"
            BerthSecrets secretsmanager:GetSecretValue
                arn:aws:secretsmanager:eu-west-1:111122223333:secret:jwt-??????
                arn:aws:secretsmanager:us-east-2:123456789012:secret:prod/api-??????
            BerthParameters ssm:GetParameters
                arn:aws:ssm:eu-west-1:111122223333:parameter/aws/reference/secretsmanager/jwt
                arn:aws:ssm:us-east-2:123456789012:parameter/aws/reference/secretsmanager/prod/api
            BerthGroupLookup autoscaling:DescribeAutoScalingInstances autoscaling:DescribeLifecycleHooks
                *
            BerthGroup autoscaling:CompleteLifecycleAction autoscaling:RecordLifecycleActionHeartbeat autoscaling:SetInstanceHealth
                arn:aws:autoscaling:us-east-2:123456789012:autoScalingGroup:*:autoScalingGroupName/g
        "#]],
    );
}

#[test]
fn every_secret_of_a_template_is_in_it() {
    shows(
        "berth image=x:1 secret.A='x://${prod/db#user}:${prod/db#password}@${ssm:/prod/host}' secret.B=${prod/other} lifecycle.group=g",
        &HERE(),
        expect![[r#"
            BerthSecrets secretsmanager:GetSecretValue
                arn:aws:secretsmanager:us-east-2:123456789012:secret:prod/db-??????
                arn:aws:secretsmanager:us-east-2:123456789012:secret:prod/other-??????
            BerthSecretsAtOnce secretsmanager:BatchGetSecretValue
                *
            BerthParameters ssm:GetParameters
                arn:aws:ssm:us-east-2:123456789012:parameter/prod/host
            BerthGroupLookup autoscaling:DescribeAutoScalingInstances autoscaling:DescribeLifecycleHooks
                *
            BerthGroup autoscaling:CompleteLifecycleAction autoscaling:RecordLifecycleActionHeartbeat autoscaling:SetInstanceHealth
                arn:aws:autoscaling:us-east-2:123456789012:autoScalingGroup:*:autoScalingGroupName/g
        "#]],
    );
}

const WEB: &str = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/web/73e2d6bc24d8a067";

#[test]
fn an_instance_that_registers_itself_may_do_that_in_its_target_groups_only() {
    shows(
        &format!(
            "berth image=x:1 port=0:80,9000 target_groups={WEB},{WEB}#9000,{} lifecycle.group=g",
            WEB.replace("web", "api")
        ),
        &HERE(),
        expect![[r#"
            BerthGroupLookup autoscaling:DescribeAutoScalingInstances autoscaling:DescribeLifecycleHooks autoscaling:DescribeAutoScalingGroups
                *
            BerthGroup autoscaling:CompleteLifecycleAction autoscaling:RecordLifecycleActionHeartbeat autoscaling:SetInstanceHealth
                arn:aws:autoscaling:us-east-2:123456789012:autoScalingGroup:*:autoScalingGroupName/g
            BerthTargets elasticloadbalancing:RegisterTargets elasticloadbalancing:DeregisterTargets
                arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/api/73e2d6bc24d8a067
                arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/web/73e2d6bc24d8a067
            BerthTargetHealth elasticloadbalancing:DescribeTargetHealth elasticloadbalancing:DescribeTargetGroupAttributes
                *
        "#]],
    );
}

#[test]
fn the_partition_comes_from_whatever_names_one() {
    let first = |line: &str, scope: &ArnScope| {
        let policy = policy(line, scope);
        let group = policy.allowing("autoscaling:SetInstanceHealth").unwrap();
        group.resource[0].split(':').nth(1).unwrap().to_owned()
    };
    let nowhere = ArnScope::default();
    assert_eq!(first("berth image=x:1", &nowhere), "aws");
    assert_eq!(first("berth image=123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/x:1", &nowhere), "aws-cn");
    let secret = "arn:aws-us-gov:secretsmanager:us-gov-west-1:123456789012:secret:x-AbCdEf";
    assert_eq!(first(&format!("berth image=x:1 secrets={secret}"), &nowhere), "aws-us-gov");
    let target_group = WEB.replace("arn:aws:", "arn:aws-cn:");
    assert_eq!(first(&format!("berth image=x:1 port=80 target_groups={target_group}"), &nowhere), "aws-cn");
    let scope = ArnScope { region: Some("us-isob-east-1".into()), account: None };
    assert_eq!(first("berth image=x:1", &scope), "aws-iso-b");
}

#[test]
fn only_what_ecr_serves_for_a_login_needs_ecr() {
    for line in [
        "berth image=public.ecr.aws/x/y:1",
        "berth image=public.ecr.aws/x/y:1 registry_auth=ecr",
        "berth image=123456789012.dkr.ecr.us-east-2.amazonaws.com/x:1 registry_auth=none",
        "berth config=ssm:/where/the/image/is",
    ] {
        assert_eq!(policy(line, &HERE()).allowing("ecr:GetAuthorizationToken"), None, "{line}");
    }
    shows(
        "berth image=registry.internal/x:1 registry_auth=ecr lifecycle.group=g",
        &HERE(),
        expect![[r#"
        BerthRegistryLogin ecr:GetAuthorizationToken
            *
        BerthImage ecr:BatchGetImage ecr:GetDownloadUrlForLayer
            arn:aws:ecr:us-east-2:123456789012:repository/x
        BerthGroupLookup autoscaling:DescribeAutoScalingInstances autoscaling:DescribeLifecycleHooks
            *
        BerthGroup autoscaling:CompleteLifecycleAction autoscaling:RecordLifecycleActionHeartbeat autoscaling:SetInstanceHealth
            arn:aws:autoscaling:us-east-2:123456789012:autoScalingGroup:*:autoScalingGroupName/g
    "#]],
    );
}

#[test]
fn secrets_are_asked_for_at_once_only_when_there_are_several_of_one_region() {
    let batches = |line: &str| policy(line, &HERE()).allowing("secretsmanager:BatchGetSecretValue").is_some();
    assert!(!batches("berth image=x:1 secret.A=prod/api#a secret.B=prod/api#b"));
    assert!(batches("berth image=x:1 secrets=a,b"));
    let elsewhere = "arn:aws:secretsmanager:eu-west-1:111122223333:secret";
    assert!(!batches(&format!("berth image=x:1 secrets=a secret.B={elsewhere}:b-AbCdEf")));
    assert!(!batches(&format!("berth image=x:1 secrets=a secret.B={elsewhere}:b-AbCdEf::AWSPREVIOUS:")));
    assert!(!batches("berth image=x:1 secrets=a registry_auth=b config=secretsmanager:c"), "three fetches");
}

#[test]
fn the_engine_s_own_calls_are_in_it() {
    shows(
        "berth image=x:1 log_driver=awslogs log_opt.awslogs-group=/api log_opt.awslogs-region=eu-west-1 \
         log_opt.awslogs-create-group=true lifecycle.group=g",
        &HERE(),
        expect![[r#"
            BerthGroupLookup autoscaling:DescribeAutoScalingInstances autoscaling:DescribeLifecycleHooks
                *
            BerthGroup autoscaling:CompleteLifecycleAction autoscaling:RecordLifecycleActionHeartbeat autoscaling:SetInstanceHealth
                arn:aws:autoscaling:us-east-2:123456789012:autoScalingGroup:*:autoScalingGroupName/g
            BerthAppLogs logs:CreateLogStream logs:PutLogEvents logs:CreateLogGroup
                arn:aws:logs:eu-west-1:123456789012:log-group:/api:*
        "#]],
    );
}

const FOLLOWED: &str = "berth image=x:1 port=0:80 target_groups=arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/web/73e2d6bc24d8a067 \
                        config=s3://conf/web follow=15s release.board=s3://state/web/board";

#[test]
fn an_instance_reads_the_document_and_the_board_and_writes_what_is_its_own() {
    let all = policy(FOLLOWED, &HERE());
    let of_s3 =
        all.statement.into_iter().filter(|statement| statement.action.iter().any(|action| action.starts_with("s3:")));
    expect![[r#"
        [
          {
            "Sid": "BerthDocument",
            "Effect": "Allow",
            "Action": [
              "s3:GetObject"
            ],
            "Resource": [
              "arn:aws:s3:::conf/web"
            ]
          },
          {
            "Sid": "BerthBoardRead",
            "Effect": "Allow",
            "Action": [
              "s3:GetObject"
            ],
            "Resource": [
              "arn:aws:s3:::state/web/board/*/document",
              "arn:aws:s3:::state/web/board/locks/*"
            ]
          },
          {
            "Sid": "BerthBoardLocks",
            "Effect": "Allow",
            "Action": [
              "s3:PutObject",
              "s3:DeleteObject"
            ],
            "Resource": [
              "arn:aws:s3:::state/web/board/locks/*"
            ]
          },
          {
            "Sid": "BerthBoardOwn",
            "Effect": "Allow",
            "Action": [
              "s3:PutObject"
            ],
            "Resource": [
              "arn:aws:s3:::state/web/board/*/ok/${aws:userid}",
              "arn:aws:s3:::state/web/board/*/bad/${aws:userid}",
              "arn:aws:s3:::state/web/board/*/begun/${aws:userid}"
            ]
          },
          {
            "Sid": "BerthBoardMark",
            "Effect": "Allow",
            "Action": [
              "s3:DeleteObject"
            ],
            "Resource": [
              "arn:aws:s3:::state/web/board/*/begun/${aws:userid}"
            ]
          },
          {
            "Sid": "BerthBoardList",
            "Effect": "Allow",
            "Action": [
              "s3:ListBucket"
            ],
            "Resource": [
              "arn:aws:s3:::state"
            ],
            "Condition": {
              "StringLike": {
                "s3:prefix": [
                  "web/board/*"
                ]
              }
            }
          }
        ]
    "#]]
    .assert_eq(&json(&of_s3.collect::<Vec<_>>()));
}

#[test]
fn a_publisher_writes_the_document_its_copies_and_what_halts_them() {
    let mut layers = Layers::new();
    layers.add_user_data(FOLLOWED.as_bytes());
    let config = check::resolve_offline(&layers).unwrap();
    expect![[r#"
        {
          "Version": "2012-10-17",
          "Statement": [
            {
              "Sid": "BerthDocument",
              "Effect": "Allow",
              "Action": [
                "s3:GetObject",
                "s3:PutObject"
              ],
              "Resource": [
                "arn:aws:s3:::conf/web"
              ]
            },
            {
              "Sid": "BerthBoardRead",
              "Effect": "Allow",
              "Action": [
                "s3:GetObject"
              ],
              "Resource": [
                "arn:aws:s3:::state/web/board/*"
              ]
            },
            {
              "Sid": "BerthBoardPublish",
              "Effect": "Allow",
              "Action": [
                "s3:PutObject"
              ],
              "Resource": [
                "arn:aws:s3:::state/web/board/*/document",
                "arn:aws:s3:::state/web/board/*/halt",
                "arn:aws:s3:::state/web/board/*/resume-*",
                "arn:aws:s3:::state/web/board/*/bad/*"
              ]
            },
            {
              "Sid": "BerthBoardResume",
              "Effect": "Allow",
              "Action": [
                "s3:DeleteObject"
              ],
              "Resource": [
                "arn:aws:s3:::state/web/board/*/halt"
              ]
            },
            {
              "Sid": "BerthBoardList",
              "Effect": "Allow",
              "Action": [
                "s3:ListBucket"
              ],
              "Resource": [
                "arn:aws:s3:::state"
              ],
              "Condition": {
                "StringLike": {
                  "s3:prefix": [
                    "web/board/*"
                  ]
                }
              }
            }
          ]
        }
    "#]]
    .assert_eq(&Policy::of_publisher(&layers, &config, &HERE()).to_json());
}
