//! stub
use super::*;
impl Config {
    /// stub
    pub fn fingerprint(&self) -> String {
        self.name.clone()
    }
    /// stub
    pub fn container_name(&self) -> String {
        format!("berth-{}", self.name)
    }
    /// stub
    pub fn effective_health(&self, _h: bool) -> Health {
        self.health.clone().unwrap_or(Health::None)
    }
    /// stub
    pub fn first_tcp_port(&self) -> Option<u16> {
        self.ports.first().map(|p| p.container)
    }
    /// stub
    pub fn version(&self) -> String {
        self.image.tag.clone().unwrap_or_default()
    }
    /// stub
    pub fn has_secrets(&self) -> bool {
        !self.secret.is_empty() || !self.secrets.is_empty()
    }
}
