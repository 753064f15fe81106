//! Which key of the config the engine, the runtime or the kernel refuses, found in the message: its class, and what to do.

use berth_core::message::error::ErrorClass;

use crate::io::docker::error::EngineError;

/// Pieces of the message in lower case, all of which must be in it.
pub(super) type Pieces = &'static [&'static str];

const REFUSALS: [(Pieces, ErrorClass, &str); 20] = [
    (&["unknown runtime specified"], ErrorClass::Misconfigured, RUNTIME),
    (&["unknown or invalid runtime name"], ErrorClass::Misconfigured, RUNTIME),
    (&["runtime", "binary not installed"], ErrorClass::Misconfigured, RUNTIME),
    (&["invalid --security-opt"], ErrorClass::Misconfigured, "`security_opt`: this engine does not know the option"),
    (
        &["decoding seccomp profile failed"],
        ErrorClass::Misconfigured,
        "`security_opt`: this engine cannot read the seccomp profile",
    ),
    (
        &["apparmor", "profile", "no such file"],
        ErrorClass::Misconfigured,
        "`security_opt`: the host has no such AppArmor profile loaded; `aa-status` lists those that it has",
    ),
    (
        &["unable to find group"],
        ErrorClass::Broken,
        "`group_add`: the image's /etc/group has no such group; give its number instead",
    ),
    (
        &["open /proc/sys/", "no such file"],
        ErrorClass::Misconfigured,
        "`sysctls`: this kernel has no such setting, or none within a namespace",
    ),
    // runc from 1.3.3 on.
    (
        &["open sysctl ", "no such file"],
        ErrorClass::Misconfigured,
        "`sysctls`: this kernel has no such setting, or none within a namespace",
    ),
    (&["write /proc/sys/"], ErrorClass::Misconfigured, "`sysctls`: the kernel refuses the value"),
    (&["write sysctl "], ErrorClass::Misconfigured, "`sysctls`: the kernel refuses the value"),
    (&["open sysctl ", "denied"], ErrorClass::Misconfigured, "`sysctls`: the kernel does not let a container set it"),
    (
        &["open /proc/sys/", "denied"],
        ErrorClass::Misconfigured,
        "`sysctls`: the kernel does not let a container set it",
    ),
    (&["sysctl", "not in a separate kernel namespace"], ErrorClass::Misconfigured, "`sysctls`: set it on the host"),
    (&["sysctl", "not allowed in"], ErrorClass::Misconfigured, "`sysctls`: set it on the host"),
    (
        &["non-shareable ipc"],
        ErrorClass::Misconfigured,
        "`ipc`: the other container must be created with `--ipc=shareable`",
    ),
    (
        &["does not match the specified platform"],
        ErrorClass::Broken,
        "`platform`: build the image for that platform, or leave the key out",
    ),
    (
        &["does not provide the specified platform"],
        ErrorClass::Broken,
        "`platform`: build the image for that platform, or leave the key out",
    ),
    (
        &["cannot overwrite digest"],
        ErrorClass::Broken,
        "`platform`: this engine keeps one image under a digest, and has the one for another platform; remove that one with `docker \
         rmi`, or name the digest of the image for this platform",
    ),
    // It may be started later, as the engine itself may be.
    (&["no such container"], ErrorClass::Transient, "`network`, `ipc` or `pid` names it, and it must be there first"),
];

const RUNTIME: &str = "`runtime`: the engine has none of that name; `docker info` lists those that it has, and \
                       /etc/docker/daemon.json names more";

/// The pieces of every refusal that is final.
pub(super) fn final_pieces() -> impl Iterator<Item = Pieces> {
    REFUSALS.iter().filter(|(_, class, _)| *class != ErrorClass::Transient).map(|(words, ..)| *words)
}

/// What the message, in lower case, says about a key.
pub(super) fn find(prose: &str) -> Option<(ErrorClass, &'static str)> {
    let (_, class, advice) = REFUSALS.iter().find(|(words, ..)| words.iter().all(|word| prose.contains(word)))?;
    Some((*class, advice))
}

/// Completes the error about a container that does not exist, where it is another one than the call was about.
pub(super) fn name_other_container(error: &mut EngineError) {
    if let EngineError::Refused { message, class, .. } = error
        && message.to_lowercase().contains("no such container")
        && let Some((of_other, advice)) = find("no such container")
    {
        *class = of_other;
        *message = format!("{message}; {advice}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_refused_is_named_with_what_to_do() {
        for (prose, class, key) in [
            // Engines 20.10 and 23 and later, at the creation; a containerd shim that is not there, at the start.
            ("Unknown runtime specified nope", ErrorClass::Misconfigured, "`runtime`"),
            ("unknown or invalid runtime name: nope", ErrorClass::Misconfigured, "`runtime`"),
            (
                "failed to create shim task: runtime \"io.containerd.nope.v1\" binary not installed \"containerd-shim-nope-v1\": file does not exist: unknown",
                ErrorClass::Misconfigured,
                "`runtime`",
            ),
            ("invalid --security-opt 2: \"foo=bar\"", ErrorClass::Misconfigured, "`security_opt`"),
            (
                "Decoding seccomp profile failed: invalid character '/' looking for beginning of value",
                ErrorClass::Misconfigured,
                "`security_opt`",
            ),
            (
                "error during container init: unable to apply apparmor profile: apparmor failed to apply profile: write /proc/self/attr/exec: no such file or directory: unknown",
                ErrorClass::Misconfigured,
                "`security_opt`",
            ),
            ("Unable to find group nope: no matching entries in group file", ErrorClass::Broken, "`group_add`"),
            (
                "error during container init: open /proc/sys/net/foo: no such file or directory: unknown",
                ErrorClass::Misconfigured,
                "`sysctls`",
            ),
            (
                "error during container init: write /proc/sys/kernel/msgmax: invalid argument: unknown",
                ErrorClass::Misconfigured,
                "`sysctls`",
            ),
            (
                "sysctl \"net.core.somaxconn\" not allowed in host network namespace: unknown",
                ErrorClass::Misconfigured,
                "`sysctls`",
            ),
            (
                "sysctl \"vm.foo\" is not in a separate kernel namespace: unknown",
                ErrorClass::Misconfigured,
                "`sysctls`",
            ),
            (
                "can't join IPC of container abc: non-shareable IPC (hint: use IpcMode:shareable for the donor container)",
                ErrorClass::Misconfigured,
                "`ipc`",
            ),
            (
                "image with reference x was found but does not match the specified platform: wanted linux/arm64, actual: linux/amd64",
                ErrorClass::Broken,
                "`platform`",
            ),
            ("Cannot overwrite digest sha256:004a", ErrorClass::Broken, "`platform`"),
            ("No such container: nope", ErrorClass::Transient, "`network`, `ipc` or `pid`"),
        ] {
            let (found, advice) = find(&prose.to_lowercase()).expect(prose);
            assert_eq!(found, class, "{prose}");
            assert!(advice.starts_with(key), "{prose}: {advice}");
        }
        for prose in
            ["driver failed: Bind for 0.0.0.0:80 failed", "exec: \"nope\": executable file not found in $PATH: unknown"]
        {
            assert_eq!(find(&prose.to_lowercase()), None, "{prose}");
        }
    }
}
