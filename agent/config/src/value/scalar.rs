//! Durations, sizes, counts, words. Each error says what is expected and never shows the value.

use std::time::Duration;

use crate::value::Reason;

/// The longest duration that any key takes: a week.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);

/// Parses a duration for a key of the config or an option of the command line: `500ms`, `90s`, `10m`, `1h`, or several of them as in
/// `1h30m`, at most a week. A number without a unit is an error, because its unit would be a guess.
pub fn duration(text: &str) -> Result<Duration, Reason> {
    const EXPECTED: &str = "is not a duration like `500ms`, `5s`, `10m` or `1h30m`";
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() || text.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|char: char| char.is_ascii_digit()).len();
        let (number, after) = rest.split_at(digits);
        let letters = after.len() - after.trim_start_matches(|char: char| char.is_ascii_alphabetic()).len();
        let (unit, after) = after.split_at(letters);
        let number: u64 = number.parse().map_err(|_| EXPECTED)?;
        let milliseconds: u64 = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "" if after.is_empty() => return Err("needs a unit: `ms`, `s`, `m` or `h`".into()),
            _ => return Err(EXPECTED.into()),
        };
        total = total.saturating_add(Duration::from_millis(number.saturating_mul(milliseconds)));
        rest = after;
    }
    if total > LONGEST { Err("is longer than a week (`168h`)".into()) } else { Ok(total) }
}

/// A duration of at least `least`.
pub(crate) fn duration_from(least: Duration, text: &str) -> Result<Duration, Reason> {
    let duration = duration(text)?;
    if duration < least { Err(format!("is shorter than `{}`", duration_text(least)).into()) } else { Ok(duration) }
}

/// A duration in the form that [`duration`] parses: `1h30m`, `500ms`, `0s`.
pub fn duration_text(duration: Duration) -> String {
    let (seconds, milliseconds) = (duration.as_secs(), duration.subsec_millis());
    let mut text = String::new();
    for (number, unit) in [(seconds / 3600, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")] {
        if number > 0 {
            text.push_str(&format!("{number}{unit}"));
        }
    }
    if milliseconds > 0 {
        text.push_str(&format!("{milliseconds}ms"));
    }
    if text.is_empty() { "0s".into() } else { text }
}

/// A number of bytes as Docker writes it, `512m`, `1.5g`, `65536`: units are powers of 1024, `b`, `ib` and uppercase are allowed.
pub(crate) fn size(text: &str) -> Result<u64, Reason> {
    const EXPECTED: &str = "is not a size like `512m` or `1g`";
    let lower = text.to_ascii_lowercase();
    let number = lower.trim_end_matches(|char: char| char.is_ascii_alphabetic());
    let unit = lower.get(number.len()..).unwrap_or_default();
    let scale: u64 = match unit {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        "t" | "tb" | "tib" => 1 << 40,
        _ => return Err(EXPECTED.into()),
    };
    let bytes = decimal(number, scale).ok_or(EXPECTED)?;
    if bytes > 1 << 60 { Err("is larger than 1 EiB".into()) } else { Ok(bytes) }
}

/// A share of CPUs such as `0.5`, in billionths.
pub(crate) fn cpus(text: &str) -> Result<u64, Reason> {
    let billionths = decimal(text, 1_000_000_000).ok_or("is not a number of CPUs like `0.5` or `2`")?;
    if billionths < 10_000_000 { Err("is less than `0.01`, the engine's minimum".into()) } else { Ok(billionths) }
}

/// `digits[.digits]` times `scale`, rounded down.
fn decimal(text: &str, scale: u64) -> Option<u64> {
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) => (whole, fraction),
        None => (text, "0"),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    let scale = u128::from(scale);
    let fraction = fraction.get(..fraction.len().min(9))?;
    let parts = u128::from(fraction.parse::<u64>().ok()?) * scale / 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    u64::try_from(u128::from(whole.parse::<u64>().ok()?).checked_mul(scale)?.checked_add(parts)?).ok()
}

/// A whole number of at least `least`.
pub(crate) fn count(least: u32, text: &str) -> Result<u32, Reason> {
    let number: u32 = text.parse().map_err(|_| "is not a whole number")?;
    if number < least { Err(format!("is less than {least}").into()) } else { Ok(number) }
}

/// `true` or `false`.
pub(crate) fn boolean(text: &str) -> Result<bool, Reason> {
    one_of(text, &[("true", true), ("false", false)])
}

/// One of these words.
pub(crate) fn one_of<T: Clone>(text: &str, words: &[(&str, T)]) -> Result<T, Reason> {
    let found = words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| meaning.clone());
    found.ok_or_else(|| not_one_of(words.iter().map(|(word, _)| *word)))
}

/// The error of a text that is none of these words.
pub(crate) fn not_one_of<'a>(words: impl Iterator<Item = &'a str>) -> Reason {
    let words: Vec<_> = words.map(|word| format!("`{word}`")).collect();
    format!("is not one of {}", words.join(", ")).into()
}

/// Whether a text is letters, digits and the characters of `also`, and begins with a letter or digit.
pub(crate) fn is_name(text: &str, also: &str) -> bool {
    text.starts_with(|char: char| char.is_ascii_alphanumeric())
        && text.chars().all(|char| char.is_ascii_alphanumeric() || also.contains(char))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit_and_add_up() {
        let millis = |text: &str| duration(text).map(|d| d.as_millis());
        assert_eq!(millis("500ms"), Ok(500));
        assert_eq!(millis("5s"), Ok(5_000));
        assert_eq!(millis("10m"), Ok(600_000));
        assert_eq!(millis("1h30m"), Ok(5_400_000));
        assert_eq!(millis("0s"), Ok(0));
        assert_eq!(millis("168h"), Ok(604_800_000));
        for (text, reason) in [
            ("5", "needs a unit: `ms`, `s`, `m` or `h`"),
            ("5s3", "needs a unit: `ms`, `s`, `m` or `h`"),
            ("168h1ms", "is longer than a week (`168h`)"),
            ("18446744073709551615h", "is longer than a week (`168h`)"),
        ] {
            assert_eq!(duration(text), Err(reason.into()), "{text}");
        }
        for text in ["", "s", "-5s", "5d", "5 s", "1.5s", "5S", "99999999999999999999s", "٥s"] {
            assert_eq!(
                duration(text),
                Err("is not a duration like `500ms`, `5s`, `10m` or `1h30m`".into()),
                "{text:?}"
            );
        }
    }

    #[test]
    fn a_duration_is_written_as_it_is_read() {
        for text in ["0s", "500ms", "5s", "10m", "1h30m", "1h1s500ms", "168h"] {
            assert_eq!(duration(text).map(duration_text), Ok(text.to_owned()));
        }
    }

    #[test]
    fn sizes_are_docker_s() {
        for (text, bytes) in [
            ("0", 0),
            ("65536", 65_536),
            ("1b", 1),
            ("64k", 65_536),
            ("512m", 536_870_912),
            ("512MB", 536_870_912),
            ("1GiB", 1_073_741_824),
            ("1.5g", 1_610_612_736),
            ("0.5k", 512),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "m", "-1m", "1 g", "1x", "1.m", ".5g", "1e3", "1..2m", "99999999999999999999g", "1mm"] {
            assert!(size(text).is_err(), "{text}");
        }
        assert_eq!(size("2000000t"), Err("is larger than 1 EiB".into()));
    }

    #[test]
    fn cpus_are_billionths() {
        assert_eq!(cpus("0.5"), Ok(500_000_000));
        assert_eq!(cpus("2"), Ok(2_000_000_000));
        assert_eq!(cpus("1.123456789123"), Ok(1_123_456_789));
        assert_eq!(cpus("0"), Err("is less than `0.01`, the engine's minimum".into()));
        assert!(cpus("1,5").is_err() && cpus("NaN").is_err() && cpus("inf").is_err());
    }
}
