//! `berth status --watch`: redraws the screen until the agent ends, or until Ctrl-C.
//!
//! On a terminal it is drawn in place, on the alternate screen; elsewhere each screen is appended. Every event may change the screen,
//! so the rate of drawing is limited.

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;

use crate::commands::sheet::Viewport;
use crate::commands::status::screen;
use crate::io::host::terminal::{self, Size};
use crate::io::listen::socket_client::{ClientError, Events};

/// The shortest time between two screens: in place, and appended.
const FRAME_INTERVAL: Duration = Duration::from_millis(200);
const APPEND_INTERVAL: Duration = Duration::from_secs(1);
/// A terminal is redrawn after this even without an event, since the screen shows times.
const REDRAW_AFTER: Duration = Duration::from_secs(1);

/// The size if the terminal does not report one.
const USUAL: Size = Size { columns: 80, rows: 24 };

/// Alternate screen, no cursor, no wrapping of long lines; and back. The names are those of xterm's control sequences.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l";
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";

/// Where the screen is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchOutput {
    /// A terminal, which is redrawn in place.
    Terminal,
    /// A file or a pipe, which gets each screen after the last.
    Appended,
}

/// Draws until the agent ends; an error if there is none to begin with.
pub async fn main(run_dir: &Path, json: bool) -> Result<(), ClientError> {
    let mut out = io::stdout();
    let output = if out.is_terminal() && !json { WatchOutput::Terminal } else { WatchOutput::Appended };
    if output == WatchOutput::Terminal {
        let _ = out.write_all(ENTER.as_bytes());
    }
    let watched = tokio::select! {
        watched = watch(run_dir, json, output, &mut out) => watched,
        () = interrupted() => Ok(None),
    };
    if output == WatchOutput::Terminal {
        let _ = out.write_all(LEAVE.as_bytes()).and_then(|()| out.flush());
    }
    if let Some(last) = watched?
        && output == WatchOutput::Terminal
    {
        crate::commands::say(&format!("{last}\nthe agent has ended\n"));
    }
    Ok(())
}

/// Draws until the agent ends, and returns the last screen; none if the output is closed.
async fn watch(
    run_dir: &Path,
    json: bool,
    output: WatchOutput,
    out: &mut impl Write,
) -> Result<Option<String>, ClientError> {
    let mut events = Events::open(run_dir).await?;
    let mut last: Option<String> = None;
    loop {
        let screen = match screen::run(run_dir, json, viewport(output)).await {
            Ok(screen) => screen,
            // It ended between its last event and this request.
            Err(ClientError::NotRunning(_) | ClientError::NoResponse(..)) if last.is_some() => return Ok(last),
            Err(error) => return Err(error),
        };
        let drawing = match output {
            WatchOutput::Terminal => frame(&screen),
            WatchOutput::Appended if json || last.is_none() => screen.clone(),
            WatchOutput::Appended => format!("\n{screen}"),
        };
        if let Err(error) = out.write_all(drawing.as_bytes()).and_then(|()| out.flush()) {
            crate::commands::unprinted(&error);
            return Ok(None);
        }
        last = Some(screen);

        let next = async {
            let first = events.next().await;
            // Further events in this time are part of the same screen.
            let least = if output == WatchOutput::Terminal { FRAME_INTERVAL } else { APPEND_INTERVAL };
            let rest = timeout(least, async { while events.next().await.is_some() {} });
            if first.is_some() && rest.await.is_err() { Some(()) } else { None }
        };
        let ended = match output {
            WatchOutput::Appended => next.await.is_none(),
            WatchOutput::Terminal => match timeout(REDRAW_AFTER, next).await {
                Ok(more) => more.is_none(),
                Err(_) => false,
            },
        };
        if ended {
            return Ok(last);
        }
    }
}

/// The size of one screen.
fn viewport(output: WatchOutput) -> Viewport {
    match output {
        WatchOutput::Appended => Viewport::default(),
        WatchOutput::Terminal => {
            let size = terminal::own_size().unwrap_or(USUAL);
            Viewport { columns: Some(size.columns.into()), rows: Some(size.rows.into()), bounded: true }
        }
    }
}

/// The screen in place of the one before. Every line has its row, and there are no more lines than rows.
fn frame(screen: &str) -> String {
    let rows = screen.lines().enumerate().map(|(at, line)| format!("\x1b[{};1H{line}\x1b[K", at + 1));
    rows.collect::<String>() + "\x1b[J"
}

/// Waits for a signal that ends the command.
async fn interrupted() {
    let wait = |kind| async move {
        match signal(kind) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = wait(SignalKind::interrupt()) => {}
        () = wait(SignalKind::terminate()) => {}
        () = wait(SignalKind::hangup()) => {}
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use berth_core::view::published::Published;
    use berth_core::view::{PhaseName, Status, View};
    use expect_test::expect;

    use super::*;
    use crate::commands::fake::FakeAgent;

    const BOUND: Duration = Duration::from_secs(20);

    #[derive(Clone, Default)]
    struct Drawn(Arc<Mutex<Vec<u8>>>);

    impl Drawn {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }

        async fn until(&self, text: &str) {
            let seen = async {
                while !self.text().contains(text) {
                    tokio::task::yield_now().await;
                }
            };
            timeout(BOUND, seen).await.unwrap_or_else(|_| panic!("{text} in\n{}", self.text()));
        }
    }

    impl Write for Drawn {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A pipe with a closed reader.
    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_change_is_appended_and_many_events_are_one_screen() {
        let run_dir = tempfile::tempdir().unwrap();
        let agent = FakeAgent::start(run_dir.path());
        agent.show(PhaseName::Boot, Status::Starting);
        let drawn = Drawn::default();
        let life = async {
            drawn.until("starting · boot").await;
            for _ in 0..10 {
                agent.send("{}");
            }
            agent.show(PhaseName::Serve, Status::Ok);
            drawn.until("ok · serve").await;
            agent.show(PhaseName::Serve, Status::Unhealthy);
            drawn.until("unhealthy · serve").await;
            agent.end().await;
        };
        let mut out = drawn.clone();
        let (ended, ()) = tokio::join!(watch(run_dir.path(), false, WatchOutput::Appended, &mut out), life);
        assert!(ended.unwrap().unwrap().starts_with("unhealthy · serve"));
        assert_eq!(drawn.text().matches("because").count(), 3, "{}", drawn.text());
        assert!(!drawn.text().contains('\u{1b}'));
    }

    #[tokio::test]
    async fn a_terminal_is_drawn_in_place_and_its_times_go_on_without_an_event() {
        let run_dir = tempfile::tempdir().unwrap();
        let agent = FakeAgent::start(run_dir.path());
        let drawn = Drawn::default();
        let life = async {
            drawn.until("starting · boot").await;
            let view = View { status: Status::Ok, ..View::default() };
            agent.published.send_replace(Arc::new(Published { view, ..Published::default() }));
            drawn.until("ok · boot").await;
            agent.end().await;
        };
        let mut out = drawn.clone();
        let (ended, ()) = tokio::join!(watch(run_dir.path(), false, WatchOutput::Terminal, &mut out), life);
        assert!(ended.unwrap().is_some());
        assert!(!drawn.text().contains('\n'), "nothing scrolls");
    }

    #[tokio::test]
    async fn json_is_one_object_a_line() {
        let run_dir = tempfile::tempdir().unwrap();
        let agent = FakeAgent::start(run_dir.path());
        let drawn = Drawn::default();
        let life = async {
            drawn.until("\"phase\":\"boot\"").await;
            agent.show(PhaseName::Serve, Status::Ok);
            drawn.until("\"phase\":\"serve\"").await;
            agent.end().await;
        };
        let mut out = drawn.clone();
        let (ended, ()) = tokio::join!(watch(run_dir.path(), true, WatchOutput::Appended, &mut out), life);
        assert!(ended.unwrap().is_some());
        assert!(drawn.text().lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()));
        assert_eq!(drawn.text().lines().count(), 2);
    }

    #[tokio::test]
    async fn a_closed_output_ends_the_watch() {
        let run_dir = tempfile::tempdir().unwrap();
        assert!(matches!(
            watch(run_dir.path(), false, WatchOutput::Appended, &mut Closed).await,
            Err(ClientError::NotRunning(_))
        ));
        let _agent = FakeAgent::start(run_dir.path());
        let watched = timeout(BOUND, watch(run_dir.path(), false, WatchOutput::Appended, &mut Closed)).await;
        assert_eq!(watched.expect("it ends").unwrap(), None);
    }

    #[test]
    fn a_frame_has_a_row_for_every_line_and_clears_the_rest() {
        expect![[r#""\u{1b}[1;1Hok · serve\u{1b}[K\u{1b}[2;1H\u{1b}[K\u{1b}[3;1H  image  x\u{1b}[K\u{1b}[J""#]]
            .assert_eq(&format!("{:?}", frame("ok · serve\n\n  image  x\n")));
    }
}
