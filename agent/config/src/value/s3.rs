//! Places in S3, `s3://BUCKET/KEY`, and the forms of other programs for the same.

use crate::value::Reason;
use crate::value::arn::Arn;

/// Begins every place in S3.
const SCHEME: &str = "s3://";

/// The longest key, in bytes (S3 user guide, "Naming Amazon S3 objects").
const LONGEST_KEY: usize = 1024;

/// The bucket and what is after it, which may be empty.
pub(crate) fn place(text: &str) -> Result<(&str, &str), Reason> {
    let Some(rest) = text.strip_prefix(SCHEME) else { return Err(no_place(text).into()) };
    let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
    check_bucket(bucket)?;
    if key.len() > LONGEST_KEY {
        return Err("has a key longer than 1024 bytes".into());
    }
    if key.contains(char::is_control) {
        return Err("has a control character in its key".into());
    }
    // Clients and proxies would resolve them, and the request would be for another object than the signature.
    if key.split('/').any(|part| part == "." || part == "..") {
        return Err("has `.` or `..` as a part of its key: write the key without it".into());
    }
    Ok((bucket, key))
}

/// Whether it is a place in S3, perhaps in the form of another program.
pub(crate) fn is_meant(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let is_url = lower.starts_with("https://") || lower.starts_with("http://");
    lower.starts_with("s3:")
        || lower.starts_with("s3/")
        || Arn::parse(&lower).is_some_and(|arn| arn.service == "s3")
        || (is_url && (lower.contains("s3.") || lower.contains("s3-")) && lower.contains("amazonaws.com"))
}

/// Why it is no place, and how one is written.
fn no_place(text: &str) -> &'static str {
    match (is_meant(text), text) {
        (true, text) if text.starts_with("arn:") => "is the ARN of an object: write `s3://BUCKET/KEY`",
        (true, text) if text.get(..4).is_some_and(|begin| begin.eq_ignore_ascii_case("http")) => {
            "is the URL of an object: write `s3://BUCKET/KEY`"
        }
        (true, text) if text.starts_with("S3") => "is written `s3://BUCKET/KEY`, in lower case",
        (true, _) => "is written `s3://BUCKET/KEY`, with two slashes",
        (false, _) => "is not `s3://BUCKET/KEY`",
    }
}

/// The rules of general purpose buckets (S3 user guide, "General purpose bucket naming rules"); the alias of an access point
/// stands for a bucket and obeys them.
fn check_bucket(name: &str) -> Result<(), Reason> {
    const RULES: &str = "has no name of a bucket after `s3://`: 3 to 63 lower-case letters, digits, `-` and `.`";
    let bytes = name.as_bytes();
    let is_plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_inside = |byte: &u8| is_plain(byte) || *byte == b'-' || *byte == b'.';
    let ends = [bytes.first(), bytes.last()];
    if name.is_empty() {
        return Err("has no bucket: write `s3://BUCKET/KEY`".into());
    }
    if name.starts_with("arn:") {
        return Err("has an ARN in place of the bucket: write its name, or the alias of an access point".into());
    }
    if !(3..=63).contains(&name.len()) || !bytes.iter().all(is_inside) {
        return Err(RULES.into());
    }
    if !ends.into_iter().flatten().all(is_plain) || name.contains("..") {
        return Err("has no name of a bucket after `s3://`: it begins and ends with a letter or digit, and no two dots stand together".into());
    }
    if name.parse::<std::net::Ipv4Addr>().is_ok() {
        return Err("has an IP address in place of the bucket: write its name".into());
    }
    // It needs sessions and an endpoint of its zone.
    if name.ends_with("--x-s3") {
        return Err("is in a directory bucket, which berth does not read: use a general purpose bucket".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_bucket_and_a_key() {
        for (text, bucket, key) in [
            ("s3://prod-berth/api", "prod-berth", "api"),
            ("s3://a.b-1/fleets/api/berth.toml", "a.b-1", "fleets/api/berth.toml"),
            ("s3://123/ä ?#%2F", "123", "ä ?#%2F"),
            ("s3://prod-berth", "prod-berth", ""),
            ("s3://prod-berth/", "prod-berth", ""),
            ("s3://ap-123456789012345678901234567890-s3alias/x", "ap-123456789012345678901234567890-s3alias", "x"),
        ] {
            assert_eq!(place(text), Ok((bucket, key)), "{text}");
        }
        let long = |count| format!("s3://{}/{}", "b".repeat(63), "k".repeat(count));
        assert!(place(&long(1024)).is_ok());
        assert_eq!(place(&long(1025)), Err("has a key longer than 1024 bytes".into()));
    }

    #[test]
    fn what_is_no_place_is_refused_with_what_to_write() {
        for (text, reason) in [
            ("prod/api", "is not `s3://BUCKET/KEY`"),
            ("s3:prod-berth/api", "is written `s3://BUCKET/KEY`, with two slashes"),
            ("s3:/prod-berth/api", "is written `s3://BUCKET/KEY`, with two slashes"),
            ("S3://prod-berth/api", "is written `s3://BUCKET/KEY`, in lower case"),
            ("https://prod-berth.s3.us-east-2.amazonaws.com/api", "is the URL of an object: write `s3://BUCKET/KEY`"),
            ("https://s3.amazonaws.com/prod-berth/api", "is the URL of an object: write `s3://BUCKET/KEY`"),
            ("HTTPS://s3-us-west-2.amazonaws.com/b/api", "is the URL of an object: write `s3://BUCKET/KEY`"),
            ("https://example.com/api", "is not `s3://BUCKET/KEY`"),
            ("arn:aws:s3:::prod-berth/api", "is the ARN of an object: write `s3://BUCKET/KEY`"),
            ("s3:///api", "has no bucket: write `s3://BUCKET/KEY`"),
            ("s3://", "has no bucket: write `s3://BUCKET/KEY`"),
            (
                "s3://arn:aws:s3:::prod-berth/api",
                "has an ARN in place of the bucket: write its name, or the alias of an access point",
            ),
            ("s3://10.0.0.1/api", "has an IP address in place of the bucket: write its name"),
            (
                "s3://prod--use2-az1--x-s3/api",
                "is in a directory bucket, which berth does not read: use a general purpose bucket",
            ),
            ("s3://prod-berth/a\nb", "has a control character in its key"),
            ("s3://prod-berth/../x", "has `.` or `..` as a part of its key: write the key without it"),
            ("s3://prod-berth/a/./x", "has `.` or `..` as a part of its key: write the key without it"),
        ] {
            assert_eq!(place(text), Err(reason.into()), "{text}");
        }
        for bucket in ["ab", &"b".repeat(64), "Prod", "prod_berth", "prod berth", "prod:berth"] {
            let reason = place(&format!("s3://{bucket}/api")).unwrap_err();
            assert!(reason.ends_with("3 to 63 lower-case letters, digits, `-` and `.`"), "{bucket}: {reason}");
        }
        for bucket in ["-prod", "prod-", ".prod", "prod.", "pr..od"] {
            let reason = place(&format!("s3://{bucket}/api")).unwrap_err();
            assert!(reason.contains("it begins and ends with"), "{bucket}: {reason}");
        }
    }
}
