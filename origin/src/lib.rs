//! netcinema: the reference origin, a small video site.
