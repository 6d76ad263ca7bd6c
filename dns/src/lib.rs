//! KingCDN's authoritative name server.
