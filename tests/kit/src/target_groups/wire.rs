//! The forms that come in, and the XML that goes out.

use std::time::{Duration, Instant};

use super::{State, not_found};
use crate::form::Form;
use crate::refusal::Refusal;
use crate::target_group::{Target, TargetGroup};
use crate::text::xml;
use crate::world::{ACCOUNT, REGION};

pub(super) fn required<'a>(form: &'a Form, key: &str) -> Result<&'a str, Refusal> {
    form.get(key).filter(|value| !value.is_empty()).ok_or_else(|| null(key))
}

fn null(key: &str) -> Refusal {
    let message = format!(
        "1 validation error detected: Value null at '{key}' failed to satisfy constraint: Member must not be null"
    );
    Refusal::new("ValidationError", message)
}

/// The targets of a call, those without a port on the port of their group.
pub(super) fn targets(form: &Form, default_port: u16) -> Result<Vec<Target>, Refusal> {
    let mut targets = Vec::new();
    for number in 1.. {
        let key = |name: &str| format!("Targets.member.{number}.{name}");
        let (id, port) = (form.get(&key("Id")), form.get(&key("Port")));
        let id = match (id, port) {
            (None, None) => break,
            (None, Some(_)) => return Err(null(&format!("targets.{number}.member.id"))),
            (Some(id), _) if !id.starts_with("i-") => {
                return Err(Refusal::new("ValidationError", format!("Instance ID '{id}' is not valid")));
            }
            (Some(id), _) => id,
        };
        if form.get(&key("AvailabilityZone")).is_some() {
            let message = "You cannot specify an Availability Zone for a target of the type instance";
            return Err(Refusal::new("ValidationError", message));
        }
        let port = match port.map(|port| (port, port.parse())) {
            None => default_port,
            Some((_, Ok(port))) if port > 0 => port,
            Some((port, _)) => {
                let message = format!(
                    "1 validation error detected: Value '{port}' at 'targets.{number}.member.port' failed to satisfy constraint: \
                     Member must have value between 1 and 65535"
                );
                return Err(Refusal::new("ValidationError", message));
            }
        };
        targets.push(Target::new(id, port));
    }
    Ok(targets)
}

/// Of these targets, or of all that there are.
pub(super) fn health(state: &State, arn: &str, asked: Vec<Target>, form: &Form, now: Instant) -> String {
    let group = &state.groups[arn];
    let mut targets = if asked.is_empty() { group.targets(now) } else { asked };
    // The order is not promised, so that nobody may lean on it.
    fastrand::shuffle(&mut targets);
    let anomaly = ["AnomalyDetection", "All"].iter().any(|word| form.list("Include").contains(word));
    let descriptions = targets.iter().fold(String::new(), |text, target| {
        let health = group.health(target, state.is_running(&target.id), now);
        let is_there = health.reason != Some("Target.NotRegistered");
        text + &format!(
            "<member><Target><Id>{}</Id><Port>{}</Port></Target><HealthCheckPort>{}</HealthCheckPort>\
             <TargetHealth><State>{}</State>{}{}</TargetHealth>{}{}</member>",
            xml(&target.id),
            target.port,
            group.settings.check_port(target),
            health.state,
            optional("Reason", health.reason),
            optional("Description", health.description.as_deref()),
            if anomaly && is_there {
                "<AnomalyDetection><Result>normal</Result><MitigationInEffect>no</MitigationInEffect></AnomalyDetection>"
            } else {
                ""
            },
            if is_there { zone(group.settings.zonal_shift) } else { "" },
        )
    });
    format!("<TargetHealthDescriptions>{descriptions}</TargetHealthDescriptions>")
}

/// Some of the attributes of a target group.
pub(super) fn attributes(state: &State, arn: &str) -> String {
    let delay = state.groups[arn].settings.deregistration_delay.as_secs().to_string();
    let pairs = [
        ("stickiness.enabled", "false"),
        ("deregistration_delay.timeout_seconds", delay.as_str()),
        ("load_balancing.cross_zone.enabled", "use_load_balancer_configuration"),
    ];
    let members = pairs.map(|(key, value)| format!("<member><Key>{key}</Key><Value>{value}</Value></member>"));
    format!("<Attributes>{}</Attributes>", members.concat())
}

fn zone(is_shifted: bool) -> &'static str {
    if is_shifted {
        "<AdministrativeOverride><State>zonal_shift_active</State><Reason>AdministrativeOverride.ZonalShiftActive</Reason>\
         <Description>A zonal shift is active on the target</Description></AdministrativeOverride>"
    } else {
        "<AdministrativeOverride><State>no_override</State><Reason>AdministrativeOverride.NoOverride</Reason>\
         <Description>No override is currently active on target</Description></AdministrativeOverride>"
    }
}

/// Those with these ARNs or these names, or all that there are.
pub(super) fn groups(state: &State, form: &Form) -> Result<String, Refusal> {
    let (arns, names) = (form.list("TargetGroupArns"), form.list("Names"));
    let is_asked =
        |arn: &str, name: &str| (arns.is_empty() || arns.contains(&arn)) && (names.is_empty() || names.contains(&name));
    let found: Vec<(&String, &TargetGroup)> = state
        .groups
        .iter()
        .map(|(arn, group)| (arn, &group.settings))
        .filter(|(arn, group)| is_asked(arn, &group.name))
        .collect();
    if found.len() < arns.len().max(names.len()) {
        return Err(not_found());
    }
    let members: String = found.iter().map(|(arn, group)| group_text(arn, group)).collect();
    Ok(format!("<TargetGroups>{members}</TargetGroups>"))
}

fn group_text(arn: &str, group: &TargetGroup) -> String {
    let TargetGroup { name, protocol, port, check, .. } = group;
    let (first, last) = check.codes.clone().into_inner();
    let codes = if first == last { first.to_string() } else { format!("{first}-{last}") };
    let kind = if *protocol == "HTTP" { "app" } else { "net" };
    let balancer =
        format!("arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:loadbalancer/{kind}/{name}/0123456789abcdef");
    let http = check.path.as_deref().map(|path| {
        format!("<HealthCheckPath>{}</HealthCheckPath><Matcher><HttpCode>{codes}</HttpCode></Matcher>", xml(path))
    });
    // A test checks faster than AWS does: what is shown is the nearest that AWS has.
    let seconds = |time: Duration, least: u64, most: u64| time.as_secs().clamp(least, most);
    format!(
        "<member><TargetGroupArn>{}</TargetGroupArn><TargetGroupName>{}</TargetGroupName><Protocol>{protocol}</Protocol>\
         <Port>{port}</Port><VpcId>vpc-0123456789abcdef0</VpcId><HealthCheckProtocol>{}</HealthCheckProtocol>\
         <HealthCheckPort>{}</HealthCheckPort><HealthCheckEnabled>{}</HealthCheckEnabled>\
         <HealthCheckIntervalSeconds>{}</HealthCheckIntervalSeconds><HealthCheckTimeoutSeconds>{}</HealthCheckTimeoutSeconds>\
         <HealthyThresholdCount>{}</HealthyThresholdCount><UnhealthyThresholdCount>{}</UnhealthyThresholdCount>{}\
         <LoadBalancerArns>{}</LoadBalancerArns><TargetType>instance</TargetType>{}<IpAddressType>ipv4</IpAddressType></member>",
        xml(arn),
        xml(name),
        if check.path.is_some() { "HTTP" } else { "TCP" },
        check.port.map_or_else(|| "traffic-port".into(), |port| port.to_string()),
        check.enabled,
        seconds(check.interval, 5, 300),
        seconds(check.timeout, 2, 120),
        check.healthy_threshold,
        check.unhealthy_threshold,
        http.unwrap_or_default(),
        if group.has_listener { format!("<member>{balancer}</member>") } else { String::new() },
        if *protocol == "HTTP" { "<ProtocolVersion>HTTP1</ProtocolVersion>" } else { "" },
    )
}

fn optional(tag: &str, value: Option<&str>) -> String {
    value.map(|value| format!("<{tag}>{}</{tag}>", xml(value))).unwrap_or_default()
}
