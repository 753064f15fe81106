//! docs/boot.svg: where the time of a cold boot goes, in the three ways, on one axis of time.
//!
//! One file without scripts, fonts or anything else from elsewhere, for light and for dark surroundings.

use std::fmt::Write as _;
use std::fs;

use crate::root;
use crate::ways::{Boot, Step, Way};

/// Pixels.
const WIDTH: f64 = 860.0;
const LEFT: f64 = 128.0;
const RIGHT: f64 = 790.0;
const TOP: f64 = 66.0;
const HEAD: f64 = 30.0;
const ROW: f64 = 17.0;
const BAR: f64 = 10.0;
/// A step too short to see is still there.
const NARROW: f64 = 1.5;

const STYLE: &str = "svg{color-scheme:light dark}\
text{font:12px system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;fill:#1f2328}\
.card{fill:#fff;stroke:#d0d7de}.name{font-size:13px;font-weight:600}.quiet{fill:#656d76}.end{text-anchor:end}\
.mid{text-anchor:middle}.grid{stroke:#e6eaef}.done{stroke:#1f2328;stroke-dasharray:3 3}\
.over{paint-order:stroke;stroke:#fff;stroke-width:3px}\
.aws{fill:#8250df}.image{fill:#2f6fde}.container{fill:#1a7f64}.app{fill:#bf6a02}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.card{fill:#10151c;stroke:#30363d}.quiet{fill:#9aa4af}\
.grid{stroke:#252c35}.done{stroke:#e6edf3}.over{stroke:#10151c}\
.aws{fill:#a475f9}.image{fill:#58a6ff}.container{fill:#3fb68b}.app{fill:#e09b3d}}";

/// What a step is spent on: its class in the picture, its words in the legend, and the steps of each way.
const KINDS: [(&str, &str, &[&str]); 4] = [
    ("aws", "metadata and AWS", &["metadata", "identity", "config", "secrets", "login", "group", "hook"]),
    ("image", "image", &["digest", "image", "pull"]),
    ("container", "container", &["engine", "containers", "create", "start", "run"]),
    ("app", "until the app answers", &["healthy"]),
];

/// Draws it into the documentation.
pub(crate) fn draw(boots: &[(Way, &Boot)]) {
    let path = root().join("docs/boot.svg");
    fs::write(&path, svg(boots)).unwrap();
    println!("(drawn: docs/boot.svg)\n");
}

fn svg(boots: &[(Way, &Boot)]) -> String {
    let whole = boots.iter().map(|(_, boot)| boot.completed).fold(0.1, f64::max);
    let rows: usize = boots.iter().map(|(_, boot)| boot.steps.len()).sum();
    let bottom = TOP + HEAD * boots.len() as f64 + ROW * rows as f64 + 6.0;
    let height = bottom + 40.0;
    let at = |seconds: f64| LEFT + seconds / whole * (RIGHT - LEFT);
    let title = "Where the time of a cold boot goes";

    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{title}\">\n<title>{title}</title>\n\
         <style>{STYLE}</style>\n<rect class=\"card\" x=\".5\" y=\".5\" width=\"{}\" height=\"{}\" rx=\"8\"/>\n",
        WIDTH - 1.0,
        height - 1.0
    );
    let mut x = LEFT;
    for (class, words, _) in KINDS {
        let _ = writeln!(svg, "<rect class=\"{class}\" x=\"{x}\" y=\"16\" width=\"11\" height=\"11\" rx=\"2\"/>");
        text(&mut svg, x + 16.0, 26.0, "", words);
        x += 40.0 + 6.6 * words.len() as f64;
    }
    let step = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0].into_iter().find(|step| whole / step <= 10.0).unwrap_or(30.0);
    for tick in 0..=(whole / step) as usize {
        let (x, seconds) = (at(tick as f64 * step), tick as f64 * step);
        let _ = writeln!(svg, "<path class=\"grid\" d=\"M{x:.1} {}V{bottom:.1}\"/>", TOP - 10.0);
        text(&mut svg, x, TOP - 16.0, "quiet mid", &format!("{seconds:.1} s"));
    }
    let mut y = TOP;
    for (way, boot) in boots {
        panel(&mut svg, *way, boot, y, &at);
        y += HEAD + ROW * boot.steps.len() as f64;
    }
    let note = "Each is the median of its rounds in make bench. A dashed line is the end: the hook is completed.";
    text(&mut svg, LEFT, bottom + 22.0, "quiet", note);
    svg.push_str("</svg>\n");
    svg
}

fn panel(svg: &mut String, way: Way, boot: &Boot, top: f64, at: &impl Fn(f64) -> f64) {
    let (name, what) = match way {
        Way::Floor => ("bare calls", "the engine's API alone, no secrets, no hook"),
        Way::Berth => ("berth", "from exec"),
        Way::Bash => ("user-data", "in bash, with curl, jq, docker and aws"),
    };
    let end = at(boot.completed);
    let last = top + HEAD + ROW * boot.steps.len() as f64;
    let _ = writeln!(svg, "<path class=\"done\" d=\"M{end:.1} {:.1}V{last:.1}\"/>", top + 8.0);
    text(svg, LEFT - 10.0, top + 17.0, "name end", name);
    text(svg, LEFT, top + 17.0, "quiet over", &format!("{:.2} s, {what}", boot.completed));
    for (row, step) in boot.steps.iter().enumerate() {
        bar(svg, step, top + HEAD - 6.0 + ROW * row as f64, at);
    }
}

fn bar(svg: &mut String, step: &Step, top: f64, at: &impl Fn(f64) -> f64) {
    let class = KINDS.iter().find(|(_, _, steps)| steps.contains(&step.name.as_str())).map_or("aws", |kind| kind.0);
    let (x, width) = (at(step.began), (at(step.until) - at(step.began)).max(NARROW));
    let (bar, words) = (top + (ROW - BAR) / 2.0, top + ROW / 2.0 + 4.0);
    let took = step.until - step.began;
    let took = if took < 0.0995 { format!("{:.0} ms", took * 1e3) } else { format!("{took:.2} s") };
    text(svg, LEFT - 10.0, words, "quiet end", &step.name);
    let _ = writeln!(
        svg,
        "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{bar:.1}\" width=\"{width:.1}\" height=\"{BAR}\" rx=\"1\"/>"
    );
    text(svg, x + width + 6.0, words, "over", &took);
}

fn text(svg: &mut String, x: f64, y: f64, class: &str, words: &str) {
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"{class}\">{words}</text>");
}
