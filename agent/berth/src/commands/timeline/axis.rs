//! The marks of a time axis, at round values.

/// Steps above ten seconds: parts of minutes, hours and days.
const CLOCK: [f64; 16] = [
    15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0, 10_800.0, 21_600.0, 43_200.0, 86_400.0,
    172_800.0, 432_000.0,
];

/// The marks from 0 to `span` seconds, at most `most` of them after the first.
pub(super) fn ticks(span: f64, most: u32) -> Vec<f64> {
    let decimal = (-3..=1).flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * 10f64.powi(power)));
    let days = (1..12).flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * 86_400.0 * 10f64.powi(power)));
    let steps = decimal.filter(|step| *step <= 10.0).chain(CLOCK).chain(days);
    // What a float cannot divide exactly is still a mark.
    let fits = |step: f64| (span / step + 1e-6).floor();
    let Some(step) = { steps }.find(|step| fits(*step) <= f64::from(most)) else { return vec![0.0] };
    // A float saturates when it becomes an integer, and no number becomes 0.
    (0..=fits(step) as u32).map(|count| f64::from(count) * step).collect()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::commands::humanize::point;

    #[test]
    fn marks_are_round_and_few() {
        let shown = |span: f64| ticks(span, 8).into_iter().map(point).collect::<Vec<_>>().join(", ");
        let spans = [
            0.0,
            0.001,
            0.03,
            0.6,
            0.8,
            4.2,
            12.4,
            42.0,
            61.0,
            350.0,
            3600.0,
            90_000.0,
            1e7,
            1e9,
            -1.0,
            1e300,
            f64::NAN,
        ];
        expect![[r#"
            0: 0
            0.001: 0, 1 ms
            0.03: 0, 5 ms, 10 ms, 15 ms, 20 ms, 25 ms, 30 ms
            0.6: 0, 100 ms, 200 ms, 300 ms, 400 ms, 500 ms, 600 ms
            0.8: 0, 100 ms, 200 ms, 300 ms, 400 ms, 500 ms, 600 ms, 700 ms, 800 ms
            4.2: 0, 500 ms, 1 s, 1.5 s, 2 s, 2.5 s, 3 s, 3.5 s, 4 s
            12.4: 0, 2 s, 4 s, 6 s, 8 s, 10 s, 12 s
            42: 0, 5 s, 10 s, 15 s, 20 s, 25 s, 30 s, 35 s, 40 s
            61: 0, 10 s, 20 s, 30 s, 40 s, 50 s, 1 min
            350: 0, 1 min, 2 min, 3 min, 4 min, 5 min
            3600: 0, 10 min, 20 min, 30 min, 40 min, 50 min, 1 h
            90000: 0, 3 h, 6 h, 9 h, 12 h, 15 h, 18 h, 21 h, 1 d
            10000000: 0, 20 d, 40 d, 60 d, 80 d, 100 d
            1000000000: 0, 2000 d, 4000 d, 6000 d, 8000 d, 10000 d
            -1: 0
            1000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000: 0
            NaN: 0
        "#]].assert_eq(&spans.map(|span| format!("{span}: {}\n", shown(span))).concat());
    }
}
