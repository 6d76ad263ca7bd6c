//! KingCDN's edge: the HTTP cache.
