//! What can be typed at the prompt, read strictly: a mistake is answered with what would have been right.

use std::str::FromStr as _;
use std::time::Duration;

use berth_kit::Fault;
use nix::sys::signal::Signal;

/// For `help`.
pub(crate) const HELP: &str = "  launch [key=value …]             start berth; the words win over the user-data
  wait ready | wait end            wait until /ready says 200, or until berth ended
  status                           what `berth status` shows
  ready                            what /ready answers
  journal                          every request that the world got, with its status
  fault PATTERN KIND [TIMES]       let the next matching calls go wrong, e.g. fault secretsmanager throttle 3
                                   PATTERN: words of a journal line, its service first
                                   KIND: throttle, status:503, delay:2s, hang, cut, stall, wrong-digest, expired-token,
                                   denied, error-page:503      TIMES: a number, or always; once by default
  fault clear                      end all faults
  secret NAME VALUE                put a secret; its value is JSON, or any text
  user-data [TEXT | @FILE]         set the user-data for the next launch, or show it
  signal NAME                      send berth a signal, e.g. signal TERM
  kill                             kill berth as a crash would; the next launch finds its container
  help, quit";

const SERVICES: [&str; 6] = ["imds", "secretsmanager", "ssm", "ecr", "autoscaling", "registry"];

const KINDS: &str =
    "throttle, status:503, delay:2s, hang, cut, stall, wrong-digest, expired-token, denied, error-page:503";

/// One line, understood.
#[derive(Debug, PartialEq)]
pub(crate) enum Command {
    Launch(Vec<String>),
    WaitReady,
    WaitEnd,
    Status,
    Ready,
    Journal,
    Fault { pattern: String, fault: Fault, times: usize },
    ClearFaults,
    Secret { name: String, value: String },
    UserData(String),
    ShowUserData,
    Signal(String),
    Kill,
    Help,
    Quit,
    Nothing,
}

impl Command {
    /// Reads one line.
    pub(crate) fn read(line: &str) -> Result<Self, String> {
        let line = line.trim();
        let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        let alone = |command: Self| {
            if rest.is_empty() { Ok(command) } else { Err(format!("`{name}` takes nothing, so `{rest}` is too much")) }
        };
        match name {
            "" => Ok(Self::Nothing),
            _ if name.starts_with('#') => Ok(Self::Nothing),
            "launch" => launch(rest),
            "wait" if rest == "ready" => Ok(Self::WaitReady),
            "wait" if rest == "end" => Ok(Self::WaitEnd),
            "wait" => Err("`wait ready` or `wait end`".into()),
            "status" => alone(Self::Status),
            "ready" => alone(Self::Ready),
            "journal" => alone(Self::Journal),
            "fault" if rest == "clear" => Ok(Self::ClearFaults),
            "fault" => fault(rest),
            "secret" => secret(rest),
            "user-data" if rest.is_empty() => Ok(Self::ShowUserData),
            "user-data" => Ok(Self::UserData(rest.into())),
            "signal" => {
                let name = rest.to_uppercase();
                let short = name.trim_start_matches("SIG").to_owned();
                let known = Signal::from_str(&format!("SIG{short}")).is_ok();
                let wrong = || format!("`signal` takes the name of a signal, e.g. `signal TERM`, not `{rest}`");
                known.then_some(Self::Signal(short)).ok_or_else(wrong)
            }
            "kill" => alone(Self::Kill),
            "help" | "?" => alone(Self::Help),
            "quit" | "exit" => alone(Self::Quit),
            "notice" => {
                Err("no notice has an effect yet, since berth does not drain yet; `signal TERM` stops it".into())
            }
            _ => Err(format!("there is no command `{name}`; `help` lists them all")),
        }
    }
}

fn launch(rest: &str) -> Result<Command, String> {
    let words: Vec<String> = rest.split_whitespace().map(str::to_owned).collect();
    match words.iter().find(|word| !word.contains('=')) {
        None => Ok(Command::Launch(words)),
        Some(word) => Err(format!(
            "`launch` takes key=value words without spaces, not `{word}`; what has spaces goes into the user-data"
        )),
    }
}

fn fault(rest: &str) -> Result<Command, String> {
    let mut words: Vec<&str> = rest.split_whitespace().collect();
    let times = match words.last() {
        Some(&"always") => Some(usize::MAX),
        Some(word) => word.parse().ok(),
        None => None,
    };
    if times.is_some() {
        words.pop();
    }
    let kind = words.pop().ok_or_else(|| format!("`fault PATTERN KIND [TIMES]`, where KIND is one of {KINDS}"))?;
    let fault = kind_of(kind).ok_or_else(|| format!("`{kind}` is no kind of fault: {KINDS}"))?;
    match words.first() {
        Some(service) if SERVICES.contains(service) => {
            Ok(Command::Fault { pattern: words.join(" "), fault, times: times.unwrap_or(1) })
        }
        other => Err(format!(
            "a PATTERN begins with the service, one of {}, not with `{}`",
            SERVICES.join(", "),
            other.unwrap_or(&"")
        )),
    }
}

fn kind_of(word: &str) -> Option<Fault> {
    let (kind, figure) = word.split_once(':').map_or((word, None), |(kind, figure)| (kind, Some(figure)));
    let status = || figure?.parse().ok().filter(|code| (100..1000).contains(code));
    Some(match kind {
        "status" => Fault::Status(status()?),
        "error-page" => Fault::ErrorPage(status()?),
        "delay" => Fault::Delay(seconds(figure?)?),
        _ if figure.is_some() => return None,
        "throttle" => Fault::Throttle,
        "hang" => Fault::Hang,
        "cut" => Fault::Cut,
        "stall" => Fault::Stall,
        "wrong-digest" => Fault::WrongDigest,
        "expired-token" => Fault::ExpiredToken,
        "denied" => Fault::AccessDenied,
        _ => return None,
    })
}

/// `2s`, `0.5s`, `250ms`
fn seconds(text: &str) -> Option<Duration> {
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, 1e-3),
        None => (text.strip_suffix('s')?, 1.0),
    };
    Duration::try_from_secs_f64(number.parse::<f64>().ok()? * unit).ok()
}

fn secret(rest: &str) -> Result<Command, String> {
    let Some((name, value)) = rest.split_once(char::is_whitespace) else {
        return Err("`secret NAME VALUE`, e.g. secret prod/api {\"DB_PASSWORD\":\"correct horse\"}".into());
    };
    let value = value.trim();
    if value.starts_with('{')
        && let Err(error) = serde_json::from_str::<serde_json::Value>(value)
    {
        return Err(format!("the value looks like JSON but is none: {error}"));
    }
    Ok(Command::Secret { name: name.into(), value: value.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_has_a_pattern_a_kind_and_perhaps_a_number() {
        let read = |pattern: &str, fault, times| Ok(Command::Fault { pattern: pattern.into(), fault, times });
        assert_eq!(Command::read("fault secretsmanager throttle"), read("secretsmanager", Fault::Throttle, 1));
        assert_eq!(
            Command::read("fault autoscaling CompleteLifecycleAction status:503 always"),
            read("autoscaling CompleteLifecycleAction", Fault::Status(503), usize::MAX)
        );
        assert_eq!(
            Command::read("fault registry GET blob delay:250ms 2"),
            read("registry GET blob", Fault::Delay(Duration::from_millis(250)), 2)
        );
    }

    #[test]
    fn a_mistake_is_answered_with_what_would_be_right() {
        for (line, word) in [
            ("fault", "KIND is one of throttle"),
            ("fault secretsmanager", "`secretsmanager` is no kind"),
            ("fault secretsmanager slow", "`slow` is no kind"),
            ("fault registry status 503", "`status` is no kind"),
            ("fault registry status:20", "`status:20` is no kind"),
            ("fault registry delay:-2s", "`delay:-2s` is no kind"),
            ("fault secretmanager throttle", "not with `secretmanager`"),
            ("fault throttle 3", "one of imds"),
            ("launch port 80", "not `port`"),
            ("signal TREM", "not `TREM`"),
            ("secret prod/api", "secret NAME VALUE"),
            ("secret prod/api {\"a\":}", "is none: expected value at line 1 column 6"),
            ("status now", "`now` is too much"),
            ("wait", "wait end"),
            ("notice spot", "no notice"),
            ("lunch", "no command `lunch`"),
        ] {
            let error = Command::read(line).expect_err(line);
            assert!(error.contains(word), "{line}: {error}");
        }
    }

    #[test]
    fn text_is_taken_as_it_stands() {
        let text = "berth image=x:1 env.A='two  words'";
        assert_eq!(Command::read(&format!(" user-data {text} ")), Ok(Command::UserData(text.into())));
        let value = r#"{"A": "b c"}"#;
        let secret = Command::Secret { name: "prod/api".into(), value: value.into() };
        assert_eq!(Command::read(&format!("secret prod/api {value}")), Ok(secret));
        assert_eq!(Command::read("signal sigterm"), Ok(Command::Signal("TERM".into())));
        assert_eq!(Command::read("# a note"), Ok(Command::Nothing));
    }
}
