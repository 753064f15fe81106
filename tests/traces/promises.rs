//! The promises that hold in every life, over random faults, delays, hangs and signals.

use berth_core::message::error::ErrorClass;
use berth_core::message::event::{Event, Signal};
use berth_core::message::job::JobKind;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof};
use proptest::{prop_assert, prop_assert_eq, proptest};

use crate::sim::{Sim, exited, ms, secs};

const LINES: [&str; 4] = [
    "image=r.test/a:1 port=80 secrets=prod/api",
    "image=r.test/a:1 port=80 lifecycle.group=web lifecycle.launch_hook=boot",
    "image=r.test/a:1 boot.on_failure=hold boot.timeout=60s",
    "image=r.test/a:1 port=80 restart.limit=1 probe.start_timeout=10s",
];

const JOBS: [JobKind; 21] = [
    JobKind::Identify,
    JobKind::ReadConfig,
    JobKind::Listen,
    JobKind::FetchSecrets,
    JobKind::LoginRegistry,
    JobKind::PingEngine,
    JobKind::FindContainers,
    JobKind::ResolveDigest,
    JobKind::InspectImage,
    JobKind::PullImage,
    JobKind::CreateContainer,
    JobKind::StartContainer,
    JobKind::ProbeApp,
    JobKind::StopContainer,
    JobKind::FindGroup,
    JobKind::RecordHeartbeat,
    JobKind::CompleteHook,
    JobKind::DescribeInstance,
    JobKind::MarkUnhealthy,
    JobKind::ReadOutput,
    JobKind::WriteFinalStatus,
];

#[derive(Clone, Debug)]
enum Twist {
    Fails(JobKind, ErrorClass, u16),
    Hangs(JobKind),
    Exits(u16),
    NotActive,
}

fn twist() -> impl Strategy<Value = Twist> {
    let job = (0..JOBS.len()).prop_map(|index| JOBS[index]);
    let class = prop_oneof![
        4 => Just(ErrorClass::Transient),
        1 => Just(ErrorClass::Denied),
        1 => Just(ErrorClass::Broken),
        1 => Just(ErrorClass::Misconfigured),
    ];
    prop_oneof![
        6 => (job.clone(), class, any::<u16>()).prop_map(|(job, class, delay)| Twist::Fails(job, class, delay)),
        2 => job.prop_map(Twist::Hangs),
        2 => any::<u16>().prop_map(Twist::Exits),
        1 => Just(Twist::NotActive),
    ]
}

fn live(line: usize, seed: u64, twists: &[Twist], signal: u64) -> Sim {
    let mut life = Sim::seeded(LINES[line], seed);
    for twist in twists {
        life = match twist {
            Twist::Fails(job, class, delay) => {
                life.answer(*job, ms(u64::from(*delay)), crate::sim::failure(*job, *class, "scripted"))
            }
            Twist::Hangs(job) => life.never(*job),
            Twist::Exits(delay) => life.answer(JobKind::WatchContainer, ms(u64::from(*delay)), exited(1)),
            Twist::NotActive => life.answer(JobKind::CompleteHook, ms(50), Event::HookNotActive(JobKind::CompleteHook)),
        };
    }
    life.at(secs(signal), Event::Signalled(Signal::Term)).run(secs(signal + 400))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn every_life_keeps_its_promises(
        line in 0..LINES.len(),
        seed in any::<u64>(),
        twists in proptest::collection::vec(twist(), 0..12),
        signal in 1_u64..4000,
    ) {
        let life = live(line, seed, &twists, signal);
        // 6: every wait ends, so after a signal every life is over.
        prop_assert!(life.outcome().is_some(), "goes on:\n{}", life.trace());
        prop_assert!(!life.stuck, "a state without a deadline:\n{}", life.trace());
        // 3: ready only in serve.
        prop_assert!(!life.ready_outside_serve, "{}", life.trace());
        // 8: completed at most once.
        for hook in ["web/boot", "web/leave"] {
            prop_assert!(life.completed.iter().filter(|one| *one == hook).count() <= 1, "{}", life.trace());
        }
        // The same life twice is the same life.
        let again = live(line, seed, &twists, signal);
        prop_assert_eq!(life.trace(), again.trace());
    }
}
