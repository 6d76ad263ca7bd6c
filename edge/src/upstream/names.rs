//! The addresses of origins that are known by name.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hickory_resolver::{Resolver, TokioResolver};
use kingcdn_config::{OriginHost, OriginUrl};
use tokio::runtime::Handle;

/// Looks names up, as `/etc/resolv.conf` and `/etc/hosts` say, for as long as their records live.
///
/// Not by the C library: it blocks a thread for each name, and a static program in an empty
/// container has none.
#[derive(Debug, Clone)]
pub(super) struct Names {
    /// None where the system's configuration can't be read; then only addresses are known.
    resolver: Option<Arc<TokioResolver>>,
    runtime: Handle,
}

impl Names {
    /// Look-ups that run on `runtime`.
    pub(super) fn new(runtime: Handle) -> Self {
        // The builder and what it builds expect to be on the runtime that they will use.
        let _on = runtime.enter();
        let resolver = Resolver::builder_tokio().and_then(|builder| builder.build());
        if let Err(error) = &resolver {
            tracing::warn!(%error, "names can't be looked up: origins need addresses");
        }
        Self { resolver: resolver.ok().map(Arc::new), runtime }
    }

    /// Where `origin` can be reached, in the order in which to try.
    pub(super) async fn addresses(&self, origin: &OriginUrl) -> io::Result<Vec<SocketAddr>> {
        let name = match &origin.host {
            OriginHost::Address(address) => {
                return Ok(vec![SocketAddr::new(*address, origin.port)]);
            }
            OriginHost::Name(name) => name.to_string(),
        };
        let Some(resolver) = self.resolver.clone() else {
            return Err(io::Error::other("names can't be looked up on this machine"));
        };
        let found = self.runtime.spawn(async move { resolver.lookup_ip(name).await });
        let found = found.await?.map_err(io::Error::other)?;
        Ok(found.iter().map(|address: IpAddr| SocketAddr::new(address, origin.port)).collect())
    }
}
