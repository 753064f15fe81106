//! The health checks: one task for each registration, on a thread of their own, since several worlds may share them.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use tokio::net::TcpStream;
use tokio::runtime::Handle;

use super::Account;
use crate::client::{over_tcp, request};
use crate::clock;
use crate::server::{Stop, begin_thread};
use crate::target_group::{Health, HealthCheck, Target};

/// Where the checks run. It begins with the first; dropped, all of them end.
#[derive(Default)]
pub(super) struct Thread(OnceLock<(Handle, Stop)>);

impl Thread {
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let (handle, _) = self.0.get_or_init(|| begin_thread("load-balancer"));
        handle.spawn(task);
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        if let Some((_, (stop, thread))) = self.0.take() {
            let _ = stop.send(());
            let _ = thread.join();
        }
    }
}

/// Checks the registration that began at `since` until it ends.
pub(super) async fn run(account: Arc<Account>, arn: String, target: Target, since: Instant) {
    let wait = account.state().group(&arn).settings.first_check_after;
    tokio::time::sleep(wait).await;
    // It was `Elb.RegistrationInProgress` until now.
    account.change(|_| ());
    loop {
        let next = {
            let mut state = account.state();
            let runs = state.instances.get(&target.id).filter(|(_, runs)| *runs).map(|(address, _)| *address);
            let group = state.group(&arn);
            if !group.is_checked(&target, since) {
                return;
            }
            let settings = &group.settings;
            let address = runs.filter(|_| settings.check.enabled && settings.has_listener);
            (address.map(|address| (address, settings.check_port(&target))), settings.check.clone())
        };
        let (address, check) = next;
        if let Some(address) = address {
            let outcome = probe(address, &check).await;
            account.change(|state| state.group(&arn).checked(&target, since, outcome, clock::now()));
        }
        tokio::time::sleep(check.interval).await;
    }
}

/// One check.
async fn probe(address: (IpAddr, u16), check: &HealthCheck) -> Result<(), Health> {
    let address = SocketAddr::from(address);
    let asked = async {
        let Some(path) = &check.path else {
            return TcpStream::connect(address).await.map(|_| None);
        };
        let mut request = request("GET", path);
        let agent = "ELB-HealthChecker/2.0".parse().expect("a header");
        request.headers_mut().insert(http::header::USER_AGENT, agent);
        over_tcp(address, request).await.map(|answer| Some(answer.status))
    };
    match tokio::time::timeout(check.timeout, asked).await {
        Err(_) => Err(Health::timeout()),
        Ok(Err(_)) => Err(Health::failed()),
        Ok(Ok(Some(code))) if !check.codes.contains(&code) => Err(Health::code(code)),
        Ok(Ok(_)) => Ok(()),
    }
}
