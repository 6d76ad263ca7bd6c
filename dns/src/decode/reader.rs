//! A packet's octets, in their order.

/// What is still to be read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'p>(pub(crate) &'p [u8]);

impl<'p> Reader<'p> {
    pub(crate) fn take(&mut self, count: usize) -> Option<&'p [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u16::from_be_bytes(*taken))
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*taken))
    }

    /// The next label of a name that has no pointers: empty for the root.
    pub(crate) fn label(&mut self) -> Option<&'p [u8]> {
        match self.u8()? {
            // RFC 1035 section 2.3.4.
            length @ 0..=63 => self.take(usize::from(length)),
            _ => None,
        }
    }

    /// Passes over a name; whether it is the root.
    pub(crate) fn name(&mut self) -> Option<bool> {
        let mut root = true;
        loop {
            match self.u8()? {
                0 => return Some(root),
                // A pointer ends it (RFC 1035 section 4.1.4).
                0xc0.. => return self.take(1).map(|_| false),
                length @ 1..0x40 => {
                    self.take(usize::from(length))?;
                }
                _ => return None,
            }
            root = false;
        }
    }
}
