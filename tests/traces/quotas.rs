//! A thousand instances that do the same at the same time, against the quotas of one account: real machines in one virtual
//! clock. All of them get there, with few more calls than one alone, and those who were refused do not come back as a second wave.

use account::{Account, Api};
use fleet::Fleet;

use crate::sim::{ms, secs};

mod account;
mod fleet;

const THOUSAND: usize = 1_000;

/// What a boot asks: the two services' secrets in a call each, the login, the manifest by tag and by digest, three layers, the group,
/// its hooks, and the completion. The most and the mean that an instance of a thousand asks, refused calls included; those
/// whose quotas suffice for a thousand at once are asked as if each were alone.
const CALLS: [(Api, usize, usize, f64); 6] = [
    (Api::Parameters, 1, 10, 5.0),
    (Api::Secrets, 1, 10, 5.0),
    (Api::Token, 1, 6, 2.5),
    (Api::Manifest, 2, 2, 2.0),
    (Api::Layer, 3, 3, 3.0),
    (Api::Group, 3, 30, 16.0),
];

/// Those that refuse most of a thousand calls at once.
const SCARCE: [Api; 3] = [Api::Parameters, Api::Secrets, Api::Group];

/// Whether those who were refused come together once more: half of all within a second, or a fifth of them ten seconds later.
fn comes_a_second_wave(account: &Account, api: Api) -> bool {
    account.peak(api, secs(1)) > THOUSAND / 2 || account.peak(api, secs(10)) > THOUSAND / 5
}

#[test]
fn an_instance_alone_asks_for_everything_once() {
    let fleet = Fleet::new(1).run(secs(600));
    assert_eq!((fleet.ready(), fleet.completed(1)), (1, 1));
    assert!(fleet.last_ready() < secs(5), "{:?}", fleet.last_ready());
    for (api, alone, ..) in CALLS {
        assert_eq!(fleet.account.per_instance(api), (alone, alone as f64), "{}", fleet.account.table());
    }
}

#[test]
fn a_thousand_that_boot_at_once_all_get_there_without_a_second_wave() {
    let fleet = Fleet::new(THOUSAND).run(secs(600));
    let (account, table) = (&fleet.account, fleet.account.table());
    assert_eq!((fleet.ready(), fleet.completed(1)), (THOUSAND, THOUSAND), "{table}");
    // 40 parameters a second are 25 s for a thousand, and 25 calls of the group 2 min for three each.
    assert!(fleet.last_ready() < secs(45), "{:?}", fleet.last_ready());
    assert!(fleet.now() < secs(150), "{:?}", fleet.now());
    for (api, _, most, mean) in CALLS {
        let asked = account.per_instance(api);
        assert!(asked.0 <= most && asked.1 <= mean, "{api:?}: {asked:?}\n{table}");
    }
    for api in SCARCE {
        assert!(!comes_a_second_wave(account, api), "{api:?}\n{table}");
    }
}

/// The control: what keeps a thousand apart is chance, and nothing else.
#[test]
fn a_thousand_with_one_chance_come_as_one_wave_after_the_other() {
    let fleet = Fleet::in_step(THOUSAND).run(secs(600));
    for api in SCARCE {
        assert!(comes_a_second_wave(&fleet.account, api), "{api:?}\n{}", fleet.account.table());
    }
}

/// A pull of 6 min, with a hook of 3: ten heartbeats a second if they are spread, and one that is refused comes again before the
/// next is due.
#[test]
fn a_thousand_slow_boots_keep_their_hooks_alive() {
    let fleet = Fleet::new(THOUSAND).pulls(secs(360), secs(180)).run(secs(350));
    let peak = fleet.account.peak(Api::Group, secs(0));
    assert!(peak < THOUSAND / 4, "{peak} heartbeats in a second");
    let fleet = fleet.run(secs(600));
    let table = fleet.account.table();
    assert_eq!((fleet.ready(), fleet.completed(1)), (THOUSAND, THOUSAND), "{table}");
}

#[test]
fn a_thousand_that_drain_at_once_complete_each_hook_once_and_without_a_second_wave() {
    let leaves = secs(300);
    let fleet = Fleet::new(THOUSAND).leaves(leaves).run(secs(1_200));
    let table = fleet.account.table();
    assert_eq!(fleet.completed(2), THOUSAND, "{table}");
    // Its hooks are active a minute after that, and 25 a second are completed.
    let gone = fleet.last_gone().expect("all are gone");
    assert!(gone < leaves + secs(60 + 90), "{gone:?}\n{table}");
    // All of them have tried for the first time, and were too early.
    let tried = leaves + ms(27_000);
    let peak = fleet.account.peak(Api::Group, tried);
    assert!(peak <= THOUSAND / 2, "{peak}\n{table}");
}

/// 20 registrations at once and 4 a second are 245 s for a thousand. Those that are refused wait for their turn, by their place among the instances of the group.
#[test]
fn a_thousand_that_register_at_once_are_all_in_traffic_within_five_minutes() {
    for (port, chance) in ["port=8080", "port=0:8080"].into_iter().flat_map(|port| [(port, 0), (port, 1), (port, 2)]) {
        let fleet = Fleet::by_chance(THOUSAND, chance).registers(port).run(secs(900));
        let (account, table) = (&fleet.account, fleet.account.table());
        let last = fleet.last_in_traffic().unwrap_or_else(|| panic!("some are not in traffic\n{table}"));
        assert!(last <= secs(300), "{port}: the last one after {last:?}\n{table}");
        let (most, mean) = account.per_instance(Api::Targets);
        assert!(most <= 3 && mean < 1.3, "{port}: {most} registrations of one, {mean} on average\n{table}");
        assert_eq!(fleet.completed(1), THOUSAND, "{port}\n{table}");
    }
}

#[test]
fn a_few_that_register_at_once_wait_for_nobody() {
    let fleet = Fleet::new(20).registers("port=8080").run(secs(300));
    let table = fleet.account.table();
    assert_eq!((fleet.account.per_instance(Api::Targets), fleet.completed(1)), ((1, 1.0), 20), "{table}");
    assert!(fleet.last_in_traffic().is_some_and(|last| last < secs(20)), "{table}");
}
