//! Whether the kernel lets a process be started with an environment of this size (execve(2), "Limits on size of arguments and
//! environment"). What is over a limit is reported before a container is created: `execve` itself would only return E2BIG.

use std::collections::BTreeMap;

use berth_config::Config;

use crate::io::secret::Secret;

/// `NAME=VALUE` with its end: MAX_ARG_STRLEN, 32 pages of 4 KiB.
const ONE: u64 = 128 * 1024;
/// Arguments and environment together are a quarter of the stack's limit, …
const PART_OF_STACK: u64 = 4;
/// … which is 8 MiB by default (_STK_LIM), …
const STACK: u64 = 8 * 1024 * 1024;
/// … but never less than ARG_MAX, …
const LEAST: u64 = 128 * 1024;
/// … and never more than three quarters of _STK_LIM.
const MOST: u64 = STACK / 4 * 3;
/// Reserved for what is not known when secrets are fetched: the app's arguments, and the environment of its image.
const RESERVE: u64 = 128 * 1024;

/// Why the environment does not fit, in one sentence without a value; none if it fits.
pub(crate) fn too_large(config: &Config, secrets: &BTreeMap<String, Secret>) -> Option<String> {
    let length = |name: &str, value: usize| size(name.len() + "=\0".len() + value);
    let of_secrets = secrets.iter().map(|(name, secret)| (name, length(name, secret.expose().len())));
    // A secret wins over `env.NAME`.
    let plain = config.env.iter().filter(|(name, _)| !secrets.contains_key(*name));
    let of_env = plain.map(|(name, value)| (name, length(name, value.len())));
    let all: Vec<(&String, u64)> = of_secrets.chain(of_env).collect();
    if let Some((name, length)) = all.iter().find(|(_, length)| *length > ONE) {
        return Some(format!("{name} takes {length} bytes of the environment, and one variable has at most {ONE}"));
    }
    // Each variable has a pointer as well.
    let sum: u64 = all.iter().map(|(_, length)| length + size(size_of::<usize>())).sum();
    let limit = limit(config);
    (sum > limit).then(|| {
        let env = all.len() - secrets.len();
        format!(
            "{} secrets and {env} env.* take {sum} bytes of the environment, and a process can be given {limit}",
            secrets.len()
        )
    })
}

/// What `secrets` and `env.*` may take together: 1,966,080 bytes unless the config sets `ulimits=stack=…`.
fn limit(config: &Config) -> u64 {
    let of_config = config.ulimits.iter().rev().find(|limit| limit.name == "stack").map(|limit| limit.soft);
    // -1 is no limit.
    let stack = of_config.map_or(STACK, |soft| u64::try_from(soft).unwrap_or(u64::MAX));
    (stack / PART_OF_STACK).clamp(LEAST, MOST).saturating_sub(RESERVE).max(LEAST / 2)
}

fn size(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use berth_config::Layers;

    use super::*;

    fn config(words: &str) -> Config {
        let mut layers = Layers::new();
        layers.add_words(&format!("image=x:1 {words}").split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        layers.resolve().unwrap()
    }

    fn secrets(count: usize, bytes: usize) -> BTreeMap<String, Secret> {
        (0..count).map(|number| (format!("S{number:03}"), Secret::new(vec![b'x'; bytes]))).collect()
    }

    #[test]
    fn the_limit_is_a_quarter_of_the_stack_without_the_reserve() {
        for (words, bytes) in [
            ("", 1_966_080),
            ("ulimits=nofile=1024", 1_966_080),
            ("ulimits=stack=16777216", 4_063_232),
            ("ulimits=stack=-1", 6_160_384),
            ("ulimits=stack=1073741824", 6_160_384),
            ("ulimits=stack=65536", 65_536),
        ] {
            assert_eq!(limit(&config(words)), bytes, "{words}");
        }
    }

    #[test]
    fn the_sum_counts_names_ends_and_pointers_to_the_last_byte() {
        // S000=…, its end and its pointer.
        let fits = 1_966_080 / 15 - (4 + 2 + 8);
        assert_eq!(too_large(&config(""), &secrets(15, fits)), None);
        assert_eq!(
            too_large(&config(""), &secrets(15, fits + 1)).unwrap(),
            "15 secrets and 0 env.* take 1966095 bytes of the environment, and a process can be given 1966080"
        );
        let reason = too_large(&config("env.S000=loses env.B=1"), &secrets(15, fits)).unwrap();
        assert!(reason.starts_with("15 secrets and 1 env.* take 1966092 bytes"), "{reason}");
    }

    #[test]
    fn one_variable_has_a_limit_of_its_own() {
        assert_eq!(too_large(&config(""), &secrets(1, 128 * 1024 - 6)), None);
        assert_eq!(
            too_large(&config(""), &secrets(1, 128 * 1024 - 5)).unwrap(),
            "S000 takes 131073 bytes of the environment, and one variable has at most 131072"
        );
    }
}
