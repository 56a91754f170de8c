//! Whether the hub can be reached from here.

use super::{HubSettings, Network, client::Client};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(5);

/// The hub's address if it answers within some seconds, otherwise why it does not. No token is sent.
pub fn reach(hub: &HubSettings) -> Result<String, String> {
    if hub.offline {
        return Err("HF_HUB_OFFLINE (or TRANSFORMERS_OFFLINE) is set".to_owned());
    }
    let network = Network { connect_timeout: PATIENCE, read_timeout: PATIENCE, ..hub.network.clone() };
    let client = Client::new(&hub.endpoint, None, &network).map_err(|failure| failure.to_string())?;
    client.reach().map(|()| client.host()).map_err(|failure| failure.to_string())
}
