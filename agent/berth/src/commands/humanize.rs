//! Spans of time and sizes as text.

/// `20 ms`, `8.1 s`, `3 min 12 s`, `2 h 5 min`; a negative span is `0 ms`.
pub(super) fn span(seconds: f64) -> String {
    let whole = seconds.max(0.0) as u64;
    match seconds {
        ..0.9995 => format!("{:.0} ms", seconds.max(0.0) * 1000.0),
        ..60.0 => format!("{seconds:.1} s"),
        ..3600.0 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole / 60 % 60),
    }
}

/// `61.0 MB`; decimal, as `docker images` counts.
pub(super) fn bytes(count: u64) -> String {
    match count {
        0..1_000 => format!("{count} B"),
        1_000..1_000_000 => format!("{:.0} kB", count as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", count as f64 / 1e6),
        _ => format!("{:.2} GB", count as f64 / 1e9),
    }
}

/// A point on an axis: `0`, `200 ms`, `1.5 s`, `2 min`, `1 min 30 s`, `3 h`, `2 d`; exact, for axes have round steps.
pub(super) fn point(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    let two = |large: u64, unit: &str, small: u64, rest: &str| match small {
        0 => format!("{large} {unit}"),
        _ => format!("{large} {unit} {small} {rest}"),
    };
    match seconds {
        ..0.0005 => "0".into(),
        ..0.9995 => format!("{:.0} ms", seconds * 1000.0),
        ..59.95 => format!("{} s", (seconds * 1000.0).round() / 1000.0),
        ..3600.0 => two(whole / 60, "min", whole % 60, "s"),
        ..86_400.0 => two(whole / 3600, "h", whole / 60 % 60, "min"),
        _ => two(whole / 86_400, "d", whole / 3600 % 24, "h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        let all: Vec<_> = [-3.0, 0.0, 0.02, 0.9999, 1.0, 59.94, 59.99, 60.0, 192.0, 7500.0, f64::NAN].map(span).into();
        assert_eq!(
            all.join(" | "),
            "0 ms | 0 ms | 20 ms | 1.0 s | 1.0 s | 59.9 s | 60.0 s | 1 min 0 s | 3 min 12 s | 2 h 5 min | 0 h 0 min"
        );
    }

    #[test]
    fn points_are_exact() {
        let all: Vec<_> =
            [0.0, 0.0005, 0.2, 1.0, 1.5, 59.0, 60.0, 90.0, 3600.0, 9000.0, 86_400.0, 90_000.0].map(point).into();
        assert_eq!(
            all.join(" | "),
            "0 | 0 ms | 200 ms | 1 s | 1.5 s | 59 s | 1 min | 1 min 30 s | 1 h | 2 h 30 min | 1 d | 1 d 1 h"
        );
    }
}
