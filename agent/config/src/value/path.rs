//! Paths as text: nothing reads the file system.

use crate::value::Reason;

/// A path in the container or on the host.
pub(crate) fn absolute(text: &str) -> Result<String, Reason> {
    if text.starts_with('/') { Ok(text.to_owned()) } else { Err("is not an absolute path".into()) }
}

/// A path of the host other than its root, cleaned.
pub(crate) fn host_path(text: &str) -> Result<String, Reason> {
    match clean(&absolute(text)?) {
        root if root == "/" => Err("is `/`, which is always there".into()),
        path => Ok(path),
    }
}

/// A path as the engine cleans it: `/a//b/./c/../` is `/a/b`.
pub(crate) fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// Whether a path is this folder or below it.
pub(crate) fn below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_cleaned_as_the_engine_does() {
        for (path, expected) in
            [("/", "/"), ("//a//b/", "/a/b"), ("/a/./b/../c", "/a/c"), ("/..", "/"), ("/../a", "/a")]
        {
            assert_eq!(clean(path), expected, "{path}");
        }
    }

    #[test]
    fn a_path_of_the_host_is_absolute_and_not_its_root() {
        assert_eq!(host_path("/mnt//data/"), Ok("/mnt/data".to_owned()));
        assert_eq!(host_path("data"), Err("is not an absolute path".into()));
        assert!(host_path("/").is_err() && host_path("//.").is_err() && host_path("/a/..").is_err());
    }
}
