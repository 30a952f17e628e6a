//! A world on loopback that the daemon can be shown in. It must know the daemon only by what the daemon sends
//! and receives.

pub mod inbox;
