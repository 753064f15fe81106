//! What AWS answers (see script.rs), errors above all: `a` GetAuthorizationToken, `b` GetSecretValue, `c` GetParameters,
//! `d` DescribeAutoScalingInstances, `e` DescribeLifecycleHooks, `f` CompleteLifecycleAction, `g` a heartbeat, `h` SetInstanceHealth,
//! `i` only what time it is there, `j` many secrets in a batch.

use berth::io::aws::imds::Imds;
use berth::io::aws::{Aws, AwsError, Service};
use berth::io::{aws::autoscaling, aws::ecr, aws::secrets};
use berth_config::{Layers, SecretRef};
use berth_core::message::error::{ErrorClass, JobError};
use berth_core::message::group::{HookName, HookResult};
use http::StatusCode;

use crate::answerer::{Answerer, Delivery, answering, scripted};
use crate::script::Script;
use crate::{CANARY, check_shown};

const QUESTIONS: usize = 10;

/// An answer of AWS is a value, or an error with a class and a bounded sentence; a good status over anything is never quoted.
pub fn aws_errors(bytes: &[u8]) {
    let script = Script::read(bytes);
    let (question, status) = (script.question % QUESTIONS, script.status);
    answering(
        move |_| scripted(&script, Delivery::default()),
        async |answerer| {
            // Twice: what the first refusal taught (a clock, credentials) is what the second call goes by.
            let aws = client(answerer);
            for _ in 0..2 {
                if let Err(error) = ask(&aws, question).await {
                    check_shown(&error.reason);
                    if status == StatusCode::OK {
                        assert!(!error.reason.contains(CANARY), "an answer is quoted: {error}");
                    }
                    if status.is_server_error() {
                        assert!(error.is_transient(), "{error}");
                    }
                    if status == StatusCode::TOO_MANY_REQUESTS {
                        assert_eq!(error.class, ErrorClass::Throttled, "{error}");
                    }
                }
            }
        },
    );
}

fn client(answerer: &Answerer) -> Aws {
    let base = answerer.base.to_string();
    let env = move |name: &str| match name {
        "AWS_ENDPOINT_URL" => Some(base.clone()),
        "AWS_REGION" => Some("us-east-2".to_owned()),
        "AWS_ACCESS_KEY_ID" => Some("AKIDEXAMPLE".to_owned()),
        "AWS_SECRET_ACCESS_KEY" => Some("hunter!2".to_owned()),
        _ => None,
    };
    Aws::new(answerer.http.clone(), Imds::at(&answerer.base, answerer.http.clone()), &env)
}

async fn ask(aws: &Aws, question: usize) -> Result<(), JobError> {
    const INSTANCE: &str = "i-0123456789abcdef0";
    let hook = HookName { group: "web".into(), hook: "launching".into() };
    let aws_fault = |error: AwsError| JobError::from_error(error.class(), &error);
    match question {
        0 => {
            let host = "123456789012.dkr.ecr.us-east-2.amazonaws.com";
            ecr::login(aws, host).await.map(drop).map_err(|error| JobError::from_error(error.class(), &error))
        }
        1 | 2 => {
            let reference = SecretRef::parse(["prod/api#KEY", "ssm:/prod/key"][question - 1]).unwrap();
            let fetched = secrets::fetch_one(aws, &reference).await;
            fetched.map(drop).map_err(|error| JobError::from_error(error.class(), &error))
        }
        3 => {
            let found = autoscaling::describe_instance(aws, INSTANCE).await.map_err(aws_fault)?;
            found.map_or(Ok(()), |found| check_size(found.group.len() + found.lifecycle_state.len()))
        }
        4 => {
            let hooks = autoscaling::hooks(aws, "web").await.map_err(aws_fault)?;
            check_size(hooks.iter().map(|hook| hook.name.len()).sum())
        }
        5 => autoscaling::complete(aws, &hook, INSTANCE, HookResult::Continue).await.map(drop).map_err(aws_fault),
        6 => autoscaling::heartbeat(aws, &hook, INSTANCE).await.map(drop).map_err(aws_fault),
        7 => autoscaling::set_unhealthy(aws, INSTANCE).await.map_err(aws_fault),
        8 => {
            let reached = aws.reach(Service::Ecr, None).await;
            reached.map(drop).map_err(|error| JobError::from_error(error.class(), &error))
        }
        _ => {
            let mut layers = Layers::new();
            layers.add_user_data(b"berth image=x:1 secrets=prod/api,prod/jwt secret.KEY=prod/db#password");
            let fetched = secrets::fetch(aws, &layers.resolve().unwrap()).await;
            fetched.map(drop).map_err(|error| JobError::from_error(error.class(), &error))
        }
    }
}

/// The part of an answer that is read is not longer than the answer.
fn check_size(bytes: usize) -> Result<(), JobError> {
    assert!(bytes <= 64 * 1024, "{bytes} bytes are read of an answer");
    Ok(())
}
