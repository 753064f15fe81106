//! What pigz gives: the engine unpacks layers with it where the host has it, and by itself where MOBY_DISABLE_PIGZ says so.
//!
//! Engines of its own, with and without in turn, pull the same image. The layers compress as those of real images do; noise
//! would be stored as it is, and unpacking what is only stored costs nothing.

use std::time::Instant;

use berth_kit::image::Built;
use berth_kit::{Image, OwnEngine, World};

use crate::rounds;
use crate::table::{Table, Unit};

const LAYERS: usize = 5;
const LAYER: usize = 100_000_000;

/// Measures and prints.
pub(crate) async fn measure() {
    assert!(has("unpigz"), "there is no unpigz: apt-get install pigz");
    let image = image();
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for round in 0..rounds(3) {
        without.push(pull(&image, false).await);
        with.push(pull(&image, true).await);
        eprintln!("bench: {} rounds with pigz and without", round + 1);
    }
    let (packed, whole) = (image.size() as f64 / 1e6, (LAYERS * LAYER) as f64 / 1e6);
    let saved: Vec<f64> = with.iter().zip(&without).map(|(with, without)| with / without).collect();
    let mut table =
        Table::new(&format!("pull of {whole:.0} MB in {LAYERS} layers, {packed:.0} MB packed, {} rounds", with.len()));
    table.row("the engine alone (MOBY_DISABLE_PIGZ)", Unit::Seconds, &without, None);
    table.row("with pigz", Unit::Seconds, &with, None);
    table.row("with pigz over without", Unit::Times, &saved, None);
    table.print();
}

/// Seconds that a new engine takes to pull it.
async fn pull(image: &Built, pigz: bool) -> f64 {
    let world = World::start().await;
    let pushed = world.registry.push(&world.name, "v1", image);
    let mut dockerd = OwnEngine::new().expect("root may have an engine of its own");
    dockerd.env("MOBY_DISABLE_PIGZ", if pigz { "0" } else { "1" });
    dockerd.start().await;
    let began = Instant::now();
    let pulled = dockerd.engine().pull(&pushed.by_tag(), None).await;
    let took = began.elapsed().as_secs_f64();
    assert!(pulled.text().contains("Downloaded newer image"), "{}", pulled.text());
    took
}

/// Layers of words from a dictionary with noise in between: about 2 to 1, a bit less than libraries.
fn image() -> Built {
    let words: Vec<Vec<u8>> = (0..1024).map(|_| noise(fastrand::usize(4..32))).collect();
    let mut text = Vec::with_capacity(LAYER / 10 + 64);
    while text.len() < LAYER / 10 {
        // As in any language, few words are used the most.
        let rank = fastrand::f64().powi(3) * words.len() as f64;
        text.extend_from_slice(&words[rank as usize]);
        text.extend_from_slice(&noise(fastrand::usize(0..4)));
    }
    text.truncate(LAYER / 10);
    let layer = text.repeat(10);
    let layers = (0..LAYERS).fold(Image::demo_app(), |image, at| image.file(&format!("/layer-{at}"), &layer, 0o644));
    layers.build()
}

fn noise(bytes: usize) -> Vec<u8> {
    let mut noise = vec![0; bytes];
    fastrand::fill(&mut noise);
    noise
}

fn has(command: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|directory| directory.join(command).exists())
}
