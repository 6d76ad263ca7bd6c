//! Records on disks: everything that does I/O.
