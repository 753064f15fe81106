//! What would run, as text.

use std::fmt::Write;

use berth_config::{Config, Layers, Row};

use super::{health, image, notes, release, rhythm, secrets, targets};

/// What would run, line by line, and below it the keys that are set; with `all` also those with their default.
pub(super) fn of(layers: &Layers, config: &Config, all: bool) -> String {
    let mut lines: Vec<(&str, String)> = vec![("image", image(layers, config))];
    if !config.name.is_empty() {
        lines.push(("container", config.container_name()));
    }
    lines.extend(config.ports.iter().map(|port| ("port", port.to_string())));
    lines.extend(targets(config).into_iter().map(|target| ("target", target)));
    lines.push(("health", format!("{}{}", health(config), rhythm(config))));
    lines.extend(secrets(config).into_iter().map(|secret| ("secret", secret)));
    if !config.env.is_empty() {
        lines.push(("env", config.env.keys().map(String::as_str).collect::<Vec<_>>().join(", ")));
    }
    lines.push(("readiness", format!("http://{}/ready", config.listen)));
    lines.extend(release::line(layers, config).map(|line| ("release", line)));
    lines.extend(notes(layers).into_iter().map(|note| ("note", note)));

    let mut text = String::new();
    for (label, line) in lines {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{label:<11}{line}");
    }
    let rows: Vec<_> = layers.rows().into_iter().filter(|row| all || row.from.is_some()).collect();
    let width = |of: fn(&Row) -> usize| rows.iter().map(of).max().unwrap_or_default().min(40);
    let (keys, values) = (width(|row| row.key.chars().count()), width(|row| shown_value(row).chars().count()));
    text.push('\n');
    for row in &rows {
        let from = row.from.as_deref().unwrap_or("default");
        let _ = writeln!(text, "{:<keys$}  {:<values$}  {from}", row.key, shown_value(row));
    }
    text
}

fn shown_value(row: &Row) -> &str {
    row.value.as_deref().unwrap_or("(not shown)")
}
