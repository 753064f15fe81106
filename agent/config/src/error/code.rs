//! The codes of errors and warnings: a closed list, for scripts and for a search in the docs. A code never changes.

use std::fmt::Write;

use serde::{Serialize, Serializer};
use strum::IntoStaticStr;

/// Defines the codes and what each means; the name is the variant in snake case.
macro_rules! codes {
    (
        $(#[$doc:meta])* $type:ident;
        errors { $($error:ident $error_about:literal;)* }
        warnings { $($warning:ident $warning_about:literal;)* }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, IntoStaticStr)]
        #[strum(serialize_all = "snake_case")]
        pub enum $type {
            $(#[doc = $error_about] $error,)*
            $(#[doc = $warning_about] $warning,)*
        }

        impl $type {
            /// The codes of errors.
            pub const ERRORS: &'static [Self] = &[$(Self::$error,)*];
            /// The codes of warnings.
            pub const WARNINGS: &'static [Self] = &[$(Self::$warning,)*];

            /// The code as printed.
            pub fn name(self) -> &'static str {
                self.into()
            }

            /// What is wrong or unwise, and why, in Markdown.
            pub fn about(self) -> &'static str {
                match self {
                    $(Self::$error => $error_about,)*
                    $(Self::$warning => $warning_about,)*
                }
            }
        }
    };
}

codes! {
    /// What kind of error or warning it is.
    Code;
    errors {
        Unreadable "a file that cannot be read, or that is longer than 1 MiB";
        NotAConfig "user-data, or a document that `config=` points to, that is almost one of the five forms; it is an error, because the config of an older layer would run instead";
        Syntax "the line, the TOML or the JSON cannot be parsed at this position; the rest is not read";
        NoEquals "a word without `=`: every word of the one line is `key=value`";
        UnknownKey "no key has this name, so the value would be ignored";
        GivenTwice "one source sets the key twice, so it is unknown which value is meant";
        NestedPointer "the document that `config=` points to has `config=` itself";
        InvalidValue "the key does not accept this value";
        Missing "a required key is missing";
        Conflict "each value is valid, but they exclude each other";
    }
    warnings {
        EmptyConfig "a config without keys: the other layers decide what runs";
        UserDataTooLong "more than 16 KB of user-data, which EC2 rejects: move keys to the document that `config=` points to, or compress it with gzip";
        PlainSecret "a plain value in `env.NAME`, or in the text of a `secret.NAME` with `${…}`, that looks like a secret: user-data and `docker inspect` show it; use `secret.NAME`. Also a password in `https_proxy`: use an `EnvironmentFile=` of the unit";
        SecretArgument "a word that looks like a secret in `command`, `entrypoint` or `health=cmd:`: process lists show it; use `secret.NAME`";
        PlainReference "a reference to a secret in `env.NAME`: the app gets the reference as text; `secret.NAME` fetches the secret";
        UnfilledVariable "`${…}` in `env.NAME`: berth replaces no variables, so the app gets this text; or a variable such as `${STAGE}` in `secret.NAME`, which is read as the name of a secret";
        SlashName "a secret whose name begins with `/`: it is read from Secrets Manager; a parameter of the Parameter Store is `ssm:/…`";
        Privileged "`privileged`, `cap_add=ALL` or a similar capability: a process in the container can become root on the host";
        EngineSocket "a mounted socket of the engine: a process that can connect to it is root on the host, even with `:ro`";
        HostFolder "a mounted folder of the host such as `/`, `/etc`, `/proc` or `/run/berth`: the container can read or change much more than an app needs";
        WeakIsolation "`security_opt`, `pid=host` or `ipc=host` that weakens the isolation: a process in the container reaches the host more easily";
        SmallSize "a size without a unit that is most likely meant in MiB, as in ECS, and not in bytes, as in Docker";
        UncountedConnections "a `runtime` with its own network stack, such as gVisor or Kata Containers: berth cannot count the app's connections, so a drain waits for `drain.settle` only";
        HiddenPath "`after` or `ca_bundle` below a directory that berth.service hides from the agent: the path may never exist for the agent";
        NotPublished "`port` with `network=none`: the engine publishes no ports";
        UnusedKey "a key that has no effect in this config";
        LongDrain "`drain.settle`, `drain.timeout` and `stop_timeout` together above 2h: no lifecycle hook has a longer timeout, and heartbeats extend it to at most 100 timeouts, or 48h";
        NoTimeToStop "`stop_timeout=0s`: SIGKILL follows the stop signal at once, and the app cannot finish its work";
        OneFailure "`probe.unhealthy=1`: a single slow response takes the instance out of traffic and restarts the app";
        TargetAfterBoot "`target.timeout` is not below `boot.timeout`: the boot ends before a load balancer that takes long calls the target healthy";
        StartAfterBoot "`probe.start_timeout` is not below `boot.timeout`: the boot ends before a slow app can become healthy";
        LimitOutOfReach "`restart.limit` restarts take longer than `restart.window`: an app that exits at once is restarted forever, and the instance is never replaced";
        SlowPoll "`lifecycle.poll` above 30s: a spot interruption leaves two minutes, and berth sees it this late";
        NoLogin "`registry_auth=none` with a private ECR repository, which needs a login for every pull";
        SignalWithoutChange "`secrets_refresh=…,signal:…` with `secrets_as=env`: the environment of a running process cannot change, so the app does not get the new values";
        SharedVolume "a volume that the app may write to, with `follow`: two containers have it at once during a release";
        AwayDuringRelease "`release.move=restart` with `follow`: the app is away from the stop of the old container until the new one is healthy, at every release";
        LimitOutsideDocument "`release.max_parallel` or `release.failures` in the user-data, or nowhere but in the AMI-wide defaults, with `follow`: a value of the user-data wins over the document, and `berth release` reads the document alone, so it would count by another limit than the instances";
        FastFollow "`follow` below 5s with `config=ssm:…`: Parameter Store allows 40 requests a second to all of an account, and throttles the others";
        UnboundedLog "options of `json-file` without `max-size`: they replace berth's default rotation, and the log grows until the disk is full";
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// The tables of codes in docs/configuration.md.
pub fn code_tables() -> String {
    let mut text = String::new();
    for (title, codes) in [("errors", Code::ERRORS), ("warnings", Code::WARNINGS)] {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n| code of {title} | meaning |\n|---|---|\n");
        for code in codes {
            let _ = writeln!(text, "| `{}` | {} |", code.name(), code.about());
        }
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use std::fs;

    use expect_test::expect_file;

    use super::*;

    const BEGIN: &str = "<!-- the codes are made from agent/config/src/error/code.rs: UPDATE_EXPECT=1 cargo test -p berth-config code -->\n";
    const END: &str = "<!-- end of the codes -->\n";

    #[test]
    fn the_documentation_has_these_codes() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
        #[expect(clippy::disallowed_methods, reason = "the page is made from this table")]
        let page = fs::read_to_string(path).unwrap();
        let (before, rest) = page.split_once(BEGIN).unwrap();
        let (_, after) = rest.split_once(END).unwrap();
        expect_file![path].assert_eq(&format!("{before}{BEGIN}{}{END}{after}", code_tables()));
    }
}
